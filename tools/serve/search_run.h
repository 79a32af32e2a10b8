// Running a search and writing its response. Everything here blocks.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/api_error.h"
#include "tools/serve/node.h"
#include "tools/serve/search_context.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

/// An index that could not answer.
struct IndexFailure {
    std::string index;
    ApiError error;
};

/// The indices that a search asks, and those of them that could not answer.
struct SearchTargets {
    std::vector<io::SearchPart> parts;
    std::vector<IndexFailure> failures;
    std::size_t total = 0;        ///< indices, with those that could not even be opened
    bool partial_allowed = true;  ///< one that fails does not fail the whole
    std::string expression;       ///< by which they were reached

    /// Of indices that are open.
    static SearchTargets of(std::vector<io::SearchPart> parts, bool partial_allowed);
};

/// The indices that an expression reaches, each in its state of now, with what its aliases let
/// through. Throws ApiError 404 and 403, and search_phase_execution_exception when an index cannot
/// be opened and there is none besides, or `partial_allowed` is not set.
SearchTargets open_targets(Node& node, const Request& request, std::string_view expression,
                           const ExpandOptions& options, bool partial_allowed,
                           std::int64_t now_millis);

/// The whole response, of the indices that can answer. Throws ApiError: 429 when the node's memory
/// for requests has no room for the response, search_phase_execution_exception as open_targets.
std::string run_search(const Node& node, SearchTargets targets, const SearchRequest& request,
                       std::chrono::steady_clock::time_point begin);
/// How many documents match, and of which indices, as _count answers.
std::string run_count(const Node& node, SearchTargets targets, io::DocumentSearch search);
/// Opens a scroll in `contexts`, and answers with its first page. `targets` are those of the
/// context. Throws as run_search, and 429 also for what it found and still has to give.
std::string open_scroll(const Node& node, SearchContexts& contexts,
                        std::shared_ptr<SearchContext> context, SearchTargets targets,
                        SearchRequest request, std::chrono::steady_clock::time_point begin);
/// The next page.
std::string next_page(const Node& node, SearchContext& context, const std::string& scroll_id,
                      std::chrono::steady_clock::time_point begin, bool total_as_number);

/// {"total": n, "successful": n, "skipped": 0, "failed": 0}
std::string shards_json(std::size_t count);

}  // namespace penstock::serve
