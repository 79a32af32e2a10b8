#include <optional>

#include "processors/builtin.h"
#include "processors/string_processor.h"

namespace penstock::processors {

using document::Arena;
using document::Result;
using document::Value;

namespace {

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The length of the well-formed UTF-8 character at the start of `bytes`; or, negative, how many
/// bytes of a broken one stand for one replacement character (the longest start of a character, or
/// a single byte; Unicode 3.9, as in Java).
int measure(std::string_view bytes) {
    auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    unsigned char first = at(0);
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return -1;
    int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    for (int i = 1; i < length; ++i) {
        if (static_cast<std::size_t>(i) == bytes.size()) return -i;
        unsigned char low = 0x80;
        unsigned char high = 0xBF;
        if (i == 1 && first == 0xE0) low = 0xA0;
        if (i == 1 && first == 0xED) high = 0x9F;
        if (i == 1 && first == 0xF0) low = 0x90;
        if (i == 1 && first == 0xF4) high = 0x8F;
        if (at(static_cast<std::size_t>(i)) < low || at(static_cast<std::size_t>(i)) > high)
            return -i;
    }
    return length;
}

void append_utf8(std::string_view bytes, std::string& out) {
    while (!bytes.empty()) {
        int length = measure(bytes);
        auto count = static_cast<std::size_t>(length < 0 ? -length : length);
        out += length < 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(0, count);
        bytes.remove_prefix(count);
    }
}

document::Failure bad_escape(std::string_view digits) {
    if (digits[0] == '-' && hex_value(digits[1]) >= 0) {
        return document::failure(
            "URLDecoder: Illegal hex characters in escape (%) pattern - negative value");
    }
    std::size_t at = hex_value(digits[0]) >= 0 || digits[0] == '+' ? 1 : 0;
    return document::failure(
        "URLDecoder: Illegal hex characters in escape (%) pattern - Error at index " +
        std::to_string(at) + " in: \"" + std::string(digits) + "\"");
}

/// As java.net.URLDecoder with UTF-8: neighbouring escapes are decoded together.
Result<Value> decode(std::string_view text, Arena& arena) {
    if (text.find_first_of("%+") == std::string_view::npos) return Value::string(text);
    std::string out;
    std::string bytes;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] != '%') {
            out += text[at] == '+' ? ' ' : text[at];
            ++at;
            continue;
        }
        bytes.clear();
        for (; at < text.size() && text[at] == '%'; at += 3) {
            if (at + 2 >= text.size()) {
                return document::failure("URLDecoder: Incomplete trailing escape (%) pattern");
            }
            int high = hex_value(text[at + 1]);
            int low = hex_value(text[at + 2]);
            if (high < 0 || low < 0) return bad_escape(text.substr(at + 1, 2));
            bytes += static_cast<char>(high * 16 + low);
        }
        append_utf8(bytes, out);
    }
    return Value::string(out, arena);
}

}  // namespace

pipeline::ProcessorSpec urldecode() {
    return {
        .name = "urldecode",
        .summary = "Decodes %XX escapes, and + to a blank.",
        .description =
            "As Java's `URLDecoder` with UTF-8: bytes that are not UTF-8 become U+FFFD, an "
            "incomplete or wrong escape "
            "fails. A list is decoded element by element.",
        .options = string_processor_options(),
        .examples = {{"{field: query}", R"({"query":"caf%C3%A9+noir"})",
                      R"({"query":"café noir"})"},
                     {"{field: query}", R"({"query":"50%"})", "",
                      "URLDecoder: Incomplete trailing escape (%) pattern"}},
        .compile =
            [](const pipeline::Config& config) { return make_string_processor(config, decode); },
    };
}

}  // namespace penstock::processors
