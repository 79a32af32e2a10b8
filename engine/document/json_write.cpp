#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

#include "engine/document/json.h"

namespace penstock::document {

void append_double(double value, std::string& out) {
    if (std::isnan(value)) {
        out += "NaN";
        return;
    }
    if (std::isinf(value)) {
        out += value < 0 ? "-Infinity" : "Infinity";
        return;
    }
    char text[40];
    double magnitude = std::fabs(value);
    if (magnitude == 0 || (magnitude >= 1e-3 && magnitude < 1e7)) {
        char* end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
        out.append(text, end);
        if (std::string_view(text, static_cast<std::size_t>(end - text)).find('.') ==
            std::string_view::npos)
            out += ".0";
        return;
    }
    // 1.5e+20 becomes 1.5E20, 1e-07 becomes 1.0E-7.
    char* end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
    std::string_view all(text, static_cast<std::size_t>(end - text));
    std::size_t e = all.find('e');
    std::string_view mantissa = all.substr(0, e);
    out += mantissa;
    if (mantissa.find('.') == std::string_view::npos) out += ".0";
    out += 'E';
    if (all[e + 1] == '-') out += '-';
    std::string_view digits = all.substr(e + 2);
    if (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
    out += digits;
}

void write_json_string(std::string_view text, std::string& out) {
    // 0: as it is; 'u': \u00XX; otherwise the letter after the backslash.
    static constexpr auto escapes = [] {
        std::array<char, 256> table{};
        for (int c = 0; c < 0x20; ++c)
            table[static_cast<std::size_t>(c)] = 'u';
        table['\b'] = 'b';
        table['\t'] = 't';
        table['\n'] = 'n';
        table['\f'] = 'f';
        table['\r'] = 'r';
        table['"'] = '"';
        table['\\'] = '\\';
        return table;
    }();
    out += '"';
    std::size_t from = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char escape = escapes[static_cast<unsigned char>(text[i])];
        if (escape == 0) continue;
        out.append(text, from, i - from);
        from = i + 1;
        out += '\\';
        if (escape != 'u') {
            out += escape;
        } else {
            constexpr char hex[] = "0123456789ABCDEF";
            out += "u00";
            out += hex[static_cast<unsigned char>(text[i]) >> 4];
            out += hex[text[i] & 15];
        }
    }
    out.append(text, from);
    out += '"';
}

namespace {

void write_scalar(Value value, std::string& out) {
    switch (value.kind()) {
        case Kind::boolean:
            out += value.as_boolean() ? "true" : "false";
            break;
        case Kind::integer: {
            char text[24];
            out.append(text, std::to_chars(text, text + sizeof text, value.as_integer()).ptr);
            break;
        }
        case Kind::floating:
            if (std::isfinite(value.as_floating())) {
                append_double(value.as_floating(), out);
            } else {
                // JSON has no such number; Jackson writes it quoted too.
                out += '"';
                append_double(value.as_floating(), out);
                out += '"';
            }
            break;
        case Kind::number:
            out += value.as_string();
            break;
        case Kind::string:
            write_json_string(value.as_string(), out);
            break;
        default:
            out += "null";
    }
}

/// One open array or object and how far it is written.
struct Level {
    const Array* array;
    const Object* object;
    std::size_t next;
    std::size_t size() const { return array ? array->size() : object->size(); }
};

template <bool pretty>
void write(Value root, std::string& out) {
    std::vector<Level> levels;
    auto new_line = [&] {
        if (pretty) out.append(1, '\n').append(levels.size() * 2, ' ');
    };
    auto open = [&](Value value) {
        if (value.is_array()) {
            out += '[';
            levels.push_back({&value.as_array(), nullptr, 0});
        } else if (value.is_object()) {
            out += '{';
            levels.push_back({nullptr, &value.as_object(), 0});
        } else {
            write_scalar(value, out);
        }
    };
    open(root);
    while (!levels.empty()) {
        Level& level = levels.back();
        if (level.next == level.size()) {
            bool empty = level.size() == 0;
            char close = level.array ? ']' : '}';
            levels.pop_back();
            if (!empty) new_line();
            out += close;
            continue;
        }
        if (level.next > 0) out += ',';
        new_line();
        std::size_t at = level.next++;
        if (level.array) {
            open((*level.array)[at]);
        } else {
            const Member& member = (*level.object)[at];
            write_json_string(member.key(), out);
            out += pretty ? ": " : ":";
            open(member.value);
        }
    }
}

}  // namespace

void write_json(Value value, std::string& out) {
    write<false>(value, out);
}
void write_pretty_json(Value value, std::string& out) {
    write<true>(value, out);
}

}  // namespace penstock::document
