#include "tools/serve/search_limits.h"

#include <algorithm>
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

/// Of the terms query that has most of them, wherever it stands.
std::size_t most_terms(const Retriever& retriever) {
    std::size_t most = 0;
    const auto look = [&](const std::shared_ptr<const io::Query>& query) {
        if (query) most = std::max(most, query->most_terms());
    };
    look(retriever.search.query);
    look(retriever.search.post_filter);
    for (const auto& query : retriever.search.knn)
        look(query);
    for (const Retriever& child : retriever.children)
        most = std::max(most, most_terms(child));
    return most;
}

void check_terms(std::size_t limit, std::size_t count) {
    if (count <= limit) return;
    throw illegal_argument(
        "The number of terms [" + std::to_string(count) +
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

SearchLimits limits_of(const Node& node, const io::SearchPart& part) {
    const auto metadata = node.indices->readable(part.snapshot->index());
    return metadata ? metadata->limits : SearchLimits();
}

}  // namespace

void check_limits(const Node& node, const std::vector<io::SearchPart>& parts,
                  const io::Query& query) {
    for (const io::SearchPart& part : parts)
        check_terms(limits_of(node, part).terms, query.most_terms());
}

void check_limits(const Node& node, const std::vector<io::SearchPart>& parts,
                  const SearchRequest& request) {
    const std::size_t terms = most_terms(request.retriever);
    for (const io::SearchPart& part : parts) {
        const SearchLimits limits = limits_of(node, part);
        check_terms(limits.terms, terms);
        check_slices(limits.slices, request);
        check_window(limits.result_window, request);
        check_fields(limits.docvalue_fields, request);
    }
}

}  // namespace penstock::serve
