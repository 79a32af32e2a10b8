#include "tools/serve/http_server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>

#include "engine/runtime/await.h"
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
/// Connections that are told at a time that there are too many; the others are just closed.
constexpr std::size_t kMostRefusals = 64;
/// For handlers to end that have been cancelled.
constexpr auto kUnwinding = std::chrono::seconds(5);
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

/// A line break in a value would begin another header, or another response.
std::string header_value(std::string value) {
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    };
    std::replace_if(value.begin(), value.end(), is_control, ' ');
    return value;
}

using Header = http::request_header<>;

/// What is wrong with a request whose headers could not be read; nothing when the client has gone.
std::optional<ApiError> refusal_of(error_code problem, const HttpLimits& limits) {
    if (problem == http::error::header_limit) {
        return ApiError(431, "too_long_http_header_exception",
                        "the request line and headers are longer than " +
                            std::to_string(limits.header_bytes) + " bytes");
    }
    if (problem.category() != make_error_code(http::error::bad_method).category() ||
        problem == http::error::end_of_stream || problem == http::error::partial_message)
        return std::nullopt;
    return ApiError(400, "illegal_argument_exception",
                    "this is not HTTP/1.1: " + problem.message());
}

/// Where the body ends must be beyond doubt: a proxy in front of the server that reads a
/// Transfer-Encoding otherwise would take a part of the body for the next client's request.
std::optional<ApiError> refusal_of(const Header& header) {
    const auto [begin, end] = header.equal_range(http::field::transfer_encoding);
    if (begin == end) return std::nullopt;
    if (std::next(begin) == end && beast::iequals(begin->value(), "chunked") &&
        header.version() >= 11)
        return std::nullopt;
    return ApiError(501, "illegal_argument_exception",
                    "Transfer-Encoding [" + std::string(begin->value()) +
                        "] is not supported; send [chunked] alone, or a Content-Length");
}

/// All but its body. Throws ApiError for a bad query string.
void read_header(const Header& header, Request& request) {
    request.method = header.method_string();
    for (const auto& field : header) {
        std::string name(field.name_string());
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        request.headers.insert_or_assign(std::move(name), std::string(field.value()));
    }
    const std::string_view target = header.target();
    const std::size_t query = target.find('?');
    request.path = target.substr(0, query);
    if (query != std::string_view::npos)
        request.query = Parameters::parse(target.substr(query + 1));
}

/// How a response goes out.
struct Delivery {
    unsigned version = 11;
    bool head = false;
    bool keep_alive = false;
    bool compress = false;
};

}  // namespace

Response error_response(const ApiError& error) {
    Response response = Response::json(error.body(), error.status());
    response.headers = error.headers();
    if (error.retry_after() > 0)
        response.headers.emplace_back("Retry-After", std::to_string(error.retry_after()));
    return response;
}

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
    /// A handler under way. It has a strand because a cancellation signal is not thread-safe.
    struct Running {
        explicit Running(const asio::any_io_executor& executor)
            : strand(asio::make_strand(executor)) {}
        asio::strand<asio::any_io_executor> strand;
        asio::cancellation_signal cancel;
    };

    /// What stop() needs of a connection: only touched on the I/O thread.
    struct Connection {
        beast::tcp_stream* stream = nullptr;
        bool idle = true;
        std::shared_ptr<Running> running;
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
            const bool refuse = served >= options.limits.connections;
            if (refuse) ++refused;
            if (refuse && refusing >= kMostRefusals) continue;
            {
                std::lock_guard lock(mutex);
                ++open;
            }
            asio::co_spawn(runtime.io(), connection(shared_from_this(), std::move(socket), refuse),
                           asio::detached);
        }
    }

    static awaitable<void> connection(std::shared_ptr<Impl> self, tcp::socket socket, bool refuse) {
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        beast::tcp_stream stream(std::move(socket));
        std::size_t& among = refuse ? self->refusing : self->served;
        ++among;
        const auto entry = self->connections.insert(self->connections.end(), {&stream, true, {}});
        try {
            if (refuse) {
                if (!self->tls) co_await self->say_too_many(stream);
            } else if (self->tls) {
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
        --among;
        std::lock_guard lock(self->mutex);
        --self->open;
        self->closed.notify_all();
    }

    /// Without reading the request: those who are connected already go on undisturbed.
    awaitable<void> say_too_many(beast::tcp_stream& stream) {
        ApiError error = ApiError(429, "es_rejected_execution_exception",
                                  "more than " + std::to_string(options.limits.connections) +
                                      " connections are open")
                             .retry_after(1);
        co_await respond(stream, error_response(error), Delivery());
        co_await close(stream);
    }

    /// Whoever is cut: its handler is cancelled on its own strand.
    void cut(const Connection& one) {
        one.stream->close();
        if (!one.running) return;
        asio::post(one.running->strand, [running = one.running] {
            running->cancel.emit(asio::cancellation_type::terminal);
        });
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
    awaitable<void> respond(Stream& stream, Response response, Delivery delivery);
    awaitable<Response> handle(Request& request, Connection& entry);
    void count(const Response& response);

    runtime::Runtime& runtime;
    HttpOptions options;
    MemoryBudget& budget;
    Dispatch dispatch;
    std::optional<asio::ssl::context> tls;
    tcp::acceptor acceptor;
    std::uint16_t port = 0;
    std::atomic<bool> stopping = false;
    std::atomic<std::uint64_t> total = 0;
    std::atomic<std::uint64_t> refused = 0;
    std::atomic<std::uint64_t> answered = 0;
    std::atomic<std::uint64_t> client_errors = 0;
    std::atomic<std::uint64_t> server_errors = 0;
    std::atomic<std::uint64_t> received = 0;
    std::atomic<std::uint64_t> sent = 0;
    std::list<Connection> connections;  ///< of the I/O thread, like the next two
    std::size_t served = 0;
    std::size_t refusing = 0;
    mutable std::mutex mutex;  ///< guards open and hurried
    std::condition_variable closed;
    std::size_t open = 0;
    bool hurried = false;
};

/// Reads on the I/O context, wherever it is awaited, and decompresses where it is awaited: the I/O
/// thread is everybody's.
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
        if (gunzip_) co_return co_await next(out);
        co_return co_await on_io(next(out));
    }

    awaitable<std::string> read_all() override {
        if (gunzip_) co_return co_await all();
        co_return co_await on_io(all());
    }

    /// Until the end or until it is too much. Nobody is told to go on with a body that is not
    /// wanted: then the connection is of no more use.
    awaitable<void> throw_away() {
        wire_ = {};
        while (!expects_ && !parser_.is_done() && taken_ < kMostThrownAway) {
            co_await fill();
            wire_ = {};
        }
        if (!parser_.is_done()) broken_ = true;
    }

  private:
    template <class T>
    awaitable<T> on_io(awaitable<T> reading) {
        co_return co_await asio::co_spawn(server_.runtime.io(), std::move(reading),
                                          runtime::uncancelled());
    }

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

    awaitable<bool> next(std::string& out) { return gunzip_ ? unpacked(out) : plain(out); }

    /// What comes next, as it comes. On the I/O context.
    awaitable<bool> plain(std::string& out) {
        const bool more = co_await fill();  // named: GCC 12 gives fill a wrong `this` otherwise
        if (!more) co_return false;
        given_ += wire_.size();
        check_size(given_);
        out.append(std::exchange(wire_, {}));
        co_return true;
    }

    awaitable<bool> unpacked(std::string& out) {
        const std::size_t before = out.size();
        while (out.size() == before) {
            bool more = !wire_.empty();
            if (!more) more = co_await on_io(fill());
            if (!more) {
                if (taken_ > 0 && !gunzip_->finished()) throw corrupt();
                co_return false;
            }
            if (!gunzip_->decode(wire_, out, kPiece)) throw corrupt();
        }
        given_ += out.size() - before;
        check_size(given_);
        co_return true;
    }

    /// The next piece off the wire; false when there is none. On the I/O context.
    awaitable<bool> fill() {
        while (!parser_.is_done()) {
            if (expects_) co_await say_continue();
            const std::size_t got = co_await from_wire();
            wire_ = std::string_view(piece_.data(), got);
            if (got > 0) co_return true;
        }
        co_return false;
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
        server_.received += bytes;
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
    std::string_view wire_;  ///< of piece_, not handed out yet
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
                                              Connection& entry) {
    http::request_parser<http::buffer_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(options.limits.header_bytes));
    parser.body_limit(boost::none);  // Body counts, after decompression too
    auto& lowest = beast::get_lowest_layer(stream);
    lowest.expires_after(options.limits.header);
    auto [problem, bytes] = co_await http::async_read_header(stream, buffer, parser, use_result);
    received += bytes;
    const auto& message = parser.get();
    if (const auto refusal =
            problem ? refusal_of(problem, options.limits) : refusal_of(message.base())) {
        co_await respond(stream, error_response(*refusal), Delivery());
        co_return false;
    }
    if (problem) co_return false;

    Request request;
    error_code ignored;
    const auto peer = lowest.socket().remote_endpoint(ignored);
    if (!ignored) request.remote = peer.address().to_string();
    Body<Stream> body(*this, stream, buffer, parser);
    request.body = &body;
    Response response;
    try {
        read_header(message, request);
        response = co_await handle(request, entry);
    } catch (const ApiError& error) {
        response = error_response(error);
    }
    if (!body.done() && !body.broken()) {
        try {
            co_await body.throw_away();
        } catch (const ApiError&) {
            response.close = true;
        }
    }
    const std::string opaque = request.header("x-opaque-id");
    if (!opaque.empty()) response.headers.emplace_back("X-Opaque-Id", opaque);
    Delivery delivery;
    delivery.version = message.version();
    delivery.head = request.method == "HEAD";
    delivery.keep_alive = parser.keep_alive() && !response.close && !body.broken() && !stopping;
    delivery.compress = has_token(request.header("accept-encoding"), "gzip");
    co_await respond(stream, std::move(response), delivery);
    co_return delivery.keep_alive;
}

awaitable<Response> HttpServer::Impl::handle(Request& request, Connection& entry) {
    entry.running = std::make_shared<Running>(runtime.cpu());
    Response response = co_await asio::co_spawn(
        entry.running->strand, dispatch(request),
        asio::bind_cancellation_slot(entry.running->cancel.slot(), asio::use_awaitable));
    entry.running.reset();
    co_return response;
}

void HttpServer::Impl::count(const Response& response) {
    ++answered;
    if (response.status >= 500) {
        ++server_errors;
    } else if (response.status >= 400) {
        ++client_errors;
    }
}

template <class Stream>
awaitable<void> HttpServer::Impl::respond(Stream& stream, Response response, Delivery delivery) {
    count(response);
    http::response<http::string_body> message(static_cast<http::status>(response.status),
                                              delivery.version);
    for (const auto& [name, value] : response.headers)
        message.insert(name, header_value(value));
    if (!response.content_type.empty() && !(delivery.head && response.body.empty()))
        message.set(http::field::content_type, header_value(response.content_type));
    if (delivery.compress && response.body.size() >= kSmallestGzip) {
        response.body =
            co_await runtime::call_on(runtime.cpu(), [&] { return gzip(response.body); });
        message.set(http::field::content_encoding, "gzip");
    }
    message.keep_alive(delivery.keep_alive);
    message.body() = std::move(response.body);
    message.prepare_payload();
    auto& lowest = beast::get_lowest_layer(stream);
    lowest.expires_after(options.limits.write);
    if (delivery.head) {
        // The length is that of the body which GET would have had.
        http::response_serializer<http::string_body> serializer(message);
        serializer.split(true);
        sent += co_await http::async_write_header(stream, serializer, asio::use_awaitable);
    } else {
        sent += co_await http::async_write(stream, message, asio::use_awaitable);
    }
    lowest.expires_never();
}

HttpServer::HttpServer(runtime::Runtime& runtime, HttpOptions options, MemoryBudget& budget,
                       Dispatch dispatch)
    : impl_(std::make_shared<Impl>(runtime, std::move(options), budget, std::move(dispatch))) {}

HttpServer::~HttpServer() {
    stop(std::chrono::milliseconds(0));
    // What a handler uses goes with whoever destroys the server.
    std::unique_lock lock(impl_->mutex);
    impl_->closed.wait(lock, [&] { return impl_->open == 0; });
}

std::uint16_t HttpServer::port() const {
    return impl_->port;
}

void HttpServer::start() {
    asio::co_spawn(
        impl_->runtime.io(), [impl = impl_] { return impl->accept(); }, asio::detached);
}

bool HttpServer::stop(std::chrono::milliseconds grace) {
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
    const auto is_closed = [&] { return impl.open == 0; };
    std::unique_lock lock(impl.mutex);
    impl.closed.wait_for(lock, grace, [&] { return is_closed() || impl.hurried; });
    if (is_closed()) return true;
    on_io([](Impl& server) {
        for (const Impl::Connection& one : server.connections)
            server.cut(one);
    });
    return impl.closed.wait_for(lock, kUnwinding, is_closed);
}

void HttpServer::hurry() {
    std::lock_guard lock(impl_->mutex);
    impl_->hurried = true;
    impl_->closed.notify_all();
}

HttpStats HttpServer::stats() const {
    const Impl& impl = *impl_;
    HttpStats stats;
    {
        std::lock_guard lock(impl.mutex);
        stats.open_connections = impl.open;
    }
    stats.total_connections = impl.total;
    stats.refused_connections = impl.refused;
    stats.requests = impl.answered;
    stats.client_errors = impl.client_errors;
    stats.server_errors = impl.server_errors;
    stats.received_bytes = impl.received;
    stats.sent_bytes = impl.sent;
    return stats;
}

}  // namespace penstock::serve
