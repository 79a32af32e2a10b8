#include "tools/serve/search_parameters.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "tools/serve/api_error.h"

namespace penstock::serve {

namespace {

using io::SortKey;

/// By score alone is what happens without any sort.
bool only_by_score(const std::vector<SortKey>& keys) {
    return keys.size() == 1 && keys.front().kind == SortKey::Kind::score && keys.front().descending;
}

/// The place of a document among those of all indices, which changes with every write.
bool sorts_by_shard(const std::vector<SortKey>& keys) {
    return std::any_of(keys.begin(), keys.end(),
                       [](const SortKey& key) { return key.field == "_shard_doc"; });
}

std::optional<std::size_t> count_parameter(const Parameters& parameters, const std::string& name) {
    if (!parameters.has(name)) return std::nullopt;
    const std::int64_t number = parameters.integer(name, 0);
    if (number < 0)
        throw illegal_argument("[" + name + "] parameter cannot be negative, found [" +
                               std::to_string(number) + "]");
    return static_cast<std::size_t>(number);
}

void check_search_type(const Parameters& parameters, const SearchRequest& request) {
    const std::string* type = parameters.find("search_type");
    if (type == nullptr) return;
    if (*type == "query_and_fetch" || *type == "dfs_query_and_fetch")
        throw illegal_argument("Unsupported search type [" + *type + "]");
    if (*type != "query_then_fetch" && *type != "dfs_query_then_fetch")
        throw illegal_argument("No search type for [" + *type + "]");
    if (!request.retriever.search.knn.empty())
        throw illegal_argument(
            "cannot set [search_type] when using [knn] search, since the search type is determined "
            "automatically");
}

/// What tells a cluster how to go about it: nothing here, but what cannot be is refused.
void check_tuning(const Parameters& parameters, const SearchRequest& request) {
    struct Least {
        const char* name;
        const char* called;
        std::int64_t number;
    };
    static constexpr std::array<Least, 3> known{
        {{"batched_reduce_size", "batchedReduceSize", 2},
         {"pre_filter_shard_size", "preFilterShardSize", 1},
         {"max_concurrent_shard_requests", "maxConcurrentShardRequests", 1}}};
    for (const Least& least : known) {
        if (parameters.integer(least.name, least.number) < least.number)
            throw illegal_argument(std::string(least.called) +
                                   " must be >= " + std::to_string(least.number));
    }
    check_search_type(parameters, request);
}

/// A bare number has no room to say that there may be more.
void count_exactly(SearchRequest& request) {
    if (!request.total_is_given) request.track_total_hits = SearchRequest::kCountAll;
    if (request.track_total_hits > 0)
        throw illegal_argument(
            "[rest_total_hits_as_int] cannot be used if the tracking of total hits is not "
            "accurate, got " +
            std::to_string(request.track_total_hits));
}

/// All that is wrong with it is told at once.
void check_scroll(const SearchRequest& request) {
    std::vector<std::string> problems;
    if (request.track_total_hits == 0)
        problems.emplace_back("disabling [track_total_hits] is not allowed in a scroll context");
    if (request.from > 0) problems.emplace_back("using [from] is not allowed in a scroll context");
    if (request.size == 0) problems.emplace_back("[size] cannot be [0] in a scroll context");
    if (request.retriever.search.after)
        problems.emplace_back("[search_after] cannot be used in a scroll context");
    if (request.cached) problems.emplace_back("[request_cache] cannot be used in a scroll context");
    if (!request.pit.empty())
        problems.emplace_back("using [point in time] is not allowed in a scroll context");
    if (!problems.empty()) throw action_validation(problems);
}

/// As the formats of the sort keys have them, dates are shown and taken.
void take_sort_formats(SearchRequest& request) {
    io::DocumentSearch& search = request.retriever.search;
    for (std::size_t i = 0; i < search.sort.size(); ++i) {
        const SortKey& key = search.sort[i];
        const auto& format = request.sort_formats.emplace_back(
            key.format.empty() ? nullptr : ValueFormat::compile(key.format));
        if (!format || !search.after || i >= search.after->size()) continue;
        io::SortValue& after = (*search.after)[i];
        const auto* text = std::get_if<std::string>(&after);
        if (text == nullptr) continue;
        const auto millis = format->parse_date(*text);
        if (!millis)
            throw ApiError(
                400, "parse_exception",
                "failed to parse date field [" + *text + "] with format [" + format->text() + "]");
        after = *millis;
    }
}

}  // namespace

std::int64_t total_to_track(const std::string& text) {
    if (text == "true") return SearchRequest::kCountAll;
    if (text == "false") return 0;
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size() || number < -1)
        throw illegal_argument(
            "[track_total_hits] parameter must be positive or equals to -1, got " + text);
    return number;
}

void show_stored_fields(const std::vector<std::string>& names, SearchRequest& request) {
    const auto has = [&](std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    request.with_source = has("_source");
    request.with_id = !has("_none_");
    if (!request.with_id && names.size() > 1)
        throw illegal_argument("cannot combine _none_ with other fields");
}

std::optional<std::size_t> size_parameter(const Parameters& parameters) {
    return count_parameter(parameters, "size");
}

std::optional<std::size_t> terminate_after_parameter(const Parameters& parameters) {
    if (!parameters.has("terminate_after")) return std::nullopt;
    const std::int64_t number = parameters.integer("terminate_after", 0);
    if (number < 0) throw illegal_argument("terminateAfter must be > 0");
    return static_cast<std::size_t>(number);
}

void read_search_parameters(const Parameters& parameters, SearchRequest& request) {
    io::DocumentSearch& search = request.retriever.search;
    check_tuning(parameters, request);
    if (const auto from = count_parameter(parameters, "from")) request.from = *from;
    if (const auto size = size_parameter(parameters)) request.size = *size;
    if (const auto most = terminate_after_parameter(parameters)) search.terminate_after = *most;
    if (parameters.has("sort")) search.sort = parse_sort_parameter(parameters.text("sort"));
    if (const std::string* total = parameters.find("track_total_hits")) {
        request.track_total_hits = total_to_track(*total);
        request.total_is_given = true;
    }
    for (const char* name : {"_source", "_source_includes", "_source_excludes"}) {
        if (!parameters.has(name)) continue;
        request.source = SourceFilter::from(parameters);
        request.with_source = request.source.fetch;
    }
    if (parameters.has("_source_exclude_vectors"))
        request.with_vectors = !parameters.flag("_source_exclude_vectors");
    if (parameters.has("stored_fields"))
        show_stored_fields(parameters.list("stored_fields"), request);
    for (const std::string& name : parameters.list("docvalue_fields")) {
        request.fields.push_back({name, nullptr});
        ++request.docvalue_fields;
    }
    request.with_version = parameters.flag("version", request.with_version);
    request.with_seq_no = parameters.flag("seq_no_primary_term", request.with_seq_no);
    request.track_scores = parameters.flag("track_scores", request.track_scores);
    request.total_as_number = parameters.flag("rest_total_hits_as_int", false);
    if (request.total_as_number) count_exactly(request);
    request.typed_keys = parameters.flag("typed_keys", false);
    request.with_name_scores = parameters.flag("include_named_queries_score", false);
    if (parameters.has("timeout") && parameters.text("timeout") != "-1")
        request.timeout = parameters.time("timeout", std::chrono::milliseconds(0));
    if (parameters.has("scroll"))
        request.scroll = parameters.time("scroll", std::chrono::milliseconds(0));
    request.cached = parameters.flag("request_cache", false);
}

std::shared_ptr<const io::Query> query_parameter(const Parameters& parameters) {
    const std::string* text = parameters.find("q");
    if (text == nullptr) return nullptr;
    const std::string all = parameters.text("default_operator", "OR");
    return io::Query::from_text(*text, {.default_field = parameters.text("df"),
                                        .all_words = all == "AND" || all == "and",
                                        .lenient = parameters.flag("lenient")});
}

void check_search(SearchRequest& request) {
    io::DocumentSearch& search = request.retriever.search;
    const bool scrolls = request.scroll.has_value();
    if (scrolls) check_scroll(request);
    if (scrolls) request.track_total_hits = SearchRequest::kCountAll;
    if (request.slice && !scrolls && request.pit.empty())
        throw action_validation(
            {"[slice] can only be used with [scroll] or [point-in-time] requests"});
    if (search.after && request.from > 0)
        throw action_validation({"`from` parameter must be set to 0 when `search_after` is used"});
    if (request.is_fused()) {
        if (!request.aggregations.empty() || search.after || !search.sort.empty() || scrolls ||
            search.post_filter)
            throw illegal_argument(
                "[rrf] cannot be combined with aggregations, sort, "
                "search_after, scroll or post_filter in the embedded index");
        return;
    }
    search.scores = request.track_scores;
    if (request.pit.empty() && search.after && sorts_by_shard(search.sort))
        throw action_validation({"[_shard_doc] sort field cannot be used without [point in time]"});
    if (only_by_score(search.sort) && !search.after) search.sort.clear();
    take_sort_formats(request);
    const bool has_tie_break =
        !search.sort.empty() && search.sort.back().kind == SortKey::Kind::document;
    if (!request.pit.empty() && !search.sort.empty() && !has_tie_break) {
        // A point in time breaks ties by itself, and says so in the sort values.
        SortKey last;
        last.kind = SortKey::Kind::document;
        search.sort.push_back(last);
        request.tie_break = true;
    }
    if (!search.after) return;
    if (search.sort.empty()) throw illegal_argument("Sort must contain at least one field.");
    if (request.tie_break && search.after->size() + 1 == search.sort.size()) {
        search.sort.pop_back();
        request.tie_break = false;
    }
    if (search.after->size() != search.sort.size())
        throw illegal_argument("search_after has " + std::to_string(search.after->size()) +
                               " value(s) but sort has " + std::to_string(search.sort.size()) +
                               ".");
}

}  // namespace penstock::serve
