// Searches as clients send them, and the responses' shapes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "engine/document/json.h"
#include "engine/document/utf8.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/highlight.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class SearchApi : public ServeFixture {
  protected:
    SearchApi() {
        add_search_routes(router, node);
        put("books", "1", R"({"title":"Snow Crash","pages":470,"genre":"sf","when":"1992-06-01"})");
        put("books", "2",
            R"({"title":"Revelation Space","pages":585,"genre":"sf",)"
            R"("when":"2000-03-15"})");
        put("books", "3",
            R"({"title":"Brave New World. A world of its own.","pages":268,)"
            R"("genre":"classic","when":"1932-06-01"})");
    }
    void put(const std::string& index, const std::string& id, const std::string& source) {
        io::WriteItem item;
        item.id = id;
        item.source = source;
        std::vector<io::ItemResult> results;
        node.store->bulk(index, std::span(&item, 1), results);
        ASSERT_TRUE(results.front().ok()) << results.front().error_reason;
    }
    std::string search(const std::string& body, const std::string& parameters = "") {
        const Response response = call("POST", "/books/_search" + parameters, body);
        EXPECT_EQ(response.status, 200) << response.body;
        return response.body;
    }
    std::vector<std::string> ids(const std::string& response) {
        document::Arena arena;
        document::Value value;
        document::JsonError error;
        document::JsonParser().parse(response, arena, value, error);
        std::vector<std::string> all;
        for (const document::Value& hit :
             value.as_object().get("hits")->as_object().get("hits")->as_array())
            all.emplace_back(hit.as_object().get("_id")->as_string());
        return all;
    }
    std::string refusal(int status, const std::string& body, const std::string& parameters = "") {
        const Response response = call("POST", "/books/_search" + parameters, body);
        EXPECT_EQ(response.status, status) << response.body;
        return response.body;
    }
    static std::string member(const std::string& response, const std::string& name) {
        const std::string begin = "\"" + name + "\":\"";
        const std::size_t at = response.find(begin);
        if (at == std::string::npos) return "";
        return response.substr(at + begin.size(),
                               response.find('"', at + begin.size()) - at - begin.size());
    }
};

TEST_F(SearchApi, AnswersInElasticsearchsShape) {
    EXPECT_THAT(
        search(R"({"query":{"term":{"genre.keyword":"classic"}}})"),
        MatchesRegex(R"(\{"took":[0-9]+,"timed_out":false,"_shards":\{"total":1,)"
                     R"("successful":1,"skipped":0,"failed":0\},"hits":\{"total":\{"value":)"
                     R"(1,"relation":"eq"\},"max_score":[0-9.]+,"hits":\[\{"_index":"books",)"
                     R"("_id":"3","_score":[0-9.]+,"_source":\{.*\}\}\]\}\})"));
    EXPECT_THAT(search(R"({"query":{"match_all":{}},"size":1})"),
                HasSubstr(R"("total":{"value":3,"relation":"eq"},"max_score":1.0,"hits":[{)"));
    EXPECT_THAT(search("", "?rest_total_hits_as_int=true"), HasSubstr(R"("total":3,)"));
    EXPECT_THAT(search(R"({"track_total_hits":2})"), HasSubstr(R"({"value":2,"relation":"gte"})"));
    EXPECT_THAT(search(R"({"track_total_hits":false})"), Not(HasSubstr("total\":{\"value")));
    EXPECT_THAT(search(R"({"size":0})"), HasSubstr(R"("max_score":null,"hits":[])"));
    EXPECT_THAT(search(R"({"version":true,"seq_no_primary_term":true,"size":1})"),
                HasSubstr(R"("_version":1,"_seq_no":0,"_primary_term":1,"_score":1.0)"));
    EXPECT_EQ(call("GET", "/_search").status, 200);
    EXPECT_EQ(call("GET", "/none/_search").status, 404);
    EXPECT_THAT(call("GET", "/none/_search?ignore_unavailable=true").body,
                HasSubstr(R"("total":{"value":0,"relation":"eq"},"max_score":null)"));
}

TEST_F(SearchApi, FindsByQueryStringAndCounts) {
    EXPECT_THAT(ids(search("", "?q=genre:sf")), ElementsAre("1", "2"));
    EXPECT_THAT(ids(search("", "?q=pages:470")), ElementsAre("1"));
    EXPECT_THAT(ids(search(R"({"query":{"term":{"_id":1}}})")), ElementsAre("1"));
    EXPECT_THAT(call("GET", "/books/_count?q=world").body,
                HasSubstr(R"({"count":1,"_shards":{"total":1)"));
    EXPECT_THAT(call("POST", "/books/_count", R"({"query":{"range":{"pages":{"gt":300}}}})").body,
                HasSubstr(R"("count":2)"));
}

TEST_F(SearchApi, SortsAndPages) {
    const std::string first = search(R"({"sort":[{"pages":"desc"},"_doc"],"size":2})");
    EXPECT_THAT(ids(first), ElementsAre("2", "1"));
    EXPECT_THAT(first, HasSubstr(R"("_score":null)"));
    EXPECT_THAT(first, HasSubstr(R"("sort":[470,0])"));
    EXPECT_THAT(ids(search(R"({"sort":[{"pages":"desc"},"_doc"],"search_after":[470,0]})")),
                ElementsAre("3"));
    EXPECT_THAT(search(R"({"sort":[{"when":{"order":"asc"}}],"size":1})"),
                HasSubstr(R"("sort":[-1186099200000])"));
    EXPECT_THAT(ids(search("", "?sort=genre.keyword:asc,pages:desc")), ElementsAre("3", "2", "1"));
    EXPECT_THAT(ids(search(R"({"from":1,"size":1,"sort":"pages"})")), ElementsAre("1"));
    EXPECT_THAT(refusal(400, R"({"from":9999,"size":2})"), HasSubstr("Result window is too large"));
    EXPECT_THAT(refusal(400, R"({"sort":"title"})"), HasSubstr("Fielddata is disabled on [title]"));
    EXPECT_THAT(refusal(400, R"({"sort":"nope"})"), HasSubstr("No mapping found for [nope]"));
}

TEST_F(SearchApi, FiltersSourcesAndFields) {
    EXPECT_THAT(search(R"({"_source":["ti*"],"size":1})"),
                HasSubstr(R"("_source":{"title":"Snow Crash"})"));
    EXPECT_THAT(search(R"({"_source":false,"size":1})"), Not(HasSubstr("_source")));
    EXPECT_THAT(search(R"({"_source":{"excludes":["title","when","genre"]},"size":1})"),
                HasSubstr(R"("_source":{"pages":470})"));
    EXPECT_THAT(search("", "?_source=pages&size=1"), HasSubstr(R"("_source":{"pages":470})"));
    EXPECT_THAT(search(R"({"fields":["pag*"],"_source":false,"size":1})"),
                HasSubstr(R"("fields":{"pages":[470]})"));
}

TEST_F(SearchApi, Highlights) {
    EXPECT_THAT(
        search(R"({"query":{"match":{"title":"world"}},"highlight":{"fields":{"title":{}}}})"),
        HasSubstr(R"("highlight":{"title":["Brave New <em>World</em>. A <em>world</em> of )"
                  R"(its own."]})"));
    HighlightField field;
    field.fragment_size = 20;
    field.before = "[";
    field.behind = "]";
    EXPECT_THAT(
        fragments_of("One here. Two \1words\2 there. And the third \1words\2 follows.", field),
        ElementsAre("Two [words] there.", "And the third [words] follows."));
    field.fragments = 0;
    EXPECT_THAT(fragments_of("a \1b\2 c", field), ElementsAre("a [b] c"));
}

TEST_F(SearchApi, Aggregates) {
    const std::string found = search(
        R"({"size":0,"aggs":{"g":{"terms":{"field":"genre.keyword"},"aggs":)"
        R"({"p":{"avg":{"field":"pages"}}}},"most":{"max":{"field":"pages"}},)"
        R"("n":{"value_count":{"field":"pages"}},)"
        R"("y":{"date_histogram":{"field":"when","calendar_interval":"year","min_doc_count":1}}}})");
    EXPECT_THAT(found, HasSubstr(R"("g":{"doc_count_error_upper_bound":0,"sum_other_doc_count":0,)"
                                 R"("buckets":[{"key":"sf","doc_count":2,"p":{"value":527.5}},)"
                                 R"({"key":"classic","doc_count":1,"p":{"value":268.0}}]})"));
    EXPECT_THAT(found, HasSubstr(R"("most":{"value":585.0})"));
    EXPECT_THAT(found, HasSubstr(R"("n":{"value":3})"));
    EXPECT_THAT(found,
                HasSubstr(R"({"key":946684800000,"key_as_string":"2000-01-01T00:00:00.000Z",)"
                          R"("doc_count":1})"));
    EXPECT_THAT(search(R"({"aggs":{"g":{"terms":{"field":"genre.keyword"}}}})", "?typed_keys=true"),
                HasSubstr(R"("sterms#g":)"));
    EXPECT_THAT(refusal(400, R"({"aggs":{"g":{"terms":{"field":"genre"}}}})"),
                HasSubstr("Fielddata is disabled"));
    EXPECT_THAT(refusal(400, R"({"aggs":{"g":{"geohash_grid":{"field":"x"}}}})"),
                HasSubstr("unknown or not supported"));
}

TEST_F(SearchApi, ScrollsOverOneState) {
    const std::string first = search(R"({"size":2,"sort":["_doc"]})", "?scroll=1m");
    const std::string id = member(first, "_scroll_id");
    EXPECT_THAT(ids(first), ElementsAre("1", "2"));
    put("books", "4", R"({"title":"late"})");
    EXPECT_EQ(node.indices->open_contexts("books"), 1);
    const std::string body = R"({"scroll":"1m","scroll_id":")" + id + "\"}";
    const std::string second = call("POST", "/_search/scroll", body).body;
    EXPECT_THAT(ids(second), ElementsAre("3"));
    EXPECT_THAT(second, HasSubstr(R"("total":{"value":3,)"));
    EXPECT_THAT(ids(call("POST", "/_search/scroll", body).body), ElementsAre());
    EXPECT_EQ(call("DELETE", "/_search/scroll", R"({"scroll_id":[")" + id + "\"]}").body,
              R"({"succeeded":true,"num_freed":1})");
    EXPECT_EQ(node.indices->open_contexts("books"), 0);
    const Response gone = call("POST", "/_search/scroll", body);
    EXPECT_EQ(gone.status, 404);
    EXPECT_THAT(gone.body, HasSubstr("search_context_missing_exception"));
    EXPECT_THAT(refusal(400, R"({"from":1})", "?scroll=1m"), HasSubstr("using [from]"));
    EXPECT_EQ(call("DELETE", "/_search/scroll/_all").status, 404);
}

TEST_F(SearchApi, ScrollsAreBoundedInNumber) {
    for (int i = 0; i < 500; ++i)
        ASSERT_EQ(call("POST", "/books/_search?scroll=1m&size=1").status, 200);
    const Response refused = call("POST", "/books/_search?scroll=1m");
    EXPECT_EQ(refused.status, 429);
    EXPECT_THAT(refused.body, HasSubstr("Trying to create too many scroll contexts"));
    EXPECT_THAT(call("DELETE", "/_search/scroll/_all").body, HasSubstr("\"num_freed\":500"));
}

TEST_F(SearchApi, AllScrollsAreClosedOnlyWhereThatIsSaid) {
    ASSERT_EQ(call("POST", "/books/_search?scroll=1m&size=1").status, 200);
    for (const char* body : {"", "{}", R"({"scroll_id":[]})", R"({"scroll_id":7})",
                             R"({"scroll_id":[7]})", R"({"scroll_id":null})"}) {
        const Response refused = call("DELETE", "/_search/scroll", body);
        EXPECT_EQ(refused.status, 400) << body;
        EXPECT_THAT(refused.body, HasSubstr("no scroll ids specified")) << body;
    }
    EXPECT_EQ(node.indices->open_contexts("books"), 1);
    EXPECT_THAT(call("DELETE", "/_search/scroll", R"({"scroll_id":["_all"]})").body,
                HasSubstr("\"num_freed\":1"));
}

TEST_F(SearchApi, PointsInTime) {
    node.search_settings->max_keep_alive = std::chrono::minutes(2);
    EXPECT_THAT(
        call("POST", "/books/_pit?keep_alive=150s").body,
        HasSubstr("Keep alive for request (2.5m) is too large. It must be less than (2m)."));
    const std::string id = member(call("POST", "/books/_pit?keep_alive=1m").body, "id");
    put("books", "4", R"({"title":"late","pages":1})");
    const std::string pit = R"("pit":{"id":")" + id + R"(","keep_alive":"1m"})";
    const std::string first =
        call("POST", "/_search", R"({"size":1,"sort":[{"pages":"asc"}],)" + pit + "}").body;
    EXPECT_THAT(ids(first), ElementsAre("3"));
    EXPECT_THAT(first, HasSubstr(R"("sort":[268,2])"));
    EXPECT_THAT(ids(call("POST", "/_search",
                         R"({"sort":[{"pages":"asc"}],"search_after":[268,2],)" + pit + "}")
                        .body),
                ElementsAre("1", "2"));
    EXPECT_EQ(call("DELETE", "/_pit", R"({"id":")" + id + "\"}").body,
              R"({"succeeded":true,"num_freed":1})");
    EXPECT_EQ(call("POST", "/_search", "{" + pit + "}").status, 404);
    const std::string other = call("POST", "/books/_search/point_in_time?keep_alive=1m").body;
    EXPECT_EQ(call("DELETE", "/_search/point_in_time",
                   R"({"pit_id":[")" + member(other, "pit_id") + "\"]}")
                  .body,
              R"({"pits":[{"successful":true,"pit_id":")" + member(other, "pit_id") + "\"}]}");
}

TEST_F(SearchApi, SeveralSearchesAtOnce) {
    const std::string body = R"({"index":"books"})"
                             "\n"
                             R"({"query":{"match":{"title":"snow"}}})"
                             "\n{}\n"
                             R"({"query":{"foo":{}}})"
                             "\n"
                             R"({"index":"none"})"
                             "\n{}\n";
    const std::string answer = call("POST", "/_msearch", body).body;
    EXPECT_THAT(answer, HasSubstr(R"("_id":"1")"));
    EXPECT_THAT(answer, HasSubstr(R"(,"status":200},{"error":)"));
    EXPECT_THAT(answer, HasSubstr("unknown query [foo]"));
    EXPECT_THAT(answer, HasSubstr(R"("status":404})"));
}

TEST_F(SearchApi, VectorsAndFusion) {
    io::IndexSettings settings;
    settings.vectors = {{"v", 2, io::Similarity::l2_norm}};
    node.store->create("vec", settings);
    put("vec", "a", R"({"t":"red apple","v":[0,0]})");
    put("vec", "b", R"({"t":"green apple","v":[1,0]})");
    put("vec", "c", R"({"t":"stone","v":[9,0]})");
    EXPECT_THAT(
        ids(call("POST", "/vec/_search",
                 R"({"knn":{"field":"v","query_vector":[0.9,0],"k":2,"num_candidates":10}})")
                .body),
        ElementsAre("b", "a"));
    const std::string fused =
        call("POST", "/vec/_search",
             R"({"retriever":{"rrf":{"retrievers":[{"standard":{"query":{"match":{"t":"green"}}}},)"
             R"({"knn":{"field":"v","query_vector":[0,0],"k":2,"num_candidates":10}}],)"
             R"("rank_constant":1,"rank_window_size":10}}})")
            .body;
    EXPECT_THAT(ids(fused), ElementsAre("b", "a"));
    EXPECT_THAT(fused, HasSubstr(R"("_score":0.8333333)"));
    EXPECT_EQ(call("POST", "/vec/_search",
                   R"({"knn":{"field":"v","k":1,"query_vector_builder":{"text_embedding":)"
                   R"({"model_id":"m","model_text":"x"}}}})")
                  .status,
              404);
}

TEST_F(SearchApi, AliasFiltersHold) {
    node.indices->put_alias("books", "classics",
                            R"({"filter":{"term":{"genre.keyword":"classic"}}})");
    EXPECT_THAT(ids(call("GET", "/classics/_search").body), ElementsAre("3"));
    EXPECT_EQ(ids(call("GET", "/classics,books/_search").body).size(), 3U);
}

TEST_F(SearchApi, AliasFiltersHoldForNeighbours) {
    io::IndexSettings settings;
    settings.vectors = {{"v", 1, io::Similarity::l2_norm}};
    node.store->create("vec", settings);
    put("vec", "near", R"({"v":[1],"team":"red"})");
    put("vec", "far", R"({"v":[5],"team":"blue"})");
    node.indices->put_alias("vec", "blues", R"({"filter":{"term":{"team.keyword":"blue"}}})");
    const std::string clause = R"({"field":"v","query_vector":[0],"k":1,"num_candidates":5})";
    EXPECT_THAT(ids(call("POST", "/blues/_search", R"({"knn":)" + clause + "}").body),
                ElementsAre("far"));
    EXPECT_THAT(ids(call("POST", "/blues/_search", R"({"retriever":{"knn":)" + clause + "}}").body),
                ElementsAre("far"));
    EXPECT_THAT(ids(call("POST", "/blues/_search", R"({"query":{"knn":)" + clause + "}}").body),
                ElementsAre("far"));
}

TEST_F(SearchApi, PostFiltersHoldWhereverTheyStand) {
    const std::string filter = R"("post_filter":{"term":{"genre.keyword":"sf"}})";
    const std::string retriever = R"("retriever":{"standard":{"query":{"match_all":{}}}})";
    EXPECT_THAT(ids(search("{" + filter + "," + retriever + "}")), ElementsAre("1", "2"));
    EXPECT_THAT(ids(search("{" + retriever + "," + filter + "}")), ElementsAre("1", "2"));
}

TEST_F(SearchApi, GoesOnAfterValuesAsTheyAreWritten) {
    EXPECT_THAT(ids(search(R"({"sort":["pages"],"search_after":["300"]})")), ElementsAre("1", "2"));
    EXPECT_THAT(ids(search(R"({"sort":["when"],"search_after":["1992-01-01"]})")),
                ElementsAre("1", "2"));
    EXPECT_THAT(refusal(400, R"({"sort":["pages"],"search_after":["many"]})"),
                HasSubstr("Failed to parse search_after value for field [pages]"));
    EXPECT_THAT(refusal(400, R"({"sort":["pages"],"search_after":[[1]]})"),
                HasSubstr("found [START_ARRAY] inside [search_after]"));
    EXPECT_THAT(refusal(400, R"({"sort":[{"pages":{"missing":{}}}]})"),
                HasSubstr("found [START_OBJECT] inside [missing]"));
    put("books", "4", R"({"title":"undated"})");
    EXPECT_THAT(ids(search(R"({"sort":[{"when":{"missing":"1950-01-01"}}]})")),
                ElementsAre("3", "4", "1", "2"));
    EXPECT_THAT(
        search(R"({"size":0,"aggs":{"y":{"date_histogram":{"field":"when",)"
               R"("calendar_interval":"year","min_doc_count":1,"missing":"1950-01-01"}}}})"),
        HasSubstr(R"("key_as_string":"1950-01-01T00:00:00.000Z","doc_count":1)"));
    EXPECT_THAT(refusal(400, R"({"aggs":{"y":{"max":{"field":"pages","missing":"none"}}}})"),
                HasSubstr("Failed to parse [missing] of aggregation [y]"));
    EXPECT_THAT(refusal(400, R"({"aggs":{"y":{"max":{"field":"pages","missing":[1]}}}})"),
                HasSubstr("[missing] must be a value"));
}

TEST_F(SearchApi, HistogramsHaveOneBucketForEachKey) {
    for (const char* price : {"0.15", "0.75", "1.25"})
        put("shop", price, std::string(R"({"p":)") + price + R"(,"k":"word"})");
    const auto shop = [&](const std::string& aggregation) {
        return call("POST", "/shop/_search", R"({"size":0,"aggs":{"a":)" + aggregation + "}}");
    };
    const std::string tenths =
        shop(R"({"histogram":{"field":"p","interval":0.1},"aggs":{"m":{"max":{"field":"p"}}}})")
            .body;
    std::size_t buckets = 0;
    for (std::size_t at = 0; (at = tenths.find("\"key\":", at)) != std::string::npos; ++at)
        ++buckets;
    EXPECT_EQ(buckets, 12U) << tenths;
    EXPECT_THAT(tenths, HasSubstr(R"("doc_count":0,"m":{"value":null}})"));
    EXPECT_THAT(shop(R"({"histogram":{"field":"p","interval":1e-310}})").body,
                HasSubstr("[interval] must be >0"));
    EXPECT_THAT(shop(R"({"histogram":{"field":"p","interval":0}})").body,
                HasSubstr("[interval] must be >0"));
    put("huge", "1", R"({"x":1e300})");
    const std::string huge =
        call("POST", "/huge/_search",
             R"({"size":0,"aggs":{"a":{"histogram":{"field":"x","interval":1e-300}}}})")
            .body;
    EXPECT_THAT(huge, HasSubstr("is too small for the values of field [x]"));
    put("huge", "2", R"({"x":1.7e308})");
    put("huge", "3", R"({"x":1.7e308})");
    EXPECT_THAT(
        call("POST", "/huge/_search", R"({"size":0,"aggs":{"s":{"stats":{"field":"x"}}}})").body,
        HasSubstr(R"("avg":null,"sum":null)"));
}

TEST_F(SearchApi, FiguresAreOfNumbers) {
    for (const std::string kind : {"avg", "stats", "sum", "min", "max"})
        EXPECT_THAT(refusal(400, R"({"aggs":{"a":{")" + kind + R"(":{"field":"genre.keyword"}}}})"),
                    HasSubstr("Field [genre.keyword] of type [keyword] is not supported for "
                              "aggregation [" +
                              kind + "]"));
    EXPECT_THAT(search(R"({"size":0,"aggs":{"a":{"value_count":{"field":"genre.keyword"}}}})"),
                HasSubstr(R"({"value":3})"));
    EXPECT_THAT(search(R"({"size":0,"aggs":{"a":{"avg":{"field":"nowhere"}}}})"),
                HasSubstr(R"("a":{"value":null})"));
}

TEST_F(SearchApi, BucketsAreCountedForTheWholeResponse) {
    for (const char* n : {"0", "40000"})
        put("wide", n, std::string(R"({"n":)") + n + "}");
    const auto wide = [&](const std::string& aggregations) {
        return call("POST", "/wide/_search", R"({"size":0,"aggs":{)" + aggregations + "}}");
    };
    const std::string one = R"(:{"histogram":{"field":"n","interval":1}})";
    EXPECT_EQ(wide("\"a\"" + one).status, 200);
    const Response two = wide("\"a\"" + one + ",\"b\"" + one);
    EXPECT_EQ(two.status, 400);
    EXPECT_THAT(two.body, HasSubstr("too_many_buckets_exception"));
    EXPECT_THAT(two.body, HasSubstr(R"("max_buckets":65536)"));
}

TEST_F(SearchApi, HighlightsForHtmlAndWithoutMatch) {
    put("web", "1", R"({"t":"<script>alert('x')</script> a word & more","u":"nothing here"})");
    const auto web = [&](const std::string& highlight) {
        return call(
            "POST", "/web/_search",
            R"({"_source":false,"query":{"match":{"t":"word"}},"highlight":)" + highlight + "}");
    };
    EXPECT_THAT(web(R"({"encoder":"html","fields":{"t":{}}})").body,
                HasSubstr(R"("t":["&lt;script&gt;alert(&#x27;x&#x27;)&lt;&#x2F;script&gt; a )"
                          R"(<em>word</em> &amp; more"])"));
    EXPECT_THAT(web(R"({"fields":{"t":{}}})").body, HasSubstr("<script>"));
    EXPECT_THAT(web(R"({"encoder":"xml","fields":{"t":{}}})").body,
                HasSubstr("[encoder] is [default] or [html], not [xml]"));
    EXPECT_THAT(web(R"({"fields":{"u":{"no_match_size":9}}})").body,
                HasSubstr(R"("highlight":{"u":["nothing"]})"));
    EXPECT_THAT(web(R"({"fields":{"u":{"no_match_size":100}}})").body,
                HasSubstr(R"("highlight":{"u":["nothing here"]})"));
    EXPECT_THAT(web(R"({"fields":{"u":{}}})").body, Not(HasSubstr("highlight")));
}

TEST(Fragments, TakeTimeAsTheTextIsLong) {
    std::string text;
    for (int i = 0; i < 50'000; ++i)
        text += "some \1word\2 and ";
    HighlightField field;
    field.fragments = 1'000'000;
    field.fragment_size = 40;
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<std::string> fragments = fragments_of(text, field);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    EXPECT_GT(fragments.size(), 10'000U);
    std::size_t bytes = 0;
    for (const std::string& fragment : fragments)
        bytes += fragment.size();
    // No part of the text comes twice, and all marks are there: each is nine bytes long.
    EXPECT_LE(bytes, text.size() + 50'000U * 9);
}

TEST(Fragments, AreWholeCharacters) {
    std::string text;
    for (int i = 0; i < 200; ++i)
        text += "\u5317\u4eac\1\u6211\2";
    HighlightField field;
    field.fragment_size = 50;
    for (const std::string& fragment : fragments_of(text, field)) {
        std::string_view rest = fragment;
        while (!rest.empty()) {
            const std::size_t size = document::utf8_length(rest);
            ASSERT_GT(size, 0U) << fragment;
            rest.remove_prefix(size);
        }
    }
}

TEST_F(SearchApi, DatesAreShownAsAsked) {
    const auto shown = [&](const std::string& format) {
        return search(R"({"size":1,"_source":false,"fields":[{"field":"when","format":")" + format +
                      "\"}]}");
    };
    EXPECT_THAT(shown("epoch_millis"), HasSubstr(R"("fields":{"when":["707356800000"]})"));
    EXPECT_THAT(shown("epoch_second"), HasSubstr(R"("when":["707356800"])"));
    EXPECT_THAT(shown("strict_date_optional_time"),
                HasSubstr(R"("when":["1992-06-01T00:00:00.000Z"])"));
    EXPECT_THAT(shown("dd.MM.yy"), HasSubstr(R"("when":["01.06.92"])"));
    EXPECT_THAT(refusal(400, R"({"fields":[{"field":"when","format":"jj.MM"}]})"),
                HasSubstr("Unknown pattern letter: j"));
    EXPECT_THAT(refusal(400, R"({"fields":[{"field":"genre.keyword","format":"yyyy"}]})"),
                HasSubstr("Field [genre.keyword] of type [keyword] doesn't support formats."));
}

TEST_F(SearchApi, ValuesAreShownOnceInEachFormat) {
    const auto shown = [&](const std::string& fields) {
        return search(R"({"size":1,"_source":false,"fields":[)" + fields + "]}");
    };
    const std::string years = R"({"field":"when","format":"yyyy"},{"field":"wh*","format":"yyyy"})";
    EXPECT_THAT(shown(years + R"(,{"field":"when","format":"MM"},"when",)" + years),
                HasSubstr(R"("fields":{"when":["1992","06"]})"));
    EXPECT_THAT(refusal(400, R"({"fields":[{"field":"when","format":")" + std::string(1025, '\'') +
                                 "\"}]}"),
                HasSubstr("a format has at most [1024] bytes, not [1025]"));
    EXPECT_THAT(refusal(400, R"({"query":{"range":{"when":{"gte":"1","format":")" +
                                 std::string(1025, '\'') + "\"}}}}"),
                HasSubstr("a format has at most [1024] bytes, not [1025]"));
    std::string many;
    for (int i = 0; i <= 1000; ++i)
        many += R"({"field":"when","format":"')" + std::to_string(i) + R"('"},)";
    EXPECT_THAT(refusal(400, R"({"fields":[)" + many + "\"when\"]}"),
                HasSubstr("at most [1000] different formats"));
}

TEST_F(SearchApi, ManyValuesOfOneHitTakeTheirMemoryFromTheBudget) {
    std::string dates = R"("2020-01-01")";
    for (int i = 0; i < 2000; ++i)
        dates += R"(,"2020-01-01")";
    put("books", "4", R"({"when":[)" + dates + "]}");
    const std::string query =
        R"({"query":{"ids":{"values":["4"]}},"_source":false,"fields":[{"field":"when","format":"')" +
        std::string(1000, 'x') + R"('"}]})";
    ASSERT_TRUE(budget.take(budget.limit() - budget.used() - 1'000'000));
    const std::size_t refusals = budget.refusals();
    EXPECT_THAT(refusal(429, query), HasSubstr("data for [<search response>]"));
    EXPECT_EQ(budget.refusals(), refusals + 1);
}

TEST_F(SearchApi, TimeoutsAnswerWithWhatThereIs) {
    const std::string query = R"("query":{"range":{"pages":{"gt":1}}})";
    const std::string answer = search(R"({"timeout":"0ms",)" + query + "}");
    EXPECT_THAT(answer, HasSubstr(R"("timed_out":true)"));
    EXPECT_THAT(search("{" + query + "}", "?timeout=0ms"), HasSubstr(R"("timed_out":true)"));
    EXPECT_THAT(search(R"({"timeout":"1m",)" + query + "}"), HasSubstr(R"("timed_out":false)"));
    EXPECT_THAT(search(R"({"timeout":-1,)" + query + "}"), HasSubstr(R"("timed_out":false)"));
    EXPECT_THAT(refusal(400, R"({"timeout":"soon"})"), HasSubstr("as a time value"));
}

TEST_F(SearchApi, WhatAnIndexCannotAnswerFailsInTheQueryPhase) {
    const std::string body = refusal(400, R"({"query":{"term":{"pages":"many"}}})");
    EXPECT_THAT(body, HasSubstr(R"("type":"search_phase_execution_exception","reason":"all )"
                                R"(shards failed")"));
    EXPECT_THAT(body, HasSubstr(R"("root_cause":[{"type":"query_shard_exception","reason":)"));
    EXPECT_THAT(body, HasSubstr(R"("phase":"query","grouped":true,"failed_shards":[{"shard":0,)"
                                R"("index":"books","node":"node0000000000000000aa","reason":)"
                                R"({"type":"query_shard_exception")"));
    EXPECT_THAT(refusal(400, R"({"sort":"title"})"),
                HasSubstr(R"("type":"search_phase_execution_exception")"));
    EXPECT_THAT(refusal(400, R"({"aggs":{"a":{"terms":{"field":"title"}}}})"),
                HasSubstr(R"("type":"search_phase_execution_exception")"));
    EXPECT_THAT(refusal(400, R"({"query":{"foo":{}}})"),
                Not(HasSubstr("search_phase_execution_exception")));
}

TEST_F(SearchApi, AnIndexThatCannotAnswerKeepsNobodyFromTheOthers) {
    put("other", "1", R"({"pages":"many"})");
    for (const std::string query :
         {R"("sort":"pages")", R"("aggs":{"a":{"terms":{"field":"pages"}}})"}) {
        const Response response = call("POST", "/books,other/_search", "{" + query + "}");
        EXPECT_EQ(response.status, 200) << response.body;
        EXPECT_THAT(response.body,
                    HasSubstr(R"("_shards":{"total":2,"successful":1,"skipped":0,"failed":1,)"
                              R"("failures":[{"shard":0,"index":"other","node":)"
                              R"("node0000000000000000aa","reason":{"type":")"))
            << query;
        EXPECT_THAT(response.body, HasSubstr(R"("total":{"value":3,"relation":"eq"})")) << query;
        const Response whole = call(
            "POST", "/books,other/_search?allow_partial_search_results=false", "{" + query + "}");
        EXPECT_EQ(whole.status, 400) << query;
        EXPECT_THAT(whole.body, HasSubstr(R"("type":"search_phase_execution_exception","reason":)"
                                          R"("Partial shards failure")"));
        EXPECT_EQ(call("POST", "/other/_search", "{" + query + "}").status, 400) << query;
    }
    EXPECT_THAT(
        call("POST", "/books,other/_search", R"({"query":{"term":{"pages":"many"}}})").body,
        AllOf(HasSubstr(R"("failures":[{"shard":0,"index":"books",)"), HasSubstr(R"("_id":"1")"),
              HasSubstr(R"("total":{"value":1,"relation":"eq"})")));
    const std::string several =
        call("POST", "/_msearch",
             "{\"index\":\"books,other\"}\n{\"sort\":\"pages\"}\n"
             "{\"index\":\"books,other\",\"allow_partial_search_results\":false}\n"
             "{\"sort\":\"pages\"}\n")
            .body;
    EXPECT_THAT(several, MatchesRegex(R"(.*"failed":1,"failures":.*"status":200.*)"
                                      R"("reason":"Partial shards failure".*"status":400.*)"));
    // The retrievers of a fused search, a scroll.
    const std::string fused = R"({"retriever":{"rrf":{"retrievers":[
        {"standard":{"query":{"match":{"genre":"sf"}}}},
        {"standard":{"query":{"match_all":{}},"sort":"pages"}}]}}})";
    EXPECT_THAT(call("POST", "/books,other/_search", fused).body,
                HasSubstr(R"("total":2,"successful":1,"skipped":0,"failed":1)"));
    const std::string scroll =
        call("POST", "/books,other/_search?scroll=1m", R"({"sort":"pages","size":2})").body;
    EXPECT_THAT(scroll, HasSubstr(R"("total":2,"successful":1,"skipped":0,"failed":1)"));
    EXPECT_THAT(ids(call("POST", "/_search/scroll",
                         R"({"scroll_id":")" + member(scroll, "_scroll_id") + "\"}")
                        .body),
                ElementsAre("2"));
}

TEST_F(SearchApi, ADamagedIndexKeepsNobodyFromTheOthers) {
    put("bad", "1", R"({"pages":1})");
    damage("bad");
    Response response = call("POST", "/_search");
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_THAT(response.body,
                HasSubstr(R"("failed":1,"failures":[{"shard":0,"index":"bad","node":)"
                          R"("node0000000000000000aa","reason":{"type":)"
                          R"("no_shard_available_action_exception")"));
    EXPECT_THAT(response.body, HasSubstr(R"("total":{"value":3,"relation":"eq"})"));
    response = call("POST", "/_count");
    EXPECT_THAT(response.body, HasSubstr(R"({"count":3,"_shards":{"total":2,"successful":1,)"));
    EXPECT_EQ(call("POST", "/_search?allow_partial_search_results=false").status, 503);
    EXPECT_EQ(call("POST", "/_count?allow_partial_search_results=false").status, 503);
    EXPECT_EQ(call("POST", "/b*/_pit?keep_alive=1m").status, 503);
    EXPECT_EQ(call("POST", "/b*/_pit?keep_alive=1m&allow_partial_search_results=true").status, 200);
    response = call("POST", "/bad/_search");
    EXPECT_EQ(response.status, 503);
    EXPECT_THAT(response.body, HasSubstr("all shards failed"));
}

TEST_F(SearchApi, AnswersTakeTheirMemoryFromTheBudget) {
    const std::string text(200'000, 'x');
    put("books", "4", "{\"text\":\"" + text + "\"}");
    const std::string one = "{\"index\":\"books\"}\n{\"query\":{\"ids\":{\"values\":[\"4\"]}}}\n";
    ASSERT_TRUE(budget.take(budget.limit() - budget.used() - 1'000'000));
    EXPECT_EQ(call("POST", "/books/_search").status, 200);
    std::string many;
    for (int i = 0; i < 10; ++i)
        many += one;
    const Response several = call("POST", "/_msearch", many);
    EXPECT_EQ(several.status, 200);
    EXPECT_THAT(several.body, HasSubstr(R"("status":200)"));
    EXPECT_THAT(several.body, HasSubstr("circuit_breaking_exception"));
    EXPECT_LT(several.body.size(), 1'000'000U);
    ASSERT_TRUE(budget.take(700'000));
    const Response refused = call("POST", "/books/_search");
    EXPECT_EQ(refused.status, 429);
    EXPECT_THAT(refused.body, HasSubstr("data for [<search response>] would be"));
    EXPECT_EQ(budget.used(), budget.limit() - 300'000U) << "all is given back";
}

TEST_F(SearchApi, HitsTakeTheirMemoryFromTheBudget) {
    node.indices->put_settings("books", R"({"index.max_result_window":1000000000})");
    put("books", "4", "{\"text\":\"" + std::string(2'000'000, 'x') + "\"}");
    ASSERT_TRUE(budget.take(budget.limit() - budget.used() - 1'000'000));
    const std::string last = R"({"from":999999990,"sort":["text.keyword"]})";
    EXPECT_THAT(refusal(429, last), HasSubstr("data for [<search hits>] would be"));
    EXPECT_EQ(budget.used(), budget.limit() - 1'000'000U) << "all is given back";
}

TEST_F(SearchApi, ScrollsTakeTheirMemoryFromTheBudget) {
    const std::size_t before = budget.used();
    const std::string id =
        member(call("POST", "/books/_search?scroll=1m", R"({"size":1,"sort":["pages"]})").body,
               "_scroll_id");
    EXPECT_GT(budget.used(), before);
    call("DELETE", "/_search/scroll", R"({"scroll_id":")" + id + "\"}");
    EXPECT_EQ(budget.used(), before);
    ASSERT_TRUE(budget.take(budget.limit() - budget.used()));
    const Response refused = call("POST", "/books/_search?scroll=1m", R"({"size":1})");
    EXPECT_EQ(refused.status, 429);
    EXPECT_THAT(refused.body, HasSubstr("circuit_breaking_exception"));
    EXPECT_EQ(node.indices->open_contexts("books"), 0);
}

TEST_F(SearchApi, ContextsAreBoundedByTheIndicesTheyHold) {
    for (int i = 0; i < 10; ++i)
        put("many-" + std::to_string(i), "1", R"({"n":1})");
    for (int i = 0; i < 100; ++i)
        ASSERT_EQ(call("POST", "/many-*/_pit?keep_alive=1m").status, 200);
    const Response refused = call("POST", "/many-*/_pit?keep_alive=1m");
    EXPECT_EQ(refused.status, 429);
    EXPECT_THAT(refused.body, HasSubstr("Must be less than or equal to: [1000]"));
    EXPECT_EQ(call("POST", "/many-*/_search?scroll=1m").status, 429);
}

TEST_F(SearchApi, JoinsParentsAndChildren) {
    add_index_routes(router, node);
    add_document_routes(router, node);
    const std::string mapped =
        R"({"mappings":{"properties":{"j":{"type":"join","relations":{"question":"answer"}}}}})";
    ASSERT_EQ(call("PUT", "/qa", mapped).status, 200);
    const std::string answer = R"({"j":{"name":"answer","parent":"1"},"t":"yes"})";
    EXPECT_EQ(call("PUT", "/qa/_doc/1", R"({"j":"question"})").status, 201);
    EXPECT_EQ(call("PUT", "/qa/_doc/2?routing=1", answer).status, 201);
    const Response unrouted = call("PUT", "/qa/_doc/3", answer);
    EXPECT_EQ(unrouted.status, 400);
    EXPECT_THAT(unrouted.body, HasSubstr(R"("type":"document_parsing_exception","reason":)"
                                         R"("failed to parse: [routing] is missing for join )"
                                         R"(field [j]")"));
    const auto find = [&](const std::string& query) {
        return ids(call("POST", "/qa/_search", R"({"query":)" + query + "}").body);
    };
    EXPECT_THAT(find(R"({"parent_id":{"type":"answer","id":1}})"), ElementsAre("2"));
    EXPECT_THAT(find(R"({"has_parent":{"parent_type":"question","query":{"match_all":{}}}})"),
                ElementsAre("2"));
    EXPECT_THAT(find(R"({"has_child":{"type":"answer","query":{"match":{"t":"yes"}}}})"),
                ElementsAre("1"));
    const std::string unmapped = R"({"query":{"has_child":{"type":"x","query":{"match_all":{}}}}})";
    EXPECT_THAT(call("POST", "/qa/_search", unmapped).body,
                HasSubstr("[has_child] join field [j] doesn't hold [x] as a child"));
    const Response second = call("PUT", "/qa/_mapping", R"({"properties":{"k":{"type":"join"}}})");
    EXPECT_EQ(second.status, 400);
    EXPECT_THAT(second.body, HasSubstr("Only one [parent-join] field can be defined per index"));
    EXPECT_EQ(call("GET", "/qa/_mapping").body,
              R"({"qa":{"mappings":{"properties":{"j":{"type":"join","relations":)"
              R"({"question":"answer"}},"t":{"type":"text","fields":{"keyword":{"type":)"
              R"("keyword","ignore_above":256}}}}}}})");
}

TEST_F(SearchApi, RefusesWhatItCannotDo) {
    EXPECT_THAT(refusal(400, R"({"query":{"foo":{}}})"),
                HasSubstr(R"("type":"parsing_exception","reason":"unknown query [foo]","line":1)"));
    EXPECT_THAT(refusal(400, R"({"collapse":{"field":"x"}})"), HasSubstr("[collapse] is not"));
    EXPECT_THAT(refusal(400, R"({"bla":1})"), HasSubstr("unknown key [bla]"));
    EXPECT_THAT(refusal(400, "{"), HasSubstr("parsing_exception"));
    EXPECT_THAT(refusal(400, R"({"size":-1})"), HasSubstr("cannot be negative"));
}

}  // namespace
}  // namespace penstock::serve
