#include "engine/pipeline/node_builder.h"

#include <algorithm>
#include <charconv>

namespace penstock::pipeline {

namespace {

/// Texts repeated by aliases may grow to this many times the largest file.
constexpr std::size_t text_growth = 4;

struct Weight {
    std::size_t nodes = 1;
    std::size_t bytes = 0;
    std::size_t depth = 0;  ///< levels of lists and maps
};

/// Recursive: the tree is no deeper than the limit allows.
Weight weigh(const Node& node) {
    Weight sum;
    sum.bytes = node.text.size();
    auto add = [&](const Node& child) {
        Weight weight = weigh(child);
        sum.nodes += weight.nodes;
        sum.bytes += weight.bytes;
        sum.depth = std::max(sum.depth, weight.depth);
    };
    for (const Node& item : node.items)
        add(item);
    for (const Node::Entry& entry : node.entries) {
        sum.bytes += entry.key.size();
        add(entry.value);
    }
    if (node.is_list() || node.is_map()) ++sum.depth;
    return sum;
}

std::string place_text(Position position) {
    return "line " + std::to_string(position.line) + ", column " + std::to_string(position.column);
}

}  // namespace

Node ScalarTypes::number_or_string(std::string_view text) {
    Node node;
    node.text = text;
    node.kind = Node::Kind::string;
    if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string_view::npos)
        return node;
    document::Value value;
    document::JsonError error;
    arena_.reset();
    if (!parser_.parse(text, arena_, value, error) || !value.is_number()) return node;
    switch (value.kind()) {
        case document::Kind::integer:
            node.kind = Node::Kind::integer;
            node.integer = value.as_integer();
            node.floating = static_cast<double>(node.integer);
            break;
        case document::Kind::floating:
            node.kind = Node::Kind::floating;
            node.floating = value.as_floating();
            break;
        default:
            node.kind = Node::Kind::number;
            node.floating = value.to_double();
    }
    return node;
}

Node ScalarTypes::plain(std::string_view text) {
    Node node;
    node.text = text;
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
        return node;
    bool yes = text == "true" || text == "True" || text == "TRUE";
    if (yes || text == "false" || text == "False" || text == "FALSE") {
        node.kind = Node::Kind::boolean;
        node.boolean = yes;
        return node;
    }
    return number_or_string(text);
}

void NodeBuilder::report(Position position, std::string message, std::string hint) {
    findings_.push_back({position, std::move(message), std::move(hint)});
}

void NodeBuilder::check_depth(Position position, std::size_t depth) const {
    if (depth <= limits_.max_depth) return;
    throw Unreadable{
        {position, "nested more than " + std::to_string(limits_.max_depth) + " levels deep", ""},
        true};
}

void NodeBuilder::charge(Position position, std::size_t nodes, std::size_t bytes) {
    nodes_ += nodes;
    bytes_ += bytes;
    std::string aliases = anchors_.empty() ? "" : " after aliases are expanded";
    if (nodes_ > limits_.max_nodes) {
        throw Unreadable{
            {position, "more than " + std::to_string(limits_.max_nodes) + " values" + aliases, ""},
            true};
    }
    std::size_t most =
        limits_.max_bytes > npos / text_growth ? npos : limits_.max_bytes * text_growth;
    if (bytes_ > most) {
        throw Unreadable{
            {position, "more than " + std::to_string(most) + " bytes of text" + aliases, ""}, true};
    }
}

void NodeBuilder::begin(Node::Kind kind, Position position, Anchor anchor) {
    charge(position, 1, 0);
    check_depth(position, open_.size() + 1);
    if (!open_.empty() && open_.back().node.is_map() && !open_.back().has_key) {
        throw Unreadable{
            {position, "a key must be a string, not a list or a map",
             "close the bracket before, or put text that begins with [ or { in quotes"}};
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.position = position;
    frame.anchor = anchor;
    open_.push_back(std::move(frame));
}

void NodeBuilder::end() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    if (frame.merge != npos) expand_merge(frame);
    if (frame.anchor != 0) keep(frame.anchor, frame.node);
    place(std::move(frame.node), false);
}

void NodeBuilder::scalar(Node node, Anchor anchor, bool merges) {
    charge(node.position, 1, node.text.size());
    if (anchor != 0) keep(anchor, node);
    place(std::move(node), merges);
}

void NodeBuilder::keep(Anchor anchor, const Node& node) {
    Weight weight = weigh(node);
    // The copy kept for aliases costs memory as well.
    charge(node.position, weight.nodes, weight.bytes);
    anchors_.insert_or_assign(anchor, Anchored{node, weight.nodes, weight.bytes, weight.depth});
}

void NodeBuilder::alias(Anchor anchor, Position position, std::string_view name) {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
        throw Unreadable{
            {position, "alias [" + std::string(name) + "] is inside of what it names", ""}};
    }
    const Anchored& anchored = found->second;
    charge(position, anchored.nodes, anchored.bytes);
    check_depth(position, open_.size() + anchored.depth);
    if (!open_.empty() && open_.back().node.is_map() && !open_.back().has_key &&
        (anchored.node.is_list() || anchored.node.is_map())) {
        throw Unreadable{{position, "a key must be a string, not a list or a map", ""}};
    }
    Node node = anchored.node;
    if (!node.is_list() && !node.is_map()) node.position = position;
    place(std::move(node), false);
}

void NodeBuilder::place(Node node, bool merges) {
    if (open_.empty()) {
        root_ = std::move(node);
        return;
    }
    Frame& frame = open_.back();
    if (frame.node.is_list()) {
        frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
        place_key(frame, std::move(node), merges);
    } else {
        frame.has_key = false;
        if (frame.skips_value) return;
        frame.entry.value = std::move(node);
        frame.node.entries.push_back(std::move(frame.entry));
    }
}

void NodeBuilder::place_key(Frame& frame, Node node, bool merges) {
    last_key_ = node.position;
    frame.has_key = true;
    frame.entry = {std::move(node.text), node.position, {}};
    auto [first, added] = frame.keys.emplace(frame.entry.key, node.position);
    frame.skips_value = !added;
    if (!added) {
        report(
            node.position,
            "key [" + frame.entry.key + "] is given twice, first at " + place_text(first->second),
            merges ? "merge several maps with one list: <<: [*a, *b]" : "");
    } else if (merges) {
        frame.merge = frame.node.entries.size();
    }
}

void NodeBuilder::expand_merge(Frame& frame) {
    auto at = frame.node.entries.begin() + static_cast<std::ptrdiff_t>(frame.merge);
    Node value = std::move(at->value);
    at = frame.node.entries.erase(at);
    std::vector<Node> sources;
    if (value.is_list()) {
        sources = std::move(value.items);
    } else {
        sources.push_back(std::move(value));
    }
    std::vector<Node::Entry> merged;
    for (Node& source : sources) {
        if (!source.is_map()) {
            report(source.position,
                   "merge key [<<] takes a map or a list of maps, found " + source.describe());
            return;
        }
        for (Node::Entry& entry : source.entries) {
            // What the map itself says wins, then what an earlier source says.
            if (frame.keys.emplace(entry.key, entry.position).second)
                merged.push_back(std::move(entry));
        }
    }
    frame.node.entries.insert(at, std::make_move_iterator(merged.begin()),
                              std::make_move_iterator(merged.end()));
}

}  // namespace penstock::pipeline
