// The identity of a model input: its token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::inference {

/// Token ids with their hash. Equality compares the ids themselves, so that a collision, accidental
/// or made on purpose, never hands one text another's result; the ids cost a few percent of an
/// embedding's memory.
struct Content {
    std::uint64_t hash = 0;
    std::shared_ptr<const std::vector<std::int32_t>> ids;

    std::size_t tokens() const { return ids->size(); }
    friend bool operator==(const Content& a, const Content& b) {
        return a.hash == b.hash && (a.ids == b.ids || *a.ids == *b.ids);
    }
};

struct ContentHash {
    std::size_t operator()(const Content& content) const noexcept { return content.hash; }
};

}  // namespace penstock::inference
