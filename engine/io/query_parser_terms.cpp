#include "engine/io/query_parser.h"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::io {

namespace {

constexpr std::size_t kMaxTerms = 65'536;

[[noreturn]] void refuse_terms(std::size_t count) {
    throw QueryError("illegal_argument_exception",
                     "The number of terms [" + std::to_string(count) +
                         "] used in the Terms Query request has exceeded the allowed "
                         "maximum of [65536]");
}

}  // namespace

NodePtr QueryParser::term(const Member& query) {
    const Member& field = field_of(query);
    Value value = field.value;
    double factor = 1;
    bool fold = false;
    if (value.is_array()) fail("[term] query does not support array of values", field);
    if (value.is_object()) {
        const Object& options = value.as_object();
        value = Value();
        for (const Member& option : options) {
            if (option.key() == "value" || option.key() == "term") {
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

NodePtr QueryParser::terms(const Member& query) {
    double factor = 1;
    const Member& field = field_of(query, &factor);
    if (!field.value.is_object() && !field.value.is_array())
        fail("[terms] query requires an array of values", field);
    std::vector<Operand> values =
        field.value.is_object() ? looked_up_terms(field) : listed_terms(field);
    if (values.size() > kMaxTerms) refuse_terms(values.size());
    most_terms_ = std::max(most_terms_, values.size());
    return make_terms(std::string(field.key()), std::move(values), false, factor);
}

std::vector<Operand> QueryParser::listed_terms(const Member& field) const {
    std::vector<Operand> values;
    for (const Value& value : field.value.as_array()) {
        if (value.is_null())
            throw QueryError("illegal_argument_exception", "No value specified for terms query");
        values.emplace_back(value, dates_);
    }
    return values;
}

std::vector<Operand> QueryParser::looked_up_terms(const Member& field) {
    TermsLookup lookup;
    for (const Member& option : field.value.as_object()) {
        const std::string_view name = option.key();
        if (name == "index") {
            lookup.index = query_text_of(option.value);
        } else if (name == "id") {
            lookup.id = query_text_of(option.value);
        } else if (name == "path") {
            lookup.path = query_text_of(option.value);
        } else if (name == "routing") {
            lookup.routing = query_text_of(option.value);
        } else {
            unsupported("terms", option);
        }
    }
    for (const auto& [name, value] :
         {std::pair("index", &lookup.index), {"id", &lookup.id}, {"path", &lookup.path}}) {
        if (value->empty())
            throw QueryError(
                "illegal_argument_exception",
                std::string("[terms] query lookup element requires specifying the ") + name + ".");
    }
    if (!options_.load_terms) fail("[terms] query does not support terms lookup here", field);
    std::vector<Operand> values;
    options_.load_terms(lookup, [&](Value value) {
        // Before they are kept: a document may have millions, and a query many lookups.
        if (++looked_up_ > kMaxTerms) refuse_terms(looked_up_);
        values.emplace_back(value, dates_);
    });
    return values;
}

NodePtr QueryParser::range(const Member& query) {
    const Member& field = field_of(query);
    if (!field.value.is_object())
        fail("[range] query malformed, no start_object after field name", field);
    RangeClause clause;
    clause.field = field.key();
    DateReader reader;
    const DateOptions dates = range_dates(field.value.as_object(), reader);
    for (const Member& option : field.value.as_object()) {
        const std::string_view name = option.key();
        const bool lower = name == "gt" || name == "gte" || name == "from";
        const bool upper = name == "lt" || name == "lte" || name == "to";
        if (lower && !option.value.is_null()) {
            clause.lower = bound(option, dates, reader);
            clause.include_lower = name != "gt";
        } else if (upper && !option.value.is_null()) {
            clause.upper = bound(option, dates, reader);
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

DateReader QueryParser::date_reader(const Member& option) const {
    const std::string format = query_text_of(option.value);
    if (!options_.date_reader)
        fail("[range] query does not support the format [" + format + "]", option);
    try {
        return options_.date_reader(format);
    } catch (const Error& problem) {
        fail(problem.what(), option);
    }
}

/// Of a date in the range's own format; date mathematics stays as it is.
Operand QueryParser::bound(const Member& option, const DateOptions& dates,
                           const DateReader& reader) const {
    if (!reader) return Operand(option.value, dates);
    const std::string text = query_text_of(option.value);
    if (text.starts_with("now")) return Operand(text, dates);
    const std::size_t math = std::min(text.find("||"), text.size());
    const auto date = reader(std::string_view(text).substr(0, math));
    if (!date)
        throw QueryError("parse_exception", "failed to parse date field [" + text +
                                                "] with the format of the range query");
    return Operand(*date + text.substr(math), dates);
}

DateOptions QueryParser::range_dates(const Object& options, DateReader& reader) const {
    DateOptions dates = dates_;
    for (const Member& option : options) {
        const std::string value = query_text_of(option.value);
        if (option.key() == "time_zone") {
            const auto offset = parse_zone_offset(value);
            if (!offset)
                fail("[range] query supports time zones as offsets (+01:00), not [" + value + "]",
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
            bool all_known = true;
            while (!rest.empty()) {
                const std::size_t end = std::min(rest.find("||"), rest.size());
                all_known = all_known && std::find(known.begin(), known.end(),
                                                   rest.substr(0, end)) != known.end();
                rest.remove_prefix(std::min(end + 2, rest.size()));
            }
            if (!all_known) reader = date_reader(option);
        }
    }
    return dates;
}

NodePtr QueryParser::exists(const Member& query) {
    std::string field;
    double factor = 1;
    for (const Member& option : query.value.as_object()) {
        if (option.key() == "field") {
            field = query_text_of(option.value);
        } else if (option.key() == "boost") {
            factor = boost(option);
        } else {
            unsupported("exists", option);
        }
    }
    if (field.empty()) fail("[exists] must be provided with a [field]", query);
    return make_exists(std::move(field), factor);
}

NodePtr QueryParser::ids(const Member& query) {
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

NodePtr QueryParser::prefix(const Member& query) {
    return pattern(query, Pattern::prefix);
}

NodePtr QueryParser::wildcard(const Member& query) {
    return pattern(query, Pattern::wildcard);
}

NodePtr QueryParser::pattern(const Member& query, Pattern kind) {
    const Member& field = field_of(query);
    std::string text;
    bool fold = false;
    double factor = 1;
    if (!field.value.is_object()) {
        text = query_text_of(field.value);
    } else {
        for (const Member& option : field.value.as_object()) {
            if (option.key() == "value" || option.key() == "wildcard") {
                text = query_text_of(option.value);
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

}  // namespace penstock::io
