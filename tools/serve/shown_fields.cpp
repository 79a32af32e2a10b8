#include "tools/serve/shown_fields.h"

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "tools/serve/api_error.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

using document::JsonWriter;
using io::SortValue;

namespace {

using Leaves = std::map<std::string, std::vector<document::Value>>;

void gather(document::Value value, const std::string& path, Leaves& leaves) {
    if (value.is_object()) {
        for (const document::Member& member : value.as_object())
            gather(
                member.value,
                path.empty() ? std::string(member.key()) : path + "." + std::string(member.key()),
                leaves);
    } else if (value.is_array()) {
        for (const document::Value& element : value.as_array())
            gather(element, path, leaves);
    } else if (!value.is_null()) {
        leaves[path].push_back(value);
    }
}

/// The value as the format has it; nothing when the value is none of the field's type.
std::optional<std::string> formatted(const document::Value& value, const ValueFormat& format,
                                     io::ValueType type) {
    const SortValue typed = io::sort_value(value, type);
    const auto* whole = std::get_if<std::int64_t>(&typed);
    if (type == io::ValueType::date) {
        return whole != nullptr ? std::optional(format.date(*whole)) : std::nullopt;
    }
    if (whole != nullptr) return format.number(*whole);
    const auto* number = std::get_if<double>(&typed);
    return number != nullptr ? std::optional(format.number(*number)) : std::nullopt;
}

void write_leaf(JsonWriter& json, const document::Value& value, const ValueFormat* format,
                io::ValueType type) {
    if (format != nullptr) {
        if (const auto shown = formatted(value, *format, type)) return json.value(*shown);
    }
    std::string text;
    document::write_json(value, text);
    json.raw(text);
}

/// Dates and numbers have formats.
void check_format(const std::string& field, io::ValueType type) {
    static constexpr std::array<std::pair<io::ValueType, const char*>, 4> without{
        {{io::ValueType::keyword, "keyword"},
         {io::ValueType::text, "text"},
         {io::ValueType::boolean, "boolean"},
         {io::ValueType::vector, "dense_vector"}}};
    for (const auto& [one, name] : without) {
        if (one == type)
            throw illegal_argument("Field [" + field + "] of type [" + name +
                                   "] doesn't support formats.");
    }
}

/// The values of a hit's fields, each in the formats that were asked for.
class ShownValues {
  public:
    explicit ShownValues(const OnMemory& on_memory) : on_memory_(on_memory) {}

    void add(const std::string& path, const std::vector<document::Value>& values,
             const ValueFormat* format, io::ValueType type) {
        Field& field = fields_[path];
        // Named again it is the same, and so it is without a format.
        if (format == nullptr && !field.formats.empty()) return;
        const std::string text = format == nullptr ? std::string() : std::string(format->text());
        if (!field.named.insert(text).second) return;
        field.values = &values;
        field.type = type;
        field.formats.push_back(format);
        on_memory_(bytes_ += kBytesOfFormat + text.size());
    }
    bool empty() const { return fields_.empty(); }
    void write(JsonWriter& json) const {
        for (const auto& [path, field] : fields_)
            json.member_array(path, [this, &json, &field = field] { write(json, field); });
    }

  private:
    static constexpr std::size_t kBytesOfFormat = 128;  ///< of its pointer and its name's node
    struct Field {
        const std::vector<document::Value>* values = nullptr;
        io::ValueType type = io::ValueType::unknown;
        std::vector<const ValueFormat*> formats;  ///< null: none
        std::set<std::string> named;
    };

    void write(JsonWriter& json, const Field& field) const {
        for (const ValueFormat* format : field.formats) {
            for (const document::Value& value : *field.values) {
                write_leaf(json, value, format, field.type);
                on_memory_(bytes_);
            }
        }
    }

    const OnMemory& on_memory_;
    std::size_t bytes_ = 0;
    std::map<std::string, Field> fields_;
};

}  // namespace

void write_fields(JsonWriter& json, const std::vector<ShownField>& fields,
                  io::IndexSnapshot& snapshot, std::string_view source, const OnMemory& on_memory) {
    const SearchBody parsed{std::string(source)};
    Leaves leaves;
    gather(document::Value::object(&parsed.root()), "", leaves);
    ShownValues shown(on_memory);
    const auto show = [&](const std::string& path, const std::vector<document::Value>& values,
                          const ShownField& field, bool by_name) {
        const io::ValueType type = snapshot.field(path).type;
        if (field.format && by_name) check_format(path, type);
        const bool has_format = type == io::ValueType::date || type == io::ValueType::long_number ||
                                type == io::ValueType::float_number;
        shown.add(path, values, has_format ? field.format.get() : nullptr, type);
    };
    for (const ShownField& field : fields) {
        for (const auto& [path, values] : leaves) {
            if (matches_wildcard(field.pattern, path))
                show(path, values, field, path == field.pattern);
        }
        const auto base = leaves.find(snapshot.field(field.pattern).path);
        if (base != leaves.end() && base->first != field.pattern)
            show(field.pattern, base->second, field, true);
    }
    if (shown.empty()) return;
    json.member_object("fields", [&] { shown.write(json); });
}

}  // namespace penstock::serve
