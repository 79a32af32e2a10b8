#include "engine/io/date_math.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace penstock::io {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
/// Beyond 30 000 years nothing below would overflow yet.
constexpr std::int64_t kLargest = 1'000'000'000'000'000;

std::int64_t millis_of(sys_days day) {
    return std::int64_t{day.time_since_epoch().count()} * kDay;
}

std::int64_t floor_to(std::int64_t millis, std::int64_t unit) {
    const std::int64_t rest = millis % unit;
    return millis - (rest < 0 ? rest + unit : rest);
}

std::chrono::year_month_day date_of(std::int64_t millis) {
    return sys_days(days(floor_to(millis, kDay) / kDay));
}

/// Reads one date from the front of a text.
class DateReader {
  public:
    DateReader(std::string_view text, const DateOptions& options)
        : text_(text), options_(options) {}

    std::optional<std::int64_t> read() {
        if (!number(4, 4, year_)) return std::nullopt;
        char unit = 'y';
        const char separator = text_.empty() ? '-' : text_.front();
        if (separator != '-' && separator != '/' && separator != 'T') return std::nullopt;
        if (separator != 'T' && take(separator)) {
            if (!number(1, 2, month_)) return std::nullopt;
            unit = 'M';
            if (take(separator)) {
                if (!number(1, 2, day_)) return std::nullopt;
                unit = 'd';
            }
        }
        if (take('T') || (unit == 'd' && take(' '))) {
            if (!text_.empty() && !time(unit)) return std::nullopt;
        }
        return zone() && text_.empty() ? finish(unit) : std::nullopt;
    }

  private:
    bool take(char c) {
        if (text_.empty() || text_.front() != c) return false;
        text_.remove_prefix(1);
        return true;
    }

    bool number(std::size_t least, std::size_t most, int& out) {
        std::size_t digits = 0;
        while (digits < most && digits < text_.size() && text_[digits] >= '0' &&
               text_[digits] <= '9')
            ++digits;
        if (digits < least) return false;
        std::from_chars(text_.data(), text_.data() + digits, out);
        text_.remove_prefix(digits);
        return true;
    }

    bool time(char& unit) {
        int part = 0;
        if (!number(1, 2, part) || part > 23) return false;
        time_ = part * kHour;
        unit = 'h';
        if (!take(':')) return true;
        if (!number(1, 2, part) || part > 59) return false;
        time_ += part * kMinute;
        unit = 'm';
        if (!take(':')) return true;
        if (!number(1, 2, part) || part > 59) return false;
        time_ += part * kSecond;
        unit = 's';
        if (!take('.') && !take(',')) return true;
        unit = 'S';
        std::int64_t scale = 100;
        bool any = false;
        for (; !text_.empty() && text_.front() >= '0' && text_.front() <= '9'; scale /= 10) {
            time_ += (text_.front() - '0') * scale;
            text_.remove_prefix(1);
            any = true;
        }
        return any;
    }

    bool zone() {
        offset_ = options_.offset_millis;
        if (text_.empty()) return true;
        const auto parsed = parse_zone_offset(text_);
        if (!parsed) return false;
        offset_ = *parsed;
        text_ = {};
        return true;
    }

    std::optional<std::int64_t> finish(char unit) const {
        const std::chrono::year_month_day date{std::chrono::year(year_),
                                               std::chrono::month(static_cast<unsigned>(month_)),
                                               std::chrono::day(static_cast<unsigned>(day_))};
        if (!date.ok()) return std::nullopt;
        const std::int64_t begin = millis_of(sys_days(date)) + time_;
        if (options_.edge == DateEdge::begin || unit == 'S') return begin - offset_;
        // Elasticsearch's upper edge: months and days that are left out are the first.
        const char last_unit = unit == 'y' || unit == 'M' ? 'd' : unit;
        return add_date(begin, 1, last_unit) - 1 - offset_;
    }

    std::string_view text_;
    const DateOptions& options_;
    int year_ = 0;
    int month_ = 1;
    int day_ = 1;
    std::int64_t time_ = 0;
    std::int64_t offset_ = 0;
};

std::optional<std::int64_t> apply_math(std::int64_t millis, std::string_view math,
                                       const DateOptions& options) {
    while (!math.empty()) {
        const char operation = math.front();
        math.remove_prefix(1);
        std::int64_t count = 1;
        if (operation != '/') {
            const auto [end, problem] =
                std::from_chars(math.data(), math.data() + math.size(), count);
            if (problem == std::errc())
                math.remove_prefix(static_cast<std::size_t>(end - math.data()));
        }
        if (math.empty() ||
            std::string_view("yMwdhHms").find(math.front()) == std::string_view::npos)
            return std::nullopt;
        const char unit = math.front() == 'H' ? 'h' : math.front();
        math.remove_prefix(1);
        if (operation == '+' || operation == '-') {
            millis = add_date(millis, operation == '+' ? count : -count, unit);
        } else if (operation == '/') {
            const std::int64_t local = round_date(millis + options.offset_millis, unit);
            millis = (options.edge == DateEdge::begin ? local : add_date(local, 1, unit) - 1) -
                     options.offset_millis;
        } else {
            return std::nullopt;
        }
    }
    return millis;
}

}  // namespace

std::int64_t add_date(std::int64_t millis, std::int64_t count, char unit) {
    millis = std::clamp(millis, -kLargest, kLargest);
    count = std::clamp<std::int64_t>(count, -1'000'000, 1'000'000);
    switch (unit) {
        case 's':
            return millis + count * kSecond;
        case 'm':
            return millis + count * kMinute;
        case 'h':
            return millis + count * kHour;
        case 'd':
            return millis + count * kDay;
        case 'w':
            return millis + count * 7 * kDay;
        default:
            break;
    }
    const std::int64_t time = millis - floor_to(millis, kDay);
    const std::chrono::months step(static_cast<int>(
        std::clamp<std::int64_t>(unit == 'M' ? count : count * 12, -12 * 20'000, 12 * 20'000)));
    std::chrono::year_month_day date = date_of(millis) + step;
    if (!date.ok()) date = date.year() / date.month() / std::chrono::last;
    return millis_of(sys_days(date)) + time;
}

std::int64_t round_date(std::int64_t millis, char unit) {
    const std::chrono::year_month_day date = date_of(millis);
    switch (unit) {
        case 's':
            return floor_to(millis, kSecond);
        case 'm':
            return floor_to(millis, kMinute);
        case 'h':
            return floor_to(millis, kHour);
        case 'w': {
            // 1970-01-01 was a Thursday; weeks begin on Monday.
            return floor_to(millis + 3 * kDay, 7 * kDay) - 3 * kDay;
        }
        case 'M':
            return millis_of(sys_days(date.year() / date.month() / 1));
        case 'y':
            return millis_of(sys_days(date.year() / 1 / 1));
        default:
            return floor_to(millis, kDay);
    }
}

std::optional<std::int64_t> parse_zone_offset(std::string_view text) {
    if (text == "Z" || text == "UTC" || text == "GMT") return 0;
    if (text.size() < 3 || (text.front() != '+' && text.front() != '-')) return std::nullopt;
    std::string digits;
    for (const char c : text.substr(1)) {
        if (c >= '0' && c <= '9') {
            digits.push_back(c);
        } else if (c != ':') {
            return std::nullopt;
        }
    }
    if (digits.size() != 2 && digits.size() != 4) return std::nullopt;
    const int number = std::atoi(digits.c_str());
    const std::int64_t offset =
        digits.size() == 2 ? number * kHour : number / 100 * kHour + number % 100 * kMinute;
    return text.front() == '-' ? -offset : offset;
}

std::optional<std::int64_t> parse_date(std::string_view text, const DateOptions& options) {
    const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
    const bool number = !digits.empty() && std::all_of(digits.begin(), digits.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
    if (number && digits.size() > 4) {
        std::int64_t millis = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), millis);
        const bool fits = problem == std::errc() && millis > -kLargest && millis < kLargest;
        return fits ? std::optional(millis) : std::nullopt;
    }
    return DateReader(text, options).read();
}

std::optional<std::int64_t> parse_date_math(std::string_view text, const DateOptions& options) {
    if (text.starts_with("now")) return apply_math(options.now_millis, text.substr(3), options);
    const std::size_t bars = text.find("||");
    if (bars == std::string_view::npos) return parse_date(text, options);
    DateOptions anchor = options;
    anchor.edge = DateEdge::begin;
    const auto date = parse_date(text.substr(0, bars), anchor);
    return date ? apply_math(*date, text.substr(bars + 2), options) : std::nullopt;
}

bool looks_like_date(std::string_view text) {
    if (text.size() < 8 || text.size() > 40) return false;
    const auto digit = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
    if (!digit(0) || !digit(1) || !digit(2) || !digit(3)) return false;
    if (text[4] != '-' && text[4] != '/') return false;
    return text.find(text[4], 5) != std::string_view::npos && parse_date(text).has_value();
}

std::string format_date(std::int64_t millis) {
    const std::chrono::year_month_day date = date_of(millis);
    const std::int64_t time = millis - floor_to(millis, kDay);
    std::array<char, 48> text{};
    const int size =
        std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                      static_cast<unsigned>(date.day()), static_cast<int>(time / kHour),
                      static_cast<int>(time % kHour / kMinute),
                      static_cast<int>(time % kMinute / kSecond), static_cast<int>(time % kSecond));
    return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace penstock::io
