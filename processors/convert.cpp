#include <arpa/inet.h>

#include <optional>

#include "processors/builtin.h"
#include "processors/number_text.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Result;
using document::Value;

namespace {

using Parse = std::optional<Value> (*)(std::string_view text, Arena& arena);

bool equal_ignoring_case(std::string_view text, std::string_view lower) {
    if (text.size() != lower.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
        if (c != lower[i]) return false;
    }
    return true;
}

/// Java's parseInt and parseLong, and decode for what begins with 0x: a sign, then digits and
/// nothing else.
template <class T>
std::optional<Value> parse_integral(std::string_view text, Arena&) {
    bool negative = text.starts_with('-');
    bool hex = text.substr(negative ? 1 : 0).starts_with("0x");
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (hex) text.remove_prefix(2);
    std::optional<std::int64_t> value = parse_java_integer<T>(text, negative, hex ? 16 : 10);
    if (!value) return std::nullopt;
    return Value::integer(*value);
}

std::optional<Value> parse_double(std::string_view text, Arena&) {
    std::optional<double> value = parse_java_double(text);
    if (!value) return std::nullopt;
    return Value::floating(*value);
}

std::optional<Value> parse_float(std::string_view text, Arena&) {
    std::optional<double> value = parse_java_float(text);
    if (!value) return std::nullopt;
    return Value::floating(*value);
}

std::optional<Value> parse_boolean(std::string_view text, Arena&) {
    if (equal_ignoring_case(text, "true")) return Value::boolean(true);
    if (equal_ignoring_case(text, "false")) return Value::boolean(false);
    return std::nullopt;
}

std::optional<Value> parse_string(std::string_view text, Arena& arena) {
    return Value::string(text, arena);
}

struct Type {
    std::string_view name;
    Parse parse;
};
constexpr Type types[] = {
    {"integer", parse_integral<std::int32_t>},
    {"long", parse_integral<std::int64_t>},
    {"double", parse_double},
    {"float", parse_float},
    {"boolean", parse_boolean},
    {"string", parse_string},
};

bool is_ip(std::string_view text) {
    if (text.size() >= INET6_ADDRSTRLEN) return false;
    char terminated[INET6_ADDRSTRLEN] = {};
    text.copy(terminated, text.size());
    if (text.find('\0') != std::string_view::npos) return false;
    unsigned char address[sizeof(in6_addr)];
    return inet_pton(AF_INET, terminated, address) == 1 ||
           inet_pton(AF_INET6, terminated, address) == 1;
}

/// As Java's value.toString(); strings are not copied.
std::string_view text_of(Value value, std::string& buffer) {
    if (value.is_string()) return value.as_string();
    buffer.clear();
    document::append_java_string(value, buffer);
    return buffer;
}

Result<Value> to_ip(Value value) {
    std::string buffer;
    std::string_view text = text_of(value, buffer);
    if (value.is_string() && is_ip(text)) return value;
    return document::failure("'" + std::string(text) + "' is not an IP string literal.");
}

/// The first of boolean, integer, long, float and double that takes the string; otherwise the
/// string itself.
Value to_best(Value value, Arena& arena) {
    if (!value.is_string()) return value;
    for (Parse parse : {parse_boolean, parse_integral<std::int64_t>, parse_float, parse_double}) {
        if (std::optional<Value> converted = parse(value.as_string(), arena)) return *converted;
    }
    return value;
}

Result<Value> to_type(const Type& type, Value value, Arena& arena) {
    std::string buffer;
    std::string_view text = text_of(value, buffer);
    std::optional<Value> converted;
    if (!value.is_null()) converted = type.parse(text, arena);
    if (converted) return *converted;
    if (type.parse == parse_boolean) {
        return document::failure("[" + std::string(text) +
                                 "] is not a boolean value, cannot convert to boolean");
    }
    return document::failure("unable to convert [" + std::string(text) + "] to " +
                             std::string(type.name));
}

class Convert final : public pipeline::Processor {
  public:
    Convert(FieldPath field, FieldPath target, std::string type, bool ignore_missing)
        : field_(std::move(field)),
          target_(std::move(target)),
          name_(std::move(type)),
          ignore_missing_(ignore_missing) {
        for (const Type& candidate : types) {
            if (candidate.name == name_) type_ = &candidate;
        }
    }

    Outcome run(Document& document) const override {
        const Value* found = document.find(field_);
        if (found == nullptr || found->is_null()) return missing(document, found);
        Value value = *found;
        Arena& arena = document.arena();
        if (!value.is_array()) {
            Result<Value> converted = convert_one(value, arena);
            if (!converted) return converted.error();
            return document.set(target_, *converted);
        }
        auto* list = arena.make<document::Array>();
        list->reserve(value.as_array().size(), arena);
        for (Value item : value.as_array()) {
            Result<Value> converted = convert_one(item, arena);
            if (!converted) return converted.error();
            list->push_back(*converted, arena);
        }
        return document.set(target_, Value::array(list));
    }

  private:
    Outcome missing(const Document& document, const Value* found) const {
        if (ignore_missing_) return Outcome::ok();
        if (found == nullptr) return document.get(field_).error();
        return document::failure("Field [" + field_.text() +
                                 "] is null, cannot be converted to type [" + name_ + "]");
    }

    Result<Value> convert_one(Value value, Arena& arena) const {
        if (type_ != nullptr) return to_type(*type_, value, arena);
        if (name_ == "ip") return to_ip(value);
        // What stays an object must not be shared by two fields, since later steps may change it in
        // place.
        bool container = value.is_object() || value.is_array();
        return container ? document::clone(value, arena) : to_best(value, arena);
    }

    FieldPath field_, target_;
    std::string name_;
    const Type* type_ = nullptr;  // null: ip or auto
    bool ignore_missing_;
};

}  // namespace

pipeline::ProcessorSpec convert() {
    return {
        .name = "convert",
        .summary = "Converts a field to another type.",
        .description =
            "A list is converted element by element. What cannot be converted fails.\n\n"
            "- `integer` (32 bits) and `long` (64 bits) take decimal text and text that begins "
            "with `0x` or `-0x`; "
            "a number with a fraction is refused, not rounded.\n"
            "- `float` rounds to 32 bits. Numbers too large for their type, `NaN` and `Infinity` "
            "are refused, since "
            "JSON cannot hold them (Elasticsearch lets them through and fails later).\n"
            "- `boolean` takes `true` and `false` in any case.\n"
            "- `ip` checks that the text is an IPv4 or IPv6 address and leaves it as it is.\n"
            "- `auto` turns text into a boolean, a whole number or a float, whichever comes first, "
            "and leaves other "
            "text and all other values alone.",
        .options = {pipeline::field_option("The field to convert."),
                    {.name = "type",
                     .type = pipeline::OptionType::enumeration,
                     .doc = "The type to convert to.",
                     .required = true,
                     .values = {"integer", "long", "float", "double", "string", "boolean", "ip",
                                "auto"}},
                    pipeline::target_field_option(),
                    pipeline::ignore_missing_option()},
        .examples = {{"{field: port, type: integer}", R"({"port":"8080"})", R"({"port":8080})", "",
                      "Text to a number"},
                     {"{field: flags, type: long}", R"({"flags":["0x10","2"]})",
                      R"({"flags":[16,2]})", "", "Every element of a list"},
                     {"{field: port, type: integer}", R"({"port":"http"})", "",
                      "unable to convert [http] to integer", "Not a number"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            return std::make_unique<Convert>(config.path("field"),
                                             config.path_or("target_field", config.string("field")),
                                             config.string("type"), config.flag("ignore_missing"));
        },
    };
}

}  // namespace penstock::processors
