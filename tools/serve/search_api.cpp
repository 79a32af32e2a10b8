// Searches, counts, scrolls and points in time.
#include <charconv>

#include "engine/document/json_writer.h"
#include "engine/inference/infer_async.h"
#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/json_body.h"
#include "tools/serve/node.h"
#include "tools/serve/response_format.h"
#include "tools/serve/search_limits.h"
#include "tools/serve/search_parameters.h"
#include "tools/serve/search_parts.h"
#include "tools/serve/search_run.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using document::JsonWriter;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxSearches = 10'000;  ///< of one _msearch

/// What all handlers of this family share.
struct Family {
    Node& node;
    std::shared_ptr<SearchContexts> contexts;
};

/// Runs on the blocking pool; what is wrong with a query becomes the API's error.
template <class Work>
awaitable<std::string> blocking(Node& node, Work work) {
    co_return co_await runtime::call_on(node.runtime->blocking(), [&]() -> std::string {
        try {
            return work();
        } catch (const io::QueryError& error) {
            throw_api_error(error);
        }
    });
}

awaitable<std::string> read_text(Request& request) {
    std::string text = co_await request.body->read_all();
    if (text.empty()) text = request.query.text("source");
    if (!text.empty() && is_yaml(request)) text = yaml_to_json(text);
    co_return text;
}

/// Asks the deployments for the vectors that a body's queries want.
awaitable<void> embed(Node& node, std::vector<EmbeddingWanted>& wanted) {
    for (EmbeddingWanted& one : wanted) {
        if (!node.deployments)
            throw resource_not_found("Could not find trained model [" + one.model + "]");
        const std::string_view text = one.text;
        inference::InferRequest infer_request;
        infer_request.texts = std::span(&text, 1);
        infer_request.options.prefix = inference::PrefixKind::search;
        infer_request.options.admission = inference::Admission::reject;
        infer_request.options.priority = inference::RequestPriority::high;
        const inference::InferResult result =
            co_await inference::infer(*node.deployments, one.model, infer_request);
        const inference::InferItem& item = result.items.front();
        if (item.error)
            throw ApiError(item.error->status, item.error->type, item.error->reason)
                .retry_after(item.error->retry_after_seconds);
        const std::span<const float> values = item.embedding();
        if (values.empty())
            throw illegal_argument("the model of [" + one.model +
                                   "] does not give text embeddings");
        one.vector.assign(values.begin(), values.end());
    }
}

/// `parameters`: of the request, or of one search of several.
ExpandOptions expand_options(const Request& request, const Parameters& parameters) {
    return within_rights(request, ExpandOptions::for_documents(parameters));
}

double score_parameter(const Parameters& parameters, std::string_view name) {
    const std::string text = parameters.text(name);
    double score = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), score);
    if (problem != std::errc() || end != text.data() + text.size())
        throw illegal_argument("Failed to parse float parameter [" + std::string(name) +
                               "] with value [" + text + "]");
    return score;
}

bool partial_allowed(const Parameters& parameters) {
    return parameters.flag("allow_partial_search_results", true);
}

std::int64_t now_millis(const Node& node) {
    return milliseconds(node.now());
}

/// Whoever may read what it reads may use it, by the names by which it was opened.
void authorize_context(Node& node, const Request& request, const SearchContext& context) {
    for (const io::SearchPart& part : context.parts)
        authorize_index(node, request, part.snapshot->index(), context.expression);
}

/// A body's search over an expression's indices, in all its forms.
std::string search_text(Family& family, const Request& request, std::string_view expression,
                        const Parameters& parameters, const SearchBody& body,
                        const std::vector<EmbeddingWanted>& embeddings, Clock::time_point begin) {
    Node& node = family.node;
    const std::int64_t now = now_millis(node);
    SearchRequest search =
        parse_search(body, parameters, embeddings, now, terms_loader(node, request));
    if (!search.pit.empty()) {
        if (!expression.empty())
            throw action_validation(
                {"[indices] cannot be used with point in time. Do not specify any index with point "
                 "in time."});
        const auto context = family.contexts->find(search.pit, search.pit_keep_alive);
        authorize_context(node, request, *context);
        check_limits(node, context->parts, search);
        std::vector<io::SearchPart> parts = context->parts;
        arrange_parts(node, request, search, expand_options(request, parameters), parts);
        return run_search(node, SearchTargets::of(std::move(parts), partial_allowed(parameters)),
                          search, begin);
    }
    const ExpandOptions options = expand_options(request, parameters);
    SearchTargets targets =
        open_targets(node, request, expression, options, partial_allowed(parameters), now);
    // Of what its rights reach, before it is searched.
    if (search.scroll) family.contexts->check_room(true, targets.parts.size());
    check_limits(node, targets.parts, search);
    arrange_parts(node, request, search, options, targets.parts);
    if (!search.scroll) return run_search(node, std::move(targets), search, begin);
    auto context = std::make_shared<SearchContext>(node.indices, targets.parts, targets.expression);
    return open_scroll(node, *family.contexts, std::move(context), std::move(targets),
                       std::move(search), begin);
}

awaitable<Response> search(std::shared_ptr<Family> family, Request& request) {
    const auto begin = Clock::now();
    std::string text = co_await read_text(request);
    const SearchBody body(std::move(text));
    std::vector<EmbeddingWanted> wanted = embeddings_wanted(body.root());
    co_await embed(family->node, wanted);
    std::string out = co_await blocking(family->node, [&] {
        return search_text(*family, request, request.part("index"), request.query, body, wanted,
                           begin);
    });
    co_return Response::json(std::move(out));
}

awaitable<Response> count(std::shared_ptr<Family> family, Request& request) {
    std::string text = co_await read_text(request);
    const SearchBody body(std::move(text));
    std::vector<EmbeddingWanted> wanted = embeddings_wanted(body.root());
    co_await embed(family->node, wanted);
    std::string out = co_await blocking(family->node, [&] {
        const std::int64_t now = now_millis(family->node);
        io::DocumentSearch search;
        search.terminate_after = terminate_after_parameter(request.query).value_or(0);
        if (request.query.has("min_score"))
            search.min_score = score_parameter(request.query, "min_score");
        search.query =
            parse_query_only(body, request.query, wanted, now, terms_loader(family->node, request));
        SearchTargets targets = open_targets(family->node, request, request.part("index"),
                                             expand_options(request, request.query),
                                             partial_allowed(request.query), now);
        check_limits(family->node, targets.parts, *search.query);
        return run_count(family->node, std::move(targets), std::move(search));
    });
    co_return Response::json(std::move(out));
}

// ---- Several searches

struct OneSearch {
    std::string index;
    Parameters parameters;
    std::string body;
};

std::string joined_texts(const document::Value& value) {
    if (value.is_string()) return std::string(value.as_string());
    std::string all;
    if (value.is_array()) {
        for (const document::Value& element : value.as_array()) {
            if (element.is_string())
                all += (all.empty() ? "" : ",") + std::string(element.as_string());
        }
    }
    return all;
}

OneSearch read_header(const Request& request, std::string_view line) {
    OneSearch one;
    one.index = request.part("index");
    for (const char* name :
         {"rest_total_hits_as_int", "typed_keys", "ignore_unavailable", "allow_no_indices",
          "allow_partial_search_results", "expand_wildcards"}) {
        if (const std::string* value = request.query.find(name)) one.parameters.set(name, *value);
    }
    const SearchBody header{std::string(line)};
    for (const document::Member& option : header.root()) {
        const std::string_view name = option.key();
        if (name == "index" || name == "indices") {
            one.index = joined_texts(option.value);
        } else if (name == "ignore_unavailable" || name == "allow_no_indices" ||
                   name == "allow_partial_search_results") {
            one.parameters.set(std::string(name), json_text(option.value));
        } else if (name == "expand_wildcards") {
            one.parameters.set(std::string(name), joined_texts(option.value));
        } else if (name != "preference" && name != "search_type" && name != "routing" &&
                   name != "request_cache" && name != "ccs_minimize_roundtrips") {
            throw illegal_argument("key [" + std::string(name) +
                                   "] is not supported in the metadata section");
        }
    }
    return one;
}

std::vector<OneSearch> read_searches(const Request& request, std::string_view text) {
    std::vector<OneSearch> searches;
    while (!text.empty()) {
        const std::size_t header_end = std::min(text.find('\n'), text.size());
        const std::string_view header = text.substr(0, header_end);
        text.remove_prefix(std::min(header_end + 1, text.size()));
        if (header.find_first_not_of(" \t\r") == std::string_view::npos && text.empty()) break;
        if (searches.size() == kMaxSearches)
            throw illegal_argument("more than 10000 searches in one request");
        OneSearch& one = searches.emplace_back(read_header(request, header));
        const std::size_t body_end = std::min(text.find('\n'), text.size());
        one.body = text.substr(0, body_end);
        text.remove_prefix(std::min(body_end + 1, text.size()));
    }
    if (searches.empty()) throw action_validation({"no requests added"});
    return searches;
}

std::string failed(const ApiError& error) {
    return "{\"error\":" + error.object(true) + ",\"status\":" + std::to_string(error.status()) +
           "}";
}

awaitable<std::string> one_of_several(std::shared_ptr<Family> family, Request& request,
                                      const OneSearch& one) {
    try {
        const auto begin = Clock::now();
        const SearchBody body(one.body);
        std::vector<EmbeddingWanted> wanted = embeddings_wanted(body.root());
        co_await embed(family->node, wanted);
        std::string out = co_await blocking(family->node, [&] {
            return search_text(*family, request, one.index, one.parameters, body, wanted, begin);
        });
        out.insert(out.size() - 1, ",\"status\":200");
        co_return out;
    } catch (const ApiError& error) {
        // What cannot be asked at all is an error of the whole request.
        if (error.type() == "action_request_validation_exception") throw;
        co_return failed(error);
    } catch (const Error& error) {
        co_return failed(illegal_argument(error.what()));
    }
}

awaitable<Response> multi_search(std::shared_ptr<Family> family, Request& request) {
    const auto begin = Clock::now();
    const std::string text = co_await request.body->read_all();
    const std::vector<OneSearch> searches = read_searches(request, text);
    std::string responses;
    MemoryLease memory(*family->node.budget);
    for (const OneSearch& one : searches) {
        std::string response = co_await one_of_several(family, request, one);
        // They are shown at the end, and pile up until then.
        if (!memory.grow_to(responses.size() + response.size()))
            response = failed(ApiError(429, "circuit_breaking_exception",
                                       "the memory for requests in flight is spent by the answers "
                                       "of this request's searches; send fewer at once"));
        if (!responses.empty()) responses += ",";
        responses += response;
    }
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count();
    co_return Response::json("{\"took\":" + std::to_string(took) + ",\"responses\":[" + responses +
                             "]}");
}

// ---- Scrolls

/// Ids of the path or the query string.
std::vector<std::string> ids_of(const Request& request, std::string_view name) {
    std::vector<std::string> ids = split_list(request.part("id"));
    for (std::string& id : request.query.list(name))
        ids.push_back(std::move(id));
    return ids;
}

/// What a body names counts before what the address does.
std::vector<std::string> named_ids(const Request& request, const SearchBody& body,
                                   std::string_view name) {
    if (const document::Value* value = body.root().get(name))
        return split_list(joined_texts(*value));
    return ids_of(request, name);
}

awaitable<Response> scroll(std::shared_ptr<Family> family, Request& request) {
    const auto begin = Clock::now();
    std::string text = co_await read_text(request);
    const SearchBody body(std::move(text));
    std::vector<std::string> ids = named_ids(request, body, "scroll_id");
    if (ids.size() != 1) throw action_validation({"scrollId is missing"});
    std::optional<std::chrono::milliseconds> keep_alive;
    const document::Value* time = member(body.root(), "scroll");
    if (request.query.has("scroll"))
        keep_alive = request.query.time("scroll", std::chrono::milliseconds(0));
    if (time != nullptr) keep_alive = parse_time(joined_texts(*time));
    if (time != nullptr && !keep_alive)
        throw illegal_argument("failed to parse setting [scroll] as a time value");
    const bool as_number = request.query.flag("rest_total_hits_as_int", false);
    std::string out = co_await blocking(family->node, [&] {
        const auto context = family->contexts->find(ids.front(), keep_alive);
        authorize_context(family->node, request, *context);
        return next_page(family->node, *context, ids.front(), begin, as_number);
    });
    co_return Response::json(std::move(out));
}

/// All of them are somebody else's too. One that is not there any more is nobody's.
void authorize_closing(Family& family, const Request& request,
                       const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
        if (id == "_all") {
            authorize_all_indices(request);
        } else if (const auto context = family.contexts->peek(id)) {
            authorize_context(family.node, request, *context);
        }
    }
}

std::size_t remove_contexts(SearchContexts& contexts, const std::vector<std::string>& ids,
                            bool scrolls) {
    std::size_t removed = 0;
    for (const std::string& id : ids)
        removed += id == "_all" ? contexts.remove_all(scrolls) : contexts.remove(id);
    return removed;
}

awaitable<Response> remove_named(std::shared_ptr<Family> family, Request& request,
                                 std::string_view name, bool scrolls) {
    std::string text = co_await read_text(request);
    const SearchBody body(std::move(text));
    std::vector<std::string> ids = named_ids(request, body, name);
    if (ids.empty())
        throw action_validation({scrolls ? "no scroll ids specified" : "[id] is required"});
    std::size_t removed = 0;
    co_await blocking(family->node, [&]() -> std::string {
        authorize_closing(*family, request, ids);
        removed = remove_contexts(*family->contexts, ids, scrolls);
        return {};
    });
    co_return Response::json("{\"succeeded\":true,\"num_freed\":" + std::to_string(removed) + "}",
                             removed > 0 ? 200 : 404);
}

awaitable<Response> delete_scroll(std::shared_ptr<Family> family, Request& request) {
    return remove_named(std::move(family), request, "scroll_id", true);
}

// ---- Points in time

awaitable<std::string> open_point(std::shared_ptr<Family> family, Request& request,
                                  std::size_t& parts) {
    if (!request.query.has("keep_alive")) throw action_validation({"[keep_alive] is required"});
    const auto keep_alive = request.query.time("keep_alive", std::chrono::milliseconds(0));
    co_await request.body->read_all();
    co_return co_await blocking(family->node, [&] {
        const ExpandOptions options = expand_options(request, request.query);
        const bool partial = request.query.flag("allow_partial_search_results",
                                                request.query.flag("allow_partial_pit_creation"));
        const SearchTargets targets = open_targets(family->node, request, request.part("index"),
                                                   options, partial, now_millis(family->node));
        auto context = std::make_shared<SearchContext>(family->node.indices, targets.parts,
                                                       targets.expression);
        parts = context->parts.size();
        return family->contexts->add(std::move(context), keep_alive);
    });
}

awaitable<Response> open_pit(std::shared_ptr<Family> family, Request& request) {
    std::size_t parts = 0;
    const std::string id = co_await open_point(family, request, parts);
    co_return Response::json("{\"id\":\"" + id + "\",\"_shards\":" + shards_json(parts) + "}");
}

awaitable<Response> open_opensearch_pit(std::shared_ptr<Family> family, Request& request) {
    std::size_t parts = 0;
    const std::string id = co_await open_point(family, request, parts);
    co_return Response::json("{\"pit_id\":\"" + id + "\",\"_shards\":" + shards_json(parts) +
                             ",\"creation_time\":" + std::to_string(now_millis(family->node)) +
                             "}");
}

awaitable<Response> close_pit(std::shared_ptr<Family> family, Request& request) {
    return remove_named(std::move(family), request, "id", false);
}

awaitable<Response> close_opensearch_pit(std::shared_ptr<Family> family, Request& request) {
    std::string text = co_await read_text(request);
    const SearchBody body(std::move(text));
    std::vector<std::string> ids = named_ids(request, body, "pit_id");
    if (request.path.ends_with("/_all")) ids = {"_all"};
    std::string out;
    co_await blocking(family->node, [&]() -> std::string {
        authorize_closing(*family, request, ids);
        JsonWriter json(out);
        json.object([&] {
            json.member_array("pits", [&] {
                for (const std::string& id : ids) {
                    const bool removed = remove_contexts(*family->contexts, {id}, false) > 0;
                    json.object([&] {
                        json.member("successful", removed || id == "_all");
                        json.member("pit_id", id);
                    });
                }
            });
        });
        return {};
    });
    co_return Response::json(std::move(out));
}

using Method = awaitable<Response> (*)(std::shared_ptr<Family>, Request&);

const std::vector<std::string> kSearchParameters{"allow_no_indices",
                                                 "allow_partial_search_results",
                                                 "analyze_wildcard",
                                                 "batched_reduce_size",
                                                 "ccs_minimize_roundtrips",
                                                 "default_operator",
                                                 "docvalue_fields",
                                                 "df",
                                                 "expand_wildcards",
                                                 "from",
                                                 "ignore_throttled",
                                                 "ignore_unavailable",
                                                 "include_named_queries_score",
                                                 "lenient",
                                                 "max_concurrent_searches",
                                                 "max_concurrent_shard_requests",
                                                 "pre_filter_shard_size",
                                                 "preference",
                                                 "q",
                                                 "request_cache",
                                                 "rest_total_hits_as_int",
                                                 "routing",
                                                 "scroll",
                                                 "search_type",
                                                 "seq_no_primary_term",
                                                 "size",
                                                 "sort",
                                                 "_source",
                                                 "_source_excludes",
                                                 "_source_exclude_vectors",
                                                 "_source_includes",
                                                 "stats",
                                                 "stored_fields",
                                                 "terminate_after",
                                                 "timeout",
                                                 "track_scores",
                                                 "track_total_hits",
                                                 "typed_keys",
                                                 "version"};

std::vector<std::string> count_parameters() {
    std::vector<std::string> names = kSearchParameters;
    names.emplace_back("min_score");
    return names;
}

}  // namespace

void add_search_routes(Router& router, Node& node) {
    auto family = std::make_shared<Family>(
        Family{node, std::make_shared<SearchContexts>(*node.runtime, node.search_settings)});
    const auto add = [&](std::string_view methods, std::string_view pattern, Method method,
                         std::vector<std::string> parameters) {
        router.add(
            methods, pattern,
            [family, method](Request& request) { return method(family, request); },
            std::move(parameters));
    };
    for (const std::string index : {"", "/{index}"}) {
        add("GET POST", index + "/_search", search, kSearchParameters);
        add("GET POST", index + "/_count", count, count_parameters());
        add("GET POST", index + "/_msearch", multi_search, kSearchParameters);
    }
    add("GET POST", "/_search/scroll", scroll, {"scroll", "scroll_id", "rest_total_hits_as_int"});
    add("GET POST", "/_search/scroll/{id}", scroll,
        {"scroll", "scroll_id", "rest_total_hits_as_int"});
    add("DELETE", "/_search/scroll", delete_scroll, {"scroll_id"});
    add("DELETE", "/_search/scroll/{id}", delete_scroll, {"scroll_id"});
    const std::vector<std::string> pit{"keep_alive",
                                       "preference",
                                       "routing",
                                       "expand_wildcards",
                                       "allow_no_indices",
                                       "ignore_unavailable",
                                       "allow_partial_pit_creation",
                                       "allow_partial_search_results"};
    add("POST", "/{index}/_pit", open_pit, pit);
    add("DELETE", "/_pit", close_pit, {});
    add("POST", "/{index}/_search/point_in_time", open_opensearch_pit, pit);
    add("DELETE", "/_search/point_in_time", close_opensearch_pit, {});
    add("DELETE", "/_search/point_in_time/_all", close_opensearch_pit, {});
}

}  // namespace penstock::serve
