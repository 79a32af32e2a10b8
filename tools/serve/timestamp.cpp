#include "tools/serve/timestamp.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace penstock::serve {

std::int64_t milliseconds(std::chrono::system_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::string timestamp(std::chrono::system_clock::time_point time) {
    const std::int64_t millis = milliseconds(time);
    const auto seconds = static_cast<std::time_t>(millis / 1000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                  parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                  parts.tm_min, parts.tm_sec, static_cast<int>(millis % 1000));
    return text.data();
}

}  // namespace penstock::serve
