#include <atomic>
#include <thread>

#include "processors/builtin.h"
#include "processors/deployment_directory.h"
#include "tests/unit/serve/fixture.h"
#include "tests/unit/serve/raw_http.h"
#include "tools/serve/http_server.h"
#include "tools/serve/json_body.h"
#include "tools/serve/stats_json.h"
#include "tools/serve/text_table.h"

namespace penstock::serve {
namespace {

void expect_has(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in " << text;
}

class ClusterApi : public ServeFixture {
  protected:
    ClusterApi() {
        node.publish_address = "127.0.0.1:9200";
        inference::ModelStoreOptions options;
        options.roots = {directory / "models"};
        node.models = std::make_shared<inference::ModelStore>(std::move(options));
        node.deployments = std::make_shared<inference::Deployments>(node.models, 8);
        processors::add_builtin(catalog, std::make_shared<processors::DeploymentDirectory>(
                                             node.deployments, std::set<std::string>{}));
        node.catalog = &catalog;
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog);
        node.now = [] { return std::chrono::system_clock::time_point(std::chrono::seconds(3661)); };
        add_cluster_routes(router, node);
        add_cat_routes(router, node);
    }

    std::string body(int status, const std::string& method, const std::string& target,
                     std::string text = {}) {
        const Response response = call(method, target, std::move(text));
        EXPECT_EQ(response.status, status) << target << ": " << response.body;
        return response.body;
    }
    std::string get(const std::string& target) { return body(200, "GET", target); }
    void put_document(const std::string& index) {
        node.indices->create(index, "");
        io::WriteItem item;
        item.id = "1";
        item.source = R"({"a":1})";
        std::vector<io::ItemResult> results;
        node.store->bulk(index, {&item, 1}, results);
    }

    pipeline::Catalog catalog;
};

TEST_F(ClusterApi, Health) {
    node.indices->create("logs", "");
    const std::string health = get("/_cluster/health?wait_for_status=yellow&timeout=1s");
    expect_has(health, R"("status":"green","timed_out":false)");
    expect_has(health, R"("active_primary_shards":1)");
    expect_has(get("/_cluster/health/logs?level=indices"), R"("indices":{"logs":{)");
    expect_has(get("/_cluster/health/none?timeout=20ms"), R"("status":"red")");
    expect_has(get("/_cluster/health?wait_for_nodes=%3E%3D2"), R"("timed_out":true)");
    expect_has(get("/_cluster/health?wait_for_nodes=ge(1)"), R"("timed_out":false)");
    body(400, "GET", "/_cluster/health?wait_for_status=blue");
}

TEST_F(ClusterApi, HealthThatDoesNotComeInTime) {
    const std::string late = "/_cluster/health?timeout=20ms&wait_for_active_shards=4";
    node.indices->create("logs", R"({"settings":{"number_of_shards":3}})");
    expect_has(get(late), R"("timed_out":true)");
    node.compat.major = 7;
    expect_has(body(408, "GET", late), R"("timed_out":true)");
    expect_has(get(late + "&return_200_for_cluster_health_timeout=true"), R"("timed_out":true)");
    node.indices->create("more", "");
    expect_has(get(late), R"("timed_out":false)");
    expect_has(get("/_cluster/health?wait_for_active_shards=all"), R"("timed_out":false)");
    body(400, "GET", "/_cluster/health?wait_for_active_shards=most");
}

TEST_F(ClusterApi, HealthOfShards) {
    node.indices->create("logs", R"({"settings":{"number_of_shards":3}})");
    node.indices->create("shut", "");
    node.indices->set_closed("shut", true);
    expect_has(get("/_cluster/health"), R"("active_primary_shards":4)");
    expect_has(get("/_cluster/health?expand_wildcards=closed"), R"("active_primary_shards":1)");
    expect_has(get("/_cluster/health/logs?level=shards"),
               R"("2":{"status":"green","primary_active":true,"active_shards":1,)");
    EXPECT_EQ(get("/_cluster/health?level=indices").find("primary_active"), std::string::npos);
    expect_has(get("/_cat/indices?h=index,status"), "shut close");
    expect_has(get("/_cat/indices/logs?h=index,pri,rep"), "logs 3 0");
    expect_has(get("/_cat/health?h=status,shards,pri"), "green 4 4");
    expect_has(get("/_cluster/stats?filter_path=indices.shards"), R"("primaries":4)");
}

TEST_F(ClusterApi, NodesTellOfTheirIndices) {
    put_document("logs");
    node.indices->activity().add("logs", {.indexed = 4, .searches = 2});
    const std::string stats = get("/_nodes/stats");
    expect_has(stats, R"("indexing":{"index_total":4,)");
    expect_has(stats, R"("query_total":2,)");
    expect_has(stats, R"("published_cluster_states":{)");
    const std::string docs = get("/_nodes/stats/indices/docs");
    expect_has(docs, R"("indices":{"docs":{"count":1,)");
    EXPECT_EQ(docs.find("indexing"), std::string::npos) << docs;
    expect_has(get("/_nodes/stats/indices?level=indices"), R"("indices":{"logs":{"docs":)");
    expect_has(body(400, "GET", "/_nodes/stats/indicse"), "did you mean [indices]?");
}

TEST_F(ClusterApi, DeletingByPatternIsASettingOfTheCluster) {
    const std::string setting = R"("action.destructive_requires_name")";
    EXPECT_FALSE(node.indices->names_to_delete());
    body(200, "PUT", "/_cluster/settings", R"({"persistent":{)" + setting + R"(:false}})");
    EXPECT_EQ(node.indices->names_to_delete(), std::optional(false));
    body(200, "PUT", "/_cluster/settings", R"({"persistent":{)" + setting + R"(:null}})");
    EXPECT_FALSE(node.indices->names_to_delete());
}

TEST_F(ClusterApi, HowLongScrollsMayLiveIsASettingOfTheCluster) {
    const auto put = [&](int status, const std::string& value) {
        return body(status, "PUT", "/_cluster/settings",
                    R"({"transient":{"search.max_keep_alive":)" + value + "}}");
    };
    put(200, R"("2m")");
    EXPECT_EQ(node.search_settings->max_keep_alive.load(), std::chrono::minutes(2));
    for (const char* wrong : {R"("long")", "-1", "0"})
        expect_has(put(400, wrong), "failed to parse setting [search.max_keep_alive]");
    put(200, "null");
    EXPECT_EQ(node.search_settings->max_keep_alive.load(), std::chrono::hours(24));
}

TEST_F(ClusterApi, PipelinesThatNobodyHasUsedListTheirProcessors) {
    node.pipelines->put("called", R"({"processors":[{"remove":{"field":"a"}}]})");
    node.pipelines->put("idle", R"({"processors":[{"set":{"tag":"t","field":"a","value":2}},
        {"pipeline":{"name":"called"}}]})");
    const std::string stats = get("/_nodes/stats/ingest");
    expect_has(stats, R"("idle":{"count":0,)");
    expect_has(stats, R"("processors":[{"remove":{"type":"remove","stats":{"count":0,)");
    expect_has(stats, R"("processors":[{"set:t":{"type":"set","stats":{"count":0,)");
    expect_has(stats, R"({"pipeline":{"type":"pipeline","stats":{"count":0,)");
}

TEST_F(ClusterApi, ADamagedIndexIsRedAndTheRestIsTold) {
    put_document("good");
    put_document("bad");
    damage("bad");
    const std::string health = get("/_cluster/health?level=indices");
    expect_has(health, R"("status":"red","timed_out":false)");
    expect_has(health, R"("active_primary_shards":1)");
    expect_has(health, R"("unassigned_shards":1)");
    expect_has(health, R"("active_shards_percent_as_number":50.0)");
    expect_has(health, R"("bad":{"status":"red")");
    expect_has(health, R"("good":{"status":"green")");
    expect_has(get("/_cluster/health/good"), R"("status":"green")");
    expect_has(get("/_cluster/health?wait_for_status=yellow&timeout=20ms"),
               R"("status":"red","timed_out":true)");
    get("/_cluster/health?wait_for_status=red");
    expect_has(get("/_nodes/stats/indices"), R"("docs":{"count":1)");
    expect_has(get("/_cluster/stats"),
               R"("status":"red","indices":{"count":2,"shards":{"total":1)");
    EXPECT_EQ(get("/_cat/indices?h=health,index,docs.count&s=index"),
              "red   bad   \ngreen good 1\n");
    EXPECT_EQ(get("/_cat/indices?h=index&health=red"), "bad\n");
    EXPECT_EQ(get("/_cat/indices?h=index&health=green"), "good\n");
    EXPECT_EQ(get("/_cat/health?h=status,shards,unassign,active_shards_percent"),
              "red 1 1 50.0%\n");
    expect_has(get("/metrics"), "penstock_indices_damaged 1.0\n");
}

TEST_F(ClusterApi, HealthWaitsForAnIndex) {
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        node.indices->create("late", "");
    });
    expect_has(get("/_cluster/health/late?timeout=20s"), R"("status":"green")");
    later.join();
}

TEST_F(ClusterApi, WhoWaitsIsCutWhenTheServerStops) {
    HttpOptions options;
    options.port = 0;
    HttpServer server(runtime, options, budget, make_dispatch(router, node));
    server.start();
    RawHttp raw;
    std::vector<RawHttp::tcp::socket> open;
    for (const std::string path :
         {"/_cluster/health/nope?timeout=1h", "/_nodes/hot_threads?interval=60s"}) {
        open.push_back(raw.connect(server.port()));
        RawHttp::send(open.back(), "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    while (server.stats().received_bytes < 100)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(server.stop(std::chrono::milliseconds(100)));
}

TEST_F(ClusterApi, ProbesAreForAnyone) {
    Request request;
    request.method = "GET";
    for (const char* path : {"/_health", "/_health/live", "/_health/ready"}) {
        request.path = path;
        EXPECT_TRUE(router.is_public(request)) << path;
        get(path);
    }
    request.path = "/metrics";
    EXPECT_FALSE(router.is_public(request));
}

TEST_F(ClusterApi, TellsWhatHttpDoes) {
    node.http = [] { return HttpStats{3, 40, 2, 500, 60, 7, 8000, 9000}; };
    expect_has(get("/_nodes/stats/http"),
               R"("http":{"current_open":3,"total_opened":40,"refused":2,"requests":500,)"
               R"("client_errors":60,"server_errors":7,"received_in_bytes":8000,)"
               R"("sent_in_bytes":9000})");
    const std::string metrics = get("/metrics");
    expect_has(metrics, "\npenstock_http_connections 3.0\n");
    expect_has(metrics, "\npenstock_http_connections_total 40.0\n");
    expect_has(metrics, "\npenstock_http_connections_refused_total 2.0\n");
    expect_has(metrics, "\npenstock_http_requests_total 500.0\n");
    expect_has(metrics, "\npenstock_http_errors_total{status=\"4xx\"} 60.0\n");
    expect_has(metrics, "\npenstock_http_errors_total{status=\"5xx\"} 7.0\n");
    expect_has(metrics, "\npenstock_http_received_bytes_total 8000.0\n");
    expect_has(metrics, "\npenstock_request_memory_refusals_total 0.0\n");
}

TEST_F(ClusterApi, SettingsAreKept) {
    const std::string changed =
        body(200, "PUT", "/_cluster/settings",
             R"({"persistent":{"a.b":{"c":5},"a.d":true},"transient":{"x":"y"}})");
    EXPECT_EQ(changed, R"({"acknowledged":true,"persistent":{"a":{"b":{"c":"5"},"d":"true"}},)"
                       R"("transient":{"x":"y"}})");
    EXPECT_EQ(get("/_cluster/settings?flat_settings=true"),
              R"({"persistent":{"a.b.c":"5","a.d":"true"},"transient":{"x":"y"}})");
    body(200, "PUT", "/_cluster/settings", R"({"persistent":{"a.*":null},"transient":{"x":null}})");
    EXPECT_EQ(get("/_cluster/settings"), R"({"persistent":{},"transient":{}})");
    body(400, "PUT", "/_cluster/settings", R"({"permanent":{}})");
    std::string deep = "a";
    for (int i = 0; i < 200'000; ++i)
        deep += ".a";
    body(400, "PUT", "/_cluster/settings", R"({"transient":{")" + deep + R"(":1}})");
    body(400, "PUT", "/_cluster/settings", R"({"transient":{"action.auto_create_index":"-"}})");
    body(200, "PUT", "/_cluster/settings", R"({"transient":{"action.auto_create_index":false}})");
    EXPECT_THROW(node.indices->create_for_write("late"), ApiError);
    body(200, "PUT", "/_cluster/settings", R"({"transient":{"action.auto_create_index":null}})");
    node.indices->create_for_write("late");
}

TEST_F(ClusterApi, NodesInfo) {
    const std::string info = get("/_nodes");
    expect_has(info, R"("_nodes":{"total":1,"successful":1,"failed":0})");
    expect_has(info, R"("roles":["data","ingest","master","ml"])");
    expect_has(info, R"("publish_address":"127.0.0.1:9200")");
    expect_has(info, R"({"type":"set"})");
    expect_has(get("/_nodes/plugins"), R"("modules":[{"name":"ingest-common","version":")" +
                                           node.compat.number() + R"(","elasticsearch_version":")");
    expect_has(info, R"("classname":"org.elasticsearch.ingest.useragent.IngestUserAgentPlugin",)"
                     R"("extended_plugins":[],"has_native_controller":false,"licensed":false,)"
                     R"("is_official":true}])");
    const std::string http = get("/_nodes/http");
    expect_has(http, R"("http":{)");
    EXPECT_EQ(http.find("\"ingest\":{"), std::string::npos);
    expect_has(get("/_nodes/_all/ingest"), R"("processors":[)");
    expect_has(get("/_nodes/other"), R"("total":0)");
    expect_has(body(400, "GET", "/_nodes/_all/colour"), "unrecognized metric: [colour]");
}

TEST_F(ClusterApi, IngestStatistics) {
    node.pipelines->put("p", R"({"processors":[{"set":{"field":"a","value":1,"tag":"t"}}]})");
    node.pipelines->find("p");
    const std::string stats = get("/_nodes/stats/ingest");
    expect_has(stats, R"("ingest":{"total":{"count":0,"time_in_millis":0,"current":0,"failed":0},)"
                      R"("pipelines":{"p":{"count":0,)");
    expect_has(stats, R"("processors":[{"set:t":{"type":"set","stats":{"count":0,)");
    EXPECT_EQ(stats.find("\"jvm\""), std::string::npos);
    expect_has(get("/_nodes/" + node.id + "/stats"), R"("process":{)");
    expect_has(get("/_cluster/stats"), R"("processor_stats":{"set":{"count":0)");
    body(400, "GET", "/_nodes/stats/colour");
}

TEST_F(ClusterApi, TotalCountsADocumentOnce) {
    pipeline::PipelineStatistics outer;
    outer.id = "outer";
    outer.count = 10;
    outer.failed = 3;
    outer.processors.push_back({"pipeline", "", 8, 0, 2, 0});
    pipeline::PipelineStatistics inner;
    inner.id = "inner";
    inner.count = 9;  // once on its own
    inner.failed = 2;
    const auto total = ingest_total({outer, inner});
    EXPECT_EQ(total.count, 11U);
    EXPECT_EQ(total.failed, 3U);
}

TEST_F(ClusterApi, HotThreadsAreMeasured) {
    std::atomic<bool> stop = false;
    std::thread busy([&] {
        while (!stop) {
        }
    });
    const std::string text = get("/_nodes/hot_threads?interval=200ms&threads=1");
    stop = true;
    busy.join();
    expect_has(text, "interval=200ms, busiestThreads=1");
    expect_has(text, "cpu usage by thread");
    body(400, "GET", "/_nodes/hot_threads?type=wait");
}

TEST_F(ClusterApi, LicenceAndFeatures) {
    expect_has(get("/_license"), R"("status":"active")");
    expect_has(get("/_xpack"), R"("mode":"basic")");
}

TEST_F(ClusterApi, Metrics) {
    node.pipelines->put("p\"q", R"({"processors":[{"set":{"field":"a","value":1}}]})");
    const Response response = call("GET", "/metrics");
    EXPECT_TRUE(response.content_type.starts_with("text/plain; version=0.0.4"));
    expect_has(response.body,
               "# TYPE penstock_ingest_documents_total counter\n"
               "penstock_ingest_documents_total 0.0\n");
    expect_has(response.body, R"(penstock_pipeline_documents_total{pipeline="p\"q"} 0.0)");
    expect_has(response.body, "process_resident_memory_bytes ");
    expect_has(response.body, "penstock_request_memory_limit_bytes ");
}

TEST_F(ClusterApi, Probes) {
    EXPECT_EQ(get("/_health"), R"({"status":"live"})");
    EXPECT_EQ(get("/_health/live"), R"({"status":"live"})");
    EXPECT_EQ(get("/_health/ready"), R"({"status":"ready"})");
}

// ---- tables

TEST_F(ClusterApi, CatIndices) {
    put_document("logs");
    put_document("events");
    EXPECT_EQ(get("/_cat/indices?v&h=index,dc&s=index:desc"), "index  dc\nlogs    1\nevents  1\n");
    EXPECT_EQ(get("/_cat/indices/l*?format=json&h=i,health"), R"([{"i":"logs","health":"green"}])");
    expect_has(get("/_cat/indices?help"), "docs.count");
    body(404, "GET", "/_cat/indices/none");
    body(400, "GET", "/_cat/indices?s=colour");
    body(400, "GET", "/_cat/indices?bytes=x");
    EXPECT_EQ(get("/_cat/indices?health=red"), "");
}

TEST_F(ClusterApi, CatOthers) {
    put_document("logs");
    node.indices->put_alias("logs", "all", R"({"is_write_index":true})");
    expect_has(get("/_cat"), "=^.^=\n/_cat/aliases\n");
    EXPECT_EQ(get("/_cat/count"), "3661 01:01:01 1\n");
    EXPECT_EQ(get("/_cat/health"), "3661 01:01:01 penstock green 1 1 1 1 0 0 0 0 0 - 100.0%\n");
    EXPECT_EQ(get("/_cat/aliases"), "all logs - - - true\n");
    EXPECT_EQ(get("/_cat/nodes?h=ip,role,m,n"), "127.0.0.1 dilm * penstock\n");
    EXPECT_EQ(get("/_cat/plugins"), "");
    EXPECT_EQ(get("/_cat/tasks"), "");
}

TEST(TextTable, UnitsAndAlignment) {
    TextTable table({{"name", {"n"}, "the name"}, {"size", {}, "bytes", true}});
    table.add({"ä", TextCell::bytes(1536)});
    table.add({"long", TextCell::bytes(10)});
    Request request;
    EXPECT_EQ(table.respond(request).body, "ä    1.5kb\nlong   10b\n");
    request.query.set("bytes", "b");
    request.query.set("s", "size");
    EXPECT_EQ(table.respond(request).body, "long   10\nä    1536\n");
    request.query.set("help", "");
    EXPECT_EQ(table.respond(request).body, "name | n | the name\nsize |   | bytes\n");
}

}  // namespace
}  // namespace penstock::serve
