// Names by pattern.
#pragma once

#include <string_view>

namespace penstock::serve {

/// `*` for any characters, none too.
bool matches_wildcard(std::string_view pattern, std::string_view name);

}  // namespace penstock::serve
