#include "tools/serve/http_server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>

#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/gzip.h"

namespace penstock::serve {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::awaitable;
using asio::ip::tcp;
using beast::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPiece = 64 * 1024;
constexpr std::size_t kSmallestGzip = 1024;
/// A body that nobody wanted is read over so that the connection can go on, up to this.
constexpr std::size_t kMostThrownAway = 256 * 1024;
constexpr auto kLinger = std::chrono::seconds(1);
constexpr auto kNoDescriptorsPause = std::chrono::milliseconds(100);
constexpr auto use_result = asio::as_tuple(asio::use_awaitable);

ApiError too_large(std::size_t limit) {
    return {413, "content_too_long_exception",
            "entity content is too long, the limit is [" + std::to_string(limit) + "] bytes"};
}

ApiError budget_spent(std::size_t wanted, const MemoryBudget& budget) {
    return ApiError(429, "circuit_breaking_exception",
                    "[in_flight_requests] Data too large, data for [<http_request>] would be [" +
                        std::to_string(budget.used() + wanted) +
                        "b], which is larger than the limit of [" + std::to_string(budget.limit()) +
                        "b]")
        .with("bytes_wanted", std::to_string(budget.used() + wanted))
        .with("bytes_limit", std::to_string(budget.limit()))
        .with_text("durability", "TRANSIENT")
        .retry_after(1);
}

bool has_token(std::string_view list, std::string_view token) {
    for (std::string part : split_list(list)) {
        std::transform(part.begin(), part.end(), part.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        const std::size_t begin = part.find_first_not_of(" \t");
        if (begin == std::string::npos) continue;
        const std::string_view name = std::string_view(part).substr(begin);
        if (name.starts_with(token) && name.find("q=0", 0) == std::string_view::npos) return true;
    }
    return false;
}

}  // namespace

Response error_response(const ApiError& error) {
    Response response = Response::json(error.body(), error.status());
    response.headers = error.headers();
    if (error.retry_after() > 0)
        response.headers.emplace_back("Retry-After", std::to_string(error.retry_after()));
    return response;
}

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
    /// What stop() needs of a connection: only touched on the I/O thread.
    struct Connection {
        beast::tcp_stream* stream = nullptr;
        bool idle = true;
    };

    Impl(runtime::Runtime& the_runtime, HttpOptions the_options, MemoryBudget& the_budget,
         Dispatch the_dispatch)
        : runtime(the_runtime),
          options(std::move(the_options)),
          budget(the_budget),
          dispatch(std::move(the_dispatch)),
          acceptor(runtime.io()) {
        if (!options.certificate.empty()) load_certificate();
        bind();
    }

    void load_certificate() {
        tls.emplace(asio::ssl::context::tls_server);
        tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                         asio::ssl::context::no_tlsv1_1);
        error_code problem;
        tls->use_certificate_chain_file(options.certificate, problem);
        if (problem)
            throw Error("cannot read the certificate " + options.certificate + ": " +
                        problem.message());
        tls->use_private_key_file(options.private_key, asio::ssl::context::pem, problem);
        if (problem)
            throw Error("cannot read the private key " + options.private_key + ": " +
                        problem.message());
    }

    void bind() {
        error_code problem;
        const auto address = asio::ip::make_address(options.address, problem);
        if (problem) throw Error("[" + options.address + "] is not an IP address");
        const tcp::endpoint endpoint(address, options.port);
        const auto check = [&] {
            if (problem) {
                throw Error("cannot listen on " + options.address + ":" +
                            std::to_string(options.port) + ": " + problem.message());
            }
        };
        acceptor.open(endpoint.protocol(), problem);
        check();
        acceptor.set_option(tcp::acceptor::reuse_address(true), problem);
        check();
        acceptor.bind(endpoint, problem);
        check();
        acceptor.listen(asio::socket_base::max_listen_connections, problem);
        check();
        port = acceptor.local_endpoint().port();
    }

    awaitable<void> accept() {
        while (!stopping) {
            auto [problem, socket] = co_await acceptor.async_accept(use_result);
            if (problem == asio::error::operation_aborted) co_return;
            if (problem) {  // out of descriptors, most likely: some will be closed
                asio::steady_timer pause(runtime.io(), kNoDescriptorsPause);
                co_await pause.async_wait(use_result);
                continue;
            }
            ++total;
            {
                std::lock_guard lock(mutex);
                ++open;
            }
            asio::co_spawn(runtime.io(), connection(shared_from_this(), std::move(socket)),
                           asio::detached);
        }
    }

    static awaitable<void> connection(std::shared_ptr<Impl> self, tcp::socket socket) {
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        beast::tcp_stream stream(std::move(socket));
        const auto entry = self->connections.insert(self->connections.end(), {&stream, true});
        try {
            if (self->tls) {
                beast::ssl_stream<beast::tcp_stream&> secure(stream, *self->tls);
                stream.expires_after(self->options.limits.header);
                co_await secure.async_handshake(asio::ssl::stream_base::server,
                                                asio::use_awaitable);
                co_await self->requests(secure, *entry);
                stream.expires_after(std::chrono::seconds(5));
                co_await secure.async_shutdown(use_result);
            } else {
                co_await self->requests(stream, *entry);
                co_await self->close(stream);
            }
        } catch (const std::exception&) {
            // The client has gone, or speaks no HTTP: there is nobody to tell.
        }
        self->connections.erase(entry);
        std::lock_guard lock(self->mutex);
        --self->open;
        self->closed.notify_all();
    }

    std::size_t connection_count() const {
        std::lock_guard lock(mutex);
        return open;
    }

    /// Closing with bytes unread would reset the connection, and the client might not see its
    /// answer: they are read over for a moment.
    awaitable<void> close(beast::tcp_stream& stream) {
        error_code ended;
        stream.socket().shutdown(tcp::socket::shutdown_send, ended);
        std::array<char, 4096> rest;
        stream.expires_after(kLinger);
        for (std::size_t bytes = 0; !ended && !stopping && bytes < kMostThrownAway;) {
            auto [problem, got] = co_await stream.async_read_some(asio::buffer(rest), use_result);
            ended = problem;
            bytes += got;
        }
    }

    template <class Stream>
    class Body;

    /// All requests of one connection.
    template <class Stream>
    awaitable<void> requests(Stream& stream, Connection& entry);
    template <class Stream>
    awaitable<bool> one_request(Stream& stream, beast::flat_buffer& buffer, Connection& entry);
    template <class Stream>
    awaitable<void> respond(Stream& stream, Response response, unsigned version, bool head,
                            bool keep_alive, bool compress);

    runtime::Runtime& runtime;
    HttpOptions options;
    MemoryBudget& budget;
    Dispatch dispatch;
    std::optional<asio::ssl::context> tls;
    tcp::acceptor acceptor;
    std::uint16_t port = 0;
    std::atomic<bool> stopping = false;
    std::atomic<std::uint64_t> total = 0;
    std::atomic<std::uint64_t> answered = 0;
    std::list<Connection> connections;  ///< of the I/O thread
    mutable std::mutex mutex;           ///< guards open
    std::condition_variable closed;
    std::size_t open = 0;
};

/// Reads on the I/O context, wherever it is awaited.
template <class Stream>
class HttpServer::Impl::Body final : public RequestBody {
  public:
    Body(Impl& server, Stream& stream, beast::flat_buffer& buffer,
         http::request_parser<http::buffer_body>& parser)
        : server_(server),
          stream_(stream),
          buffer_(buffer),
          parser_(parser),
          lease_(server.budget) {
        const auto& request = parser.get();
        const std::string_view coding = request[http::field::content_encoding];
        if (has_token(coding, "gzip") || has_token(coding, "deflate")) gunzip_.emplace();
        present_ = !parser.is_done();
        expects_ = beast::iequals(request[http::field::expect], "100-continue");
        begin_ = Clock::now();
    }

    bool present() const override { return present_; }
    bool done() const { return parser_.is_done() && wire_.empty(); }
    /// Whether a failure left the connection in the middle of a body.
    bool broken() const { return broken_; }

    awaitable<bool> read(std::string& out) override {
        co_return co_await asio::co_spawn(server_.runtime.io(), next(out), asio::use_awaitable);
    }

    awaitable<std::string> read_all() override {
        co_return co_await asio::co_spawn(server_.runtime.io(), all(), asio::use_awaitable);
    }

    /// Until the end or until it is too much.
    awaitable<void> throw_away() {
        std::string rest;
        gunzip_.reset();
        wire_ = {};
        while (!parser_.is_done() && taken_ < kMostThrownAway) {
            rest.clear();
            if (!co_await next(rest)) break;
        }
        if (!parser_.is_done()) broken_ = true;
    }

  private:
    awaitable<std::string> all() {
        std::string text;
        if (const auto length = parser_.content_length(); length && !gunzip_) {
            check_size(*length);
            if (!lease_.grow_to(*length)) throw budget_spent(*length, server_.budget);
            text.reserve(*length);
        }
        while (co_await next(text)) {
            if (!lease_.grow_to(text.capacity()))
                throw budget_spent(text.capacity(), server_.budget);
        }
        co_return text;
    }

    void check_size(std::uint64_t bytes) const {
        if (bytes > server_.options.limits.body_bytes)
            throw too_large(server_.options.limits.body_bytes);
    }

    awaitable<bool> next(std::string& out) {
        for (;;) {
            if (!wire_.empty()) {
                const std::size_t before = out.size();
                if (!gunzip_->decode(wire_, out, kPiece)) throw corrupt();
                given_ += out.size() - before;
                check_size(given_);
                if (out.size() > before) co_return true;
                continue;
            }
            if (parser_.is_done()) {
                if (gunzip_ && taken_ > 0 && !gunzip_->finished()) throw corrupt();
                co_return false;
            }
            if (expects_) co_await say_continue();
            const std::size_t got = co_await from_wire();
            if (got == 0) continue;
            if (gunzip_) {
                wire_ = std::string_view(piece_.data(), got);
                continue;
            }
            given_ += got;
            check_size(given_);
            out.append(piece_.data(), got);
            co_return true;
        }
    }

    static ApiError corrupt() {
        return {400, "parse_exception", "the gzip data of the body is corrupt or cut off"};
    }

    awaitable<std::size_t> from_wire() {
        if (piece_.empty()) piece_.resize(kPiece);
        auto& body = parser_.get().body();
        body.data = piece_.data();
        body.size = piece_.size();
        body.more = true;
        const HttpLimits& limits = server_.options.limits;
        const auto earned =
            std::chrono::seconds(taken_ / std::max<std::size_t>(limits.slowest_body, 1));
        const auto end = std::min(Clock::now() + limits.body, begin_ + limits.body + earned);
        beast::get_lowest_layer(stream_).expires_at(end);
        auto [problem, bytes] =
            co_await http::async_read_some(stream_, buffer_, parser_, use_result);
        if (problem == http::error::need_buffer) problem = {};
        if (problem) {
            broken_ = true;
            if (problem == beast::error::timeout)
                throw ApiError(408, "timeout_exception", "the body came too slowly");
            if (problem == http::error::bad_chunk || problem == http::error::bad_chunk_extension)
                throw ApiError(400, "parse_exception", "the chunked body is malformed");
            throw boost::system::system_error(problem);
        }
        const std::size_t got = piece_.size() - body.size;
        taken_ += got;
        co_return got;
    }

    awaitable<void> say_continue() {
        expects_ = false;
        http::response<http::empty_body> go_on(http::status::continue_, 11);
        beast::get_lowest_layer(stream_).expires_after(server_.options.limits.write);
        co_await http::async_write(stream_, go_on, asio::use_awaitable);
    }

    Impl& server_;
    Stream& stream_;
    beast::flat_buffer& buffer_;
    http::request_parser<http::buffer_body>& parser_;
    MemoryLease lease_;
    std::optional<Gunzip> gunzip_;
    std::string piece_;
    std::string_view wire_;  ///< of piece_, not decompressed yet
    std::size_t taken_ = 0;  ///< bytes off the wire
    std::size_t given_ = 0;  ///< bytes handed out
    Clock::time_point begin_;
    bool present_ = false;
    bool expects_ = false;
    bool broken_ = false;
};

template <class Stream>
awaitable<void> HttpServer::Impl::requests(Stream& stream, Connection& entry) {
    beast::flat_buffer buffer(options.limits.header_bytes + kPiece);
    for (;;) {
        if (buffer.size() == 0) {
            if (stopping) co_return;
            entry.idle = true;
            beast::get_lowest_layer(stream).expires_after(options.limits.idle);
            auto [problem, bytes] =
                co_await stream.async_read_some(buffer.prepare(kPiece / 16), use_result);
            if (problem) co_return;
            buffer.commit(bytes);
        }
        entry.idle = false;
        if (!co_await one_request(stream, buffer, entry)) co_return;
    }
}

template <class Stream>
awaitable<bool> HttpServer::Impl::one_request(Stream& stream, beast::flat_buffer& buffer,
                                              Connection&) {
    http::request_parser<http::buffer_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(options.limits.header_bytes));
    parser.body_limit(boost::none);  // Body counts, after decompression too
    auto& lowest = beast::get_lowest_layer(stream);
    lowest.expires_after(options.limits.header);
    auto [problem, bytes] = co_await http::async_read_header(stream, buffer, parser, use_result);
    if (problem) {
        std::optional<ApiError> refusal;
        if (problem == http::error::header_limit) {
            refusal.emplace(431, "too_long_http_header_exception",
                            "the request line and headers are longer than " +
                                std::to_string(options.limits.header_bytes) + " bytes");
        } else if (problem.category() == make_error_code(http::error::bad_method).category() &&
                   problem != http::error::end_of_stream &&
                   problem != http::error::partial_message) {
            refusal.emplace(400, "illegal_argument_exception",
                            "this is not HTTP/1.1: " + problem.message());
        }
        if (refusal) {
            Response response = error_response(*refusal);
            co_await respond(stream, std::move(response), 11, false, false, false);
        }
        co_return false;
    }

    const auto& message = parser.get();
    Request request;
    request.method = message.method_string();
    error_code ignored;
    const auto peer = lowest.socket().remote_endpoint(ignored);
    if (!ignored) request.remote = peer.address().to_string();
    for (const auto& field : message) {
        std::string name(field.name_string());
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        request.headers.insert_or_assign(std::move(name), std::string(field.value()));
    }
    Body<Stream> body(*this, stream, buffer, parser);
    request.body = &body;
    const bool head = request.method == "HEAD";
    Response response;
    try {
        const std::string_view target = message.target();
        const std::size_t query = target.find('?');
        request.path = target.substr(0, query);
        if (query != std::string_view::npos)
            request.query = Parameters::parse(target.substr(query + 1));
        if (connection_count() > options.limits.connections) {
            throw ApiError(
                429, "es_rejected_execution_exception",
                "more than " + std::to_string(options.limits.connections) + " connections are open")
                .retry_after(1);
        }
        response = co_await asio::co_spawn(runtime.cpu(), dispatch(request), asio::use_awaitable);
    } catch (const ApiError& error) {
        response = error_response(error);
    }
    ++answered;
    if (!body.done() && !body.broken()) {
        try {
            co_await body.throw_away();
        } catch (const ApiError&) {
            response.close = true;
        }
    }
    const bool keep_alive = parser.keep_alive() && !response.close && !body.broken() && !stopping;
    const bool compress = has_token(request.header("accept-encoding"), "gzip");
    const std::string opaque = request.header("x-opaque-id");
    if (!opaque.empty()) response.headers.emplace_back("X-Opaque-Id", opaque);
    co_await respond(stream, std::move(response), message.version(), head, keep_alive, compress);
    co_return keep_alive;
}

template <class Stream>
awaitable<void> HttpServer::Impl::respond(Stream& stream, Response response, unsigned version,
                                          bool head, bool keep_alive, bool compress) {
    http::response<http::string_body> message(static_cast<http::status>(response.status), version);
    for (const auto& [name, value] : response.headers)
        message.insert(name, value);
    if (!response.content_type.empty() && !(head && response.body.empty()))
        message.set(http::field::content_type, response.content_type);
    if (compress && response.body.size() >= kSmallestGzip) {
        response.body = gzip(response.body);
        message.set(http::field::content_encoding, "gzip");
    }
    message.keep_alive(keep_alive);
    message.body() = std::move(response.body);
    message.prepare_payload();
    auto& lowest = beast::get_lowest_layer(stream);
    lowest.expires_after(options.limits.write);
    if (head) {
        // The length is that of the body which GET would have had.
        http::response_serializer<http::string_body> serializer(message);
        serializer.split(true);
        co_await http::async_write_header(stream, serializer, asio::use_awaitable);
    } else {
        co_await http::async_write(stream, message, asio::use_awaitable);
    }
    lowest.expires_never();
}

HttpServer::HttpServer(runtime::Runtime& runtime, HttpOptions options, MemoryBudget& budget,
                       Dispatch dispatch)
    : impl_(std::make_shared<Impl>(runtime, std::move(options), budget, std::move(dispatch))) {}

HttpServer::~HttpServer() {
    stop(std::chrono::milliseconds(0));
}

std::uint16_t HttpServer::port() const {
    return impl_->port;
}

void HttpServer::start() {
    asio::co_spawn(
        impl_->runtime.io(), [impl = impl_] { return impl->accept(); }, asio::detached);
}

void HttpServer::stop(std::chrono::milliseconds grace) {
    Impl& impl = *impl_;
    impl.stopping = true;
    const auto on_io = [&](auto action) {
        asio::post(impl.runtime.io(), [impl = impl_, action] { action(*impl); });
    };
    on_io([](Impl& server) {
        error_code ignored;
        server.acceptor.close(ignored);
        for (const Impl::Connection& one : server.connections) {
            if (one.idle) one.stream->cancel();
        }
    });
    std::unique_lock lock(impl.mutex);
    if (impl.closed.wait_for(lock, grace, [&] { return impl.open == 0; })) return;
    on_io([](Impl& server) {
        for (const Impl::Connection& one : server.connections)
            one.stream->close();
    });
    // A handler that still runs ends by itself; its answer has nowhere to go.
    impl.closed.wait(lock, [&] { return impl.open == 0; });
}

HttpStats HttpServer::stats() const {
    std::lock_guard lock(impl_->mutex);
    return {impl_->open, impl_->total, impl_->answered};
}

}  // namespace penstock::serve
