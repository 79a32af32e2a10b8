// HTTP/1.1 over the engine's I/O context.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/runtime/runtime.h"
#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"
#include "tools/serve/memory_budget.h"

namespace penstock::serve {

struct HttpLimits {
    std::size_t header_bytes = 16 * 1024;        ///< request line and headers
    std::size_t body_bytes = 100 * 1024 * 1024;  ///< decompressed
    std::size_t connections = 8192;
    std::chrono::milliseconds idle{300'000};   ///< between two requests
    std::chrono::milliseconds header{30'000};  ///< from the first byte to the last header
    std::chrono::milliseconds body{30'000};    ///< for a piece of a body to come
    std::size_t slowest_body = 4 * 1024;       ///< bytes a second, on the whole
    std::chrono::milliseconds write{60'000};   ///< for the client to take the response
};

struct HttpOptions {
    std::string address = "127.0.0.1";
    std::uint16_t port = 9200;  ///< 0: any free one
    HttpLimits limits;
    std::string certificate;  ///< PEM files; TLS when they are given
    std::string private_key;
};

/// What a server has done since its start.
struct HttpStats {
    std::size_t open_connections = 0;
    std::uint64_t total_connections = 0;
    std::uint64_t refused_connections = 0;  ///< too many were open
    std::uint64_t requests = 0;             ///< answered ones
    std::uint64_t client_errors = 0;        ///< answered with 4xx
    std::uint64_t server_errors = 0;        ///< answered with 5xx
    std::uint64_t received_bytes = 0;       ///< of requests, as they came
    std::uint64_t sent_bytes = 0;           ///< of responses, as they went
};

/// The response that tells a refusal.
Response error_response(const ApiError& error);

/// One request to its response. Runs on a strand of the CPU pool, and is cancelled when the server
/// cuts it; must not throw but boost::system::system_error, when there is nobody to answer.
using Dispatch = std::function<boost::asio::awaitable<Response>(Request&)>;

/// Connections are kept alive, pipelined requests answered in order, bodies read as the handler
/// asks for them. Clients that are too slow are cut, those that are too many or too large refused
/// (413, 429, 431), and so is a body whose end cannot be told (501).
class HttpServer {
  public:
    /// Binds at once; throws penstock::Error. `budget` and `dispatch`'s captures outlive the
    /// server.
    HttpServer(runtime::Runtime& runtime, HttpOptions options, MemoryBudget& budget,
               Dispatch dispatch);
    /// Cuts what is open and waits for the handlers that run; stop() before is kinder.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    std::uint16_t port() const;
    void start();
    /// Takes no more connections, closes idle ones, and blocks until the accepted requests are
    /// answered or `grace` is over; then cancels what runs and cuts what is open. False when a
    /// handler has not ended even so, a few seconds later: it may still use what it was given.
    bool stop(std::chrono::milliseconds grace);
    /// Ends the grace of a stop that blocks or is to come. Thread-safe.
    void hurry();
    HttpStats stats() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace penstock::serve
