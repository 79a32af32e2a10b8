#include "tools/serve/reindex_request.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "tools/serve/api_error.h"
#include "tools/serve/json_body.h"
#include "tools/serve/reindex_remote.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

namespace {

using document::Member;
using document::Object;
using document::Value;

/// Elasticsearch's limit of a search's window, which a batch is.
constexpr std::size_t kLargestBatch = 10'000;
constexpr std::size_t kMostSlices = 1024;
constexpr std::chrono::minutes kKeepAlive{5};

// ---- refusals

ApiError unknown_field(std::string_view parser, std::string_view name) {
    return {400, "x_content_parse_exception",
            "[" + std::string(parser) + "] unknown field [" + std::string(name) + "]"};
}

ApiError wrong_type(std::string_view parser, std::string_view name, Value value) {
    return {400, "x_content_parse_exception",
            "[" + std::string(parser) + "] " + std::string(name) +
                " doesn't support values of type: " +
                (value.is_object()    ? "START_OBJECT"
                 : value.is_array()   ? "START_ARRAY"
                 : value.is_string()  ? "VALUE_STRING"
                 : value.is_number()  ? "VALUE_NUMBER"
                 : value.is_boolean() ? "VALUE_BOOLEAN"
                                      : "VALUE_NULL")};
}

ApiError not_supported(std::string_view parser, std::string_view what, std::string_view instead) {
    return illegal_argument("[" + std::string(parser) + "] " + std::string(what) +
                            " is not supported by this server: " + std::string(instead));
}

ApiError not_a_number(std::string_view text) {
    return {400, "number_format_exception", "For input string: \"" + std::string(text) + "\""};
}

// ---- values

std::string text_of(std::string_view parser, const Member& member) {
    if (!member.value.is_string()) throw wrong_type(parser, member.key(), member.value);
    return std::string(member.value.as_string());
}

std::int64_t integer_of(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size()) throw not_a_number(text);
    return number;
}

/// A number, or one in a string, as Elasticsearch's lenient parsers take it.
std::int64_t integer_of(std::string_view parser, const Member& member) {
    if (member.value.is_integer()) return member.value.as_integer();
    if (member.value.is_string()) return integer_of(member.value.as_string());
    throw wrong_type(parser, member.key(), member.value);
}

const Object& object_of(std::string_view parser, const Member& member) {
    if (!member.value.is_object()) throw wrong_type(parser, member.key(), member.value);
    return member.value.as_object();
}

void add_names(std::string_view text, std::vector<std::string>& names) {
    for (std::string& name : split_list(text)) {
        const std::size_t begin = name.find_first_not_of(' ');
        if (begin == std::string::npos) continue;
        names.push_back(name.substr(begin, name.find_last_not_of(' ') - begin + 1));
    }
}

/// The reader of one request: fills `out` from body and query string.
class Reader {
  public:
    Reader(ReindexKind kind, ReindexRequest& out)
        : out_(out),
          name_(kind == ReindexKind::reindex           ? "reindex"
                : kind == ReindexKind::update_by_query ? "update-by-query"
                                                       : "delete-by-query") {
        out.kind = kind;
    }

    void body(const Object& root) {
        const bool copies = out_.kind == ReindexKind::reindex;
        for (const Member& member : root) {
            const std::string_view key = member.key();
            if (key == "conflicts") {
                conflicts(text_of(name_, member));
            } else if (key == "max_docs") {
                max_docs(integer_of(name_, member));
            } else if (key == "size" && copies) {
                out_.warnings.emplace_back(
                    "Deprecated field [size] used, expected [max_docs] instead");
                max_docs(integer_of(name_, member));
            } else if (key == "script" && out_.kind != ReindexKind::delete_by_query) {
                throw not_supported(name_, "[script]", "use [pipeline]");
            } else if (copies) {
                reindex_member(member);
            } else {
                by_query_member(member);
            }
        }
    }

    void parameters(const Parameters& query) {
        if (query.has("size")) search_size(query.integer("size", 0));
        if (query.has("max_docs")) max_docs(query.integer("max_docs", 0));
        if (query.has("slices")) slices(query.text("slices"));
        if (const auto rate = serve::requests_per_second(query)) out_.requests_per_second = *rate;
        out_.wait_for_completion = query.flag("wait_for_completion", true);
        out_.require_alias = query.flag("require_alias");
        out_.refresh = query.flag("refresh");
        query.time("timeout", {});
        out_.timeout = query.text("timeout", out_.timeout);
        scroll(query.time("scroll", kKeepAlive));
        shards(query.text("wait_for_active_shards", "1"));
        if (out_.kind != ReindexKind::reindex) by_query_parameters(query);
    }

    void finish() {
        std::vector<std::string> problems;
        if (out_.kind == ReindexKind::reindex) {
            if (out_.source.empty())
                problems.emplace_back(
                    "use _all if you really want to copy from all existing indexes");
            if (out_.dest.empty()) problems.emplace_back("index must be specified");
        }
        if (out_.kind == ReindexKind::delete_by_query && !has_query_)
            problems.emplace_back("query is missing");
        if (!out_.filter.fetch)
            problems.emplace_back("_source:false is not supported in this context");
        if (out_.remote && out_.slices.value_or(1) > 1) {
            problems.push_back("reindex from remote sources doesn't support slices > 1 but was [" +
                               std::to_string(*out_.slices) + "]");
        }
        if (!problems.empty()) throw action_validation(problems);
        if (out_.max_docs && out_.slices && *out_.max_docs < *out_.slices)
            throw illegal_argument("[max_docs] should be >= [slices]");
    }

  private:
    void reindex_member(const Member& member) {
        if (member.key() == "source") {
            source(object_of(name_, member));
        } else if (member.key() == "dest") {
            for (const Member& inner : object_of(name_, member))
                dest_member(inner);
        } else {
            throw unknown_field(name_, member.key());
        }
    }

    void source(const Object& members) {
        // First: a query for another cluster is not read here.
        const std::size_t remote = members.find("remote");
        if (remote != Object::npos && !members[remote].value.is_null())
            out_.remote = parse_remote(object_of("source", members[remote]));
        for (const Member& member : members)
            source_member(member);
    }

    void source_member(const Member& member) {
        const std::string_view key = member.key();
        if (key == "index") {
            indices(member);
        } else if (key == "query" && out_.remote) {
            object_of("source", member);
            out_.remote->query = json_text(member.value);
        } else if (key == "query") {
            query(member.value);
        } else if (key == "sort") {
            sort(member.value);
        } else if (key == "size") {
            size(integer_of("source", member));
        } else if (key == "_source") {
            out_.filter = SourceFilter::from(member.value);
        } else if (key != "remote") {
            refuse_search_member(member);
        }
    }

    /// What a search has and a reindex has not, or not here.
    static void refuse_search_member(const Member& member) {
        const std::string_view key = member.key();
        for (const char* name : {"from", "stored_fields", "fields"}) {
            if (key == name)
                throw action_validation({std::string(key) + " is not supported in this context"});
        }
        if (key == "slice") throw not_supported("source", "[slice]", "use [slices]");
        if (key == "runtime_mappings")
            throw not_supported("source", "[runtime_mappings]", "query fields that are stored");
        const Value value = member.value;
        throw parsing_error(std::string("Unknown key for a ") +
                            (value.is_object()    ? "START_OBJECT"
                             : value.is_array()   ? "START_ARRAY"
                             : value.is_string()  ? "VALUE_STRING"
                             : value.is_number()  ? "VALUE_NUMBER"
                             : value.is_boolean() ? "VALUE_BOOLEAN"
                                                  : "VALUE_NULL") +
                            " in [" + std::string(key) + "].");
    }

    void indices(const Member& member) {
        if (member.value.is_string()) return add_names(member.value.as_string(), out_.source);
        if (!member.value.is_array()) throw wrong_type("source", "index", member.value);
        for (const Value& name : member.value.as_array()) {
            if (!name.is_string()) throw wrong_type("source", "index", name);
            add_names(name.as_string(), out_.source);
        }
    }

    void dest_member(const Member& member) {
        const std::string_view key = member.key();
        if (key == "index") {
            out_.dest = text_of("dest", member);
        } else if (key == "pipeline") {
            out_.pipeline = text_of("dest", member);
        } else if (key == "op_type") {
            op_type(text_of("dest", member));
        } else if (key == "version_type") {
            version_type(text_of("dest", member));
        } else if (key == "routing") {
            routing(text_of("dest", member));
        } else {
            throw unknown_field("dest", key);
        }
    }

    /// The body is that of a search, of which much does not matter to who changes documents.
    void by_query_member(const Member& member) {
        const std::string_view key = member.key();
        if (key == "query") return query(member.value);
        if (key == "sort") return take_sort(parse_sort(member.value));
        if (key == "size") return search_size(integer_of(name_, member));
        static constexpr std::array<std::string_view, 5> without_effect{
            "_source", "version", "seq_no_primary_term", "track_total_hits", "timeout"};
        if (std::find(without_effect.begin(), without_effect.end(), key) == without_effect.end())
            refuse_search_member(member);
    }

    /// What `max_docs` was called until Elasticsearch 7.3.
    void search_size(std::int64_t number) {
        out_.warnings.emplace_back("Deprecated field [size] used, expected [max_docs] instead");
        max_docs(number);
    }

    void by_query_parameters(const Parameters& query) {
        if (query.has("conflicts")) conflicts(query.text("conflicts"));
        if (query.has("scroll_size")) size(query.integer("scroll_size", 0));
        if (query.has("pipeline")) out_.pipeline = query.text("pipeline");
        if (query.has("sort")) take_sort(parse_sort_parameter(query.text("sort")));
        if (query.has("routing"))
            throw not_supported(name_, "[routing] in the query string", "use [query]");
        // No index is closed here, and hidden ones are not written to: without the open ones a
        // wildcard finds nothing.
        const std::string kinds = query.text("expand_wildcards", "open");
        if (kinds.find("open") == std::string::npos && kinds.find("all") == std::string::npos)
            throw not_supported(name_, "[expand_wildcards] of [" + kinds + "]", "use [open]");
        out_.expand.ignore_unavailable = query.flag("ignore_unavailable");
        out_.expand.allow_no_indices = query.flag("allow_no_indices", true);
        if (const std::string* text = query.find("q")) {
            const std::string all = query.text("default_operator", "OR");
            out_.query = io::Query::from_text(*text, {.default_field = query.text("df"),
                                                      .all_words = all == "AND" || all == "and",
                                                      .lenient = query.flag("lenient")});
            has_query_ = true;
        }
    }

    void query(Value value) {
        out_.query = io::Query::parse(value);
        has_query_ = true;
    }

    void sort(Value value) {
        if (value.is_null() || (value.is_array() && value.as_array().empty())) return;
        if (out_.remote) {
            out_.remote->sort = json_text(value);  // the other side reads it
        } else {
            take_sort(parse_sort(value));
        }
        out_.warnings.emplace_back(
            "The sort option in reindex is deprecated. Instead consider using query filtering to "
            "find the desired subset of data.");
    }

    /// As they lie is the order in which they are read anyway.
    void take_sort(std::vector<io::SortKey> keys) {
        const bool as_they_lie = keys.size() == 1 &&
                                 keys.front().kind == io::SortKey::Kind::document &&
                                 !keys.front().descending;
        out_.sort = as_they_lie ? std::vector<io::SortKey>() : std::move(keys);
    }

    void conflicts(const std::string& text) {
        if (text != "abort" && text != "proceed") {
            throw illegal_argument("conflicts may only be \"proceed\" or \"abort\" but was [" +
                                   text + "]");
        }
        out_.conflicts = text == "proceed" ? job::Conflicts::proceed : job::Conflicts::abort;
    }

    void size(std::int64_t number) {
        if (number < 1)
            throw illegal_argument("[size] parameter must be positive, found [" +
                                   std::to_string(number) + "]");
        if (static_cast<std::size_t>(number) > kLargestBatch) {
            throw illegal_argument(
                "Batch size is too large, size must be less than or equal to: [" +
                std::to_string(kLargestBatch) + "] but was [" + std::to_string(number) + "]");
        }
        out_.size = static_cast<std::size_t>(number);
    }

    void max_docs(std::int64_t number) {
        if (number < 0 && number != -1) {
            throw illegal_argument("[max_docs] parameter cannot be negative, found [" +
                                   std::to_string(number) + "]");
        }
        const auto wanted = static_cast<std::uint64_t>(number);
        if (out_.max_docs && (number == -1 || *out_.max_docs != wanted)) {
            throw illegal_argument("[max_docs] set to two different values [" +
                                   std::to_string(*out_.max_docs) + "] and [" +
                                   std::to_string(number) + "]");
        }
        if (number != -1) out_.max_docs = wanted;
    }

    void slices(const std::string& text) {
        if (text == "auto") return out_.slices.reset();
        std::size_t number = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (problem != std::errc() || end != text.data() + text.size() || number == 0) {
            throw illegal_argument(
                "[slices] must be a positive integer or the string \"auto\", but was [" + text +
                "]");
        }
        if (number > kMostSlices) {
            throw illegal_argument("The number of slices [" + std::to_string(number) +
                                   "] is too large. It must be less than [" +
                                   std::to_string(kMostSlices) + "].");
        }
        out_.slices = number;
    }

    void op_type(const std::string& text) {
        if (text != "index" && text != "create")
            throw illegal_argument("opType must be 'create' or 'index', found: [" + text + "]");
        out_.op = text == "create" ? io::WriteOp::create : io::WriteOp::index;
    }

    void version_type(const std::string& text) {
        if (text == "internal") return;
        if (text == "external" || text == "external_gt") {
            out_.version_type = io::VersionType::external;
        } else if (text == "external_gte") {
            out_.version_type = io::VersionType::external_gte;
        } else {
            throw illegal_argument("No version type match [" + text + "]");
        }
    }

    void routing(const std::string& text) {
        if (text == "keep") return;
        if (text == "discard") {
            out_.routing = job::Routing::discard;
        } else if (text.starts_with('=')) {
            out_.routing = job::Routing::fixed;
            out_.routing_value = text.substr(1);
        } else {
            throw action_validation(
                {"routing must be unset, [keep], [discard] or [=<some new value>]"});
        }
    }

    /// A remote's alone: an index that is here does not run out of time.
    void scroll(std::chrono::milliseconds keep_alive) {
        if (!out_.remote) return;
        if (keep_alive.count() <= 0) throw illegal_argument("[scroll] must be greater than 0");
        out_.remote->keep_alive = keep_alive;
    }

    void shards(const std::string& text) {
        if (text == "all") return;
        out_.active_shards = integer_of(text);
        if (out_.active_shards < 0)
            throw illegal_argument("cannot parse ActiveShardCount[" + text + "]");
    }

    ReindexRequest& out_;
    std::string name_;
    bool has_query_ = false;
};

}  // namespace

std::string_view reindex_action(ReindexKind kind) {
    switch (kind) {
        case ReindexKind::update_by_query:
            return "indices:data/write/update/byquery";
        case ReindexKind::delete_by_query:
            return "indices:data/write/delete/byquery";
        default:
            return "indices:data/write/reindex";
    }
}

namespace {

std::string remote_text(const io::RemoteOptions& remote) {
    const io::RemoteAddress& address = remote.address;
    return (address.scheme == "http" ? "" : "scheme=" + address.scheme + " ") +
           "host=" + address.host + " port=" + std::to_string(address.port) +
           (address.path_prefix.empty() ? "" : " pathPrefix=" + address.path_prefix) +
           " query=" + (remote.query.empty() ? "{\"match_all\":{}}" : remote.query);
}

}  // namespace

std::string ReindexRequest::description() const {
    std::string names;
    for (const std::string& name : source)
        names += (names.empty() ? "" : ", ") + name;
    if (kind == ReindexKind::update_by_query) return "update-by-query [" + names + "]";
    if (kind == ReindexKind::delete_by_query) return "delete-by-query [" + names + "]";
    if (remote)
        return "reindex from [" + remote_text(*remote) + "][" + names + "] to [" + dest + "]";
    return "reindex from [" + names + "] to [" + dest + "]";
}

std::vector<std::string> reindex_parameters(ReindexKind kind) {
    std::vector<std::string> names{
        "max_docs", "refresh", "requests_per_second",    "scroll",
        "slices",   "timeout", "wait_for_active_shards", "wait_for_completion"};
    if (kind == ReindexKind::reindex) {
        names.emplace_back("require_alias");
        return names;
    }
    // Among them those of a search that do not matter to who changes documents.
    for (const char* name :
         {"allow_no_indices", "analyze_wildcard", "conflicts", "default_operator", "df",
          "expand_wildcards", "ignore_unavailable", "lenient", "preference", "q", "request_cache",
          "routing", "scroll_size", "search_timeout", "search_type", "size", "sort", "stats",
          "version"})
        names.emplace_back(name);
    if (kind == ReindexKind::update_by_query) names.emplace_back("pipeline");
    return names;
}

ReindexRequest parse_reindex(ReindexKind kind, const std::string& index, const Parameters& query,
                             const std::string& body) {
    ReindexRequest request;
    add_names(index, request.source);
    Reader reader(kind, request);
    JsonBody json;
    json.parse(body);
    if (json.empty() && kind == ReindexKind::reindex)
        throw ApiError(400, "parse_exception", "request body is required");
    try {
        reader.body(json.root());
        reader.parameters(query);
    } catch (const io::QueryError& problem) {
        throw ApiError(400, problem.type(), problem.what());
    }
    reader.finish();
    return request;
}

std::optional<double> requests_per_second(const Parameters& query) {
    const std::string* text = query.find("requests_per_second");
    if (text == nullptr) return std::nullopt;
    double rate = 0;
    const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), rate);
    const bool number = problem == std::errc() && end == text->data() + text->size();
    if (!number || !(rate == -1 || (rate > 0 && rate < 1e300))) {
        throw illegal_argument(
            "[requests_per_second] must be a float greater than 0. Use -1 to disable throttling.");
    }
    return rate;
}

}  // namespace penstock::serve
