// What a date text says, before and after its parts are put together. Private to
// engine/text/dates.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "engine/text/dates/calendar.h"
#include "engine/text/dates/zone.h"

namespace penstock::text::dates {

/// The parts of a date, in java.time's sense. Those called local depend on the locale's weeks.
enum class Field : std::uint8_t {
    era,
    year_of_era,
    year,
    quarter,
    month,
    day,
    day_of_year,
    aligned_week_of_month,
    day_of_week,
    local_day_of_week,
    week_based_year,
    week,
    week_of_month,
    modified_julian_day,
    am_pm,
    hour_of_am_pm,
    clock_hour_of_am_pm,
    hour,
    clock_hour,
    minute,
    second,
    nano,
    milli_of_day,
    nano_of_day,
    offset,
    instant,
};
constexpr std::size_t kFieldCount = static_cast<std::size_t>(Field::instant) + 1;

struct Range {
    std::int64_t least;
    std::int64_t greatest;

    bool has(std::int64_t value) const { return value >= least && value <= greatest; }
};
Range range_of(Field field);

/// How parts are put together: `strict` refuses what is out of its range, `smart` takes the last
/// day of a month for a day beyond it, `lenient` counts on.
enum class ResolverStyle : std::uint8_t { strict, smart, lenient };

/// The parts found in one text. Holds no memory of its own.
class Fields {
  public:
    bool has(Field field) const { return (present_ & bit(field)) != 0; }
    std::int64_t get(Field field) const { return values_[static_cast<std::size_t>(field)]; }
    std::optional<std::int64_t> find(Field field) const {
        return has(field) ? std::optional(get(field)) : std::nullopt;
    }
    void put(Field field, std::int64_t value) {
        present_ |= bit(field);
        values_[static_cast<std::size_t>(field)] = value;
    }
    /// False when it is there with another value.
    bool add(Field field, std::int64_t value) {
        if (has(field) && get(field) != value) return false;
        put(field, value);
        return true;
    }
    void remove(Field field) { present_ &= ~bit(field); }
    std::optional<std::int64_t> take(Field field) {
        const auto value = find(field);
        remove(field);
        return value;
    }

    std::optional<Zone> zone;                 ///< read from the text
    std::optional<std::int64_t> epoch_day;    ///< the date, once it is known
    std::optional<std::int64_t> nano_of_day;  ///< the time, once it is known
    std::int64_t excess_days = 0;             ///< 24:00 is the next day's beginning

    /// Puts parts together as far as they go and checks them against each other. False when they
    /// contradict one another or are out of range.
    bool resolve(ResolverStyle style, const WeekRules& weeks);

  private:
    static std::uint32_t bit(Field field) { return 1U << static_cast<unsigned>(field); }

    std::uint32_t present_ = 0;
    std::array<std::int64_t, kFieldCount> values_;  // those not present are not initialised
};
static_assert(kFieldCount <= 32);

/// One part of a date and time; nothing when they do not have it.
std::optional<std::int64_t> field_of(Field field, std::optional<std::int64_t> epoch_day,
                                     std::optional<std::int64_t> nano_of_day,
                                     const WeekRules& weeks);

}  // namespace penstock::text::dates
