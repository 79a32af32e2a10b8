#include "processors/date_reader.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

#include "processors/number_text.h"

namespace penstock::processors {

using text::dates::DateDefaults;
using text::dates::DateFormat;
using text::dates::DateLocale;
using text::dates::ZonedTime;

namespace {

/// Java's Long.parseLong: a sign, then digits and nothing else.
std::optional<std::int64_t> parse_long(std::string_view text, int base = 10) {
    if (text.starts_with('+')) {
        text.remove_prefix(1);
        if (text.starts_with('-')) return std::nullopt;
    }
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [at, problem] = std::from_chars(text.data(), end, value, base);
    if (text.empty() || problem != std::errc() || at != end) return std::nullopt;
    return value;
}

/// Seconds with a fraction, to the millisecond.
std::optional<ZonedTime> read_seconds(std::string_view text) {
    const auto seconds = parse_java_double(text);
    if (!seconds) return std::nullopt;
    const double millis = *seconds * 1000.0;
    constexpr auto limit = static_cast<double>(std::numeric_limits<std::int64_t>::max());
    if (!(std::abs(millis) < limit)) return std::nullopt;
    return ZonedTime::of_millis(static_cast<std::int64_t>(millis), {});
}

std::optional<ZonedTime> read_millis(std::string_view text) {
    const auto millis = parse_long(text);
    if (!millis) return std::nullopt;
    return ZonedTime::of_millis(*millis, {});
}

/// A TAI64N label in hexadecimal: its seconds begin 2^62 before 1970 and run 10 s ahead.
std::optional<ZonedTime> read_tai64n(std::string_view text) {
    if (text.starts_with('@')) text.remove_prefix(1);
    if (text.size() < 24) return std::nullopt;
    const auto seconds = parse_long(text.substr(1, 15), 16);
    const auto nanos = parse_long(text.substr(16, 8), 16);
    constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max() / 1000 - 10'000;
    if (!seconds || !nanos || *seconds > largest || *seconds < -largest) return std::nullopt;
    return ZonedTime::of_millis(*seconds * 1000 - 10'000 + *nanos / 1'000'000, {});
}

}  // namespace

DateReader DateReader::compile(std::string_view format, const DateLocale& locale) {
    DateReader reader;
    if (format == "UNIX") {
        reader.number_ = read_seconds;
    } else if (format == "UNIX_MS") {
        reader.number_ = read_millis;
    } else if (format == "TAI64N") {
        reader.number_ = read_tai64n;
    } else {
        reader.format_ = DateFormat::compile(format == "ISO8601" ? "iso8601" : format, locale);
    }
    return reader;
}

std::optional<ZonedTime> DateReader::read(std::string_view text,
                                          const DateDefaults& defaults) const {
    auto time = number_ != nullptr ? number_(text) : format_->parse(text, defaults);
    if (time) time->zone = defaults.zone;
    return time;
}

std::string_view date_text(document::Value value, std::string& scratch) {
    if (value.is_string()) return value.as_string();
    document::append_java_string(value, scratch);
    return scratch;
}

std::int64_t current_year(const document::Document& document) {
    const document::Value ingest = document.ingest();
    const document::Value* timestamp =
        ingest.is_object() ? ingest.as_object().get("timestamp") : nullptr;
    if (timestamp != nullptr && timestamp->is_string() && timestamp->as_string().size() > 4 &&
        timestamp->as_string()[4] == '-') {
        if (const auto year = parse_long(timestamp->as_string().substr(0, 4))) return *year;
    }
    const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
    return static_cast<int>(std::chrono::year_month_day(today).year());
}

}  // namespace penstock::processors
