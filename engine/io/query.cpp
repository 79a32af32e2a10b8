// Query DSL to nodes.
#include "engine/io/query.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

using document::Array;
using document::Member;
using document::Object;
using document::Value;

constexpr std::size_t kMaxDepth = 30;
constexpr std::size_t kMaxTerms = 65'536;
constexpr std::size_t kMaxK = 10'000;

std::int64_t system_millis() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string text_of(Value value) {
    if (value.is_string()) return std::string(value.as_string());
    std::string text;
    document::write_json(value, text);
    return text;
}

class Parser {
  public:
    explicit Parser(const QueryOptions& options) : options_(options) {
        dates_.now_millis = options.now_millis >= 0 ? options.now_millis : system_millis();
    }

    NodePtr node(Value value) {
        if (!value.is_object())
            fail("[_na] query malformed, no start_object after query name", value);
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

    NodePtr knn(Value value) {
        if (!value.is_object()) fail("[knn] must be an object", value);
        return knn_of(value.as_object(), "knn");
    }

  private:
    using Method = NodePtr (Parser::*)(const Member&);

    NodePtr by_name(const Member& member) {
        static constexpr std::array<std::pair<std::string_view, Method>, 21> methods = {{
            {"match_all", &Parser::match_all},
            {"match_none", &Parser::match_none},
            {"match", &Parser::match},
            {"match_phrase", &Parser::match_phrase},
            {"match_phrase_prefix", &Parser::match_phrase_prefix},
            {"match_bool_prefix", &Parser::match_bool_prefix},
            {"multi_match", &Parser::multi_match},
            {"query_string", &Parser::query_string},
            {"simple_query_string", &Parser::simple_query_string},
            {"term", &Parser::term},
            {"terms", &Parser::terms},
            {"range", &Parser::range},
            {"exists", &Parser::exists},
            {"ids", &Parser::ids},
            {"prefix", &Parser::prefix},
            {"wildcard", &Parser::wildcard},
            {"bool", &Parser::boolean},
            {"dis_max", &Parser::dis_max},
            {"constant_score", &Parser::constant_score},
            {"nested", &Parser::nested},
            {"knn", &Parser::knn_member},
        }};
        const std::string_view name = member.key();
        // Before the name, as Elasticsearch looks.
        if (!member.value.is_object())
            fail("[" + std::string(name) + "] query malformed, no start_object after query name",
                 member);
        for (const auto& [known, method] : methods) {
            if (known == name) return (this->*method)(member);
        }
        constexpr std::array<std::string_view, 27> elsewhere = {
            "fuzzy",        "regexp",         "function_score", "script_score",  "script",
            "boosting",     "more_like_this", "percolate",      "geo_distance",  "geo_bounding_box",
            "geo_shape",    "geo_polygon",    "has_child",      "has_parent",    "parent_id",
            "span_term",    "span_near",      "span_or",        "intervals",     "distance_feature",
            "rank_feature", "terms_set",      "pinned",         "sparse_vector", "text_expansion",
            "semantic",     "neural"};
        if (std::find(elsewhere.begin(), elsewhere.end(), name) != elsewhere.end())
            fail("query [" + std::string(name) + "] is not supported by the embedded index",
                 member);
        fail("unknown query [" + std::string(name) + "]", member);
    }

    // ---- Errors

    [[noreturn]] void fail(const std::string& reason, std::string_view at) const {
        const std::string_view text = options_.text;
        const bool inside =
            !text.empty() && at.data() >= text.data() && at.data() <= text.data() + text.size();
        if (!inside) throw QueryError("parsing_exception", reason);
        const std::string_view before =
            text.substr(0, static_cast<std::size_t>(at.data() - text.data()));
        const std::size_t line_start = before.rfind('\n');
        throw QueryError(
            "parsing_exception", reason,
            1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')),
            before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1));
    }
    [[noreturn]] void fail(const std::string& reason, const Member& at) const {
        fail(reason, at.key());
    }
    [[noreturn]] void fail(const std::string& reason, Value at) const {
        fail(reason, at.is_string() ? at.as_string() : std::string_view());
    }
    [[noreturn]] void unsupported(std::string_view query, const Member& option) const {
        fail("[" + std::string(query) + "] query does not support [" + std::string(option.key()) +
                 "]",
             option);
    }

    // ---- Reading options

    double number(const Member& member) const {
        if (member.value.is_number()) return member.value.to_double();
        const Operand operand(member.value);
        if (!member.value.is_string() || !operand.is_number())
            fail("[" + std::string(member.key()) + "] must be a number", member);
        return operand.number();
    }
    double boost(const Member& member) const {
        const double value = number(member);
        if (!(value >= 0) || !std::isfinite(value))
            throw QueryError("illegal_argument_exception",
                             "negative [boost] are not allowed in [" + text_of(member.value) +
                                 "], use a value between 0 and 1 to deboost");
        return value;
    }
    bool flag(const Member& member) const {
        if (member.value.is_boolean()) return member.value.as_boolean();
        const std::string text = text_of(member.value);
        if (text == "true" || text == "false") return text == "true";
        throw QueryError("illegal_argument_exception", "Failed to parse value [" + text +
                                                           "] as only [true] or [false] are "
                                                           "allowed.");
    }
    bool all_words(const Member& member) const {
        const std::string text = text_of(member.value);
        if (text == "and" || text == "AND") return true;
        if (text == "or" || text == "OR") return false;
        throw QueryError("illegal_argument_exception",
                         "operator needs to be either AND or OR, "
                         "but not [" +
                             text + "]");
    }
    std::vector<NodePtr> nodes(Value value) {
        std::vector<NodePtr> made;
        if (value.is_array()) {
            for (const Value& element : value.as_array())
                made.push_back(node(element));
        } else if (!value.is_null()) {
            made.push_back(node(value));
        }
        return made;
    }
    /// Field and content of {"field": content}; `boost` may stand beside it.
    const Member& field_of(const Member& query, double* boost_beside = nullptr) {
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

    // ---- Queries

    NodePtr match_all(const Member& query) {
        double factor = 1;
        for (const Member& option : query.value.as_object()) {
            if (option.key() != "boost") unsupported("match_all", option);
            factor = boost(option);
        }
        return make_all(factor);
    }
    NodePtr match_none(const Member& query) {
        for (const Member& option : query.value.as_object())
            if (option.key() != "boost") unsupported("match_none", option);
        return make_none();
    }

    NodePtr match(const Member& query) { return text_query(query, TextMode::words); }
    NodePtr match_phrase(const Member& query) { return text_query(query, TextMode::phrase); }
    NodePtr match_phrase_prefix(const Member& query) {
        return text_query(query, TextMode::phrase_prefix);
    }
    NodePtr match_bool_prefix(const Member& query) { return text_query(query, TextMode::prefix); }

    NodePtr text_query(const Member& query, TextMode mode) {
        const Member& field = field_of(query);
        TextClause clause;
        clause.mode = mode;
        clause.field = field.key();
        if (field.value.is_array())
            fail("[" + std::string(query.key()) + "] unknown token [START_ARRAY] after [" +
                     clause.field + "]",
                 field);
        if (!field.value.is_object()) {
            clause.value = Operand(field.value, dates_);
            return make_text(std::move(clause));
        }
        bool has_text = false;
        for (const Member& option : field.value.as_object()) {
            if (option.key() == "query") {
                has_text = true;
                clause.value = Operand(option.value, dates_);
            } else {
                text_option(query, option, clause);
            }
        }
        if (!has_text)
            throw QueryError("illegal_argument_exception",
                             "[" + std::string(query.key()) + "] requires query value");
        return make_text(std::move(clause));
    }

    void text_option(const Member& query, const Member& option, TextClause& clause) {
        const std::string_view name = option.key();
        if (name == "boost") {
            clause.boost = boost(option);
        } else if (name == "operator") {
            clause.all_words = all_words(option);
        } else if (name == "minimum_should_match") {
            clause.minimum_should_match = text_of(option.value);
            required_matches(clause.minimum_should_match, 1);
        } else if (name == "zero_terms_query") {
            clause.zero_terms_all = text_of(option.value) == "all";
        } else if (name == "lenient") {
            clause.lenient = flag(option);
        } else if (!harmless(option)) {
            unsupported(query.key(), option);
        }
    }

    /// Options that change nothing here, or whose value is what happens anyway.
    static bool harmless(const Member& option) {
        const std::string_view name = option.key();
        const std::string value = text_of(option.value);
        return name == "max_expansions" || name == "prefix_length" ||
               name == "fuzzy_transpositions" || name == "fuzzy_rewrite" ||
               name == "auto_generate_synonyms_phrase_query" || name == "rewrite" ||
               (name == "slop" && value == "0") || (name == "fuzziness" && value == "0") ||
               (name == "analyzer" && value == "standard") || option.value.is_null();
    }

    NodePtr multi_match(const Member& query) {
        TextClause clause;
        std::vector<FieldWeight> fields;
        std::string type = "best_fields";
        double tie_breaker = 0;
        bool has_text = false;
        for (const Member& option : query.value.as_object()) {
            const std::string_view name = option.key();
            if (name == "query") {
                clause.value = Operand(option.value, dates_);
                has_text = true;
            } else if (name == "fields") {
                fields = weighted_fields(option.value);
            } else if (name == "type") {
                type = text_of(option.value);
            } else if (name == "tie_breaker") {
                tie_breaker = number(option);
            } else {
                text_option(query, option, clause);
            }
        }
        if (!has_text)
            throw QueryError("parsing_exception", "No text specified for multi_match query");
        if (type == "phrase") {
            clause.mode = TextMode::phrase;
        } else if (type == "phrase_prefix") {
            clause.mode = TextMode::phrase_prefix;
        } else if (type == "bool_prefix") {
            clause.mode = TextMode::prefix;
            tie_breaker = 1;
        } else if (type == "most_fields") {
            tie_breaker = 1;
        } else if (type != "best_fields") {
            fail("[multi_match] query does not support type [" + type + "]", query);
        }
        return make_text_over(std::move(clause), fields, tie_breaker);
    }

    static std::vector<FieldWeight> weighted_fields(Value value) {
        std::vector<FieldWeight> fields;
        for (const std::string& field : strings(value))
            fields.push_back(weighted_field(field));
        return fields;
    }

    static std::vector<std::string> strings(Value value) {
        std::vector<std::string> all;
        if (!value.is_array()) return {text_of(value)};
        for (const Value& element : value.as_array())
            all.push_back(text_of(element));
        return all;
    }

    /// What query_string and simple_query_string are asked for alike.
    struct SyntaxQuery {
        std::optional<std::string> text;
        SyntaxOptions options;
        double boost = 1;
    };

    /// False for an option that only one of them may know. Words of wildcards are always taken as
    /// the field has them, so that `analyze_wildcard` changes nothing.
    bool syntax_option(const Member& option, SyntaxQuery& out) const {
        const std::string_view name = option.key();
        if (name == "query") {
            out.text = text_of(option.value);
        } else if (name == "fields") {
            out.options.fields = weighted_fields(option.value);
        } else if (name == "default_operator") {
            out.options.all_words = all_words(option);
        } else if (name == "lenient") {
            out.options.lenient = flag(option);
        } else if (name == "boost") {
            out.boost = boost(option);
        } else {
            return name == "analyze_wildcard" || harmless(option);
        }
        return true;
    }

    NodePtr finish_syntax(const Member& query, const SyntaxQuery& syntax, NodePtr node) const {
        if (!syntax.text)
            fail("[" + std::string(query.key()) + "] must be provided with a [query]", query);
        return syntax.boost == 1 ? std::move(node)
                                 : make_dis_max({std::move(node)}, 0, syntax.boost);
    }

    NodePtr query_string(const Member& query) {
        SyntaxQuery syntax;
        syntax.options.dates = dates_;
        for (const Member& option : query.value.as_object()) {
            const std::string_view name = option.key();
            if (name == "default_field") {
                syntax.options.fields = {weighted_field(text_of(option.value))};
            } else if (name == "tie_breaker") {
                syntax.options.tie_breaker = number(option);
            } else if (!syntax_option(option, syntax)) {
                unsupported(query.key(), option);
            }
        }
        return finish_syntax(query, syntax, parse_lucene(syntax.text.value_or(""), syntax.options));
    }

    NodePtr simple_query_string(const Member& query) {
        SyntaxQuery syntax;
        syntax.options.dates = dates_;
        // Whatever somebody types into a search box is no error.
        syntax.options.lenient = true;
        unsigned operators = simple_syntax::kAll;
        for (const Member& option : query.value.as_object()) {
            if (option.key() == "flags") {
                operators = simple_flags(option);
            } else if (!syntax_option(option, syntax)) {
                unsupported(query.key(), option);
            }
        }
        return finish_syntax(query, syntax,
                             parse_simple(syntax.text.value_or(""), syntax.options, operators));
    }

    /// "OR|AND|PREFIX", or the mask itself.
    unsigned simple_flags(const Member& option) const {
        constexpr std::array<std::pair<std::string_view, unsigned>, 13> known = {
            {{"ALL", simple_syntax::kAll},
             {"NONE", 0},
             {"AND", simple_syntax::kAnd},
             {"NOT", simple_syntax::kNot},
             {"OR", simple_syntax::kOr},
             {"PREFIX", simple_syntax::kPrefix},
             {"PHRASE", simple_syntax::kPhrase},
             {"PRECEDENCE", simple_syntax::kPrecedence},
             {"ESCAPE", simple_syntax::kEscape},
             {"WHITESPACE", simple_syntax::kWhitespace},
             {"FUZZY", simple_syntax::kFuzzy},
             {"NEAR", simple_syntax::kNear},
             {"SLOP", simple_syntax::kNear}}};
        if (option.value.is_integer()) {
            const std::int64_t mask = option.value.as_integer();
            return mask < 0 ? simple_syntax::kAll
                            : static_cast<unsigned>(mask) & simple_syntax::kAll;
        }
        const std::string text = text_of(option.value);
        unsigned operators = 0;
        std::string_view rest = text;
        while (!rest.empty()) {
            const std::size_t end = std::min(rest.find('|'), rest.size());
            const auto* const found =
                std::find_if(known.begin(), known.end(),
                             [&](const auto& one) { return one.first == rest.substr(0, end); });
            if (found == known.end())
                throw QueryError(
                    "illegal_argument_exception",
                    "Unknown simple_query_string flag [" + std::string(rest.substr(0, end)) + "]");
            operators |= found->second;
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return operators;
    }

    NodePtr term(const Member& query) {
        const Member& field = field_of(query);
        Value value = field.value;
        double factor = 1;
        bool fold = false;
        if (value.is_array()) fail("[term] query does not support array of values", field);
        if (value.is_object()) {
            const Object& options = value.as_object();
            value = Value();
            for (const Member& option : options) {
                if (option.key() == "value") {
                    value = option.value;
                } else if (option.key() == "boost") {
                    factor = boost(option);
                } else if (option.key() == "case_insensitive") {
                    fold = flag(option);
                } else {
                    unsupported("term", option);
                }
            }
        }
        if (value.is_null()) throw QueryError("illegal_argument_exception", "value cannot be null");
        return make_terms(std::string(field.key()), {Operand(value, dates_)}, fold, factor);
    }

    NodePtr terms(const Member& query) {
        double factor = 1;
        const Member& field = field_of(query, &factor);
        if (field.value.is_object()) fail("[terms] query does not support terms lookup", field);
        if (!field.value.is_array()) fail("[terms] query requires an array of values", field);
        if (field.value.as_array().size() > kMaxTerms)
            throw QueryError("illegal_argument_exception",
                             "The number of terms [" +
                                 std::to_string(field.value.as_array().size()) +
                                 "] used in the Terms Query request has exceeded the allowed "
                                 "maximum of [65536]");
        std::vector<Operand> values;
        for (const Value& value : field.value.as_array()) {
            if (value.is_null())
                throw QueryError("illegal_argument_exception",
                                 "No value specified for terms query");
            values.emplace_back(value, dates_);
        }
        return make_terms(std::string(field.key()), std::move(values), false, factor);
    }

    NodePtr range(const Member& query) {
        const Member& field = field_of(query);
        if (!field.value.is_object())
            fail("[range] query malformed, no start_object after field name", field);
        RangeClause clause;
        clause.field = field.key();
        const DateOptions dates = range_dates(field.value.as_object());
        for (const Member& option : field.value.as_object()) {
            const std::string_view name = option.key();
            const bool lower = name == "gt" || name == "gte" || name == "from";
            const bool upper = name == "lt" || name == "lte" || name == "to";
            if (lower && !option.value.is_null()) {
                clause.lower = Operand(option.value, dates);
                clause.include_lower = name != "gt";
            } else if (upper && !option.value.is_null()) {
                clause.upper = Operand(option.value, dates);
                clause.include_upper = name != "lt";
            } else if (name == "include_lower") {
                clause.include_lower = flag(option);
            } else if (name == "include_upper") {
                clause.include_upper = flag(option);
            } else if (name == "boost") {
                clause.boost = boost(option);
            } else if (!lower && !upper && name != "time_zone" && name != "format") {
                unsupported("range", option);
            }
        }
        return make_range(std::move(clause));
    }

    DateOptions range_dates(const Object& options) const {
        DateOptions dates = dates_;
        for (const Member& option : options) {
            const std::string value = text_of(option.value);
            if (option.key() == "time_zone") {
                const auto offset = parse_zone_offset(value);
                if (!offset)
                    fail("[range] query supports time zones as offsets (+01:00), not [" + value +
                             "]",
                         option);
                dates.offset_millis = *offset;
            } else if (option.key() == "format") {
                constexpr std::array<std::string_view, 7> known = {"strict_date_optional_time",
                                                                   "date_optional_time",
                                                                   "epoch_millis",
                                                                   "yyyy-MM-dd",
                                                                   "strict_date",
                                                                   "date",
                                                                   "strict_date_time"};
                std::string_view rest = value;
                while (!rest.empty()) {
                    const std::size_t end = std::min(rest.find("||"), rest.size());
                    if (std::find(known.begin(), known.end(), rest.substr(0, end)) == known.end())
                        fail("[range] query does not support the format [" + value + "]", option);
                    rest.remove_prefix(std::min(end + 2, rest.size()));
                }
            }
        }
        return dates;
    }

    NodePtr exists(const Member& query) {
        std::string field;
        double factor = 1;
        for (const Member& option : query.value.as_object()) {
            if (option.key() == "field") {
                field = text_of(option.value);
            } else if (option.key() == "boost") {
                factor = boost(option);
            } else {
                unsupported("exists", option);
            }
        }
        if (field.empty()) fail("[exists] must be provided with a [field]", query);
        return make_exists(std::move(field), factor);
    }

    NodePtr ids(const Member& query) {
        std::vector<std::string> values;
        double factor = 1;
        for (const Member& option : query.value.as_object()) {
            if (option.key() == "values") {
                values = strings(option.value);
            } else if (option.key() == "boost") {
                factor = boost(option);
            } else if (option.key() != "type") {
                unsupported("ids", option);
            }
        }
        return make_ids(std::move(values), factor);
    }

    NodePtr prefix(const Member& query) { return pattern(query, Pattern::prefix); }
    NodePtr wildcard(const Member& query) { return pattern(query, Pattern::wildcard); }

    NodePtr pattern(const Member& query, Pattern kind) {
        const Member& field = field_of(query);
        std::string text;
        bool fold = false;
        double factor = 1;
        if (!field.value.is_object()) {
            text = text_of(field.value);
        } else {
            for (const Member& option : field.value.as_object()) {
                if (option.key() == "value" || option.key() == "wildcard") {
                    text = text_of(option.value);
                } else if (option.key() == "case_insensitive") {
                    fold = flag(option);
                } else if (option.key() == "boost") {
                    factor = boost(option);
                } else if (!harmless(option)) {
                    unsupported(query.key(), option);
                }
            }
        }
        return make_pattern(std::string(field.key()), std::move(text), kind, fold, factor);
    }

    NodePtr boolean(const Member& query) {
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
                    option.value.is_null() ? std::string() : text_of(option.value);
                if (!clauses.minimum_should_match.empty())
                    required_matches(clauses.minimum_should_match, 1);
            } else if (name == "boost") {
                clauses.boost = boost(option);
            } else if (name != "adjust_pure_negative") {
                unsupported("bool", option);
            }
        }
        const bool empty = clauses.must.empty() && clauses.filter.empty() &&
                           clauses.should.empty() && clauses.must_not.empty();
        return empty ? make_all(clauses.boost) : make_bool(std::move(clauses));
    }

    NodePtr dis_max(const Member& query) {
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

    NodePtr constant_score(const Member& query) {
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

    NodePtr nested(const Member& query) {
        const Value* inner = nullptr;
        std::string path;
        ScoreMode mode = ScoreMode::average;
        double factor = 1;
        for (const Member& option : query.value.as_object()) {
            const std::string_view name = option.key();
            if (name == "query") {
                inner = &option.value;
            } else if (name == "path") {
                path = text_of(option.value);
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

    ScoreMode score_mode(const Member& option) const {
        const std::string name = text_of(option.value);
        if (name == "avg") return ScoreMode::average;
        if (name == "sum") return ScoreMode::sum;
        if (name == "max") return ScoreMode::largest;
        if (name == "min") return ScoreMode::least;
        if (name == "none") return ScoreMode::none;
        throw QueryError("illegal_argument_exception",
                         "No score mode for child query [" + name + "] found");
    }

    NodePtr knn_member(const Member& query) {
        if (in_nested_)
            fail(
                "[knn] must be the whole query of [nested]: the embedded index does not tell "
                "which object it found",
                query);
        return knn_of(query.value.as_object(), "knn");
    }

    NodePtr knn_of(const Object& options, std::string_view name) {
        KnnClause clause;
        std::optional<std::size_t> k;
        for (const Member& option : options) {
            const std::string_view key = option.key();
            if (key == "field") {
                clause.field = text_of(option.value);
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
        if (clause.field.empty())
            throw QueryError("illegal_argument_exception", "Required [field]");
        if (clause.vector.empty())
            throw QueryError("illegal_argument_exception",
                             "either [query_vector_builder] or [query_vector] must be provided");
        clause.k = k.value_or(
            clause.num_candidates > 0 ? std::min<std::size_t>(clause.num_candidates, kMaxK) : 10);
        if (clause.k < 1)
            throw QueryError("illegal_argument_exception", "[k] must be greater than 0");
        if (clause.num_candidates > 0 && clause.num_candidates < clause.k)
            throw QueryError("illegal_argument_exception",
                             "[num_candidates] cannot be less than [k]");
        if (clause.num_candidates > kMaxK || clause.k > kMaxK)
            throw QueryError("illegal_argument_exception",
                             "[num_candidates] cannot exceed [10000]");
        return std::make_shared<KnnNode>(std::move(clause));
    }

    std::size_t count(const Member& option) const {
        const double value = number(option);
        return value < 0 ? 0 : static_cast<std::size_t>(std::min(value, 1e9));
    }

    std::vector<float> vector(const Member& option) const {
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

    std::vector<float> built_vector(const Member& option) const {
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

    const QueryOptions& options_;
    DateOptions dates_;
    std::size_t depth_ = 0;
    bool in_nested_ = false;  ///< conditions are met by objects, not by documents
};

}  // namespace

Query::Query(std::shared_ptr<const QueryNode> root) : root_(std::move(root)) {}
Query::~Query() = default;

std::shared_ptr<const Query> Query::parse(Value value, const QueryOptions& options) {
    return std::make_shared<Query>(Parser(options).node(value));
}

std::shared_ptr<const Query> Query::parse(std::string_view json, QueryOptions options) {
    document::Arena arena;
    Value value;
    document::JsonError error;
    document::JsonOptions borrowing;
    borrowing.borrow_text = true;
    if (!document::JsonParser().parse(json, arena, value, error, borrowing))
        throw QueryError("parsing_exception", error.message, error.line, error.column);
    options.text = json;
    return parse(value, options);
}

std::shared_ptr<const Query> Query::match_all() {
    return std::make_shared<Query>(make_all());
}

std::shared_ptr<const Query> Query::knn(Value value, const QueryOptions& options) {
    return std::make_shared<Query>(Parser(options).knn(value));
}

std::shared_ptr<const Query> Query::filtered(std::shared_ptr<const Query> query,
                                             std::vector<std::shared_ptr<const Query>> filters) {
    BoolClauses any;
    for (const auto& filter : filters)
        any.should.push_back(filter->share());
    BoolClauses both;
    both.must.push_back(query ? query->share() : make_all());
    both.filter.push_back(make_bool(std::move(any)));
    return std::make_shared<Query>(make_bool(std::move(both)));
}

}  // namespace penstock::io
