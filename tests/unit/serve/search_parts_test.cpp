// Names of conditions, terms of other documents, boosts of indices and slices.
#include <gmock/gmock.h>

#include "tests/unit/serve/fixture.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SearchParts : public ServeFixture {
  protected:
    SearchParts() { add_search_routes(router, node); }
    void put(const std::string& index, const std::string& id, const std::string& source,
             const std::string& routing = "") {
        io::WriteItem item;
        item.id = id;
        item.source = source;
        item.routing = routing;
        std::vector<io::ItemResult> results;
        node.store->bulk(index, std::span(&item, 1), results);
        ASSERT_TRUE(results.front().ok()) << results.front().error_reason;
    }
    std::string ask(int status, const std::string& path, const std::string& body) {
        const Response response = call("POST", path, body);
        EXPECT_EQ(response.status, status) << body << response.body;
        return response.body;
    }
    /// "b a" for hits b and a.
    static std::string ids(const std::string& response) {
        const std::string mark = R"("_id":")";
        std::string all;
        for (std::size_t at = 0; (at = response.find(mark, at)) != std::string::npos;) {
            at += mark.size();
            all += (all.empty() ? "" : " ") + response.substr(at, response.find('"', at) - at);
        }
        return all;
    }
};

TEST_F(SearchParts, HitsTellTheNamesOfWhatHolds) {
    put("tea", "assam", R"({"kind":"black","steps":[3,4],"notes":"malt and honey"})");
    put("tea", "sencha", R"({"kind":"green","steps":[2],"notes":"grass"})");
    const std::string query =
        R"({"query":{"bool":{"_name":"whole","filter":{"exists":{"field":"kind","_name":"kind"}},)"
        R"("should":[{"match":{"notes":{"query":"honey","_name":"sweet"}}},)"
        R"({"range":{"steps":{"gte":3,"boost":2,"_name":"long"}}},)"
        R"({"terms":{"kind.keyword":["green"],"_name":"green"}}]}},"sort":["_doc"]})";
    EXPECT_THAT(ask(200, "/tea/_search", query),
                AllOf(HasSubstr(R"("matched_queries":["kind","long","sweet","whole"])"),
                      HasSubstr(R"("matched_queries":["green","kind","whole"])")));
    EXPECT_THAT(ask(200, "/tea/_search?include_named_queries_score=true",
                    R"({"query":{"range":{"steps":{"gte":3,"boost":2,"_name":"long"}}}})"),
                HasSubstr(R"("matched_queries":{"long":2.0})"));
    EXPECT_THAT(ask(200, "/tea/_search", R"({"query":{"match":{"notes":"grass"}}})"),
                Not(HasSubstr("matched_queries")));
    EXPECT_THAT(ask(400, "/tea/_search", R"({"query":{"match":{"notes":{"_name":"x"}}}})"),
                HasSubstr("requires query value"));
}

TEST_F(SearchParts, NeighboursHaveNamesToo) {
    node.indices->create("spots", R"({"mappings":{"properties":{"at":{"type":"dense_vector",)"
                                  R"("dims":2,"similarity":"l2_norm"}}}})");
    put("spots", "near", R"({"at":[1,0]})");
    put("spots", "far", R"({"at":[9,0],"old":true})");
    EXPECT_THAT(ask(200, "/spots/_search",
                    R"({"knn":{"field":"at","query_vector":[0,0],"k":1,"_name":"close"},)"
                    R"("query":{"term":{"old":{"value":true,"_name":"old"}}}})"),
                AllOf(HasSubstr(R"("matched_queries":["close"])"),
                      HasSubstr(R"("matched_queries":["old"])")));
}

TEST_F(SearchParts, NamesOfNeighboursAreOfTheNearestOfAllIndices) {
    for (const std::string index : {"spots", "holes"})
        node.indices->create(index, R"({"mappings":{"properties":{"at":{"type":"dense_vector",)"
                                    R"("dims":2,"similarity":"l2_norm"}}}})");
    put("spots", "near", R"({"at":[1,0],"kind":"spot"})");
    put("holes", "far", R"({"at":[9,0],"kind":"hole"})");
    const std::string knn = R"("knn":{"field":"at","query_vector":[0,0],"k":1,"_name":"close",)"
                            R"("filter":{"exists":{"field":"kind","_name":"kind"}}})";
    const std::string all = R"("query":{"match_all":{}},)" + knn;
    const auto names = [&](const std::string& response, const std::string& id) {
        const std::size_t at = response.find("matched_queries", response.find("\"" + id + "\""));
        return response.substr(at + 17, response.find(']', at) - at - 16);
    };
    for (const std::string& body :
         {all, R"("retriever":{"rrf":{"retrievers":[{"standard":{}},{)" + knn + "}]}}"}) {
        const std::string found = ask(200, "/spots,holes/_search", "{" + body + "}");
        EXPECT_EQ(names(found, "near"), R"(["close","kind"])");
        EXPECT_EQ(names(found, "far"), R"(["kind"])");
    }
    const std::string first =
        ask(200, "/spots,holes/_search?scroll=1m", R"({"size":1,"sort":["_doc"],)" + all + "}");
    EXPECT_EQ(names(first, "far"), R"(["kind"])");
    const std::size_t at = first.find("_scroll_id") + 13;
    const std::string id = first.substr(at, first.find('"', at) - at);
    EXPECT_EQ(names(ask(200, "/_search/scroll/" + id, ""), "near"), R"(["close","kind"])");
    EXPECT_THAT(ask(200, "/spots/_search?include_named_queries_score=true", "{" + knn + "}"),
                HasSubstr(R"("close":0.5)"));
}

TEST_F(SearchParts, ManyNamesTakeTheirMemoryFromTheBudget) {
    std::string names;
    for (int i = 0; i < 1000; ++i)
        names += std::string(i == 0 ? "" : ",") + R"({"match_all":{"_name":"n)" +
                 std::to_string(i) + "\"}}";
    const std::string query =
        R"({"_source":false,"size":1000,"query":{"bool":{"should":[)" + names + "]}}}";
    for (int i = 0; i < 300; ++i)
        put("tea", std::to_string(i), "{}");
    EXPECT_THAT(ask(200, "/tea/_search?size=1", query), HasSubstr(R"("n0","n1","n10",)"));
    ASSERT_TRUE(budget.take(budget.limit() - budget.used() - 1'000'000));
    EXPECT_THAT(ask(429, "/tea/_search", query), HasSubstr("data for [<search response>]"));
    const std::string late = R"({"timeout":"1ms",)" + query.substr(1);
    EXPECT_THAT(ask(200, "/tea/_search", late), HasSubstr(R"("timed_out":true)"));
}

TEST_F(SearchParts, NamesInsideOfObjectsAreNotTheDocuments) {
    put("shelf", "1", R"({"books":[{"title":"dune"}]})");
    EXPECT_THAT(ask(200, "/shelf/_search",
                    R"({"query":{"nested":{"path":"books","_name":"outer","query":{"match":)"
                    R"({"books.title":{"query":"dune","_name":"inner"}}}}}})"),
                HasSubstr(R"("matched_queries":["outer"])"));
}

TEST_F(SearchParts, TermsAreLookedUpInAnotherDocument) {
    put("people", "ann", R"({"name":"ann"})");
    put("people", "bob", R"({"name":"bob"})");
    put("people", "cid", R"({"name":"cid"})");
    const auto of = [](const std::string& id, const std::string& more = "") {
        return R"({"query":{"terms":{"name.keyword":{"index":"groups","id":")" + id +
               R"(","path":"members.name")" + more + R"(}}},"sort":["_doc"]})";
    };
    EXPECT_THAT(ask(404, "/people/_search", of("chess")), HasSubstr("no such index [groups]"));
    put("groups", "chess", R"({"members":[{"name":"ann"},{"name":"cid"},{"name":null}]})");
    EXPECT_EQ(ids(ask(200, "/people/_search", of("chess"))), "ann cid");
    EXPECT_EQ(ids(ask(200, "/people/_search", of("go"))), "");
    EXPECT_THAT(
        call("POST", "/people/_count", of("chess").substr(0, of("chess").find(",\"sort")) + "}")
            .body,
        HasSubstr(R"("count":2)"));
    EXPECT_THAT(ask(400, "/people/_search", of("chess", R"(,"store":true)")),
                HasSubstr("[terms] query does not support [store]"));
    EXPECT_THAT(ask(400, "/people/_search",
                    R"({"query":{"terms":{"name":{"index":"groups","path":"members"}}}})"),
                HasSubstr("[terms] query lookup element requires specifying the id."));
}

TEST_F(SearchParts, TermsOfOneRequestAreBounded) {
    std::string numbers = "1";
    for (int i = 2; i <= 40'000; ++i)
        numbers += "," + std::to_string(i);
    put("groups", "many", "{\"n\":[" + numbers + "]}");
    put("groups", "one", R"({"n":1})");
    const auto lookups = [](const std::string& id, int count) {
        std::string all;
        for (int i = 0; i < count; ++i)
            all += std::string(i == 0 ? "" : ",") + R"({"terms":{"n":{"index":"groups","id":")" +
                   id + R"(","path":"n"}}})";
        return R"({"size":0,"query":{"bool":{"should":[)" + all + "]}}}";
    };
    EXPECT_THAT(ask(200, "/groups/_search", lookups("many", 1)), HasSubstr(R"("value":2)"));
    EXPECT_THAT(ask(400, "/groups/_search", lookups("many", 2)), HasSubstr("[65536]"));
    EXPECT_THAT(ask(200, "/groups/_search", lookups("one", 100)), HasSubstr(R"("value":2)"));
    EXPECT_THAT(ask(400, "/groups/_search", lookups("one", 101)),
                HasSubstr("may look up the terms of at most [100] documents"));
}

TEST_F(SearchParts, IndicesCountMoreOrLess) {
    put("east", "e", R"({"word":"sun"})");
    put("west", "w", R"({"word":"sun"})");
    const auto boosted = [](const std::string& boosts) {
        return R"({"query":{"match":{"word":"sun"}},"indices_boost":)" + boosts + "}";
    };
    EXPECT_EQ(ids(ask(200, "/_search", boosted(R"([{"west":2}])"))), "w e");
    EXPECT_EQ(ids(ask(200, "/_search", boosted(R"({"east":2,"west":1})"))), "e w");
    EXPECT_EQ(ids(ask(200, "/_search", boosted(R"([{"w*":0.5},{"west":9}])"))), "e w");
    EXPECT_THAT(ask(404, "/_search", boosted(R"([{"north":2}])")),
                HasSubstr("no such index [north]"));
    EXPECT_EQ(
        ids(ask(200, "/_search?ignore_unavailable=true", boosted(R"([{"north":2},{"west":3}])"))),
        "w e");
    EXPECT_THAT(ask(400, "/_search", boosted(R"([{"west":"much"}])")),
                HasSubstr("must be a number"));
    std::string many = R"([{"west":2})";
    for (int i = 1; i < 1000; ++i)
        many += R"(,{"west":1})";
    EXPECT_EQ(ids(ask(200, "/_search", boosted(many + "]"))), "w e");
    EXPECT_THAT(ask(400, "/_search", boosted(many + R"(,{"west":1}])")),
                HasSubstr("[indices_boost] has more than [1000] entries"));
}

TEST_F(SearchParts, SlicesTogetherAreTheWhole) {
    node.indices->create("wide", R"({"settings":{"number_of_shards":3}})");
    node.indices->create("thin", "");
    for (int i = 0; i < 60; ++i) {
        put("wide", std::to_string(i), R"({"n":1})", i % 5 == 0 ? "elsewhere" : "");
        put("thin", std::to_string(i), R"({"n":1})");
    }
    for (const std::string index : {"wide", "thin"}) {
        for (const int max : {2, 4, 7}) {
            std::size_t found = 0;
            for (int id = 0; id < max; ++id) {
                const std::string slice = R"({"size":60,"slice":{"id":)" + std::to_string(id) +
                                          R"(,"max":)" + std::to_string(max) + "}}";
                const std::string all = ids(ask(200, "/" + index + "/_search?scroll=1m", slice));
                const auto blanks = std::count(all.begin(), all.end(), ' ');
                EXPECT_LT(blanks, 59) << index << slice;
                found += all.empty() ? 0 : static_cast<std::size_t>(blanks) + 1;
            }
            EXPECT_EQ(found, 60) << index << max;
        }
    }
}

TEST_F(SearchParts, SlicesGoByTheShardsOfTheirPointInTime) {
    node.indices->create("wide", R"({"settings":{"number_of_shards":3}})");
    for (int i = 0; i < 30; ++i)
        put("wide", std::to_string(i), "{}");
    const std::string opened = call("POST", "/wide/_pit?keep_alive=1m").body;
    const std::string pit = opened.substr(7, opened.find('"', 7) - 7);
    std::size_t found = 0;
    for (int id = 0; id < 2; ++id) {
        const std::string all =
            ids(ask(200, "/_search",
                    R"({"size":30,"pit":{"id":")" + pit + R"("},"slice":{"max":2,"id":)" +
                        std::to_string(id) + "}}"));
        found += static_cast<std::size_t>(std::count(all.begin(), all.end(), ' ')) + 1;
        if (id > 0) continue;
        node.indices->remove("wide");
        node.indices->create("wide", "");
    }
    EXPECT_EQ(found, 30);
}

TEST_F(SearchParts, SlicesThatCannotBe) {
    put("a", "1", "{}");
    EXPECT_THAT(ask(400, "/a/_search", R"({"slice":{"id":0,"max":2}})"),
                HasSubstr("[slice] can only be used with [scroll] or [point-in-time] requests"));
    EXPECT_THAT(ask(400, "/a/_search?scroll=1m", R"({"slice":{"id":2,"max":2}})"),
                HasSubstr("max must be greater than id"));
    EXPECT_THAT(ask(400, "/a/_search?scroll=1m", R"({"slice":{"id":0,"max":1}})"),
                HasSubstr("max must be greater than 1"));
    EXPECT_THAT(ask(400, "/a/_search?scroll=1m", R"({"slice":{"id":0,"max":1025}})"),
                HasSubstr("The number of slices [1025] is too large. It must be less than [1024]"));
}

TEST_F(SearchParts, MarksWhatAQueryOfItsOwnLooksFor) {
    put("docs", "1", R"({"text":"one bridge and two rivers"})");
    EXPECT_THAT(ask(200, "/docs/_search",
                    R"({"highlight":{"fields":{"text":{"highlight_query":)"
                    R"({"prefix":{"text":"riv"}}}}}})"),
                HasSubstr("one bridge and two <em>rivers</em>"));
    EXPECT_THAT(ask(400, "/docs/_search",
                    R"({"highlight":{"fields":{"text":{"highlight_query":{"x":{}}}}}})"),
                HasSubstr("unknown query [x]"));
}

}  // namespace
}  // namespace penstock::serve
