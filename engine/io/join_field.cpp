#include "engine/io/join_field.h"

#include <utility>

#include "engine/document/json.h"
#include "engine/io/json_text.h"

namespace penstock::io {

using document::Member;
using document::Object;
using document::Value;

namespace {

/// As Elasticsearch calls what it reads.
std::string_view token_of(Value value) {
    switch (value.kind()) {
        case document::Kind::null:
            return "VALUE_NULL";
        case document::Kind::boolean:
            return "VALUE_BOOLEAN";
        case document::Kind::string:
            return "VALUE_STRING";
        case document::Kind::array:
            return "START_ARRAY";
        case document::Kind::object:
            return "START_OBJECT";
        default:
            return "VALUE_NUMBER";
    }
}

/// The text of a member of a JSON object; empty: there is none.
std::string_view member_text(std::string_view object, std::string_view name) {
    JsonCursor cursor(object);
    bool first = true;
    std::string_view key;
    if (cursor.kind() != JsonCursor::Kind::object || !cursor.enter()) return {};
    while (cursor.next_member(first, key)) {
        cursor.kind();  // which passes over white space
        const std::size_t begin = cursor.offset();
        cursor.skip();
        if (cursor.ok() && unescape(key) == name)
            return object.substr(begin, cursor.offset() - begin);
    }
    return {};
}

}  // namespace

std::optional<JoinField> JoinField::from(const Object& mappings) {
    const Value* properties = mappings.get("properties");
    if (properties == nullptr || !properties->is_object()) return std::nullopt;
    for (const Member& member : properties->as_object()) {
        if (!member.value.is_object()) continue;
        const Value* type = member.value.as_object().get("type");
        if (type == nullptr || !type->is_string() || type->as_string() != "join") continue;
        JoinField field;
        field.name_ = member.key();
        const Value* relations = member.value.as_object().get("relations");
        if (relations == nullptr || !relations->is_object()) return field;
        for (const Member& relation : relations->as_object())
            field.add_relation(relation.key(), relation.value);
        return field;
    }
    return std::nullopt;
}

std::optional<JoinField> JoinField::from(std::string_view mappings) {
    document::Arena arena;
    Value value;
    document::JsonError error;
    if (mappings.empty() || !document::JsonParser().parse(mappings, arena, value, error) ||
        !value.is_object())
        return std::nullopt;
    return from(value.as_object());
}

/// Children are one name or a list of them.
void JoinField::add_relation(std::string_view parent, Value children) {
    auto& names = children_[std::string(parent)];
    const auto add = [&](Value child) {
        if (!child.is_string()) return;
        names.emplace_back(child.as_string());
        parents_.insert_or_assign(names.back(), std::string(parent));
    };
    if (!children.is_array()) return add(children);
    for (const Value& child : children.as_array())
        add(child);
}

std::string_view JoinField::parent_of(std::string_view child) const {
    const auto found = parents_.find(child);
    return found == parents_.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<std::string> JoinField::children_of(std::string_view parent) const {
    const auto found = children_.find(parent);
    return found == children_.end() ? std::vector<std::string>() : found->second;
}

std::optional<JoinValue> JoinField::value(Value source) const {
    const Value* value = source.is_object() ? source.as_object().get(name_) : nullptr;
    return value == nullptr ? std::nullopt : read(*value).value;
}

std::string JoinField::problem(std::string_view source, bool routed) const {
    document::Arena arena;
    Value value;
    document::JsonError error;
    const std::string_view text = member_text(source, name_);
    if (text.empty() || !document::JsonParser().parse(text, arena, value, error)) return {};
    const Reading reading = read(value);
    if (!reading.value) return reading.problem;
    const std::string& name = reading.value->name;
    if (!is_parent(name) && !is_child(name))
        return "unknown join name [" + name + "] for field [" + name_ + "]";
    if (!is_child(name)) return {};
    if (!reading.value->parent) return "[parent] is missing for join field [" + name_ + "]";
    return routed ? std::string() : "[routing] is missing for join field [" + name_ + "]";
}

/// A list of one value is that value, and an empty one none.
JoinField::Reading JoinField::read(Value value) const {
    if (value.is_array()) {
        const auto& values = value.as_array();
        if (values.empty()) return {};
        if (values.size() > 1)
            return {std::nullopt, "the join field [" + name_ + "] has more than one value"};
        value = values[0];
    }
    if (value.is_string()) return {JoinValue{std::string(value.as_string()), std::nullopt}, {}};
    if (value.is_object()) return read_object(value.as_object());
    return {std::nullopt, "[" + name_ + "] expected START_OBJECT or VALUE_STRING but was: " +
                              std::string(token_of(value))};
}

JoinField::Reading JoinField::read_object(const Object& object) const {
    JoinValue join;
    bool named = false;
    for (const Member& member : object) {
        const Value value = member.value;
        if (member.key() == "name" && value.is_string()) {
            join.name = value.as_string();
            named = true;
        } else if (member.key() == "parent" && value.is_string()) {
            join.parent = value.as_string();
        } else if (member.key() == "parent" && value.is_number()) {
            document::write_json(value, join.parent.emplace());
        } else if (value.is_string() || value.is_number()) {
            return {std::nullopt, "unknown field name [" + std::string(member.key()) +
                                      "] in join field [" + name_ + "]"};
        }
    }
    if (!named) return {std::nullopt, "null join name in field [" + name_ + "]"};
    return {std::move(join), {}};
}

}  // namespace penstock::io
