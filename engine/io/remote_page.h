// What a search or a scroll has answered. Private to engine/io.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::io {

/// One document; its source is a stretch of the answer's text.
struct RemoteHit {
    std::string index;
    std::string id;
    std::string routing;
    std::int64_t version = -1;
    std::size_t begin = 0;
    std::size_t size = 0;  ///< 0: without a source
};

/// One batch of a scroll.
struct RemotePage {
    std::string scroll_id;
    std::optional<std::uint64_t> total;  ///< of all batches, when it is exact
    bool timed_out = false;
    std::string shard_failure;  ///< JSON of the first; empty: none
    std::vector<RemoteHit> hits;
};

/// Takes an answer apart, of which nothing is believed: throws RemoteError for what is not a
/// search's answer, or has more than `most` hits. The sources are not checked further.
RemotePage parse_remote_page(std::string_view answer, std::size_t most);

/// What GET / says.
struct RemoteVersion {
    bool elasticsearch = true;  ///< else OpenSearch
    int major = 0;
    int minor = 0;

    /// Of Elasticsearch, or any OpenSearch, which began as its 7.10.
    bool at_least(int wanted_major, int wanted_minor) const;
};

/// Throws RemoteError for what is no cluster, or one that is too old.
RemoteVersion parse_remote_version(std::string_view answer);

}  // namespace penstock::io
