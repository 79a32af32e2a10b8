#include "tools/serve/json_tree.h"

#include <algorithm>

#include "engine/document/json.h"
#include "tools/serve/api_error.h"

namespace penstock::serve {

JsonTree JsonTree::from(document::Value value) {
    JsonTree tree;
    if (!value.is_object()) {
        document::write_json(value, tree.leaf_);
        return tree;
    }
    for (const document::Member& member : value.as_object())
        tree.members_.emplace_back(member.key(), from(member.value));
    return tree;
}

JsonTree JsonTree::parse(std::string_view json) {
    if (json.find_first_not_of(" \t\r\n") == std::string_view::npos) return {};
    document::Arena arena;
    document::Value value;
    document::JsonError error;
    if (!document::JsonParser().parse(json, arena, value, error))
        throw ApiError(400, "x_content_parse_exception", error.text());
    return from(value);
}

JsonTree JsonTree::text(std::string_view text) {
    JsonTree tree;
    document::write_json_string(text, tree.leaf_);
    return tree;
}

std::string JsonTree::content() const {
    if (!leaf_.starts_with('"')) return is_object() ? json() : leaf_;
    document::Arena arena;
    document::Value value;
    document::JsonError error;
    document::JsonParser().parse(leaf_, arena, value, error);
    return std::string(value.as_string());
}

const JsonTree* JsonTree::find(std::string_view name) const {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const auto& member) { return member.first == name; });
    return found == members_.end() ? nullptr : &found->second;
}

JsonTree& JsonTree::at(std::string_view name) {
    leaf_.clear();
    if (const JsonTree* found = find(name)) return const_cast<JsonTree&>(*found);
    return members_.emplace_back(std::string(name), JsonTree()).second;
}

void JsonTree::remove(std::string_view name) {
    std::erase_if(members_, [&](const auto& member) { return member.first == name; });
}

void JsonTree::merge(const JsonTree& other) {
    if (!is_object() || !other.is_object()) {
        *this = other;
        return;
    }
    for (const auto& [name, value] : other.members_) {
        const bool fresh = find(name) == nullptr;
        JsonTree& mine = at(name);
        if (fresh) {
            mine = value;
        } else {
            mine.merge(value);
        }
    }
}

void JsonTree::write(std::string& out) const {
    if (!is_object()) {
        out += leaf_;
        return;
    }
    out.push_back('{');
    for (const auto& [name, value] : members_) {
        if (out.back() != '{') out.push_back(',');
        document::write_json_string(name, out);
        out.push_back(':');
        value.write(out);
    }
    out.push_back('}');
}

std::string JsonTree::json() const {
    std::string out;
    write(out);
    return out;
}

}  // namespace penstock::serve
