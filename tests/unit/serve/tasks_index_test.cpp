#include "tests/unit/serve/reindex_fixture.h"

#include "tools/serve/reindex_job.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;

class TasksIndexTest : public ReindexFixture {
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

}  // namespace
}  // namespace penstock::serve
