#include "tools/serve/shard_routing.h"

#include <unicode/unistr.h>

#include <algorithm>
#include <bit>
#include <string>

namespace penstock::serve {

namespace {

/// MurmurHash3_x86_32 with seed 0.
std::uint32_t murmur3(std::string_view bytes) {
    const auto byte = [&](std::size_t i) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i]));
    };
    const auto mixed = [](std::uint32_t block) {
        return std::rotl(block * 0xcc9e2d51U, 15) * 0x1b873593U;
    };
    std::uint32_t hash = 0;
    std::size_t i = 0;
    for (; i + 4 <= bytes.size(); i += 4) {
        hash ^= mixed(byte(i) | byte(i + 1) << 8U | byte(i + 2) << 16U | byte(i + 3) << 24U);
        hash = std::rotl(hash, 13) * 5 + 0xe6546b64U;
    }
    std::uint32_t rest = 0;
    for (std::size_t k = bytes.size(); k > i; --k)
        rest = rest << 8U | byte(k - 1);
    hash ^= mixed(rest);
    hash ^= static_cast<std::uint32_t>(bytes.size());
    hash = (hash ^ hash >> 16U) * 0x85ebca6bU;
    hash = (hash ^ hash >> 13U) * 0xc2b2ae35U;
    return hash ^ hash >> 16U;
}

}  // namespace

std::int64_t shard_of(std::string_view routing, std::int64_t shards, std::int64_t routing_shards) {
    const auto text = icu::UnicodeString::fromUTF8(
        icu::StringPiece(routing.data(), static_cast<std::int32_t>(routing.size())));
    std::string bytes;
    for (std::int32_t i = 0; i < text.length(); ++i) {
        bytes.push_back(static_cast<char>(text.charAt(i) & 0xffU));
        bytes.push_back(static_cast<char>(text.charAt(i) >> 8U));
    }
    const std::int64_t hash = static_cast<std::int32_t>(murmur3(bytes));
    const std::int64_t place = ((hash % routing_shards) + routing_shards) % routing_shards;
    return place / std::max<std::int64_t>(routing_shards / shards, 1);
}

std::int64_t default_routing_shards(std::int64_t shards) {
    const int doublings = 10 - std::bit_width(static_cast<std::uint64_t>(shards - 1));
    return shards << std::max(doublings, 1);
}

}  // namespace penstock::serve
