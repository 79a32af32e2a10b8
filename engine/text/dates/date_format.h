// Dates as text, read and printed by formats as Java and Elasticsearch write them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/text/dates/names.h"
#include "engine/text/dates/zone.h"

namespace penstock::text::dates {

/// A moment to the nanosecond, seen in a time zone.
struct ZonedTime {
    std::int64_t epoch_second = 0;
    std::int32_t nano = 0;  ///< of the second
    Zone zone;

    /// Throws nothing; what lies beyond Java's dates is refused by printing it.
    static ZonedTime of_millis(std::int64_t epoch_milli, const Zone& zone);
    std::int64_t epoch_milli() const;
};

/// What completes a date that its text leaves open.
struct DateDefaults {
    Zone zone;  ///< of texts that name none
    /// For texts without a year. Their zone is then `zone` too, whatever the text says, as
    /// Elasticsearch's date processor has it. Without it such dates are in 1970.
    std::optional<std::int64_t> year;
};

/// A format, compiled once: a java.time pattern, the name of one of Elasticsearch's own
/// ("strict_date_optional_time", "epoch_millis"), or several of these with `||` between them.
/// Reading tries them in order; printing takes the first. Reading allocates nothing. Immutable,
/// thread-safe, cheap to copy.
class DateFormat {
  public:
    /// Throws penstock::Error ("Invalid format: [x]: Unknown pattern letter: x").
    static DateFormat compile(std::string_view format, const DateLocale& locale = {});

    /// Nothing when no alternative fits the whole text, or it fits and is no date.
    std::optional<ZonedTime> parse(std::string_view text, const DateDefaults& defaults = {}) const;
    /// Appends the moment as its zone shows it. Throws penstock::Error where a part is too long for
    /// its place in the format.
    void print(const ZonedTime& time, std::string& out) const;
    std::string print(const ZonedTime& time) const;

  private:
    struct Alternatives;
    explicit DateFormat(std::shared_ptr<const Alternatives> alternatives);

    std::shared_ptr<const Alternatives> alternatives_;
};

}  // namespace penstock::text::dates
