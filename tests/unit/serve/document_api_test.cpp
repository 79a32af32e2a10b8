// Documents one by one and in bulk, through pipelines into the index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "processors/builtin.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/date_math_name.h"
#include "tools/serve/source_filter.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;

class DocumentApi : public ServeFixture {
  protected:
    DocumentApi() {
        processors::add_builtin(catalog_);
        node.catalog = &catalog_;
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_);
        node.pipelines->put("a2", R"({"processors":[{"set":{"field":"a","value":2}}]})");
        node.pipelines->put("fails",
                            R"({"processors":[{"fail":{"message":"no: {{x}}","tag":"t"}}]})");
        node.pipelines->put("drops", R"({"processors":[{"drop":{}}]})");
        node.pipelines->put("moves",
                            R"({"processors":[{"set":{"field":"_index","value":"elsewhere"}},)"
                            R"({"set":{"field":"_id","value":"new-{{_id}}"}}]})");
        add_document_routes(router, node);
        add_bulk_routes(router, node);
    }
    std::string source(const std::string& index, const std::string& id) {
        return call("GET", "/" + index + "/_source/" + id).body;
    }

    pipeline::Catalog catalog_;
};

TEST_F(DocumentApi, TellsWhereANewDocumentIs) {
    const auto location = [&](const std::string& target) {
        for (const auto& [name, value] : call("PUT", target, "{}").headers)
            if (name == "Location") return value;
        return std::string();
    };
    EXPECT_EQ(location("/books/_doc/1"), "/books/_doc/1");
    EXPECT_EQ(location("/books/_doc/1"), "") << "it is not new";
    const std::string path = "/books/_doc/a%20b%2F%0D%0AX%3A%E2%9D%A4?routing=r%26s";
    EXPECT_EQ(location(path), path);
    EXPECT_EQ(call("GET", path).status, 200);
}

TEST_F(DocumentApi, NamesWithDatesAreWorkedOut) {
    node.indices->set_clock(
        [] { return std::chrono::system_clock::time_point(std::chrono::seconds(1'693'224'000)); });
    node.pipelines->put("monthly",
                        R"({"processors":[{"date_index_name":{"field":"at","date_rounding":"M",)"
                        R"("index_name_prefix":"events-"}}]})");
    const std::string document = R"({"at":"2016-04-22T16:32:14.968Z"})";
    EXPECT_THAT(call("PUT", "/events/_doc/1?pipeline=monthly", document).body,
                HasSubstr(R"("_index":"events-2016-04-01")"));
    EXPECT_EQ(source("events-2016-04-01", "1"), document);
    EXPECT_FALSE(node.indices->exists("events"));
    const std::string answer = call("POST", "/_bulk",
                                    R"({"index":{"_index":"x","_id":"2","pipeline":"monthly"}})"
                                    "\n" +
                                        document +
                                        "\n"
                                        R"({"index":{"_index":"<logs-{now/d}>","_id":"3"}})" +
                                        "\n{}\n")
                                   .body;
    EXPECT_THAT(answer, HasSubstr(R"("_index":"events-2016-04-01","_id":"2")"));
    EXPECT_THAT(answer, HasSubstr(R"("_index":"logs-2023.08.28","_id":"3")"));
    EXPECT_EQ(source("%3Clogs-%7Bnow%2Fd%7D%3E", "3"), "{}");
    EXPECT_THAT(call("PUT", "/%3Clogs-%7Bnow%2Fq%7D%3E/_doc/1", "{}").body,
                HasSubstr("unit [q] not supported for date math [/q]"));
}

TEST(DateMathName, ResolvesAsElasticsearchDoes) {
    const auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1'693'264'000));
    // It is 2023-08-28T23:06:40Z.
    const std::vector<std::pair<std::string_view, std::string_view>> names = {
        {"plain", "plain"},
        {"<plain>", "plain"},
        {"<logs-{now/d}>", "logs-2023.08.28"},
        {"<logs-{now/M}>", "logs-2023.08.01"},
        {"<logs-{now/M{uuuu.MM}}>", "logs-2023.08"},
        {"<logs-{now/M-1M{uuuu.MM}}-a>", "logs-2023.07-a"},
        {"<logs-{now/d{uuuu.MM.dd|+12:00}}>", "logs-2023.08.29"},
        {"<logs-{now/d{uuuu.MM.dd|Asia/Tokyo}}>", "logs-2023.08.29"},
        {"<{now/y{uuuu}}-{now-1w{uuuuMMdd}}>", "2023-20230821"},
        {"<{2016-04-22||/M{uuuu-MM-dd}}>", "2016-04-01"},
        {"<{20160422||+1d{uuuuMMdd|UTC}}>", "20160423"},
        {"<elastic\\{ON\\}-{now/M}>", "elastic{ON}-2023.08.01"},
        {"<{2023-03-26 00:00||+1d{uuuu-MM-dd HH:mm|Europe/Amsterdam}}>", "2023-03-27 00:00"},
        {"<{2023-03-26 00:00||+24h{uuuu-MM-dd HH:mm|Europe/Amsterdam}}>", "2023-03-27 01:00"},
    };
    for (const auto& [name, resolved] : names)
        EXPECT_EQ(resolve_date_math(name, now), resolved) << name;
    const std::vector<std::pair<std::string_view, std::string_view>> refused = {
        {"<>", "nothing captured"},
        {"<a-{now/d>", "date math placeholder is open ended"},
        {"<a-}>", "invalid character at position [3]"},
        {"<{now/d{}}>", "missing date format"},
        {"<{now/d{uuuu{}}>", "invalid character in placeholder at position [12]"},
        {"<{now/d{yyyyb}}>", "Invalid format: [yyyyb]: Unknown pattern letter: b"},
        {"<{now/d{yyyy|PST}}>", "Unknown time-zone ID: PST"},
        {"<{tomorrow}>", "failed to parse date field [tomorrow] with format [uuuu.MM.dd]"},
        {"<{now/2d}>", "rounding `/` can only be used on single unit types [/2d]"},
        {"<{now+}>", "truncated date math [+]"},
        {"<{now*1d}>", "operator not supported for date math [*1d]"},
    };
    for (const auto& [name, why] : refused) {
        try {
            resolve_date_math(name, now);
            ADD_FAILURE() << name;
        } catch (const ApiError& error) {
            EXPECT_EQ(error.status(), 400);
            EXPECT_THAT(error.reason(), HasSubstr(std::string(why)));
        }
    }
}

TEST_F(DocumentApi, WritesReadsAndDeletesOne) {
    const Response made = call("PUT", "/books/_doc/1", R"({"t":871.995})");
    EXPECT_EQ(made.status, 201);
    EXPECT_EQ(made.body, R"({"_index":"books","_id":"1","_version":1,"result":"created","_shards":)"
                         R"({"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1})");
    EXPECT_EQ(call("PUT", "/books/_doc/1", R"({"t":2})").status, 200);
    EXPECT_EQ(call("GET", "/books/_doc/1").body,
              R"({"_index":"books","_id":"1","_version":2,"_seq_no":1,"_primary_term":1,)"
              R"("found":true,"_source":{"t":2}})");
    EXPECT_EQ(call("HEAD", "/books/_doc/2").status, 404);
    EXPECT_EQ(call("GET", "/books/_doc/2").body, R"({"_index":"books","_id":"2","found":false})");
    EXPECT_EQ(source("books", "1"), R"({"t":2})");
    const Response taken = call("PUT", "/books/_create/1", "{}");
    EXPECT_EQ(taken.status, 409);
    EXPECT_THAT(taken.body,
                HasSubstr("[1]: version conflict, document already exists (current version [2])"));
    EXPECT_EQ(call("PUT", "/books/_doc/1?if_seq_no=0&if_primary_term=1", "{}").status, 409);
    EXPECT_EQ(call("PUT", "/books/_doc/1?if_seq_no=1&if_primary_term=1", "{}").status, 200);
    EXPECT_EQ(call("PUT", "/books/_doc/1?version=3", "{}").status, 400);
    EXPECT_EQ(call("PUT", "/books/_doc/1?version=9&version_type=external", "{}").status, 200);
    EXPECT_EQ(call("GET", "/books/_doc/1?version=8").status, 409);
    EXPECT_EQ(call("DELETE", "/books/_doc/1").status, 200);
    const Response gone = call("DELETE", "/books/_doc/1");
    EXPECT_EQ(gone.status, 404);
    EXPECT_THAT(gone.body, HasSubstr(R"("result":"not_found")"));
    EXPECT_THAT(call("DELETE", "/none/_doc/1").body, HasSubstr("no such index [none]"));
    EXPECT_THAT(call("GET", "/none/_doc/1").body, HasSubstr("index_not_found_exception"));
    EXPECT_EQ(call("POST", "/books/_doc", "{}").status, 201);
    EXPECT_EQ(call("POST", "/books/_doc", "").status, 400);
    EXPECT_EQ(call("POST", "/books/_doc", "[1]").status, 400);
    EXPECT_EQ(call("POST", "/books/_doc", "{\"a\":").status, 400);
}

TEST_F(DocumentApi, ShowsWhatIsAskedFor) {
    call("PUT", "/books/_doc/1", R"({"a":{"b":1,"c":[{"d":1,"e":2}]},"f":3})");
    const auto show = [&](const std::string& query) {
        return call("GET", "/books/_source/1?" + query).body;
    };
    EXPECT_EQ(show("_source=a.b,f"), R"({"a":{"b":1},"f":3})");
    EXPECT_EQ(show("_source_excludes=a.c.d"), R"({"a":{"b":1,"c":[{"e":2}]},"f":3})");
    EXPECT_EQ(show("_source_includes=a.*&_source_excludes=*.b"), R"({"a":{"c":[{"d":1,"e":2}]}})");
    EXPECT_EQ(show("_source=*.d"), R"({"a":{"c":[{"d":1}]}})");
    EXPECT_EQ(
        call("GET", "/books/_doc/1?_source=false").body,
        R"({"_index":"books","_id":"1","_version":1,"_seq_no":0,"_primary_term":1,"found":true})");
}

TEST_F(DocumentApi, ShowsStoredFields) {
    node.indices->create("books", R"({"mappings":{"properties":{"a":{"properties":{)"
                                  R"("b":{"type":"long","store":true}}},"f":{"type":"long"}}}})");
    call("PUT", "/books/_doc/1", R"({"a":[{"b":1},{"b":2}],"f":3})");
    const std::string found =
        R"({"_index":"books","_id":"1","_version":1,"_seq_no":0,"_primary_term":1,"found":true)";
    const std::string fields = R"("fields":{"a.b":[1,2]}})";
    EXPECT_EQ(call("GET", "/books/_doc/1?stored_fields=a.b,f").body, found + "," + fields);
    EXPECT_EQ(call("GET", "/books/_doc/1?stored_fields=f").body, found + "}");
    EXPECT_EQ(call("GET", "/books/_doc/1?stored_fields=a.b&_source=f").body,
              found + R"(,"_source":{"f":3},)" + fields);
    EXPECT_EQ(
        call("POST", "/_mget", R"({"docs":[{"_index":"books","_id":"1","stored_fields":["a.b"]}]})")
            .body,
        R"({"docs":[)" + found + "," + fields + "]}");
}

TEST_F(DocumentApi, AnIndexMayKeepItsSourceToItself) {
    node.indices->create("books", R"({"mappings":{"_source":{"enabled":false}}})");
    call("PUT", "/books/_doc/1", R"({"a":1})");
    EXPECT_THAT(call("GET", "/books/_doc/1").body, testing::EndsWith(R"("found":true})"));
    EXPECT_EQ(call("GET", "/books/_source/1").status, 404);
}

/// The places are what Elasticsearch's murmur3 routing comes to.
TEST_F(DocumentApi, ADocumentIsFoundByItsRouting) {
    node.indices->create("five",
                         R"({"settings":{"number_of_shards":5,"number_of_routing_shards":5}})");
    call("PUT", "/five/_doc/1?routing=5", "{}");
    EXPECT_EQ(call("GET", "/five/_doc/1?routing=5").status, 200);
    EXPECT_EQ(call("GET", "/five/_doc/1").status, 404);
    call("PUT", "/one/_doc/1?routing=5", "{}");
    EXPECT_EQ(call("GET", "/one/_doc/1").status, 200);
}

TEST_F(DocumentApi, ARoutingToAnotherShardFindsNothingToChange) {
    node.indices->create("maps",
                         R"({"settings":{"number_of_shards":5,"number_of_routing_shards":5}})");
    call("PUT", "/maps/_doc/1?routing=5", R"({"a":1})");
    const Response left = call("DELETE", "/maps/_doc/1?routing=4");
    EXPECT_EQ(left.status, 404);
    EXPECT_THAT(left.body, HasSubstr(R"("result":"not_found")"));
    EXPECT_EQ(call("POST", "/maps/_update/1", R"({"doc":{"a":2}})").status, 404);
    EXPECT_EQ(call("GET", "/maps/_source/1?routing=5").body, R"({"a":1})");
    EXPECT_EQ(call("POST", "/maps/_update/1?routing=5", R"({"doc":{"a":2}})").status, 200);
    const Response bulk = call("POST", "/maps/_bulk",
                               "{\"index\":{\"_id\":\"2\",\"routing\":\"5\"}}\n{}\n"
                               "{\"delete\":{\"_id\":\"2\",\"routing\":\"4\"}}\n"
                               "{\"delete\":{\"_id\":\"2\",\"routing\":\"5\"}}\n");
    EXPECT_THAT(bulk.body, testing::AllOf(HasSubstr(R"("result":"not_found")"),
                                          HasSubstr(R"("result":"deleted")")));
    EXPECT_EQ(call("DELETE", "/maps/_doc/1?routing=5").status, 200);
}

TEST_F(DocumentApi, OnlySomeIndicesAreMadeByWrites) {
    const auto write = [&](const std::string& index) {
        return call("PUT", "/" + index + "/_doc/1", "{}").body;
    };
    node.indices->set_auto_create(AutoCreate::parse("-logs-old*,+logs-*"));
    EXPECT_THAT(write("logs-1"), HasSubstr("created"));
    EXPECT_THAT(write("logs-old-1"),
                HasSubstr("no such index [logs-old-1] and [action.auto_create_index] contains "
                          "[-logs-old*] which forbids automatic creation of the index"));
    EXPECT_THAT(write("books"), HasSubstr("([-logs-old*,+logs-*]) doesn't match"));
    node.indices->set_auto_create(AutoCreate::parse("false"));
    EXPECT_THAT(write("logs-2"), HasSubstr("[action.auto_create_index] is [false]"));
    EXPECT_THROW(AutoCreate::parse("a,-"), ApiError);
}

TEST_F(DocumentApi, RunsPipelines) {
    EXPECT_EQ(call("PUT", "/books/_doc/1?pipeline=a2", R"({"b":1})").status, 201);
    EXPECT_EQ(source("books", "1"), R"({"b":1,"a":2})");
    const Response failed = call("PUT", "/books/_doc/2?pipeline=fails", R"({"x":"y"})");
    EXPECT_THAT(failed.body,
                HasSubstr(R"("reason":"no: y","processor_type":"fail","processor_tag":"t")"));
    EXPECT_EQ(call("GET", "/books/_doc/2").status, 404);
    const Response dropped = call("PUT", "/books/_doc/3?pipeline=drops", "{}");
    EXPECT_EQ(dropped.status, 200);
    EXPECT_THAT(dropped.body, HasSubstr(R"("_version":-3,"result":"noop")"));
    const Response moved = call("PUT", "/books/_doc/4?pipeline=moves", R"({"m":1})");
    EXPECT_THAT(moved.body, HasSubstr(R"("_index":"elsewhere","_id":"new-4")"));
    EXPECT_EQ(source("elsewhere", "new-4"), R"({"m":1})");
    const Response unknown = call("PUT", "/books/_doc/5?pipeline=none", "{}");
    EXPECT_EQ(unknown.status, 400);
    EXPECT_THAT(unknown.body, HasSubstr("pipeline with id [none] does not exist"));
}

TEST_F(DocumentApi, PipelinesMaySetTheVersion) {
    const auto pipeline = [&](const std::string& type) {
        return R"({"processors":[{"set":{"field":"_version","value":1}},)"
               R"({"set":{"field":"_version_type","value":")" +
               type + R"("}}]})";
    };
    node.pipelines->put("internal", pipeline("internal"));
    node.pipelines->put("external", pipeline("external"));
    EXPECT_EQ(call("PUT", "/books/_doc/1?pipeline=internal", "{}").status, 409);
    EXPECT_EQ(call("PUT", "/books/_doc/1?pipeline=external", "{}").status, 201);
    EXPECT_EQ(call("PUT", "/books/_doc/1?pipeline=external", "{}").status, 409);
    EXPECT_EQ(call("PUT", "/books/_doc/1?pipeline=internal", "{}").status, 200);
}

TEST_F(DocumentApi, TheIndexHasAPipelineOfItsOwn) {
    node.indices->create("books",
                         R"({"settings":{"default_pipeline":"fails","final_pipeline":"a2"}})");
    EXPECT_EQ(call("PUT", "/books/_doc/1", "{}").status, 500);
    EXPECT_EQ(call("PUT", "/books/_doc/1?pipeline=_none", R"({"b":1})").status, 201);
    EXPECT_EQ(source("books", "1"), R"({"b":1,"a":2})");
    EXPECT_EQ(call("PUT", "/other/_doc/9?pipeline=moves", "{}").status, 201);
}

TEST_F(DocumentApi, Updates) {
    EXPECT_THAT(
        call("POST", "/books/_update/1", R"({"doc":{"a":1}})").body,
        HasSubstr(R"("type":"document_missing_exception","reason":"[1]: document missing")"));
    EXPECT_EQ(call("POST", "/books/_update/1", R"({"doc":{"a":1},"upsert":{"u":{"v":1}}})").status,
              201);
    EXPECT_EQ(source("books", "1"), R"({"u":{"v":1}})");
    const Response updated =
        call("POST", "/books/_update/1?_source=true", R"({"doc":{"u":{"w":[1]},"a":1}})");
    EXPECT_THAT(updated.body, HasSubstr(R"("_version":2,"result":"updated")"));
    EXPECT_THAT(updated.body, HasSubstr(R"("found":true,"_source":{"u":{"v":1,"w":[1]},"a":1})"));
    const Response same = call("POST", "/books/_update/1", R"({"doc":{"a":1}})");
    EXPECT_THAT(same.body, HasSubstr(R"("_version":2,"result":"noop")"));
    EXPECT_THAT(call("POST", "/books/_update/1", R"({"doc":{"a":1},"detect_noop":false})").body,
                HasSubstr(R"("_version":3,"result":"updated")"));
    EXPECT_EQ(call("POST", "/books/_update/2", R"({"doc":{"a":1},"doc_as_upsert":true})").status,
              201);
    EXPECT_EQ(
        call("POST", "/books/_update/1?if_seq_no=0&if_primary_term=1", R"({"doc":{"a":5}})").status,
        409);
    EXPECT_THAT(call("POST", "/books/_update/1", R"({"script":{"source":"x"}})").body,
                HasSubstr("not available"));
    EXPECT_THAT(call("POST", "/books/_update/1", "{}").body,
                HasSubstr("Validation Failed: 1: script or doc is missing;"));
}

TEST_F(DocumentApi, UpdatesAreCheckedBeforeTheyAreDone) {
    call("PUT", "/books/_doc/1", R"({"a":1})");
    const std::tuple<const char*, const char*, const char*> faults[] = {
        {"", R"({"docs":{"a":2}})", "[UpdateRequest] unknown field [docs] did you mean [doc]?"},
        {"", R"({"doc_as_upsert":true})", "2: doc must be specified if doc_as_upsert is enabled"},
        {"?version=1", R"({"doc":{"a":2}})", "internal versioning can not be used"},
        {"?version_type=external", R"({"doc":{"a":2}})", "internal versioning can not be used"},
        {"?if_seq_no=0&if_primary_term=1&retry_on_conflict=2", R"({"doc":{"a":2}})",
         "compare and write operations can not be retried"},
        {"?if_seq_no=0&if_primary_term=1", R"({"doc":{"a":2},"doc_as_upsert":true})",
         "compare and write operations can not be used with upsert"},
        {"?if_seq_no=0&if_primary_term=1", R"({"doc":{"a":2},"upsert":{}})",
         "upsert requests don't support `if_seq_no` and `if_primary_term`"},
    };
    for (const auto& [query, body, reason] : faults) {
        const Response refused = call("POST", std::string("/books/_update/1") + query, body);
        EXPECT_EQ(refused.status, 400) << reason;
        EXPECT_THAT(refused.body, HasSubstr(reason));
    }
    EXPECT_EQ(source("books", "1"), R"({"a":1})");
    EXPECT_EQ(
        call("POST", "/books/_update/1", R"({"doc":{"a":2},"if_seq_no":9,"if_primary_term":1})")
            .status,
        409)
        << "a condition may stand in the body";
    EXPECT_EQ(
        call("POST", "/books/_update/1?if_seq_no=0&if_primary_term=2", R"({"doc":{"a":2}})").status,
        409);
}

TEST_F(DocumentApi, EachOfManyIsShownAsItAsks) {
    node.indices->create(
        "books", R"({"mappings":{"properties":{"title":{"type":"keyword","store":true}}}})");
    call("PUT", "/books/_doc/1", R"({"title":"Emma","year":1815})");
    const auto shown = [&](const std::string& query, const std::string& one) {
        const std::string body =
            call("POST", "/books/_mget" + query, R"({"docs":[{"_id":"1")" + one + "}]}").body;
        return body.substr(body.find("\"found\""));
    };
    const std::string all = R"("_source":{"title":"Emma","year":1815})";
    const std::string title = R"("fields":{"title":["Emma"]})";
    EXPECT_EQ(shown("", R"(,"stored_fields":"title")"), R"("found":true,)" + title + "}]}");
    EXPECT_EQ(shown("?stored_fields=title", ""), R"("found":true,)" + title + "}]}");
    EXPECT_EQ(shown("?stored_fields=title", R"(,"stored_fields":["title","_source"])"),
              R"("found":true,)" + all + "," + title + "}]}");
    EXPECT_EQ(shown("?stored_fields=title,_source", R"(,"stored_fields":["title"])"),
              R"("found":true,)" + title + "}]}");
    EXPECT_EQ(shown("?_source=year", R"(,"stored_fields":["title"])"),
              R"("found":true,"_source":{"year":1815},)" + title + "}]}");
    EXPECT_EQ(shown("", R"(,"version":1)"), R"("found":true,)" + all + "}]}");
    EXPECT_THAT(call("POST", "/books/_mget", R"({"docs":[{"_id":"1","version":7}]})").body,
                HasSubstr("current version [1] is different than the one provided [7]"));
}

TEST_F(DocumentApi, GetsManyOnlyWithWhatItKnows) {
    const std::pair<const char*, const char*> faults[] = {
        {R"({"docs":[{"_id":"1","_routing":"r"}]})", "unknown field [_routing]"},
        {R"({"docs":[{"_id":"1","_version":1}]})", "unknown field [_version]"},
        {R"({"docs":[{"_id":"1","fields":["a"]}]})", "expected [stored_fields] instead"},
        {R"({"docs":["1"]})", "docs array element should include an object"},
        {R"({"docs":{"_id":"1"}})", "unknown key [docs], expected an array of [docs] or [ids]"},
        {R"({"documents":[{"_id":"1"}]})", "unknown key [documents]"},
        {R"({"ids":[{"_id":"1"}]})", "ids array element should only contain ids"},
        {R"({"ids":[]})", "no documents to get"},
    };
    for (const auto& [body, reason] : faults) {
        const Response refused = call("POST", "/books/_mget", body);
        EXPECT_EQ(refused.status, 400) << body;
        EXPECT_THAT(refused.body, HasSubstr(reason));
    }
}

TEST_F(DocumentApi, GetsMany) {
    call("PUT", "/books/_doc/1", R"({"a":1,"b":2})");
    EXPECT_EQ(
        call("GET", "/books/_mget", R"({"ids":["1",2]})").body,
        R"({"docs":[{"_index":"books","_id":"1","_version":1,"_seq_no":0,"_primary_term":1,)"
        R"("found":true,"_source":{"a":1,"b":2}},{"_index":"books","_id":"2","found":false}]})");
    EXPECT_THAT(
        call(
            "POST", "/_mget",
            R"({"docs":[{"_index":"none","_id":"1"},{"_index":"books","_id":"1","_source":["a"]}]})")
            .body,
        testing::AllOf(HasSubstr("no such index [none]"), HasSubstr(R"("_source":{"a":1})")));
    EXPECT_THAT(call("POST", "/_mget", "{}").body, HasSubstr("no documents to get"));
    EXPECT_THAT(call("POST", "/_mget", R"({"docs":[{"_id":"1"}]})").body,
                HasSubstr("index is missing for doc 0"));
}

TEST_F(DocumentApi, SaysWhyAValueDoesNotFitItsField) {
    node.indices->create("books", R"({"mappings":{"properties":{"year":{"type":"integer"}}}})");
    const Response refused = call("PUT", "/books/_doc/1", R"({"year":"soon"})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body,
                HasSubstr(R"("type":"document_parsing_exception","reason":"[1:9] failed to parse )"
                          R"(field [year] of type [integer] in document with id '1'. Preview of )"
                          R"(field's value: 'soon'","caused_by":{"type":)"
                          R"("number_format_exception","reason":"For input string: \"soon\""})"));
}

TEST_F(DocumentApi, ABadDocumentIsCalledAsTheProductCallsIt) {
    node.indices->create("books", R"({"mappings":{"properties":{"year":{"type":"integer"}}}})");
    const auto said = [&](const char* document, const char* query = "") {
        return call("PUT", std::string("/books/_doc/1") + query, document).body;
    };
    const std::string fits = R"("reason":"failed to parse field [year] of type [integer])";
    EXPECT_THAT(said("{"), HasSubstr(R"("type":"document_parsing_exception","reason":"failed to)"));
    EXPECT_THAT(said("[]"), HasSubstr(R"("type":"document_parsing_exception")"));
    node.compat = Compat::parse("opensearch:3");
    for (const char* document : {"{", "[]", R"({"year":1,"year":2})"})
        EXPECT_THAT(said(document), HasSubstr(R"("type":"mapper_parsing_exception")")) << document;
    EXPECT_THAT(said(R"({"year":"x"})"), HasSubstr(R"("type":"mapper_parsing_exception",)" + fits));
    node.compat = Compat::parse("elasticsearch:7");
    EXPECT_THAT(said(R"({"year":"x"})", "?pipeline=a2"),
                HasSubstr(R"("type":"mapper_parsing_exception",)" + fits));
}

TEST_F(DocumentApi, SaysWhatARequestLacks) {
    EXPECT_THAT(call("PUT", "/books/_doc/1?version_type=external_gte", "{}").body,
                HasSubstr("Validation Failed: 1: illegal version value [-1] for version type "
                          "[EXTERNAL_GTE];"));
    EXPECT_EQ(call("PUT", "/books/_doc/1?version_type=external&version=0", "{}").status, 201);
    EXPECT_THAT(call("GET", "/books/_source/1?_source=false").body,
                HasSubstr("fetching source can not be disabled"));
    EXPECT_THAT(call("POST", "/books/_mget").body,
                HasSubstr("request body or source parameter is required"));
}

// ---- bulk

TEST_F(DocumentApi, BulkDoesAllKindsInOrder) {
    const Response done = call("POST", "/books/_bulk",
                               "{\"index\":{\"_id\":\"1\"}}\n{\"a\":1}\n"
                               "{\"create\":{\"_id\":\"1\"}}\n{\"a\":2}\n"
                               "{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{\"b\":3}}\n"
                               "{\"index\":{\"_index\":\"other\",\"pipeline\":\"a2\"}}\n{}\r\n"
                               "\n"
                               "{\"delete\":{\"_id\":\"1\"}}\n"
                               "{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{\"b\":3}}\n"
                               "{\"index\":{\"_id\":\"2\",\"pipeline\":\"fails\"}}\n{\"x\":1}\n"
                               "{\"index\":{\"_id\":\"3\"}}\n{\"broken\":\n");
    EXPECT_EQ(done.status, 200);
    EXPECT_THAT(done.body, testing::StartsWith(R"({"errors":true,"took":)"));
    EXPECT_THAT(
        done.body,
        HasSubstr(R"({"index":{"_index":"books","_id":"1","_version":1,"result":"created")"));
    EXPECT_THAT(
        done.body,
        HasSubstr(
            R"({"create":{"_index":"books","_id":"1","status":409,"error":{"type":"version_conflict_engine_exception")"));
    EXPECT_THAT(
        done.body,
        HasSubstr(R"({"update":{"_index":"books","_id":"1","_version":2,"result":"updated")"));
    EXPECT_THAT(
        done.body,
        HasSubstr(R"({"delete":{"_index":"books","_id":"1","_version":3,"result":"deleted")"));
    EXPECT_THAT(
        done.body,
        HasSubstr(
            R"({"update":{"_index":"books","_id":"1","status":404,"error":{"type":"document_missing_exception")"));
    EXPECT_THAT(
        done.body,
        HasSubstr(
            R"({"index":{"_index":"books","_id":"2","status":500,"error":{"type":"fail_processor_exception","reason":"no: 1")"));
    EXPECT_THAT(
        done.body,
        HasSubstr(
            R"({"index":{"_index":"books","_id":"3","status":400,"error":{"type":"document_parsing_exception")"));
    EXPECT_EQ(node.store->count("other"), 1U);
}

TEST_F(DocumentApi, BulkSaysWhatIsWrongWithTheRequest) {
    const std::pair<const char*, const char*> faults[] = {
        {"", "request body is required"},
        {"\n", "no requests added"},
        {"{\"index\":{\"_index\":\"a\"}}\n{\"x\":1}", "must be terminated by a newline"},
        {"{\"foo\":{}}\n{}\n",
         "Malformed action/metadata line [1], expected one of [create, delete, index, update] but "
         "found [foo]"},
        {"[1]\n", "Malformed action/metadata line [1]"},
        {"{\"index\":1}\n{}\n", "expected START_OBJECT"},
        {"{\"index\":{\"nonsense\":1}}\n{}\n",
         "Action/metadata line [1] contains an unknown parameter [nonsense]"},
        {"{\"index\":{\"_index\":\"a\",\"_routing\":\"r\"}}\n{}\n",
         "contains an unknown parameter [_routing]"},
        {"{\"index\":{\"_index\":\"a\",\"_id\":\"1\",\"version\":3}}\n{}\n",
         "1: internal versioning can not be used for optimistic concurrency control"},
        {"{\"delete\":{\"_index\":\"a\",\"_id\":\"1\",\"version_type\":\"external\"}}\n",
         "1: illegal version value [-1] for version type [EXTERNAL]"},
        {"{\"update\":{\"_index\":\"a\",\"_id\":\"1\",\"if_seq_no\":3}}\n{}\n",
         "1: ifSeqNo is set, but primary term is [0]"},
        {"{\"index\":{}}\n{}\n", "index is missing"},
        {"{\"delete\":{\"_index\":\"a\"}}\n", "id is missing"},
        {"{\"index\":{\"_index\":\"a\"}}\n", "has no document behind it"},
    };
    for (const auto& [body, reason] : faults) {
        const Response refused = call("POST", "/_bulk", body);
        EXPECT_EQ(refused.status, 400) << body;
        EXPECT_THAT(refused.body, HasSubstr(reason));
    }
    EXPECT_TRUE(node.store->names().empty()) << "nothing was done";
}

TEST_F(DocumentApi, BulkIsWrittenInBatchesAndTwiceIsOnce) {
    std::string body;
    for (int i = 0; i < 2500; ++i) {
        body += "{\"index\":{\"_id\":\"" + std::to_string(i) + "\"}}\n{\"n\":" + std::to_string(i) +
                "}\n";
    }
    EXPECT_THAT(call("POST", "/books/_bulk?pipeline=a2", body).body,
                HasSubstr(R"("errors":false)"));
    EXPECT_THAT(call("POST", "/books/_bulk?pipeline=a2", body).body,
                HasSubstr(R"("errors":false)"));
    EXPECT_EQ(node.store->count("books"), 2500U);
    EXPECT_EQ(source("books", "2499"), R"({"n":2499,"a":2})");
    const Response late = call("POST", "/late/_bulk", body + "{\"foo\":{}}\n");
    EXPECT_EQ(late.status, 400);
    EXPECT_THAT(late.body, HasSubstr("(the 2000 items before it are done"));
    EXPECT_EQ(node.store->count("late"), 2000U);
    EXPECT_EQ(budget.used(), 0U);
}

TEST_F(DocumentApi, BulkKeepsItsAnswersWithinTheMemory) {
    std::string body;
    for (int i = 0; i < 20'000; ++i)
        body += "{\"delete\":{\"_id\":\"" + std::to_string(i) + "\"}}\n";
    node.indices->create("books", "");
    MemoryBudget small(16UL << 20);
    node.budget = &small;
    EXPECT_THAT(call("POST", "/books/_bulk", body).body,
                testing::AllOf(testing::StartsWith(R"({"errors":false,"took":)"),
                               testing::EndsWith(R"("status":404}}]})")));
    MemoryBudget smaller(11UL << 20);
    node.budget = &smaller;
    const Response refused = call("POST", "/books/_bulk", body);
    EXPECT_EQ(refused.status, 429);
    EXPECT_THAT(refused.body, HasSubstr("items before it are done"));
    EXPECT_EQ(smaller.used(), 0U);
}

TEST_F(DocumentApi, ADamagedIndexFailsItsOwnItemsOnly) {
    for (const char* index : {"bad", "good"})
        node.indices->create(index, "");
    damage("bad");
    const Response done = call("POST", "/_bulk",
                               "{\"index\":{\"_index\":\"good\",\"_id\":\"1\"}}\n{}\n"
                               "{\"index\":{\"_index\":\"bad\",\"_id\":\"1\"}}\n{}\n"
                               "{\"index\":{\"_index\":\"new\",\"_id\":\"1\"}}\n{}\n");
    EXPECT_EQ(done.status, 200);
    EXPECT_THAT(
        done.body,
        HasSubstr(
            R"({"index":{"_index":"bad","_id":"1","status":503,"error":{"type":"unavailable_shards_exception")"));
    EXPECT_EQ(node.store->count("good"), 1U);
    EXPECT_EQ(node.store->count("new"), 1U);
    EXPECT_EQ(call("PUT", "/bad/_doc/1", "{}").status, 503);
}

/// What no reader could parse is refused, and what is on disk already does no harm.
TEST_F(DocumentApi, DocumentsCanBeReadAgain) {
    for (const char* bad : {R"({"a":1,"a":2})", R"({"a":"\ud800"})"}) {
        const Response done =
            call("POST", "/books/_bulk", "{\"index\":{\"_id\":\"1\"}}\n" + std::string(bad) + "\n");
        EXPECT_THAT(done.body, HasSubstr(R"("status":400)")) << bad;
        EXPECT_EQ(call("PUT", "/books/_doc/1", bad).status, 400) << bad;
    }
    SourceFilter filter;
    filter.excludes = {"secret"};
    EXPECT_EQ(filter.apply(R"({"secret":1,"a":"\ud800"})"), "{}");
    EXPECT_EQ(filter.apply(R"({"secret":1,"a":1,"a":2})"), R"({"a":2})");
}

TEST_F(DocumentApi, AnUpdateWithABadFilterWritesNothing) {
    call("PUT", "/books/_doc/1", R"({"a":1})");
    EXPECT_EQ(call("POST", "/books/_update/1", R"({"doc":{"a":2},"_source":[1]})").status, 400);
    EXPECT_EQ(call("POST", "/books/_bulk",
                   "{\"update\":{\"_id\":\"1\",\"_source\":3}}\n{\"doc\":{\"a\":3}}\n")
                  .status,
              400);
    EXPECT_EQ(source("books", "1"), R"({"a":1})");
    EXPECT_THAT(call("POST", "/books/_update/1", R"({"doc":{"a":2},"_source":["a"]})").body,
                HasSubstr(R"("_source":{"a":2})"));
}

TEST_F(DocumentApi, RefusesWhatOnlyAClusterHas) {
    EXPECT_EQ(call("PUT", "/books/_doc/1?wait_for_active_shards=1", "{}").status, 201);
    EXPECT_EQ(call("PUT", "/books/_doc/1?wait_for_active_shards=all", "{}").status, 200);
    const Response few = call("PUT", "/books/_doc/2?wait_for_active_shards=4&timeout=1s", "{}");
    EXPECT_EQ(few.status, 503);
    EXPECT_THAT(few.body, HasSubstr("[books][0] Not enough active copies to meet shard count of "
                                    "[4] (have 1, needed 4). Timeout: [1s], request: "));
    EXPECT_EQ(call("PUT", "/books/_doc/2?wait_for_active_shards=x", "{}").status, 400);
    EXPECT_THAT(call("POST", "/books/_bulk?wait_for_active_shards=2", "{\"index\":{}}\n{}\n").body,
                HasSubstr(R"("status":503)"));
    EXPECT_THAT(call("PUT", "/books/_doc/2?require_data_stream=true", "{}").body,
                HasSubstr("[books] is not a data stream"));
    EXPECT_THAT(
        call("POST", "/books/_bulk", "{\"index\":{\"require_data_stream\":true}}\n{}\n").body,
        HasSubstr(R"("status":404)"));
    EXPECT_EQ(node.store->count("books"), 1U);
}

TEST_F(DocumentApi, BulkWithoutMemoryDoesNothing) {
    MemoryBudget small(1000);
    node.budget = &small;
    const Response refused = call("POST", "/books/_bulk", "{\"index\":{}}\n{}\n");
    EXPECT_EQ(refused.status, 429);
    EXPECT_TRUE(node.store->names().empty());
    EXPECT_EQ(small.used(), 0U);
}

TEST_F(DocumentApi, AliasesAreWrittenThrough) {
    node.indices->create("books-1", R"({"aliases":{"books":{}}})");
    EXPECT_THAT(call("PUT", "/books/_doc/1?require_alias=true", "{}").body,
                HasSubstr(R"("_index":"books-1")"));
    EXPECT_EQ(call("PUT", "/books-1/_doc/1?require_alias=true", "{}").status, 404);
    EXPECT_EQ(call("GET", "/books/_doc/1").status, 200);
}

TEST_F(DocumentApi, APipelineMaySendADocumentToTheAliasThatIsRequired) {
    node.pipelines->put("shelve", R"({"processors":[{"set":{"field":"_index","value":"shelf"}}]})");
    const std::string target = "/inbox/_doc/1?pipeline=shelve&require_alias=true";
    EXPECT_THAT(call("PUT", target, "{}").body, HasSubstr("no such index [shelf] and"));
    EXPECT_TRUE(node.store->names().empty());
    node.indices->create("books", R"({"aliases":{"shelf":{}}})");
    EXPECT_THAT(call("PUT", target, "{}").body, HasSubstr(R"("_index":"books")"));
}

TEST_F(DocumentApi, WhatIsDoneWithAnIndexIsCounted) {
    call("PUT", "/a/_doc/1", "{}");
    call("PUT", "/a/_create/1", "{}");
    call("GET", "/a/_doc/1");
    call("GET", "/a/_doc/2");
    call("DELETE", "/a/_doc/1");
    const IndexCounts counts = node.indices->activity().of("a");
    EXPECT_EQ(counts.indexed, 1U);
    EXPECT_EQ(counts.index_failed, 1U);
    EXPECT_EQ(counts.found, 1U);
    EXPECT_EQ(counts.missing, 1U);
    EXPECT_EQ(counts.deleted, 1U);
    EXPECT_GT(counts.writing.count(), 0);
}

TEST_F(DocumentApi, DocumentsOfAClosedIndexAreNotReached) {
    node.indices->create("shut", "");
    EXPECT_EQ(call("PUT", "/shut/_doc/1", "{}").status, 201);
    node.indices->set_closed("shut", true);
    EXPECT_THAT(call("PUT", "/shut/_doc/1", "{}").body, HasSubstr("index_closed_exception"));
    EXPECT_THAT(call("GET", "/shut/_doc/1").body, HasSubstr("index_closed_exception"));
    const Response bulk =
        call("POST", "/_bulk", "{\"delete\":{\"_index\":\"shut\",\"_id\":\"1\"}}\n");
    EXPECT_EQ(bulk.status, 200);
    EXPECT_THAT(bulk.body, HasSubstr("index_closed_exception"));
    node.indices->set_closed("shut", false);
    EXPECT_EQ(call("GET", "/shut/_doc/1").status, 200);
}

}  // namespace
}  // namespace penstock::serve
