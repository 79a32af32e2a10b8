// Requests over a real socket to real handlers: what holds for all of them.
#include <gmock/gmock.h>

#include <optional>

#include "engine/runtime/error.h"
#include "processors/builtin.h"
#include "tests/unit/serve/fixture.h"
#include "tests/unit/serve/raw_http.h"
#include "tools/serve/authentication.h"
#include "tools/serve/http_server.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class DispatchTest : public ServeFixture {
  protected:
    DispatchTest() {
        processors::add_builtin(catalog_);
        node.catalog = &catalog_;
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_);
        add_root_routes(router, node);
        add_document_routes(router, node);
        router.add(
            "GET", "/_public",
            [](Request&) -> boost::asio::awaitable<Response> { co_return Response::json("{}"); },
            {}, Access::anyone);
        router.add("GET", "/_full", [](Request&) -> boost::asio::awaitable<Response> {
            throw StorageError("no space left on the disk");
            co_return Response();
        });
        HttpOptions options;
        options.port = 0;
        server_.emplace(runtime, options, budget, make_dispatch(router, node));
        server_->start();
    }
    ~DispatchTest() override { server_.reset(); }

    std::string talk(std::string_view bytes) { return raw_.talk(server_->port(), bytes); }
    std::string ask(const std::string& method, const std::string& target,
                    const std::string& headers = {}, const std::string& body = {}) {
        return talk(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + headers +
                    "Content-Type: application/json\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n\r\n" + body);
    }

    pipeline::Catalog catalog_;
    std::optional<HttpServer> server_;
    RawHttp raw_;
};

TEST_F(DispatchTest, WhatIsRefusedIsNotDone) {
    for (const std::string parameter : {"pretty=abc", "human=1", "error_trace=maybe"}) {
        EXPECT_THAT(ask("PUT", "/t/_doc/1?" + parameter, "", "{}"),
                    AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("Failed to parse value [")));
    }
    EXPECT_THAT(ask("PUT", "/t/_doc/1?format=smile", "", "{}"), StartsWith("HTTP/1.1 406"));
    EXPECT_THAT(ask("GET", "/t/_doc/1"), StartsWith("HTTP/1.1 404"));
}

TEST_F(DispatchTest, TheDisksFaultIsNotTheRequests) {
    EXPECT_THAT(ask("GET", "/_full"),
                AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: "),
                      HasSubstr("unavailable_shards_exception"), HasSubstr("no space left")));
}

TEST_F(DispatchTest, ProbesNeedNoPassword) {
    node.credentials = std::make_shared<Credentials>(directory);
    node.credentials->put_user("ada", "a long enough password");
    EXPECT_THAT(ask("GET", "/_public"), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(ask("HEAD", "/_public"), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(ask("GET", "/"), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(ask("GET", "/?filter_path=."), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(ask("POST", "/_public"), StartsWith("HTTP/1.1 401"));
}

TEST_F(DispatchTest, OutlivesAbuse) {
    const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n";
    const std::string post = "POST /t/_doc HTTP/1.1\r\nHost: x\r\n";
    const std::string abuse[] = {
        "GET /?filter_path=. HTTP/1.1\r\n\r\n",
        "GET /?filter_path=- HTTP/1.1\r\n\r\n",
        "GET /?filter_path=,-.,..,** HTTP/1.1\r\n\r\n",
        "GET /?filter_path=*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b HTTP/1.1\r\n\r\n",
        "GET /?filter_path=%00%ff%0d%0a HTTP/1.1\r\n\r\n",
        "GET /?pretty=abc&format=%ff HTTP/1.1\r\n\r\n",
        "GET /?=&&&=%&pretty HTTP/1.1\r\n\r\n",
        "PUT /t/_doc/a%0d%0aX-Mine:%201%0d%0a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "PUT /t/_doc/%00 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "GET " + std::string(9000, '/') + " HTTP/1.1\r\n\r\n",
        get + "Accept: application/vnd.elasticsearch+json\x01\x7f\r\n\r\n",
        get + "X-Opaque-Id: \xff\xfe\r\n\r\n",
        get + "Accept: ,,,;;;\r\n\r\n",
        get + "Accept-Encoding: ,gzip;q=,\r\n\r\n",
        get + "Authorization: Basic \xff\r\n\r\n",
        get + "Long: " + std::string(20'000, 'x') + "\r\n\r\n",
        post + "Transfer-Encoding: foo\r\n\r\n0\r\n\r\n",
        post + "Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
        post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        post + "Transfer-Encoding: chunked\r\n\r\n2;x=\"\r\n{}\r\n0\r\n\r\n",
        post + "Content-Length: 1000000000000\r\n\r\n{}",
        post + "Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}",
        post + "Content-Length: 4\r\nContent-Type: application/yaml\r\n\r\n[[[[",
        post + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        post + "Content-Length: 200000\r\n\r\n" + std::string(200'000, '['),
    };
    for (const std::string& bytes : abuse) {
        const std::string answer = talk(bytes);
        EXPECT_THAT(answer, AnyOf("", StartsWith("HTTP/1.1 "))) << bytes.substr(0, 200);
        EXPECT_THAT(answer, Not(StartsWith("HTTP/1.1 500"))) << bytes.substr(0, 200);
        EXPECT_THAT(answer, Not(HasSubstr("\nX-Mine"))) << bytes.substr(0, 200);
        EXPECT_THAT(ask("GET", "/"), StartsWith("HTTP/1.1 200")) << bytes.substr(0, 200);
    }
    EXPECT_EQ(budget.used(), 0U);
}

}  // namespace
}  // namespace penstock::serve
