#include "engine/script/mustache.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "engine/document/json.h"
#include "engine/runtime/error.h"

namespace penstock::script::mustache {

using document::Document;
using document::Key;
using document::Value;

namespace {

constexpr std::size_t deepest_nesting =
    100;  // sections in sections: rendering recurses once for each

// ---- compiling

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if ((a[i] | 0x20) != (b[i] | 0x20)) return false;
    }
    return true;
}

class Compiler {
  public:
    explicit Compiler(std::string_view text, MediaType media_type) {
        code_.source = text;
        code_.media_type = media_type;
    }

    Code compile() {
        while (true) {
            std::size_t open = source().find(open_, at_);
            if (open == std::string_view::npos) break;
            tag(open);
        }
        add_text(text_from_, size());
        if (!sections_.empty()) {
            fail(sections_.back().tag,
                 "section [" + std::string(sections_.back().name) + "] is never closed");
        }
        return std::move(code_);
    }

  private:
    struct Open {
        std::size_t tag;
        std::string_view name;
        std::uint32_t instruction;
    };

    std::string_view source() const { return code_.source; }
    std::size_t size() const { return code_.source.size(); }

    [[noreturn]] void fail(std::size_t at, const std::string& what) const {
        std::size_t line_begin = at == 0 ? 0 : source().rfind('\n', at - 1) + 1;
        std::string place = "column " + std::to_string(at - line_begin + 1);
        std::size_t lines = 1;
        for (char c : source().substr(0, at))
            lines += c == '\n';
        if (lines > 1) place = "line " + std::to_string(lines) + ", " + place;
        throw Error("template, " + place + ": " + what);
    }

    /// Reads the tag at `begin` and goes on behind it.
    void tag(std::size_t begin) {
        std::size_t inner = begin + open_.size();
        char kind = inner < size() ? source()[inner] : '\0';
        std::string closing = kind == '{' ? "}" + close_ : kind == '=' ? "=" + close_ : close_;
        bool has_kind =
            kind == '{' || std::string_view("=#^/&!><$%").find(kind) != std::string_view::npos;
        if (has_kind && kind != '\0') ++inner;
        std::size_t end = source().find(closing, inner);
        if (end == std::string_view::npos)
            fail(begin, "the tag is not closed by [" + closing + "]");
        std::size_t after = end + closing.size();
        Range content = trimmed(inner, end);
        switch (has_kind ? kind : '\0') {
            case '#':
            case '^':
                lone_tag(begin, after);
                open_section(begin, content, kind == '^');
                break;
            case '/':
                lone_tag(begin, after);
                close_section(begin, code_.text(content));
                break;
            case '!':
                lone_tag(begin, after);
                break;
            case '=':
                lone_tag(begin, after);
                set_delimiters(begin, code_.text(content));
                break;
            case '>':
            case '<':
            case '$':
                fail(begin, "partials and blocks are not supported; write their text in place");
            case '%':
                fail(begin, "pragmas are not supported");
            default:
                inline_tag(begin, after);
                variable(begin, content, kind == '{' || kind == '&');
        }
        at_ = after;
    }

    Range trimmed(std::size_t begin, std::size_t end) const {
        while (begin < end && is_blank(source()[begin]))
            ++begin;
        while (end > begin && is_blank(source()[end - 1]))
            --end;
        return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
    }

    void add_text(std::size_t begin, std::size_t end) {
        if (begin >= end) return;
        Instruction text{Op::text};
        text.text = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
        code_.instructions.push_back(text);
    }

    void inline_tag(std::size_t begin, std::size_t after) {
        add_text(text_from_, begin);
        text_from_ = after;
    }

    /// A tag that prints nothing takes its line with it when nothing else is on that line.
    void lone_tag(std::size_t begin, std::size_t after) {
        std::size_t line = begin;
        while (line > 0 && (source()[line - 1] == ' ' || source()[line - 1] == '\t'))
            --line;
        std::size_t rest = after;
        while (rest < size() &&
               (source()[rest] == ' ' || source()[rest] == '\t' || source()[rest] == '\r'))
            ++rest;
        bool begins_line = line == 0 || source()[line - 1] == '\n';
        bool ends_line = rest == size() || source()[rest] == '\n';
        bool only_tag = line == 0 && rest == size();
        if (!begins_line || !ends_line || only_tag) return inline_tag(begin, after);
        add_text(text_from_, line);
        text_from_ = rest == size() ? rest : rest + 1;
    }

    void set_delimiters(std::size_t begin, std::string_view content) {
        std::size_t blank = content.find_first_of(" \t");
        std::size_t second = content.find_first_not_of(
            " \t", blank == std::string_view::npos ? content.size() : blank);
        if (blank == std::string_view::npos || second == std::string_view::npos ||
            content.find_first_of(" \t=", second) != std::string_view::npos ||
            content.substr(0, blank).find('=') != std::string_view::npos) {
            fail(begin, "new delimiters are written as {{=<% %>=}}");
        }
        std::string close(content.substr(second));
        open_ = content.substr(0, blank);
        close_ = std::move(close);
    }

    void variable(std::size_t begin, Range content, bool raw) {
        if (content.begin == content.end) fail(begin, "the tag is empty");
        Instruction instruction{Op::variable};
        instruction.raw = raw;
        instruction.name = add_name(content);
        code_.instructions.push_back(instruction);
    }

    void open_section(std::size_t begin, Range content, bool inverted) {
        if (content.begin == content.end) fail(begin, "the section has no name");
        if (sections_.size() >= deepest_nesting) fail(begin, "sections are nested too deeply");
        std::string_view name = code_.text(content);
        Instruction instruction{inverted ? Op::inverted : Op::section};
        if (!inverted) read_function(instruction, content);
        if (instruction.op == Op::section || instruction.op == Op::inverted)
            instruction.name = add_name(content);
        sections_.push_back({begin, name, static_cast<std::uint32_t>(code_.instructions.size())});
        code_.instructions.push_back(instruction);
    }

    /// Elasticsearch's functions look like sections: toJson, url, join, join delimiter='...'.
    void read_function(Instruction& instruction, Range content) const {
        constexpr std::string_view with_delimiter = "join delimiter='";
        std::string_view name = code_.text(content);
        if (equals_ignoring_case(name, "toJson")) instruction.op = Op::to_json;
        if (equals_ignoring_case(name, "url")) instruction.op = Op::url;
        if (equals_ignoring_case(name, "join")) {
            instruction.op = Op::join;
            instruction.raw = true;  // the default delimiter, a comma
        }
        if (name.starts_with(with_delimiter) && name.ends_with('\'') &&
            name.size() > with_delimiter.size()) {
            instruction.op = Op::join;
            instruction.text = {static_cast<std::uint32_t>(content.begin + with_delimiter.size()),
                                content.end - 1};
        }
    }

    void close_section(std::size_t begin, std::string_view name) {
        if (sections_.empty())
            fail(begin, "section [" + std::string(name) + "] is closed but was not opened");
        Open open = sections_.back();
        Instruction& opening = code_.instructions[open.instruction];
        bool join_short = opening.op == Op::join && equals_ignoring_case(name, "join");
        if (name != open.name && !join_short) {
            fail(begin, "section [" + std::string(open.name) + "] is open here, but [" +
                            std::string(name) + "] is closed");
        }
        sections_.pop_back();
        if (opening.op == Op::to_json || opening.op == Op::join) return close_function(open);
        opening.after = static_cast<std::uint32_t>(code_.instructions.size());
    }

    /// The content of toJson and join is a name, not a template.
    void close_function(const Open& open) {
        std::size_t content = open.instruction + 1ul;
        bool one_text =
            code_.instructions.size() == content + 1 && code_.instructions[content].op == Op::text;
        Range range = one_text ? code_.instructions[content].text : Range{};
        Range name = trimmed(range.begin, range.end);
        if (name.begin == name.end) {
            fail(open.tag,
                 "[" + std::string(open.name) +
                     "] must contain one name and nothing else, as {{#toJson}}user{{/toJson}}");
        }
        code_.instructions.pop_back();
        code_.instructions[open.instruction].name = add_name(name);
    }

    std::uint32_t add_name(Range range) {
        std::string_view text = code_.text(range);
        Name name{range, Key::hash_of(text), static_cast<std::uint32_t>(code_.segments.size()), 0};
        if (text != ".") {
            for (std::size_t from = 0; from <= text.size();) {
                std::size_t dot = std::min(text.find('.', from), text.size());
                add_segment({static_cast<std::uint32_t>(range.begin + from),
                             static_cast<std::uint32_t>(range.begin + dot)});
                from = dot + 1;
                ++name.count;
            }
        }
        code_.names.push_back(name);
        return static_cast<std::uint32_t>(code_.names.size() - 1);
    }

    void add_segment(Range range) {
        std::string_view text = code_.text(range);
        Segment segment{range,           Key::hash_of(text),    document::list_index(text),
                        RootName::field, document::Meta::index, text == "size"};
        if (text == "_source") segment.root = RootName::source;
        if (text == "_ingest") segment.root = RootName::ingest;
        for (std::size_t i = 0; i < document::meta_count; ++i) {
            if (text != document::meta_name(static_cast<document::Meta>(i))) continue;
            segment.root = RootName::meta;
            segment.meta = static_cast<document::Meta>(i);
        }
        code_.segments.push_back(segment);
    }

    Code code_;
    std::string open_ = "{{";
    std::string close_ = "}}";
    std::size_t at_ = 0;         // where reading goes on
    std::size_t text_from_ = 0;  // what is read but not yet an instruction
    std::vector<Open> sections_;
};

// ---- escaping

constexpr char upper_hex[] = "0123456789ABCDEF";

bool is_json_special(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

/// As Elasticsearch's JsonStringEncoder.quoteAsString: what a JSON string must escape, nothing
/// else.
void escape_json(std::string_view text, std::string& out) {
    std::size_t from = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!is_json_special(text[i])) continue;
        out.append(text, from, i - from);
        from = i + 1;
        auto c = static_cast<unsigned char>(text[i]);
        constexpr std::string_view named = "\"\\\b\f\n\r\t";
        std::size_t which = named.find(text[i]);
        if (which != std::string_view::npos) {
            out += '\\';
            out += "\"\\bfnrt"[which];
        } else {
            out += "\\u00";
            out += upper_hex[c >> 4];
            out += upper_hex[c & 15];
        }
    }
    out.append(text, from);
}

/// As Java's URLEncoder with UTF-8.
void escape_form(std::string_view text, std::string& out) {
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter || c == '.' || c == '-' || c == '*' || c == '_') {
            out += c;
        } else if (c == ' ') {
            out += '+';
        } else {
            out += '%';
            out += upper_hex[byte >> 4];
            out += upper_hex[byte & 15];
        }
    }
}

void escape(std::string_view text, MediaType media_type, std::string& out) {
    switch (media_type) {
        case MediaType::json:
            return escape_json(text, out);
        case MediaType::form:
            return escape_form(text, out);
        case MediaType::plain:
            out += text;
    }
}

bool is_escaped_as_is(std::string_view text, MediaType media_type) {
    if (media_type == MediaType::plain) return true;
    if (media_type == MediaType::form) return false;
    for (char c : text) {
        if (is_json_special(c)) return false;
    }
    return true;
}

// ---- rendering

/// As mustache.java prints a value in Elasticsearch: toString of the Java object; a list is wrapped
/// as a map from index to element there, so ["a", "b"] comes out as {0=a, 1=b}.
void append_plain(Value value, std::string& out) {
    if (!value.is_array()) return document::append_java_string(value, out);
    out += '{';
    std::size_t index = 0;
    for (Value item : value.as_array()) {
        if (index > 0) out += ", ";
        out += std::to_string(index++);
        out += '=';
        document::append_java_string(item, out);
    }
    out += '}';
}

/// One document's rendering. Scopes are a chain of stack frames, the innermost first; the document
/// is behind the last.
class Renderer {
  public:
    struct Scope {
        Value value;
        const Scope* outer;
    };

    Renderer(const Code& code, const Document& document, std::string& out)
        : code_(code), document_(document), out_(out) {}

    void run(std::size_t from, std::size_t to, const Scope* scopes) {
        for (std::size_t i = from; i < to; ++i) {
            const Instruction& instruction = code_.instructions[i];
            switch (instruction.op) {
                case Op::text:
                    out_ += code_.text(instruction.text);
                    break;
                case Op::variable:
                    variable(instruction, scopes);
                    break;
                case Op::section:
                    section(instruction, i + 1, scopes);
                    i = instruction.after - 1;
                    break;
                case Op::inverted:
                    if (is_false(find(instruction, scopes))) run(i + 1, instruction.after, scopes);
                    i = instruction.after - 1;
                    break;
                case Op::url:
                    url(instruction, i + 1, scopes);
                    i = instruction.after - 1;
                    break;
                case Op::to_json:
                    to_json(find(instruction, scopes));
                    break;
                case Op::join:
                    join(instruction, find(instruction, scopes));
                    break;
            }
        }
    }

    /// Null when there is no such thing.
    Value find(const Instruction& instruction, const Scope* scopes) const {
        const Name& name = code_.names[instruction.name];
        if (name.count == 0) return scopes != nullptr ? scopes->value : document_.source();
        for (const Scope* scope = scopes; scope != nullptr; scope = scope->outer) {
            if (auto value = find_in(scope->value, name)) return *value;
        }
        return find_in_document(name).value_or(Value::null());
    }

  private:
    void variable(const Instruction& instruction, const Scope* scopes) {
        Value value = find(instruction, scopes);
        if (value.is_null()) return;
        bool raw = instruction.raw || code_.media_type == MediaType::plain;
        if (value.is_string())
            return raw ? void(out_ += value.as_string())
                       : escape(value.as_string(), code_.media_type, out_);
        if (value.is_integer()) {  // the common kind: no detour, and nothing to escape
            std::array<char, 24> digits;
            out_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(),
                                                     value.as_integer())
                                           .ptr);
            return;
        }
        if (raw) return append_plain(value, out_);
        std::string text;
        append_plain(value, text);
        escape(text, code_.media_type, out_);
    }

    void section(const Instruction& instruction, std::size_t body, const Scope* scopes) {
        Value value = find(instruction, scopes);
        if (is_false(value)) return;
        if (!value.is_array()) {
            Scope scope{value, scopes};
            return run(body, instruction.after, &scope);
        }
        for (Value item : value.as_array()) {
            Scope scope{item, scopes};
            run(body, instruction.after, item.is_null() ? scopes : &scope);
        }
    }

    void url(const Instruction& instruction, std::size_t body, const Scope* scopes) {
        std::string text;
        Renderer(code_, document_, text).run(body, instruction.after, scopes);
        escape_form(text, out_);
    }

    void to_json(Value value) {
        if (value.is_array() || value.is_object()) return document::write_json(value, out_);
        if (!value.is_null()) document::append_java_string(value, out_);
    }

    void join(const Instruction& instruction, Value value) {
        if (!value.is_array()) {
            out_ += code_.text(code_.names[instruction.name].text);
            return;
        }
        bool first = true;
        for (Value item : value.as_array()) {
            if (!first)
                out_ += instruction.raw ? std::string_view(",") : code_.text(instruction.text);
            first = false;
            document::append_java_string(item, out_);
        }
    }

    static bool is_false(Value value) {
        if (value.is_boolean()) return !value.as_boolean();
        if (value.is_string()) return value.as_string().empty();
        if (value.is_array()) return value.as_array().empty();
        return value.is_null();
    }

    Key key(Range text, std::uint32_t hash) const { return {code_.text(text), hash}; }

    static std::optional<Value> member(Value object, const Key& key) {
        const Value* value = object.as_object().get(key);
        if (value == nullptr) return std::nullopt;
        return *value;
    }

    std::optional<Value> child(Value parent, const Segment& segment) const {
        if (parent.is_object()) return member(parent, key(segment.text, segment.hash));
        if (!parent.is_array()) return std::nullopt;
        const document::Array& list = parent.as_array();
        if (segment.is_size) return Value::integer(static_cast<std::int64_t>(list.size()));
        if (segment.index < 0 || static_cast<std::size_t>(segment.index) >= list.size())
            return std::nullopt;
        return list[static_cast<std::size_t>(segment.index)];
    }

    std::optional<Value> find_in(Value scope, const Name& name) const {
        const Segment& first = code_.segments[name.first];
        if (name.count == 1) return child(scope, first);
        if (scope.is_object()) {
            if (auto whole = member(scope, key(name.text, name.hash))) return whole;
        }
        auto at = child(scope, first);
        return at ? descend(*at, name, 1) : std::nullopt;
    }

    std::optional<Value> find_in_document(const Name& name) const {
        if (name.count > 1) {
            if (auto whole = member(document_.source(), key(name.text, name.hash))) return whole;
        }
        std::uint32_t i = 0;
        if (name.count > 1 && code_.segments[name.first].root == RootName::source) i = 1;
        auto at = document_child(code_.segments[name.first + i]);
        return at ? descend(*at, name, i + 1) : std::nullopt;
    }

    std::optional<Value> document_child(const Segment& segment) const {
        switch (segment.root) {
            case RootName::source:
                return document_.source();
            case RootName::ingest:
                return document_.ingest();
            case RootName::meta:
                return document_.meta(segment.meta);
            case RootName::field:
                break;
        }
        return child(document_.source(), segment);
    }

    /// The rest of a dotted name, from segment `i`: step by step, and where a step is missing the
    /// rest of the name as one field name with dots.
    std::optional<Value> descend(Value at, const Name& name, std::uint32_t i) const {
        for (; i < name.count; ++i) {
            const Segment& segment = code_.segments[name.first + i];
            auto next = child(at, segment);
            if (!next) {
                if (i + 1 == name.count || !at.is_object()) return std::nullopt;
                return member(at, Key(code_.text({segment.text.begin, name.text.end})));
            }
            at = *next;
        }
        return at;
    }

    const Code& code_;
    const Document& document_;
    std::string& out_;
};

}  // namespace

Code compile(std::string_view text, MediaType media_type) {
    return Compiler(text, media_type).compile();
}

void render(const Code& code, const Document& document, std::string& out) {
    Renderer(code, document, out).run(0, code.instructions.size(), nullptr);
}

Value render_value(const Code& code, Document& document) {
    std::string text;
    if (code.instructions.size() == 1 && code.instructions[0].op == Op::variable) {
        Value value = Renderer(code, document, text).find(code.instructions[0], nullptr);
        if (value.is_null()) return Value::string({});
        bool as_is = code.instructions[0].raw;
        if (value.is_string() && (as_is || is_escaped_as_is(value.as_string(), code.media_type)))
            return value;
    }
    render(code, document, text);
    return Value::string(text, document.arena());
}

}  // namespace penstock::script::mustache
