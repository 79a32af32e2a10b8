// A double-array trie over code points: the vocabulary of a tokenizer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::text {

/// Immutable after construction, safe to read from any thread. Code points are first mapped to
/// labels, small numbers that are dense over the vocabulary's alphabet; a walk then costs one
/// memory access per code point.
class Trie {
  public:
    using Node = std::uint32_t;
    using Label = std::uint32_t;
    static constexpr Node kRoot = 0;
    static constexpr Node kNone = UINT32_MAX;
    /// The label of code points that no entry contains.
    static constexpr Label kUnknown = 0;

    struct Entry {
        std::u32string key;      ///< not empty
        std::int32_t value = 0;  ///< not negative
    };

    Trie() : Trie(std::vector<Entry>{}) {}
    /// Of entries with equal keys the last one counts; entries with an empty key are left out.
    explicit Trie(std::vector<Entry> entries);

    Label label(char32_t code) const {
        if (code < basic_labels_.size()) return basic_labels_[code];
        return supplementary_labels_.empty() ? kUnknown : supplementary_label(code);
    }
    /// Whether an entry begins with `code`.
    bool has_first(char32_t code) const {
        const Label at = label(code);
        return at != kUnknown && step(kRoot, at) != kNone;
    }
    /// The child of `node` at `label`, or kNone.
    Node step(Node node, Label label) const {
        const Node next = slots_[node].base ^ label;
        return slots_[next].parent == node ? next : kNone;
    }
    /// The value of the entry that ends at `node`, or -1.
    std::int32_t value(Node node) const { return slots_[node].value; }

    /// Walks `text` from `node`; kNone when it leaves the trie.
    Node walk(Node node, std::u32string_view text) const;

  private:
    struct Slot {
        std::uint32_t base = 0;        // child slot = base ^ label
        std::uint32_t parent = kNone;  // kNone: free
        std::int32_t value = -1;
    };
    class Builder;

    Label supplementary_label(char32_t code) const;
    void make_labels(const std::vector<Entry>& entries);

    std::vector<Label> basic_labels_;
    std::vector<std::pair<char32_t, Label>> supplementary_labels_;  // sorted
    std::vector<Slot> slots_;
};

}  // namespace penstock::text
