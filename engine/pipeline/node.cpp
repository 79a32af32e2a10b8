#include "engine/pipeline/node.h"

namespace penstock::pipeline {

namespace {

constexpr std::size_t longest_shown = 40;

/// At most `longest_shown` bytes, cut between characters.
std::string clipped(std::string_view text) {
    if (text.size() <= longest_shown) return std::string(text);
    std::size_t end = longest_shown;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return std::string(text.substr(0, end)) + "...";
}

document::Value list_value(const Node& node, document::Arena& arena) {
    auto* array = arena.make<document::Array>();
    array->reserve(node.items.size(), arena);
    for (const Node& item : node.items)
        array->push_back(item.to_value(arena), arena);
    return document::Value::array(array);
}

document::Value map_value(const Node& node, document::Arena& arena) {
    auto* object = arena.make<document::Object>();
    object->reserve(node.entries.size(), arena);
    for (const Node::Entry& entry : node.entries) {
        object->push_back(document::Key(arena.copy(entry.key)), entry.value.to_value(arena), arena);
    }
    return document::Value::object(object);
}

}  // namespace

const Node* Node::find(std::string_view key) const {
    for (const Entry& entry : entries) {
        if (entry.key == key) return &entry.value;
    }
    return nullptr;
}

std::string Node::describe() const {
    switch (kind) {
        case Kind::null:
            return "nothing";
        case Kind::boolean:
            return boolean ? "the boolean true" : "the boolean false";
        case Kind::integer:
        case Kind::floating:
        case Kind::number:
            return "the number " + clipped(text);
        case Kind::string:
            return text.empty() ? "an empty string" : "the string [" + clipped(text) + "]";
        case Kind::list:
            return items.empty() ? "an empty list" : "a list";
        case Kind::map:
            return entries.empty() ? "an empty map" : "a map";
    }
    return {};
}

document::Value Node::to_value(document::Arena& arena) const {
    switch (kind) {
        case Kind::null:
            return document::Value::null();
        case Kind::boolean:
            return document::Value::boolean(boolean);
        case Kind::integer:
            return document::Value::integer(integer);
        case Kind::floating:
            return document::Value::floating(floating);
        case Kind::number:
            return document::Value::number(arena.copy(text));
        case Kind::string:
            return document::Value::string(text, arena);
        case Kind::list:
            return list_value(*this, arena);
        case Kind::map:
            return map_value(*this, arena);
    }
    return {};
}

}  // namespace penstock::pipeline
