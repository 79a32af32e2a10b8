// Another cluster as a source: Elasticsearch 5 to 9, OpenSearch or Penstock, over HTTP.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/io/source.h"
#include "engine/runtime/error.h"

namespace penstock::io {

/// Where a cluster answers: "https://search.example:9200/prefix", taken apart.
struct RemoteAddress {
    std::string scheme;  ///< "http" or "https"
    std::string host;    ///< a name or an address; IPv6 in brackets
    std::uint16_t port = 0;
    std::string path_prefix;  ///< empty, or with a slash before and none behind

    /// "host:port", as lists of allowed hosts have it.
    std::string authority() const { return host + ":" + std::to_string(port); }
    std::string text() const { return scheme + "://" + authority() + path_prefix; }
};

/// Nothing when it is not [scheme]://[host]:[port](/[pathPrefix])?. Credentials are no part of it.
std::optional<RemoteAddress> parse_remote_address(std::string_view text);

/// What is read, and how. Credentials and headers are sent and nothing else: no message, position
/// or record has them.
struct RemoteOptions {
    RemoteAddress address;
    std::vector<std::string> indices;  ///< names, aliases, wildcards, as the remote has them
    std::string query;                 ///< JSON as the remote takes it; empty: all documents
    std::string sort;                  ///< likewise; empty: in the order that costs least
    std::string source_filter;         ///< likewise, of `_source`; empty: all of it
    std::string username;
    std::string password;
    std::string api_key;  ///< as an Authorization header has it, behind "ApiKey"
    std::vector<std::pair<std::string, std::string>> headers;
    std::chrono::milliseconds connect_timeout{30'000};
    std::chrono::milliseconds socket_timeout{30'000};  ///< without a byte
    std::size_t size = 1000;                           ///< documents that are asked for at once
    std::size_t max_response_bytes = 100UL << 20;
    /// How long the remote keeps the scroll between two batches.
    std::chrono::milliseconds keep_alive{300'000};
    /// What the reader waits between two batches besides; asked before each. May be empty.
    std::function<std::chrono::milliseconds()> pause;
    /// The first wait of a request that the remote was too busy for; the later ones double.
    std::chrono::milliseconds first_retry{500};
};

/// What the remote, or the way to it, has instead of documents.
class RemoteError : public Error {
  public:
    RemoteError(int status, std::string type, const std::string& reason)
        : Error(reason), status_(status), type_(std::move(type)) {}

    int status() const { return status_; }             ///< as HTTP has it
    const std::string& type() const { return type_; }  ///< Elasticsearch's name: connect_exception

  private:
    int status_;
    std::string type_;
};

/// Connects with the first read, which blocks as every read does: for the network, so on a pool of
/// its own. Reads a scroll, whose end, total and answers are checked: what the remote leaves out is
/// an error, never missing documents. interrupt() ends a read at once, but for a name that is being
/// looked up; close() clears the scroll. It cannot seek: a scroll ends with its reader. Throws
/// RemoteError for headers that cannot be sent.
std::unique_ptr<Source> open_remote(RemoteOptions options);

}  // namespace penstock::io
