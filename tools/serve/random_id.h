// Names that nobody can guess.
#pragma once

#include <cstddef>
#include <string>

namespace penstock::serve {

/// Cryptographically random. Throws penstock::Error.
std::string random_bytes(std::size_t count);
/// So many random bytes as characters that are the same in URLs and shells: 22 for 16 bytes.
std::string random_id(std::size_t bytes);
/// As random_id() of 16 bytes, which is how Elasticsearch names nodes, clusters and indices.
std::string random_uuid();

}  // namespace penstock::serve
