#include "engine/plugin/spec_json.h"

#include <optional>
#include <utility>
#include <vector>

#include "engine/document/json.h"
#include "engine/plugin/loader.h"
#include "engine/runtime/error.h"

namespace penstock::plugin {
namespace {

using document::Value;
using pipeline::OptionSpec;
using pipeline::OptionType;

std::string json_text(Value value) {
    std::string out;
    document::write_json(value, out);
    return out;
}

/// The types that plugins may declare, by their names in the ABI. A nested processor could not be
/// handed to them.
constexpr std::pair<std::string_view, OptionType> option_types[] = {
    {"string", OptionType::string},   {"boolean", OptionType::boolean},
    {"integer", OptionType::integer}, {"number", OptionType::number},
    {"field", OptionType::field},     {"enumeration", OptionType::enumeration},
    {"strings", OptionType::strings}, {"list", OptionType::list},
    {"object", OptionType::object},   {"any", OptionType::any},
    {"regex", OptionType::regex},
};

std::optional<OptionType> option_type(std::string_view name) {
    for (const auto& [known, type] : option_types) {
        if (known == name) return type;
    }
    return std::nullopt;
}

class Reader {
  public:
    explicit Reader(std::string where) : where_(std::move(where)) {}

    pipeline::ProcessorSpec read(Value root) {
        if (!root.is_object()) fail("its specification is not a JSON object");
        for (const document::Member& member : root.as_object())
            top_member(member.key(), member.value);
        if (!is_plugin_name(spec_.name)) {
            fail("its specification's name is [" + spec_.name +
                 "], where lower-case letters, digits and _ are allowed, a letter first");
        }
        if (spec_.summary.empty()) fail("its specification has no summary");
        return std::move(spec_);
    }

    [[noreturn]] void fail(const std::string& why) const {
        const std::string& name = spec_.name;
        throw Error(where_ + (name.empty() ? "" : ": processor [" + name + "]") + ": " + why);
    }

  private:
    void top_member(std::string_view key, Value value) {
        if (key == "name") {
            spec_.name = text(key, value);
        } else if (key == "summary") {
            spec_.summary = text(key, value);
        } else if (key == "description") {
            spec_.description = text(key, value);
        } else if (key == "since") {
            spec_.since = text(key, value);
        } else if (key == "options") {
            for (const Value& option : list(key, value))
                read_option(option);
        } else if (key == "examples") {
            for (const Value& example : list(key, value))
                read_example(example);
        } else if (key == "exactly_one_of") {
            for (const Value& set : list(key, value))
                spec_.exactly_one_of.push_back(texts(key, set));
        } else if (key == "at_most_one_of") {
            for (const Value& set : list(key, value))
                spec_.at_most_one_of.push_back(texts(key, set));
        } else {
            fail("its specification has an unknown member [" + std::string(key) + "]");
        }
    }

    void read_option(Value value) {
        if (!value.is_object()) fail("one of its options is not a JSON object");
        OptionSpec option;
        if (const Value* name = value.as_object().get("name")) option.name = text("name", *name);
        for (const document::Member& member : value.as_object()) {
            option_member(option, member.key(), member.value);
        }
        if (option.required && !option.default_value.empty()) {
            fail_option(option, "is required and has a default");
        }
        if (option.templated && option.type != OptionType::string &&
            option.type != OptionType::field) {
            fail_option(option, "is templated, which only options of type string and field can be");
        }
        spec_.options.push_back(std::move(option));
    }

    void option_member(OptionSpec& option, std::string_view key, Value value) {
        if (key == "name") return;  // read first, for the messages
        if (key == "type") {
            const std::string name = text(key, value);
            const auto type = option_type(name);
            if (!type) fail_option(option, "has the unknown type [" + name + "]");
            option.type = *type;
        } else if (key == "default") {
            option.default_value = json_text(value);  // JSON is YAML
        } else if (key == "doc") {
            option.doc = text(key, value);
        } else if (key == "since") {
            option.since = text(key, value);
        } else if (key == "required") {
            option.required = flag(key, value);
        } else if (key == "templated") {
            option.templated = flag(key, value);
        } else if (key == "values") {
            option.values = texts(key, value);
        } else if (key == "aliases") {
            option.aliases = texts(key, value);
        } else if (key == "minimum") {
            option.minimum = number(key, value);
        } else if (key == "maximum") {
            option.maximum = number(key, value);
        } else {
            fail_option(option, "has an unknown member [" + std::string(key) + "]");
        }
    }

    void read_example(Value value) {
        if (!value.is_object()) fail("one of its examples is not a JSON object");
        pipeline::Example example;
        bool ends = false;
        for (const document::Member& member : value.as_object()) {
            const std::string_view key = member.key();
            if (key == "options") {
                example.options = json_text(member.value);
            } else if (key == "in") {
                example.in = json_text(member.value);
            } else if (key == "out") {
                const bool dropped = member.value.is_string();
                example.out = dropped ? text(key, member.value) : json_text(member.value);
                ends = true;
            } else if (key == "fails") {
                example.fails = text(key, member.value);
                ends = true;
            } else if (key == "title") {
                example.title = text(key, member.value);
            } else {
                fail("one of its examples has an unknown member [" + std::string(key) + "]");
            }
        }
        if (example.options.empty() || example.in.empty() || !ends) {
            fail("an example needs options, in, and out or fails");
        }
        spec_.examples.push_back(std::move(example));
    }

    [[noreturn]] void fail_option(const OptionSpec& option, const std::string& why) const {
        fail("its option [" + option.name + "] " + why);
    }

    [[noreturn]] void wrong(std::string_view key, const char* type) const {
        fail("member [" + std::string(key) + "] of its specification is not " + type);
    }
    std::string text(std::string_view key, Value value) const {
        if (!value.is_string()) wrong(key, "a string");
        return std::string(value.as_string());
    }
    bool flag(std::string_view key, Value value) const {
        if (!value.is_boolean()) wrong(key, "a boolean");
        return value.as_boolean();
    }
    double number(std::string_view key, Value value) const {
        if (!value.is_number()) wrong(key, "a number");
        return value.to_double();
    }
    const document::Array& list(std::string_view key, const Value& value) const {
        if (!value.is_array()) wrong(key, "a list");
        return value.as_array();
    }
    std::vector<std::string> texts(std::string_view key, const Value& value) const {
        std::vector<std::string> out;
        for (const Value& element : list(key, value))
            out.push_back(text(key, element));
        return out;
    }

    std::string where_;
    pipeline::ProcessorSpec spec_;
};

}  // namespace

pipeline::ProcessorSpec parse_spec(std::string_view json, const std::string& where) {
    document::Arena arena;
    document::JsonParser parser;
    document::JsonError error;
    Value root;
    Reader reader(where);
    if (!parser.parse(json, arena, root, error)) {
        reader.fail("a processor's specification is not JSON: " + error.text());
    }
    return reader.read(root);
}

}  // namespace penstock::plugin
