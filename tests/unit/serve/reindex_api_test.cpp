#include "tests/unit/serve/reindex_fixture.h"

#include <thread>

#include "tools/serve/reindex_job.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;

class ReindexApiTest : public ReindexFixture {};

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

}  // namespace
}  // namespace penstock::serve
