// The proleptic ISO calendar over the years that Java's dates have, and weeks.
#pragma once

#include <cstdint>

namespace penstock::text::dates {

constexpr std::int64_t kLeastYear = -999'999'999;
constexpr std::int64_t kGreatestYear = 999'999'999;
constexpr std::int64_t kSecondsOfDay = 86'400;
constexpr std::int64_t kNanosOfSecond = 1'000'000'000;
constexpr std::int64_t kNanosOfDay = kSecondsOfDay * kNanosOfSecond;

std::int64_t floor_div(std::int64_t value, std::int64_t by);
std::int64_t floor_mod(std::int64_t value, std::int64_t by);

struct CivilDate {
    std::int64_t year = 1970;
    int month = 1;
    int day = 1;
};

bool is_leap(std::int64_t year);
int days_in_month(std::int64_t year, int month);
/// Days since 1970-01-01. Month and day may lie beyond their ranges by a few units.
std::int64_t epoch_day_of(std::int64_t year, int month, int day);
CivilDate civil_date_of(std::int64_t epoch_day);
int day_of_year(std::int64_t epoch_day);
/// 1 is Monday, 7 Sunday.
int day_of_week(std::int64_t epoch_day);

/// How a locale counts weeks. ISO 8601: they begin on Monday, and a year's first has 4 of its days.
struct WeekRules {
    int first_day = 1;     ///< 1 is Monday
    int minimal_days = 4;  ///< of the first week

    /// 1 to 7, counted from the first day of the week.
    int local_day(int iso_day) const { return (iso_day - first_day + 7) % 7 + 1; }
    int iso_day(int local_day) const { return (first_day - 1 + local_day - 1) % 7 + 1; }
    /// The day with which week 1 of the week-based year begins.
    std::int64_t first_week(std::int64_t year) const;
    std::int64_t week_based_year(std::int64_t epoch_day) const;
    int week_of_week_based_year(std::int64_t epoch_day) const;
    /// 0 for days before the month's first week.
    int week_of_month(std::int64_t epoch_day) const;
};

}  // namespace penstock::text::dates
