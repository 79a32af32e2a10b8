// Requests of _update_by_query and _delete_by_query as clients write them.
#include <gmock/gmock.h>

#include "engine/job/task_manager.h"
#include "processors/builtin.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/reindex_job.h"
#include "tools/serve/task_json.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kAll = R"({"query":{"match_all":{}}})";

class ByQueryTest : public ServeFixture {
  protected:
    ByQueryTest() {
        processors::add_builtin(catalog_);
        node.catalog = &catalog_;
        node.publish_address = "127.0.0.1:9200";
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_);
        node.tasks = std::make_shared<job::TaskManager>(
            job::TaskManagerOptions{.directory = directory / "tasks"});
        add_task_routes(router, node);
        add_reindex_routes(router, node);
        node.indices->create("trees", "");
        for (const char* name : {"oak", "ash", "elm"}) {
            const std::string source = std::string(R"({"name":")") + name + R"(","age":3})";
            io::WriteItem item;
            item.id = name;
            item.source = source;
            std::vector<io::ItemResult> results;
            node.store->bulk("trees", std::span(&item, 1), results);
        }
    }
    ~ByQueryTest() override { node.tasks->stop(std::chrono::seconds(30)); }

    std::string ask(const std::string& target, int status, const std::string& body = kAll) {
        const Response response = call("POST", target, body);
        EXPECT_EQ(response.status, status) << response.body;
        return response.body;
    }

    pipeline::Catalog catalog_;
};

TEST_F(ByQueryTest, SizeIsAnOldNameOfMaxDocs) {
    const Response response = call("POST", "/trees/_update_by_query?size=2", "");
    EXPECT_THAT(response.body, HasSubstr(R"("updated":2)"));
    EXPECT_THAT(ask("/trees/_update_by_query", 200, R"({"size":1})"), HasSubstr(R"("updated":1)"));
    EXPECT_THAT(ask("/trees/_delete_by_query?size=1", 200), HasSubstr(R"("deleted":1)"));
    EXPECT_THAT(ask("/trees/_delete_by_query?size=1&max_docs=2", 400),
                HasSubstr("[max_docs] set to two different values [1] and [2]"));
}

/// What is written since is a conflict of what a search has found.
TEST_F(ByQueryTest, SeesWhatSearchesSee) {
    node.indices->put_settings("trees", R"({"index":{"refresh_interval":"-1"}})");
    const std::string source = R"({"name":"oak","age":4})";
    io::WriteItem item;
    item.id = "oak";
    item.source = source;
    std::vector<io::ItemResult> results;
    node.store->bulk("trees", std::span(&item, 1), results);
    item.id = "yew";
    node.store->bulk("trees", std::span(&item, 1), results);
    EXPECT_THAT(ask("/_reindex", 200, R"({"source":{"index":"trees"},"dest":{"index":"copy"}})"),
                HasSubstr(R"("total":3)"));
    EXPECT_EQ(node.store->get("copy", "oak")->source, R"({"name":"oak","age":3})");
    EXPECT_THAT(ask("/trees/_delete_by_query?conflicts=proceed&refresh", 200),
                AllOf(HasSubstr(R"("total":3)"), HasSubstr(R"("version_conflicts":1)"),
                      HasSubstr(R"("deleted":2)")));
    EXPECT_THAT(ask("/trees/_update_by_query?refresh", 200, ""), HasSubstr(R"("updated":2)"));
    node.store->bulk("trees", std::span(&item, 1), results);
    EXPECT_THAT(ask("/trees/_update_by_query", 409, ""), HasSubstr("[yew]: version conflict"));
    node.store->refresh("trees");
    EXPECT_THAT(ask("/trees/_delete_by_query?slices=2", 200), HasSubstr(R"("deleted":2)"));
}

TEST_F(ByQueryTest, NumbersThatAreNoneAreNamed) {
    EXPECT_THAT(ask("/trees/_delete_by_query?scroll_size=many", 400),
                HasSubstr("Failed to parse int parameter [scroll_size] with value [many]"));
    EXPECT_THAT(ask("/trees/_update_by_query?max_docs=few", 400),
                HasSubstr("Failed to parse int parameter [max_docs] with value [few]"));
}

TEST_F(ByQueryTest, WhatASearchHasBesideIsRefusedOrChangesNothing) {
    EXPECT_THAT(ask("/trees/_update_by_query", 400, R"({"stored_fields":["name"]})"),
                HasSubstr("stored_fields is not supported in this context"));
    EXPECT_THAT(ask("/trees/_update_by_query", 400, R"({"leaves":{}})"),
                HasSubstr("Unknown key for a START_OBJECT in [leaves]."));
    EXPECT_THAT(ask("/trees/_update_by_query?request_cache=true&preference=_local&stats=a", 200,
                    R"({"_source":["name"],"query":{"term":{"name.keyword":"oak"}}})"),
                HasSubstr(R"("updated":1)"));
    EXPECT_EQ(node.store->get("trees", "oak")->source, R"({"name":"oak","age":3})");
}

TEST_F(ByQueryTest, LenientQueriesFindNothingWhereValuesCannotBe) {
    EXPECT_THAT(ask("/trees/_delete_by_query?q=age:old&lenient=true", 200, ""),
                HasSubstr(R"("deleted":0)"));
}

TEST_F(ByQueryTest, IsRethrottledByThePathOfAnyOfThem) {
    const std::string begun =
        ask("/trees/_delete_by_query?wait_for_completion=false&scroll_size=1&"
            "requests_per_second=0.001",
            200);
    const std::size_t at = begun.find(":\"") + 2;
    const std::string task = begun.substr(at, begun.find('"', at) - at);
    EXPECT_THAT(ask("/_reindex/" + task + "/_rethrottle?requests_per_second=-1", 200, ""),
                HasSubstr(R"("requests_per_second":-1)"));
    EXPECT_THAT(call("GET", "/_tasks/" + task + "?wait_for_completion=true").body,
                AllOf(HasSubstr(R"("completed":true)"), HasSubstr(R"("deleted":3)")));
}

}  // namespace
}  // namespace penstock::serve
