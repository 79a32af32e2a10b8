#include "tests/unit/serve/reindex_fixture.h"

#include <fstream>
#include <future>
#include <thread>

#include "tests/unit/io/fake_remote.h"
#include "tools/serve/http_server.h"
#include "tools/serve/reindex_job.h"
#include "tools/serve/reindex_remote.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;

/// A server that reads from itself, over its own port.
class ReindexRemoteTest : public ReindexFixture {
  protected:
    ReindexRemoteTest() {
        add_root_routes(router, node);
        add_search_routes(router, node);
        node.remote_whitelist =
            std::make_shared<const RemoteWhitelist>(RemoteWhitelist::loopback());
        HttpOptions options;
        options.port = 0;
        server_.emplace(runtime, options, budget, make_dispatch(router, node));
        server_->start();
    }
    ~ReindexRemoteTest() override { node.tasks->stop(std::chrono::seconds(30)); }

    std::string host() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
    /// A request that reads index "a" of `remote` into "b".
    static std::string from(const std::string& remote, const std::string& source = {},
                            const std::string& more = {}) {
        return R"({"source":{"remote":)" + remote + R"(,"index":"a")" + source +
               R"(},"dest":{"index":"b"})" + more + "}";
    }
    std::string from_itself(const std::string& source = {}, const std::string& more = {}) const {
        return from(R"({"host":")" + host() + "\"}", source, more);
    }
    std::size_t open_scrolls() {
        const std::string freed = at(call("DELETE", "/_search/scroll/_all").body, "num_freed");
        return std::stoul(freed);
    }
    /// All that is on the disk of tasks.
    std::string task_files() const {
        std::string all;
        for (const auto& entry : std::filesystem::directory_iterator(directory / "tasks")) {
            std::ifstream in(entry.path());
            all.append(std::istreambuf_iterator<char>(in), {});
        }
        return all;
    }

    std::optional<HttpServer> server_;
};

TEST_F(ReindexRemoteTest, CopiesOverHttp) {
    fill("a", 7);
    node.pipelines->put("mark", R"({"processors":[{"set":{"field":"by","value":"mark"}}]})");
    node.indices->create("b", R"({"settings":{"index":{"default_pipeline":"mark"}}})");
    const Response response =
        call("POST", "/_reindex?slices=auto",
             from_itself(
                 R"(,"size":3,"_source":{"excludes":["kind"]},"query":{"range":{"n":{"gt":2}}})"));
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(at(response.body, "total"), "5");
    EXPECT_EQ(at(response.body, "created"), "5");
    EXPECT_EQ(at(response.body, "batches"), "2");
    EXPECT_EQ(at(response.body, "retries"), R"({"bulk":0,"search":0})");
    EXPECT_EQ(at(response.body, "failures"), "[]");
    EXPECT_EQ(source("b", "3"), R"({"n":3,"by":"mark"})");
    EXPECT_EQ(open_scrolls(), 0U);
    EXPECT_TRUE(std::filesystem::is_empty(directory / "tasks"));
}

TEST_F(ReindexRemoteTest, KeepsRoutingsAndVersions) {
    fill("a", 1);
    fill("a", 1);
    const std::string routed =
        from_itself().insert(from_itself().rfind("\"b\"") + 3, R"(,"version_type":"external")");
    io::WriteItem item;
    item.id = "r";
    item.routing = "x";
    item.source = "{}";
    std::vector<io::ItemResult> results;
    node.store->bulk("a", std::span(&item, 1), results);
    const Response response = call("POST", "/_reindex", routed);
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(node.store->get("b", "1")->version, 2);
    EXPECT_EQ(node.store->get("b", "r")->routing, "x");
}

TEST_F(ReindexRemoteTest, StopsAtMaxDocs) {
    fill("a", 5);
    const Response response = call("POST", "/_reindex", from_itself("", R"(,"max_docs":2)"));
    EXPECT_EQ(at(response.body, "created"), "2") << response.body;
    EXPECT_EQ(at(response.body, "batches"), "1");
    EXPECT_EQ(open_scrolls(), 0U);
}

TEST_F(ReindexRemoteTest, AnEmptySourceMakesNoDestination) {
    node.indices->create("a", "");
    EXPECT_EQ(at(call("POST", "/_reindex", from_itself()).body, "total"), "0");
    EXPECT_FALSE(node.store->exists("b"));
}

TEST_F(ReindexRemoteTest, ValidatesAsElasticsearchDoes) {
    const struct {
        const char* query;
        std::string remote;
        const char* expected;
    } cases[] = {
        {"", "{}", "[host] must be specified to reindex from a remote cluster"},
        {"", R"({"host":"badremote","weird":1})",
         "[host] must be of the form [scheme]://[host]:[port](/[pathPrefix])? but was [badremote]"},
        {"", R"({"host":"http://u:secret@a:9200"})", "[host] must not hold credentials"},
        {"", R"({"host":"http://okremote:9200","weird":"stuff","badkey":1})",
         "Unsupported fields in [remote]: [weird,badkey]"},
        {"", R"({"host":"http://badremote:9200"})",
         "[badremote:9200] not whitelisted in reindex.remote.whitelist"},
        {"", R"({"host":1})", "Expected [host] to be a string but was [1]"},
        {"", R"({"host":"http://localhost:9200","socket_timeout":"borked"})",
         R"("caused_by":{"type":"number_format_exception","reason":"For input string: \"borke\"")"},
        {"", R"({"host":"http://localhost:9200","connect_timeout":"x"})",
         "failed to parse setting [connect_timeout] with value [x] as a time value"},
        {"", R"({"host":"http://localhost:9200","connect_timeout":"-1"})",
         "must be greater than 0"},
        {"", R"({"host":"http://localhost:9200","headers":{"a":1}})",
         "Expected [headers] to be an object containing strings but [a] is none"},
        {"", R"({"host":"http://localhost:9200","headers":{"a":"b\r\nc"}})", "HTTP does not allow"},
        {"", R"({"host":"http://localhost:9200","password":"secret"})", "needs a [username]"},
        {"", R"({"host":"http://localhost:9200","username":"u","api_key":"k"})", "not both"},
        {"?slices=2", R"({"host":"http://localhost:9200"})",
         "reindex from remote sources doesn't support slices > 1 but was [2]"},
    };
    for (const auto& one : cases) {
        const Response response =
            call("POST", std::string("/_reindex") + one.query, from(one.remote));
        EXPECT_EQ(response.status, 400) << one.remote << response.body;
        EXPECT_THAT(response.body, HasSubstr(one.expected)) << one.remote;
        EXPECT_THAT(response.body, testing::Not(HasSubstr("secret")));
    }
    node.remote_whitelist.reset();
    EXPECT_THAT(call("POST", "/_reindex", from_itself()).body, HasSubstr("] not whitelisted in"));
    EXPECT_TRUE(std::filesystem::is_empty(directory / "tasks"));
}

TEST_F(ReindexRemoteTest, AllowsTheHostsOfItsList) {
    const auto allows = [](const RemoteWhitelist& list, const std::string& host) {
        try {
            list.check(*io::parse_remote_address("http://" + host));
            return true;
        } catch (const ApiError&) {
            return false;
        }
    };
    const RemoteWhitelist list({"other:9200", "10.1.*:9*", "[::1]:9200"});
    EXPECT_TRUE(allows(list, "other:9200"));
    EXPECT_TRUE(allows(list, "10.1.2.3:9201"));
    EXPECT_TRUE(allows(list, "[::1]:9200"));
    EXPECT_FALSE(allows(list, "other:9201"));
    EXPECT_FALSE(allows(list, "localhost:9200")) << "what is listed, and no more";
    const RemoteWhitelist loopback = RemoteWhitelist::loopback();
    EXPECT_TRUE(allows(loopback, "localhost:1"));
    EXPECT_TRUE(allows(loopback, "127.5.0.1:9200"));
    EXPECT_TRUE(allows(loopback, "[::1]:9200"));
    EXPECT_FALSE(allows(loopback, "10.0.0.1:9200"));
    EXPECT_FALSE(allows(loopback, "127.0.0.1.example:9200"));
    EXPECT_THROW(RemoteWhitelist({"a:1", "*"}), Error);
}

TEST_F(ReindexRemoteTest, TellsWhatTheRemoteHasToSay) {
    fill("a", 1);
    Response response =
        call("POST", "/_reindex", from_itself(R"(,"query":{"garbage":"not a query"})"));
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(response.body, HasSubstr("query malformed, no start_object after query name"));
    response = call("POST", "/_reindex", from(R"({"host":"http://127.0.0.1:0"})"));
    EXPECT_EQ(response.status, 500);
    EXPECT_EQ(at(response.body, "error.type"), "\"connect_exception\"");
    node.store->remove("a");
    response = call("POST", "/_reindex", from_itself());
    EXPECT_EQ(response.status, 404);
    EXPECT_THAT(reason(response), HasSubstr("no such index [a]"));
    EXPECT_FALSE(node.store->exists("b"));
    const std::string id =
        begin("/_reindex?wait_for_completion=false", from(R"({"host":"http://127.0.0.1:0"})"));
    response = call("GET", "/_tasks/" + id + "?wait_for_completion");
    EXPECT_EQ(at(response.body, "error.type"), "\"connect_exception\"");
}

TEST_F(ReindexRemoteTest, ManyAtOnceDoNotWaitForEachOther) {
    fill("a", 50);
    std::vector<std::future<Response>> responses;
    for (int i = 0; i < 8; ++i) {
        responses.push_back(std::async(std::launch::async, [this] {
            return call("POST", "/_reindex", from_itself(R"(,"size":5)"));
        }));
    }
    for (auto& response : responses) {
        const Response done = response.get();
        EXPECT_EQ(done.status, 200) << done.body;
        EXPECT_EQ(at(done.body, "total"), "50");
    }
    EXPECT_EQ(open_scrolls(), 0U);
}

TEST_F(ReindexRemoteTest, CountsWhatItHadToAskAgain) {
    int asked = 0;
    io::FakeRemote remote([&](const io::FakeRequest& request) {
        if (request.line == "GET /" && ++asked < 3)
            return io::FakeRemote::http("429 Too Many Requests", "{}");
        if (request.line == "GET /") return io::FakeRemote::ok(R"({"version":{"number":"8.0.0"}})");
        return io::FakeRemote::ok(R"({"_scroll_id":"x","hits":{"total":0,"hits":[]}})");
    });
    const Response response =
        call("POST", "/_reindex",
             from(R"({"host":"http://127.0.0.1:)" + std::to_string(remote.port()) + "\"}"));
    EXPECT_EQ(at(response.body, "total"), "0") << response.body;
    EXPECT_EQ(at(response.body, "retries.search"), "2");
}

TEST_F(ReindexRemoteTest, ShowsAndKeepsNoCredentials) {
    fill("a", 3);
    const std::string id =
        begin("/_reindex?wait_for_completion=false&requests_per_second=.00000001",
              from(R"({"host":")" + host() +
                       R"(","username":"ada","password":"secret","headers":{"X-Key":"hidden"}})",
                   R"(,"size":1)"));
    const Response shown = call("GET", "/_tasks?detailed&actions=*reindex");
    const std::string port = std::to_string(server_->port());
    EXPECT_THAT(shown.body, HasSubstr("reindex from [host=127.0.0.1 port=" + port +
                                      R"( query={\"match_all\":{}}][a] to [b])"));
    EXPECT_FALSE(task_files().empty());
    for (const std::string& text : {shown.body, task_files()}) {
        EXPECT_THAT(text, testing::Not(HasSubstr("secret")));
        EXPECT_THAT(text, testing::Not(HasSubstr("ada")));
        EXPECT_THAT(text, testing::Not(HasSubstr("hidden")));
    }
    call("POST", "/_reindex/" + id + "/_rethrottle?requests_per_second=-1");
    const Response done = call("GET", "/_tasks/" + id + "?wait_for_completion");
    EXPECT_EQ(at(done.body, "response.created"), "3") << done.body;
    EXPECT_THAT(task_files(), testing::Not(HasSubstr("secret")));
}

TEST_F(ReindexRemoteTest, IsCancelledAlsoWhileTheRemoteIsSilent) {
    io::FakeRemote remote([](const io::FakeRequest&) { return std::string(); });
    const std::string id =
        begin("/_reindex?wait_for_completion=false",
              from(R"({"host":"http://127.0.0.1:)" + std::to_string(remote.port()) + "\"}"));
    while (remote.lines().empty())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto begun = std::chrono::steady_clock::now();
    const Response response = call("POST", "/_tasks/" + id + "/_cancel?wait_for_completion");
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(at(call("GET", "/_tasks/" + id).body, "response.canceled"), "\"by user request\"");
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
}

TEST_F(ReindexRemoteTest, DoesNotGoOnAfterARestart) {
    fill("a", 3);
    const std::string slow = "/_reindex?wait_for_completion=false&requests_per_second=.00000001";
    const std::string stopped = begin(slow, from_itself(R"(,"size":1)"));
    // Of a server that was killed: its record says that it runs.
    const std::string killed = begin(slow, from_itself(R"(,"size":1)"));
    const auto record = directory / "tasks" / (killed.substr(killed.find(':') + 1) + ".json");
    const auto kept = directory / "kept.json";
    std::filesystem::copy_file(record, kept);
    // A scroll whose opening is not answered yet cannot be closed: the remote ends it by itself.
    for (const std::string& id : {stopped, killed}) {
        while (at(call("GET", "/_tasks/" + id).body, "task.status.total") == "0")
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    node.tasks->stop(std::chrono::seconds(30));
    std::filesystem::rename(kept, record);
    start();
    resume_reindex_tasks(node);
    const Response response = call("GET", "/_tasks/" + stopped + "?wait_for_completion");
    EXPECT_EQ(at(response.body, "completed"), "true");
    EXPECT_THAT(at(response.body, "error.reason"), HasSubstr("[op_type] of [create]"));
    const Response other = call("GET", "/_tasks/" + killed + "?wait_for_completion");
    EXPECT_EQ(at(other.body, "completed"), "true");
    EXPECT_THAT(at(other.body, "error.reason"),
                HasSubstr("it reads from the remote [" + host() +
                          "], whose scroll has ended and whose credentials are not kept"));
    EXPECT_EQ(open_scrolls(), 0U) << "given up with the reading";
}

}  // namespace
}  // namespace penstock::serve
