// New fields that templates of the mappings say the type of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "processors/builtin.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/routed_sink.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class DynamicTemplatesTest : public ServeFixture {
  protected:
    DynamicTemplatesTest() {
        processors::add_builtin(catalog_);
        node.catalog = &catalog_;
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_);
        add_document_routes(router, node);
        add_bulk_routes(router, node);
    }

    /// `rest`: further members of the mappings.
    void map(const std::string& templates, const std::string& rest = "") {
        node.indices->create("i", R"({"mappings":{"dynamic_templates":[)" + templates + "]" +
                                      (rest.empty() ? "" : "," + rest) + "}}");
    }
    Response put(const std::string& id, const std::string& source) {
        return call("PUT", "/i/_doc/" + id, source);
    }
    /// What is mapped by now.
    std::string properties() {
        const JsonTree mappings = JsonTree::parse(node.indices->metadata("i")->mappings);
        const JsonTree* properties = mappings.find("properties");
        return properties == nullptr ? "{}" : properties->json();
    }

    pipeline::Catalog catalog_;
};

TEST_F(DynamicTemplatesTest, TheFirstThatFitsCounts) {
    map(R"({"ids":{"match":"*_id","match_mapping_type":"string","mapping":{"type":"keyword"}}},)"
        R"({"counts":{"match":["n_*","count"],"unmatch":"*_text","mapping":{"type":"integer"}}},)"
        R"({"deep":{"path_match":"geo.*.lat","mapping":{"type":"double"}}},)"
        R"({"coded":{"match_pattern":"regex","match":"c\\d+","mapping":{"type":"short"}}},)"
        R"({"never":{"mapping":{"type":"boolean"}}},)"
        R"({"copied":{"match":"as_is","mapping":{"fields":{"{name}_raw":{"type":"{dynamic_type}"}}}}})");
    const std::string source =
        R"({"user_id":"u1","x_id":7,"n_a":1,"n_a_text":"w","count":"3","other":"x",)"
        R"("geo":[{"home":{"lat":1,"lon":2}},{"work":{"lat":3}}],"c12":4,"c1x":5,"as_is":2,)"
        R"("none":null,"empty":[]})";
    EXPECT_EQ(put("1", source).status, 201);
    EXPECT_EQ(
        properties(),
        R"({"user_id":{"type":"keyword"},"n_a":{"type":"integer"},"count":{"type":"integer"},)"
        R"("geo":{"properties":{"home":{"properties":{"lat":{"type":"double"}}},)"
        R"("work":{"properties":{"lat":{"type":"double"}}}}},"c12":{"type":"short"},)"
        R"("as_is":{"fields":{"as_is_raw":{"type":"long"}},"type":"long"}})");
    EXPECT_EQ(call("GET", "/i/_source/1").body, source);
    EXPECT_THAT(put("2", R"({"n_a":"many"})").body,
                HasSubstr("failed to parse field [n_a] of type [integer]"));
}

/// What cannot be read is refused when it is put, not with every document.
TEST_F(DynamicTemplatesTest, AreReadWhenTheyArePut) {
    const std::string wrong = R"({"dynamic_templates":{"a":{"mapping":{}}}})";
    try {
        node.indices->create("i", R"({"mappings":)" + wrong + "}");
        FAIL();
    } catch (const ApiError& error) {
        EXPECT_EQ(error.status(), 400);
        EXPECT_THAT(error.reason(), HasSubstr("An array of named objects is expected"));
    }
    node.indices->create("i", "");
    EXPECT_THROW(node.indices->put_mappings("i", wrong), ApiError);
    // As an earlier version kept them.
    node.store->set_attributes("i", {{"mappings", wrong}});
    node.indices = std::make_shared<IndexRegistry>(node.store);
    EXPECT_EQ(put("1", R"({"n":1})").status, 201);
}

TEST_F(DynamicTemplatesTest, TypesAreThoseOfTheValues) {
    std::string templates;
    for (const char* type : {"string", "long", "double", "boolean", "date", "object"})
        templates += (templates.empty() ? "" : ",") + std::string(R"({")") + type +
                     R"(":{"match_mapping_type":")" + type + R"(","mapping":{"meta":{"t":")" +
                     type + R"("}}}})";
    map(templates);
    EXPECT_EQ(
        put("1", R"({"s":["a"],"l":1,"d":1.5,"b":true,"at":"2024-05-31","o":{"s.t":"x"}})").status,
        201);
    EXPECT_EQ(
        properties(),
        R"({"s":{"meta":{"t":"string"},"type":"text"},"l":{"meta":{"t":"long"},"type":"long"},)"
        R"("d":{"meta":{"t":"double"},"type":"float"},)"
        R"("b":{"meta":{"t":"boolean"},"type":"boolean"},)"
        R"("at":{"meta":{"t":"date"},"type":"date"},"o":{"meta":{"t":"object"},)"
        R"("type":"object","properties":{"s":{"meta":{"t":"object"},"type":"object",)"
        R"("properties":{"t":{"meta":{"t":"string"},"type":"text"}}}}}})");
}

TEST_F(DynamicTemplatesTest, WhatIsMappedStaysAsItIs) {
    node.indices->create("i", "{}");
    put("1", R"({"old":"x"})");
    node.indices->put_mappings(
        "i", R"({"dynamic_templates":[{"all":{"match":"*","mapping":{"type":"keyword"}}}],)"
             R"("properties":{"mine":{"type":"text"},"off":{"dynamic":"false","properties":{}}}})");
    put("2", R"({"old":"y","mine":"z","off":{"a":"b"},"fresh":"w"})");
    EXPECT_EQ(properties(), R"({"mine":{"type":"text"},"off":{"dynamic":"false","properties":{}},)"
                            R"("fresh":{"type":"keyword"}})");
}

TEST_F(DynamicTemplatesTest, FieldsMayBeTakenOnlyWithATemplate) {
    const std::string words =
        R"({"words":{"match":"w_*","match_mapping_type":"string","mapping":{"type":"keyword"}}})";
    map(words, R"("dynamic":"strict_allow_templates","properties":{"t":{"type":"text"}})");
    EXPECT_EQ(put("1", R"({"t":"a","w_1":"b"})").status, 201);
    const Response refused = put("2", R"({"w_2":"c","x":1})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body,
                AllOf(HasSubstr("strict_dynamic_mapping_exception"),
                      HasSubstr("mapping set to strict_allow_templates, dynamic introduction of "
                                "[x] within [_doc] is not allowed")));
    EXPECT_THAT(properties(), AllOf(HasSubstr("w_1"), Not(HasSubstr("w_2"))));
    node.indices->create("lax", R"({"mappings":{"dynamic":"false_allow_templates",)"
                                R"("dynamic_templates":[)" +
                                    words + "]}}");
    EXPECT_EQ(call("PUT", "/lax/_doc/1", R"({"w_1":"b","x":{"w_2":"c"}})").status, 201);
    EXPECT_THAT(node.indices->metadata("lax")->mappings,
                AllOf(HasSubstr("w_1"), Not(HasSubstr("w_2"))));
}

TEST_F(DynamicTemplatesTest, ABulkMayNameThem) {
    map(R"({"code":{"mapping":{"type":"keyword"}}})");
    const std::string answer =
        call("POST", "/i/_bulk",
             R"({"index":{"_id":"1","dynamic_templates":{"lang":"code"}}})"
             "\n"
             R"({"lang":"en"})"
             "\n"
             R"({"index":{"_id":"2","dynamic_templates":{"place":"nowhere"}}})"
             "\n"
             R"({"place":"here"})"
             "\n"
             R"({"index":{"_id":"3","dynamic_templates":{"box":"code"}}})"
             "\n"
             R"({"box.lid":"shut"})"
             "\n"
             R"({"index":{"_id":"4","dynamic_templates":{"box.lid":"code","lang":"gone"}}})"
             "\n"
             R"({"box.lid":"shut","lang":"fr"})"
             "\n")
            .body;
    EXPECT_THAT(answer, AllOf(HasSubstr(R"("_id":"1","_version":1,"result":"created")"),
                              HasSubstr("Can't find dynamic template for dynamic template name "
                                        "[nowhere] of field [place]"),
                              HasSubstr("failed to parse field [box] of type [keyword] in document "
                                        "with id '3'. Preview of field's value: '{lid=shut}'"),
                              HasSubstr(R"("_id":"4","_version":1,"result":"created")")));
    EXPECT_EQ(properties(), R"({"lang":{"type":"keyword"},)"
                            R"("box":{"properties":{"lid":{"type":"keyword"}}}})");
}

TEST_F(DynamicTemplatesTest, WhatLiesVeryDeepIsNotMapped) {
    map(R"({"numbers":{"match_mapping_type":"long","mapping":{"type":"short"}}})");
    std::string name = "a";
    for (int i = 0; i < 200'000; ++i)
        name += ".a";
    put("1", "{\"" + name + "\":1,\"n\":1}");
    EXPECT_EQ(properties(), R"({"n":{"type":"short"}})");
}

TEST_F(DynamicTemplatesTest, LongNamesAreNotMapped) {
    map(R"({"numbers":{"match_mapping_type":"long","mapping":{"type":"short"}}})");
    put("1", "{\"" + std::string(100'000, 'a') + R"(":1,"n":1})");
    EXPECT_EQ(properties(), R"({"n":{"type":"short"}})");
}

TEST_F(DynamicTemplatesTest, ListsOfObjectsTakeNoLongerThanTheyAreLong) {
    map(R"({"objects":{"match":"o","mapping":{"dynamic":true,"properties":{"k":{"type":"long"}}}}},)"
        R"({"numbers":{"match_mapping_type":"long","mapping":{"type":"short"}}})",
        R"("properties":{"known":{"properties":{}}})");
    const auto list = [](int count) {
        std::string objects;
        for (int i = 0; i < count; ++i)
            objects +=
                std::string(i == 0 ? "" : ",") + R"({"p":{"a)" + std::to_string(i) + R"(":1}})";
        return R"({"o":[)" + objects + R"(],"known":[)" + objects + "]}";
    };
    EXPECT_EQ(put("1", list(2)).status, 201);
    const std::string inner =
        R"("p":{"properties":{"a0":{"type":"short"},"a1":{"type":"short"}}}})";
    EXPECT_EQ(properties(), R"({"known":{"properties":{)" + inner +
                                R"(},"o":{"dynamic":true,"properties":{"k":{"type":"long"},)" +
                                inner + R"(,"type":"object"}})");
    const Response refused = put("2", list(20'000));
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body, HasSubstr("Limit of total fields [1000] has been exceeded"));
}

TEST_F(DynamicTemplatesTest, UpdatesMapToo) {
    map(R"({"all":{"match":"*","mapping":{"type":"keyword"}}})");
    call("POST", "/i/_update/1", R"({"doc":{"a":"b"},"doc_as_upsert":true})");
    call("POST", "/i/_update/1", R"({"doc":{"c":"d"}})");
    EXPECT_EQ(properties(), R"({"a":{"type":"keyword"},"c":{"type":"keyword"}})");
}

TEST_F(DynamicTemplatesTest, DocumentsOfAReindexMapToo) {
    map(R"({"words":{"match":"w_*","mapping":{"type":"keyword"}}})",
        R"("dynamic":"strict_allow_templates")");
    const auto sink = make_routed_sink(io::open_sink({.location = "index:i", .store = node.store}),
                                       *node.indices, "i", "", false);
    std::vector<io::WriteItem> items(3);
    items[0] = {.index = "i", .id = "1", .source = R"({"w_1":"a"})"};
    items[1] = {.index = "i", .id = "2", .source = R"({"x":"b"})"};
    items[2] = {.op = io::WriteOp::remove, .index = "i", .id = "3"};
    std::vector<io::ItemResult> results;
    sink->write(items, results);
    EXPECT_EQ(results[0].status, 201);
    EXPECT_EQ(results[1].status, 400);
    EXPECT_THAT(results[1].error_reason, HasSubstr("dynamic introduction of [x]"));
    EXPECT_EQ(results[2].status, 404);
    EXPECT_EQ(properties(), R"({"w_1":{"type":"keyword"}})");
}

}  // namespace
}  // namespace penstock::serve
