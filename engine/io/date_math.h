// Dates as queries and documents write them, to milliseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::io {

/// Where a date that leaves out its smaller parts lies: at its beginning, or, as Elasticsearch has
/// it for upper bounds, at the last millisecond of its day, hour, minute or second ("2024-05" is
/// 2024-05-01T23:59:59.999).
enum class DateEdge { begin, end };

struct DateOptions {
    std::int64_t now_millis = 0;
    std::int64_t offset_millis = 0;  ///< of the time zone, for dates without one
    DateEdge edge = DateEdge::begin;
};

/// Milliseconds since 1970: ISO 8601 to any precision ("2024", "2024-05-31T10:20:30.5+02:00"),
/// "2024/05/31 10:20:30", and milliseconds as digits (five or more).
std::optional<std::int64_t> parse_date(std::string_view text, const DateOptions& options = {});
/// The same with Elasticsearch's date mathematics: "now-1d/d", "2024-01-01||+1M/M". With
/// DateEdge::end, rounding goes up to the last millisecond.
std::optional<std::int64_t> parse_date_math(std::string_view text, const DateOptions& options);
/// What Elasticsearch's date detection takes for a date: ISO 8601 with a full day, or
/// year/month/day.
bool looks_like_date(std::string_view text);
/// "+02:00", "-0530", "Z", "UTC" to milliseconds.
std::optional<std::int64_t> parse_zone_offset(std::string_view text);
/// 2024-05-31T10:20:30.123Z
std::string format_date(std::int64_t millis);
/// The beginning of the unit (y M w d h m s) that holds `millis`.
std::int64_t round_date(std::int64_t millis, char unit);
/// `count` units further.
std::int64_t add_date(std::int64_t millis, std::int64_t count, char unit);

}  // namespace penstock::io
