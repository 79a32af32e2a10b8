#include "tools/serve/readable.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>

#include "tools/serve/timestamp.h"
#include "tools/serve/units.h"

namespace penstock::serve {

namespace {

using document::Arena;
using document::Array;
using document::Member;
using document::Object;
using document::Value;

std::string_view without_index(std::string_view route) {
    constexpr std::string_view index = "/{index}";
    if (route.starts_with(index)) route.remove_prefix(index.size());
    return route;
}

std::optional<double> number_of(const Value& value) {
    // Beyond what sizes and times are, and what whole numbers can be made of.
    constexpr double most = 9e15;
    const double number = value.is_number() ? value.to_double() : most;
    return std::abs(number) < most ? std::optional(number) : std::nullopt;
}

/// A text of digits, as settings are.
std::optional<std::int64_t> digits_of(const Value& value) {
    if (value.is_integer()) return value.as_integer();
    if (!value.is_string()) return std::nullopt;
    const std::string_view text = value.as_string();
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::string date_text(std::int64_t millis) {
    return timestamp(std::chrono::system_clock::time_point(std::chrono::milliseconds(millis)));
}

/// "8.0.0" of 8000099.
std::string version_text(std::int64_t id) {
    return std::to_string(id / 1'000'000) + "." + std::to_string(id / 10'000 % 100) + "." +
           std::to_string(id / 100 % 100);
}

struct Readable {
    std::string name;
    std::string text;
};

bool is_a_date(std::string_view name) {
    return name == "start_time" || name == "timestamp" || name.ends_with("_date") ||
           name.ends_with("_timestamp");
}

std::string time_of(std::string_view name, double millis, std::string_view smallest) {
    if (is_a_date(name)) return date_text(static_cast<std::int64_t>(millis));
    if (millis < 0) return std::to_string(static_cast<std::int64_t>(millis));
    return time_text(millis, {}, smallest);
}

/// Of numbers whose name ends with their unit.
std::optional<Readable> by_unit(std::string_view name, const Value& value) {
    const std::optional<double> number = number_of(value);
    if (!number) return std::nullopt;
    const auto strip = [&](std::string_view suffix) {
        if (!name.ends_with(suffix) || name.size() == suffix.size()) return false;
        name.remove_suffix(suffix.size());
        return true;
    };
    if (strip("_in_bytes") || strip("_bytes"))
        return Readable{std::string(name), bytes_text(*number)};
    if (strip("_in_millis") || strip("_millis"))
        return Readable{std::string(name), time_of(name, *number, "ms")};
    if (strip("_in_nanos"))
        return Readable{std::string(name), time_of(name, *number / 1e6, "nanos")};
    return std::nullopt;
}

std::optional<Readable> readable(const Member& member) {
    const std::string_view name = member.key();
    if (auto by_its_unit = by_unit(name, member.value)) return by_its_unit;
    if (name == "active_shards_percent_as_number") {
        const std::optional<double> percent = number_of(member.value);
        const std::string text = std::to_string(percent.value_or(0));
        return Readable{"active_shards_percent", text.substr(0, text.find('.') + 2) + "%"};
    }
    // Settings, nested or flat.
    const std::string_view last = name.substr(name.rfind('.') + 1);
    if (last != "creation_date" && last != "created") return std::nullopt;
    const std::optional<std::int64_t> number = digits_of(member.value);
    if (!number) return std::nullopt;
    return Readable{std::string(name) + "_string",
                    last == "created" ? version_text(*number) : date_text(*number)};
}

/// Every object of `value` made again by `make`, which is given its members made already.
template <class Make>
Value rebuilt(const Value& value, Arena& arena, const Make& make) {
    if (value.is_array()) {
        auto* array = arena.make<Array>();
        for (const Value& element : value.as_array())
            array->push_back(rebuilt(element, arena, make), arena);
        return Value::array(array);
    }
    if (!value.is_object()) return value;
    auto* object = arena.make<Object>();
    for (const Member& member : value.as_object()) {
        static constexpr std::array<std::string_view, 4> theirs{"_source", "_meta", "meta",
                                                                "metadata"};  // of clients
        const bool is_document =
            std::find(theirs.begin(), theirs.end(), member.key()) != theirs.end();
        object->push_back(member.name(),
                          is_document ? member.value : rebuilt(member.value, arena, make), arena);
    }
    return make(*object);
}

/// "type: reason", and the same of its causes.
std::string trace_of(const Object& error) {
    std::string trace;
    for (const Object* at = &error; at != nullptr;) {
        const Value* type = at->get("type");
        const Value* reason = at->get("reason");
        if (type == nullptr || reason == nullptr || !type->is_string() || !reason->is_string())
            break;
        if (!trace.empty()) trace += "\nCaused by: ";
        trace.append(type->as_string()).append(": ").append(reason->as_string());
        const Value* cause = at->get("caused_by");
        at = cause != nullptr && cause->is_object() ? &cause->as_object() : nullptr;
    }
    return trace;
}

}  // namespace

bool has_readable_values(std::string_view route) {
    static constexpr std::array<std::string_view, 9> families{
        "/_nodes", "/_cluster", "/_stats",           "/_tasks",           "/_settings",
        "/_ml",    "/_reindex", "/_update_by_query", "/_delete_by_query",
    };
    const std::string_view rest = without_index(route);
    if (rest.empty()) return true;  // the index itself
    return std::any_of(families.begin(), families.end(), [&](std::string_view family) {
        return rest == family ||
               (rest.starts_with(family) && rest.substr(family.size()).starts_with('/'));
    });
}

Value with_readable_values(Value response, Arena& arena) {
    return rebuilt(response, arena, [&](const Object& object) {
        auto* made = arena.make<Object>();
        for (const Member& member : object) {
            const auto added = readable(member);
            if (added && object.get(added->name) == nullptr)
                made->push_back(document::Key(arena.copy(added->name)),
                                Value::string(added->text, arena), arena);
            made->push_back(member.name(), member.value, arena);
        }
        return Value::object(made);
    });
}

Value with_stack_traces(Value response, Arena& arena) {
    return rebuilt(response, arena, [&](Object& object) {
        const std::string trace = trace_of(object);
        if (!trace.empty()) object.set("stack_trace", Value::string(trace, arena), arena);
        return Value::object(&object);
    });
}

}  // namespace penstock::serve
