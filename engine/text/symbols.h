// Text as code points that remember which bytes of the original text they came from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::text {

/// One code point of a (normalised) text and the half-open byte range of the original text that it
/// stands for. A code point that a normaliser inserts has an empty range.
struct Symbol {
    char32_t code = 0;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
};

using Symbols = std::vector<Symbol>;
using SymbolSpan = std::span<const Symbol>;

/// Replaces `out` by the code points of UTF-8 `text`. Ill-formed bytes become U+FFFD.
void decode(std::string_view text, Symbols& out);

/// The code points of UTF-8 `text` alone, for patterns and vocabularies.
std::u32string to_code_points(std::string_view text);

void append_utf8(char32_t code, std::string& out);

/// Unicode's White_Space property.
bool is_blank(char32_t code);

}  // namespace penstock::text
