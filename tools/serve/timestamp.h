// Times as the API shows them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace penstock::serve {

/// 2026-01-31T10:20:30.123Z
std::string timestamp(std::chrono::system_clock::time_point time);
std::int64_t milliseconds(std::chrono::system_clock::time_point time);

}  // namespace penstock::serve
