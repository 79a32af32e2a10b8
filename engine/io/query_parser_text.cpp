#include "engine/io/query_parser.h"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::io {

namespace {

std::vector<FieldWeight> weighted_fields(const std::vector<std::string>& names) {
    std::vector<FieldWeight> fields;
    fields.reserve(names.size());
    for (const std::string& field : names)
        fields.push_back(weighted_field(field));
    return fields;
}

}  // namespace

bool QueryParser::all_words(const Member& member) const {
    const std::string text = query_text_of(member.value);
    if (text == "and" || text == "AND") return true;
    if (text == "or" || text == "OR") return false;
    throw QueryError("illegal_argument_exception",
                     "operator needs to be either AND or OR, "
                     "but not [" +
                         text + "]");
}

NodePtr QueryParser::match(const Member& query) {
    return text_query(query, TextMode::words);
}

NodePtr QueryParser::match_phrase(const Member& query) {
    return text_query(query, TextMode::phrase);
}

NodePtr QueryParser::match_phrase_prefix(const Member& query) {
    return text_query(query, TextMode::phrase_prefix);
}

NodePtr QueryParser::match_bool_prefix(const Member& query) {
    return text_query(query, TextMode::prefix);
}

NodePtr QueryParser::text_query(const Member& query, TextMode mode) {
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

void QueryParser::text_option(const Member& query, const Member& option, TextClause& clause) {
    const std::string_view name = option.key();
    if (name == "boost") {
        clause.boost = boost(option);
    } else if (name == "operator") {
        clause.all_words = all_words(option);
    } else if (name == "minimum_should_match") {
        clause.minimum_should_match = query_text_of(option.value);
        required_matches(clause.minimum_should_match, 1);
    } else if (name == "zero_terms_query") {
        clause.zero_terms_all = query_text_of(option.value) == "all";
    } else if (name == "lenient") {
        clause.lenient = flag(option);
    } else if (!harmless(option)) {
        unsupported(query.key(), option);
    }
}

NodePtr QueryParser::multi_match(const Member& query) {
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
            fields = weighted_fields(strings(option.value));
        } else if (name == "type") {
            type = query_text_of(option.value);
        } else if (name == "tie_breaker") {
            tie_breaker = number(option);
        } else {
            text_option(query, option, clause);
        }
    }
    if (!has_text) throw QueryError("parsing_exception", "No text specified for multi_match query");
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

bool QueryParser::syntax_option(const Member& option, SyntaxQuery& out) const {
    const std::string_view name = option.key();
    if (name == "query") {
        out.text = query_text_of(option.value);
    } else if (name == "fields") {
        out.options.fields = weighted_fields(strings(option.value));
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

NodePtr QueryParser::finish_syntax(const Member& query, const SyntaxQuery& syntax,
                                   NodePtr node) const {
    if (!syntax.text)
        fail("[" + std::string(query.key()) + "] must be provided with a [query]", query);
    return syntax.boost == 1 ? std::move(node) : make_dis_max({std::move(node)}, 0, syntax.boost);
}

NodePtr QueryParser::query_string(const Member& query) {
    SyntaxQuery syntax;
    syntax.options.dates = dates_;
    for (const Member& option : query.value.as_object()) {
        const std::string_view name = option.key();
        if (name == "default_field") {
            syntax.options.fields = {weighted_field(query_text_of(option.value))};
        } else if (name == "tie_breaker") {
            syntax.options.tie_breaker = number(option);
        } else if (!syntax_option(option, syntax)) {
            unsupported(query.key(), option);
        }
    }
    return finish_syntax(query, syntax, parse_lucene(syntax.text.value_or(""), syntax.options));
}

NodePtr QueryParser::simple_query_string(const Member& query) {
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

unsigned QueryParser::simple_flags(const Member& option) const {
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
        return mask < 0 ? simple_syntax::kAll : static_cast<unsigned>(mask) & simple_syntax::kAll;
    }
    const std::string text = query_text_of(option.value);
    unsigned operators = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('|'), rest.size());
        const auto* const found = std::find_if(known.begin(), known.end(), [&](const auto& one) {
            return one.first == rest.substr(0, end);
        });
        if (found == known.end())
            throw QueryError(
                "illegal_argument_exception",
                "Unknown simple_query_string flag [" + std::string(rest.substr(0, end)) + "]");
        operators |= found->second;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return operators;
}

}  // namespace penstock::io
