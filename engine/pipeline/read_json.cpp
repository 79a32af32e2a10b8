// JSON (RFC 8259) to nodes, with positions. The engine's fast parser keeps none.
#include "engine/pipeline/node_builder.h"

namespace penstock::pipeline {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

void append_utf8(std::uint32_t code, std::string& out) {
    auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xc0 | code >> 6);
        put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3f));
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    }
}

class JsonReader {
  public:
    JsonReader(std::string_view text, NodeBuilder& builder) : text_(text), builder_(builder) {}

    void read() {
        do {
            skip_space();
            read_value();
            while (read_separator()) {
            }
        } while (!open_.empty());
        skip_space();
        if (at_ < text_.size()) fail("the JSON text ends here, but more follows: " + found());
    }

  private:
    [[noreturn]] void fail(std::string message) const { fail_at(here(), std::move(message)); }
    [[noreturn]] static void fail_at(Position position, std::string message) {
        throw Unreadable{{position, "not valid JSON: " + message, ""}};
    }

    Position here() const { return {line_, static_cast<std::uint32_t>(at_ - line_start_ + 1)}; }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    std::string found() const {
        if (at_ >= text_.size()) return "found the end of the file";
        std::size_t end = at_ + 1;
        while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xc0) == 0x80)
            ++end;
        return "found [" + std::string(text_.substr(at_, end - at_)) + "]";
    }

    void skip_space() {
        for (; at_ < text_.size(); ++at_) {
            char c = text_[at_];
            if (c == '\n') {
                ++line_;
                line_start_ = at_ + 1;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                return;
            }
        }
    }

    /// A scalar, or the beginning of a list or map up to its first value.
    void read_value() {
        while (true) {
            Position position = here();
            char c = peek();
            if (c != '{' && c != '[') return read_scalar(position);
            ++at_;
            builder_.begin(c == '{' ? Node::Kind::map : Node::Kind::list, position);
            open_ += c;
            skip_space();
            if (peek() == closing()) return;
            if (c == '{') read_key();
        }
    }

    /// After a value: true when it closed something and another separator is due, false when a
    /// value is.
    bool read_separator() {
        if (open_.empty()) return false;
        skip_space();
        if (peek() == closing()) {
            ++at_;
            open_.pop_back();
            builder_.end();
            return !open_.empty();
        }
        if (peek() != ',') fail(std::string("expected [,] or [") + closing() + "], " + found());
        ++at_;
        skip_space();
        if (peek() == closing()) fail("a comma stands before the end of the list or map");
        if (open_.back() == '{') read_key();
        return false;
    }

    char closing() const { return open_.back() == '{' ? '}' : ']'; }

    void read_key() {
        if (peek() != '"') fail("expected a key in double quotes, " + found());
        Position position = here();
        builder_.scalar(string_node(position));
        skip_space();
        if (peek() != ':') fail("expected [:] after the key, " + found());
        ++at_;
        skip_space();
    }

    void read_scalar(Position position) {
        if (peek() == '"') {
            builder_.scalar(string_node(position));
            return;
        }
        std::size_t begin = at_;
        while (is_digit(peek()) || (peek() >= 'a' && peek() <= 'z') ||
               (peek() >= 'A' && peek() <= 'Z') || peek() == '+' || peek() == '-' ||
               peek() == '.' || peek() == '_') {
            ++at_;
        }
        std::string_view word = text_.substr(begin, at_ - begin);
        if (word.empty()) fail("expected a value, " + found());
        Node node = word == "true" || word == "false" || word == "null"
                        ? types_.plain(word)
                        : types_.number_or_string(word);
        if (node.is_string())
            fail_at(position, "expected a value, found [" + std::string(word) + "]");
        node.position = position;
        builder_.scalar(std::move(node));
    }

    Node string_node(Position position) {
        Node node;
        node.kind = Node::Kind::string;
        node.position = position;
        for (++at_; peek() != '"'; ++at_) {
            if (at_ >= text_.size() || peek() == '\n')
                fail_at(position, "the string is not closed");
            if (static_cast<unsigned char>(peek()) < 0x20)
                fail("a control character must be escaped in a string");
            if (peek() == '\\') {
                read_escape(node.text);
            } else {
                node.text += peek();
            }
        }
        ++at_;
        return node;
    }

    void read_escape(std::string& out) {
        static constexpr std::string_view names = "\"\\/bfnrt";
        static constexpr std::string_view values = "\"\\/\b\f\n\r\t";
        ++at_;
        if (std::size_t which = names.find(peek());
            at_ < text_.size() && which != std::string_view::npos) {
            out += values[which];
            return;
        }
        if (peek() != 'u') fail("unknown escape, " + found());
        std::uint32_t code = read_hex();
        if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_ + 1, 2) == "\\u") {
            at_ += 2;
            std::uint32_t low = read_hex();
            if (low < 0xdc00 || low > 0xdfff) fail("lone surrogate in a \\u escape");
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        } else if (code >= 0xd800 && code <= 0xdfff) {
            fail("lone surrogate in a \\u escape");
        }
        append_utf8(code, out);
    }

    /// The four digits after the `u` at which the reader stands; it is left at the last one.
    std::uint32_t read_hex() {
        std::uint32_t code = 0;
        for (int i = 0; i < 4; ++i) {
            ++at_;
            char c = peek();
            std::uint32_t digit = is_digit(c)            ? static_cast<std::uint32_t>(c - '0')
                                  : c >= 'a' && c <= 'f' ? static_cast<std::uint32_t>(c - 'a' + 10)
                                  : c >= 'A' && c <= 'F' ? static_cast<std::uint32_t>(c - 'A' + 10)
                                                         : 16;
            if (digit == 16) fail("expected four hexadecimal digits after \\u, " + found());
            code = code * 16 + digit;
        }
        return code;
    }

    std::string_view text_;
    NodeBuilder& builder_;
    ScalarTypes types_;
    std::string open_;  // the brackets around this place
    std::size_t at_ = 0;
    std::uint32_t line_ = 1;
    std::size_t line_start_ = 0;
};

}  // namespace

ReadResult read_json(std::string_view text, const DefinitionLimits& limits) {
    ReadResult result;
    NodeBuilder builder(limits, result.findings);
    try {
        JsonReader(text, builder).read();
        result.tree = builder.take();
    } catch (Unreadable& unreadable) {
        result.findings.push_back(std::move(unreadable.finding));
        result.limit = unreadable.limit;
    }
    result.values = builder.values();
    return result;
}

}  // namespace penstock::pipeline
