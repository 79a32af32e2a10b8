#include "processors/number_text.h"

#include <cstdlib>
#include <string>

namespace penstock::processors {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// What parse_java_double and parse_java_float have in common.
template <class T>
std::optional<T> parse_java_floating(std::string_view text) {
    auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    bool hex = text.starts_with("0x") || text.starts_with("0X");
    if (hex) {
        text.remove_prefix(2);
        if (text.find_first_of("pP") == std::string_view::npos) return std::nullopt;
    }
    if (!text.empty() && std::string_view("fFdD").find(text.back()) != std::string_view::npos) {
        text.remove_suffix(1);
    }
    // from_chars would read "inf" and "nan" too.
    bool number = !text.empty() && (is_digit(text[0]) || text[0] == '.' || hex);
    if (!number) return std::nullopt;
    T value = 0;
    auto format = hex ? std::chars_format::hex : std::chars_format::general;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, format);
    if (end != text.data() + text.size()) return std::nullopt;
    if (error == std::errc::result_out_of_range) {
        // Too large or too small; only strtod tells which, and too small is zero.
        std::string copy = (hex ? "0x" : "") + std::string(text);
        if (std::strtod(copy.c_str(), nullptr) > 1) return std::nullopt;
        value = 0;
    } else if (error != std::errc()) {
        return std::nullopt;
    }
    return negative ? -value : value;
}

}  // namespace

std::optional<double> parse_java_double(std::string_view text) {
    return parse_java_floating<double>(text);
}

std::optional<double> parse_java_float(std::string_view text) {
    std::optional<float> value = parse_java_floating<float>(text);
    if (!value) return std::nullopt;
    char shortest[64];
    char* end = std::to_chars(shortest, shortest + sizeof shortest, *value).ptr;
    double nearest = 0;
    std::from_chars(shortest, end, nearest);
    return nearest;
}

}  // namespace penstock::processors
