// A definition file's content with the position of everything in it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/document/value.h"
#include "engine/pipeline/diagnostic.h"

namespace penstock::pipeline {

/// A YAML or JSON node as plain data. Plain scalars are typed as in JSON, with the spellings of
/// true, false and null that YAML 1.2's core schema has (true, True, TRUE, ~, ...), and not by
/// YAML 1.1: "NO", "on", 012, 1_000, 12:30, 2024-01-01 and 1.2.3 are text. So are the core schema's
/// numbers that JSON does not know (0x1F, 0o17, +5, .5, .inf): a pipeline must mean the same in
/// both notations, and what looks so is nearly always an id, a colour or a mode. Quoted and block
/// scalars are text always.
struct Node {
    enum class Kind { null, boolean, integer, floating, number, string, list, map };
    struct Entry;

    Kind kind = Kind::null;
    bool boolean = false;
    std::int64_t integer = 0;
    double floating = 0;
    std::string text;            ///< a string's text; for other scalars, as written
    std::vector<Node> items;     ///< of a list
    std::vector<Entry> entries;  ///< of a map, in order
    Position position;

    bool is_string() const { return kind == Kind::string; }
    bool is_map() const { return kind == Kind::map; }
    bool is_list() const { return kind == Kind::list; }
    bool is_null() const { return kind == Kind::null; }
    /// The entry's value, or nullptr.
    const Node* find(std::string_view key) const;
    /// "a string", "a list", ... with the value where short: for messages.
    std::string describe() const;
    /// As a value in `arena`.
    document::Value to_value(document::Arena& arena) const;
};

struct Node::Entry {
    std::string key;
    Position position;  ///< of the key
    Node value;
};

}  // namespace penstock::pipeline
