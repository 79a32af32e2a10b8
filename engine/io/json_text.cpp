#include "engine/io/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace penstock::io {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Length of the UTF-8 sequence at `pos`, 0 when it is not one (RFC 3629).
std::size_t utf8_length(std::string_view text, std::size_t pos) {
    const auto byte = [&](std::size_t i) -> unsigned {
        return pos + i < text.size() ? static_cast<unsigned char>(text[pos + i]) : 0U;
    };
    const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned lead = byte(0);
    if (lead < 0x80U) return 1;
    if (lead < 0xC2U || lead > 0xF4U || !follows(1)) return 0;
    if (lead < 0xE0U) return 2;
    if (!follows(2)) return 0;
    if (lead < 0xF0U) {
        if (lead == 0xE0U && byte(1) < 0xA0U) return 0;
        return lead == 0xEDU && byte(1) > 0x9FU ? 0 : 3;
    }
    if (!follows(3) || (lead == 0xF0U && byte(1) < 0x90U) || (lead == 0xF4U && byte(1) > 0x8FU))
        return 0;
    return 4;
}

void append_utf8(std::string& out, unsigned code) {
    const auto put = [&](unsigned byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80U) {
        put(code);
    } else if (code < 0x800U) {
        put(0xC0U | (code >> 6U));
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000U) {
        put(0xE0U | (code >> 12U));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | (code >> 18U));
        put(0x80U | ((code >> 12U) & 0x3FU));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
}

/// The four hexadecimal digits at `pos`; the caller has a validated string.
unsigned hex4(std::string_view raw, std::size_t pos) {
    unsigned code = 0;
    for (std::size_t i = 0; i < 4 && pos + i < raw.size(); ++i) {
        code = code * 16U + static_cast<unsigned>(hex_value(raw[pos + i]));
    }
    return code;
}

/// An exponent that no reader counts to.
bool is_beyond(std::string_view exponent) {
    constexpr std::uint64_t most = 2'000'000'000;
    std::uint64_t value = 0;
    const auto read = std::from_chars(exponent.data(), exponent.data() + exponent.size(), value);
    return read.ec != std::errc() || value > most;
}

constexpr bool is_surrogate(unsigned code) {
    return code >= 0xD800U && code < 0xE000U;
}
constexpr bool is_leading_surrogate(unsigned code) {
    return code >= 0xD800U && code < 0xDC00U;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    out.push_back('"');
    std::size_t plain = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        out.append(text, plain, i - plain);
        plain = i + 1;
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default: {
                char code[8];
                std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
                out += code;
            }
        }
    }
    out.append(text, plain);
    out.push_back('"');
}

bool is_valid_utf8(std::string_view text) {
    for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t length = utf8_length(text, pos);
        if (length == 0) return false;
        pos += length;
    }
    return true;
}

std::string base64(std::string_view bytes, bool url_safe) {
    static constexpr char kStandard[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static constexpr char kUrlSafe[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char* alphabet = url_safe ? kUrlSafe : kStandard;
    std::string out;
    out.reserve((bytes.size() * 4 + 2) / 3);
    std::uint32_t bits = 0;
    int held = 0;
    for (const char byte : bytes) {
        bits = (bits << 8U) | static_cast<unsigned char>(byte);
        for (held += 8; held >= 6; held -= 6)
            out.push_back(alphabet[(bits >> static_cast<unsigned>(held - 6)) & 63U]);
    }
    if (held > 0) out.push_back(alphabet[(bits << static_cast<unsigned>(6 - held)) & 63U]);
    while (!url_safe && out.size() % 4 != 0)
        out.push_back('=');
    return out;
}

std::string timestamp_now() {
    const auto now = std::chrono::system_clock::now();
    const auto millis =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    const std::time_t seconds = static_cast<std::time_t>(millis / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 64> text{};
    const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text.data() + size, text.size() - size, ".%03dZ",
                  static_cast<int>(millis % 1000));
    return text.data();
}

std::string unescape(std::string_view raw) {
    std::string out;
    out.reserve(raw.size());
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '\\' || i + 1 >= raw.size()) {
            out.push_back(raw[i]);
            continue;
        }
        switch (const char c = raw[++i]) {
            case 'n':
                out.push_back('\n');
                break;
            case 't':
                out.push_back('\t');
                break;
            case 'r':
                out.push_back('\r');
                break;
            case 'b':
                out.push_back('\b');
                break;
            case 'f':
                out.push_back('\f');
                break;
            case 'u': {
                unsigned code = hex4(raw, i + 1);
                i += 4;
                if (is_surrogate(code)) {
                    const unsigned second = hex4(raw, i + 3);
                    const bool pair = is_leading_surrogate(code) && raw.substr(i + 1, 2) == "\\u" &&
                                      is_surrogate(second) && !is_leading_surrogate(second);
                    if (pair) {
                        code = 0x10000U + ((code - 0xD800U) << 10U) + (second - 0xDC00U);
                        i += 6;
                    } else {
                        code = 0xFFFDU;
                    }
                }
                append_utf8(out, code);
                break;
            }
            default:
                out.push_back(c);
        }
    }
    return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
    while (text.ends_with('='))
        text.remove_suffix(1);
    std::string out;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        unsigned value = 0;
        if (c >= 'A' && c <= 'Z') {
            value = static_cast<unsigned>(c - 'A');
        } else if (c >= 'a' && c <= 'z') {
            value = static_cast<unsigned>(c - 'a') + 26U;
        } else if (is_digit(c)) {
            value = static_cast<unsigned>(c - '0') + 52U;
        } else if (c == '+' || c == '-') {
            value = 62;
        } else if (c == '/' || c == '_') {
            value = 63;
        } else {
            return std::nullopt;
        }
        bits = (bits << 6U) | value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out.push_back(static_cast<char>((bits >> held) & 0xFFU));
        }
    }
    return out;
}

std::optional<FlatObject> parse_flat(std::string_view text) {
    FlatObject object;
    JsonCursor cursor(text);
    bool first = true;
    std::string_view key;
    if (cursor.kind() != JsonCursor::Kind::object || !cursor.enter()) return std::nullopt;
    while (cursor.next_member(first, key)) {
        std::string& value = object[unescape(key)];
        if (cursor.kind() == JsonCursor::Kind::string) {
            value = unescape(cursor.string());
        } else {
            cursor.kind();
            const std::size_t begin = cursor.offset();
            cursor.skip();
            value = text.substr(begin, cursor.offset() - begin);
        }
    }
    if (!cursor.finished()) return std::nullopt;
    return object;
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
    append_json_string(out, name);
    out.push_back(':');
    append_json_string(out, text);
    out.push_back(',');
}

void append_member(std::string& out, std::string_view name, std::int64_t number) {
    append_json_string(out, name);
    out.push_back(':');
    out += std::to_string(number);
    out.push_back(',');
}

void finish_object(std::string& out) {
    if (out.back() == ',') {
        out.back() = '}';
    } else {
        out.push_back('}');
    }
}

void JsonCursor::white_space() {
    while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\n' ||
                                   text_[pos_] == '\t' || text_[pos_] == '\r')) {
        ++pos_;
    }
}

bool JsonCursor::fail(const char* what) {
    if (error_.empty()) error_ = std::string(what) + " at byte " + std::to_string(pos_);
    pos_ = text_.size();
    return false;
}

bool JsonCursor::expect(char c, const char* what) {
    white_space();
    if (pos_ >= text_.size() || text_[pos_] != c) return fail(what);
    ++pos_;
    return true;
}

JsonCursor::Kind JsonCursor::kind() {
    white_space();
    if (pos_ >= text_.size()) return Kind::none;
    switch (text_[pos_]) {
        case '{':
            return Kind::object;
        case '[':
            return Kind::array;
        case '"':
            return Kind::string;
        case 't':
        case 'f':
            return Kind::boolean;
        case 'n':
            return Kind::null;
        default:
            return text_[pos_] == '-' || is_digit(text_[pos_]) ? Kind::number : Kind::none;
    }
}

bool JsonCursor::enter() {
    const Kind what = kind();
    if (what != Kind::object && what != Kind::array) return fail("expected an object or an array");
    if (++depth_ > kMaxDepth) return fail("nested too deep");
    ++pos_;
    return true;
}

bool JsonCursor::separator(bool& first, char close) {
    white_space();
    if (pos_ >= text_.size()) return fail("unexpected end");
    if (text_[pos_] == close) {
        ++pos_;
        --depth_;
        return false;
    }
    if (!first) {
        if (!expect(',', "expected a comma or a closing bracket")) return false;
        white_space();
        if (pos_ < text_.size() && text_[pos_] == close)
            return fail("a comma before a closing bracket");
    }
    first = false;
    return ok();
}

bool JsonCursor::next_member(bool& first, std::string_view& raw_key) {
    if (!ok() || !separator(first, '}')) return false;
    if (kind() != Kind::string) return fail("expected a member name");
    raw_key = string();
    return ok() && expect(':', "expected a colon");
}

bool JsonCursor::next_element(bool& first) {
    return ok() && separator(first, ']');
}

/// The code behind a `\u` that was passed; the cursor is moved behind it.
unsigned JsonCursor::unicode_escape() {
    const std::size_t begin = pos_;
    for (int i = 0; i < 4; ++i, ++pos_) {
        if (pos_ >= text_.size() || hex_value(text_[pos_]) < 0) {
            fail("a \\u escape without four hexadecimal digits");
            return 0;
        }
    }
    return hex4(text_, begin);
}

void JsonCursor::escape() {
    ++pos_;
    const char c = pos_ < text_.size() ? text_[pos_] : '\0';
    ++pos_;
    if (c == 'u') {
        const unsigned code = unicode_escape();
        if (check_ == Check::syntax || !is_surrogate(code)) return;
        bool pair = is_leading_surrogate(code) && text_.substr(pos_, 2) == "\\u";
        if (pair) {
            pos_ += 2;
            const unsigned second = unicode_escape();
            pair = is_surrogate(second) && !is_leading_surrogate(second);
        }
        if (!pair) fail("a lone surrogate in a \\u escape");
    } else if (c == '\0' || std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) {
        fail("an unknown escape in a string");
    }
}

std::string_view JsonCursor::string() {
    if (kind() != Kind::string) {
        fail("expected a string");
        return {};
    }
    const std::size_t begin = ++pos_;
    while (pos_ < text_.size()) {
        const auto c = static_cast<unsigned char>(text_[pos_]);
        if (c == '"') return text_.substr(begin, pos_++ - begin);
        if (c == '\\') {
            escape();
        } else if (c < 0x20) {
            fail("a control character inside a string");
        } else if (c < 0x80) {
            ++pos_;
        } else {
            const std::size_t length = utf8_length(text_, pos_);
            if (length == 0) fail("invalid UTF-8");
            pos_ += length;
        }
    }
    fail("a string without its closing quote");
    return {};
}

std::string_view JsonCursor::number() {
    if (kind() != Kind::number) {
        fail("expected a number");
        return {};
    }
    const std::size_t begin = pos_;
    const auto digits = [&] {
        const std::size_t from = pos_;
        while (pos_ < text_.size() && is_digit(text_[pos_]))
            ++pos_;
        return pos_ > from;
    };
    if (text_[pos_] == '-') ++pos_;
    const bool zero = pos_ < text_.size() && text_[pos_] == '0';
    const std::size_t whole = pos_;
    bool good = digits() && !(zero && pos_ - whole > 1);
    if (good && pos_ < text_.size() && text_[pos_] == '.') {
        ++pos_;
        good = digits();
    }
    if (good && pos_ < text_.size() && (text_[pos_] == 'e' || text_[pos_] == 'E')) {
        ++pos_;
        if (pos_ < text_.size() && (text_[pos_] == '+' || text_[pos_] == '-')) ++pos_;
        const std::size_t exponent = pos_;
        good = digits();
        if (good && check_ == Check::values && is_beyond(text_.substr(exponent, pos_ - exponent)))
            fail("a number whose exponent is out of range");
    }
    if (!good) {
        fail("a malformed number");
        return {};
    }
    return text_.substr(begin, pos_ - begin);
}

void JsonCursor::literal(std::string_view word) {
    if (text_.substr(pos_, word.size()) != word) {
        fail("an unknown word");
        return;
    }
    pos_ += word.size();
}

void JsonCursor::skip() {
    bool first = true;
    std::string_view key;
    switch (kind()) {
        case Kind::object:
            if (!enter()) return;
            while (next_member(first, key))
                skip();
            break;
        case Kind::array:
            if (!enter()) return;
            while (next_element(first))
                skip();
            break;
        case Kind::string:
            string();
            break;
        case Kind::number:
            number();
            break;
        case Kind::boolean:
            literal(text_[pos_] == 't' ? "true" : "false");
            break;
        case Kind::null:
            literal("null");
            break;
        case Kind::none:
            fail(pos_ >= text_.size() ? "unexpected end" : "expected a value");
    }
}

bool JsonCursor::finished() {
    white_space();
    return ok() && pos_ == text_.size();
}

}  // namespace penstock::io
