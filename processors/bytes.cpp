#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "processors/builtin.h"
#include "processors/string_processor.h"

namespace penstock::processors {

using document::Arena;
using document::FailureType;
using document::Result;
using document::Value;

namespace {

struct Unit {
    std::string_view suffix;
    int shift;  // a unit is 2^shift bytes
};
constexpr Unit units[] = {{"kb", 10}, {"mb", 20}, {"gb", 30}, {"tb", 40}, {"pb", 50}, {"k", 10},
                          {"m", 20},  {"g", 30},  {"t", 40},  {"p", 50},  {"b", 0}};

document::Failure refused(std::string reason) {
    return document::failure(std::move(reason), FailureType::parse);
}

document::Failure not_a_size(std::string_view text, std::string_view why = {}) {
    return refused("failed to parse setting [Ingest Field] with value [" + std::string(text) +
                   "] as a size in bytes" + std::string(why));
}

std::string_view trimmed(std::string_view text) {
    auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    return text;
}

template <class T>
std::optional<T> number(std::string_view text) {
    if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
    T value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

/// As Elasticsearch's ByteSizeValue: -1 byte is allowed and nothing else below 0.
Result<Value> parse_bytes(std::string_view text, Arena&) {
    std::string lower(trimmed(text));
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    }
    if (lower == "0" || lower == "-1") return Value::integer(lower == "0" ? 0 : -1);
    for (const Unit& unit : units) {
        if (!lower.ends_with(unit.suffix)) continue;
        std::string_view digits =
            trimmed(std::string_view(lower).substr(0, lower.size() - unit.suffix.size()));
        if (std::optional<std::int64_t> whole = number<std::int64_t>(digits)) {
            if (*whole < (unit.shift == 0 ? -1 : 0)) return not_a_size(text);
            if (*whole > std::numeric_limits<std::int64_t>::max() >> unit.shift)
                return not_a_size(text);
            return Value::integer(*whole * (std::int64_t{1} << unit.shift));
        }
        std::optional<double> fraction = unit.shift > 0 ? number<double>(digits) : std::nullopt;
        if (!fraction || !std::isfinite(*fraction))
            return refused("failed to parse [" + std::string(text) + "]");
        double size = *fraction * static_cast<double>(std::int64_t{1} << unit.shift);
        if (size < 0 || size >= 0x1p63) return not_a_size(text);
        return Value::integer(static_cast<std::int64_t>(size));
    }
    return not_a_size(text, ": unit is missing or unrecognized");
}

}  // namespace

pipeline::ProcessorSpec bytes() {
    return {
        .name = "bytes",
        .summary = "Turns a size for people, like 1kb, into a number of bytes.",
        .description =
            "Units are b, kb, mb, gb, tb and pb, in steps of 1024, in any case, and k, m, g, t and "
            "p. A unit is needed "
            "except for 0 and -1. Fractions are cut to whole bytes. A list is converted element by "
            "element.",
        .options = string_processor_options(),
        .examples = {{"{field: size}", R"({"size":"1kb"})", R"({"size":1024})"},
                     {"{field: size}", R"({"size":"12"})", "",
                      "failed to parse setting [Ingest Field] with value [12] as a size in bytes: "
                      "unit is missing or "
                      "unrecognized",
                      "A unit is needed"}},
        .compile =
            [](const pipeline::Config& config) {
                return make_string_processor(config, parse_bytes);
            },
    };
}

}  // namespace penstock::processors
