// UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace penstock::document {

/// Bytes of the character at the start of `text`; 0 when there is none, or no valid one (RFC 3629:
/// no overlong forms, no surrogates, nothing beyond U+10FFFF).
constexpr std::size_t utf8_length(std::string_view text) {
    auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    unsigned first = byte(0);
    if (first < 0x80) return text.empty() ? 0 : 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    if (first < 0xe0) return follows(1) ? 2 : 0;
    if (first < 0xf0) {
        bool second = (first != 0xe0 || byte(1) >= 0xa0) && (first != 0xed || byte(1) < 0xa0);
        return second && follows(1) && follows(2) ? 3 : 0;
    }
    bool second = (first != 0xf0 || byte(1) >= 0x90) && (first != 0xf4 || byte(1) < 0x90);
    return second && follows(1) && follows(2) && follows(3) ? 4 : 0;
}

}  // namespace penstock::document
