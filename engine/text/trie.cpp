#include "engine/text/trie.h"

#include <algorithm>
#include <bit>
#include <map>

namespace penstock::text {
namespace {

constexpr char32_t kBasicPlaneSize = 0x10000;
// How many places are tried for a node with several children before a fresh block is taken: bounds
// the build time at the cost of a few free slots, most of which go to nodes with a single child.
constexpr int kPlacementAttempts = 128;

}  // namespace

/// Places nodes breadth first, so that the few nodes with very many children come while the array
/// is empty.
class Trie::Builder {
  public:
    Builder(Trie& trie, std::vector<Entry> entries) : slots_(trie.slots_) {
        std::uint32_t greatest = 0;
        keys_.reserve(entries.size());
        for (const Entry& entry : entries) {
            if (entry.key.empty()) continue;
            std::vector<Label> labels;
            labels.reserve(entry.key.size());
            for (const char32_t code : entry.key) {
                labels.push_back(trie.label(code));
                greatest = std::max(greatest, labels.back());
            }
            keys_.push_back({std::move(labels), entry.value});
        }
        std::stable_sort(keys_.begin(), keys_.end(),
                         [](const Key& a, const Key& b) { return a.labels < b.labels; });
        block_ = std::bit_ceil(greatest + 1);
    }

    void build() {
        grow();
        take(kRoot, kNone - 1);
        std::vector<Range> level = {{kRoot, 0, keys_.size()}};
        for (std::size_t depth = 0; !level.empty(); ++depth) {
            std::vector<Range> next;
            for (const Range& range : level)
                add_children(range, depth, next);
            level = std::move(next);
        }
    }

  private:
    struct Key {
        std::vector<Label> labels;
        std::int32_t value;
    };
    struct Range {
        Node node;
        std::size_t begin, end;  // of keys_
    };
    struct Child {
        Label label;
        std::size_t begin, end;
    };

    void add_children(const Range& range, std::size_t depth, std::vector<Range>& next) {
        std::size_t at = range.begin;
        for (; at < range.end && keys_[at].labels.size() == depth; ++at) {
            slots_[range.node].value = keys_[at].value;
        }
        children_.clear();
        for (; at < range.end; ++at) {
            const Label label = keys_[at].labels[depth];
            if (children_.empty() || children_.back().label != label)
                children_.push_back({label, at, at});
            children_.back().end = at + 1;
        }
        if (children_.empty()) return;
        const std::uint32_t base = find_base();
        slots_[range.node].base = base;
        for (const Child& child : children_) {
            take(base ^ child.label, range.node);
            next.push_back({base ^ child.label, child.begin, child.end});
        }
    }

    std::uint32_t find_base() {
        const Label first = children_.front().label;
        if (children_.size() == 1) {
            if (first_free_ == kNone) grow();
            return first_free_ ^ first;
        }
        std::uint32_t slot = last_free_;
        for (int attempt = 0; slot != kNone && attempt < kPlacementAttempts; ++attempt) {
            if (fits(slot ^ first)) return slot ^ first;
            slot = links_[slot].previous;
        }
        const auto fresh = static_cast<std::uint32_t>(slots_.size());
        grow();
        return fresh;
    }

    bool fits(std::uint32_t base) const {
        return std::all_of(children_.begin(), children_.end(), [&](const Child& child) {
            return slots_[base ^ child.label].parent == kNone;
        });
    }

    /// Appends one block of free slots. Blocks are aligned, so `base ^ label` never leaves the
    /// array.
    void grow() {
        const auto begin = static_cast<std::uint32_t>(slots_.size());
        slots_.resize(slots_.size() + block_);
        links_.resize(slots_.size());
        for (std::uint32_t slot = begin; slot < slots_.size(); ++slot) {
            links_[slot] = {last_free_, kNone};
            (last_free_ == kNone ? first_free_ : links_[last_free_].next) = slot;
            last_free_ = slot;
        }
    }

    void take(std::uint32_t slot, Node parent) {
        slots_[slot].parent = parent;
        const Link link = links_[slot];
        (link.previous == kNone ? first_free_ : links_[link.previous].next) = link.next;
        (link.next == kNone ? last_free_ : links_[link.next].previous) = link.previous;
    }

    struct Link {
        std::uint32_t previous, next;
    };

    std::vector<Slot>& slots_;
    std::vector<Key> keys_;
    std::vector<Child> children_;
    std::vector<Link> links_;  // free slots, in order of their making
    std::uint32_t first_free_ = kNone;
    std::uint32_t last_free_ = kNone;
    std::uint32_t block_ = 1;
};

Trie::Trie(std::vector<Entry> entries) {
    make_labels(entries);
    Builder(*this, std::move(entries)).build();
}

void Trie::make_labels(const std::vector<Entry>& entries) {
    std::map<char32_t, std::size_t> uses;
    for (const Entry& entry : entries) {
        for (const char32_t code : entry.key)
            ++uses[code];
    }
    // Frequent code points get the smallest labels, which keeps the children of a node close
    // together.
    std::vector<std::pair<char32_t, std::size_t>> order(uses.begin(), uses.end());
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    char32_t greatest_basic = 0;
    for (const auto& [code, count] : order) {
        if (code < kBasicPlaneSize) greatest_basic = std::max(greatest_basic, code);
    }
    basic_labels_.assign(greatest_basic + 1, kUnknown);
    Label label = kUnknown;
    for (const auto& [code, count] : order) {
        ++label;
        if (code < kBasicPlaneSize) {
            basic_labels_[code] = label;
        } else {
            supplementary_labels_.emplace_back(code, label);
        }
    }
    std::sort(supplementary_labels_.begin(), supplementary_labels_.end());
}

Trie::Label Trie::supplementary_label(char32_t code) const {
    const auto found = std::lower_bound(supplementary_labels_.begin(), supplementary_labels_.end(),
                                        std::pair<char32_t, Label>(code, 0));
    if (found == supplementary_labels_.end() || found->first != code) return kUnknown;
    return found->second;
}

Trie::Node Trie::walk(Node node, std::u32string_view text) const {
    for (const char32_t code : text) {
        const Label at = label(code);
        node = at == kUnknown ? kNone : step(node, at);
        if (node == kNone) return kNone;
    }
    return node;
}

}  // namespace penstock::text
