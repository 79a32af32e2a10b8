// Reading another cluster, and what it may do to its reader.
#include "engine/io/remote_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "engine/io/remote_page.h"
#include "tests/unit/io/fake_remote.h"
#include "tests/unit/io/scratch.h"

namespace penstock::io {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kVersion8 = R"({"version":{"number":"8.11.0"}})";

std::string hit(int number, const std::string& more = {}) {
    const std::string n = std::to_string(number);
    return R"({"_index":"a","_id":")" + n + R"(","_version":3,"_score":null,"_source":{"n": )" + n +
           "}" + more + "}";
}

std::string page(const std::vector<std::string>& hits, const std::string& total = "2",
                 const std::string& more = {}) {
    std::string all;
    for (const std::string& one : hits)
        all += (all.empty() ? "" : ",") + one;
    return R"({"_scroll_id":"s\"1","took":1,"timed_out":false,)" + more + R"("hits":{"total":)" +
           total + R"(,"hits":[)" + all + "]}}";
}

/// A cluster of version 8 whose search and scroll are answered by `batch`, whatever comes.
FakeRemote::Answer cluster(std::function<std::string(const FakeRequest&)> batch,
                           std::string version = kVersion8) {
    return [batch = std::move(batch), version = std::move(version)](const FakeRequest& request) {
        if (request.line == "GET /") return FakeRemote::ok(version);
        if (request.line.starts_with("DELETE")) return FakeRemote::ok("{}");
        return batch(request);
    };
}

/// Two documents in batches of one, then the end.
std::string two_batches(const FakeRequest& request) {
    static thread_local int scrolled = 0;
    if (!request.line.starts_with("POST /_search/scroll")) scrolled = 0;
    if (scrolled == 2) return FakeRemote::ok(page({}));
    return FakeRemote::ok(page({hit(++scrolled, R"(,"_routing":"r")")}));
}

RemoteOptions options_for(std::uint16_t port) {
    RemoteOptions options;
    options.address = *parse_remote_address("http://127.0.0.1:" + std::to_string(port));
    options.indices = {"a"};
    options.socket_timeout = 5s;
    options.connect_timeout = 5s;
    options.first_retry = 0ms;
    return options;
}

/// All ids; with the source closed.
std::vector<std::string> read_ids(Source& source) {
    std::vector<std::string> ids;
    RecordBatch batch;
    while (source.read(batch, 1000, 1 << 20)) {
        for (const Record& record : batch.records)
            ids.push_back(record.id);
    }
    source.close();
    return ids;
}

/// What reading throws.
std::optional<RemoteError> failure(RemoteOptions options) {
    try {
        const auto source = open_remote(std::move(options));
        RecordBatch batch;
        while (source->read(batch, 1000, 1 << 20)) {
        }
    } catch (const RemoteError& error) {
        return error;
    }
    return std::nullopt;
}

std::optional<RemoteError> failure_of(FakeRemote::Answer answer, std::size_t limit = 100 << 20,
                                      std::chrono::milliseconds timeout = 5s) {
    FakeRemote remote(std::move(answer));
    RemoteOptions options = options_for(remote.port());
    options.max_response_bytes = limit;
    options.socket_timeout = timeout;
    return failure(std::move(options));
}

TEST(RemoteSource, ReadsAScrollToItsEnd) {
    FakeRemote remote(cluster(two_batches));
    RemoteOptions options = options_for(remote.port());
    options.indices = {"a", "b-*", "c/d"};
    options.query = R"({"term":{"n":1}})";
    options.source_filter = R"(["n"])";
    options.username = "ada";
    options.password = "secret";
    options.headers = {{"X-Team", "search"}};
    options.size = 1;
    const auto source = open_remote(options);
    RecordBatch batch;
    ASSERT_TRUE(source->read(batch, 1000, 1 << 20));
    ASSERT_EQ(batch.records.size(), 1U);
    EXPECT_EQ(batch.text(batch.records[0]), R"({"n": 1})");
    EXPECT_EQ(batch.records[0].id, "1");
    EXPECT_EQ(batch.records[0].index, "a");
    EXPECT_EQ(batch.records[0].routing, "r");
    EXPECT_EQ(batch.records[0].version, 3);
    EXPECT_EQ(batch.location(batch.records[0]), options.address.text() + "/1");
    EXPECT_EQ(source->progress().records_total, 2U);
    EXPECT_THAT(read_ids(*source), ElementsAre("2"));
    EXPECT_THAT(
        remote.lines(),
        ElementsAre("GET /",
                    "POST /a,b-*,c%2Fd/_search?scroll=300000ms&size=1&version=true"
                    "&allow_partial_search_results=false",
                    "POST /_search/scroll", "POST /_search/scroll", "DELETE /_search/scroll"));
    const std::vector<FakeRequest> requests = remote.requests();
    EXPECT_EQ(requests[1].body, R"({"query":{"term":{"n":1}},"sort":["_doc"],"_source":["n"]})");
    EXPECT_EQ(requests[2].body, R"({"scroll":"300000ms","scroll_id":"s\"1"})");
    EXPECT_EQ(requests[4].body, R"({"scroll_id":["s\"1"]})");
    for (const FakeRequest& request : requests) {
        EXPECT_EQ(request.header("Authorization"), "Basic YWRhOnNlY3JldA==") << request.line;
        EXPECT_EQ(request.header("X-Team"), "search");
    }
}

TEST(RemoteSource, GivesNoMoreAtOnceThanIsAskedFor) {
    FakeRemote remote(cluster([](const FakeRequest& request) {
        if (request.line == "POST /_search/scroll") return FakeRemote::ok(page({}, "5"));
        return FakeRemote::ok(page({hit(1), hit(2), hit(3), hit(4), hit(5)}, "5"));
    }));
    const auto source = open_remote(options_for(remote.port()));
    RecordBatch batch;
    ASSERT_TRUE(source->read(batch, 1000, 10));
    EXPECT_EQ(batch.records.size(), 2U) << "no further one after so many bytes";
    ASSERT_TRUE(source->read(batch, 1, 1000));
    EXPECT_EQ(batch.records.size(), 1U);
    EXPECT_THAT(read_ids(*source), ElementsAre("4", "5"));
}

TEST(RemoteSource, AsksForNoMoreThanIsWanted) {
    FakeRemote remote(cluster(two_batches));
    const auto source = open_remote(options_for(remote.port()));
    RecordBatch batch;
    ASSERT_TRUE(source->read(batch, 1, 1 << 20));
    source->close();
    EXPECT_THAT(remote.lines()[1], HasSubstr("&size=1&"));
    EXPECT_EQ(remote.lines().back(), "DELETE /_search/scroll") << "also when it has not ended";
}

TEST(RemoteSource, SpeaksToEachVersionAsItUnderstands) {
    const struct {
        const char* version;
        const char* total;
        const char* ends;
    } cases[] = {
        {R"({"version":{"number":"5.6.16"}})", "2", "&version=true"},
        {R"({"version":{"number":"6.3.0"}})", "2", "&allow_partial_search_results=false"},
        {R"({"version":{"number":"7.17.3"}})", R"({"value":2,"relation":"eq"})", "=false"},
        {R"({"version":{"number":"9.2.0-SNAPSHOT"}})", R"({"value":2,"relation":"eq"})",
         "&_source_exclude_vectors=false"},
        {R"({"version":{"distribution":"opensearch","number":"1.3.0"}})",
         R"({"value":2,"relation":"eq"})", "&allow_partial_search_results=false"},
    };
    for (const auto& one : cases) {
        FakeRemote remote(cluster(
            [&](const FakeRequest& request) {
                const bool end = request.line == "POST /_search/scroll";
                return FakeRemote::ok(end ? page({}, one.total)
                                          : page({hit(1), hit(2)}, one.total));
            },
            one.version));
        EXPECT_THAT(read_ids(*open_remote(options_for(remote.port()))), ElementsAre("1", "2"));
        EXPECT_THAT(remote.lines()[1], testing::EndsWith(one.ends)) << one.version;
    }
    const auto old = failure_of(cluster(two_batches, R"({"version":{"number":"2.4.6"}})"));
    ASSERT_TRUE(old);
    EXPECT_THAT(old->what(), HasSubstr("of version [2.4.6]"));
}

TEST(RemoteSource, KeepsTheScrollForAsLongAsItIsThrottled) {
    FakeRemote remote(cluster(two_batches));
    RemoteOptions options = options_for(remote.port());
    std::chrono::milliseconds pause = 1000ms;
    options.pause = [&] { return std::exchange(pause, std::chrono::hours(1'000'000)); };
    read_ids(*open_remote(options));
    EXPECT_THAT(remote.lines()[1], HasSubstr("scroll=301000ms"));
    EXPECT_THAT(remote.requests()[2].body, HasSubstr("\"86400000ms\"")) << "a day at most";
}

TEST(RemoteSource, AsksAgainWhenTheRemoteIsBusy) {
    int asked = 0;
    FakeRemote remote(cluster([&](const FakeRequest& request) {
        if (++asked <= 3)
            return FakeRemote::http(
                asked == 2 ? "503 Service Unavailable" : "429 Too Many Requests", "{}",
                "Retry-After: 0\r\n");
        return two_batches(request);
    }));
    auto source = open_remote(options_for(remote.port()));
    EXPECT_THAT(read_ids(*source), ElementsAre("1", "2"));
    EXPECT_EQ(source->progress().retries, 3U);
    source.reset();  // the remote has one connection at a time
    asked = -1000;
    const auto error = failure(options_for(remote.port()));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->status(), 429);
    EXPECT_EQ(asked, -988) << "twelve times in all";
}

TEST(RemoteSource, SaysWhoHasRefusedWhat) {
    const struct {
        const char* status;
        const char* body;
        int expected;
        const char* text;
    } cases[] = {
        {"401 Unauthorized", R"({"error":"no"})", 401, "check the credentials"},
        {"400 Bad Request", R"({"error":{"reason":"query malformed"}})", 400, "query malformed"},
        {"404 Not Found", "", 404, "404 Not Found: No error body."},
        {"302 Found", "", 500, "redirections are not followed"},
        {"500 \xff", "\xff\xfe", 500, "(not text)"},
    };
    for (const auto& one : cases) {
        FakeRemote remote(
            cluster([&](const FakeRequest&) { return FakeRemote::http(one.status, one.body); }));
        RemoteOptions options = options_for(remote.port());
        options.username = "ada";
        options.password = "secret";
        const auto error = failure(options);
        ASSERT_TRUE(error) << one.status;
        EXPECT_EQ(error->status(), one.expected);
        EXPECT_EQ(error->type(), "status_exception");
        EXPECT_THAT(error->what(), HasSubstr(one.text));
        EXPECT_THAT(error->what(), HasSubstr("[http://127.0.0.1:"));
        EXPECT_THAT(error->what(), Not(HasSubstr("secret")));
        EXPECT_THAT(error->what(), Not(HasSubstr("ada")));
    }
}

TEST(RemoteSource, SaysWhatKeepsItFromConnecting) {
    const auto refused = failure(options_for(0));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->type(), "connect_exception");
    EXPECT_THAT(refused->what(), HasSubstr("the remote [http://127.0.0.1:0] cannot be connected"));
    RemoteOptions options = options_for(0);
    options.address.host = "no-such-host.invalid";
    const auto unknown = failure(options);
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->type(), "unknown_host_exception");
}

TEST(RemoteSource, ASilentRemoteIsGivenUp) {
    const auto begin = std::chrono::steady_clock::now();
    const auto silent = failure_of([](const FakeRequest&) { return ""; }, 1000, 100ms);
    ASSERT_TRUE(silent);
    EXPECT_EQ(silent->type(), "socket_timeout_exception");
    EXPECT_THAT(silent->what(), HasSubstr("did not answer within 100ms"));
    const auto halfway = failure_of(
        [](const FakeRequest&) { return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"; }, 1000,
        100ms);
    ASSERT_TRUE(halfway);
    EXPECT_EQ(halfway->type(), "socket_timeout_exception");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
}

TEST(RemoteSource, IsInterruptedAtOnce) {
    FakeRemote remote([](const FakeRequest&) { return ""; });
    RemoteOptions options = options_for(remote.port());
    options.socket_timeout = 60s;
    const auto source = open_remote(options);
    std::thread other([&] {
        while (remote.lines().empty())
            std::this_thread::sleep_for(1ms);
        source->interrupt();
    });
    RecordBatch batch;
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(source->read(batch, 1000, 1000));
    other.join();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
    EXPECT_FALSE(source->read(batch, 1000, 1000)) << "for good";
}

TEST(RemoteSource, ClearsTheScrollAlsoAfterAnInterruption) {
    FakeRemote remote(cluster(two_batches));
    RemoteOptions options = options_for(remote.port());
    const auto source = open_remote(options);
    RecordBatch batch;
    ASSERT_TRUE(source->read(batch, 1, 1000));
    source->interrupt();
    EXPECT_FALSE(source->read(batch, 1, 1000));
    source->close();
    EXPECT_EQ(remote.lines().back(), "DELETE /_search/scroll");
}

TEST(RemoteSource, RefusesAnAnswerThatIsTooLarge) {
    const std::string large = page({hit(1, ",\"x\":\"" + std::string(5000, 'x') + "\"")});
    for (const std::string& bytes :
         {FakeRemote::ok(large), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + large,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + large,
          std::string("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{")}) {
        const auto error = failure_of(cluster([&](const FakeRequest&) { return bytes; }), 2000, 1s);
        ASSERT_TRUE(error);
        EXPECT_THAT(error->what(), StartsWith("Remote responded with a chunk that was too large. "
                                              "Use a smaller batch size."));
        EXPECT_EQ(error->status(), 400);
    }
}

TEST(RemoteSource, BelievesNothing) {
    const std::string deep(2000, '[');
    for (const std::string& bytes : {
             std::string("hello\r\n\r\n"),
             std::string("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
             std::string("HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{}"),
             std::string("HTTP/1.1 200 OK\r\nX: ") + std::string(100'000, 'x') + "\r\n\r\n",
             FakeRemote::ok(""),
             FakeRemote::ok("[]"),
             FakeRemote::ok("{}"),
             FakeRemote::ok("<html>"),
             FakeRemote::ok(R"({"hits":[]})"),
             FakeRemote::ok(R"({"hits":{"hits":[1]}})"),
             FakeRemote::ok(R"({"hits":{"hits":[{}]}})"),
             FakeRemote::ok(R"({"hits":{"hits":[{"_id":1}]}})"),
             FakeRemote::ok(R"({"hits":{"hits":[{"_id":"1"}]}})"),
             FakeRemote::ok(R"({"hits":{"hits":[{"_id":"1","_source":3}]}})"),
             FakeRemote::ok(R"({"hits":{"hits":[{"_id":"1","_source":{}})"),
             FakeRemote::ok(R"({"x":")"
                            "\xff"
                            R"(","hits":{"hits":[]}})"),
             FakeRemote::ok(R"({"x":)" + deep + R"(,"hits":{"hits":[]}})"),
             FakeRemote::ok(R"({"hits":{"hits":[{"_id":"1","_source":{}}]}})"),  // and no scroll
             FakeRemote::ok(page({hit(1), hit(2), hit(3)})),  // more than there are
             FakeRemote::ok(page({hit(1)})),                  // for ever
             FakeRemote::ok(page({}, "7")),                   // less than there are
             FakeRemote::ok(page({hit(1)}, "1", R"("timed_out":true,)")),
             FakeRemote::ok(page({hit(1)}, "1", R"("_shards":{"failures":[{"reason":"x"}]},)")),
         }) {
        EXPECT_TRUE(failure_of(cluster([&](const FakeRequest&) { return bytes; }), 1 << 20, 1s))
            << bytes.substr(0, 200);
    }
    const auto stranger = failure_of([](const FakeRequest&) { return FakeRemote::ok("hello"); });
    ASSERT_TRUE(stranger);
    EXPECT_THAT(stranger->what(), StartsWith("Error parsing the response, remote is likely not an "
                                             "Elasticsearch instance"));
}

TEST(RemotePage, SurvivesWhateverBecomesOfAnAnswer) {
    const std::string whole = page({hit(1, R"(,"_routing":"\u00e9")"), hit(2)},
                                   R"({"value":2,"relation":"eq"})", R"("_shards":{"total":1},)");
    const auto parse = [](const std::string& text) {
        try {
            for (const RemoteHit& hit : parse_remote_page(text, 10).hits)
                EXPECT_LE(hit.begin + hit.size, text.size()) << text;
        } catch (const RemoteError&) {
            return false;
        }
        return true;
    };
    EXPECT_TRUE(parse(whole));
    for (std::size_t i = 0; i < whole.size(); ++i) {
        EXPECT_FALSE(parse(whole.substr(0, i))) << i;
        for (const char byte : std::string("\0\"\\{}[],:0-\xff", 12)) {
            std::string changed = whole;
            changed[i] = byte;
            parse(changed);
        }
    }
}

TEST(RemoteSource, AnEmptyIndexIsTheEnd) {
    FakeRemote remote(cluster([](const FakeRequest&) { return FakeRemote::ok(page({}, "0")); }));
    const auto source = open_remote(options_for(remote.port()));
    EXPECT_TRUE(read_ids(*source).empty());
    EXPECT_EQ(source->progress().records_total, 0U);
    EXPECT_EQ(remote.lines().back(), "DELETE /_search/scroll");
}

TEST(RemoteSource, CannotBeResumed) {
    const auto source = open_remote(options_for(1));
    EXPECT_THROW(source->seek(source->position()), Error);
}

TEST(RemoteSource, RefusesHeadersThatWouldBeRequests) {
    for (const auto& header : std::vector<std::pair<std::string, std::string>>{
             {"X", "a\r\nContent-Length: 0\r\n\r\nDELETE /"},
             {"a b", "c"},
             {"", "c"},
             {"Host", "other"},
             {"transfer-encoding", "chunked"}}) {
        RemoteOptions options = options_for(1);
        options.headers = {header};
        EXPECT_THROW(open_remote(options), RemoteError) << header.first;
    }
    RemoteOptions options = options_for(1);
    options.api_key = "a\r\nb";
    EXPECT_THROW(open_remote(options), RemoteError);
}

TEST(RemoteAddress, IsTakenApart) {
    const auto address = parse_remote_address("https://[::1]:9200/pre/fix/");
    ASSERT_TRUE(address);
    EXPECT_EQ(address->scheme, "https");
    EXPECT_EQ(address->host, "[::1]");
    EXPECT_EQ(address->port, 9200);
    EXPECT_EQ(address->path_prefix, "/pre/fix");
    EXPECT_EQ(address->text(), "https://[::1]:9200/pre/fix");
    for (const char* wrong : {"", "badremote", "badremote:9200", "http://badremote", "http://:9200",
                              "http://a:", "http://a:99999", "http://a:9200x", "ftp://a:9200",
                              "http://a:9200/x y", "http://a:9200/?q", "http://a\r\nb:9200",
                              "http://u:p@a:9200", "http://[::1:9200", "http://a*:9200"})
        EXPECT_FALSE(parse_remote_address(wrong)) << wrong;
}

class RemoteTls : public Scratch {
  protected:
    void SetUp() override {
        const std::string command =
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
            " -addext subjectAltName=DNS:localhost -keyout " +
            key() + " -out " + certificate() + " 2>/dev/null";
        ASSERT_EQ(std::system(command.c_str()), 0) << "tools/setup installs openssl";
        tls_.use_certificate_chain_file(certificate());
        tls_.use_private_key_file(key(), boost::asio::ssl::context::pem);
    }
    ~RemoteTls() override { ::unsetenv("SSL_CERT_FILE"); }

    std::string key() const { return dir_ + "/key.pem"; }
    std::string certificate() const { return dir_ + "/certificate.pem"; }

    RemoteOptions options(const FakeRemote& remote, const std::string& host) const {
        RemoteOptions options = options_for(remote.port());
        options.address.scheme = "https";
        options.address.host = host;
        return options;
    }

    boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_server};
};

TEST_F(RemoteTls, TrustsWhomTheSystemTrustsUnderTheirOwnName) {
    FakeRemote remote(cluster(two_batches), &tls_);
    const auto stranger = failure(options(remote, "localhost"));
    ASSERT_TRUE(stranger);
    EXPECT_EQ(stranger->type(), "s_s_l_handshake_exception");
    EXPECT_THAT(stranger->what(), HasSubstr("a certificate that is not trusted: self"));
    ::setenv("SSL_CERT_FILE", certificate().c_str(), 1);
    EXPECT_THAT(read_ids(*open_remote(options(remote, "localhost"))), ElementsAre("1", "2"));
    const auto other_name = failure(options(remote, "127.0.0.1"));
    ASSERT_TRUE(other_name);
    EXPECT_THAT(other_name->what(), HasSubstr("IP address mismatch"));
}

TEST_F(RemoteTls, SaysWhenTheOtherSideSpeaksPlainly) {
    FakeRemote remote(cluster(two_batches));
    const auto error = failure(options(remote, "localhost"));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->type(), "s_s_l_handshake_exception");
    EXPECT_THAT(error->what(), HasSubstr("is it https there"));
}

}  // namespace
}  // namespace penstock::io
