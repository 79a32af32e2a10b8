// Running a search and writing its response. Everything here blocks.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/node.h"
#include "tools/serve/search_context.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

/// The indices that an expression reaches, each in its state of now, with what its aliases let
/// through. Throws ApiError 404 and 403.
std::vector<io::SearchPart> open_parts(Node& node, const Request& request,
                                       std::string_view expression, const ExpandOptions& options,
                                       std::int64_t now_millis);
/// How many these are.
std::size_t count_parts(const Node& node, std::string_view expression,
                        const ExpandOptions& options);

/// The whole response. `context` is the point in time that the request names, or null.
std::string run_search(const Node& node, const std::vector<io::SearchPart>& parts,
                       const SearchRequest& request, std::chrono::steady_clock::time_point begin);
/// Opens a scroll in `contexts`, and answers with its first page. Throws ApiError 429 when the
/// node's memory for requests has no room for what it found.
std::string open_scroll(const Node& node, SearchContexts& contexts,
                        std::shared_ptr<SearchContext> context, SearchRequest request,
                        std::chrono::steady_clock::time_point begin);
/// The next page.
std::string next_page(const Node& node, SearchContext& context, const std::string& scroll_id,
                      std::chrono::steady_clock::time_point begin, bool total_as_number);

/// {"total": n, "successful": n, "skipped": 0, "failed": 0}
std::string shards_json(std::size_t count);

}  // namespace penstock::serve
