// Which shard a document would be in.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::serve {

/// The embedded index has no shards; an index whose settings ask for several answers as if it had
/// them. As Elasticsearch's OperationRouting: the 32-bit murmur3 hash of the text's UTF-16 form,
/// modulo `routing_shards`, divided by how many of those make one of `shards`.
std::int64_t shard_of(std::string_view routing, std::int64_t shards, std::int64_t routing_shards);

/// `index.number_of_routing_shards` where nobody sets it: `shards` doubled to at most 1024, and at
/// least once.
std::int64_t default_routing_shards(std::int64_t shards);

}  // namespace penstock::serve
