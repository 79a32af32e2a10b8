// The join field of an index's mappings: which documents are parents of which. Private to
// engine/io.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/value.h"

namespace penstock::io {

/// What a document says in the join field: "question", or {"name": "answer", "parent": "1"}.
struct JoinValue {
    std::string name;
    std::optional<std::string> parent;  ///< id
};

class JoinField {
  public:
    /// Of mappings as Elasticsearch's JSON; nothing when they have none, or cannot be read. It lies
    /// at the root, and is the only one.
    static std::optional<JoinField> from(const document::Object& mappings);
    static std::optional<JoinField> from(std::string_view mappings);

    const std::string& name() const { return name_; }
    bool is_parent(std::string_view relation) const { return children_.contains(relation); }
    bool is_child(std::string_view relation) const { return parents_.contains(relation); }
    /// The relation above; empty: none.
    std::string_view parent_of(std::string_view child) const;
    /// The relations directly below.
    std::vector<std::string> children_of(std::string_view parent) const;

    /// What a document says there; nothing: nothing that can be read.
    std::optional<JoinValue> value(document::Value source) const;
    /// Why a document cannot be written, in Elasticsearch's words; empty: it can. `routed`: it
    /// comes with a routing, which tells the shard of its parent.
    std::string problem(std::string_view source, bool routed) const;

  private:
    struct Reading {
        std::optional<JoinValue> value;
        std::string problem;
    };
    void add_relation(std::string_view parent, document::Value children);
    Reading read(document::Value value) const;
    Reading read_object(const document::Object& object) const;

    std::string name_;
    std::map<std::string, std::vector<std::string>, std::less<>> children_;  ///< by parent
    std::map<std::string, std::string, std::less<>> parents_;                ///< by child
};

}  // namespace penstock::io
