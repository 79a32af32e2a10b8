#include "processors/html/stripper.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "processors/html/entities.h"

namespace penstock::processors::html {

namespace {

/// Tags that leave nothing behind; all others leave a line feed.
constexpr std::array<std::string_view, 31> inline_tags = {
    "a",      "abbr", "acronym", "b",        "basefont", "bdo",   "big",   "cite",
    "code",   "dfn",  "em",      "font",     "i",        "img",   "input", "kbd",
    "label",  "q",    "s",       "samp",     "select",   "small", "span",  "strike",
    "strong", "sub",  "sup",     "textarea", "tt",       "u",     "var"};

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}
char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool equal_ignoring_case(std::string_view text, std::string_view lower_text) {
    return std::equal(text.begin(), text.end(), lower_text.begin(), lower_text.end(),
                      [](char a, char b) { return lower(a) == b; });
}

bool is_inline(std::string_view name) {
    return std::any_of(inline_tags.begin(), inline_tags.end(),
                       [&](std::string_view tag) { return equal_ignoring_case(name, tag); });
}

void append_utf8(char32_t character, std::string& out) {
    char bytes[4];
    std::int32_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, static_cast<std::int32_t>(character));
    out.append(bytes, static_cast<std::size_t>(length));
}

class Stripper {
  public:
    Stripper(std::string_view html, std::string& out) : html_(html), out_(out) {}

    void run() {
        while (at_ < html_.size()) {
            std::size_t next = std::min(html_.find_first_of("<&", at_), html_.size());
            out_ += html_.substr(at_, next - at_);
            at_ = next;
            if (at_ == html_.size()) break;
            bool taken = html_[at_] == '&' ? reference() : markup();
            if (!taken) out_ += html_[at_++];
        }
    }

  private:
    static constexpr std::size_t npos = std::string_view::npos;

    std::string_view rest(std::size_t from) const {
        return html_.substr(std::min(from, html_.size()));
    }
    bool has(std::size_t at, std::string_view lower_text) const {
        return equal_ignoring_case(rest(at).substr(0, lower_text.size()), lower_text);
    }
    std::size_t skip_spaces(std::size_t at) const {
        while (at < html_.size() && is_space(html_[at]))
            ++at;
        return at;
    }
    bool go_on(std::size_t at, std::string_view instead = {}) {
        out_ += instead;
        at_ = at;
        return true;
    }

    // ---- character references: true when one was taken

    bool reference() {
        if (rest(at_ + 1).starts_with('#')) return numeric_reference();
        std::size_t end = at_ + 1;
        while (end < html_.size() &&
               (is_digit(html_[end]) || (lower(html_[end]) >= 'a' && lower(html_[end]) <= 'z'))) {
            ++end;
        }
        std::optional<char32_t> character = entity(html_.substr(at_ + 1, end - at_ - 1));
        std::optional<std::size_t> after = end_of_reference(end);
        if (!character || !after) return false;
        append_utf8(*character, out_);
        return go_on(*after);
    }

    /// A reference ends with a semicolon, or with the text.
    std::optional<std::size_t> end_of_reference(std::size_t at) const {
        if (at == html_.size()) return at;
        if (html_[at] == ';') return at + 1;
        return std::nullopt;
    }

    struct Number {
        char32_t value;
        std::size_t end;
    };

    /// At "&#". Seven digits at most, or five hexadecimal ones, as in Lucene.
    std::optional<Number> number(std::size_t at) const {
        if (!rest(at).starts_with("&#")) return std::nullopt;
        std::size_t begin = at + 2;
        bool hex = rest(begin).starts_with('x') || rest(begin).starts_with('X');
        if (hex) ++begin;
        std::size_t end = begin;
        while (end < html_.size() && (hex ? is_hex_digit(html_[end]) : is_digit(html_[end])))
            ++end;
        if (end == begin || end - begin > (hex ? 5 : 7)) return std::nullopt;
        std::uint32_t value = 0;
        std::from_chars(html_.data() + begin, html_.data() + end, value, hex ? 16 : 10);
        if (value > 0x10FFFF) return std::nullopt;
        std::optional<std::size_t> after = end_of_reference(end);
        if (!after) return std::nullopt;
        return Number{value, *after};
    }

    bool numeric_reference() {
        std::optional<Number> first = number(at_);
        if (!first) return false;
        if (first->value < 0xD800 || first->value > 0xDFFF) {
            append_utf8(first->value, out_);
            return go_on(first->end);
        }
        std::optional<Number> second = number(first->end);
        bool pair =
            first->value < 0xDC00 && second && second->value >= 0xDC00 && second->value <= 0xDFFF;
        if (!pair) return go_on(first->end, "\xEF\xBF\xBD");
        append_utf8(0x10000 + ((first->value - 0xD800) << 10) + (second->value - 0xDC00), out_);
        return go_on(second->end);
    }

    // ---- markup: true when it was taken

    bool markup() {
        std::string_view after = rest(at_ + 1);
        if (after.starts_with("!--")) return comment();
        if (after.starts_with("![CDATA[")) return cdata();
        if (after.starts_with('!')) return declaration();
        if (after.starts_with('?')) return instruction();
        if (after.starts_with('/')) return end_tag();
        return start_tag();
    }

    bool comment() {
        std::size_t at = at_ + 4;
        while (at < html_.size() && !has(at, "-->")) {
            at = has(at, "<!--#") ? end_of_include(at + 5) : at + 1;
        }
        return go_on(std::min(at + 3, html_.size()));
    }

    /// Behind the server-side include that is open at `at`.
    std::size_t end_of_include(std::size_t at) const {
        while (at < html_.size()) {
            if (has(at, "-->")) return at + 3;
            at = html_[at] == '"' || html_[at] == '\'' ? end_of_quotes(at) : at + 1;
        }
        return at;
    }

    /// Behind the quoted text that begins at `at`; the end of the text when it is not closed.
    std::size_t end_of_quotes(std::size_t at) const {
        char quote = html_[at++];
        while (at < html_.size() && html_[at] != quote)
            at += html_[at] == '\\' ? 2 : 1;
        return std::min(at + 1, html_.size());
    }

    bool cdata() {
        std::size_t begin = at_ + 9;
        std::size_t end = html_.find("]]>", begin);
        if (end == npos) return go_on(html_.size(), rest(begin));
        return go_on(end + 3, html_.substr(begin, end - begin));
    }

    bool declaration() {
        std::size_t end = html_.find('>', at_);
        if (end == npos) return go_on(html_.size(), rest(at_));
        return go_on(end + 1);
    }

    bool instruction() {
        std::size_t end = html_.find('>', at_);
        if (end == npos || end < at_ + 3 || (html_[end - 1] != '?' && html_[end - 1] != '/'))
            return false;
        return go_on(end + 1);
    }

    std::size_t end_of_name(std::size_t at) const {
        auto size = static_cast<std::int32_t>(html_.size());
        auto here = static_cast<std::int32_t>(at);
        bool first = true;
        while (here < size) {
            std::int32_t next = here;
            UChar32 c = 0;
            U8_NEXT(html_.data(), next, size, c);
            bool allowed =
                c == ':' || c == '_' || (c >= 0 && u_hasBinaryProperty(c, UCHAR_ID_START)) ||
                (!first &&
                 (c == '-' || c == '.' || (c >= 0 && u_hasBinaryProperty(c, UCHAR_ID_CONTINUE))));
            if (!allowed) break;
            here = next;
            first = false;
        }
        return static_cast<std::size_t>(here);
    }

    bool end_tag() {
        std::size_t begin = skip_spaces(at_ + 2);
        std::size_t end = end_of_name(begin);
        if (end == begin) return false;
        if (end == html_.size()) return go_on(end);
        std::size_t close = skip_spaces(end);
        if (close == html_.size() || html_[close] != '>') return false;
        return go_on(close + 1, is_inline(html_.substr(begin, end - begin)) ? "" : "\n");
    }

    bool start_tag() {
        std::size_t begin = skip_spaces(at_ + 1);
        // Lucene goes by how the tag begins here, so that <scripted> is a script too.
        for (std::string_view raw : {std::string_view("script"), std::string_view("style")}) {
            if (!has(begin, raw)) continue;
            std::size_t close = end_of_tag(begin + raw.size());
            if (close != npos) return raw_text(close, raw);
        }
        std::size_t end = end_of_name(begin);
        if (end == begin) return false;
        if (end == html_.size()) return go_on(end);
        std::size_t close = end_of_tag(end);
        if (close == npos) return false;
        return go_on(close, is_inline(html_.substr(begin, end - begin)) ? "" : "\n");
    }

    /// Behind the '>' of the tag whose name ends at `at`; npos when there is none before the next
    /// '<'. Quoted values of attributes may hold both, unless that leads nowhere.
    std::size_t end_of_tag(std::size_t at) const {
        std::size_t here = at;
        while (here < html_.size() && html_[here] != '<' && html_[here] != '>') {
            if (!is_space(html_[here])) {
                ++here;
                continue;
            }
            // Every blank of a run leads to the same attribute, or to none.
            std::size_t attribute = end_of_attribute(here);
            here = attribute == npos ? skip_spaces(here) : attribute;
        }
        if (here < html_.size() && html_[here] == '>') return here + 1;
        here = std::min(html_.find_first_of("<>", at), html_.size());
        return here < html_.size() && html_[here] == '>' ? here + 1 : npos;
    }

    std::size_t end_of_attribute(std::size_t at) const {
        std::size_t begin = skip_spaces(at);
        std::size_t end = end_of_name(begin);
        if (end == begin) return npos;
        end = skip_spaces(end);
        if (end == html_.size() || html_[end] != '=') return npos;
        end = skip_spaces(end + 1);
        if (end == html_.size() || (html_[end] != '"' && html_[end] != '\'')) return npos;
        std::size_t close = end_of_quotes(end);
        return close > end + 1 && html_[close - 1] == html_[end] ? close : npos;
    }

    /// From behind a script or style tag to behind its end tag. Without one, all that follows is
    /// part of it.
    bool raw_text(std::size_t at, std::string_view name) {
        while (at < html_.size()) {
            if (has(at, "<!--")) {
                at = end_of_script_comment(at + 4);
            } else if (std::size_t end = end_of_end_tag(at, name); end != npos) {
                return go_on(end, "\n");
            } else {
                ++at;
            }
        }
        return go_on(html_.size());
    }

    std::size_t end_of_end_tag(std::size_t at, std::string_view name) const {
        if (!has(at, "</")) return npos;
        std::size_t begin = skip_spaces(at + 2);
        if (!has(begin, name)) return npos;
        std::size_t end = skip_spaces(begin + name.size());
        return end < html_.size() && html_[end] == '>' ? end + 1 : npos;
    }

    std::size_t end_of_script_comment(std::size_t at) const {
        while (at < html_.size()) {
            if (has(at, "-->")) return at + 3;
            if (has(at, "<!--#")) {
                at = end_of_include(at + 5);
            } else {
                at = html_[at] == '"' || html_[at] == '\'' ? end_of_quotes(at) : at + 1;
            }
        }
        return at;
    }

    std::string_view html_;
    std::string& out_;
    std::size_t at_ = 0;
};

}  // namespace

void strip(std::string_view html, std::string& out) {
    Stripper(html, out).run();
}

}  // namespace penstock::processors::html
