#include "engine/text/dates/calendar.h"

namespace penstock::text::dates {

std::int64_t floor_div(std::int64_t value, std::int64_t by) {
    return value / by - (value % by < 0 ? 1 : 0);
}

std::int64_t floor_mod(std::int64_t value, std::int64_t by) {
    const std::int64_t rest = value % by;
    return rest < 0 ? rest + by : rest;
}

bool is_leap(std::int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int days_in_month(std::int64_t year, int month) {
    if (month == 2) return is_leap(year) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// Counted from March, so that the leap day is a year's last, in eras of 400 years = 146097 days.
std::int64_t epoch_day_of(std::int64_t year, int month, int day) {
    const std::int64_t y = month <= 2 ? year - 1 : year;
    const std::int64_t era = floor_div(y, 400);
    const std::int64_t year_of_era = y - era * 400;
    const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const std::int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146'097 + day_of_era - 719'468;
}

CivilDate civil_date_of(std::int64_t epoch_day) {
    const std::int64_t shifted = epoch_day + 719'468;
    const std::int64_t era = floor_div(shifted, 146'097);
    const std::int64_t day_of_era = shifted - era * 146'097;
    const std::int64_t year_of_era =
        (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    const std::int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const auto from_march = static_cast<int>((5 * day_of_year + 2) / 153);
    CivilDate date;
    date.day = static_cast<int>(day_of_year) - (153 * from_march + 2) / 5 + 1;
    date.month = from_march < 10 ? from_march + 3 : from_march - 9;
    date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
    return date;
}

int day_of_year(std::int64_t epoch_day) {
    return static_cast<int>(epoch_day - epoch_day_of(civil_date_of(epoch_day).year, 1, 1)) + 1;
}

int day_of_week(std::int64_t epoch_day) {
    return static_cast<int>(floor_mod(epoch_day + 3, 7)) + 1;  // 1970-01-01 was a Thursday
}

std::int64_t WeekRules::first_week(std::int64_t year) const {
    const std::int64_t first = epoch_day_of(year, 1, 1);
    const int before = local_day(day_of_week(first)) - 1;
    return first - before + (7 - before >= minimal_days ? 0 : 7);
}

std::int64_t WeekRules::week_based_year(std::int64_t epoch_day) const {
    const std::int64_t year = civil_date_of(epoch_day).year;
    if (epoch_day < first_week(year)) return year - 1;
    return epoch_day < first_week(year + 1) ? year : year + 1;
}

int WeekRules::week_of_week_based_year(std::int64_t epoch_day) const {
    return static_cast<int>((epoch_day - first_week(week_based_year(epoch_day))) / 7) + 1;
}

int WeekRules::week_of_month(std::int64_t epoch_day) const {
    const int day = civil_date_of(epoch_day).day;
    const int week_start = static_cast<int>(floor_mod(day - local_day(day_of_week(epoch_day)), 7));
    const int offset = week_start + 1 > minimal_days ? 7 - week_start : -week_start;
    return (7 + offset + day - 1) / 7;
}

}  // namespace penstock::text::dates
