/*
 * A small JSON value for plugins that bring no JSON library: enough to read options and to build
 * values. C++17, header only, part of the optional C++ layer (penstock_plugin.hpp includes it).
 */
#ifndef PENSTOCK_JSON_HPP
#define PENSTOCK_JSON_HPP

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock_sdk {

/// One JSON value. Objects keep the order of their members; numbers that neither an int64 nor a
/// double can hold keep their text. A plain value type: not shared, no thread-safety of its own.
class Json {
  public:
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;

    Json() = default;
    Json(std::nullptr_t) {}
    Json(bool value) : type_(Type::boolean), boolean_(value) {}
    Json(double value) : type_(Type::real), real_(value) {}
    template <class T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, int> = 0>
    Json(T value) : type_(Type::integer), integer_(static_cast<std::int64_t>(value)) {
        if (std::is_unsigned_v<T> && integer_ < 0) *this = big(std::to_string(value));
    }
    Json(std::string value) : type_(Type::string), text_(std::move(value)) {}
    Json(std::string_view value) : type_(Type::string), text_(value) {}
    Json(const char* value) : type_(Type::string), text_(value) {}
    Json(Array values) : type_(Type::array), array_(std::move(values)) {}
    Json(Object members) : type_(Type::object), object_(std::move(members)) {}
    /// A number beyond int64 and double; `text` is a JSON number.
    static Json big(std::string text) {
        Json out(std::move(text));
        out.type_ = Type::big_number;
        return out;
    }

    /// Reads one JSON text (RFC 8259), nested at most 200 deep. Throws std::invalid_argument with
    /// the byte offset.
    static inline Json parse(std::string_view text);

    bool is_null() const { return type_ == Type::null; }
    /// The value when it has this type, else null.
    const bool* boolean() const { return type_ == Type::boolean ? &boolean_ : nullptr; }
    const std::int64_t* integer() const { return type_ == Type::integer ? &integer_ : nullptr; }
    const double* real() const { return type_ == Type::real ? &real_ : nullptr; }
    const std::string* string() const { return type_ == Type::string ? &text_ : nullptr; }
    const std::string* big_number() const { return type_ == Type::big_number ? &text_ : nullptr; }
    const Array* array() const { return type_ == Type::array ? &array_ : nullptr; }
    const Object* object() const { return type_ == Type::object ? &object_ : nullptr; }

    /// An object's member, null when this is not an object or has no such member (the last one, if
    /// repeated).
    inline const Json* find(std::string_view name) const;
    /// Adds a member, or replaces its value. This becomes an object if it was not one.
    inline void set(std::string_view name, Json value);
    /// Adds an element. This becomes an array if it was not one.
    inline void push_back(Json value);

    /// The shortest JSON text. Throws std::invalid_argument for a double that is not finite.
    inline std::string dump() const;

  private:
    inline void dump(std::string& out) const;

    enum class Type : std::uint8_t {
        null,
        boolean,
        integer,
        real,
        string,
        big_number,
        array,
        object
    };

    // Side by side and not in a union: options are few, and this needs no care when it is copied.
    Type type_ = Type::null;
    std::int64_t integer_ = 0;
    double real_ = 0;
    bool boolean_ = false;
    std::string text_;
    Array array_;
    Object object_;
};

inline const Json* Json::find(std::string_view name) const {
    const Json* found = nullptr;
    if (const Object* members = object()) {
        for (const auto& [key, value] : *members) {
            if (key == name) found = &value;
        }
    }
    return found;
}

inline void Json::set(std::string_view name, Json value) {
    if (!object()) *this = Json(Object());
    for (auto& [key, old] : object_) {
        if (key == name) {
            old = std::move(value);
            return;
        }
    }
    object_.emplace_back(name, std::move(value));
}

inline void Json::push_back(Json value) {
    if (!array()) *this = Json(Array());
    array_.push_back(std::move(value));
}

namespace detail {

inline void dump_string(std::string_view text, std::string& out) {
    static constexpr char hex[] = "0123456789abcdef";
    out += '"';
    for (char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20) {
            out += "\\u00";
            out += hex[byte >> 4];
            out += hex[byte & 15];
        } else {
            out += c;
        }
    }
    out += '"';
}

inline void dump_real(double value, std::string& out) {
    if (!std::isfinite(value)) throw std::invalid_argument("JSON has no infinity and no NaN");
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    const std::string_view digits(buffer, static_cast<std::size_t>(end - buffer));
    out += digits;
    if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

class JsonParser {
  public:
    explicit JsonParser(std::string_view text) : text_(text) {}

    Json document() {
        Json value = parse_value(0);
        skip_space();
        if (at_ != text_.size()) fail("text after the value");
        return value;
    }

  private:
    static constexpr int max_depth = 200;

    [[noreturn]] void fail(const char* what) const {
        throw std::invalid_argument("not JSON: " + std::string(what) + " at byte " +
                                    std::to_string(at_));
    }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool accept(char c) {
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void expect(char c, const char* what) {
        if (!accept(c)) fail(what);
    }
    void skip_space() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r')
            ++at_;
    }
    void word(std::string_view expected) {
        if (text_.substr(at_, expected.size()) != expected) fail("unknown word");
        at_ += expected.size();
    }

    Json parse_value(int depth) {
        if (depth > max_depth) fail("nested too deep");
        skip_space();
        switch (peek()) {
            case '{':
                return parse_object(depth);
            case '[':
                return parse_array(depth);
            case '"':
                return Json(parse_string());
            case 't':
                word("true");
                return Json(true);
            case 'f':
                word("false");
                return Json(false);
            case 'n':
                word("null");
                return Json(nullptr);
            default:
                return parse_number();
        }
    }

    Json parse_object(int depth) {
        Json::Object members;
        ++at_;
        skip_space();
        if (accept('}')) return Json(std::move(members));
        do {
            skip_space();
            if (peek() != '"') fail("expected a member name");
            std::string name = parse_string();
            skip_space();
            expect(':', "expected ':'");
            Json value = parse_value(depth + 1);
            members.emplace_back(std::move(name), std::move(value));
            skip_space();
        } while (accept(','));
        expect('}', "expected ',' or '}'");
        return Json(std::move(members));
    }

    Json parse_array(int depth) {
        Json::Array values;
        ++at_;
        skip_space();
        if (accept(']')) return Json(std::move(values));
        do {
            values.push_back(parse_value(depth + 1));
            skip_space();
        } while (accept(','));
        expect(']', "expected ',' or ']'");
        return Json(std::move(values));
    }

    std::uint32_t hex4() {
        std::uint32_t code = 0;
        if (text_.size() - at_ < 4) fail("cut-off escape");
        const char* first = text_.data() + at_;
        if (std::from_chars(first, first + 4, code, 16).ptr != first + 4) fail("bad escape");
        at_ += 4;
        return code;
    }

    void escape(std::string& out) {
        const char c = peek();
        ++at_;
        switch (c) {
            case '"':
            case '\\':
            case '/':
                out += c;
                return;
            case 'b':
                out += '\b';
                return;
            case 'f':
                out += '\f';
                return;
            case 'n':
                out += '\n';
                return;
            case 'r':
                out += '\r';
                return;
            case 't':
                out += '\t';
                return;
            case 'u':
                unicode_escape(out);
                return;
            default:
                fail("bad escape");
        }
    }

    void unicode_escape(std::string& out) {
        std::uint32_t code = hex4();
        if (code >= 0xD800 && code < 0xDC00) {
            if (!accept('\\') || !accept('u')) fail("half of a surrogate pair");
            const std::uint32_t low = hex4();
            if (low < 0xDC00 || low > 0xDFFF) fail("half of a surrogate pair");
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        } else if (code >= 0xDC00 && code <= 0xDFFF) {
            fail("half of a surrogate pair");
        }
        append_utf8(code, out);
    }

    static void append_utf8(std::uint32_t code, std::string& out) {
        const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xC0 | (code >> 6));
            put(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            put(0xE0 | (code >> 12));
            put(0x80 | ((code >> 6) & 0x3F));
            put(0x80 | (code & 0x3F));
        } else {
            put(0xF0 | (code >> 18));
            put(0x80 | ((code >> 12) & 0x3F));
            put(0x80 | ((code >> 6) & 0x3F));
            put(0x80 | (code & 0x3F));
        }
    }

    std::string parse_string() {
        std::string out;
        ++at_;
        while (true) {
            if (at_ >= text_.size()) fail("cut-off string");
            const char c = text_[at_];
            if (c == '"') break;
            if (static_cast<unsigned char>(c) < 0x20) fail("control character in a string");
            ++at_;
            if (c == '\\') {
                escape(out);
            } else {
                out += c;
            }
        }
        ++at_;
        return out;
    }

    void digits() {
        if (peek() < '0' || peek() > '9') fail("expected a digit");
        while (peek() >= '0' && peek() <= '9')
            ++at_;
    }

    Json parse_number() {
        const std::size_t start = at_;
        bool whole = true;
        const bool negative = accept('-');
        if (!accept('0')) {
            if (peek() < '1' || peek() > '9')
                fail(negative ? "expected a digit" : "expected a value");
            digits();
        }
        if (accept('.')) {
            whole = false;
            digits();
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false;
            ++at_;
            if (!accept('+')) accept('-');
            digits();
        }
        return number(text_.substr(start, at_ - start), whole);
    }

    static Json number(std::string_view text, bool whole) {
        const char* last = text.data() + text.size();
        std::int64_t integer = 0;
        if (whole && text != "-0" &&
            std::from_chars(text.data(), last, integer).ec == std::errc()) {
            return Json(integer);
        }
        double real = 0;
        const bool fits = std::from_chars(text.data(), last, real).ec == std::errc();
        if (fits && (!whole || text == "-0")) return Json(real);
        return Json::big(std::string(text));
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace detail

inline Json Json::parse(std::string_view text) {
    return detail::JsonParser(text).document();
}

inline std::string Json::dump() const {
    std::string out;
    dump(out);
    return out;
}

inline void Json::dump(std::string& out) const {
    if (const bool* flag = boolean()) {
        out += *flag ? "true" : "false";
    } else if (const std::int64_t* whole = integer()) {
        out += std::to_string(*whole);
    } else if (real()) {
        detail::dump_real(real_, out);
    } else if (const std::string* text = string()) {
        detail::dump_string(*text, out);
    } else if (const std::string* number = big_number()) {
        out += *number;
    } else if (const Array* values = array()) {
        out += '[';
        for (const Json& value : *values) {
            if (&value != &values->front()) out += ',';
            value.dump(out);
        }
        out += ']';
    } else if (const Object* members = object()) {
        out += '{';
        for (const auto& member : *members) {
            if (&member != &members->front()) out += ',';
            detail::dump_string(member.first, out);
            out += ':';
            member.second.dump(out);
        }
        out += '}';
    } else {
        out += "null";
    }
}

}  // namespace penstock_sdk
#endif
