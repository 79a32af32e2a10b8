#include "tools/serve/json_tree.h"

#include <algorithm>

#include "engine/document/json.h"
#include "tools/serve/api_error.h"

namespace penstock::serve {

namespace {

/// Looking through so many members is quicker than a table.
constexpr std::size_t kFewMembers = 32;

}  // namespace

JsonTree JsonTree::from(document::Value value) {
    JsonTree tree;
    if (!value.is_object()) {
        document::write_json(value, tree.leaf_);
        return tree;
    }
    for (const document::Member& member : value.as_object())
        tree.add(std::string(member.key()), from(member.value));
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

void JsonTree::note_place(std::size_t place) {
    places_.insert_or_assign(members_[place].first, place);
}

JsonTree& JsonTree::add(std::string name, JsonTree value) {
    members_.emplace_back(std::move(name), std::move(value));
    if (members_.size() > kFewMembers) {
        for (std::size_t i = places_.size(); i < members_.size(); ++i)
            note_place(i);
    }
    return members_.back().second;
}

const JsonTree* JsonTree::find(std::string_view name) const {
    if (!places_.empty()) {
        const auto found = places_.find(name);
        return found == places_.end() ? nullptr : &members_[found->second].second;
    }
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const auto& member) { return member.first == name; });
    return found == members_.end() ? nullptr : &found->second;
}

JsonTree& JsonTree::at(std::string_view name) {
    leaf_.clear();
    if (const JsonTree* found = find(name)) return const_cast<JsonTree&>(*found);
    return add(std::string(name), JsonTree());
}

void JsonTree::remove(std::string_view name) {
    std::erase_if(members_, [&](const auto& member) { return member.first == name; });
    places_.clear();
    for (std::size_t i = 0; members_.size() > kFewMembers && i < members_.size(); ++i)
        note_place(i);
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
