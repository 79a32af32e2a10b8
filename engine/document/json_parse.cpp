#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <limits>
#include <optional>
#include <vector>

#include "engine/document/json.h"
#include "engine/document/utf8.h"

namespace penstock::document {

namespace json = boost::json;

namespace {

/// Boost.JSON's events, put together to values in the arena. Members and items gather on two stacks
/// and are copied to their final place when their object or array closes, so that each is allocated
/// once, at its exact size.
struct Handler {
    struct PendingKey {
        Key key;
        std::size_t offset;  // in the input, of a key without escapes; 0 when not known
    };

    static constexpr std::size_t max_object_size = std::numeric_limits<std::uint32_t>::max();
    static constexpr std::size_t max_array_size = std::numeric_limits<std::uint32_t>::max();
    static constexpr std::size_t max_key_size = std::numeric_limits<std::uint32_t>::max();
    static constexpr std::size_t max_string_size = std::numeric_limits<std::uint32_t>::max();

    Arena* arena = nullptr;
    const JsonOptions* options = nullptr;
    std::string_view input;
    std::vector<Value> values;
    std::vector<PendingKey> keys;
    std::string partial;
    std::string number;
    std::string problem;
    std::size_t problem_at = 0;

    std::string_view keep(std::string_view text) {
        bool inside =
            text.data() >= input.data() && text.data() + text.size() <= input.data() + input.size();
        return options->borrow_text && inside ? text : arena->copy(text);
    }
    std::string_view whole(json::string_view last) {
        std::string_view text(last.data(), last.size());
        if (partial.empty()) return keep(text);
        partial += text;
        std::string_view kept = arena->copy(partial);
        partial.clear();
        return kept;
    }
    std::string_view whole_number(json::string_view last) {
        std::string_view text(last.data(), last.size());
        if (number.empty()) return text;
        number += text;
        return number;
    }

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_object_begin(json::error_code&) { return true; }
    bool on_object_end(std::size_t count, json::error_code& error) {
        Object* object = arena->make<Object>();
        object->reserve(count, *arena);
        std::size_t first = values.size() - count;
        std::size_t first_key = keys.size() - count;
        for (std::size_t i = 0; i < count; ++i) {
            const Key& key = keys[first_key + i].key;
            std::size_t there = object->find(key);
            if (there == Object::npos) {
                object->push_back(key, values[first + i], *arena);
            } else if (options->allow_duplicate_keys) {
                object->assign(there, values[first + i]);
            } else {
                problem = "Duplicate field '" + std::string(key.text) + "'";
                problem_at = keys[first_key + i].offset;
                error = json::error::syntax;
                return false;
            }
        }
        values.resize(first);
        keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(first_key), keys.end());
        values.push_back(Value::object(object));
        return true;
    }
    bool on_array_begin(json::error_code&) { return true; }
    bool on_array_end(std::size_t count, json::error_code&) {
        Array* array = arena->make<Array>();
        array->reserve(count, *arena);
        std::size_t first = values.size() - count;
        for (std::size_t i = 0; i < count; ++i)
            array->push_back(values[first + i], *arena);
        values.resize(first);
        values.push_back(Value::array(array));
        return true;
    }
    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        partial.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view last, std::size_t, json::error_code&) {
        bool inside = partial.empty() && last.data() > input.data() &&
                      last.data() < input.data() + input.size();
        std::size_t offset = inside ? static_cast<std::size_t>(last.data() - input.data()) : 0;
        keys.push_back({Key(whole(last)), offset});
        return true;
    }
    bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
        partial.append(part.data(), part.size());
        return true;
    }
    bool on_string(json::string_view last, std::size_t, json::error_code&) {
        values.push_back(Value::string(whole(last)));
        return true;
    }
    bool on_number_part(json::string_view part, json::error_code&) {
        number.append(part.data(), part.size());
        return true;
    }
    bool on_int64(std::int64_t value, json::string_view last, json::error_code&) {
        // "-0" is the one integer that an int64 cannot give back.
        std::string_view text = whole_number(last);
        if (value == 0 && text.front() == '-') {
            values.push_back(Value::number(number.empty() ? keep(text) : arena->copy(text)));
        } else {
            values.push_back(Value::integer(value));
        }
        number.clear();
        return true;
    }
    bool on_uint64(std::uint64_t, json::string_view last, json::error_code&) {
        return keep_number(whole_number(last));
    }
    bool on_double(double value, json::string_view last, json::error_code&) {
        std::string_view text = whole_number(last);
        if (text.find_first_of(".eE") == std::string_view::npos) return keep_number(text);
        // Boost's own conversion is off by an ulp at times; from_chars rounds correctly.
        auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (failed != std::errc() || !exact(text, value)) return keep_number(text);
        values.push_back(Value::floating(value));
        number.clear();
        return true;
    }
    bool on_bool(bool value, json::error_code&) {
        values.push_back(Value::boolean(value));
        return true;
    }
    bool on_null(json::error_code&) {
        values.push_back(Value::null());
        return true;
    }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }

    bool keep_number(std::string_view text) {
        values.push_back(Value::number(number.empty() ? keep(text) : arena->copy(text)));
        number.clear();
        return true;
    }

    /// The significant digits of a decimal, without leading and trailing zeros.
    static std::size_t digits(std::string_view text, char* out, std::size_t limit) {
        std::size_t count = 0;
        std::size_t zeros = 0;
        for (char c : text) {
            if (c == 'e' || c == 'E') break;
            if (c < '0' || c > '9') continue;
            if (c == '0') {
                if (count > 0) ++zeros;
                continue;
            }
            for (; zeros > 0; --zeros) {
                if (count == limit) return limit + 1;
                out[count++] = '0';
            }
            if (count == limit) return limit + 1;
            out[count++] = c;
        }
        return count;
    }
    /// Whether the double's shortest form is the same number: always so for 15 digits or fewer
    /// (IEEE 754, DBL_DIG).
    static bool exact(std::string_view text, double value) {
        char given[32];
        std::size_t count = digits(text, given, 17);
        if (count > 17) return false;
        if (count <= 15) return value != 0 || count == 0;
        char shortest[40];
        char* end = std::to_chars(shortest, shortest + sizeof shortest, value,
                                  std::chars_format::scientific)
                        .ptr;
        char back[32];
        std::size_t back_count =
            digits({shortest, static_cast<std::size_t>(end - shortest)}, back, 17);
        return std::string_view(given, count) == std::string_view(back, back_count);
    }

    void reset() {
        values.clear();
        keys.clear();
        partial.clear();
        number.clear();
        problem.clear();
        problem_at = 0;
    }
};

/// Whether a \\uD800..\\uDBFF escape ends at `offset`: Boost reports its missing second half as
/// plain syntax.
bool after_leading_surrogate(std::string_view text, std::size_t offset) {
    if (offset < 6 || offset > text.size()) return false;
    std::string_view escape = text.substr(offset - 6, 6);
    return escape.starts_with("\\u") && (escape[2] | 0x20) == 'd' &&
           std::string_view("89abAB").find(escape[3]) != std::string_view::npos;
}

std::string explain(const json::error_code& error, std::string_view text, std::size_t offset) {
    std::string_view rest = offset < text.size() ? text.substr(offset) : std::string_view();
    if (error == json::error::incomplete) return "Unexpected end of the text";
    if (error == json::error::extra_data) return "Unexpected text after the end of the value";
    if (error == json::error::too_deep) return "Nested too deeply";
    if (error == json::error::illegal_leading_surrogate ||
        error == json::error::illegal_trailing_surrogate ||
        error == json::error::expected_utf16_escape || after_leading_surrogate(text, offset)) {
        return "Lone surrogate in a \\u escape";
    }
    if (error == json::error::not_number || rest.starts_with("NaN") ||
        rest.starts_with("Infinity") || rest.starts_with("-Infinity")) {
        return "Not a number that JSON knows";
    }
    std::size_t length = utf8_length(rest);
    if (!rest.empty() && length == 0) return "Invalid UTF-8";
    if (!rest.empty() && static_cast<unsigned char>(rest[0]) < 0x20)
        return "Control character where none may be";
    std::string what = "end of the text";
    if (rest.starts_with('\x7f')) {
        what = "character 0x7f";
    } else if (!rest.empty()) {
        what = "character '" + std::string(rest.substr(0, length)) + "'";
    }
    return "Unexpected " + what + " (" + error.message() + ")";
}

JsonError locate(std::string message, std::string_view text, std::size_t offset) {
    JsonError error;
    error.message = std::move(message);
    error.offset = std::min(offset, text.size());
    std::string_view before = text.substr(0, error.offset);
    std::size_t line_start = 0;
    for (std::size_t at = before.find('\n'); at != std::string_view::npos;
         at = before.find('\n', at + 1)) {
        ++error.line;
        line_start = at + 1;
    }
    error.column = error.offset - line_start + 1;
    return error;
}

}  // namespace

std::string JsonError::text() const {
    return message + " at line " + std::to_string(line) + ", column " + std::to_string(column);
}

struct JsonParser::Impl {
    static json::parse_options boost_options(std::uint32_t depth) {
        json::parse_options options;
        options.max_depth = depth;
        return options;
    }
    explicit Impl(std::uint32_t max_depth) : depth(max_depth), parser(boost_options(max_depth)) {}

    std::uint32_t depth;
    json::basic_parser<Handler> parser;
};

JsonParser::JsonParser() : impl_(std::make_unique<Impl>(JsonOptions{}.max_depth)) {}
JsonParser::~JsonParser() = default;
JsonParser::JsonParser(JsonParser&&) noexcept = default;
JsonParser& JsonParser::operator=(JsonParser&&) noexcept = default;

bool JsonParser::parse(std::string_view text, Arena& arena, Value& out, JsonError& error,
                       const JsonOptions& options, std::size_t* consumed) {
    if (options.max_depth != impl_->depth) impl_ = std::make_unique<Impl>(options.max_depth);
    auto& parser = impl_->parser;
    Handler& handler = parser.handler();
    parser.reset();
    handler.reset();
    handler.arena = &arena;
    handler.options = &options;
    handler.input = text;
    json::error_code code;
    std::size_t used = parser.write_some(false, text.data(), text.size(), code);
    if (!code && used < text.size() && !options.allow_trailing) code = json::error::extra_data;
    if (code) {
        bool known = !handler.problem.empty();
        std::size_t at = known && handler.problem_at > 0 ? handler.problem_at : used;
        error = locate(known ? std::move(handler.problem) : explain(code, text, at), text, at);
        parser.reset();
        return false;
    }
    out = handler.values.back();
    if (consumed != nullptr) *consumed = used;
    return true;
}

}  // namespace penstock::document
