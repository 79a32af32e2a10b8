// What requests about indices may say, and in which form they are answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/serve/fixture.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class IndicesOverHttp : public ServeFixture {
  protected:
    IndicesOverHttp() { add_index_routes(router, node); }

    std::string ask(int status, const std::string& method, const std::string& target,
                    const std::string& body = {}) {
        const Response response = call(method, target, body);
        EXPECT_EQ(response.status, status) << method << " " << target << ": " << response.body;
        return response.body;
    }
    std::string get(const std::string& target) { return ask(200, "GET", target); }
};

TEST_F(IndicesOverHttp, DottedNamesOfFieldsAreFieldsOfObjects) {
    ask(200, "PUT", "/trips", R"({"mappings":{"properties":{"from.city":{"type":"keyword"}}}})");
    ask(200, "PUT", "/trips/_mapping",
        R"({"properties":{"from.land":{"type":"keyword"},"to.land":{"type":"text"}}})");
    EXPECT_EQ(get("/trips/_mapping"),
              R"({"trips":{"mappings":{"properties":{"from":{"properties":{"city":)"
              R"({"type":"keyword"},"land":{"type":"keyword"}}},"to":{"properties":{"land":)"
              R"({"type":"text"}}}}}}})");
    EXPECT_THAT(ask(400, "PUT", "/other",
                    R"({"mappings":{"properties":{"a":{"type":"long"},"a.b":{"type":"long"}}}})"),
                HasSubstr("can't merge a non object mapping [a]"));
    ask(200, "PUT", "/flat",
        R"({"mappings":{"subobjects":false,"properties":{"a.b":{"type":"long"}}}})");
    EXPECT_THAT(get("/flat/_mapping"), HasSubstr(R"("properties":{"a.b":{"type":"long"}})"));
}

TEST_F(IndicesOverHttp, FieldsHaveNames) {
    for (const char* name : {"", " ", "a..b", ".a", "a."}) {
        const std::string mappings =
            R"({"properties":{")" + std::string(name) + R"(":{"type":"long"}}})";
        EXPECT_THAT(ask(400, "PUT", "/a", R"({"mappings":)" + mappings + "}"),
                    AllOf(HasSubstr("mapper_parsing_exception"),
                          HasSubstr(R"("caused_by":{"type":"illegal_argument_exception")")))
            << name;
    }
}

/// "a.a.a"
std::string parts(int count) {
    std::string name = "a";
    for (int i = 1; i < count; ++i)
        name += ".a";
    return name;
}

/// One field of that name.
std::string mapping_of(const std::string& name) {
    return R"({"properties":{")" + name + R"(":{"type":"long"}}})";
}

TEST_F(IndicesOverHttp, ObjectsOfMappingsAreNotDeeperThanTheLimit) {
    const auto reason = [](int limit) {
        return "Limit of mapping depth [" + std::to_string(limit) +
               "] has been exceeded due to object field [" + parts(limit) + "]";
    };
    ask(200, "PUT", "/i", R"({"mappings":)" + mapping_of(parts(20)) + "}");
    for (const int count : {21, 500, 200'000}) {
        const std::string mapping = mapping_of(parts(count));
        for (const auto& [target, body] : std::map<std::string, std::string>{
                 {"/j", R"({"mappings":)" + mapping + "}"},
                 {"/i/_mapping", mapping},
                 {"/_index_template/t",
                  R"({"index_patterns":["t"],"template":{"mappings":)" + mapping + "}}"}})
            EXPECT_THAT(ask(400, "PUT", target, body),
                        AllOf(HasSubstr("illegal_argument_exception"), HasSubstr(reason(20))));
    }
    ask(400, "PUT", "/i/_mapping", R"({"properties":{")" + parts(20) + R"(":{"properties":{}}}})");
    ask(200, "PUT", "/i/_mapping",
        R"({"properties":{"b":{"subobjects":false,"properties":{")" + parts(30) +
            R"(":{"type":"long"}}}}})");
    ask(200, "PUT", "/deep", R"({"settings":{"index.mapping.depth.limit":1000}})");
    ask(200, "PUT", "/deep/_mapping", mapping_of(parts(400)));
    EXPECT_THAT(ask(400, "PUT", "/deep/_mapping", mapping_of(parts(401))), HasSubstr(reason(400)));
    open();
    EXPECT_THAT(get("/deep/_mapping?human"), HasSubstr("long"));
}

TEST_F(IndicesOverHttp, NamesOfSettingsHaveSoManyPartsThatTheyCanBeRead) {
    for (const int count : {900, 200'000}) {
        const std::string settings = R"({")" + parts(count) + R"(":1})";
        EXPECT_THAT(
            ask(400, "PUT", "/i", R"({"settings":)" + settings + "}"),
            HasSubstr("the name of a setting has [" + std::to_string(count + 1) + "] parts"));
    }
    ask(200, "PUT", "/i", R"({"settings":{")" + parts(899) + R"(":1}})");
    open();
    EXPECT_THAT(get("/i/_settings"), HasSubstr(R"("a":"1")"));
}

TEST_F(IndicesOverHttp, MappingsAreWithoutTypes) {
    const std::string typed = R"({"_doc":{"properties":{"a":{"type":"long"}}}})";
    EXPECT_THAT(ask(400, "PUT", "/a", R"({"mappings":)" + typed + "}"),
                HasSubstr("cannot be nested under a type [_doc] unless include_type_name"));
    ask(200, "PUT", "/a?include_type_name=true", R"({"mappings":)" + typed + "}");
    EXPECT_THAT(ask(400, "PUT", "/a/_mapping", typed),
                HasSubstr("Types cannot be provided in put mapping requests\""));
    node.compat.major = 7;
    EXPECT_THAT(ask(400, "PUT", "/a/_mapping", typed),
                HasSubstr("requests, unless the include_type_name parameter is set to true."));
    ask(200, "PUT", "/a/_mapping?include_type_name=true", typed);
}

TEST_F(IndicesOverHttp, WhatIsStoredOfDocumentsDoesNotChange) {
    ask(200, "PUT", "/a",
        R"({"mappings":{"properties":{"k":{"type":"keyword","meta":{"u":"s"}}}}})");
    EXPECT_THAT(ask(400, "PUT", "/a/_mapping", R"({"_source":{"enabled":false}})"),
                HasSubstr("Cannot update parameter [enabled] from [true] to [false]"));
    ask(200, "PUT", "/a/_mapping", R"({"_source":{"mode":"synthetic"}})");
    EXPECT_THAT(ask(400, "PUT", "/a/_mapping", R"({"_source":{"mode":"stored"}})"),
                HasSubstr("Cannot update parameter [mode] from [synthetic] to [stored]"));
    ask(200, "PUT", "/a/_mapping", R"({"properties":{"k":{"type":"keyword","meta":{"v":"t"}}}})");
    EXPECT_THAT(get("/a/_mapping"), HasSubstr(R"("meta":{"v":"t"})"));
}

TEST_F(IndicesOverHttp, RoutingOfAnAlias) {
    ask(200, "PUT", "/a",
        R"({"aliases":{"both":{"routing":7},"first":{"index_routing":"i","routing":"r"},)"
        R"("last":{"routing":"r","search_routing":"s"},"writes":{"is_write_index":"true"}}})");
    EXPECT_EQ(get("/a/_alias"),
              R"({"a":{"aliases":{"both":{"index_routing":"7","search_routing":"7"},)"
              R"("first":{"index_routing":"i","search_routing":"r"},)"
              R"("last":{"search_routing":"s","index_routing":"r"},)"
              R"("writes":{"is_write_index":true}}}})");
    EXPECT_THAT(ask(400, "PUT", "/a/_alias/b", R"({"is_write_index":"maybe"})"),
                HasSubstr("Failed to parse value [maybe] of [is_write_index]"));
}

TEST_F(IndicesOverHttp, AliasesAreLeftOutOfAListByAMinus) {
    ask(200, "PUT", "/a", R"({"aliases":{"x1":{},"x2":{},"y1":{}}})");
    ask(200, "PUT", "/plain");
    EXPECT_EQ(get("/_alias/x*,-x2"), R"({"a":{"aliases":{"x1":{}}}})");
    EXPECT_EQ(get("/_alias/*,-x*,x2"), R"({"a":{"aliases":{"x2":{},"y1":{}}}})");
    EXPECT_EQ(get("/_alias/x1,*1,-*"), "{}");
    EXPECT_EQ(get("/_alias"),
              R"({"a":{"aliases":{"x1":{},"x2":{},"y1":{}}},"plain":{"aliases":{}}})");
    EXPECT_EQ(get("/_alias/*"), R"({"a":{"aliases":{"x1":{},"x2":{},"y1":{}}}})");
    EXPECT_EQ(ask(404, "GET", "/_alias/z2,z1,y1"),
              R"({"error":"aliases [z1,z2] missing","status":404,"a":{"aliases":{"y1":{}}}})");
}

TEST_F(IndicesOverHttp, NamesOfAliasesTakeDates) {
    const std::string date = "<days-{2021-05-06||/d{yyyy-MM-dd}}>";
    ask(200, "PUT", "/a", R"({"aliases":{")" + date + R"(":{}}})");
    ask(200, "HEAD", "/_alias/days-2021-05-06");
    ask(200, "POST", "/_aliases",
        R"({"actions":[{"remove":{"index":"a","alias":")" + date +
            R"("}},)"
            R"({"add":{"index":"a","alias":"<months-{2021-05||/M{yyyy-MM}}>"}}]})");
    EXPECT_EQ(get("/a/_alias"), R"({"a":{"aliases":{"months-2021-05":{}}}})");
}

TEST_F(IndicesOverHttp, OnlyWhatIsRemovedMayHaveToExist) {
    ask(200, "PUT", "/a");
    EXPECT_THAT(ask(400, "POST", "/_aliases",
                    R"({"actions":[{"add":{"index":"a","alias":"b","must_exist":true}}]})"),
                HasSubstr("[must_exist] is unsupported for [add]"));
    EXPECT_THAT(ask(404, "POST", "/_aliases",
                    R"({"actions":[{"remove":{"index":"a","alias":"b","must_exist":true}}]})"),
                HasSubstr("aliases [b] missing"));
}

TEST_F(IndicesOverHttp, TemplatesAreShownInOneForm) {
    ask(200, "PUT", "/_template/old",
        R"({"index_patterns":"o-*,p-*","settings":{"number_of_shards":2},)"
        R"("aliases":{"al":{"routing":"r"}}})");
    EXPECT_EQ(get("/_template/old?flat_settings=true"),
              R"({"old":{"order":0,"index_patterns":["o-*","p-*"],)"
              R"("settings":{"index.number_of_shards":"2"},)"
              R"("aliases":{"al":{"index_routing":"r","search_routing":"r"}},"mappings":{}}})");
    ask(200, "PUT", "/_index_template/new",
        R"({"index_patterns":"n-*","template":{"settings":{"number_of_shards":2},)"
        R"("aliases":{"al":{"routing":"r"}}}})");
    EXPECT_EQ(get("/_index_template/new"),
              R"({"index_templates":[{"name":"new","index_template":{"index_patterns":["n-*"],)"
              R"("template":{"settings":{"index":{"number_of_shards":"2"}},)"
              R"("aliases":{"al":{"index_routing":"r","search_routing":"r"}}}}}]})");
}

TEST_F(IndicesOverHttp, TemplatesThatAreNotThere) {
    ask(200, "PUT", "/_index_template/one", R"({"index_patterns":["n-*"]})");
    EXPECT_EQ(ask(404, "GET", "/_index_template/z*"), R"({"index_templates":[]})");
    EXPECT_EQ(ask(404, "GET", "/_template/z*"), "{}");
    EXPECT_EQ(get("/_template"), "{}");
    EXPECT_THAT(ask(404, "GET", "/_index_template/one,two"),
                HasSubstr("index template matching [two] not found"));
    EXPECT_THAT(ask(404, "DELETE", "/_index_template/one,two"),
                HasSubstr("index_template [two] missing"));
    EXPECT_THAT(get("/_index_template/one"), HasSubstr(R"("name":"one")"));
    ask(200, "DELETE", "/_index_template/z*");
}

TEST_F(IndicesOverHttp, AClosedIndexKeepsItsDocumentsToItself) {
    for (const char* index : {"a1", "a2"})
        ask(200, "PUT", std::string("/") + index, R"({"aliases":{"al":{}}})");
    EXPECT_EQ(
        ask(200, "POST", "/a1/_close"),
        R"({"acknowledged":true,"shards_acknowledged":true,"indices":{"a1":{"closed":true}}})");
    open();  // also after a restart
    const auto reads = ExpandOptions::for_documents();
    EXPECT_THAT(node.indices->expand("a*", reads), ElementsAre("a2"));
    EXPECT_THAT(node.indices->expand("al", {.forbid_closed = false}), ElementsAre("a1", "a2"));
    for (const char* name : {"a1", "al"})
        EXPECT_THROW(node.indices->expand(name, reads), ApiError) << name;
    ExpandOptions lenient = reads;
    lenient.ignore_unavailable = true;
    EXPECT_THAT(node.indices->expand("al,a1", lenient), ElementsAre("a2"));
    EXPECT_THROW(node.indices->write_target("a1"), ApiError);
    EXPECT_THROW(node.indices->single("a1"), ApiError);
    EXPECT_THAT(ask(400, "POST", "/a1/_refresh"), HasSubstr("index_closed_exception"));
    EXPECT_THAT(get("/_stats"), Not(HasSubstr("a1")));
    EXPECT_THAT(get("/a1/_stats?forbid_closed_indices=false"), HasSubstr(R"("status":"close")"));
    ask(200, "PUT", "/a*/_settings", R"({"refresh_interval":"9s"})");
    EXPECT_THAT(get("/a1/_settings"), HasSubstr("9s"));
    ask(200, "POST", "/a*/_open");
    EXPECT_EQ(node.indices->single("a1"), "a1");
}

TEST_F(IndicesOverHttp, PatternsReachOpenOrClosedIndices) {
    for (const char* index : {"/i-open", "/i-shut"})
        ask(200, "PUT", index);
    ask(200, "POST", "/i-shut/_close");
    const auto both = AllOf(HasSubstr("i-open"), HasSubstr("i-shut"));
    const auto one = AllOf(HasSubstr("i-open"), Not(HasSubstr("i-shut")));
    const auto other = AllOf(Not(HasSubstr("i-open")), HasSubstr("i-shut"));
    EXPECT_THAT(get("/i-*/_mapping"), one);
    EXPECT_THAT(get("/i-*/_settings"), both);
    EXPECT_THAT(get("/i-*/_mapping?expand_wildcards=all"), both);
    EXPECT_THAT(get("/i-*/_settings?expand_wildcards=closed"), other);
    EXPECT_THAT(get("/i-shut/_mapping"), other);
    EXPECT_THAT(ask(404, "GET", "/i-*/_mapping?expand_wildcards=none"), HasSubstr("no such index"));
    EXPECT_EQ(get("/i-*/_mapping?expand_wildcards=none&ignore_unavailable=true"), "{}");
    EXPECT_THAT(ask(400, "GET", "/i-*?expand_wildcards=ajar"),
                HasSubstr("No valid expand wildcard value [ajar]"));
    EXPECT_THAT(ask(400, "GET", "/_things"), HasSubstr("must not start with '_'"));
}

TEST_F(IndicesOverHttp, DeletingDoesNotReachThroughAliases) {
    node.compat.major = 7;
    ask(200, "PUT", "/kept", R"({"aliases":{"name":{}}})");
    ask(200, "PUT", "/gone");
    EXPECT_THAT(ask(400, "DELETE", "/name"), HasSubstr("matches an alias"));
    ask(200, "DELETE", "/nam*");
    ask(200, "DELETE", "/name,gone?ignore_unavailable=true");
    ask(200, "HEAD", "/kept");
    ask(404, "HEAD", "/gone");
    ask(404, "DELETE", "/nam*?allow_no_indices=false");
}

TEST_F(IndicesOverHttp, DefaultsAreShownWhenAskedFor) {
    ask(200, "PUT", "/a", R"({"settings":{"refresh_interval":"5s"}})");
    const std::string flat = get("/a/_settings?include_defaults=true&flat_settings=true");
    EXPECT_THAT(flat, AllOf(HasSubstr(R"("index.refresh_interval":"5s")"),
                            HasSubstr(R"("index.max_result_window":"10000")"),
                            Not(HasSubstr(R"("index.refresh_interval":"1s")"))));
    EXPECT_THAT(get("/a/_settings/index.max*?include_defaults=true"),
                HasSubstr(R"("defaults":{"index":{"max_result_window":"10000"}})"));
}

TEST_F(IndicesOverHttp, PartsOfAnIndexsDescription) {
    ask(200, "PUT", "/a");
    EXPECT_EQ(get("/a?features=aliases,mappings"), R"({"a":{"aliases":{},"mappings":{}}})");
    EXPECT_THAT(ask(400, "GET", "/a?features=shards"),
                HasSubstr("Invalid features specified [shards]"));
}

TEST_F(IndicesOverHttp, SomeSettingsChangeOnlyWhileTheIndexIsClosed) {
    ask(200, "PUT", "/a");
    const std::string codec = R"({"index.codec":"best_compression"})";
    EXPECT_THAT(ask(400, "PUT", "/a/_settings", codec),
                HasSubstr("Can't update non dynamic settings [[index.codec]] for open indices"));
    ask(200, "PUT", "/a/_settings?reopen=true", codec);
    EXPECT_THAT(ask(400, "PUT", "/a/_settings?reopen=true", R"({"number_of_shards":2})"),
                HasSubstr("final a setting [index.number_of_shards], not updateable"));
    ask(200, "POST", "/a/_close");
    ask(200, "PUT", "/a/_settings", R"({"settings":{"index.codec":"default"}})");
    ask(200, "PUT", "/a/_settings?preserve_existing=true",
        R"({"settings":{"index.codec":"other","index.store.type":"fs"}})");
    EXPECT_THAT(get("/a/_settings"),
                AllOf(HasSubstr(R"("codec":"default")"), HasSubstr(R"("type":"fs")")));
}

TEST_F(IndicesOverHttp, PatternsDeleteWhereNamesAreNotRequired) {
    ask(200, "PUT", "/a1");
    ask(400, "DELETE", "/a*");
    node.indices->set_names_to_delete(false);
    ask(200, "DELETE", "/a*");
    node.compat.major = 7;
    ask(200, "PUT", "/a1");
    node.indices->set_names_to_delete(true);
    ask(400, "DELETE", "/a*");
}

TEST_F(IndicesOverHttp, StatisticsHaveTheSectionsThatAreAskedFor) {
    ask(200, "PUT", "/a");
    ask(200, "PUT", "/b");
    node.indices->activity().add("a", {.indexed = 3, .deleted = 1});
    node.indices->activity().add("b", {.indexed = 2, .found = 5, .missing = 1});
    const std::string all = get("/_stats");
    for (const char* section : {"docs", "store", "indexing", "get", "search", "merges", "refresh",
                                "flush", "segments", "translog", "recovery"})
        EXPECT_THAT(all, HasSubstr("\"" + std::string(section) + "\":{")) << section;
    const std::string some = get("/a,b/_stats/indexing,get");
    EXPECT_THAT(some,
                AllOf(HasSubstr(R"("_all":{"primaries":{"indexing":{"index_total":5,)"),
                      HasSubstr(R"("a":{"uuid":)"), HasSubstr(R"("indexing":{"index_total":3,)"),
                      HasSubstr(R"("get":{"total":6,)"), Not(HasSubstr("docs"))));
    EXPECT_THAT(get("/_stats?level=cluster"), Not(HasSubstr(R"("indices")")));
    EXPECT_THAT(get("/_stats/segments?include_segment_file_sizes=true"), HasSubstr(R"("db":{)"));
    EXPECT_THAT(ask(400, "GET", "/_stats/serach"),
                HasSubstr("request [/_stats/serach] contains unrecognized metric: [serach] -> did "
                          "you mean [search]?"));
    ask(400, "GET", "/_stats?level=planet");
    ask(200, "DELETE", "/a");
    ask(200, "PUT", "/a");
    EXPECT_THAT(get("/a/_stats/indexing"), HasSubstr(R"("index_total":0,)"));
}

}  // namespace
}  // namespace penstock::serve
