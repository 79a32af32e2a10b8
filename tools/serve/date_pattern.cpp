#include "tools/serve/date_pattern.h"

#include <algorithm>

#include "engine/io/date_math.h"
#include "engine/runtime/error.h"
#include "engine/text/dates/program.h"
#include "tools/serve/value_format.h"

namespace penstock::serve {
namespace {

bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// A pattern's letters, without what stands between quotes.
std::string letters_of(std::string_view pattern) {
    std::string letters;
    bool quoted = false;
    for (const char c : pattern) {
        if (c == '\'') {
            quoted = !quoted;
        } else if (!quoted) {
            letters.push_back(c);
        }
    }
    return letters;
}

}  // namespace

/// Of "basic_date_time" and the like, whose parts tell.
DatePattern::Exactness DatePattern::of_name(std::string_view name) {
    if (name == "iso8601" || has(name, "optional_time")) return {Precision::as_written, true};
    if (name.starts_with("epoch")) return {Precision::milli, true};
    const bool zoned = has(name, "time");
    if (has(name, "no_millis")) return {Precision::second, zoned};
    if (zoned || has(name, "millis") || has(name, "fraction")) return {Precision::milli, zoned};
    if (has(name, "second")) return {Precision::second, false};
    if (has(name, "minute")) return {Precision::minute, false};
    return {has(name, "hour") ? Precision::hour : Precision::day, false};
}

DatePattern::Exactness DatePattern::of_pattern(std::string_view pattern) {
    const std::string letters = letters_of(pattern);
    const auto has_any = [&](const char* any) {
        return letters.find_first_of(any) != std::string::npos;
    };
    const bool zoned = has_any("XxZzVO");
    if (has_any("SnNA")) return {Precision::milli, zoned};
    if (has_any("s")) return {Precision::second, zoned};
    if (has_any("m")) return {Precision::minute, zoned};
    return {has_any("HhKk") ? Precision::hour : Precision::day, zoned};
}

DatePattern::DatePattern(std::string_view format) {
    if (format.size() > ValueFormat::kMaxBytes)
        throw Error("a format has at most [" + std::to_string(ValueFormat::kMaxBytes) +
                    "] bytes, not [" + std::to_string(format.size()) + "]");
    while (!format.empty()) {
        const std::size_t end = std::min(format.find("||"), format.size());
        const std::string_view one = format.substr(0, end);
        alternatives_.push_back({text::dates::DateFormat::compile(one),
                                 text::dates::named_format(one) ? of_name(one) : of_pattern(one)});
        format.remove_prefix(std::min(end + 2, format.size()));
    }
}

std::string DatePattern::cut(std::string date, Precision precision) {
    const std::size_t day = date.find('T');
    switch (precision) {
        case Precision::day:
            return date.substr(0, day);
        case Precision::hour:
            return date.substr(0, day + 3);
        case Precision::minute:
            return date.substr(0, day + 6);
        case Precision::second:
            return date.substr(0, day + 9);
        case Precision::milli:
        case Precision::as_written:
            break;
    }
    return date.substr(0, day + 13);
}

std::optional<std::string> DatePattern::iso(std::string_view text) const {
    for (const auto& [format, exactness] : alternatives_) {
        const auto time = format.parse(text);
        if (!time) continue;
        const std::int64_t millis = time->epoch_milli();
        const bool as_written = exactness.precision == Precision::as_written;
        if (as_written && io::parse_date(text) == millis) return std::string(text);
        if (!exactness.zoned) return cut(io::format_date(millis), exactness.precision);
        // What is cut off is of the time that the zone has.
        const std::int32_t offset = time->zone.offset_at(time->epoch_second);
        if (offset % 60 != 0) return io::format_date(millis);
        return cut(io::format_date(millis + offset * std::int64_t{1000}), exactness.precision) +
               text::dates::offset_id(offset);
    }
    return std::nullopt;
}

}  // namespace penstock::serve
