#include "engine/io/mapped_fields.h"

#include "engine/document/json.h"

namespace penstock::io {
namespace {

std::string_view text_member(const document::Object& object, std::string_view name) {
    const document::Value* member = object.get(name);
    return member != nullptr && member->is_string() ? member->as_string() : std::string_view();
}

bool is_off(const document::Object& object, std::string_view name) {
    const document::Value* member = object.get(name);
    return member != nullptr && ((member->is_boolean() && !member->as_boolean()) ||
                                 text_member(object, name) == "false");
}

}  // namespace

MappedFields::MappedFields(std::string_view mappings) {
    document::Arena arena;
    document::Value value;
    document::JsonError error;
    if (mappings.empty() || !document::JsonParser().parse(mappings, arena, value, error)) return;
    if (!value.is_object()) return;
    read_object(value.as_object(), "", false);
    join_ = JoinField::from(value.as_object());
}

/// Objects are as strict as the one around them unless they say so themselves.
void MappedFields::read_object(const document::Object& object, const std::string& path,
                               bool strict) {
    if (object.get("dynamic") != nullptr) strict = text_member(object, "dynamic") == "strict";
    is_strict_ = is_strict_ || strict;
    entries_.insert_or_assign(path, Entry{ValueType::object, true, strict});
    const document::Value* properties = object.get("properties");
    if (properties == nullptr || !properties->is_object()) return;
    for (const document::Member& member : properties->as_object()) {
        const std::string name(member.key());
        if (member.value.is_object())
            read_field(member.value.as_object(), path.empty() ? name : path + "." + name, strict);
    }
}

void MappedFields::read_field(const document::Object& field, const std::string& path, bool strict) {
    const std::string_view type = text_member(field, "type");
    const bool has_fields = type.empty() || type == "object" || type == "nested";
    if (has_fields && !is_off(field, "enabled")) return read_object(field, path, strict);
    entries_.insert_or_assign(path, Entry{value_type_from_name(type), false, false});
}

bool MappedFields::is_text(std::string_view path) const {
    const auto found = entries_.find(path);
    return found != entries_.end() && found->second.type == ValueType::text;
}

bool MappedFields::admits(std::string_view path) const {
    if (!is_strict_ || entries_.contains(path)) return true;
    while (!path.empty()) {
        const std::size_t dot = path.rfind('.');
        path = path.substr(0, dot == std::string_view::npos ? 0 : dot);
        const auto around = entries_.find(path);
        if (around != entries_.end()) return !around->second.has_fields || !around->second.strict;
    }
    return true;
}

}  // namespace penstock::io
