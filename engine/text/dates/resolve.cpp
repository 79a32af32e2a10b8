// Putting a date's parts together, in the order and with the checks of java.time's formatters.
#include "engine/text/dates/fields.h"

namespace penstock::text::dates {
namespace {

constexpr std::int64_t kMillisOfDay = kSecondsOfDay * 1000;
constexpr std::int64_t kJulianEpoch = 40'587;  // 1970-01-01 as a modified Julian day
constexpr std::int64_t kGreatestEpochDay = 365'241'780'471;
constexpr std::int64_t kLeastEpochDay = -365'243'219'162;
constexpr Range kInstants{(kLeastEpochDay + 1) * kSecondsOfDay, kGreatestEpochDay* kSecondsOfDay};
constexpr Range kJulianDays{kLeastEpochDay + kJulianEpoch, kGreatestEpochDay + kJulianEpoch};

/// Resolves one text's fields. Each step returns false at a contradiction.
class Resolver {
  public:
    Resolver(Fields& fields, ResolverStyle style, const WeekRules& weeks)
        : fields_(fields), style_(style), weeks_(weeks) {}

    bool run() {
        return instant() && date() && time() && weeks() && partial_time() && cross_check() &&
               period() && offset_in_range();
    }

  private:
    bool lenient() const { return style_ == ResolverStyle::lenient; }
    static bool valid(Field field, std::int64_t value) { return range_of(field).has(value); }
    bool fits(Field field, std::int64_t value) const { return lenient() || valid(field, value); }

    bool set_date(std::int64_t epoch_day) {
        if (epoch_day < kLeastEpochDay || epoch_day > kGreatestEpochDay) return false;
        if (fields_.epoch_day && *fields_.epoch_day != epoch_day) return false;
        fields_.epoch_day = epoch_day;
        return true;
    }

    bool set_time(std::int64_t nano_of_day, std::int64_t excess_days = 0) {
        if (fields_.nano_of_day && *fields_.nano_of_day != nano_of_day) return false;
        fields_.nano_of_day = nano_of_day;
        fields_.excess_days = excess_days;
        return true;
    }

    bool instant() {
        if (!fields_.has(Field::instant)) return true;
        if (!fields_.zone && !fields_.has(Field::offset)) return true;
        const Zone zone =
            fields_.zone ? *fields_.zone
                         : Zone::of_offset(static_cast<std::int32_t>(fields_.get(Field::offset)));
        if (!kInstants.has(fields_.get(Field::instant))) return false;
        const std::int64_t local =
            fields_.get(Field::instant) + zone.offset_at(fields_.get(Field::instant));
        fields_.remove(Field::instant);
        const std::int64_t nano = fields_.take(Field::nano).value_or(0);
        return set_date(floor_div(local, kSecondsOfDay)) &&
               set_time(floor_mod(local, kSecondsOfDay) * kNanosOfSecond + nano);
    }

    // ---- the date

    bool year_of_era() {
        const auto of_era = fields_.take(Field::year_of_era);
        if (!of_era) return !fields_.has(Field::era) || valid(Field::era, fields_.get(Field::era));
        if (!fits(Field::year_of_era, *of_era)) return false;
        if (const auto era = fields_.take(Field::era)) {
            return valid(Field::era, *era) &&
                   fields_.add(Field::year, *era == 1 ? *of_era : 1 - *of_era);
        }
        const auto year = fields_.find(Field::year);
        if (!year && style_ == ResolverStyle::strict) {
            // Which era is unknown: java.time makes no date of it, and so checks no day of week.
            fields_.put(Field::year_of_era, *of_era);
            return true;
        }
        return fields_.add(Field::year, !year || *year > 0 ? *of_era : 1 - *of_era);
    }

    bool date() {
        if (const auto julian = fields_.take(Field::modified_julian_day)) {
            if (!kJulianDays.has(*julian) || !set_date(*julian - kJulianEpoch)) return false;
        }
        if (!year_of_era()) return false;
        if (!fields_.has(Field::year)) return true;
        if (!valid(Field::year, fields_.get(Field::year))) return false;
        if (fields_.has(Field::month)) {
            if (fields_.has(Field::day)) return year_month_day();
            if (fields_.has(Field::aligned_week_of_month) && fields_.has(Field::day_of_week))
                return year_month_week();
        }
        return !fields_.has(Field::day_of_year) || year_day();
    }

    bool year_month_day() {
        const std::int64_t year = *fields_.take(Field::year);
        const std::int64_t month = *fields_.take(Field::month);
        std::int64_t day = *fields_.take(Field::day);
        if (lenient()) {
            const std::int64_t months = year * 12 + month - 1;
            return set_date(epoch_day_of(floor_div(months, 12),
                                         static_cast<int>(floor_mod(months, 12)) + 1, 1) +
                            day - 1);
        }
        if (!valid(Field::month, month) || !valid(Field::day, day)) return false;
        const int last = days_in_month(year, static_cast<int>(month));
        if (day > last && style_ == ResolverStyle::strict) return false;
        if (day > last) day = last;
        return set_date(epoch_day_of(year, static_cast<int>(month), static_cast<int>(day)));
    }

    bool year_month_week() {
        const std::int64_t year = *fields_.take(Field::year);
        const std::int64_t month = *fields_.take(Field::month);
        const std::int64_t week = *fields_.take(Field::aligned_week_of_month);
        const std::int64_t dow = *fields_.take(Field::day_of_week);
        if (!valid(Field::month, month) || !valid(Field::day_of_week, dow) ||
            !valid(Field::aligned_week_of_month, week))
            return false;
        const std::int64_t from = epoch_day_of(year, static_cast<int>(month), 1) + (week - 1) * 7;
        const std::int64_t found = from + floor_mod(dow - day_of_week(from), 7);
        return civil_date_of(found).month == month && set_date(found);
    }

    bool year_day() {
        const std::int64_t year = *fields_.take(Field::year);
        const std::int64_t day = *fields_.take(Field::day_of_year);
        if (!lenient() && (!valid(Field::day_of_year, day) || (day == 366 && !is_leap(year))))
            return false;
        return set_date(epoch_day_of(year, 1, 1) + day - 1);
    }

    // ---- weeks

    bool weeks() {
        if (const auto local = fields_.take(Field::local_day_of_week)) {
            if (!valid(Field::local_day_of_week, *local) ||
                !fields_.add(Field::day_of_week, weeks_.iso_day(static_cast<int>(*local))))
                return false;
            // A week of the month may have waited for the day.
            if (!date()) return false;
        }
        const auto dow = fields_.find(Field::day_of_week);
        if (!dow) return true;
        if (fields_.has(Field::week_of_month) && fields_.has(Field::year) &&
            fields_.has(Field::month))
            return month_week(*dow);
        if (!fields_.has(Field::year) && fields_.has(Field::week_based_year) &&
            fields_.has(Field::week))
            return year_week(*dow);
        return true;
    }

    bool month_week(std::int64_t dow) {
        const std::int64_t year = fields_.get(Field::year);
        const std::int64_t month = fields_.get(Field::month);
        const std::int64_t week = fields_.get(Field::week_of_month);
        if (!valid(Field::month, month) || !valid(Field::day_of_week, dow) ||
            !valid(Field::week_of_month, week))
            return false;
        const std::int64_t first = epoch_day_of(year, static_cast<int>(month), 1);
        const std::int64_t found =
            first + (week - weeks_.week_of_month(first)) * 7 +
            (weeks_.local_day(static_cast<int>(dow)) - weeks_.local_day(day_of_week(first)));
        if (style_ == ResolverStyle::strict && civil_date_of(found).month != month) return false;
        for (const Field used :
             {Field::year, Field::month, Field::week_of_month, Field::day_of_week})
            fields_.remove(used);
        return set_date(found);
    }

    bool year_week(std::int64_t dow) {
        const std::int64_t year = fields_.get(Field::week_based_year);
        const std::int64_t week = fields_.get(Field::week);
        if (!valid(Field::year, year) || !valid(Field::week, week) ||
            !valid(Field::day_of_week, dow))
            return false;
        const std::int64_t found =
            weeks_.first_week(year) + (week - 1) * 7 + weeks_.local_day(static_cast<int>(dow)) - 1;
        if (style_ == ResolverStyle::strict && weeks_.week_based_year(found) != year) return false;
        for (const Field used : {Field::week_based_year, Field::week, Field::day_of_week})
            fields_.remove(used);
        return set_date(found);
    }

    // ---- the time

    bool clock_hour(Field from, Field to, std::int64_t zero) {
        const auto hour = fields_.take(from);
        if (!hour) return true;
        const bool checked =
            style_ == ResolverStyle::strict || (style_ == ResolverStyle::smart && *hour != 0);
        if (checked && !valid(from, *hour)) return false;
        return fields_.add(to, *hour == zero ? 0 : *hour);
    }

    bool half_day() {
        if (!fields_.has(Field::am_pm) || !fields_.has(Field::hour_of_am_pm)) return true;
        const std::int64_t half = *fields_.take(Field::am_pm);
        const std::int64_t hour = *fields_.take(Field::hour_of_am_pm);
        if (!fits(Field::am_pm, half) || !fits(Field::hour_of_am_pm, hour)) return false;
        return fields_.add(Field::hour, half * 12 + hour);
    }

    /// The time as one count of nanoseconds.
    bool from_nano_of_day(std::int64_t nanos) {
        return fields_.add(Field::hour, nanos / (3600 * kNanosOfSecond)) &&
               fields_.add(Field::minute, nanos / (60 * kNanosOfSecond) % 60) &&
               fields_.add(Field::second, nanos / kNanosOfSecond % 60) &&
               fields_.add(Field::nano, nanos % kNanosOfSecond);
    }

    bool time() {
        if (!clock_hour(Field::clock_hour, Field::hour, 24) ||
            !clock_hour(Field::clock_hour_of_am_pm, Field::hour_of_am_pm, 12) || !half_day())
            return false;
        if (const auto nanos = fields_.take(Field::nano_of_day)) {
            if (!valid(Field::nano_of_day, *nanos) || !from_nano_of_day(*nanos)) return false;
        }
        if (const auto millis = fields_.take(Field::milli_of_day)) {
            // With a finer fraction beside it, the thousandths are this one's.
            const std::int64_t finer = fields_.take(Field::nano).value_or(0);
            if (!valid(Field::milli_of_day, *millis) ||
                !from_nano_of_day(*millis * 1'000'000 + finer % 1'000'000))
                return false;
        }
        return true;
    }

    bool partial_time() {
        const auto hour = fields_.find(Field::hour);
        const auto minute = fields_.find(Field::minute);
        const auto second = fields_.find(Field::second);
        const auto nano = fields_.find(Field::nano);
        const bool gap = (!minute && (second || nano)) || (minute && !second && nano);
        if (!fields_.nano_of_day && hour && !gap) {
            if (!full_time(*hour, minute.value_or(0), second.value_or(0), nano.value_or(0)))
                return false;
            for (const Field used : {Field::hour, Field::minute, Field::second, Field::nano})
                fields_.remove(used);
            return true;
        }
        if (lenient()) return true;
        for (const Field left : {Field::am_pm, Field::hour_of_am_pm, Field::hour, Field::minute,
                                 Field::second, Field::nano}) {
            if (fields_.has(left) && !valid(left, fields_.get(left))) return false;
        }
        return true;
    }

    bool full_time(std::int64_t hour, std::int64_t minute, std::int64_t second, std::int64_t nano) {
        if (lenient()) {
            const std::int64_t seconds = hour * 3600 + minute * 60 + second;
            return set_time(floor_mod(seconds, kSecondsOfDay) * kNanosOfSecond + nano,
                            floor_div(seconds, kSecondsOfDay));
        }
        if (!valid(Field::minute, minute) || !valid(Field::nano, nano)) return false;
        if (style_ == ResolverStyle::smart && hour == 24 && minute == 0 && second == 0 && nano == 0)
            return set_time(0, 1);
        if (!valid(Field::hour, hour) || !valid(Field::second, second)) return false;
        return set_time((hour * 3600 + minute * 60 + second) * kNanosOfSecond + nano);
    }

    // ---- the rest

    /// What is left must agree with the date and time that were found.
    bool cross_check() {
        for (std::size_t i = 0; i < kFieldCount; ++i) {
            const auto field = static_cast<Field>(i);
            if (!fields_.has(field) || field == Field::offset || field == Field::instant) continue;
            const auto value = field_of(field, fields_.epoch_day, fields_.nano_of_day, weeks_);
            if (!value) continue;
            if (*value != fields_.get(field)) return false;
            fields_.remove(field);
        }
        return true;
    }

    bool period() {
        if (!fields_.epoch_day || fields_.excess_days == 0) return true;
        const std::int64_t day = *fields_.epoch_day + fields_.excess_days;
        fields_.excess_days = 0;
        fields_.epoch_day.reset();
        return set_date(day);
    }

    bool offset_in_range() {
        return !fields_.has(Field::offset) || valid(Field::offset, fields_.get(Field::offset));
    }

    Fields& fields_;
    ResolverStyle style_;
    const WeekRules& weeks_;
};

std::int64_t date_field(Field field, std::int64_t day, const WeekRules& weeks) {
    const CivilDate date = civil_date_of(day);
    switch (field) {
        case Field::era:
            return date.year >= 1 ? 1 : 0;
        case Field::year_of_era:
            return date.year >= 1 ? date.year : 1 - date.year;
        case Field::year:
            return date.year;
        case Field::quarter:
            return (date.month - 1) / 3 + 1;
        case Field::month:
            return date.month;
        case Field::day:
            return date.day;
        case Field::day_of_year:
            return day_of_year(day);
        case Field::aligned_week_of_month:
            return (date.day - 1) / 7 + 1;
        case Field::day_of_week:
            return day_of_week(day);
        case Field::local_day_of_week:
            return weeks.local_day(day_of_week(day));
        case Field::week_based_year:
            return weeks.week_based_year(day);
        case Field::week:
            return weeks.week_of_week_based_year(day);
        case Field::week_of_month:
            return weeks.week_of_month(day);
        default:
            return day + kJulianEpoch;
    }
}

std::int64_t time_field(Field field, std::int64_t nanos) {
    const std::int64_t hour = nanos / (3600 * kNanosOfSecond);
    switch (field) {
        case Field::am_pm:
            return hour / 12;
        case Field::hour_of_am_pm:
            return hour % 12;
        case Field::clock_hour_of_am_pm:
            return hour % 12 == 0 ? 12 : hour % 12;
        case Field::hour:
            return hour;
        case Field::clock_hour:
            return hour == 0 ? 24 : hour;
        case Field::minute:
            return nanos / (60 * kNanosOfSecond) % 60;
        case Field::second:
            return nanos / kNanosOfSecond % 60;
        case Field::nano:
            return nanos % kNanosOfSecond;
        case Field::milli_of_day:
            return nanos / 1'000'000;
        default:
            return nanos;
    }
}

}  // namespace

Range range_of(Field field) {
    switch (field) {
        case Field::era:
        case Field::am_pm:
            return {0, 1};
        case Field::year_of_era:
            return {1, kGreatestYear + 1};
        case Field::year:
        case Field::week_based_year:
            return {kLeastYear, kGreatestYear};
        case Field::quarter:
            return {1, 4};
        case Field::month:
            return {1, 12};
        case Field::day:
            return {1, 31};
        case Field::day_of_year:
            return {1, 366};
        case Field::aligned_week_of_month:
            return {1, 5};
        case Field::day_of_week:
        case Field::local_day_of_week:
            return {1, 7};
        case Field::week:
            return {1, 53};
        case Field::week_of_month:
            return {0, 6};
        case Field::hour_of_am_pm:
            return {0, 11};
        case Field::clock_hour_of_am_pm:
            return {1, 12};
        case Field::hour:
            return {0, 23};
        case Field::clock_hour:
            return {1, 24};
        case Field::minute:
        case Field::second:
            return {0, 59};
        case Field::nano:
            return {0, kNanosOfSecond - 1};
        case Field::milli_of_day:
            return {0, kMillisOfDay - 1};
        case Field::nano_of_day:
            return {0, kNanosOfDay - 1};
        case Field::offset:
            return {-Zone::kGreatestOffset, Zone::kGreatestOffset};
        case Field::modified_julian_day:
        case Field::instant:
            break;
    }
    return {INT64_MIN, INT64_MAX};
}

std::optional<std::int64_t> field_of(Field field, std::optional<std::int64_t> epoch_day,
                                     std::optional<std::int64_t> nano_of_day,
                                     const WeekRules& weeks) {
    if (field <= Field::modified_julian_day) {
        if (!epoch_day) return std::nullopt;
        return date_field(field, *epoch_day, weeks);
    }
    if (field >= Field::offset || !nano_of_day) return std::nullopt;
    return time_field(field, *nano_of_day);
}

bool Fields::resolve(ResolverStyle style, const WeekRules& weeks) {
    return Resolver(*this, style, weeks).run();
}

}  // namespace penstock::text::dates
