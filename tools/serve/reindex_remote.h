// Another cluster as the source of a reindex: how it is named, and which ones are allowed.
#pragma once

#include <string>
#include <vector>

#include "engine/document/value.h"
#include "engine/io/remote_source.h"

namespace penstock::serve {

/// `source.remote` of a reindex: the address, credentials, headers and time-outs. Throws ApiError
/// 400 in Elasticsearch's words where it has them; no error shows a credential.
io::RemoteOptions parse_remote(const document::Object& remote);

/// Which hosts a reindex may read. Without such a list whoever may write here could have this
/// server ask any machine that it reaches. Immutable.
class RemoteWhitelist {
  public:
    /// Of "host:port" with `*`, as Elasticsearch's `reindex.remote.whitelist`. Throws
    /// penstock::Error for a list that allows all.
    explicit RemoteWhitelist(std::vector<std::string> patterns);
    /// This machine's loopback addresses, any port.
    static RemoteWhitelist loopback();

    /// Throws ApiError 400.
    void check(const io::RemoteAddress& address) const;

  private:
    RemoteWhitelist() = default;
    std::vector<std::string> patterns_;
    bool loopback_ = false;
};

}  // namespace penstock::serve
