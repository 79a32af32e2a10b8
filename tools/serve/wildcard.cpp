#include "tools/serve/wildcard.h"

#include <cstddef>

namespace penstock::serve {

bool matches_wildcard(std::string_view pattern, std::string_view name) {
    // Greedy with one way back: the last star takes one character more.
    std::size_t at = 0;
    std::size_t star = std::string_view::npos;
    std::size_t after = 0;
    std::size_t i = 0;
    while (i < name.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            after = i;
        } else if (at < pattern.size() && pattern[at] == name[i]) {
            ++at;
            ++i;
        } else if (star != std::string_view::npos) {
            at = star + 1;
            i = ++after;
        } else {
            return false;
        }
    }
    while (at < pattern.size() && pattern[at] == '*')
        ++at;
    return at == pattern.size();
}

}  // namespace penstock::serve
