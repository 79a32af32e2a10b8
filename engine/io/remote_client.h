// One connection to another cluster. Private to engine/io.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/io/remote_source.h"

namespace penstock::io {

/// What the remote has said, whole.
struct RemoteAnswer {
    int status = 0;
    std::string reason;  ///< "Too Many Requests"
    std::string body;
    std::optional<std::chrono::seconds> retry_after;
};

/// Thrown out of a call that interrupt() has ended.
class Interrupted : public std::exception {};

/// HTTP/1.1 over TCP or TLS, kept alive from request to request. Every wait has a limit, so has
/// every answer's size. Blocks; one thread at a time but for interrupt().
class RemoteClient {
  public:
    /// `options` outlive it. Throws RemoteError for headers that cannot be sent.
    explicit RemoteClient(const RemoteOptions& options);
    ~RemoteClient();

    /// One request, made once. Throws RemoteError for what keeps the answer from coming, whatever
    /// its status, and Interrupted.
    RemoteAnswer ask(std::string_view method, const std::string& target, const std::string& body);
    /// Throws Interrupted.
    void wait(std::chrono::milliseconds time);

    /// From any thread: ends the call that runs, and all that follow.
    void interrupt();
    /// No interruption from now on, but no wait longer than `patience` either: for last words.
    void last_words(std::chrono::milliseconds patience);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::io
