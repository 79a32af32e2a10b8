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
    read_object(value.as_object(), "", Treatment::index);
    join_ = JoinField::from(value.as_object());
}

/// Objects take what the one around them takes unless they say so themselves.
void MappedFields::read_object(const document::Object& object, const std::string& path,
                               Treatment unmapped) {
    const std::string_view dynamic = text_member(object, "dynamic");
    if (is_off(object, "dynamic") || dynamic == "false_allow_templates") {
        unmapped = Treatment::keep_only;
    } else if (object.get("dynamic") != nullptr) {
        unmapped = dynamic == "strict" ? Treatment::refuse : Treatment::index;
    }
    has_rules_ = has_rules_ || unmapped != Treatment::index;
    entries_.insert_or_assign(path, Entry{ValueType::object, true, unmapped});
    const document::Value* properties = object.get("properties");
    if (properties == nullptr || !properties->is_object()) return;
    for (const document::Member& member : properties->as_object()) {
        const std::string name(member.key());
        if (member.value.is_object())
            read_field(member.value.as_object(), path.empty() ? name : path + "." + name, unmapped);
    }
}

void MappedFields::read_field(const document::Object& field, const std::string& path,
                              Treatment unmapped) {
    const std::string_view type = text_member(field, "type");
    const bool has_fields = type.empty() || type == "object" || type == "nested";
    if (!has_fields) {
        entries_.insert_or_assign(path, Entry{value_type_from_name(type), false});
    } else if (is_off(field, "enabled")) {
        has_rules_ = true;
        entries_.insert_or_assign(path, Entry{ValueType::object, false, Treatment::keep_only});
    } else {
        read_object(field, path, unmapped);
    }
}

bool MappedFields::is_text(std::string_view path) const {
    const auto found = entries_.find(path);
    return found != entries_.end() && found->second.type == ValueType::text;
}

/// A name with dots is mapped below it.
bool MappedFields::is_above_some(std::string_view path) const {
    const std::string prefix = std::string(path) + ".";
    const auto next = entries_.lower_bound(prefix);
    return next != entries_.end() && next->first.starts_with(prefix);
}

MappedFields::Treatment MappedFields::treat(std::string_view path) const {
    if (!has_rules_) return Treatment::index;
    const auto mapped = entries_.find(path);
    // One that has no fields and is an object is not enabled.
    if (mapped != entries_.end())
        return mapped->second.has_fields ? Treatment::index : mapped->second.unmapped;
    if (is_above_some(path)) return Treatment::index;
    while (!path.empty()) {
        const std::size_t dot = path.rfind('.');
        path = path.substr(0, dot == std::string_view::npos ? 0 : dot);
        const auto around = entries_.find(path);
        if (around != entries_.end()) return around->second.unmapped;
    }
    return Treatment::index;
}

}  // namespace penstock::io
