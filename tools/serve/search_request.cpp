#include "tools/serve/search_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "engine/document/json_writer.h"
#include "tools/serve/api_error.h"
#include "tools/serve/date_pattern.h"
#include "tools/serve/json_body.h"
#include "tools/serve/search_parameters.h"

namespace penstock::serve {

namespace {

using document::Member;
using document::Object;
using document::Value;
using io::SortKey;

constexpr std::size_t kResultWindow = 10'000;
constexpr int kMaxRetrieverDepth = 5;
constexpr std::size_t kMaxBoosts = 1000;  ///< each is a look at the names of all indices

std::string text_of(Value value) {
    return value.is_string() ? std::string(value.as_string()) : json_text(value);
}

/// Names, or objects with a `field`.
std::vector<std::string> texts_of(Value value) {
    std::vector<std::string> all;
    if (!value.is_array()) return {text_of(value)};
    for (const Value& element : value.as_array()) {
        const Value* field = element.is_object() ? element.as_object().get("field") : &element;
        if (field != nullptr) all.push_back(text_of(*field));
    }
    return all;
}

std::size_t count_of(const Member& option) {
    const std::string text = text_of(option.value);
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size())
        throw parsing_error("[" + std::string(option.key()) + "] must be a whole number");
    if (number < 0)
        throw illegal_argument("[" + std::string(option.key()) +
                               "] parameter cannot be negative, found [" + text + "]");
    return static_cast<std::size_t>(number);
}

bool flag_of(const Member& option) {
    const std::string text = text_of(option.value);
    if (text != "true" && text != "false")
        throw illegal_argument("Failed to parse value [" + text +
                               "] as only [true] or [false] are allowed.");
    return text == "true";
}

std::chrono::milliseconds time_of(const Member& option) {
    const std::string text = text_of(option.value);
    if (const auto time = parse_time(text)) return *time;
    throw illegal_argument("failed to parse setting [" + std::string(option.key()) +
                           "] with value [" + text + "] as a time value");
}

void find_embeddings(Value value, std::vector<EmbeddingWanted>& out, int depth) {
    if (depth > 100) return;  // no query is so deep; the parser refuses it
    if (value.is_array()) {
        for (const Value& element : value.as_array())
            find_embeddings(element, out, depth + 1);
    }
    if (!value.is_object()) return;
    for (const Member& member_of : value.as_object()) {
        find_embeddings(member_of.value, out, depth + 1);
        if (member_of.key() != "query_vector_builder" || !member_of.value.is_object()) continue;
        const Value* wanted = member_of.value.as_object().get("text_embedding");
        if (wanted == nullptr || !wanted->is_object()) continue;
        const Value* model = wanted->as_object().get("model_id");
        const Value* text = wanted->as_object().get("model_text");
        if (model != nullptr && model->is_string() && text != nullptr && text->is_string())
            out.push_back({std::string(model->as_string()), std::string(text->as_string()), {}});
    }
}

/// The formats of one request, each compiled once.
class Formats {
  public:
    std::shared_ptr<const ValueFormat> get(const std::string& text) {
        const auto [at, is_new] = known_.try_emplace(text);
        if (known_.size() > kMost)
            throw illegal_argument("a request may have at most [" + std::to_string(kMost) +
                                   "] different formats");
        if (is_new) at->second = ValueFormat::compile(text);
        return at->second;
    }

  private:
    static constexpr std::size_t kMost = 1000;
    std::map<std::string, std::shared_ptr<const ValueFormat>> known_;
};

ShownField shown_field(Value value, Formats& formats) {
    ShownField field;
    if (!value.is_object()) {
        field.pattern = text_of(value);
        return field;
    }
    for (const Member& option : value.as_object()) {
        if (option.key() == "field") {
            field.pattern = text_of(option.value);
        } else if (option.key() == "format") {
            field.format = formats.get(text_of(option.value));
        } else if (option.key() != "include_unmapped") {
            throw parsing_error("[fields] unknown field [" + std::string(option.key()) + "]");
        }
    }
    if (field.pattern.empty()) throw parsing_error("[fields] requires a [field]");
    return field;
}

/// A value to compare with what documents have; null is none.
io::SortValue scalar(Value value, std::string_view option) {
    if (value.is_array() || value.is_object())
        throw parsing_error(
            "Expected [VALUE_STRING] or [VALUE_NUMBER] or [VALUE_BOOLEAN] or [VALUE_NULL] but "
            "found [" +
            std::string(value.is_array() ? "START_ARRAY" : "START_OBJECT") + "] inside [" +
            std::string(option) + "].");
    return io::sort_value(value, io::ValueType::unknown);
}

// ---- Sorting

io::SortMode sort_mode(const std::string& name) {
    static constexpr std::array<std::pair<std::string_view, io::SortMode>, 5> known{
        {{"min", io::SortMode::least},
         {"max", io::SortMode::largest},
         {"sum", io::SortMode::sum},
         {"avg", io::SortMode::average},
         {"median", io::SortMode::median}}};
    for (const auto& [one, mode] : known) {
        if (one == name) return mode;
    }
    throw illegal_argument("Unknown SortMode [" + name + "]");
}

void read_sort_option(const Member& option, SortKey& key) {
    const std::string_view name = option.key();
    const std::string value = text_of(option.value);
    if (name == "order") {
        if (value != "asc" && value != "desc")
            throw illegal_argument("Unknown SortOrder [" + value + "]");
        key.descending = value == "desc";
    } else if (name == "missing") {
        if (value == "_first" || value == "_last") {
            key.missing_first = value == "_first";
        } else {
            key.missing = scalar(option.value, "missing");
        }
    } else if (name == "unmapped_type") {
        key.if_unmapped = io::value_type_from_name(value);
    } else if (name == "mode") {
        key.mode = sort_mode(value);
    } else if (name == "format") {
        key.format = value;
    } else if (name != "ignore_unmapped" && name != "numeric_type") {
        throw parsing_error("[field_sort] unknown or unsupported field [" + std::string(name) +
                            "]");
    }
}

SortKey sort_key(const std::string& field) {
    SortKey key;
    key.field = field;
    if (field == "_score") {
        key.descending = true;
    } else if (field == "_doc" || field == "_shard_doc" || field == "_seq_no") {
        key.kind = SortKey::Kind::document;
    } else if (field == "_script" || field == "_geo_distance") {
        throw illegal_argument("sort by [" + field + "] is not supported by the embedded index");
    } else {
        key.kind = SortKey::Kind::field;
    }
    return key;
}

}  // namespace

std::vector<SortKey> parse_sort(Value value) {
    std::vector<SortKey> keys;
    const auto one = [&](Value element) {
        if (!element.is_object()) {
            keys.push_back(sort_key(text_of(element)));
            return;
        }
        for (const Member& field : element.as_object()) {
            SortKey& key = keys.emplace_back(sort_key(std::string(field.key())));
            if (!field.value.is_object()) {
                const std::string order = text_of(field.value);
                if (order != "asc" && order != "desc")
                    throw illegal_argument("Unknown SortOrder [" + order + "]");
                key.descending = order == "desc";
                continue;
            }
            for (const Member& option : field.value.as_object())
                read_sort_option(option, key);
        }
    };
    if (value.is_array()) {
        for (const Value& element : value.as_array())
            one(element);
    } else {
        one(value);
    }
    return keys;
}

std::vector<SortKey> parse_sort_parameter(const std::string& text) {
    std::vector<SortKey> keys;
    for (const std::string& part : split_list(text)) {
        const std::size_t colon = part.rfind(':');
        SortKey& key = keys.emplace_back(sort_key(part.substr(0, colon)));
        if (colon == std::string::npos) continue;
        const std::string order = part.substr(colon + 1);
        if (order != "asc" && order != "desc")
            throw illegal_argument("Unknown SortOrder [" + order + "]");
        key.descending = order == "desc";
    }
    return keys;
}

namespace {

// ---- The body

class Parser {
  public:
    Parser(const SearchBody& body, const std::vector<EmbeddingWanted>& embeddings,
           std::int64_t now_millis, const io::TermsLoader& load_terms)
        : body_(body) {
        options_.load_terms = load_terms;
        options_.date_reader = [](std::string_view format) -> io::DateReader {
            return [pattern = DatePattern(format)](std::string_view date) {
                return pattern.iso(date);
            };
        };
        options_.text = body.text();
        options_.now_millis = now_millis;
        options_.embed = [&embeddings](std::string_view model, std::string_view text) {
            for (const EmbeddingWanted& one : embeddings) {
                if (one.model == model && one.text == text) return one.vector;
            }
            throw illegal_argument("no vector for the text of [query_vector_builder]");
        };
    }

    /// `size`: what the query string says of it, if anything.
    SearchRequest search(std::optional<std::size_t> size) {
        // Before the queries, of which some find as many as are asked for.
        if (const std::size_t at = body_.root().find("size"); at != Object::npos)
            request_.size = count_of(body_.root()[at]);
        options_.size = size.value_or(request_.size);
        // It is what the other members say more of.
        if (const std::size_t at = body_.root().find("retriever"); at != Object::npos) {
            has_retriever_ = true;
            request_.retriever = retriever(body_.root()[at].value, 0);
        }
        for (const Member& member_of : body_.root())
            option(member_of);
        if (has_retriever_ && !beside_.empty())
            throw action_validation({"cannot specify [retriever] and [" + beside_ + "]"});
        return std::move(request_);
    }

    const io::QueryOptions& options() const { return options_; }

  private:
    void option(const Member& member_of) {
        const std::string_view name = member_of.key();
        const Value value = member_of.value;
        io::DocumentSearch& search = request_.retriever.search;
        static constexpr std::array<std::string_view, 6> instead{
            "query", "knn", "sort", "search_after", "min_score", "rank"};
        if (std::find(instead.begin(), instead.end(), name) != instead.end()) beside_ = name;
        if (name == "query") {
            if (value.is_null()) return;
            search.query = io::Query::parse(value, options_);
            request_.query = search.query;
        } else if (name == "knn") {
            read_knn(value, search);
        } else if (name == "retriever") {
            return;
        } else if (name == "from") {
            request_.from = count_of(member_of);
        } else if (name == "size") {
            request_.size = count_of(member_of);
        } else if (name == "sort") {
            search.sort = parse_sort(value);
        } else if (name == "search_after") {
            read_after(value);
        } else if (name == "min_score") {
            if (!value.is_number()) throw parsing_error("[min_score] must be a number");
            search.min_score = value.to_double();
        } else if (name == "indices_boost") {
            read_boosts(value);
        } else if (name == "slice") {
            read_slice(value);
        } else if (name == "terminate_after") {
            search.terminate_after = count_of(member_of);
        } else if (name == "post_filter") {
            search.post_filter = io::Query::parse(value, options_);
        } else if (name == "track_total_hits") {
            request_.track_total_hits = total_to_track(text_of(value));
            request_.total_is_given = true;
        } else {
            presentation(member_of);
        }
    }

    void presentation(const Member& member_of) {
        const std::string_view name = member_of.key();
        const Value value = member_of.value;
        if (name == "_source") {
            read_source(value);
        } else if (name == "fields" || name == "docvalue_fields") {
            const std::size_t before = request_.fields.size();
            read_fields(value);
            if (name == "docvalue_fields")
                request_.docvalue_fields += request_.fields.size() - before;
        } else if (name == "stored_fields") {
            show_stored_fields(texts_of(value), request_);
        } else if (name == "highlight") {
            request_.highlight = parse_highlight(value, options_);
        } else if (name == "aggs" || name == "aggregations") {
            request_.aggregations = parse_aggregations(value);
        } else if (name == "version") {
            request_.with_version = flag_of(member_of);
        } else if (name == "seq_no_primary_term") {
            request_.with_seq_no = flag_of(member_of);
        } else if (name == "track_scores") {
            request_.track_scores = flag_of(member_of);
        } else if (name == "pit") {
            read_pit(value);
        } else if ((name == "explain" || name == "profile") && !flag_of(member_of)) {
            return;
        } else if (name == "timeout") {
            if (text_of(value) != "-1") request_.timeout = time_of(member_of);
        } else if (name != "stats" && !value.is_null()) {
            refuse(name);
        }
    }

    void read_fields(Value value) {
        if (!value.is_array()) {
            request_.fields.push_back(shown_field(value, formats_));
            return;
        }
        for (const Value& element : value.as_array())
            request_.fields.push_back(shown_field(element, formats_));
    }

    [[noreturn]] static void refuse(std::string_view name) {
        static constexpr std::array<std::string_view, 12> elsewhere{
            "collapse", "suggest", "rescore", "script_fields", "runtime_mappings", "indices_boost",
            "slice",    "explain", "profile", "ext",           "sub_searches",     "rank"};
        if (std::find(elsewhere.begin(), elsewhere.end(), name) != elsewhere.end())
            throw parsing_error("[" + std::string(name) +
                                "] is not supported by the embedded index");
        throw parsing_error("unknown key [" + std::string(name) + "] in the search body");
    }

    /// [{"name": 2}, ...]; an object of several is the same in an older form.
    void read_boosts(Value value) {
        const auto one = [this](Value names) {
            if (!names.is_object())
                throw parsing_error("[indices_boost] must be an object, or an array of objects");
            for (const Member& name : names.as_object()) {
                if (!name.value.is_number())
                    throw parsing_error("[indices_boost] of [" + std::string(name.key()) +
                                        "] must be a number");
                if (request_.indices_boost.size() == kMaxBoosts)
                    throw illegal_argument("[indices_boost] has more than [" +
                                           std::to_string(kMaxBoosts) + "] entries");
                request_.indices_boost.emplace_back(name.key(), name.value.to_double());
            }
        };
        if (!value.is_array()) return one(value);
        for (const Value& element : value.as_array())
            one(element);
    }

    /// A `field` to slice by changes nothing of what a slice is for.
    void read_slice(Value value) {
        if (!value.is_object()) throw parsing_error("[slice] must be an object");
        SearchSlice& slice = request_.slice.emplace(SearchSlice{0, 0});
        for (const Member& option_of : value.as_object()) {
            if (option_of.key() == "id") {
                slice.id = count_of(option_of);
            } else if (option_of.key() == "max") {
                slice.max = count_of(option_of);
            } else if (option_of.key() != "field") {
                throw parsing_error("[slice] unknown field [" + std::string(option_of.key()) + "]");
            }
        }
        if (slice.max <= 1) throw illegal_argument("max must be greater than 1");
        if (slice.id >= slice.max) throw illegal_argument("max must be greater than id");
    }

    void read_knn(Value value, io::DocumentSearch& search) {
        if (value.is_array()) {
            for (const Value& element : value.as_array())
                search.knn.push_back(io::Query::knn(element, options_));
        } else if (!value.is_null()) {
            search.knn.push_back(io::Query::knn(value, options_));
        }
    }

    void read_after(Value value) {
        if (!value.is_array()) throw parsing_error("[search_after] must be an array");
        std::vector<io::SortValue> after;
        for (const Value& element : value.as_array())
            after.push_back(scalar(element, "search_after"));
        request_.retriever.search.after = std::move(after);
    }

    void read_source(Value value) {
        if (value.is_object()) {
            if (const Value* flag = value.as_object().get("exclude_vectors"))
                request_.with_vectors = !(flag->is_boolean() && flag->as_boolean());
            if (value.as_object().size() == 1 &&
                value.as_object().get("exclude_vectors") != nullptr)
                return;
        }
        request_.source = SourceFilter::from(value);
        request_.with_source = request_.source.fetch;
    }

    void read_pit(Value value) {
        if (!value.is_object()) throw parsing_error("[pit] must be an object");
        for (const Member& option_of : value.as_object()) {
            if (option_of.key() == "id") {
                request_.pit = text_of(option_of.value);
            } else if (option_of.key() == "keep_alive") {
                request_.pit_keep_alive = time_of(option_of);
            } else {
                throw parsing_error("[pit] unknown field [" + std::string(option_of.key()) + "]");
            }
        }
        if (request_.pit.empty()) throw illegal_argument("[pit] requires an [id]");
    }

    Retriever retriever(Value value, int depth) {
        if (!value.is_object() || value.as_object().size() != 1 || depth > kMaxRetrieverDepth)
            throw parsing_error("[retriever] must be an object with one retriever");
        const Member& kind = value.as_object()[0];
        if (!kind.value.is_object())
            throw parsing_error("[" + std::string(kind.key()) + "] must be an object");
        if (kind.key() == "standard") return standard(kind.value.as_object());
        if (kind.key() == "knn") return knn(kind);
        if (kind.key() == "rrf") return rrf(kind.value.as_object(), depth);
        throw parsing_error("unknown or unsupported retriever [" + std::string(kind.key()) + "]");
    }

    Retriever standard(const Object& definition) {
        Retriever made;
        for (const Member& option_of : definition) {
            const std::string_view name = option_of.key();
            if (name == "query") {
                made.search.query = io::Query::parse(option_of.value, options_);
                if (!request_.query) request_.query = made.search.query;
            } else if (name == "filter") {
                filters(option_of.value, made);
            } else if (name == "sort") {
                made.search.sort = parse_sort(option_of.value);
            } else if (name == "min_score" && option_of.value.is_number()) {
                made.search.min_score = option_of.value.to_double();
            } else if (name != "_name") {
                throw parsing_error("[standard] retriever does not support [" + std::string(name) +
                                    "]");
            }
        }
        apply_filters(made);
        return made;
    }

    void filters(Value value, Retriever&) {
        if (value.is_array()) {
            for (const Value& element : value.as_array())
                filters_.push_back(io::Query::parse(element, options_));
        } else {
            filters_.push_back(io::Query::parse(value, options_));
        }
    }

    void apply_filters(Retriever& made) {
        for (auto& filter : std::exchange(filters_, {}))
            made.search.query = io::Query::filtered(made.search.query, {std::move(filter)});
    }

    Retriever knn(const Member& kind) {
        Retriever made;
        made.search.knn.push_back(io::Query::knn(kind.value, options_));
        return made;
    }

    Retriever rrf(const Object& definition, int depth) {
        Retriever made;
        for (const Member& option_of : definition) {
            const std::string_view name = option_of.key();
            if (name == "retrievers" && option_of.value.is_array()) {
                for (const Value& child : option_of.value.as_array())
                    made.children.push_back(retriever(child, depth + 1));
            } else if (name == "rank_constant") {
                made.rank_constant = count_of(option_of);
            } else if (name == "rank_window_size") {
                made.window = count_of(option_of);
            } else {
                throw parsing_error("[rrf] retriever does not support [" + std::string(name) + "]");
            }
        }
        if (made.children.size() < 2)
            throw illegal_argument("[rrf] needs at least two [retrievers]");
        if (made.rank_constant < 1)
            throw illegal_argument("[rank_constant] must be greater or equal to [1] for [rrf]");
        if (made.window > kResultWindow)
            throw illegal_argument("[rank_window_size] must be less than or equal to [10000]");
        return made;
    }

    const SearchBody& body_;
    io::QueryOptions options_;
    SearchRequest request_;
    Formats formats_;
    std::vector<std::shared_ptr<const io::Query>> filters_;
    std::string beside_;  ///< what a retriever would stand for
    bool has_retriever_ = false;
};

}  // namespace

SearchBody::SearchBody(std::string text) : text_(std::move(text)) {
    if (text_.find_first_not_of(" \t\r\n") == std::string::npos) text_ = "{}";
    document::JsonError error;
    document::JsonOptions options;
    options.borrow_text = true;
    if (!document::JsonParser().parse(text_, arena_, root_, error, options))
        throw ApiError(400, "parsing_exception", error.text());
    if (!root_.is_object()) throw parsing_error("Expected [START_OBJECT] but found something else");
}

std::vector<EmbeddingWanted> embeddings_wanted(const Object& body) {
    std::vector<EmbeddingWanted> wanted;
    find_embeddings(Value::object(&body), wanted, 0);
    return wanted;
}

SearchRequest parse_search(const SearchBody& body, const Parameters& parameters,
                           const std::vector<EmbeddingWanted>& embeddings, std::int64_t now_millis,
                           const io::TermsLoader& load_terms) {
    SearchRequest request =
        Parser(body, embeddings, now_millis, load_terms).search(size_parameter(parameters));
    read_search_parameters(parameters, request);
    if (auto query = query_parameter(parameters)) {
        request.retriever.search.query = query;
        request.query = query;
    }
    check_search(request);
    return request;
}

std::shared_ptr<const io::Query> parse_query_only(const SearchBody& body,
                                                  const Parameters& parameters,
                                                  const std::vector<EmbeddingWanted>& embeddings,
                                                  std::int64_t now_millis,
                                                  const io::TermsLoader& load_terms) {
    if (auto query = query_parameter(parameters)) return query;
    const Parser parser(body, embeddings, now_millis, load_terms);
    for (const Member& member_of : body.root()) {
        if (member_of.key() != "query")
            throw parsing_error("request does not support [" + std::string(member_of.key()) + "]");
    }
    const Value* query = member(body.root(), "query");
    return query == nullptr ? io::Query::match_all() : io::Query::parse(*query, parser.options());
}

void throw_api_error(const io::QueryError& error) {
    ApiError refused(400, error.type(), error.what());
    if (error.line() > 0) {
        refused.with("line", std::to_string(error.line()));
        refused.with("col", std::to_string(error.column()));
    }
    throw refused;
}

}  // namespace penstock::serve
