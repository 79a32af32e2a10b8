// Numbers in texts, as Java reads them.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace penstock::processors {

/// As Java's parseInt and parseLong (T: std::int32_t, std::int64_t), and with `base` 16 their
/// digits alone: a sign, then digits and nothing else.
template <class T>
std::optional<std::int64_t> parse_java_integer(std::string_view text, bool negative, int base) {
    std::uint64_t magnitude = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    std::uint64_t limit =
        static_cast<std::uint64_t>(std::numeric_limits<T>::max()) + (negative ? 1 : 0);
    if (magnitude > limit) return std::nullopt;
    return static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
}

template <class T>
std::optional<std::int64_t> parse_java_integer(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    return parse_java_integer<T>(text, negative, 10);
}

/// As Java's parseDouble: blanks around it, a last f or d, and hexadecimal digits with an exponent
/// are allowed. Not a number and infinity are not: JSON has no way to write them.
std::optional<double> parse_java_double(std::string_view text);

/// As Java's parseFloat. The double is the one nearest to the shortest decimal that reads back as
/// that float: it prints as the float does (1.1, not 1.10000002).
std::optional<double> parse_java_float(std::string_view text);

}  // namespace penstock::processors
