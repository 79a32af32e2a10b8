#include "tools/serve/date_pattern.h"

#include <algorithm>

#include "engine/io/date_math.h"
#include "engine/runtime/error.h"
#include "tools/serve/value_format.h"

namespace penstock::serve {
namespace {

/// "basic_date_time": Elasticsearch's own, no letters of a pattern.
bool is_name(std::string_view format) {
    return format.find('_') != std::string_view::npos;
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

bool has_zone(std::string_view format) {
    if (is_name(format)) return format.find("time") != std::string_view::npos;
    return letters_of(format).find_first_of("XxZzVO") != std::string::npos;
}

}  // namespace

DatePattern::Precision DatePattern::precision_of(std::string_view format) {
    if (is_name(format)) {
        const bool timed = format.find("time") != std::string_view::npos ||
                           format.find("hour") != std::string_view::npos ||
                           format.find("epoch") != std::string_view::npos;
        return timed ? Precision::milli : Precision::day;
    }
    const std::string letters = letters_of(format);
    const auto has = [&](const char* any) {
        return letters.find_first_of(any) != std::string::npos;
    };
    if (has("SnNA")) return Precision::milli;
    if (has("s")) return Precision::second;
    if (has("m")) return Precision::minute;
    return has("HhKk") ? Precision::hour : Precision::day;
}

DatePattern::DatePattern(std::string_view format) {
    if (format.size() > ValueFormat::kMaxBytes)
        throw Error("a format has at most [" + std::to_string(ValueFormat::kMaxBytes) +
                    "] bytes, not [" + std::to_string(format.size()) + "]");
    while (!format.empty()) {
        const std::size_t end = std::min(format.find("||"), format.size());
        const std::string_view one = format.substr(0, end);
        alternatives_.push_back(
            {text::dates::DateFormat::compile(one), precision_of(one), has_zone(one)});
        format.remove_prefix(std::min(end + 2, format.size()));
    }
}

std::optional<std::string> DatePattern::iso(std::string_view text) const {
    for (const Alternative& one : alternatives_) {
        const auto time = one.format.parse(text);
        if (!time) continue;
        std::string whole = io::format_date(time->epoch_milli());
        if (one.zoned) return whole;
        const std::size_t day = whole.find('T');
        switch (one.precision) {
            case Precision::day:
                return whole.substr(0, day);
            case Precision::hour:
                return whole.substr(0, day + 3);
            case Precision::minute:
                return whole.substr(0, day + 6);
            case Precision::second:
                return whole.substr(0, day + 9);
            case Precision::milli:
                return whole.substr(0, day + 13);
        }
    }
    return std::nullopt;
}

}  // namespace penstock::serve
