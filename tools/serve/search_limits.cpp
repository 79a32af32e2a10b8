#include "tools/serve/search_limits.h"

#include <string>

#include "tools/serve/api_error.h"
#include "tools/serve/index_registry.h"

namespace penstock::serve {

namespace {

void check_window(std::size_t limit, const SearchRequest& request) {
    const std::string most = "less than or equal to: [" + std::to_string(limit) + "] but was [";
    if (request.scroll && request.size > limit)
        throw illegal_argument(
            "Batch size is too large, size must be " + most + std::to_string(request.size) +
            "]. Scroll batch sizes cost as much memory as result windows so they are controlled by "
            "the [index.max_result_window] index level setting.");
    if (!request.scroll && request.from + request.size > limit)
        throw illegal_argument(
            "Result window is too large, from + size must be " + most +
            std::to_string(request.from + request.size) +
            "]. See the scroll api for a more efficient way to request large data sets. This limit "
            "can be set by changing the [index.max_result_window] index level setting.");
}

void check_fields(std::size_t limit, const SearchRequest& request) {
    if (request.docvalue_fields <= limit) return;
    throw illegal_argument(
        "Trying to retrieve too many docvalue_fields. Must be less than or equal to: [" +
        std::to_string(limit) + "] but was [" + std::to_string(request.docvalue_fields) +
        "]. This limit can be set by changing the [index.max_docvalue_fields_search] index level "
        "setting.");
}

void check_terms(std::size_t limit, const io::Query* query) {
    if (query == nullptr || query->most_terms() <= limit) return;
    throw illegal_argument(
        "The number of terms [" + std::to_string(query->most_terms()) +
        "] used in the Terms Query request has exceeded the allowed maximum of [" +
        std::to_string(limit) +
        "]. This maximum can be set by changing the [index.max_terms_count] "
        "index level setting.");
}

void check_slices(std::size_t limit, const SearchRequest& request) {
    if (!request.slice || request.slice->max <= limit) return;
    throw illegal_argument(
        "The number of slices [" + std::to_string(request.slice->max) +
        "] is too large. It must be less than [" + std::to_string(limit) +
        "]. This limit can be set by changing the [index.max_slices_per_scroll] index level "
        "setting.");
}

}  // namespace

void check_limits(const Node& node, const std::vector<io::SearchPart>& parts,
                  const SearchRequest& request) {
    for (const io::SearchPart& part : parts) {
        const auto metadata = node.indices->readable(part.snapshot->index());
        const SearchLimits limits = metadata ? metadata->limits : SearchLimits();
        check_terms(limits.terms, request.retriever.search.query.get());
        check_slices(limits.slices, request);
        check_window(limits.result_window, request);
        check_fields(limits.docvalue_fields, request);
    }
}

}  // namespace penstock::serve
