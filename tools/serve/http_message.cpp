#include "tools/serve/http_message.h"

#include <array>
#include <charconv>

#include "engine/io/json_text.h"
#include "tools/serve/api_error.h"

namespace penstock::serve {

namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

const std::string& nothing() {
    static const std::string empty;
    return empty;
}

}  // namespace

std::string decode_percent(std::string_view text, bool plus_is_blank) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_blank) {
            out.push_back(' ');
        } else if (text[i] != '%') {
            out.push_back(text[i]);
        } else {
            const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                throw illegal_argument("invalid escape in [" + std::string(text) +
                                       "]: % must be followed by two hexadecimal digits");
            }
            out.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        }
    }
    // It comes back in JSON, and as names of indices and documents it stays.
    if (!io::is_valid_utf8(out))
        throw illegal_argument("[" + encode_percent(out) + "] in the address is not valid UTF-8");
    return out;
}

std::string encode_percent(std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            out.push_back(c);
        } else {
            out.append({'%', digits[byte >> 4], digits[byte & 15]});
        }
    }
    return out;
}

std::vector<std::string> split_list(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        if (end > 0) parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

Parameters Parameters::parse(std::string_view query) {
    Parameters parameters;
    for (const std::string& pair : split_list(query, '&')) {
        const std::size_t equals = pair.find('=');
        std::string name = decode_percent(std::string_view(pair).substr(0, equals), true);
        std::string value;
        if (equals != std::string::npos)
            value = decode_percent(std::string_view(pair).substr(equals + 1), true);
        parameters.values_.insert_or_assign(std::move(name), std::move(value));
    }
    return parameters;
}

const std::string* Parameters::find(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second;
}

std::string Parameters::text(std::string_view name, std::string_view otherwise) const {
    const std::string* value = find(name);
    return value != nullptr ? *value : std::string(otherwise);
}

bool Parameters::flag(std::string_view name, bool otherwise) const {
    const std::string* value = find(name);
    if (value == nullptr) return otherwise;
    if (value->empty() || *value == "true") return true;
    if (*value == "false") return false;
    throw illegal_argument("Failed to parse value [" + *value +
                           "] as only [true] or [false] are allowed.");
}

std::int64_t Parameters::integer(std::string_view name, std::int64_t otherwise) const {
    const std::string* value = find(name);
    if (value == nullptr) return otherwise;
    std::int64_t number = 0;
    const auto [end, problem] =
        std::from_chars(value->data(), value->data() + value->size(), number);
    if (problem != std::errc() || end != value->data() + value->size()) {
        throw illegal_argument("Failed to parse int parameter [" + std::string(name) +
                               "] with value [" + *value + "]");
    }
    return number;
}

std::optional<std::chrono::milliseconds> parse_time(std::string_view text) {
    if (text == "-1" || text == "0") return std::chrono::milliseconds(text == "0" ? 0 : -1);
    double number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || number < 0 || number > 1e12) return std::nullopt;
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    struct Unit {
        std::string_view name;
        double milliseconds;
    };
    static constexpr std::array<Unit, 7> units{{{"nanos", 1e-6},
                                                {"micros", 1e-3},
                                                {"ms", 1},
                                                {"s", 1e3},
                                                {"m", 60e3},
                                                {"h", 3600e3},
                                                {"d", 86400e3}}};
    for (const Unit& one : units) {
        if (unit == one.name)
            return std::chrono::milliseconds(static_cast<std::int64_t>(number * one.milliseconds));
    }
    return std::nullopt;
}

std::chrono::milliseconds Parameters::time(std::string_view name,
                                           std::chrono::milliseconds otherwise) const {
    const std::string* value = find(name);
    if (value == nullptr) return otherwise;
    if (const auto time = parse_time(*value)) return *time;
    throw illegal_argument("failed to parse setting [" + std::string(name) + "] with value [" +
                           *value + "] as a time value: unit is missing or unrecognized");
}

std::vector<std::string> Parameters::list(std::string_view name) const {
    const std::string* value = find(name);
    return value == nullptr ? std::vector<std::string>{} : split_list(*value);
}

std::vector<std::string> Parameters::names() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : values_)
        names.push_back(name);
    return names;
}

const std::string& Request::part(std::string_view name) const {
    const auto found = parts.find(name);
    return found == parts.end() ? nothing() : found->second;
}

std::string Request::header(const std::string& lower_name) const {
    const auto found = headers.find(lower_name);
    return found == headers.end() ? std::string() : found->second;
}

}  // namespace penstock::serve
