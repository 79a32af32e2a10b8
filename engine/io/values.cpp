#include "engine/io/values.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

#include "engine/document/json.h"
#include "engine/document/utf8.h"

namespace penstock::io {
namespace {

using document::Kind;
using document::Value;

constexpr std::array<std::pair<std::string_view, ValueType>, 28> kTypes = {{
    {"text", ValueType::text},
    {"match_only_text", ValueType::text},
    {"search_as_you_type", ValueType::text},
    {"semantic_text", ValueType::text},
    {"keyword", ValueType::keyword},
    {"constant_keyword", ValueType::keyword},
    {"wildcard", ValueType::keyword},
    {"ip", ValueType::keyword},
    {"version", ValueType::keyword},
    {"long", ValueType::long_number},
    {"integer", ValueType::long_number},
    {"short", ValueType::long_number},
    {"byte", ValueType::long_number},
    {"unsigned_long", ValueType::long_number},
    {"token_count", ValueType::long_number},
    {"double", ValueType::float_number},
    {"float", ValueType::float_number},
    {"half_float", ValueType::float_number},
    {"scaled_float", ValueType::float_number},
    {"rank_feature", ValueType::float_number},
    {"boolean", ValueType::boolean},
    {"date", ValueType::date},
    {"date_nanos", ValueType::date},
    {"dense_vector", ValueType::vector},
    {"knn_vector", ValueType::vector},
    {"object", ValueType::object},
    {"nested", ValueType::object},
    {"flattened", ValueType::object},
}};

/// `text` as a number, whole or not.
std::optional<SortValue> to_number(std::string_view text) {
    const char* end = text.data() + text.size();
    std::int64_t whole = 0;
    auto result = std::from_chars(text.data(), end, whole);
    if (result.ec == std::errc() && result.ptr == end) return SortValue(whole);
    double number = 0;
    result = std::from_chars(text.data(), end, number);
    if (result.ec != std::errc() || result.ptr != end || !std::isfinite(number))
        return std::nullopt;
    return SortValue(number);
}

std::optional<SortValue> number_of(Value leaf) {
    switch (leaf.kind()) {
        case Kind::integer:
            return SortValue(leaf.as_integer());
        case Kind::floating:
        case Kind::number:
            return SortValue(leaf.to_double());
        case Kind::string:
            return to_number(leaf.as_string());
        default:
            return std::nullopt;
    }
}

std::optional<std::int64_t> millis_of(Value leaf) {
    if (leaf.is_string()) return parse_date(leaf.as_string());
    if (leaf.is_integer()) return leaf.as_integer();
    if (leaf.is_number() && std::abs(leaf.to_double()) < 1e15)
        return static_cast<std::int64_t>(leaf.to_double());
    return std::nullopt;
}

std::string text_of(Value leaf) {
    if (leaf.is_string()) return std::string(leaf.as_string());
    std::string text;
    document::write_json(leaf, text);
    return text;
}

std::strong_ordering order_doubles(double a, double b) {
    if (a < b) return std::strong_ordering::less;
    return a > b ? std::strong_ordering::greater : std::strong_ordering::equal;
}

double as_double(const SortValue& value) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
    return std::get<double>(value);
}

bool visit_leaf(Value value, std::string_view rest, const std::function<bool(Value)>& visit) {
    if (value.is_array()) {
        for (const Value& element : value.as_array()) {
            if (visit_leaf(element, rest, visit)) return true;
        }
        return false;
    }
    if (rest.empty()) return visit(value);
    if (!value.is_object()) return false;
    const document::Object& object = value.as_object();
    for (std::size_t dot = rest.find('.');; dot = rest.find('.', dot + 1)) {
        if (const Value* member = object.get(rest.substr(0, dot))) {
            const std::string_view after =
                dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
            if (visit_leaf(*member, after, visit)) return true;
        }
        if (dot == std::string_view::npos) return false;
    }
}

/// A character of a text. What is no UTF-8 is U+FFFD, byte by byte.
struct Character {
    UChar32 code;
    std::size_t size;
};

Character first_character(std::string_view text) {
    const auto length =
        static_cast<std::int32_t>(std::min<std::size_t>(text.size(), U8_MAX_LENGTH));
    std::int32_t size = 0;
    UChar32 code = 0;
    U8_NEXT_OR_FFFD(text.data(), size, length, code);
    return {code, static_cast<std::size_t>(size)};
}

void append_character(UChar32 code, std::string& out) {
    std::array<char, U8_MAX_LENGTH> bytes{};
    std::size_t size = 0;
    U8_APPEND_UNSAFE(bytes.data(), size, code);
    out.append(bytes.data(), size);
}

/// Words are of letters and digits, and of the marks on these.
bool is_in_word(UChar32 code, bool begins) {
    constexpr std::uint32_t kLetters = U_GC_L_MASK | U_GC_N_MASK | U_GC_CO_MASK;
    const std::uint32_t mask = U_GET_GC_MASK(code);
    return (mask & kLetters) != 0 || (!begins && (mask & U_GC_M_MASK) != 0);
}

template <class T>
void sort_unique(std::vector<T>& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

ValueType value_type_from_name(std::string_view name) {
    for (const auto& [known, type] : kTypes) {
        if (known == name) return type;
    }
    return ValueType::unknown;
}

bool visit_values(Value root, std::string_view path, const std::function<bool(Value)>& visit) {
    return visit_leaf(root, path, visit);
}

std::strong_ordering compare(const SortValue& a, const SortValue& b) {
    const auto rank = [](const SortValue& value) {
        return std::holds_alternative<std::string>(value)      ? 2
               : std::holds_alternative<std::monostate>(value) ? 0
                                                               : 1;
    };
    if (rank(a) != rank(b)) return rank(a) <=> rank(b);
    if (rank(a) == 0) return std::strong_ordering::equal;
    if (rank(a) == 2) return std::get<std::string>(a).compare(std::get<std::string>(b)) <=> 0;
    const auto* whole_a = std::get_if<std::int64_t>(&a);
    const auto* whole_b = std::get_if<std::int64_t>(&b);
    if (whole_a != nullptr && whole_b != nullptr) return *whole_a <=> *whole_b;
    return order_doubles(as_double(a), as_double(b));
}

SortValue sort_value(Value leaf, ValueType type) {
    if (leaf.is_null() || leaf.is_object() || leaf.is_array()) return {};
    switch (type) {
        case ValueType::date: {
            const auto millis = millis_of(leaf);
            return millis ? SortValue(*millis) : SortValue();
        }
        case ValueType::boolean:
            if (leaf.is_boolean()) return std::int64_t{leaf.as_boolean()};
            if (!leaf.is_string() || (leaf.as_string() != "true" && leaf.as_string() != "false"))
                return {};
            return std::int64_t{leaf.as_string() == "true"};
        case ValueType::long_number: {
            const auto number = number_of(leaf);
            if (!number) return {};
            const auto* fraction = std::get_if<double>(&*number);
            if (fraction == nullptr || std::abs(*fraction) >= 9e18) return *number;
            return static_cast<std::int64_t>(*fraction);
        }
        case ValueType::float_number: {
            const auto number = number_of(leaf);
            return number ? SortValue(as_double(*number)) : SortValue();
        }
        case ValueType::unknown:
            if (leaf.is_boolean()) return std::int64_t{leaf.as_boolean()};
            if (leaf.is_number()) return *number_of(leaf);
            return std::string(leaf.as_string());
        default:
            return text_of(leaf);
    }
}

namespace {

/// As Java's Math.round.
std::int64_t rounded(double number) {
    const double whole = std::floor(number + 0.5);
    if (whole >= 9223372036854775807.0) return std::numeric_limits<std::int64_t>::max();
    if (whole <= -9223372036854775808.0) return std::numeric_limits<std::int64_t>::min();
    return static_cast<std::int64_t>(whole);
}

/// The mean of the two in the middle, or the one; both are in order.
double middle(const std::vector<SortValue>& numbers) {
    const std::size_t half = numbers.size() / 2;
    const double upper = as_double(numbers[half]);
    return numbers.size() % 2 == 1 ? upper : (as_double(numbers[half - 1]) + upper) / 2;
}

SortValue combined_wholes(const std::vector<SortValue>& numbers, SortMode mode) {
    if (mode == SortMode::median) {
        if (numbers.size() % 2 == 1) return numbers[numbers.size() / 2];
        return rounded(middle(numbers));
    }
    std::uint64_t sum = 0;
    for (const SortValue& number : numbers)
        sum += static_cast<std::uint64_t>(std::get<std::int64_t>(number));
    const auto total = static_cast<std::int64_t>(sum);
    if (mode == SortMode::sum) return total;
    return rounded(static_cast<double>(total) / static_cast<double>(numbers.size()));
}

}  // namespace

SortValue combined_value(std::vector<SortValue> numbers, SortMode mode) {
    if (numbers.empty()) return {};
    std::sort(numbers.begin(), numbers.end(),
              [](const SortValue& a, const SortValue& b) { return std::is_lt(compare(a, b)); });
    if (mode == SortMode::least) return numbers.front();
    if (mode == SortMode::largest) return numbers.back();
    const bool whole = std::all_of(numbers.begin(), numbers.end(), [](const SortValue& number) {
        return std::holds_alternative<std::int64_t>(number);
    });
    if (whole) return combined_wholes(numbers, mode);
    if (mode == SortMode::median) return middle(numbers);
    double sum = 0;
    for (const SortValue& number : numbers)
        sum += as_double(number);
    return mode == SortMode::sum ? sum : sum / static_cast<double>(numbers.size());
}

SortValue sort_value(const SortValue& value, ValueType type) {
    if (type == ValueType::unknown) return value;
    if (const auto* text = std::get_if<std::string>(&value))
        return sort_value(Value::string(*text), type);
    if (const auto* number = std::get_if<double>(&value))
        return sort_value(Value::floating(*number), type);
    const auto* whole = std::get_if<std::int64_t>(&value);
    if (whole == nullptr) return {};
    // Truth values are sorted as 0 and 1.
    const bool is_truth = type == ValueType::boolean && (*whole == 0 || *whole == 1);
    return sort_value(is_truth ? Value::boolean(*whole == 1) : Value::integer(*whole), type);
}

Operand::Operand(Value value, const DateOptions& dates) {
    if (value.is_boolean()) boolean_ = value.as_boolean();
    if (value.is_number()) {
        number_ = number_of(value);
        begin_ = end_ = millis_of(value);
    }
    is_text_ = value.is_string();
    text_ = text_of(value);
    if (is_text_) read_text(dates);
}

Operand::Operand(std::string text, const DateOptions& dates) : text_(std::move(text)) {
    is_text_ = true;
    read_text(dates);
}

void Operand::read_text(const DateOptions& dates) {
    number_ = to_number(text_);
    if (text_ == "true" || text_ == "false") boolean_ = text_ == "true";
    DateOptions options = dates;
    options.edge = DateEdge::begin;
    begin_ = parse_date_math(text_, options);
    options.edge = DateEdge::end;
    end_ = parse_date_math(text_, options);
}

double Operand::number() const {
    return as_double(*number_);
}

std::optional<std::strong_ordering> Operand::order(Value leaf, ValueType type,
                                                   DateEdge edge) const {
    const auto dates = [&]() -> std::optional<std::strong_ordering> {
        const auto millis = millis_of(leaf);
        if (!millis || !begin_) return std::nullopt;
        return *millis <=> (edge == DateEdge::begin ? *begin_ : *end_);
    };
    const auto numbers = [&]() -> std::optional<std::strong_ordering> {
        const auto number = number_of(leaf);
        if (!number || !number_) return std::nullopt;
        return compare(*number, *number_);
    };
    if (leaf.is_null() || leaf.is_object()) return std::nullopt;
    if (type == ValueType::date) return dates();
    if (type == ValueType::long_number || type == ValueType::float_number) return numbers();
    if (type == ValueType::unknown && leaf.is_number()) return numbers();
    if (type == ValueType::unknown && leaf.is_string() && begin_ && !number_) {
        if (const auto order = dates()) return order;
    }
    return text_of(leaf).compare(text_) <=> 0;
}

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    while (!text.empty()) {
        const Character character = first_character(text);
        text.remove_prefix(character.size);
        if (is_in_word(character.code, word.empty())) {
            append_character(u_tolower(character.code), word);
        } else if (!word.empty()) {
            words.push_back(std::exchange(word, {}));
        }
    }
    if (!word.empty()) words.push_back(std::move(word));
    return words;
}

std::string lower_case(std::string_view text) {
    std::string lower;
    while (!text.empty()) {
        const Character character = first_character(text);
        text.remove_prefix(character.size);
        append_character(u_tolower(character.code), lower);
    }
    return lower;
}

OperandSet::OperandSet(const std::vector<Operand>& operands, ValueType type) : type_(type) {
    for (const Operand& operand : operands)
        add(operand);
    sort_unique(wholes_);
    sort_unique(fractions_);
    rounded_.assign(wholes_.begin(), wholes_.end());
    sort_unique(spans_);
    std::vector<std::pair<std::int64_t, std::int64_t>> disjoint;
    for (const auto& span : spans_) {
        if (!disjoint.empty() && span.first <= disjoint.back().second) {
            disjoint.back().second = std::max(disjoint.back().second, span.second);
        } else {
            disjoint.push_back(span);
        }
    }
    spans_ = std::move(disjoint);
}

void OperandSet::add(const Operand& operand) {
    const bool any = type_ == ValueType::unknown;
    if (any || type_ == ValueType::long_number || type_ == ValueType::float_number) {
        if (operand.number_) {
            if (const auto* whole = std::get_if<std::int64_t>(&*operand.number_)) {
                wholes_.push_back(*whole);
            } else {
                fractions_.push_back(as_double(*operand.number_));
            }
        }
        if (!any) return;
    }
    if ((any || type_ == ValueType::boolean) && operand.boolean_)
        (*operand.boolean_ ? has_true_ : has_false_) = true;
    if (type_ == ValueType::boolean) return;
    if (type_ == ValueType::date) {
        if (operand.begin_) spans_.emplace_back(*operand.begin_, *operand.end_);
        return;
    }
    texts_.insert(operand.text_);
}

bool OperandSet::has_number(const SortValue& number) const {
    if (const auto* whole = std::get_if<std::int64_t>(&number))
        return std::binary_search(wholes_.begin(), wholes_.end(), *whole) ||
               std::binary_search(fractions_.begin(), fractions_.end(), as_double(number));
    const double fraction = as_double(number);
    return std::binary_search(fractions_.begin(), fractions_.end(), fraction) ||
           std::binary_search(rounded_.begin(), rounded_.end(), fraction);
}

bool OperandSet::has_date(std::int64_t millis) const {
    auto next =
        std::upper_bound(spans_.begin(), spans_.end(), millis,
                         [](std::int64_t value, const auto& span) { return value < span.first; });
    return next != spans_.begin() && millis <= std::prev(next)->second;
}

bool OperandSet::contains(Value leaf) const {
    if (leaf.is_null() || leaf.is_object()) return false;
    const bool any = type_ == ValueType::unknown;
    if (type_ == ValueType::date) {
        const auto millis = millis_of(leaf);
        return millis && has_date(*millis);
    }
    if (type_ == ValueType::boolean || (any && leaf.is_boolean())) {
        const SortValue truth = sort_value(leaf, ValueType::boolean);
        const auto* value = std::get_if<std::int64_t>(&truth);
        return value != nullptr && (*value != 0 ? has_true_ : has_false_);
    }
    const bool numbers = type_ == ValueType::long_number || type_ == ValueType::float_number;
    if (numbers || (any && leaf.is_number())) {
        const auto number = number_of(leaf);
        return number && has_number(*number);
    }
    if (leaf.is_string()) return texts_.contains(leaf.as_string());
    return !any && texts_.contains(text_of(leaf));
}

bool matches_pattern(std::string_view pattern, std::string_view text, bool fold) {
    const auto lower = [&](char c) {
        return fold && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t retry = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            retry = t;
            continue;
        }
        const bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
        const std::size_t literal = escaped ? p + 1 : p;
        if (p < pattern.size() && !escaped && pattern[p] == '?') {
            t += std::max<std::size_t>(document::utf8_length(text.substr(t)), 1);
            ++p;
        } else if (literal < pattern.size() && lower(pattern[literal]) == lower(text[t])) {
            p = literal + 1;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*')
        ++p;
    return p == pattern.size();
}

}  // namespace penstock::io
