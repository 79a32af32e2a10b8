#include <gmock/gmock.h>

#include <fstream>
#include <future>
#include <thread>

#include "engine/job/task_manager.h"
#include "processors/builtin.h"
#include "tests/unit/io/fake_remote.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/http_server.h"
#include "tools/serve/json_body.h"
#include "tools/serve/reindex_job.h"
#include "tools/serve/reindex_remote.h"
#include "tools/serve/task_results.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;

class ReindexApiTest : public ServeFixture {
  protected:
    ReindexApiTest() {
        processors::add_builtin(catalog_);
        node.catalog = &catalog_;
        node.publish_address = "127.0.0.1:9200";
        start();
        add_task_routes(router, node);
        add_reindex_routes(router, node);
    }
    ~ReindexApiTest() override { node.tasks->stop(std::chrono::seconds(30)); }

    /// As a start of the server does.
    void start(std::size_t max_results = 1000) {
        open();
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_);
        node.tasks = std::make_shared<job::TaskManager>(
            job::TaskManagerOptions{.directory = directory / "tasks",
                                    .max_results = max_results,
                                    .results = index_of_results(node)});
    }

    /// Documents 1 to `count` with {"n": number, "kind": "even" or "odd"}.
    void fill(const std::string& index, int count) {
        std::vector<std::string> ids;
        std::vector<std::string> sources;
        for (int i = 1; i <= count; ++i) {
            ids.push_back(std::to_string(i));
            sources.push_back("{\"n\":" + std::to_string(i) + ",\"kind\":\"" +
                              (i % 2 == 0 ? "even" : "odd") + "\"}");
        }
        std::vector<io::WriteItem> items(ids.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            items[i].id = ids[i];
            items[i].source = sources[i];
        }
        std::vector<io::ItemResult> results;
        if (!node.store->exists(index)) node.indices->create(index, "");
        node.store->bulk(index, items, results);
    }

    /// A member of a JSON text by its dotted path, as JSON.
    static std::string at(const std::string& json, std::string_view path) {
        JsonBody body;
        body.parse(json);
        document::Value value = document::Value::object(&body.root());
        for (const std::string& part : split_list(path, '.')) {
            const document::Value* next = nullptr;
            if (value.is_object()) next = value.as_object().get(part);
            if (value.is_array() && std::stoul(part) < value.as_array().size())
                next = &value.as_array()[std::stoul(part)];
            if (next == nullptr) return "absent";
            value = *next;
        }
        return json_text(value);
    }

    std::string reason(const Response& response) const { return at(response.body, "error.reason"); }
    std::string source(const std::string& index, const std::string& id) {
        const auto found = node.store->get(index, id);
        return found ? found->source : "none";
    }
    /// The id of a task that a request without wait_for_completion began.
    std::string begin(const std::string& target, std::string body) {
        const Response response = call("POST", target, std::move(body));
        EXPECT_EQ(response.status, 200) << response.body;
        const std::string id = at(response.body, "task");
        return id.substr(1, id.size() - 2);
    }

    pipeline::Catalog catalog_;
};

constexpr const char* kCopy = R"({"source":{"index":"a"},"dest":{"index":"b"}})";

TEST_F(ReindexApiTest, CopiesAndAnswersInFull) {
    fill("a", 3);
    Response response = call("POST", "/_reindex?refresh", kCopy);
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(at(response.body, "timed_out"), "false");
    EXPECT_EQ(at(response.body, "total"), "3");
    EXPECT_EQ(at(response.body, "created"), "3");
    EXPECT_EQ(at(response.body, "updated"), "0");
    EXPECT_EQ(at(response.body, "deleted"), "0");
    EXPECT_EQ(at(response.body, "batches"), "1");
    EXPECT_EQ(at(response.body, "retries"), R"({"bulk":0,"search":0})");
    EXPECT_EQ(at(response.body, "requests_per_second"), "-1.0");
    EXPECT_EQ(at(response.body, "failures"), "[]");
    EXPECT_EQ(at(response.body, "slices"), "absent");
    EXPECT_EQ(node.store->count("b"), 3u);
    response = call("POST", "/_reindex", kCopy);
    EXPECT_EQ(at(response.body, "updated"), "3");
    EXPECT_TRUE(node.tasks->running().empty());
    EXPECT_TRUE(std::filesystem::is_empty(directory / "tasks")) << "nobody asks for it later";
}

/// What an alias does not show is neither copied nor deleted through it.
TEST_F(ReindexApiTest, KeepsToTheFilterOfAnAlias) {
    fill("a", 10);
    node.indices->put_alias("a", "evens", R"({"filter":{"term":{"kind":"even"}}})");
    Response response =
        call("POST", "/_reindex", R"({"source":{"index":"evens"},"dest":{"index":"b"}})");
    EXPECT_EQ(at(response.body, "created"), "5") << response.body;
    response =
        call("POST", "/evens/_delete_by_query?slices=2", R"({"query":{"range":{"n":{"gt":2}}}})");
    EXPECT_EQ(at(response.body, "deleted"), "4") << response.body;
    EXPECT_EQ(node.store->count("a"), 6u);
    response = call("POST", "/evens,a/_delete_by_query", R"({"query":{"match_all":{}}})");
    EXPECT_EQ(at(response.body, "deleted"), "6") << response.body;
}

TEST_F(ReindexApiTest, AnUpdateByQueryLeavesDocumentsWhereTheyAre) {
    fill("a", 2);
    fill("secret", 2);
    node.pipelines->put("moves", R"({"processors":[{"set":{"field":"_index","value":"secret"}}]})");
    const Response response = call("POST", "/a/_update_by_query?pipeline=moves", "");
    EXPECT_EQ(response.status, 400) << response.body;
    EXPECT_THAT(at(response.body, "failures.0.cause.reason"), HasSubstr("has changed [_index]"));
    EXPECT_EQ(source("secret", "1"), R"({"n":1,"kind":"odd"})");
    EXPECT_EQ(node.store->info("secret").max_seq_no, 1);
}

/// As a single write would go to that name.
TEST_F(ReindexApiTest, ADocumentMayBeSentElsewhere) {
    fill("a", 3);
    node.indices->create("real", R"({"aliases":{"al":{}}})");
    node.pipelines->put("moves", R"({"processors":[{"set":{"field":"_index","value":"al"}}]})");
    const auto move = [&] {
        return call("POST", "/_reindex",
                    R"({"source":{"index":"a"},"dest":{"index":"b","pipeline":"moves"}})");
    };
    EXPECT_EQ(at(move().body, "created"), "3");
    EXPECT_EQ(node.store->count("real"), 3u);
    EXPECT_FALSE(node.store->exists("al"));
    node.indices->put_settings("real", R"({"index.final_pipeline":"moves"})");
    const Response response = move();
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(at(response.body, "failures.0.cause.reason"),
                HasSubstr("[real] has the final pipeline [moves]"));
}

TEST_F(ReindexApiTest, ThereIsOneCopy) {
    fill("a", 1);
    const Response response = call("POST", "/_reindex?wait_for_active_shards=4&timeout=1s", kCopy);
    EXPECT_EQ(response.status, 503);
    EXPECT_THAT(at(response.body, "failures.0.cause.reason"),
                HasSubstr("Not enough active copies to meet shard count of [4] (have 1, needed 4). "
                          "Timeout: [1s], request: "));
}

TEST_F(ReindexApiTest, NothingIsCopiedFromAnIndexWithoutASource) {
    node.indices->create("a", R"({"mappings":{"_source":{"enabled":false}}})");
    EXPECT_EQ(call("POST", "/_reindex", kCopy).status, 200);
    fill("a", 1);
    EXPECT_EQ(reason(call("POST", "/_reindex", kCopy)), R"("[a][_doc][1] didn't store _source")");
}

TEST_F(ReindexApiTest, ValidatesAsElasticsearchDoes) {
    fill("test", 1);
    const std::string both = R"("source":{"index":"test"},"dest":{"index":"dest"})";
    const struct {
        const char* query;
        std::string body;
        const char* reason;
    } cases[] = {
        {"", "", "request body is required"},
        {"", R"({"junk":{}})", "[reindex] unknown field [junk]"},
        {"", R"({"source":{"junk":{}}})", "Unknown key for a START_OBJECT in [junk]."},
        {"", R"({"dest":{"junk":{}}})", "[dest] unknown field [junk]"},
        {"", R"({"dest":{}})", "index must be specified"},
        {"", R"({"source":{"size":"cat"}})", "For input string: \\\"cat\\\""},
        {"", R"({"source":{"from":1}})", "from is not supported in this context"},
        {"", R"({"source":{"stored_fields":[]}})", "stored_fields is not supported in this"},
        {"", R"({"conflicts":"cat"})",
         "may only be \\\"proceed\\\" or \\\"abort\\\" but was [cat]"},
        {"", "{" + both + R"(,"max_docs":-4})", "parameter cannot be negative, found [-4]"},
        {"", "{" + both + R"(,"size":4,"max_docs":5})", "two different values [4] and [5]"},
        {"?max_docs=5", "{" + both + R"(,"max_docs":4})", "two different values [4] and [5]"},
        {"?requests_per_second=0", "{" + both + "}", "Use -1 to disable throttling."},
        {"?requests_per_second=", "{" + both + "}", "must be a float greater than 0"},
        {"?requests_per_second=-12", "{" + both + "}", "must be a float greater than 0"},
        {"?requests_per_second=unlimited", "{" + both + "}", "must be a float greater than 0"},
        {"?slices=junk", "{" + both + "}", "must be a positive integer or the string"},
        {"?slices=0", "{" + both + "}", "must be a positive integer or the string"},
        {"?slices=3&max_docs=2", "{" + both + "}", "[max_docs] should be >= [slices]"},
        {"?wait_for_active_shards=junk", "{" + both + "}", "For input string: \\\"junk\\\""},
        {"", R"({"source":{"index":"test","_source":false},"dest":{"index":"d"}})",
         "_source:false is not supported in this context"},
        {"", R"({"source":{"index":"test"},"dest":{"index":"test"}})",
         "reindex cannot write into an index its reading from [test]"},
        {"", R"({"source":{"index":"test","sort":{"n":"up"}},"dest":{"index":"d"}})",
         "Unknown SortOrder [up]"},
        {"", R"({"source":{"index":"test","sort":"nobody"},"dest":{"index":"d"}})",
         "No mapping found for [nobody] in order to sort on"},
        {"", "{" + both + R"(,"script":{}})", "[script] is not supported by this server"},
        {"", R"({"source":{"index":"test"},"dest":{"index":"d","routing":"x"}})",
         "routing must be unset, [keep], [discard] or [=<some new value>]"},
        {"", R"({"source":{"index":"test"},"dest":{"index":"d","pipeline":"x"}})",
         "pipeline with id [x] does not exist"},
        {"", R"({"source":{"index":"test","query":{"what":{}}},"dest":{"index":"d"}})", "what"},
    };
    for (const auto& one : cases) {
        const Response response = call("POST", std::string("/_reindex") + one.query, one.body);
        EXPECT_EQ(response.status, 400) << one.body << response.body;
        EXPECT_THAT(reason(response), HasSubstr(one.reason)) << one.body;
    }
    EXPECT_EQ(call("POST", "/_reindex", kCopy).status, 404);
    EXPECT_FALSE(node.store->exists("dest"));
    EXPECT_TRUE(node.tasks->running().empty());
}

TEST_F(ReindexApiTest, ConflictsAbortOrProceed) {
    fill("a", 2);
    fill("b", 1);
    const std::string create = R"({"source":{"index":"a"},"dest":{"index":"b","op_type":"create"})";
    Response response = call("POST", "/_reindex", create + "}");
    EXPECT_EQ(response.status, 409);
    EXPECT_EQ(at(response.body, "version_conflicts"), "1");
    EXPECT_EQ(at(response.body, "created"), "1") << "all of a batch is tried";
    EXPECT_EQ(at(response.body, "failures.0.index"), "\"b\"");
    EXPECT_EQ(at(response.body, "failures.0.id"), "\"1\"");
    EXPECT_EQ(at(response.body, "failures.0.status"), "409");
    EXPECT_EQ(at(response.body, "failures.0.cause.type"), "\"version_conflict_engine_exception\"");
    EXPECT_THAT(at(response.body, "failures.0.cause.reason"), HasSubstr("version conflict"));
    response = call("POST", "/_reindex", create + R"(,"conflicts":"proceed"})");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(at(response.body, "version_conflicts"), "2");
    EXPECT_EQ(at(response.body, "failures"), "[]");
}

TEST_F(ReindexApiTest, ReadsSeveralIndicesChosenDocumentsAndParts) {
    fill("log-1", 4);
    fill("log-2", 6);
    Response response = call("POST", "/_reindex", R"({"source":{"index":["log-*"],
        "query":{"term":{"kind":"even"}},"_source":["n"],"size":2},
        "dest":{"index":"even","routing":"=x"}})");
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(at(response.body, "total"), "5");
    EXPECT_EQ(at(response.body, "created"), "3");
    EXPECT_EQ(at(response.body, "updated"), "2");
    EXPECT_EQ(source("even", "6"), R"({"n":6})");
    EXPECT_EQ(node.store->get("even", "6")->routing, "x");
    response = call("POST", "/_reindex?max_docs=3",
                    R"({"source":{"index":"log-2"},"dest":{"index":"few"}})");
    EXPECT_EQ(at(response.body, "total"), "3");
    EXPECT_EQ(node.store->count("few"), 3u);
}

TEST_F(ReindexApiTest, GoesThroughThePipelineOfTheRequestOrOfTheDestination) {
    fill("a", 2);
    node.pipelines->put("mark", R"({"processors":[{"set":{"field":"by","value":"mark"}}]})");
    node.pipelines->put("no", R"({"processors":[{"fail":{"message":"no {{n}}"}}]})");
    node.indices->create("with", R"({"settings":{"index":{"default_pipeline":"mark"}}})");
    call("POST", "/_reindex", R"({"source":{"index":"a"},"dest":{"index":"with"}})");
    EXPECT_THAT(source("with", "1"), HasSubstr("mark"));
    call("POST", "/_reindex",
         R"({"source":{"index":"a"},"dest":{"index":"with","pipeline":"_none"}})");
    EXPECT_THAT(source("with", "1"), testing::Not(HasSubstr("mark")));
    const Response response = call(
        "POST", "/_reindex", R"({"source":{"index":"a"},"dest":{"index":"c","pipeline":"no"}})");
    EXPECT_EQ(response.status, 500) << "as a fail_processor_exception has it";
    EXPECT_EQ(at(response.body, "failures.1.cause.reason"), "\"no 2\"");
    EXPECT_EQ(at(response.body, "failures.1.index"), "\"c\"");
    EXPECT_EQ(at(response.body, "failures.1.status"), "500");
}

TEST_F(ReindexApiTest, SlicesAreChildren) {
    fill("a", 10);
    const Response response = call("POST", "/_reindex?slices=5", kCopy);
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(at(response.body, "created"), "10");
    EXPECT_EQ(at(response.body, "slices.4.slice_id"), "4");
    EXPECT_EQ(at(response.body, "slices.4.version_conflicts"), "0");
    EXPECT_EQ(at(response.body, "slices.5"), "absent");

    const std::string id =
        begin("/_reindex?slices=2&wait_for_completion=false&requests_per_second=0.0001", kCopy);
    const Response tree = call("GET", "/_tasks?actions=*reindex&detailed&group_by=parents");
    EXPECT_EQ(at(tree.body, "tasks." + id + ".description"), "\"reindex from [a] to [b]\"");
    EXPECT_EQ(at(tree.body, "tasks." + id + ".children.1.status.slice_id"), "1") << tree.body;
    EXPECT_EQ(at(tree.body, "tasks." + id + ".children.1.parent_task_id"), "\"" + id + "\"");
    call("POST", "/_reindex/" + id + "/_rethrottle?requests_per_second=-1");
    const Response done = call("GET", "/_tasks/" + id + "?wait_for_completion");
    EXPECT_EQ(at(done.body, "completed"), "true");
    EXPECT_EQ(at(done.body, "task.status.total"), "10") << done.body;
    EXPECT_EQ(at(done.body, "response.slices.1.updated"),
              at(done.body, "task.status.slices.1.updated"));
}

TEST_F(ReindexApiTest, RunsInTheBackgroundAndIsRethrottledAndCancelled) {
    fill("a", 30);
    const std::string slow = R"({"source":{"index":"a","size":1},"dest":{"index":"b"}})";
    const std::string where = "/_reindex?wait_for_completion=false&requests_per_second=.00000001";
    std::string id = begin(where, slow);
    Response response = call("GET", "/_tasks/" + id);
    EXPECT_EQ(at(response.body, "completed"), "false");
    EXPECT_EQ(at(response.body, "task.cancellable"), "true");
    EXPECT_EQ(at(response.body, "task.action"), "\"indices:data/write/reindex\"");
    EXPECT_EQ(call("GET", "/_tasks/" + id + "?wait_for_completion&timeout=10ms").status, 429);
    response = call("POST", "/_reindex/" + id + "/_rethrottle?requests_per_second=-1");
    EXPECT_EQ(
        at(response.body, "nodes." + node.id + ".tasks." + id + ".status.requests_per_second"),
        "-1.0");
    response = call("GET", "/_tasks/" + id + "?wait_for_completion=true");
    EXPECT_EQ(at(response.body, "response.created"), "30") << response.body;
    EXPECT_EQ(at(call("GET", "/_reindex/" + id).body, "response.created"), "30");

    id = begin(where, slow);
    EXPECT_EQ(at(call("GET", "/_reindex").body, "reindex.0.id"), "\"" + id + "\"");
    response = call("POST", "/_tasks/" + id + "/_cancel?wait_for_completion");
    EXPECT_EQ(at(response.body, "nodes." + node.id + ".tasks." + id + ".cancelled"), "true");
    response = call("GET", "/_tasks/" + id);
    EXPECT_EQ(at(response.body, "completed"), "true");
    EXPECT_EQ(at(response.body, "response.canceled"), "\"by user request\"");
    EXPECT_EQ(call("POST", "/_reindex/" + id + "/_cancel").status, 404);
}

TEST_F(ReindexApiTest, UpdatesInPlace) {
    fill("a", 5);
    node.pipelines->put("mark", R"({"processors":[{"set":{"field":"by","value":"mark"}}]})");
    const Response response =
        call("POST", "/a/_update_by_query?pipeline=mark", R"({"query":{"term":{"kind":"odd"}}})");
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(at(response.body, "updated"), "3");
    EXPECT_EQ(at(response.body, "total"), "3");
    EXPECT_THAT(source("a", "1"), HasSubstr("mark"));
    EXPECT_THAT(source("a", "2"), testing::Not(HasSubstr("mark")));
    EXPECT_EQ(node.store->get("a", "1")->version, 2);
    EXPECT_EQ(at(call("POST", "/a/_update_by_query").body, "updated"), "5")
        << "all, without a body";
    EXPECT_EQ(call("POST", "/none/_update_by_query").status, 404);
}

TEST_F(ReindexApiTest, DeletesByQuery) {
    fill("a", 6);
    EXPECT_THAT(reason(call("POST", "/a/_delete_by_query")), HasSubstr("query is missing"));
    const Response response =
        call("POST", "/a/_delete_by_query?slices=2", R"({"query":{"term":{"kind":"even"}}})");
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(at(response.body, "deleted"), "3");
    EXPECT_EQ(node.store->count("a"), 3u);
    EXPECT_EQ(at(call("POST", "/a/_delete_by_query?q=n:1").body, "deleted"), "1");
}

TEST_F(ReindexApiTest, ADocumentChangedMeanwhileIsAConflict) {
    fill("a", 3);
    const std::string id = begin(
        "/a/_update_by_query?wait_for_completion=false&conflicts=proceed&scroll_size=1"
        "&requests_per_second=4",
        "{}");
    while (at(call("GET", "/_tasks/" + id).body, "task.status.updated") == "0")
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    fill("a", 3);
    const Response response = call("GET", "/_tasks/" + id + "?wait_for_completion");
    EXPECT_EQ(at(response.body, "response.updated"), "1") << response.body;
    EXPECT_EQ(at(response.body, "response.version_conflicts"), "2") << response.body;
}

TEST_F(ReindexApiTest, GoesOnAfterARestart) {
    fill("a", 200);
    const std::string id = begin("/_reindex?wait_for_completion=false&requests_per_second=100",
                                 R"({"source":{"index":"a","size":10},"dest":{"index":"b"}})");
    while (at(call("GET", "/_tasks/" + id).body, "task.status.created") == "0")
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    node.tasks->stop(std::chrono::seconds(30));
    start();
    EXPECT_LT(node.store->count("b"), 200u);
    EXPECT_EQ(at(call("GET", "/_tasks/" + id).body, "completed"), "false");
    resume_reindex_tasks(node);
    call("POST", "/_reindex/" + id + "/_rethrottle?requests_per_second=-1");
    const Response response = call("GET", "/_tasks/" + id + "?wait_for_completion");
    EXPECT_EQ(at(response.body, "response.total"), "200") << response.body;
    EXPECT_EQ(at(response.body, "response.created"), "200") << response.body;
    EXPECT_EQ(node.store->count("b"), 200u);
}

// ---- in an order

TEST_F(ReindexApiTest, TakesDocumentsInTheOrderThatIsAskedFor) {
    fill("a", 20);
    Response response =
        call("POST", "/_reindex",
             R"({"max_docs":3,"source":{"index":"a","sort":[{"n":"desc"}]},"dest":{"index":"b"}})");
    ASSERT_EQ(response.status, 200) << response.body;
    ASSERT_EQ(response.headers.size(), 1u);
    EXPECT_EQ(response.headers.front().first, "Warning");
    EXPECT_THAT(response.headers.front().second,
                HasSubstr("\"The sort option in reindex is deprecated. Instead consider using "
                          "query filtering to find the desired subset of data.\""));
    EXPECT_EQ(at(response.body, "created"), "3") << response.body;
    for (const char* id : {"20", "19", "18"})
        EXPECT_NE(source("b", id), "none") << id;
    // One order over several indices, and what a query finds of them.
    fill("c", 30);
    response = call("POST", "/_reindex", R"({"max_docs":7,"source":{"index":["a","c"],"size":2,
        "query":{"term":{"kind":"even"}},"sort":["kind.keyword",{"n":{"order":"desc"}}]},
        "dest":{"index":"d"}})");
    EXPECT_EQ(at(response.body, "updated"), "1") << response.body;  // 20 is in both
    EXPECT_EQ(node.store->count("d"), 6u);
    for (const char* id : {"30", "28", "26", "24", "22", "20"})
        EXPECT_NE(source("d", id), "none") << id;
}

TEST_F(ReindexApiTest, EachSliceTakesItsDocumentsInOrder) {
    fill("a", 40);
    const Response response = call("POST", "/_reindex?slices=4", R"({"max_docs":8,
        "source":{"index":"a","sort":{"n":"desc"}},"dest":{"index":"b"}})");
    EXPECT_EQ(at(response.body, "created"), "8") << response.body;
    for (const char* id : {"40", "39", "30", "29", "20", "19", "10", "9"})
        EXPECT_NE(source("b", id), "none") << id;
}

TEST_F(ReindexApiTest, WritesBackInOrder) {
    fill("a", 10);
    EXPECT_EQ(
        at(call("POST", "/a/_delete_by_query?sort=n:desc&max_docs=4&scroll_size=1&q=kind:*").body,
           "deleted"),
        "4");
    EXPECT_EQ(node.store->count("a"), 6u);
    EXPECT_NE(source("a", "6"), "none");
    node.pipelines->put("mark", R"({"processors":[{"set":{"field":"n","value":0}}]})");
    const Response response =
        call("POST", "/a/_update_by_query?sort=n&max_docs=2&pipeline=mark&scroll_size=1");
    EXPECT_EQ(at(response.body, "updated"), "2") << response.body;
    EXPECT_THAT(source("a", "2"), HasSubstr("\"n\":0"));
    EXPECT_THAT(source("a", "3"), HasSubstr("\"n\":3"));
}

TEST_F(ReindexApiTest, GoesOnInOrderAfterARestart) {
    fill("a", 200);
    const std::string id =
        begin("/_reindex?wait_for_completion=false&requests_per_second=100",
              R"({"source":{"index":"a","size":10,"sort":{"n":"desc"}},"dest":{"index":"b"}})");
    while (at(call("GET", "/_tasks/" + id).body, "task.status.created") == "0")
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    node.tasks->stop(std::chrono::seconds(30));
    start();
    EXPECT_LT(node.store->count("b"), 200u);
    EXPECT_NE(source("b", "200"), "none");
    EXPECT_EQ(source("b", "1"), "none");
    resume_reindex_tasks(node);
    call("POST", "/_reindex/" + id + "/_rethrottle?requests_per_second=-1");
    const Response response = call("GET", "/_tasks/" + id + "?wait_for_completion");
    EXPECT_EQ(at(response.body, "response.total"), "200") << response.body;
    EXPECT_EQ(at(response.body, "response.created"), "200") << response.body;
    EXPECT_EQ(node.store->count("b"), 200u);
}

TEST_F(ReindexApiTest, AnOrderByScoreDoesNotGoOnAfterARestart) {
    fill("a", 200);
    const std::string id =
        begin("/_reindex?wait_for_completion=false&requests_per_second=100",
              R"({"source":{"index":"a","size":10,"query":{"match":{"kind":"even"}},
                  "sort":"_score"},"dest":{"index":"b"}})");
    while (at(call("GET", "/_tasks/" + id).body, "task.status.created") == "0")
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    node.tasks->stop(std::chrono::seconds(30));
    start();
    resume_reindex_tasks(node);
    EXPECT_THAT(at(call("GET", "/_tasks/" + id + "?wait_for_completion").body, "error.reason"),
                HasSubstr("documents are sorted by their score, which changes with the index"));
}

TEST_F(ReindexApiTest, WhatCannotGoOnFailsWithItsReason) {
    fill("a", 200);
    const std::string id = begin("/_reindex?wait_for_completion=false&requests_per_second=1",
                                 R"({"source":{"index":"a","size":10},"dest":{"index":"b"}})");
    node.tasks->stop(std::chrono::seconds(30));
    start();
    node.indices->remove("a");
    resume_reindex_tasks(node);
    const Response response = call("GET", "/_tasks/" + id + "?wait_for_completion");
    EXPECT_EQ(at(response.body, "completed"), "true");
    EXPECT_THAT(at(response.body, "error.reason"), HasSubstr("no such index [a]"));
}

TEST_F(ReindexApiTest, ListsTasks) {
    const Response nodes = call("GET", "/_tasks");
    EXPECT_THAT(nodes.body, HasSubstr("cluster:monitor/tasks/lists"));
    EXPECT_EQ(at(nodes.body, "nodes." + node.id + ".transport_address"), "\"127.0.0.1:9200\"");
    EXPECT_EQ(at(call("GET", "/_tasks?group_by=none").body, "tasks.0.type"), "\"transport\"");
    EXPECT_EQ(call("GET", "/_tasks?group_by=x").status, 400);
    EXPECT_EQ(call("GET", "/_tasks?actions=none").body, R"({"nodes":{}})");
    EXPECT_EQ(call("GET", "/_tasks?nodes=other").body, R"({"nodes":{}})");
    EXPECT_EQ(call("POST", "/_tasks/_cancel?actions=unknown_action").body, R"({"nodes":{}})");
}

TEST_F(ReindexApiTest, TasksThatAreNotThere) {
    EXPECT_EQ(call("GET", "/_tasks/x").status, 400);
    EXPECT_THAT(reason(call("GET", "/_tasks/x")), HasSubstr("malformed task id x"));
    const Response own = call("GET", "/_tasks/" + node.id + ":99");
    EXPECT_EQ(own.status, 404);
    EXPECT_THAT(reason(own), HasSubstr("isn't running and hasn't stored its results"));
    EXPECT_THAT(
        reason(call("GET", "/_tasks/foo:1")),
        HasSubstr("task [foo:1] belongs to the node [foo] which isn't part of the cluster"));
    EXPECT_THAT(call("POST", "/_tasks/foo:1/_cancel").body, HasSubstr("node_failures"));
    EXPECT_EQ(call("POST", "/_reindex/foo:1/_rethrottle").status, 400) << "needs a rate";
    EXPECT_EQ(call("GET", "/_reindex/foo:1").status, 404);
}

// ---- the index of results

class TasksIndexTest : public ReindexApiTest {
  protected:
    TasksIndexTest() {
        node.compat.major = 7;
        add_document_routes(router, node);
        add_bulk_routes(router, node);
        add_index_routes(router, node);
        add_search_routes(router, node);
        fill("a", 4);
    }
    /// The id of a task that has ended.
    std::string copy(const std::string& parameters = {}) {
        const std::string id = begin("/_reindex?wait_for_completion=false" + parameters, kCopy);
        EXPECT_EQ(call("GET", "/_tasks/" + id + "?wait_for_completion").status, 200);
        return id;
    }
    std::string count(const std::string& target, std::string body = {}) {
        const Response response = call("POST", target, std::move(body));
        EXPECT_EQ(response.status, 200) << response.body;
        return at(response.body, "count");
    }
};

TEST_F(TasksIndexTest, HasWhatTasksEndedWith) {
    EXPECT_EQ(call("GET", "/.tasks/_search").status, 404);
    call("POST", "/_reindex?slices=2", kCopy);
    EXPECT_EQ(call("GET", "/.tasks/_search").status, 404) << "who waits has the answer";
    const std::string id = copy("&slices=5");
    const Response found = call("GET", "/.tasks/_search?rest_total_hits_as_int=true");
    EXPECT_EQ(at(found.body, "hits.total"), "1") << found.body;
    EXPECT_EQ(at(found.body, "hits.hits.0._id"), "\"" + id + "\"");
    const Response document = call("GET", "/.tasks/_doc/" + id);
    const Response task = call("GET", "/_tasks/" + id);
    EXPECT_EQ(at(document.body, "_source.completed"), "true") << document.body;
    EXPECT_EQ(at(document.body, "_source.task"), at(task.body, "task"));
    EXPECT_EQ(at(document.body, "_source.response"), at(task.body, "response"));
    EXPECT_EQ(at(document.body, "_source.response.slices.4.slice_id"), "4");
    EXPECT_EQ(at(document.body, "_source.error"), "absent");
    EXPECT_EQ(count("/.tasks/_count",
                    R"({"query":{"term":{"task.action":"indices:data/write/reindex"}}})"),
              "1");
    EXPECT_EQ(count("/.tasks/_count", R"({"query":{"match":{"task.description":"from"}}})"), "1");
    const Response several =
        call("POST", "/_mget", R"({"docs":[{"_index":".tasks","_id":")" + id + R"("}]})");
    EXPECT_EQ(at(several.body, "docs.0.found"), "true");
}

TEST_F(TasksIndexTest, HasTheErrorOfATaskThatCouldNotGoOn) {
    fill("a", 200);
    const std::string id = begin("/_reindex?wait_for_completion=false&requests_per_second=1",
                                 R"({"source":{"index":"a","size":10},"dest":{"index":"b"}})");
    node.tasks->stop(std::chrono::seconds(30));
    EXPECT_FALSE(node.indices->exists(".tasks")) << "it has not ended";
    start();
    node.indices->remove("a");
    resume_reindex_tasks(node);
    call("GET", "/_tasks/" + id + "?wait_for_completion");
    const Response document = call("GET", "/.tasks/_doc/" + id);
    EXPECT_THAT(at(document.body, "_source.error.reason"), HasSubstr("no such index [a]"));
    EXPECT_EQ(at(document.body, "_source.response"), "absent");
}

TEST_F(TasksIndexTest, IsMetByThoseWhoLookForIt) {
    copy();
    EXPECT_EQ(count("/_count"), "8");
    EXPECT_EQ(count("/_all,b/_count"), "8");
    EXPECT_EQ(count("/*s/_count"), "0");
    EXPECT_EQ(count("/_count?expand_wildcards=open,hidden"), "9");
    EXPECT_EQ(count("/*s/_count?expand_wildcards=all"), "1");
    EXPECT_EQ(count("/.t*/_count"), "1");
    EXPECT_EQ(count("/.*,a,-.tasks/_count"), "4");
    for (const char* target : {"/_mapping", "/_settings", "/_stats", "/_alias", "/*"})
        EXPECT_THAT(call("GET", target).body, testing::Not(HasSubstr(".tasks"))) << target;
    EXPECT_THAT(call("GET", "/_mapping?expand_wildcards=all").body, HasSubstr(".tasks"));
    EXPECT_THAT(call("GET", "/_stats?expand_wildcards=hidden").body, HasSubstr(".tasks"));
    EXPECT_THAT(call("GET", "/.tasks/_settings?flat_settings").body,
                HasSubstr(R"("index.hidden":"true")"));
    EXPECT_THAT(call("POST", "/_msearch",
                     "{\"index\":\"*s\",\"expand_wildcards\":[\"open\",\"hidden\"]}\n{}\n{}\n{}\n")
                    .body,
                HasSubstr(R"("_index":".tasks")"));
}

TEST_F(TasksIndexTest, IsChangedByNobodyElse) {
    call("PUT", "/_index_template/all",
         R"({"index_patterns":["*"],"template":{"mappings":{"properties":{"x":{"type":"ip"}}}}})");
    node.pipelines->put("moves", R"({"processors":[{"set":{"field":"_index","value":".tasks"}}]})");
    const auto refused = [&](const std::string& method, const std::string& target,
                             const std::string& body) {
        const Response response = call(method, target, body);
        EXPECT_EQ(response.status, 403) << target << ": " << response.body;
        EXPECT_THAT(response.body, HasSubstr("index [.tasks] is kept by the server itself"));
    };
    for (const bool there : {false, true}) {
        if (there) copy();
        EXPECT_EQ(node.indices->exists(".tasks"), there);
        refused("PUT", "/.tasks/_doc/1", "{}");
        refused("POST", "/.tasks/_update/1", R"({"doc":{}})");
        refused("DELETE", "/.tasks/_doc/1", "");
        refused("PUT", "/a/_doc/1?pipeline=moves", "{}");
        refused("POST", "/_reindex", R"({"source":{"index":"a"},"dest":{"index":".tasks"}})");
        EXPECT_EQ(at(call("POST", "/_bulk", "{\"index\":{\"_index\":\".tasks\"}}\n{}\n").body,
                     "items.0.index.status"),
                  "403");
        EXPECT_THAT(call("POST", "/_reindex",
                         R"({"source":{"index":"a"},"dest":{"index":"c","pipeline":"moves"}})")
                        .body,
                    HasSubstr("is kept by the server itself"));
        EXPECT_EQ(call("PUT", "/.tasks", "").status, 400);
        EXPECT_EQ(call("PUT", "/.other", "").status, 400);
        EXPECT_EQ(call("PUT", "/.other/_doc/1", "{}").status, 400);
        EXPECT_THAT(reason(call("PUT", "/a/_alias/.tasks", "")),
                    HasSubstr("the server itself keeps an index of this name"));
    }
    refused("PUT", "/.tasks/_settings", R"({"index":{"x":1}})");
    refused("PUT", "/.tasks/_mapping", R"({"properties":{"x":{"type":"ip"}}})");
    refused("PUT", "/.t*/_alias/mine", "");
    refused("POST", "/.tasks/_update_by_query", "");
    refused("POST", "/.t*/_delete_by_query", R"({"query":{"match_all":{}}})");
    EXPECT_THAT(call("GET", "/.tasks/_mapping").body, testing::Not(HasSubstr("\"ip\"")));
    EXPECT_EQ(
        at(call("POST", "/_reindex", R"({"source":{"index":".tasks"},"dest":{"index":"kept"}})")
               .body,
           "created"),
        "1");
}

TEST_F(TasksIndexTest, IsDeletedAndMadeAgain) {
    const std::string first = copy();
    EXPECT_EQ(call("DELETE", "/*").status, 200);
    EXPECT_TRUE(node.indices->exists(".tasks"));
    EXPECT_EQ(call("DELETE", "/*?expand_wildcards=all").status, 200);
    EXPECT_EQ(call("HEAD", "/.tasks").status, 404);
    EXPECT_EQ(call("GET", "/_tasks/" + first).status, 200) << "of its record";
    fill("a", 4);
    copy();
    EXPECT_EQ(count("/.tasks/_count"), "1");
    EXPECT_EQ(call("DELETE", "/.tasks").status, 200);
}

TEST_F(TasksIndexTest, LosesWhatIsKeptNoLonger) {
    start(2);
    const std::string first = copy();
    const std::string second = copy();
    copy();
    EXPECT_EQ(count("/.tasks/_count"), "2");
    EXPECT_EQ(call("GET", "/.tasks/_doc/" + first).status, 404);
    EXPECT_EQ(call("GET", "/_tasks/" + first).status, 404);
    EXPECT_EQ(call("GET", "/.tasks/_doc/" + second).status, 200);
    start(1);
    EXPECT_EQ(count("/.tasks/_count"), "1") << "a start looks too";
}

/// A server that reads from itself, over its own port.
class ReindexRemoteTest : public ReindexApiTest {
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
