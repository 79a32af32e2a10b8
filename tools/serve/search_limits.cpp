#include "tools/serve/search_limits.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "tools/serve/api_error.h"
#include "tools/serve/index_registry.h"

namespace penstock::serve {

namespace {

/// A setting's number; `otherwise` when it says none.
std::size_t number_of(const FlatSettings& settings, std::string_view name, std::size_t otherwise) {
    const std::string text = setting(settings, name);
    std::size_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc() && end == text.data() + text.size() ? number : otherwise;
}

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
        const FlatSettings settings = metadata ? settings_of(metadata->settings) : FlatSettings();
        check_terms(number_of(settings, "index.max_terms_count", 65'536),
                    request.retriever.search.query.get());
        check_slices(number_of(settings, "index.max_slices_per_scroll", 1024), request);
        check_window(number_of(settings, "index.max_result_window", 10'000), request);
        check_fields(number_of(settings, "index.max_docvalue_fields_search", 100), request);
    }
}

}  // namespace penstock::serve
