// The sections of numbers that indices and nodes tell of indices.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/document/json_writer.h"
#include "tools/serve/index_activity.h"
#include "tools/serve/index_state.h"
#include "tools/serve/metric_list.h"

namespace penstock::serve {

/// Of one index, or of several together.
struct IndexNumbers {
    std::uint64_t indices = 0;
    std::uint64_t docs = 0;
    std::uint64_t bytes = 0;
    int contexts = 0;
    IndexCounts counts;

    void add(const IndexNumbers& more);
    /// Of an index that is not damaged.
    static IndexNumbers of(const Node& node, const IndexState& state);
};

/// Names of the sections in requests.
std::span<const std::string_view> index_metrics();

/// What this index does not have (segments to merge, caches, a translog) is told as nothing: the
/// members are there for clients that read them. `file_sizes`: with those of the segments.
void write_index_sections(document::JsonWriter& json, const IndexNumbers& numbers,
                          const MetricList& metrics, bool file_sizes = false);

}  // namespace penstock::serve
