// Builds a tree of nodes from what a reader meets in a text. Private to this folder.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/document/json.h"
#include "engine/pipeline/definition.h"
#include "engine/pipeline/node.h"

namespace penstock::pipeline {

/// What a reader found wrong, without the file's name.
struct Finding {
    Position position;
    std::string message;
    std::string hint;
};

/// Thrown inside a reader when the rest of the text cannot be understood; caught at its end.
struct Unreadable {
    Finding finding;
    bool limit = false;  ///< too big or too deep rather than wrong
};

/// What a reader made of a text. Without a tree, the last finding says why.
struct ReadResult {
    std::optional<Node> tree;
    std::vector<Finding> findings;
    bool limit = false;
    std::size_t values = 0;  ///< how many were understood (JSON only)
};

/// Readers: text is UTF-8 without control characters and byte order mark (checked before).
ReadResult read_json(std::string_view text, const DefinitionLimits& limits);
ReadResult read_yaml(std::string_view text, const DefinitionLimits& limits);

/// Gives plain scalars their types.
class ScalarTypes {
  public:
    /// A number in JSON's notation, else a string.
    Node number_or_string(std::string_view text);
    /// The same and true, false, null as YAML's core schema spells them.
    Node plain(std::string_view text);

  private:
    document::Arena arena_;
    document::JsonParser parser_;
};

/// Takes a text's events in order and keeps the limits, so that a reader needs no recursion and a
/// hostile text is refused before it costs much. Not thread-safe.
class NodeBuilder {
  public:
    using Anchor = std::size_t;  ///< 0: none

    NodeBuilder(const DefinitionLimits& limits, std::vector<Finding>& findings)
        : limits_(limits), findings_(findings) {}

    void begin(Node::Kind kind, Position position, Anchor anchor = 0);
    void end();
    /// `merges` marks a plain `<<`, which merges maps where it is a key.
    void scalar(Node node, Anchor anchor = 0, bool merges = false);
    /// Puts a copy of what `anchor` named here. `name` is for messages.
    void alias(Anchor anchor, Position position, std::string_view name);
    /// The whole tree; null when nothing came.
    Node take() { return std::move(root_); }
    /// Where the last key was read; a value that is left out has no place of its own.
    Position last_key() const { return last_key_; }
    /// Where the innermost list or map begins that is not closed; line 0 when there is none.
    Position innermost() const { return open_.empty() ? Position{} : open_.back().node.position; }
    std::size_t values() const { return nodes_; }
    bool is_open() const { return !open_.empty(); }
    bool wants_value() const { return !open_.empty() && open_.back().has_key; }

  private:
    /// A list or map that is still open.
    struct Frame {
        Node node;
        Anchor anchor = 0;
        bool has_key = false;
        bool skips_value = false;  ///< the key was a duplicate
        Node::Entry entry;         ///< whose value is awaited
        std::unordered_map<std::string, Position> keys;
        std::size_t merge = npos;  ///< the entry that is `<<`
    };
    struct Anchored {
        Node node;
        std::size_t nodes;
        std::size_t bytes;
        std::size_t depth;
    };
    static constexpr std::size_t npos = ~std::size_t{0};

    void place(Node node, bool merges);
    void place_key(Frame& frame, Node node, bool merges);
    void expand_merge(Frame& frame);
    void keep(Anchor anchor, const Node& node);
    void charge(Position position, std::size_t nodes, std::size_t bytes);
    void check_depth(Position position, std::size_t depth) const;
    void report(Position position, std::string message, std::string hint = {});

    const DefinitionLimits& limits_;
    std::vector<Finding>& findings_;
    std::vector<Frame> open_;
    std::map<Anchor, Anchored> anchors_;
    Node root_;
    Position last_key_;
    std::size_t nodes_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace penstock::pipeline
