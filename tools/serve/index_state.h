// An index as it can be read now, for whoever tells of all of them.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/serve/node.h"

namespace penstock::serve {

struct IndexState {
    std::string name;
    bool damaged = false;  ///< its files cannot be read: there is nothing of what follows
    std::shared_ptr<const IndexMetadata> metadata;
    io::IndexInfo info;
};

/// Nothing when there is no such index. Blocks; does not throw for damaged files.
std::optional<IndexState> index_state(const Node& node, const std::string& index);
/// Of those that are there.
std::vector<IndexState> index_states(const Node& node, const std::vector<std::string>& indices);

/// How many of `states` are damaged, and the part of them that is not, in percent.
std::size_t count_damaged(const std::vector<IndexState>& states);
double active_percent(std::size_t all, std::size_t damaged);

}  // namespace penstock::serve
