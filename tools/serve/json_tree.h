// JSON that can be changed: settings and mappings, which requests merge into one another.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/document/value.h"

namespace penstock::serve {

/// An object whose members keep their order, or any other value as its text.
class JsonTree {
  public:
    JsonTree() = default;
    static JsonTree from(document::Value value);
    /// Throws ApiError 400 when it is not JSON; empty text is an empty object.
    static JsonTree parse(std::string_view json);
    static JsonTree text(std::string_view text);  ///< a JSON string
    static JsonTree leaf(std::string json) {
        JsonTree tree;
        tree.leaf_ = std::move(json);
        return tree;
    }

    bool is_object() const { return leaf_.empty(); }
    bool is_null() const { return leaf_ == "null"; }
    bool empty() const { return is_object() && members_.empty(); }
    /// Of a leaf: a string's content, else the JSON text.
    std::string content() const;

    using Members = std::vector<std::pair<std::string, JsonTree>>;
    const Members& members() const { return members_; }
    const JsonTree* find(std::string_view name) const;
    /// The member, made as an empty object when it is not there.
    JsonTree& at(std::string_view name);
    void set(std::string_view name, JsonTree value) { at(name) = std::move(value); }
    void remove(std::string_view name);
    /// Objects are merged, everything else is replaced.
    void merge(const JsonTree& other);

    void write(std::string& out) const;
    std::string json() const;

  private:
    struct NameHash : std::hash<std::string_view> {
        using is_transparent = void;
    };
    JsonTree& add(std::string name, JsonTree value);
    void note_place(std::size_t place);

    Members members_;
    std::string leaf_;
    /// Where the members of a large object are; empty for a small one.
    std::unordered_map<std::string, std::size_t, NameHash, std::equal_to<>> places_;
};

}  // namespace penstock::serve
