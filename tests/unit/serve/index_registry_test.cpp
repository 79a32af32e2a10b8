// Indices, their metadata and templates, through the API and over restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/runtime/error.h"
#include "tests/unit/serve/fixture.h"

namespace penstock::serve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class IndexApi : public ServeFixture {
  protected:
    IndexApi() {
        node.compat.major = 7;
        add_index_routes(router, node);
    }
    void put(const std::string& index, const std::string& source) {
        io::WriteItem item;
        item.id = "1";
        item.source = source;
        std::vector<io::ItemResult> results;
        node.store->bulk(index, std::span(&item, 1), results);
    }
    std::string refusal(int status, const std::string& method, const std::string& target,
                        const std::string& body = {}) {
        const Response response = call(method, target, body);
        EXPECT_EQ(response.status, status) << response.body;
        return response.body;
    }
};

TEST_F(IndexApi, CreatesShowsAndDeletes) {
    EXPECT_EQ(call("PUT", "/a",
                   R"({"settings":{"number_of_shards":3,"index.x.y":"z"},)"
                   R"("mappings":{"properties":{"k":{"type":"keyword"}}},)"
                   R"("aliases":{"al":{}}})")
                  .body,
              R"({"acknowledged":true,"shards_acknowledged":true,"index":"a"})");
    EXPECT_THAT(refusal(400, "PUT", "/a"), HasSubstr("resource_already_exists_exception"));
    EXPECT_THAT(refusal(400, "PUT", "/Upper"),
                HasSubstr("Invalid index name [Upper], must be low"));
    EXPECT_THAT(refusal(400, "PUT", "/al"), HasSubstr("already exists as alias"));
    EXPECT_THAT(refusal(400, "PUT", "/b", R"({"foo":1})"), HasSubstr("unknown key [foo]"));
    EXPECT_THAT(refusal(400, "PUT", "/b", R"({"settings":{"number_of_shards":0}})"),
                HasSubstr("must be >= 1"));
    EXPECT_THAT(refusal(400, "PUT", "/b", R"({"mappings":{"properties":{"k":{"type":"no"}}}})"),
                HasSubstr("No handler for type [no] declared on field [k]"));
    EXPECT_EQ(call("HEAD", "/a").status, 200);
    EXPECT_EQ(call("HEAD", "/b").status, 404);
    const std::string shown = call("GET", "/a").body;
    EXPECT_THAT(shown, HasSubstr(R"("aliases":{"al":{}})"));
    EXPECT_THAT(shown, HasSubstr(R"("number_of_shards":"3")"));
    EXPECT_THAT(shown, HasSubstr(R"("x":{"y":"z"})"));
    EXPECT_THAT(shown, HasSubstr(R"("k":{"type":"keyword"})"));
    open();
    EXPECT_THAT(call("GET", "/a/_settings?flat_settings=true").body,
                HasSubstr(R"("index.number_of_shards":"3")"));
    EXPECT_EQ(call("DELETE", "/a").body, R"({"acknowledged":true})");
    EXPECT_THAT(refusal(404, "DELETE", "/a"), HasSubstr("no such index [a]"));
    EXPECT_EQ(call("DELETE", "/a?ignore_unavailable=true").status, 200);
    node.compat.major = 9;
    EXPECT_THAT(refusal(400, "DELETE", "/*"), HasSubstr("Wildcard expressions"));
}

TEST_F(IndexApi, ExpandsNames) {
    for (const char* index : {"a1", "a2", "b1"})
        node.indices->create(index, "");
    node.indices->put_alias("b1", "ax", "{}");
    EXPECT_THAT(node.indices->expand("a*"), ElementsAre("a1", "a2", "b1"));
    EXPECT_THAT(node.indices->expand("a*,-a2"), ElementsAre("a1", "b1"));
    EXPECT_THAT(node.indices->expand(""), ElementsAre("a1", "a2", "b1"));
    EXPECT_THAT(node.indices->expand("ax,a1"), ElementsAre("a1", "b1"));
    EXPECT_THROW(node.indices->expand("c"), ApiError);
    EXPECT_THAT(node.indices->expand("c,a1", {.ignore_unavailable = true}), ElementsAre("a1"));
    EXPECT_THAT(node.indices->expand("c*"), IsEmpty());
    EXPECT_THROW(node.indices->expand("c*", {.allow_no_indices = false}), ApiError);
}

TEST_F(IndexApi, SettingsAndMappingsChange) {
    call("PUT", "/a");
    put("a", R"({"t":"words","n":1,"f":0.5,"b":true,"o":{"d":"2024-01-01"}})");
    EXPECT_EQ(call("GET", "/a/_mapping").body,
              R"({"a":{"mappings":{"properties":{"t":{"type":"text","fields":{"keyword":)"
              R"({"type":"keyword","ignore_above":256}}},"o":{"properties":{"d":{"type":"date"}}},)"
              R"("n":{"type":"long"},"f":{"type":"float"},"b":{"type":"boolean"}}}}})");
    EXPECT_EQ(call("PUT", "/a/_mapping", R"({"properties":{"v":{"type":"dense_vector","dims":3}}})")
                  .status,
              200);
    EXPECT_EQ(node.store->info("a").vector_fields.at(0).dims, 3U);
    EXPECT_THAT(refusal(400, "PUT", "/a/_mapping", R"({"properties":{"v":{"type":"text"}}})"),
                HasSubstr("cannot be changed from type [dense_vector] to [text]"));
    EXPECT_EQ(call("PUT", "/a/_settings", R"({"index":{"default_pipeline":"p"}})").status, 200);
    EXPECT_EQ(node.indices->write_target("a").default_pipeline, "p");
    call("PUT", "/a/_settings", R"({"index.default_pipeline":null})");
    EXPECT_EQ(node.indices->write_target("a").default_pipeline, "");
    EXPECT_THAT(refusal(400, "PUT", "/a/_settings", R"({"number_of_shards":9})"),
                HasSubstr("non dynamic"));
}

TEST_F(IndexApi, VectorFieldsOfBothProducts) {
    call("PUT", "/a",
         R"({"mappings":{"properties":{"e":{"type":"dense_vector","dims":4,)"
         R"("similarity":"dot_product"},"k":{"properties":{"o":{"type":"knn_vector",)"
         R"("dimension":5,"method":{"name":"hnsw","space_type":"cosinesimil"}}}}}}})");
    const auto fields = node.store->info("a").vector_fields;
    ASSERT_EQ(fields.size(), 2U);
    EXPECT_EQ(fields[0].similarity, io::Similarity::dot_product);
    EXPECT_EQ(fields[1].field, "k.o");
    EXPECT_EQ(fields[1].dims, 5U);
    EXPECT_EQ(fields[1].similarity, io::Similarity::cosine);
}

TEST_F(IndexApi, Aliases) {
    call("PUT", "/a");
    call("PUT", "/b");
    EXPECT_EQ(call("POST", "/_aliases",
                   R"({"actions":[{"add":{"indices":["a","b"],"alias":"al"}},)"
                   R"({"add":{"index":"a","alias":"f","filter":{"term":{"x":1}}}}]})")
                  .body,
              R"({"acknowledged":true})");
    EXPECT_THROW(node.indices->write_target("al"), ApiError);
    EXPECT_THROW(node.indices->single("al"), ApiError);
    call("PUT", "/b/_alias/al", R"({"is_write_index":true})");
    EXPECT_EQ(node.indices->write_target("al").index, "b");
    EXPECT_TRUE(node.indices->write_target("al", true).through_alias);
    EXPECT_THROW(node.indices->write_target("a", true), ApiError);
    EXPECT_THAT(node.indices->filters("f", "a"), ElementsAre(R"({"term":{"x":1}})"));
    EXPECT_THAT(node.indices->filters("f,a", "a"), IsEmpty());
    EXPECT_EQ(call("GET", "/_alias/f").body,
              R"({"a":{"aliases":{"f":{"filter":{"term":{"x":1}}}}}})");
    EXPECT_EQ(call("GET", "/_alias/none").body, R"({"error":"alias [none] missing","status":404})");
    EXPECT_EQ(call("HEAD", "/a/_alias/f").status, 200);
    EXPECT_EQ(call("DELETE", "/a/_alias/f").status, 200);
    EXPECT_THAT(refusal(404, "DELETE", "/a/_alias/f"), HasSubstr("aliases [f] missing"));
    EXPECT_THAT(refusal(400, "PUT", "/a/_alias/b"), HasSubstr("invalid_alias_name_exception"));
    open();
    EXPECT_EQ(node.indices->write_target("al").index, "b");
}

/// All actions or none: an alias that moves is never gone, and one bad action undoes the others.
TEST_F(IndexApi, AliasActionsAreDoneTogether) {
    call("PUT", "/a", R"({"aliases":{"live":{}}})");
    call("PUT", "/b");
    const auto actions = [&](int status, const std::string& list) {
        return refusal(status, "POST", "/_aliases", R"({"actions":[)" + list + "]}");
    };
    const std::string move = R"({"remove":{"index":"a","alias":"live"}},)";
    actions(404, move + R"({"add":{"index":"none","alias":"live"}})");
    actions(404, move + R"({"remove":{"index":"b","alias":"none"}})");
    actions(400, move + R"({"add":{"index":"b","alias":"b"}})");
    actions(400, move + R"({"add":{"index":"b","alias":"live","nonsense":1}})");
    EXPECT_THAT(actions(400, move + R"({"add":{"index":"b","alias":"x","filter":{"nope":{}}}})"),
                HasSubstr("failed to parse filter for alias [x]"));
    EXPECT_THAT(node.indices->expand("live"), ElementsAre("a"));
    // While one thread moves the alias to and fro, it always leads to one index.
    std::atomic<bool> stop = false;
    std::atomic<int> wrong = 0;
    std::thread reader([&] {
        while (!stop)
            wrong += node.indices->expand("live").size() == 1 ? 0 : 1;
    });
    for (int i = 0; i < 20; ++i) {
        const std::string from = i % 2 == 0 ? "a" : "b";
        const std::string to = i % 2 == 0 ? "b" : "a";
        actions(200, R"({"remove":{"index":")" + from + R"(","alias":"live"}},{"add":{"index":")" +
                         to + R"(","alias":"live"}})");
    }
    stop = true;
    reader.join();
    EXPECT_EQ(wrong, 0);
    // An index may be replaced by an alias of its name.
    actions(200, R"({"remove_index":{"index":"a"}},{"add":{"index":"b","alias":"a"}})");
    EXPECT_THAT(node.indices->expand("a"), ElementsAre("b"));
    EXPECT_THAT(actions(400, R"({"remove_index":{"index":"a"}})"), HasSubstr("matches an alias"));
}

TEST_F(IndexApi, ADamagedIndexHarmsNoOther) {
    call("PUT", "/bad", R"({"aliases":{"lost":{}}})");
    call("PUT", "/good", R"({"aliases":{"al":{}}})");
    damage("bad");
    EXPECT_THAT(node.indices->expand("good"), ElementsAre("good"));
    EXPECT_THAT(node.indices->expand("al,go*"), ElementsAre("good"));
    EXPECT_EQ(node.indices->write_target("al").index, "good");
    EXPECT_FALSE(node.indices->write_target("fresh").exists);
    EXPECT_EQ(call("PUT", "/fresh").status, 200);
    EXPECT_EQ(call("GET", "/_alias/al").body, R"({"good":{"aliases":{"al":{}}}})");
    EXPECT_THROW(node.indices->metadata("bad"), StorageError);
    const std::string stats = call("GET", "/_stats").body;
    EXPECT_THAT(stats, HasSubstr(R"("_shards":{"total":3,"successful":2,"failed":1})"));
    EXPECT_THAT(stats, HasSubstr(R"("good":{"uuid":)"));
    EXPECT_THAT(stats, Not(HasSubstr(R"("bad")")));
    EXPECT_EQ(call("DELETE", "/bad").status, 200) << "so that it can be built again";
    EXPECT_EQ(call("PUT", "/bad").status, 200);
}

TEST_F(IndexApi, NamesOfAliasesKeepToTheRules) {
    call("PUT", "/a");
    for (const char* name : {"A*b", "A b", "-A", "a%2Cb", "_A", "A,c"}) {
        EXPECT_THAT(refusal(400, "PUT", std::string("/a/_alias/") + name),
                    HasSubstr("invalid_alias_name_exception"))
            << name;
    }
    EXPECT_EQ(call("PUT", "/a/_alias/Capital").status, 200);
    EXPECT_THAT(refusal(400, "PUT", "/b", R"({"aliases":{"x":{"filter":{"nope":1}}}})"),
                HasSubstr("failed to parse filter for alias [x]"));
    EXPECT_EQ(call("HEAD", "/b").status, 404);
}

TEST_F(IndexApi, ExpressionsHaveALimit) {
    call("PUT", "/a");
    std::string many = "a";
    while (many.size() < 16'000)
        many += ",a,a*";
    EXPECT_THAT(node.indices->expand(many), ElementsAre("a"));
    EXPECT_THROW(node.indices->expand(many + many), ApiError);
    EXPECT_THAT(node.indices->expand("a*,-a,a*"), ElementsAre("a"));
}

TEST_F(IndexApi, FieldAliasesLeadToFields) {
    const auto put_field = [&](int status, const std::string& name, const std::string& path) {
        return refusal(
            status, "PUT", "/a/_mapping",
            R"({"properties":{")" + name + R"(":{"type":"alias","path":")" + path + "\"}}}");
    };
    call("PUT", "/a",
         R"({"mappings":{"properties":{"t":{"type":"text","fields":)"
         R"({"raw":{"type":"keyword"}}},"f":{"type":"flattened"},"o":{"properties":)"
         R"({"x":{"type":"long"}}}}}})");
    put("a", R"({"brought":1,"words":"some"})");
    put_field(200, "a1", "t");
    put_field(200, "a2", "t.raw");
    put_field(200, "a3", "o.x");
    put_field(200, "a4", "f.any");
    put_field(200, "a5", "brought");
    put_field(200, "a6", "words.keyword");
    EXPECT_THAT(put_field(400, "b", "b"),
                HasSubstr("Invalid [path] value [b] for field alias [b]: an alias cannot refer to "
                          "itself."));
    EXPECT_THAT(put_field(400, "b", "a1"), HasSubstr("an alias cannot refer to another alias."));
    EXPECT_THAT(put_field(400, "b", "none"),
                HasSubstr("an alias must refer to an existing field in the mappings."));
    EXPECT_THAT(put_field(400, "b", "o"), HasSubstr("must refer to an existing field"));
    const std::string circle = R"("mappings":{"properties":{"x":{"type":"alias","path":"y"},)"
                               R"("y":{"type":"alias","path":"x"}}})";
    refusal(400, "PUT", "/b", "{" + circle + "}");
    refusal(400, "PUT", "/_template/t", R"({"index_patterns":["*"],)" + circle + "}");
    refusal(400, "PUT", "/_index_template/t",
            R"({"index_patterns":["*"],"template":{)" + circle + "}}");
    EXPECT_THAT(refusal(400, "PUT", "/b", R"({"mappings":{"properties":{"x":{"type":"alias"}}}})"),
                HasSubstr("The [path] property must be specified for field [x]."));
}

std::string wide_mappings(int fields) {
    std::string properties;
    for (int i = 0; i < fields; ++i)
        properties += (i > 0 ? ",\"f" : "\"f") + std::to_string(i) + R"(":{"type":"keyword"})";
    return R"({"properties":{)" + properties + "}}";
}

TEST_F(IndexApi, MappingsHaveALimitOfFields) {
    const std::string body = R"({"mappings":)" + wide_mappings(1001);
    EXPECT_THAT(refusal(400, "PUT", "/a", body + "}"),
                HasSubstr("Limit of total fields [1000] has been exceeded"));
    EXPECT_EQ(
        call("PUT", "/a", body + R"(,"settings":{"mapping.total_fields.limit":1500}})").status,
        200);
    EXPECT_THAT(refusal(400, "PUT", "/a/_mapping", wide_mappings(1501)), HasSubstr("[1500]"));
    EXPECT_EQ(call("PUT", "/a/_mapping", wide_mappings(1500)).status, 200);
    refusal(400, "PUT", "/_index_template/t",
            R"({"index_patterns":["x"],"template":)" + body + "}}");
}

TEST_F(IndexApi, WarnsOfWhatMappingsAskForInVain) {
    const auto warnings = [&](const std::string& properties) {
        call("DELETE", "/a");
        const Response response =
            call("PUT", "/a", R"({"mappings":{"properties":{)" + properties + "}}}");
        EXPECT_EQ(response.status, 200) << response.body;
        std::string all;
        for (const auto& [name, value] : response.headers)
            all += name + ": " + value + "\n";
        return all;
    };
    EXPECT_EQ(warnings(R"("a":{"type":"date","format":"strict_date_optional_time||epoch_millis"},)"
                       R"("b":{"type":"keyword","store":true})"),
              "");
    EXPECT_EQ(warnings(R"("a":{"type":"date","format":"epoch_second"},)"
                       R"("b\"":{"type":"keyword","ignore_above":8},)"
                       R"("c":{"properties":{"d":{"type":"keyword","ignore_above":8}}})"),
              "Warning: 299 Elasticsearch-" + node.compat.number() +
                  "-unknown \"the mapping option [format: epoch_second] has no effect here; it is "
                  "set for [a]\"\n"
                  "Warning: 299 Elasticsearch-" +
                  node.compat.number() +
                  "-unknown \"the mapping option [ignore_above] has no effect here; it is set for "
                  "[b\\\", c.d]\"\n");
    EXPECT_THAT(refusal(400, "PUT", "/x",
                        R"({"mappings":{"properties":{"v":{"type":"dense_vector",)"
                        R"("element_type":"bit"}}}})"),
                HasSubstr("[element_type] [bit] of field [v] is not supported"));
}

TEST_F(IndexApi, TemplatesShapeNewIndices) {
    EXPECT_EQ(call("PUT", "/_component_template/c",
                   R"({"template":{"settings":{"number_of_replicas":0}}})")
                  .status,
              200);
    EXPECT_EQ(call("PUT", "/_index_template/t",
                   R"({"index_patterns":["log-*"],"priority":5,"composed_of":["c"],"template":)"
                   R"({"settings":{"default_pipeline":"p"},"aliases":{"logs":{}},)"
                   R"("mappings":{"properties":{"m":{"type":"keyword"}}}}})")
                  .status,
              200);
    call("PUT", "/_template/old", R"({"index_patterns":["*"],"settings":{"number_of_shards":7}})");
    EXPECT_EQ(node.indices->write_target("log-1").default_pipeline, "p");
    node.indices->create("log-1", "");
    const std::string shown = call("GET", "/log-1").body;
    EXPECT_THAT(shown, HasSubstr(R"("aliases":{"logs":{}})"));
    EXPECT_THAT(shown, HasSubstr(R"("number_of_replicas":"0")"));
    EXPECT_THAT(shown, HasSubstr(R"("m":{"type":"keyword"})"));
    EXPECT_THAT(shown, Not(HasSubstr(R"("number_of_shards":"7")")));
    node.indices->create("other", "");
    EXPECT_THAT(call("GET", "/other").body, HasSubstr(R"("number_of_shards":"7")"));
    open();
    EXPECT_THAT(call("GET", "/_index_template/t").body, HasSubstr(R"("name":"t")"));
    EXPECT_EQ(call("HEAD", "/_index_template/t").status, 200);
    EXPECT_EQ(call("DELETE", "/_index_template/t").status, 200);
    EXPECT_EQ(call("GET", "/_index_template/t").status, 404);
    EXPECT_EQ(call("GET", "/_template/none").status, 404);
    EXPECT_THAT(refusal(400, "PUT", "/_index_template/x", R"({"template":{}})"),
                HasSubstr("index patterns are missing"));
}

TEST_F(IndexApi, MaintenanceAndStatistics) {
    call("PUT", "/a");
    put("a", R"({"x":1})");
    EXPECT_EQ(call("POST", "/a/_refresh").body,
              R"({"_shards":{"total":1,"successful":1,"failed":0}})");
    EXPECT_EQ(call("POST", "/_flush").status, 200);
    EXPECT_EQ(call("POST", "/a/_forcemerge?max_num_segments=1").status, 200);
    EXPECT_THAT(call("GET", "/a/_stats").body, HasSubstr(R"("docs":{"count":1)"));
    EXPECT_EQ(
        call("POST", "/a/_close").body,
        R"({"acknowledged":true,"shards_acknowledged":true,"indices":{"a":{"closed":true}}})");
    EXPECT_EQ(call("POST", "/none/_refresh").status, 404);
}

TEST_F(IndexApi, KnowsWhatOthersMade) {
    put("cli", R"({"x":1})");
    const auto metadata = node.indices->metadata("cli");
    ASSERT_TRUE(metadata);
    EXPECT_EQ(metadata->uuid.size(), 22U);
    open();
    EXPECT_EQ(node.indices->metadata("cli")->uuid, metadata->uuid);
    EXPECT_FALSE(node.indices->metadata("none"));
    EXPECT_FALSE(node.indices->write_target("none").exists);
}

}  // namespace
}  // namespace penstock::serve
