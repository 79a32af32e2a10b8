#include "engine/text/regex/java_syntax.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/runtime/error.h"

namespace penstock::text::regex {

namespace {

constexpr int deepest_class = 100;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string hex(std::uint32_t value) {
    std::string out;
    do {
        out.insert(out.begin(), "0123456789ABCDEF"[value % 16]);
        value /= 16;
    } while (value > 0);
    return out;
}

/// The character so that it means itself, in a class and outside.
std::string literal(std::uint32_t character) {
    char c = static_cast<char>(character);
    if (character >= 0x7F || character < 0x20) return "\\x{" + hex(character) + "}";
    if (is_letter(c) || is_digit(c) || c == '_') return std::string(1, c);
    return std::string("\\") + c;
}

/// What Java's property names mean, as the inside of a PCRE2 class.
struct Property {
    std::string_view java;
    std::string_view items;
};
constexpr std::array posix_and_java_properties = {
    Property{"Lower", "a-z"},
    Property{"Upper", "A-Z"},
    Property{"ASCII", R"(\x{0}-\x{7F})"},
    Property{"Alpha", "a-zA-Z"},
    Property{"Digit", "0-9"},
    Property{"Alnum", "a-zA-Z0-9"},
    Property{"Punct", R"(!-\/:-@\[-`{-~)"},
    Property{"Graph", "!-~"},
    Property{"Print", R"(\x{20}-~)"},
    Property{"Blank", R"(\x{20}\t)"},
    Property{"Cntrl", R"(\x{0}-\x{1F}\x{7F})"},
    Property{"XDigit", "0-9a-fA-F"},
    Property{"Space", R"(\x{20}\x{9}-\x{D})"},
    Property{"L1", R"(\x{0}-\x{FF})"},
    Property{"all", R"(\x{0}-\x{10FFFF})"},
    Property{"LC", R"(\p{Lu}\p{Ll}\p{Lt})"},
    Property{"javaLowerCase", R"(\p{Lowercase})"},
    Property{"javaUpperCase", R"(\p{Uppercase})"},
    Property{"javaTitleCase", R"(\p{Lt})"},
    Property{"javaAlphabetic", R"(\p{Alphabetic})"},
    Property{"javaIdeographic", R"(\p{Ideographic})"},
    Property{"javaDigit", R"(\p{Nd})"},
    Property{"javaLetter", R"(\p{L})"},
    Property{"javaLetterOrDigit", R"(\p{L}\p{Nd})"},
    Property{"javaSpaceChar", R"(\p{Z})"},
    Property{"javaDefined", R"(\P{Cn})"},
    Property{"javaMirrored", R"(\p{Bidi_Mirrored})"},
    Property{"javaISOControl", R"(\x{0}-\x{1F}\x{7F}-\x{9F})"},
    // Character.isWhitespace: separators but for the no-break ones, and some controls.
    Property{
        "javaWhitespace",
        R"(\x{9}-\x{D}\x{1C}-\x{20}\x{1680}\x{2000}-\x{2006}\x{2008}-\x{200A}\x{2028}\x{2029}\x{205F}\x{3000})"},
};
/// Names after "Is" that PCRE2 calls otherwise; scripts, categories and binary properties have the
/// same names.
constexpr std::array is_properties = {
    Property{"Letter", R"(\p{L})"},   Property{"Titlecase", R"(\p{Lt})"},
    Property{"Digit", R"(\p{Nd})"},   Property{"Punctuation", R"(\p{P})"},
    Property{"Control", R"(\p{Cc})"}, Property{"Assigned", R"(\P{Cn})"},
};

template <std::size_t N>
std::optional<std::string_view> items_of(const std::array<Property, N>& table,
                                         std::string_view name) {
    auto found =
        std::find_if(table.begin(), table.end(), [&](const Property& p) { return p.java == name; });
    if (found == table.end()) return std::nullopt;
    return found->items;
}

/// One character, or a set of them as the inside of a class.
struct Atom {
    std::optional<std::uint32_t> character;
    std::string items;
    bool negated = false;
};

/// \d or \p{L}: needs no brackets around it.
bool is_one_escape(std::string_view items) {
    if (items[0] != '\\') return false;
    return items.size() == 2 || items.find('}') == items.size() - 1;
}

/// A subpattern that matches one character; `items` when it is a class that can be poured into
/// another.
struct OneOf {
    std::string pattern;
    std::string items;
};

class Translator {
  public:
    explicit Translator(std::string_view in) : in_(in) {}

    std::string run() {
        while (!at_end())
            step();
        if (!scopes_.empty()) fail("Unclosed group", in_.size());
        return prefix_ + out_;
    }

  private:
    [[noreturn]] static void fail(const std::string& what, std::size_t index) {
        throw Error(what + " near index " + std::to_string(index));
    }
    bool at_end() const { return at_ == in_.size(); }
    bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }
    bool eat(std::string_view text) {
        if (!next_is(text)) return false;
        at_ += text.size();
        return true;
    }

    void step() {
        switch (in_[at_]) {
            case '\\':
                return escape();
            case '[':
                out_ += char_class(0).pattern;
                return;
            case '(':
                return open_group();
            case ')':
                return close_group();
            case '{':
                return counted_repetition();
            case '#':
                if (comments_) return skip_comment();
                break;
            default:
                break;
        }
        out_ += in_[at_++];
    }

    void skip_comment() {
        while (!at_end() && in_[at_] != '\n' && in_[at_] != '\r')
            ++at_;
    }

    void counted_repetition() {
        std::size_t end = at_ + 1;
        auto digits = [&] {
            std::size_t begin = end;
            while (end < in_.size() && is_digit(in_[end]))
                ++end;
            return end > begin;
        };
        bool good = digits();
        if (good && end < in_.size() && in_[end] == ',') {
            ++end;
            digits();
        }
        if (!good || end == in_.size() || in_[end] != '}') fail("Illegal repetition", at_);
        out_ += in_.substr(at_, end + 1 - at_);
        at_ = end + 1;
    }

    // ---- groups

    void open_group() {
        std::size_t begin = at_++;
        if (next_is("*")) fail("Dangling meta character '*'", at_);
        if (!eat("?")) {
            ++groups_;
        } else if (eat("<=") || eat("<!") || eat(":") || eat("=") || eat("!") || eat(">")) {
        } else if (eat("<")) {
            group_name(begin);
            ++groups_;
        } else {
            return inline_flags();
        }
        scopes_.push_back(comments_);
        out_ += in_.substr(begin, at_ - begin);
    }

    void group_name(std::size_t begin) {
        if (at_end() || !is_letter(in_[at_])) fail("Unknown look-behind group", begin);
        while (!at_end() && (is_letter(in_[at_]) || is_digit(in_[at_])))
            ++at_;
        if (!eat(">")) fail("named capturing group is missing trailing '>'", at_);
    }

    void close_group() {
        if (scopes_.empty()) fail("Unmatched closing ')'", at_);
        comments_ = scopes_.back();
        scopes_.pop_back();
        out_ += in_[at_++];
    }

    /// (?i) and (?i:, behind the question mark.
    void inline_flags() {
        std::string on = flags(true);
        std::string off = eat("-") ? flags(false) : std::string();
        bool comments = on.find('x') != std::string::npos    ? true
                        : off.find('x') != std::string::npos ? false
                                                             : comments_;
        std::string all = off.empty() ? on : on + "-" + off;
        if (eat(":")) {
            scopes_.push_back(comments_);
            out_ += "(?" + all + ":";
        } else if (eat(")")) {
            if (!all.empty()) out_ += "(?" + all + ")";
        } else if (at_end()) {
            fail("Unclosed group", at_);
        } else {
            fail("Unknown inline modifier", at_);
        }
        comments_ = comments;
    }

    std::string flags(bool on) {
        std::string perl;
        for (; !at_end() && is_letter(in_[at_]); ++at_) {
            switch (in_[at_]) {
                case 'i':
                case 'm':
                case 's':
                    perl += in_[at_];
                    break;
                case 'x':
                    perl += "xx";
                    break;  // blanks in classes are ignored too
                case 'u':
                    break;
                case 'd':
                    if (on) whole_pattern('d', "(*LF)");
                    break;
                case 'U':
                    if (on) whole_pattern('U', "(*UCP)");
                    break;
                default:
                    fail("Unknown inline modifier", at_);
            }
        }
        return perl;
    }

    void whole_pattern(char flag, std::string_view verb) {
        if (!out_.empty() || !scopes_.empty()) {
            fail(std::string("the flag (?") + flag +
                     ") is supported at the start of the pattern only",
                 at_);
        }
        prefix_ += verb;
    }

    // ---- escapes

    void escape() {
        std::size_t begin = at_;
        if (at_ + 1 == in_.size()) fail("A backslash ends the pattern", at_);
        char c = in_[at_ + 1];
        if (c >= '1' && c <= '9') return back_reference();
        if (eat("\\Q")) {
            quoted([this](std::uint32_t character) { out_ += literal(character); });
            return;
        }
        if (eat("\\k<")) {
            group_name(begin);
            out_ += in_.substr(begin, at_ - begin);
            return;
        }
        if (std::string_view("bBAGZzRX").find(c) != std::string_view::npos) {
            at_ += 2;
            if (c == 'b' && next_is("{"))
                fail("boundaries of the kind \\b{g} are not supported", begin);
            out_ += in_.substr(begin, 2);
            return;
        }
        Atom atom = escaped();
        if (atom.character) {
            out_ += literal(*atom.character);
        } else if (!atom.negated && is_one_escape(atom.items)) {
            out_ += atom.items;
        } else {
            out_ += (atom.negated ? "[^" : "[") + atom.items + "]";
        }
    }

    void back_reference() {
        auto group = static_cast<std::size_t>(in_[at_ + 1] - '0');
        at_ += 2;
        // As Java: as many digits as make a group that is open or closed already.
        for (; !at_end() && is_digit(in_[at_]); ++at_) {
            std::size_t longer = group * 10 + static_cast<std::size_t>(in_[at_] - '0');
            if (longer > groups_) break;
            group = longer;
        }
        out_ += "\\g{" + std::to_string(group) + "}";
    }

    /// Up to \E or the end of the pattern.
    template <class Use>
    void quoted(Use use) {
        while (!at_end() && !eat("\\E"))
            use(character());
    }

    /// A character as it stands.
    std::uint32_t character() {
        auto first = static_cast<unsigned char>(in_[at_++]);
        if (first < 0xC0) return first;
        int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
        std::uint32_t value = first & (0x3Fu >> more);
        for (; more > 0 && !at_end(); --more)
            value = value << 6 | (static_cast<unsigned char>(in_[at_++]) & 0x3Fu);
        return value;
    }

    /// An escape that stands for a character or a set of them; in a class or not.
    Atom escaped() {
        std::size_t begin = at_++;
        if (at_end()) fail("Unclosed character class", in_.size() - 1);
        char c = in_[at_];
        if (static_cast<unsigned char>(c) >= 0x80) return {character(), {}};
        ++at_;
        switch (c) {
            case '0':
                return {octal(begin), {}};
            case 'x':
                return {hexadecimal(begin), {}};
            case 'u':
                return {utf16(begin), {}};
            case 'a':
                return {0x07u, {}};
            case 'e':
                return {0x1Bu, {}};
            case 'f':
                return {0x0Cu, {}};
            case 'n':
                return {0x0Au, {}};
            case 'r':
                return {0x0Du, {}};
            case 't':
                return {0x09u, {}};
            case 'c':
                if (at_end()) fail("Illegal control escape sequence", begin);
                return {character() ^ 64u, {}};
            case 'd':
            case 'D':
            case 's':
            case 'S':
            case 'w':
            case 'W':
            case 'h':
            case 'H':
            case 'v':
            case 'V':
                return {std::nullopt, std::string("\\") + c};
            case 'p':
            case 'P':
                return property(c == 'P', begin);
            default:
                if (is_letter(c) || is_digit(c))
                    fail("Illegal/unsupported escape sequence", begin + 1);
                return {static_cast<std::uint32_t>(c), {}};
        }
    }

    /// Up to three digits, up to 0377.
    std::uint32_t octal(std::size_t begin) {
        std::uint32_t value = 0;
        std::size_t first = at_;
        for (; !at_end() && in_[at_] >= '0' && in_[at_] <= '7'; ++at_) {
            std::uint32_t longer = value * 8 + static_cast<std::uint32_t>(in_[at_] - '0');
            if (at_ - first == 3 || longer > 0377) break;
            value = longer;
        }
        if (at_ == first) fail("Illegal octal escape sequence", begin);
        return value;
    }

    /// `count` hexadecimal digits.
    std::optional<std::uint32_t> digits(std::size_t count) {
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < count; ++i) {
            int digit = at_ + i < in_.size() ? hex_value(in_[at_ + i]) : -1;
            if (digit < 0) return std::nullopt;
            value = value * 16 + static_cast<std::uint32_t>(digit);
        }
        at_ += count;
        return value;
    }

    std::uint32_t hexadecimal(std::size_t begin) {
        std::optional<std::uint32_t> value;
        if (eat("{")) {
            std::size_t end = in_.find('}', at_);
            if (end == std::string_view::npos) fail("Unclosed hexadecimal escape sequence", begin);
            if (end > at_ && end - at_ <= 6) value = digits(end - at_);
            if (!value || *value > 0x10FFFF || !eat("}"))
                fail("Illegal hexadecimal escape sequence", begin);
        } else {
            value = digits(2);
            if (!value) fail("Illegal hexadecimal escape sequence", begin);
        }
        return no_surrogate(*value, begin);
    }

    std::uint32_t utf16(std::size_t begin) {
        std::optional<std::uint32_t> high = digits(4);
        if (!high) fail("Illegal Unicode escape sequence", begin);
        if (*high >= 0xD800 && *high < 0xDC00 && eat("\\u")) {
            std::optional<std::uint32_t> low = digits(4);
            if (!low) fail("Illegal Unicode escape sequence", begin);
            if (*low >= 0xDC00 && *low < 0xE000)
                return 0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00);
        }
        return no_surrogate(*high, begin);
    }

    static std::uint32_t no_surrogate(std::uint32_t value, std::size_t begin) {
        if (value >= 0xD800 && value < 0xE000) {
            fail("half of a surrogate pair matches nothing; write the character or \\x{1F600}",
                 begin);
        }
        return value;
    }

    Atom property(bool negated, std::size_t begin) {
        std::string_view name;
        if (eat("{")) {
            std::size_t end = in_.find('}', at_);
            if (end == std::string_view::npos) fail("Unclosed character family", in_.size() - 1);
            name = in_.substr(at_, end - at_);
            at_ = end + 1;
        } else if (!at_end()) {
            name = in_.substr(at_++, 1);
        }
        std::string_view all = name;
        if (std::optional<std::string_view> items = items_of(posix_and_java_properties, name)) {
            return {std::nullopt, std::string(*items), negated};
        }
        std::size_t equals = name.find('=');
        if (equals != std::string_view::npos) {
            std::string_view key = name.substr(0, equals);
            if (key == "script" || key == "sc" || key == "general_category" || key == "gc") {
                name.remove_prefix(equals + 1);
            } else if (key == "block" || key == "blk") {
                no_blocks(all, begin);
            }
        } else if (name.starts_with("Is")) {
            name.remove_prefix(2);
            if (std::optional<std::string_view> items = items_of(is_properties, name)) {
                return {std::nullopt, std::string(*items), negated};
            }
        } else if (name.starts_with("In")) {
            no_blocks(all, begin);
        }
        bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
            return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == ' ';
        });
        if (!plain) fail("Unknown character property name {" + std::string(all) + "}", begin);
        return {std::nullopt, std::string(negated ? "\\P{" : "\\p{") + std::string(name) + "}"};
    }

    [[noreturn]] static void no_blocks(std::string_view name, std::size_t begin) {
        fail("Unicode blocks are not supported: write {" + std::string(name) +
                 "} as a range of characters, like [\\x{370}-\\x{3FF}]",
             begin);
    }

    // ---- classes

    /// The operands of && so far, and what is gathered for the next one.
    struct Class {
        std::vector<std::string> operands;
        std::string items;
        std::vector<std::string> others;

        bool empty() const { return operands.empty() && items.empty() && others.empty(); }
        void add(OneOf&& one) {
            if (one.items.empty()) {
                others.push_back(std::move(one.pattern));
            } else {
                items += one.items;
            }
        }
        void end_operand() {
            if (!items.empty()) others.insert(others.begin(), "[" + items + "]");
            if (others.empty()) return;
            std::string pattern = std::move(others.front());
            for (std::size_t i = 1; i < others.size(); ++i)
                pattern += "|" + others[i];
            operands.push_back(others.size() == 1 ? pattern : "(?:" + pattern + ")");
            items.clear();
            others.clear();
        }
    };

    OneOf char_class(int depth) {
        std::size_t begin = at_;
        if (depth > deepest_class) fail("Nested too deeply: character class", begin);
        ++at_;
        bool negated = eat("^");
        Class result;
        while (true) {
            if (at_end()) fail("Unclosed character class", in_.size() - 1);
            if (in_[at_] == ']' && !result.empty()) break;
            if (comments_ && is_space(in_[at_])) {
                ++at_;
            } else if (comments_ && in_[at_] == '#') {
                skip_comment();
            } else if (in_[at_] == '[') {
                result.add(char_class(depth + 1));
            } else if (eat("&&")) {
                result.end_operand();
            } else if (eat("\\Q")) {
                quoted([&](std::uint32_t c) { result.items += literal(c); });
            } else {
                class_item(result);
            }
        }
        ++at_;
        return finish(result, negated, begin);
    }

    static OneOf finish(Class& result, bool negated, std::size_t begin) {
        if (result.operands.empty() && result.others.empty()) {
            if (negated) return {"[^" + result.items + "]", {}};
            return {"[" + result.items + "]", result.items};
        }
        result.end_operand();
        if (result.operands.empty()) fail("Bad class syntax", begin);
        std::string pattern;
        for (std::size_t i = 0; i + 1 < result.operands.size(); ++i)
            pattern += "(?=" + result.operands[i] + ")";
        pattern += result.operands.back();
        if (negated) return {"(?:(?!" + pattern + ")(?s:.))", {}};
        return {"(?:" + pattern + ")", {}};
    }

    Atom class_atom() {
        if (in_[at_] == '\\') return escaped();
        return {character(), {}};
    }

    void class_item(Class& result) {
        std::size_t begin = at_;
        Atom low = class_atom();
        bool range = low.character && at_ + 1 < in_.size() && in_[at_] == '-' &&
                     in_[at_ + 1] != ']' && in_[at_ + 1] != '[' &&
                     !in_.substr(at_ + 1).starts_with("&&");
        if (!range) return add_atom(result, low);
        ++at_;
        Atom high = class_atom();
        if (!high.character) {
            add_atom(result, low);
            result.items += "\\-";
            return add_atom(result, high);
        }
        if (*high.character < *low.character) fail("Illegal character range", begin);
        result.items += literal(*low.character) + "-" + literal(*high.character);
    }

    static void add_atom(Class& result, const Atom& atom) {
        if (atom.character) {
            result.items += literal(*atom.character);
        } else if (atom.negated) {
            result.others.push_back("[^" + atom.items + "]");
        } else {
            result.items += atom.items;
        }
    }

    std::string_view in_;
    std::size_t at_ = 0;
    std::string out_;
    std::string prefix_;        // verbs that PCRE2 wants first
    std::size_t groups_ = 0;    // capturing groups opened so far
    bool comments_ = false;     // the flag x
    std::vector<bool> scopes_;  // comments_ outside of each open group
};

}  // namespace

std::string from_java(std::string_view pattern) {
    return Translator(pattern).run();
}

std::optional<std::string> literal_of(std::string_view pattern) {
    constexpr std::string_view special = "\\^$.|?*+()[{";
    constexpr std::string_view escapes = "tnr";
    constexpr std::string_view escaped = "\t\n\r";
    std::string text;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        char c = pattern[i];
        if (c == '\\' && ++i < pattern.size()) {
            c = pattern[i];
            std::size_t known = escapes.find(c);
            bool punctuation = c > ' ' && c < 0x7f && !is_letter(c) && !is_digit(c);
            if (known == std::string_view::npos && !punctuation) return std::nullopt;
            if (known != std::string_view::npos) c = escaped[known];
        } else if (special.find(c) != std::string_view::npos) {
            return std::nullopt;
        }
        text += c;
    }
    if (text.empty()) return std::nullopt;
    return text;
}

}  // namespace penstock::text::regex
