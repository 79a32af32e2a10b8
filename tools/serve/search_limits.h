// How much one search may ask of its indices.
#pragma once

#include <vector>

#include "tools/serve/node.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

/// Throws ApiError 400 for more than the settings of an index allow. Blocks.
void check_limits(const Node& node, const std::vector<io::SearchPart>& parts,
                  const SearchRequest& request);
/// The same for a query that is only counted.
void check_limits(const Node& node, const std::vector<io::SearchPart>& parts,
                  const io::Query& query);

}  // namespace penstock::serve
