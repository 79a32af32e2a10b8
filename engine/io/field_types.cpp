#include "engine/io/field_types.h"

#include <utility>

#include "engine/document/json.h"

namespace penstock::io {
namespace {

ValueType type_of(const Field& field) {
    switch (field.type) {
        case FieldType::vector:
            return ValueType::vector;
        case FieldType::long_number:
            return ValueType::long_number;
        case FieldType::float_number:
            return ValueType::float_number;
        case FieldType::boolean:
            return ValueType::boolean;
        default:
            return field.is_date ? ValueType::date : ValueType::text;
    }
}

const document::Object* object_member(const document::Object& object, std::string_view name) {
    const document::Value* member = object.get(name);
    return member != nullptr && member->is_object() ? &member->as_object() : nullptr;
}

}  // namespace

bool lies_below(std::string_view path, std::string_view parent) {
    return path.size() > parent.size() && path.starts_with(parent) && path[parent.size()] == '.';
}

FieldTypes::FieldTypes(std::vector<Field> known, std::string_view mappings, bool complete)
    : known_(std::move(known)), complete_(complete) {
    for (const Field& field : known_)
        by_path_.emplace(field.path, &field);
    document::Arena arena;
    document::Value value;
    document::JsonError error;
    if (mappings.empty() || !document::JsonParser().parse(mappings, arena, value, error)) return;
    if (!value.is_object()) return;
    if (const document::Object* properties = object_member(value.as_object(), "properties"))
        read_properties(*properties, "");
}

void FieldTypes::read_properties(const document::Object& properties, const std::string& prefix) {
    for (const document::Member& member : properties) {
        const std::string path = prefix + std::string(member.key());
        if (member.value.is_object()) read_field(member.value.as_object(), path, path);
    }
}

void FieldTypes::read_field(const document::Object& field, const std::string& path,
                            const std::string& source) {
    const document::Object* properties = object_member(field, "properties");
    const document::Value* type = field.get("type");
    Mapped mapped{ValueType::object, source};
    if (type != nullptr && type->is_string()) {
        mapped.type = value_type_from_name(type->as_string());
        const document::Value* target = field.get("path");
        if (type->as_string() == "alias" && target != nullptr && target->is_string())
            mapped = {ValueType::unknown, std::string(target->as_string()), true};
    }
    mapped_.insert_or_assign(path, mapped);
    const document::Value* enabled = field.get("enabled");
    // What lies in an object that is not enabled is no field.
    const bool is_off =
        enabled != nullptr &&
        (enabled->is_boolean() ? !enabled->as_boolean()
                               : enabled->is_string() && enabled->as_string() == "false");
    if (properties != nullptr && !is_off) read_properties(*properties, path + ".");
    const document::Object* subfields = object_member(field, "fields");
    if (subfields == nullptr) return;
    for (const document::Member& member : *subfields) {
        if (member.value.is_object())
            read_field(member.value.as_object(), path + "." + std::string(member.key()), source);
    }
}

const Field* FieldTypes::find(std::string_view path) const {
    const auto found = by_path_.find(path);
    return found == by_path_.end() ? nullptr : found->second;
}

FieldRef FieldTypes::resolve(std::string_view name) const {
    const auto mapped = mapped_.find(name);
    if (mapped == mapped_.end() || !mapped->second.is_alias) return resolve_directly(name);
    return resolve_directly(mapped->second.path);
}

FieldRef FieldTypes::resolve_directly(std::string_view name) const {
    const auto mapped = mapped_.find(name);
    if (mapped != mapped_.end()) {
        if (mapped->second.is_alias) return {std::string(name), ValueType::unknown, nullptr};
        // A subfield of a type that nobody knows is as its parent.
        const bool as_parent =
            mapped->second.path != name && mapped->second.type == ValueType::unknown;
        if (as_parent) return resolve_directly(mapped->second.path);
        return {mapped->second.path, mapped->second.type, find(mapped->second.path)};
    }
    if (const Field* field = find(name)) return {std::string(name), type_of(*field), field};
    constexpr std::string_view kKeyword = ".keyword";
    if (name.ends_with(kKeyword)) {
        const std::string_view parent = name.substr(0, name.size() - kKeyword.size());
        const Field* field = mapped_.contains(parent) ? nullptr : find(parent);
        if (field != nullptr && field->type == FieldType::text)
            return {std::string(parent), ValueType::keyword, field};
    }
    return {std::string(name), ValueType::unknown, nullptr};
}

bool FieldTypes::absent(std::string_view name) const {
    if (!complete_) return false;
    const FieldRef ref = resolve(name);
    if (ref.type != ValueType::unknown || ref.stored != nullptr || mapped_.contains(name))
        return false;
    for (const Field& field : known_) {
        if (lies_below(field.path, name)) return false;
    }
    for (const auto& [path, mapped] : mapped_) {
        // What lies below a flattened object is known to nobody.
        if (lies_below(path, name)) return false;
        if (mapped.type == ValueType::object && lies_below(name, path) && find(name) != nullptr)
            return false;
    }
    return true;
}

std::vector<std::string> FieldTypes::names(ValueType type) const {
    std::vector<std::string> names;
    for (const Field& field : known_) {
        if (resolve(field.path).type == type) names.push_back(field.path);
    }
    for (const auto& [path, mapped] : mapped_) {
        if (mapped.type == type && mapped.path == path && find(path) == nullptr)
            names.push_back(path);
    }
    return names;
}

}  // namespace penstock::io
