// The HTTP server over real sockets: what well-behaved clients may do, and what others do.
#include "tools/serve/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <functional>
#include <thread>

#include "engine/runtime/error.h"
#include "tests/unit/serve/raw_http.h"
#include "tools/serve/api_error.h"
#include "tools/serve/gzip.h"

namespace penstock::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// Text that takes gzip its time.
std::string dull_text(std::size_t size) {
    std::string text;
    text.reserve(size);
    for (std::uint32_t state = 1; text.size() < size;) {
        state = state * 1664525 + 1013904223;
        text += std::to_string(state >> 12);
    }
    return text;
}

/// Echoes the method, the path and the body, or does what the path says.
asio::awaitable<Response> echo(Request& request) {
    Response response;
    try {
        if (request.path == "/ignore") co_return Response::json("{}");
        if (request.path == "/refuse") co_return Response::json("{}", 401);
        if (request.path == "/fail") co_return Response::json("{}", 500);
        if (request.path == "/dull") co_return Response::json(dull_text(16UL << 20));
        if (request.path == "/wait") {
            asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
            co_await timer.async_wait(asio::use_awaitable);
        }
        if (request.path == "/header") {
            response = Response::text("body");
            response.headers.emplace_back("Location", "/a\r\nX-Mine: 1\r\n\r\nHTTP/1.1 200 OK");
            co_return response;
        }
        std::string body;
        if (request.path == "/stream") {
            std::size_t pieces = 0;
            std::string piece;
            while (co_await request.body->read(piece)) {
                ++pieces;
                body += std::exchange(piece, {});
            }
            body = std::to_string(pieces > 1) + ":" + std::to_string(body.size());
        } else {
            body = co_await request.body->read_all();
        }
        if (request.path == "/large") body = std::string(100'000, 'x');
        co_return Response::json(request.method + " " + request.path + " " + body);
    } catch (const ApiError& error) {
        response = error_response(error);
    }
    co_return response;
}

class HttpServerTest : public testing::Test {
  protected:
    HttpServer& start(HttpLimits limits = {}, std::size_t memory = 64UL << 20) {
        budget_.emplace(memory);
        HttpOptions options;
        options.port = 0;
        options.limits = limits;
        server_.emplace(runtime_, options, *budget_, echo);
        server_->start();
        return *server_;
    }

    tcp::socket connect() { return raw_.connect(server_->port()); }
    std::string talk(std::string_view bytes) { return raw_.talk(server_->port(), bytes); }
    static void send(tcp::socket& socket, std::string_view bytes) { RawHttp::send(socket, bytes); }
    static std::string receive_all(tcp::socket& socket) { return RawHttp::receive_all(socket); }

    /// How long the I/O thread did nothing else at most, and how long it all took.
    std::pair<Seconds, Seconds> longest_pause(const std::function<void()>& work) {
        std::atomic<bool> done = false;
        Seconds longest{0};
        std::thread watch([&] {
            while (!done) {
                const auto begin = steady_clock::now();
                asio::post(runtime_.io(), asio::use_future([] {})).get();
                longest = std::max<Seconds>(longest, steady_clock::now() - begin);
                std::this_thread::sleep_for(1ms);
            }
        });
        const auto begin = steady_clock::now();
        work();
        const Seconds took = steady_clock::now() - begin;
        done = true;
        watch.join();
        return {longest, took};
    }

    runtime::Runtime runtime_{{2, 2}};
    std::optional<MemoryBudget> budget_;
    std::optional<HttpServer> server_;
    RawHttp raw_;
};

std::string post(const std::string& path, const std::string& body, const std::string& more = {}) {
    return "POST " + path +
           " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           more + "\r\n" + body;
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
    start();
    const std::string text = talk("GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + post("/b", "one") +
                                  post("/ignore", "two") + "GET /c HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::size_t a = text.find("GET /a ");
    const std::size_t b = text.find("POST /b one");
    const std::size_t c = text.find("GET /c ");
    EXPECT_LT(a, b) << text;
    EXPECT_LT(b, c) << text;
    EXPECT_NE(c, std::string::npos) << text;
    EXPECT_EQ(server_->stats().total_connections, 1U);
    EXPECT_EQ(server_->stats().requests, 4U);
}

TEST_F(HttpServerTest, HeadHasTheLengthAndNoBody) {
    start();
    const std::string text = talk("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(text, HasSubstr("Content-Length: 8\r\n"));
    EXPECT_THAT(text, testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, ReadsChunkedAndCompressedBodies) {
    start();
    EXPECT_THAT(talk("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
                HasSubstr("POST /a abcdefg"));
    EXPECT_THAT(talk(post("/a", gzip("hello"), "Content-Encoding: gzip\r\n")),
                HasSubstr("POST /a hello"));
    EXPECT_THAT(talk(post("/a", gzip("hel") + gzip("lo"), "Content-Encoding: gzip\r\n")),
                HasSubstr("POST /a hello"));
    const std::string whole = gzip(std::string(5000, 'y'));
    EXPECT_THAT(talk(post("/a", whole.substr(0, whole.size() - 3), "Content-Encoding: gzip\r\n")),
                StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(talk(post("/a", "not gzip", "Content-Encoding: gzip\r\n")),
                StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, StreamsWhatIsLong) {
    start();
    EXPECT_THAT(talk(post("/stream", std::string(3'000'000, 'z'))), HasSubstr("1:3000000"));
    EXPECT_THAT(
        talk(post("/stream", gzip(std::string(3'000'000, 'z')), "Content-Encoding: gzip\r\n")),
        HasSubstr("1:3000000"));
}

TEST_F(HttpServerTest, CompressesWhatTheClientTakes) {
    start();
    const std::string plain = talk("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_GT(plain.size(), 100'000U);
    const std::string packed =
        talk("GET /large HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br\r\n\r\n");
    EXPECT_THAT(packed, HasSubstr("Content-Encoding: gzip"));
    EXPECT_LT(packed.size(), 2000U);
    EXPECT_GT(talk("GET /large HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n").size(),
              100'000U);
}

TEST_F(HttpServerTest, AsksForABodyThatWaitsToBeAskedFor) {
    start();
    tcp::socket socket = connect();
    send(socket,
         "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    std::string line(25, '\0');
    asio::read(socket, asio::buffer(line));
    EXPECT_EQ(line, "HTTP/1.1 100 Continue\r\n\r\n");
    send(socket, "ok");
    socket.shutdown(tcp::socket::shutdown_send);
    EXPECT_THAT(receive_all(socket), HasSubstr("POST /a ok"));
}

TEST_F(HttpServerTest, RefusesWhatIsTooLarge) {
    HttpLimits limits;
    limits.body_bytes = 1000;
    limits.header_bytes = 4096;
    start(limits);
    EXPECT_THAT(talk(post("/a", std::string(2000, 'x'))), StartsWith("HTTP/1.1 413"));
    EXPECT_THAT(talk(post("/a", gzip(std::string(2'000'000, 'x')), "Content-Encoding: gzip\r\n")),
                StartsWith("HTTP/1.1 413"))
        << "small as it comes, large as it is";
    EXPECT_THAT(talk("GET /a HTTP/1.1\r\nHost: x\r\nLong: " + std::string(8000, 'x') + "\r\n\r\n"),
                StartsWith("HTTP/1.1 431"));
    EXPECT_THAT(talk(post("/a", "fine")), HasSubstr("POST /a fine"));
}

TEST_F(HttpServerTest, TheMemoryOfAllBodiesIsBounded) {
    start({}, 100'000);
    EXPECT_THAT(talk(post("/a", std::string(200'000, 'x'))),
                testing::AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("Retry-After: 1"),
                               HasSubstr("circuit_breaking_exception")));
    EXPECT_THAT(talk(post("/a", std::string(50'000, 'x'))), StartsWith("HTTP/1.1 200"));
    EXPECT_EQ(budget_->used(), 0U);
}

TEST_F(HttpServerTest, SurvivesWhatIsNoHttp) {
    start();
    const std::string_view faulty[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nNo colon here\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "POST /a HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "GET /%zz?a=%q HTTP/1.1\r\nHost: x\r\n\r\n",
        "G",
        "",
    };
    for (const std::string_view bytes : faulty) {
        const std::string answer = talk(bytes);
        EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 4") ||
                    answer.starts_with("HTTP/1.1 200"))
            << bytes << "\n"
            << answer;
    }
    EXPECT_THAT(talk("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, CutsWhoIsTooSlow) {
    HttpLimits limits;
    limits.header = 100ms;
    limits.body = 100ms;
    start(limits);
    tcp::socket headers = connect();
    send(headers, "GET / HT");
    EXPECT_EQ(receive_all(headers), "");
    tcp::socket body = connect();
    send(body, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_EQ(receive_all(body), "");
    EXPECT_THAT(talk("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, StoppingAnswersWhatWasAcceptedAndClosesWhatIsIdle) {
    start();
    tcp::socket idle = connect();
    send(idle, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string first(20, '\0');
    asio::read(idle, asio::buffer(first));
    tcp::socket busy = connect();
    send(busy, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    while (budget_->used() == 0)  // until its body is being read
        std::this_thread::sleep_for(1ms);
    std::thread stopping([&] { server_->stop(20s); });
    receive_all(idle);  // ends
    send(busy, "cd");
    EXPECT_THAT(receive_all(busy), HasSubstr("POST /b abcd"));
    stopping.join();
    EXPECT_EQ(server_->stats().open_connections, 0U);
    boost::system::error_code refused;
    asio::io_context context;
    tcp::socket late(context);
    late.connect({asio::ip::make_address("127.0.0.1"), server_->port()}, refused);
    EXPECT_TRUE(refused);
}

TEST_F(HttpServerTest, StoppingCutsWhatGoesOnBeyondTheGrace) {
    start();
    tcp::socket waiting = connect();
    send(waiting, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    tcp::socket slow = connect();
    send(slow, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    while (budget_->used() == 0)
        std::this_thread::sleep_for(1ms);
    const auto begin = steady_clock::now();
    EXPECT_TRUE(server_->stop(100ms));
    EXPECT_LT(Seconds(steady_clock::now() - begin), 20s);
    EXPECT_EQ(receive_all(waiting), "");
    EXPECT_EQ(server_->stats().open_connections, 0U);
    EXPECT_EQ(budget_->used(), 0U);
}

TEST_F(HttpServerTest, TheGraceCanBeEnded) {
    start();
    tcp::socket waiting = connect();
    send(waiting, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    while (server_->stats().received_bytes == 0)
        std::this_thread::sleep_for(1ms);
    std::thread impatient([&] { server_->hurry(); });
    EXPECT_TRUE(server_->stop(1h));
    impatient.join();
}

TEST_F(HttpServerTest, WhereABodyEndsMustBeClear) {
    start();
    const std::string next = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string_view doubtful[] = {
        "Transfer-Encoding: foo\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n",
    };
    for (const std::string_view header : doubtful) {
        const std::string text =
            talk("POST /a HTTP/1.1\r\nHost: x\r\n" + std::string(header) + "\r\n" + next);
        EXPECT_THAT(text, testing::AnyOf(StartsWith("HTTP/1.1 501"), StartsWith("HTTP/1.1 400")))
            << header;
        EXPECT_THAT(text, HasSubstr("Connection: close\r\n")) << header;
        EXPECT_THAT(text, testing::Not(HasSubstr("smuggled"))) << header;
    }
    EXPECT_THAT(talk("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n" + next),
                testing::AllOf(HasSubstr("POST /a "), HasSubstr("GET /smuggled")))
        << "two requests, rightly";
    EXPECT_THAT(talk("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + next),
                testing::Not(HasSubstr("smuggled")));
}

TEST_F(HttpServerTest, AHeaderIsOneLine) {
    start();
    const std::string text = talk("GET /header HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(text, HasSubstr("Location: /a  X-Mine: 1    HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(text, testing::EndsWith("\r\n\r\nbody"));
}

TEST_F(HttpServerTest, DoesNotAskForABodyThatIsNotWanted) {
    start();
    for (const std::string path : {"/refuse", "/%zz?a=%q"}) {
        const std::string text = talk("POST " + path +
                                      " HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n"
                                      "Expect: 100-continue\r\n\r\n");
        EXPECT_THAT(text, StartsWith("HTTP/1.1 40"));
        EXPECT_THAT(text, HasSubstr("Connection: close\r\n"));
    }
}

TEST_F(HttpServerTest, TooManyConnectionsHurtOnlyTheLast) {
    HttpLimits limits;
    limits.connections = 2;
    start(limits);
    const std::string get = "GET /ignore HTTP/1.1\r\nHost: x\r\n\r\n";
    std::string answer(12, '\0');
    tcp::socket first = connect();
    tcp::socket second = connect();
    for (tcp::socket* one : {&first, &second}) {
        send(*one, get);
        asio::read(*one, asio::buffer(answer));
        EXPECT_EQ(answer, "HTTP/1.1 200");
    }
    EXPECT_THAT(talk(get), testing::AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("Retry-After: 1"),
                                          HasSubstr("Connection: close")));
    send(first, get);
    first.shutdown(tcp::socket::shutdown_send);
    EXPECT_THAT(receive_all(first), HasSubstr("HTTP/1.1 200"));
    EXPECT_THAT(talk(get), StartsWith("HTTP/1.1 200")) << "there is room again";
    EXPECT_EQ(server_->stats().refused_connections, 1U);
}

TEST_F(HttpServerTest, CountsWhatItDoes) {
    start();
    const std::string request = post("/a", "hello");
    const std::string answer = talk(request);
    talk("GET /refuse HTTP/1.1\r\n\r\n");
    talk("GET /fail HTTP/1.1\r\n\r\n");
    const HttpStats stats = server_->stats();
    EXPECT_EQ(stats.total_connections, 3U);
    EXPECT_EQ(stats.requests, 3U);
    EXPECT_EQ(stats.client_errors, 1U);
    EXPECT_EQ(stats.server_errors, 1U);
    EXPECT_GE(stats.received_bytes, request.size());
    EXPECT_LT(stats.received_bytes, request.size() + 100);
    EXPECT_GT(stats.sent_bytes, answer.size());
}

TEST_F(HttpServerTest, CompressionLeavesTheIoThreadToOthers) {
    start();
    const auto [answering, answered] = longest_pause([&] {
        EXPECT_THAT(talk("GET /dull HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"),
                    StartsWith("HTTP/1.1 200"));
    });
    EXPECT_LT(answering, answered / 2);
    const std::string packed =
        post("/stream", gzip(std::string(90'000'000, 'z')), "Content-Encoding: gzip\r\n");
    const auto [reading, read] =
        longest_pause([&] { EXPECT_THAT(talk(packed), HasSubstr("1:90000000")); });
    EXPECT_LT(reading, read / 2);
}

TEST_F(HttpServerTest, SaysWhyItCannotListen) {
    start();
    HttpOptions options;
    options.port = server_->port();
    try {
        HttpServer second(runtime_, options, *budget_, echo);
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("Address already in use"));
    }
    options.address = "example";
    EXPECT_THROW(HttpServer(runtime_, options, *budget_, echo), Error);
    options.address = "127.0.0.1";
    options.certificate = options.private_key = "no-such-file.pem";
    EXPECT_THROW(HttpServer(runtime_, options, *budget_, echo), Error);
}

}  // namespace
}  // namespace penstock::serve
