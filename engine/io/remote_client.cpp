#include "engine/io/remote_client.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <charconv>
#include <exception>

#include "engine/io/json_text.h"

namespace penstock::io {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::awaitable;
using asio::ip::tcp;
using beast::error_code;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Request = http::request<http::string_body>;

constexpr std::uint32_t kHeaderBytes = 64 * 1024;
/// An answer that trickles is cut, however regularly its bytes come.
constexpr std::size_t kSlowestAnswer = 4 * 1024;
/// A connection that was idle for longer may have been closed at the other end, which a scroll's
/// request would find out too late: it must not be made twice, because the second would get the
/// batch after the one that was lost.
constexpr std::chrono::seconds kLongestIdle{20};
constexpr auto use_result = asio::as_tuple(asio::use_awaitable);

std::string seconds_text(milliseconds time) {
    return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + "s"
                                    : std::to_string(time.count()) + "ms";
}

/// A name without brackets, as resolvers and certificates have it.
std::string bare_host(const std::string& host) {
    return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

bool is_address(const std::string& host) {
    error_code problem;
    asio::ip::make_address(host, problem);
    return !problem;
}

bool is_token(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

bool is_header_value(std::string_view text) {
    return std::none_of(text.begin(), text.end(),
                        [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7F; });
}

RemoteError refused_header(std::string_view name, std::string_view why) {
    return {400, "illegal_argument_exception",
            "header [" + std::string(name) + "] of the remote " + std::string(why)};
}

/// A line break in a header would be a request of its own, and so would another length.
void check_header(const std::string& name, const std::string& value) {
    if (!is_token(name)) throw refused_header("?", "has a name that HTTP does not allow");
    if (!is_header_value(value)) throw refused_header(name, "has a value that HTTP does not allow");
    for (const char* own : {"Host", "Connection", "Content-Length", "Transfer-Encoding", "TE",
                            "Upgrade", "Expect", "Content-Encoding", "Accept-Encoding"}) {
        if (beast::iequals(name, own)) throw refused_header(name, "cannot be set");
    }
}

}  // namespace

struct RemoteClient::Impl {
    explicit Impl(const RemoteOptions& the_options)
        : options(the_options),
          connect_timeout(options.connect_timeout),
          socket_timeout(options.socket_timeout) {
        for (const auto& [name, value] : options.headers)
            check_header(name, value);
        check_header("Authorization", options.api_key);
    }

    struct Connection {
        explicit Connection(asio::io_context& io) : lowest(io) {}
        beast::tcp_stream lowest;
        std::optional<beast::ssl_stream<beast::tcp_stream&>> secure;
        beast::flat_buffer buffer;
        Clock::time_point last_used = Clock::now();
    };

    // ---- what goes wrong

    std::string where() const { return "[" + options.address.text() + "]"; }

    RemoteError failed(std::string type, const std::string& what) const {
        return {500, std::move(type), "the remote " + where() + " " + what};
    }

    /// Between two waits: an interruption in the meantime has found nothing to end.
    void check_interrupted() const {
        if (interrupted && !deaf) throw Interrupted();
    }

    RemoteError broken(const error_code& problem) const {
        if (problem == beast::error::timeout) {
            return failed("socket_timeout_exception",
                          "did not answer within " + seconds_text(socket_timeout) +
                              "; a longer [socket_timeout] or a smaller [size] may help");
        }
        if (problem == http::error::body_limit || problem == http::error::buffer_overflow) {
            return {400, "illegal_argument_exception",
                    "Remote responded with a chunk that was too large. Use a smaller batch size. "
                    "(more than " +
                        std::to_string(options.max_response_bytes >> 20U) + " MiB from " + where() +
                        ")"};
        }
        if (problem == http::error::end_of_stream || problem == http::error::partial_message ||
            problem == asio::error::eof || problem == asio::error::connection_reset ||
            problem == asio::error::broken_pipe || problem == asio::ssl::error::stream_truncated) {
            return failed("connection_closed_exception",
                          "closed the connection before it had answered (" + problem.message() +
                              "); is it " + options.address.scheme + " there?");
        }
        return failed("i_o_exception", "could not be read: " + problem.message());
    }

    // ---- connecting

    /// The system's certification authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name.
    asio::ssl::context& trust() {
        if (!tls) {
            tls.emplace(asio::ssl::context::tls_client);
            tls->set_options(asio::ssl::context::default_workarounds |
                             asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
            tls->set_default_verify_paths();
            tls->set_verify_mode(asio::ssl::verify_peer);
        }
        return *tls;
    }

    awaitable<void> connect() {
        connection.reset();
        const std::string host = bare_host(options.address.host);
        auto [unknown, found] =
            co_await resolver.async_resolve(host, std::to_string(options.address.port), use_result);
        check_interrupted();
        if (unknown) {
            throw failed("unknown_host_exception",
                         "has a host that is not known: " + unknown.message() +
                             "; check [host] and the name service");
        }
        connection.emplace(io);
        connection->lowest.expires_after(connect_timeout);
        auto [problem, endpoint] = co_await connection->lowest.async_connect(found, use_result);
        check_interrupted();
        if (problem == beast::error::timeout) {
            throw failed("connect_timeout_exception",
                         "did not take the connection within " + seconds_text(connect_timeout) +
                             "; check [host] and what lies between, or say a longer "
                             "[connect_timeout]");
        }
        if (problem) {
            throw failed("connect_exception", "cannot be connected to: " + problem.message() +
                                                  "; check [host], and that it runs and listens");
        }
        error_code ignored;
        connection->lowest.socket().set_option(tcp::no_delay(true), ignored);
        if (options.address.scheme == "https") co_await shake_hands(host);
    }

    awaitable<void> shake_hands(const std::string& host) {
        auto& stream = connection->secure.emplace(connection->lowest, trust());
        expect_host(stream.native_handle(), host);
        connection->lowest.expires_after(connect_timeout);
        auto [problem] =
            co_await stream.async_handshake(asio::ssl::stream_base::client, use_result);
        check_interrupted();
        if (problem) throw no_handshake(problem);
    }

    /// That the certificate is of this host, not only one that is trusted.
    void expect_host(SSL* handle, const std::string& host) const {
        X509_VERIFY_PARAM* wanted = SSL_get0_param(handle);
        const bool expected = is_address(host)
                                  ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1
                                  : X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), 0) == 1 &&
                                        SSL_set_tlsext_host_name(handle, host.c_str()) == 1;
        if (!expected) throw failed("s_s_l_handshake_exception", "has a host that TLS cannot name");
    }

    RemoteError no_handshake(const error_code& problem) {
        const long verdict = SSL_get_verify_result(connection->secure->native_handle());
        if (verdict != X509_V_OK) {
            return failed("s_s_l_handshake_exception",
                          std::string("has a certificate that is not trusted: ") +
                              X509_verify_cert_error_string(verdict) +
                              "; say the [host] that the certificate names, and have its authority "
                              "in the system's certificates or in the file that SSL_CERT_FILE "
                              "names");
        }
        return failed("s_s_l_handshake_exception",
                      "and this machine do not agree on TLS: " + problem.message() +
                          "; is it https there, with a certificate for this host?");
    }

    // ---- talking

    awaitable<RemoteAnswer> exchange(Request request) {
        check_interrupted();
        if (!connection || Clock::now() - connection->last_used > kLongestIdle) co_await connect();
        if (connection->secure) co_return co_await transfer(*connection->secure, request);
        co_return co_await transfer(connection->lowest, request);
    }

    template <class Stream>
    awaitable<RemoteAnswer> transfer(Stream& stream, Request& request) {
        connection->lowest.expires_after(socket_timeout);
        auto [not_sent, sent] = co_await http::async_write(stream, request, use_result);
        check_interrupted();
        if (not_sent) throw broken(not_sent);
        http::response_parser<http::string_body> parser;
        parser.header_limit(kHeaderBytes);
        parser.body_limit(options.max_response_bytes);
        connection->lowest.expires_after(socket_timeout);
        auto [no_header, bytes] =
            co_await http::async_read_header(stream, connection->buffer, parser, use_result);
        check_interrupted();
        if (no_header) throw broken(no_header);
        co_await read_body(stream, parser);
        RemoteAnswer answer = take(parser.get());
        connection->last_used = Clock::now();
        if (!parser.keep_alive()) connection.reset();
        co_return answer;
    }

    template <class Stream, class Parser>
    awaitable<void> read_body(Stream& stream, Parser& parser) {
        const auto begin = Clock::now();
        std::size_t received = 0;
        while (!parser.is_done()) {
            const auto earned = std::chrono::seconds(received / kSlowestAnswer);
            connection->lowest.expires_at(
                std::min(Clock::now() + socket_timeout, begin + socket_timeout + earned));
            auto [problem, bytes] =
                co_await http::async_read_some(stream, connection->buffer, parser, use_result);
            check_interrupted();
            if (problem) throw broken(problem);
            received += bytes;
        }
    }

    static RemoteAnswer take(http::response<http::string_body>& response) {
        RemoteAnswer answer;
        answer.status = static_cast<int>(response.result_int());
        answer.reason = std::string(response.reason());
        answer.body = std::move(response.body());
        const std::string_view after = response[http::field::retry_after];
        int seconds = 0;
        const auto [end, problem] =
            std::from_chars(after.data(), after.data() + after.size(), seconds);
        if (!after.empty() && problem == std::errc() && seconds >= 0)
            answer.retry_after = std::chrono::seconds(seconds);
        return answer;
    }

    Request make_request(std::string_view method, const std::string& target,
                         const std::string& body) const {
        Request request(http::string_to_verb(method), target, 11, body);
        request.set(http::field::host, options.address.authority());
        request.set(http::field::user_agent, "penstock");
        request.set(http::field::accept, "application/json");
        if (!body.empty()) request.set(http::field::content_type, "application/json");
        if (!options.api_key.empty()) {
            request.set(http::field::authorization, "ApiKey " + options.api_key);
        } else if (!options.username.empty()) {
            request.set(http::field::authorization,
                        "Basic " + base64(options.username + ":" + options.password, false));
        }
        for (const auto& [name, value] : options.headers)
            request.set(name, value);
        request.prepare_payload();
        return request;
    }

    /// Runs until it is done; what it throws is thrown.
    template <class Work, class Done>
    void run(Work work, Done done) {
        std::exception_ptr problem;
        io.restart();
        asio::co_spawn(io, std::move(work), [&](std::exception_ptr thrown, auto... made) {
            problem = thrown;
            if (!thrown) done(std::move(made)...);
        });
        io.run();
        if (!problem) return;
        connection.reset();
        std::rethrow_exception(problem);
    }

    awaitable<void> pause(milliseconds time) {
        check_interrupted();
        timer.expires_after(time);
        co_await timer.async_wait(use_result);
        check_interrupted();
    }

    /// On the thread that runs `io`, between two steps of the work.
    void end_waits() {
        if (deaf) return;
        timer.cancel();
        resolver.cancel();
        if (connection) connection->lowest.close();
    }

    const RemoteOptions& options;
    milliseconds connect_timeout;
    milliseconds socket_timeout;
    std::atomic<bool> interrupted{false};
    bool deaf = false;  // to interruptions
    // The work is written as coroutines, so that every wait has a limit and can be ended; the
    // thread that asks is the one that runs them.
    asio::io_context io{1};
    tcp::resolver resolver{io};
    asio::steady_timer timer{io};
    std::optional<asio::ssl::context> tls;
    std::optional<Connection> connection;
};

RemoteClient::RemoteClient(const RemoteOptions& options) : impl_(std::make_unique<Impl>(options)) {}
RemoteClient::~RemoteClient() = default;

RemoteAnswer RemoteClient::ask(std::string_view method, const std::string& target,
                               const std::string& body) {
    RemoteAnswer answer;
    impl_->run(impl_->exchange(impl_->make_request(method, target, body)),
               [&](RemoteAnswer made) { answer = std::move(made); });
    return answer;
}

void RemoteClient::wait(milliseconds time) {
    impl_->run(impl_->pause(time), [] {});
}

void RemoteClient::interrupt() {
    impl_->interrupted = true;
    asio::post(impl_->io, [impl = impl_.get()] { impl->end_waits(); });
}

void RemoteClient::last_words(milliseconds patience) {
    impl_->deaf = true;
    impl_->connect_timeout = std::min(impl_->connect_timeout, patience);
    impl_->socket_timeout = std::min(impl_->socket_timeout, patience);
}

}  // namespace penstock::io
