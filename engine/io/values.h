// Values of documents as queries, sorting and aggregations compare them.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "engine/document/value.h"
#include "engine/io/date_math.h"

namespace penstock::io {

enum class ValueType {
    unknown,
    text,
    keyword,
    long_number,
    float_number,
    boolean,
    date,
    vector,
    object
};

/// "long", "keyword", ... of a mapping.
ValueType value_type_from_name(std::string_view name);

/// Calls `visit` for every leaf at a dotted path, through arrays, arrays of objects and names that
/// have dots themselves; stops when it answers true. Leaves are no arrays; objects are leaves only
/// when the path ends at them. True when a visit did.
bool visit_values(document::Value root, std::string_view path,
                  const std::function<bool(document::Value)>& visit);

/// A value to sort or group by; monostate is missing. Numbers go before texts, and are compared by
/// value.
using SortValue = std::variant<std::monostate, std::int64_t, double, std::string>;
std::strong_ordering compare(const SortValue& a, const SortValue& b);

/// What a leaf of this type is sorted and grouped by: dates as milliseconds, truth values as 0 and
/// 1, numbers as they are (also those written as text), all else as text. Missing when the leaf is
/// none of that type.
SortValue sort_value(document::Value leaf, ValueType type);

/// How several numbers become one.
enum class SortMode { least, largest, sum, average, median };
/// Of numbers alone; missing when there is none. Whole numbers give a whole one, as Java counts:
/// sums that are too large wrap around.
SortValue combined_value(std::vector<SortValue> numbers, SortMode mode);

/// A value from elsewhere (of a request) as one of that type; missing when it is none.
SortValue sort_value(const SortValue& value, ValueType type);

/// A value that a query compares with, prepared.
class Operand {
  public:
    Operand() = default;
    explicit Operand(document::Value value, const DateOptions& dates = {});
    explicit Operand(std::string text, const DateOptions& dates = {});

    const std::string& text() const { return text_; }
    bool is_number() const { return number_.has_value(); }
    double number() const;  ///< of one that is
    bool is_date() const { return begin_.has_value(); }
    bool is_boolean() const { return boolean_.has_value(); }
    /// How a leaf stands to this value; nothing when they cannot be compared. A date is compared
    /// with the begin or the end of what the operand names, as `edge` says.
    std::optional<std::strong_ordering> order(document::Value leaf, ValueType type,
                                              DateEdge edge) const;

  private:
    friend class OperandSet;
    void read_text(const DateOptions& dates);

    std::string text_;
    bool is_text_ = false;
    std::optional<SortValue> number_;
    std::optional<bool> boolean_;
    std::optional<std::int64_t> begin_;
    std::optional<std::int64_t> end_;
};

/// Many operands to compare with at once. Borrows them.
class OperandSet {
  public:
    OperandSet(const std::vector<Operand>& operands, ValueType type);
    /// The leaf has the value of one of the operands; a date lies in what one of them names.
    bool contains(document::Value leaf) const;

  private:
    void add(const Operand& operand);
    bool has_number(const SortValue& number) const;
    bool has_date(std::int64_t millis) const;

    ValueType type_;
    std::unordered_set<std::string_view> texts_;
    std::vector<std::int64_t> wholes_;                          ///< sorted
    std::vector<double> fractions_;                             ///< sorted
    std::vector<double> rounded_;                               ///< `wholes_` as doubles
    std::vector<std::pair<std::int64_t, std::int64_t>> spans_;  ///< of dates; sorted, disjoint
    bool has_true_ = false;
    bool has_false_ = false;
};

/// The words of a text as the full text has them, near enough: letters and digits, in lower case.
std::vector<std::string> words_of(std::string_view text);
std::string lower_case(std::string_view text);
/// `*` and `?`; with `fold`, ASCII letters of any case are equal.
bool matches_pattern(std::string_view pattern, std::string_view text, bool fold = false);

}  // namespace penstock::io
