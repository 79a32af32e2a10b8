// A format compiled to steps, which both reading and printing follow. Private to
// engine/text/dates.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/dates/fields.h"
#include "engine/text/dates/names.h"

namespace penstock::text::dates {

/// Which signs a number may have when it is read, and gets when it is printed.
enum class Sign : std::uint8_t {
    normal,        ///< minus
    not_negative,  ///< none; printing a negative number fails
    never,         ///< none
    exceeds_pad,   ///< minus; plus exactly when it has more digits than its least width
};

/// How an offset from UTC is written: "+01", "+0100", "+01:00:00".
struct OffsetStyle {
    enum class Part : std::uint8_t { none, optional, mandatory };

    bool colon = false;
    Part minutes = Part::mandatory;
    Part seconds = Part::none;
    std::string_view zero = "Z";  ///< a literal that stands for no offset
};

class ZoneNames;

struct Step {
    enum class Op : std::uint8_t {
        literal,
        number,
        reduced,  ///< the last two digits of a year from 2000 on
        fraction,
        name,
        offset,
        localized_offset,  ///< "GMT+8", "GMT+08:00" when full
        zone_id,
        zone_name,
        epoch_seconds,
        epoch_millis,
        optional,  ///< the steps up to `end` may be absent
        pad,       ///< the next step, filled up with blanks to `min` characters
    };

    Op op = Op::literal;
    Field field = Field::year;
    std::uint8_t min = 1;
    std::uint8_t max = 19;
    Sign sign = Sign::normal;
    /// Digits of fixed width that follow without a separator; -1: this one's own width is fixed.
    int subsequent = 0;
    bool point = false;        ///< a fraction begins with one
    bool full = false;         ///< the long form
    bool ignore_case = false;  ///< of a literal
    std::uint32_t end = 0;     ///< of optional: the step behind it
    OffsetStyle offset{};
    std::string text{};  ///< of a literal
    std::shared_ptr<const NameTable> names{};
    std::shared_ptr<const ZoneNames> zones{};

    bool is_number() const { return op == Op::number || op == Op::reduced; }
    bool is_adjacent() const { return is_number() || (op == Op::fraction && !point); }
    bool fixed_width() const {
        if (op == Op::fraction) return min == max && !point;
        return subsequent == -1 || (subsequent > 0 && min == max && sign == Sign::not_negative);
    }
};

/// One alternative of a format.
struct Program {
    std::vector<Step> steps;
    ResolverStyle resolver = ResolverStyle::strict;
    WeekRules weeks;
    bool utc_by_default = false;  ///< texts without a zone are in UTC, whatever the caller's is
};

/// Reads `text` completely. False when it does not fit; the fields are not resolved yet.
bool read(const Program& program, std::string_view text, Fields& fields);

/// A moment with what printing needs of it.
struct PrintedTime {
    std::int64_t epoch_second;
    std::int64_t epoch_day;
    std::int64_t nano_of_day;
    std::int32_t offset;
    const Zone& zone;
};
/// Appends the moment. Throws penstock::Error where a number is too long for its place.
void print(const Program& program, const PrintedTime& time, std::string& out);

/// Zones' names in a language, for `z` and `v`: abbreviations as Java reads them, long names as ICU
/// has them.
class ZoneNames {
  public:
    explicit ZoneNames(const std::string& locale);
    ~ZoneNames();
    ZoneNames(const ZoneNames&) = delete;
    ZoneNames& operator=(const ZoneNames&) = delete;

    /// The zone with whose id, abbreviation or (`full`) long name `text` begins, and the length.
    std::optional<Zone> match(std::string_view text, bool full, std::size_t& length) const;
    void append(const Zone& zone, std::int64_t epoch_second, bool full, std::string& out) const;

  private:
    struct Impl;
    std::unique_ptr<const Impl> impl_;
};

/// Makes programs, as java.time's DateTimeFormatterBuilder makes formatters.
class ProgramBuilder {
  public:
    explicit ProgramBuilder(const DateLocale& locale) : locale_(locale) {}

    void literal(std::string_view text);
    /// 1 to 19 digits.
    void value(Field field);
    /// Exactly so many digits.
    void value(Field field, int width);
    void value(Field field, int min, int max, Sign sign);
    void reduced(Field field);
    void fraction(int min, int max, bool point);
    void name(Named kind, Field field, NameStyle style, bool stand_alone);
    void offset(OffsetStyle style);
    void localized_offset(bool full);
    void zone_id();
    void zone_name(bool full);
    void epoch(Step::Op op);
    void pad_next(int width);
    void optional_start();
    void optional_end();
    bool in_optional() const { return !open_.empty(); }
    void ignore_case() { ignore_case_ = true; }

    /// The steps so far; what is optional still ends here.
    Program finish(ResolverStyle resolver);

  private:
    std::size_t add(Step step);
    void add_number(Step step);

    const DateLocale& locale_;
    Program program_;
    std::vector<std::size_t> open_;
    std::optional<std::size_t> last_number_;  // into which adjacent digits may run
    std::shared_ptr<const ZoneNames> zones_;
    bool ignore_case_ = false;
};

/// Compiles a java.time pattern. Throws penstock::Error with Java's reason.
Program compile_pattern(std::string_view pattern, const DateLocale& locale);

/// A format that Elasticsearch knows by name.
struct NamedFormat {
    Program printer;
    std::vector<Program> readers;
};
std::optional<NamedFormat> named_format(std::string_view name);

}  // namespace penstock::text::dates
