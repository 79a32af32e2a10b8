// Names of indices with date mathematics: <logs-{now/d}>.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace penstock::serve {

/// The name that `<static{date math{format|zone}}>` stands for at `now`; any other text as it is.
/// The format is `uuuu.MM.dd` and the zone UTC where they are not given; a backslash keeps the
/// meaning from a brace. Throws ApiError 400 (parse_exception) for a name that is none.
std::string resolve_date_math(std::string_view name, std::chrono::system_clock::time_point now);

}  // namespace penstock::serve
