#include "engine/text/symbols.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace penstock::text {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// Calls `take(code, begin, end)` for every code point.
template <typename Take>
void each_code_point(std::string_view text, Take take) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    const auto length = static_cast<std::int64_t>(text.size());
    std::int64_t at = 0;
    while (at < length) {
        const std::int64_t begin = at;
        UChar32 code = bytes[at];
        if (code < 0x80) {
            ++at;
        } else {
            U8_NEXT(bytes, at, length, code);
        }
        take(code < 0 ? kReplacement : static_cast<char32_t>(code), begin, at);
    }
}

}  // namespace

void decode(std::string_view text, Symbols& out) {
    out.clear();
    out.reserve(text.size());
    each_code_point(text, [&out](char32_t code, std::int64_t begin, std::int64_t end) {
        out.push_back({code, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
    });
}

std::u32string to_code_points(std::string_view text) {
    std::u32string out;
    out.reserve(text.size());
    each_code_point(text,
                    [&out](char32_t code, std::int64_t, std::int64_t) { out.push_back(code); });
    return out;
}

void append_utf8(char32_t code, std::string& out) {
    std::uint8_t bytes[U8_MAX_LENGTH];
    std::int32_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, static_cast<UChar32>(code));
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

bool is_blank(char32_t code) {
    if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
    return u_isUWhiteSpace(static_cast<UChar32>(code)) != 0;
}

}  // namespace penstock::text
