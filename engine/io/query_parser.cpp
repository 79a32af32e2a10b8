#include "engine/io/query_parser.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/document/json_writer.h"

namespace penstock::io {

using document::Member;
using document::Value;

namespace {

constexpr std::size_t kMaxDepth = 30;
constexpr std::size_t kMaxK = 10'000;

std::int64_t system_millis() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

std::string query_text_of(Value value) {
    if (value.is_string()) return std::string(value.as_string());
    std::string text;
    document::write_json(value, text);
    return text;
}

QueryParser::QueryParser(const QueryOptions& options) : options_(options) {
    dates_.now_millis = options.now_millis >= 0 ? options.now_millis : system_millis();
}

NodePtr QueryParser::node(Value value) {
    if (!value.is_object()) fail("[_na] query malformed, no start_object after query name", value);
    const Object& object = value.as_object();
    if (object.empty())
        throw QueryError("illegal_argument_exception", "query malformed, empty clause found");
    const Member& member = object[0];
    if (object.size() > 1)
        fail("[" + std::string(member.key()) +
                 "] malformed query, expected [END_OBJECT] but found [FIELD_NAME]",
             object[1]);
    if (++depth_ > kMaxDepth)
        throw QueryError("x_content_parse_exception",
                         "The nested depth of the query exceeds the maximum nested depth for "
                         "queries set in [indices.query.bool.max_nested_depth]");
    NodePtr made = by_name(member);
    --depth_;
    return made;
}

NodePtr QueryParser::knn(Value value) {
    if (!value.is_object()) fail("[knn] must be an object", value);
    std::optional<std::string> name;
    const Member plain = without_name({nullptr, 0, 0, value}, name);
    NodePtr made = knn_of(plain.value.as_object(), "knn", true);
    if (name) named_.push_back({std::move(*name), made});
    return made;
}

NodePtr QueryParser::by_name(const Member& member) {
    static constexpr std::array<std::pair<std::string_view, Method>, 24> methods = {{
        {"match_all", &QueryParser::match_all},
        {"match_none", &QueryParser::match_none},
        {"match", &QueryParser::match},
        {"match_phrase", &QueryParser::match_phrase},
        {"match_phrase_prefix", &QueryParser::match_phrase_prefix},
        {"match_bool_prefix", &QueryParser::match_bool_prefix},
        {"multi_match", &QueryParser::multi_match},
        {"query_string", &QueryParser::query_string},
        {"simple_query_string", &QueryParser::simple_query_string},
        {"term", &QueryParser::term},
        {"terms", &QueryParser::terms},
        {"range", &QueryParser::range},
        {"exists", &QueryParser::exists},
        {"ids", &QueryParser::ids},
        {"prefix", &QueryParser::prefix},
        {"wildcard", &QueryParser::wildcard},
        {"bool", &QueryParser::boolean},
        {"dis_max", &QueryParser::dis_max},
        {"constant_score", &QueryParser::constant_score},
        {"nested", &QueryParser::nested},
        {"parent_id", &QueryParser::parent_id},
        {"has_parent", &QueryParser::has_parent},
        {"has_child", &QueryParser::has_child},
        {"knn", &QueryParser::knn_member},
    }};
    const std::string_view name = member.key();
    // Before the name, as Elasticsearch looks.
    if (!member.value.is_object())
        fail("[" + std::string(name) + "] query malformed, no start_object after query name",
             member);
    for (const auto& [known, method] : methods) {
        if (known == name) return named(member, method);
    }
    constexpr std::array<std::string_view, 24> elsewhere = {
        "fuzzy",         "regexp",           "function_score", "script_score", "script",
        "boosting",      "more_like_this",   "percolate",      "geo_distance", "geo_bounding_box",
        "geo_shape",     "geo_polygon",      "span_term",      "span_near",    "span_or",
        "intervals",     "distance_feature", "rank_feature",   "terms_set",    "pinned",
        "sparse_vector", "text_expansion",   "semantic",       "neural"};
    if (std::find(elsewhere.begin(), elsewhere.end(), name) != elsewhere.end())
        fail("query [" + std::string(name) + "] is not supported by the embedded index", member);
    fail("unknown query [" + std::string(name) + "]", member);
}

NodePtr QueryParser::named(const Member& member, Method method) {
    const std::size_t before = named_.size();
    std::optional<std::string> name;
    NodePtr made = (this->*method)(without_name(member, name));
    // What is inside of these is no condition on the document that is found.
    constexpr std::array<std::string_view, 3> elsewhere = {"nested", "has_parent", "has_child"};
    if (std::find(elsewhere.begin(), elsewhere.end(), member.key()) != elsewhere.end())
        named_.resize(before);
    if (name) named_.push_back({std::move(*name), made});
    return made;
}

document::Member QueryParser::without_name(const Member& member, std::optional<std::string>& name) {
    if (!member.value.is_object()) return member;
    const Object& options = member.value.as_object();
    auto* rest = arena_.make<Object>();
    bool found = false;
    for (const Member& option : options) {
        if (option.key() == "_name") {
            name = query_text_of(option.value);
            found = true;
            continue;
        }
        Value value = option.value;
        const bool is_field = value.is_object() && value.as_object().find("_name") != Object::npos;
        if (is_field) value = without_name(option, name).value;
        found = found || is_field;
        rest->push_back(option.name(), value, arena_);
    }
    Member plain = member;
    if (found) plain.value = Value::object(rest);
    return plain;
}

void QueryParser::fail(const std::string& reason, std::string_view at) const {
    const std::string_view text = options_.text;
    const bool inside =
        !text.empty() && at.data() >= text.data() && at.data() <= text.data() + text.size();
    if (!inside) throw QueryError("parsing_exception", reason);
    const std::string_view before =
        text.substr(0, static_cast<std::size_t>(at.data() - text.data()));
    const std::size_t line_start = before.rfind('\n');
    throw QueryError("parsing_exception", reason,
                     1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')),
                     before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1));
}

void QueryParser::fail(const std::string& reason, const Member& at) const {
    fail(reason, at.key());
}

void QueryParser::fail(const std::string& reason, Value at) const {
    fail(reason, at.is_string() ? at.as_string() : std::string_view());
}

void QueryParser::unsupported(std::string_view query, const Member& option) const {
    fail("[" + std::string(query) + "] query does not support [" + std::string(option.key()) + "]",
         option);
}

double QueryParser::number(const Member& member) const {
    if (member.value.is_number()) return member.value.to_double();
    const Operand operand(member.value);
    if (!member.value.is_string() || !operand.is_number())
        fail("[" + std::string(member.key()) + "] must be a number", member);
    return operand.number();
}

double QueryParser::boost(const Member& member) const {
    const double value = number(member);
    if (!(value >= 0) || !std::isfinite(value))
        throw QueryError("illegal_argument_exception",
                         "negative [boost] are not allowed in [" + query_text_of(member.value) +
                             "], use a value between 0 and 1 to deboost");
    return value;
}

bool QueryParser::flag(const Member& member) const {
    if (member.value.is_boolean()) return member.value.as_boolean();
    const std::string text = query_text_of(member.value);
    if (text == "true" || text == "false") return text == "true";
    throw QueryError("illegal_argument_exception", "Failed to parse value [" + text +
                                                       "] as only [true] or [false] are "
                                                       "allowed.");
}

std::vector<NodePtr> QueryParser::nodes(Value value) {
    std::vector<NodePtr> made;
    if (value.is_array()) {
        for (const Value& element : value.as_array())
            made.push_back(node(element));
    } else if (!value.is_null()) {
        made.push_back(node(value));
    }
    return made;
}

const Member& QueryParser::field_of(const Member& query, double* boost_beside) {
    const Member* field = nullptr;
    for (const Member& member : query.value.as_object()) {
        if (boost_beside != nullptr && member.key() == "boost") {
            *boost_beside = boost(member);
        } else if (field != nullptr) {
            fail("[" + std::string(query.key()) +
                     "] query doesn't support multiple fields, found [" +
                     std::string(field->key()) + "] and [" + std::string(member.key()) + "]",
                 member);
        } else {
            field = &member;
        }
    }
    if (field == nullptr)
        throw QueryError("illegal_argument_exception", "field name is null or empty");
    return *field;
}

bool QueryParser::harmless(const Member& option) {
    const std::string_view name = option.key();
    const std::string value = query_text_of(option.value);
    return name == "max_expansions" || name == "prefix_length" || name == "fuzzy_transpositions" ||
           name == "fuzzy_rewrite" || name == "auto_generate_synonyms_phrase_query" ||
           name == "rewrite" || (name == "slop" && value == "0") ||
           (name == "fuzziness" && value == "0") || (name == "analyzer" && value == "standard") ||
           option.value.is_null();
}

std::vector<std::string> QueryParser::strings(Value value) {
    std::vector<std::string> all;
    if (!value.is_array()) return {query_text_of(value)};
    for (const Value& element : value.as_array())
        all.push_back(query_text_of(element));
    return all;
}

NodePtr QueryParser::match_all(const Member& query) {
    double factor = 1;
    for (const Member& option : query.value.as_object()) {
        if (option.key() != "boost") unsupported("match_all", option);
        factor = boost(option);
    }
    return make_all(factor);
}

NodePtr QueryParser::match_none(const Member& query) {
    for (const Member& option : query.value.as_object())
        if (option.key() != "boost") unsupported("match_none", option);
    return make_none();
}

NodePtr QueryParser::boolean(const Member& query) {
    BoolClauses clauses;
    for (const Member& option : query.value.as_object()) {
        const std::string_view name = option.key();
        if (name == "must") {
            clauses.must = nodes(option.value);
        } else if (name == "filter") {
            clauses.filter = nodes(option.value);
        } else if (name == "should") {
            clauses.should = nodes(option.value);
        } else if (name == "must_not" || name == "mustNot") {
            clauses.must_not = nodes(option.value);
        } else if (name == "minimum_should_match") {
            clauses.minimum_should_match =
                option.value.is_null() ? std::string() : query_text_of(option.value);
            if (!clauses.minimum_should_match.empty())
                required_matches(clauses.minimum_should_match, 1);
        } else if (name == "boost") {
            clauses.boost = boost(option);
        } else if (name != "adjust_pure_negative") {
            unsupported("bool", option);
        }
    }
    const bool empty = clauses.must.empty() && clauses.filter.empty() && clauses.should.empty() &&
                       clauses.must_not.empty();
    return empty ? make_all(clauses.boost) : make_bool(std::move(clauses));
}

NodePtr QueryParser::dis_max(const Member& query) {
    std::vector<NodePtr> children;
    double tie_breaker = 0;
    double factor = 1;
    for (const Member& option : query.value.as_object()) {
        if (option.key() == "queries") {
            children = nodes(option.value);
        } else if (option.key() == "tie_breaker") {
            tie_breaker = number(option);
        } else if (option.key() == "boost") {
            factor = boost(option);
        } else {
            unsupported("dis_max", option);
        }
    }
    if (children.empty())
        fail("[dis_max] requires 'queries' field with at least one clause", query);
    return make_dis_max(std::move(children), tie_breaker, factor);
}

NodePtr QueryParser::constant_score(const Member& query) {
    NodePtr filter;
    double factor = 1;
    for (const Member& option : query.value.as_object()) {
        if (option.key() == "filter") {
            filter = node(option.value);
        } else if (option.key() == "boost") {
            factor = boost(option);
        } else {
            unsupported("constant_score", option);
        }
    }
    if (!filter) fail("[constant_score] requires a 'filter' element", query);
    return make_constant_score(std::move(filter), factor);
}

NodePtr QueryParser::nested(const Member& query) {
    const Value* inner = nullptr;
    std::string path;
    ScoreMode mode = ScoreMode::average;
    double factor = 1;
    for (const Member& option : query.value.as_object()) {
        const std::string_view name = option.key();
        if (name == "query") {
            inner = &option.value;
        } else if (name == "path") {
            path = query_text_of(option.value);
        } else if (name == "score_mode") {
            mode = score_mode(option);
        } else if (name == "boost") {
            factor = boost(option);
        } else if (name != "ignore_unmapped") {
            unsupported("nested", option);
        }
    }
    if (path.empty()) fail("[nested] requires 'path' field", query);
    if (inner == nullptr || !inner->is_object() || inner->as_object().empty())
        fail("[nested] requires 'query' field", query);
    // The nearest of a document's vectors counts, whichever object it is of.
    const bool nearest = inner->as_object()[0].key() == "knn";
    const bool outer = std::exchange(in_nested_, in_nested_ || !nearest);
    NodePtr child = node(*inner);
    in_nested_ = outer;
    if (nearest) return child;
    return make_nested(std::move(path), std::move(child), mode, factor);
}

ScoreMode QueryParser::score_mode(const Member& option) const {
    const std::string name = query_text_of(option.value);
    if (name == "avg") return ScoreMode::average;
    if (name == "sum") return ScoreMode::sum;
    if (name == "max") return ScoreMode::largest;
    if (name == "min") return ScoreMode::least;
    if (name == "none") return ScoreMode::none;
    throw QueryError("illegal_argument_exception",
                     "No score mode for child query [" + name + "] found");
}

NodePtr QueryParser::knn_member(const Member& query) {
    if (in_nested_)
        fail(
            "[knn] must be the whole query of [nested]: the embedded index does not tell "
            "which object it found",
            query);
    return knn_of(query.value.as_object(), "knn", false);
}

/// The section of a search finds as many as the search shows. A query finds all of its candidates:
/// half as many again where it does not say so itself.
std::size_t QueryParser::default_k(std::size_t num_candidates, bool section) const {
    const std::size_t shown = std::max<std::size_t>(options_.size, 1);
    if (section) return std::min(shown, kMaxK);
    return std::min(num_candidates > 0 ? num_candidates : (3 * shown + 1) / 2, kMaxK);
}

NodePtr QueryParser::knn_of(const Object& options, std::string_view name, bool section) {
    KnnClause clause;
    std::optional<std::size_t> k;
    for (const Member& option : options) {
        const std::string_view key = option.key();
        if (key == "field") {
            clause.field = query_text_of(option.value);
        } else if (key == "query_vector") {
            clause.vector = vector(option);
        } else if (key == "query_vector_builder") {
            clause.vector = built_vector(option);
        } else if (key == "k") {
            k = count(option);
        } else if (key == "num_candidates") {
            clause.num_candidates = count(option);
        } else if (key == "similarity") {
            clause.similarity = number(option);
        } else if (key == "boost") {
            clause.boost = boost(option);
        } else if (key == "filter") {
            BoolClauses all;
            all.filter = nodes(option.value);
            if (!all.filter.empty()) clause.filter = make_bool(std::move(all));
        } else if (key != "rescore_vector" && !option.value.is_null()) {
            unsupported(name, option);
        }
    }
    if (clause.field.empty()) throw QueryError("illegal_argument_exception", "Required [field]");
    if (clause.vector.empty())
        throw QueryError("illegal_argument_exception",
                         "either [query_vector_builder] or [query_vector] must be provided");
    clause.k = k.value_or(default_k(clause.num_candidates, section));
    if (clause.k < 1) throw QueryError("illegal_argument_exception", "[k] must be greater than 0");
    if (clause.num_candidates > 0 && clause.num_candidates < clause.k)
        throw QueryError("illegal_argument_exception", "[num_candidates] cannot be less than [k]");
    if (clause.num_candidates > kMaxK || clause.k > kMaxK)
        throw QueryError("illegal_argument_exception", "[num_candidates] cannot exceed [10000]");
    return std::make_shared<KnnNode>(std::move(clause));
}

std::size_t QueryParser::count(const Member& option) const {
    const double value = number(option);
    return value < 0 ? 0 : static_cast<std::size_t>(std::min(value, 1e9));
}

std::vector<float> QueryParser::vector(const Member& option) const {
    if (!option.value.is_array()) fail("[query_vector] must be an array of numbers", option);
    std::vector<float> values;
    for (const Value& element : option.value.as_array()) {
        const double number =
            element.is_number() ? element.to_double() : std::numeric_limits<double>::infinity();
        if (!std::isfinite(static_cast<float>(number)))
            fail("[query_vector] must be an array of finite numbers", option);
        values.push_back(static_cast<float>(number));
    }
    return values;
}

std::vector<float> QueryParser::built_vector(const Member& option) const {
    const Value* embedding =
        option.value.is_object() ? option.value.as_object().get("text_embedding") : nullptr;
    if (embedding == nullptr || !embedding->is_object())
        fail("[query_vector_builder] supports [text_embedding]", option);
    const Value* model = embedding->as_object().get("model_id");
    const Value* text = embedding->as_object().get("model_text");
    if (model == nullptr || !model->is_string() || text == nullptr || !text->is_string())
        fail("[text_embedding] requires [model_id] and [model_text]", option);
    if (!options_.embed) fail("[query_vector_builder] is not supported in this place", option);
    return options_.embed(model->as_string(), text->as_string());
}

}  // namespace penstock::io
