// What a search's parameters and limits do.
#include <gmock/gmock.h>

#include "tests/unit/serve/fixture.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SearchOptions : public ServeFixture {
  protected:
    SearchOptions() {
        add_search_routes(router, node);
        node.indices->create(
            "birds",
            R"({"settings":{"index.max_result_window":20,"index.max_docvalue_fields_search":1},)"
            R"("mappings":{"properties":{"v":{"type":"dense_vector","dims":2,)"
            R"("similarity":"l2_norm"},"eggs":{"type":"long"}}}})");
        put("birds", "wren", R"({"says":"a trill. then a rattle","eggs":[2,5,9],"v":[0,1]})");
        put("birds", "rook", R"({"says":"a caw","eggs":[4],"v":[0,2]})");
        put("birds", "coot", R"({"says":"a honk","eggs":[3,4],"v":[0,4]})");
    }
    void put(const std::string& index, const std::string& id, const std::string& source) {
        io::WriteItem item;
        item.id = id;
        item.source = source;
        std::vector<io::ItemResult> results;
        node.store->bulk(index, std::span(&item, 1), results);
        ASSERT_TRUE(results.front().ok()) << results.front().error_reason;
    }
    std::string ask(int status, const std::string& parameters, const std::string& body = "",
                    const std::string& path = "/birds/_search") {
        const Response response = call("POST", path + parameters, body);
        EXPECT_EQ(response.status, status) << parameters << body << response.body;
        return response.body;
    }
};

TEST_F(SearchOptions, NumbersBelowTheirLeastAreRefused) {
    EXPECT_THAT(ask(400, "?from=-3"), HasSubstr("[from] parameter cannot be negative, found [-3]"));
    EXPECT_THAT(ask(400, "?size=-1"), HasSubstr("[size] parameter cannot be negative, found [-1]"));
    EXPECT_THAT(ask(400, "?batched_reduce_size=1"), HasSubstr("batchedReduceSize must be >= 2"));
    EXPECT_THAT(ask(400, "?pre_filter_shard_size=0"), HasSubstr("preFilterShardSize must be >= 1"));
    EXPECT_THAT(ask(400, "?max_concurrent_shard_requests=0"),
                HasSubstr("maxConcurrentShardRequests must be >= 1"));
    EXPECT_THAT(ask(400, "?terminate_after=-1"), HasSubstr("terminateAfter must be > 0"));
    EXPECT_THAT(ask(400, "?terminate_after=-1", "", "/none/_count"),
                HasSubstr("terminateAfter must be > 0"));
    EXPECT_THAT(ask(400, "?track_total_hits=-2"),
                HasSubstr("[track_total_hits] parameter must be positive or equals to -1, got -2"));
}

TEST_F(SearchOptions, ABareTotalIsExact) {
    EXPECT_THAT(ask(400, "?rest_total_hits_as_int=true", R"({"track_total_hits":2})"),
                HasSubstr("[rest_total_hits_as_int] cannot be used if the tracking of total hits "
                          "is not accurate, got 2"));
    EXPECT_THAT(ask(200, "?rest_total_hits_as_int=true&track_total_hits=true"),
                HasSubstr(R"("total":3)"));
    EXPECT_THAT(ask(200, "?rest_total_hits_as_int=true&track_total_hits=false"),
                HasSubstr(R"("total":-1)"));
}

TEST_F(SearchOptions, SearchTypes) {
    EXPECT_THAT(ask(400, "?search_type=query_and_fetch"),
                HasSubstr("Unsupported search type [query_and_fetch]"));
    EXPECT_THAT(ask(400, "?search_type=guess"), HasSubstr("No search type for [guess]"));
    ask(200, "?search_type=dfs_query_then_fetch");
    EXPECT_THAT(ask(400, "?search_type=query_then_fetch",
                    R"({"knn":{"field":"v","query_vector":[0,0],"k":1}})"),
                HasSubstr("cannot set [search_type] when using [knn] search"));
}

TEST_F(SearchOptions, LimitsAreThoseOfTheIndex) {
    EXPECT_THAT(ask(400, "?from=15&size=6"),
                HasSubstr("must be less than or equal to: [20] but was [21]"));
    EXPECT_THAT(ask(400, "?size=21&scroll=1m"),
                HasSubstr("Batch size is too large, size must be less than or equal to: [20]"));
    EXPECT_THAT(ask(400, "?docvalue_fields=eggs,says"),
                HasSubstr("Trying to retrieve too many docvalue_fields. Must be less than or equal "
                          "to: [1] but was [2]"));
    EXPECT_THAT(ask(200, "?docvalue_fields=eggs&q=_id:rook"),
                HasSubstr(R"("fields":{"eggs":[4]})"));
}

TEST_F(SearchOptions, LimitsChangeWithTheSettings) {
    node.indices->put_settings("birds", R"({"index.max_result_window":30})");
    ask(200, "?size=30");
    node.indices->put_settings("birds", R"({"index.max_result_window":null})");
    ask(200, "?size=10000");
    EXPECT_THAT(ask(400, "?size=10001"), HasSubstr("less than or equal to: [10000]"));
    open();
    EXPECT_THAT(ask(400, "?docvalue_fields=eggs,says"), HasSubstr("[1] but was [2]"));
}

TEST_F(SearchOptions, EndsWhenEnoughIsFound) {
    EXPECT_THAT(ask(200, "?terminate_after=2&size=0"),
                AllOf(HasSubstr(R"("terminated_early":true)"), HasSubstr(R"("value":2)")));
    EXPECT_THAT(ask(200, "", R"({"terminate_after":5,"query":{"exists":{"field":"eggs"}}})"),
                AllOf(HasSubstr(R"("terminated_early":false)"), HasSubstr(R"("value":3)")));
    const std::string retriever =
        R"("retriever":{"standard":{"query":{"exists":{"field":"eggs"}}}})";
    const std::string most = R"("terminate_after":2)";
    for (const std::string& body : {retriever + "," + most, most + "," + retriever})
        EXPECT_THAT(ask(200, "", "{" + body + "}"),
                    AllOf(HasSubstr(R"("terminated_early":true)"), HasSubstr(R"("value":2)")));
    EXPECT_THAT(ask(200, "?terminate_after=1", "", "/birds/_count"),
                HasSubstr(R"({"count":1,"terminated_early":true,)"));
    EXPECT_THAT(ask(200, "?min_score=2", "", "/birds/_count"), HasSubstr(R"({"count":0,)"));
}

TEST_F(SearchOptions, HitsWithoutAnythingStored) {
    EXPECT_THAT(ask(200, "?stored_fields=_none_"),
                AllOf(Not(HasSubstr(R"("_id")")), Not(HasSubstr("_source"))));
    EXPECT_THAT(ask(200, "", R"({"stored_fields":[]})"),
                AllOf(HasSubstr(R"("_id")"), Not(HasSubstr("_source"))));
    EXPECT_THAT(ask(400, "?stored_fields=_none_,says"), HasSubstr("cannot combine _none_"));
}

TEST_F(SearchOptions, SeveralValuesAreSortedByOneNumber) {
    const auto order = [&](const std::string& mode) {
        const std::string response =
            ask(200, "?filter_path=hits",
                R"({"_source":false,"sort":[{"eggs":{"order":"desc","mode":")" + mode + R"("}}]})");
        std::string found;
        for (std::size_t at = 0; (at = response.find(R"("sort":[)", at)) != std::string::npos;) {
            at += 8;
            found += response.substr(at, response.find(']', at) - at) + " ";
        }
        return found;
    };
    EXPECT_EQ(order("sum"), "16 7 4 ");
    EXPECT_EQ(order("avg"), "5 4 4 ");
    EXPECT_EQ(order("median"), "5 4 4 ");
    EXPECT_EQ(order("max"), "9 4 4 ");
    EXPECT_THAT(ask(400, "", R"({"sort":[{"eggs":{"mode":"best"}}]})"),
                HasSubstr("Unknown SortMode [best]"));
}

TEST_F(SearchOptions, TheBestScoreIsKnownWhereItComesFirst) {
    EXPECT_THAT(ask(200, "", R"({"sort":["_score",{"eggs":"asc"}]})"),
                HasSubstr(R"("max_score":1.0)"));
    EXPECT_THAT(ask(200, "", R"({"sort":[{"eggs":"asc"},"_score"]})"),
                HasSubstr(R"("max_score":null)"));
}

TEST_F(SearchOptions, NeighboursAreAsManyAsAreShown) {
    const std::string knn = R"("knn":{"field":"v","query_vector":[0,0])";
    EXPECT_THAT(ask(200, "", "{" + knn + R"(},"size":2})"), HasSubstr(R"("value":2)"));
    EXPECT_THAT(ask(200, "?size=1", "{" + knn + "}}"), HasSubstr(R"("value":1)"));
    EXPECT_THAT(ask(400, "", "{" + knn + R"(,"num_candidates":2}})"),
                HasSubstr("[num_candidates] cannot be less than [k]"));
    EXPECT_THAT(ask(200, "", R"({"size":1,"query":{)" + knn + R"(,"num_candidates":3}}})"),
                HasSubstr(R"("value":3)"));
}

TEST_F(SearchOptions, WhatEveryDocumentHasIsThere) {
    for (const char* field : {"_id", "_index", "_seq_no", "_version"})
        EXPECT_THAT(ask(200, "?size=0",
                        std::string(R"({"query":{"exists":{"field":")") + field + R"("}}})"),
                    HasSubstr(R"("value":3)"))
            << field;
    EXPECT_THAT(ask(400, "", R"({"query":{"exists":{"field":"_source"}}})"),
                HasSubstr("The _source field is not searchable"));
}

TEST_F(SearchOptions, MarksNoFurtherThanIsAskedFor) {
    const auto highlight = [](const std::string& options) {
        return R"({"query":{"match":{"says":"trill rattle"}},"highlight":{"fields":{"says":{)" +
               options + "}}}}";
    };
    EXPECT_THAT(ask(200, "", highlight(R"("max_analyzed_offset":10)")),
                HasSubstr("a <em>trill</em>. then a rattle"));
    EXPECT_THAT(ask(200, "", highlight(R"("max_analyzed_offset":"-1")")),
                HasSubstr("a <em>trill</em>. then a <em>rattle</em>"));
    EXPECT_THAT(ask(400, "", highlight(R"("max_analyzed_offset":0)")),
                HasSubstr("[max_analyzed_offset] must be a positive integer, or -1"));
    EXPECT_THAT(ask(400, "", highlight(R"("pre_tags":[])")),
                HasSubstr("pre_tags or post_tags must not be empty"));
}

TEST_F(SearchOptions, ScrollsAreNotCachedAndNamedByTheBodyFirst) {
    EXPECT_THAT(ask(400, "?scroll=1m&request_cache=true"),
                HasSubstr("[request_cache] cannot be used in a scroll context"));
    const std::string opened = ask(200, "?scroll=1m&size=2");
    const std::size_t at = opened.find(":\"") + 2;
    const std::string id = opened.substr(at, opened.find('"', at) - at);
    EXPECT_THAT(ask(200, "?scroll_id=other", R"({"scroll_id":")" + id + R"("})", "/_search/scroll"),
                HasSubstr(R"("value":3)"));
    const Response closed =
        call("DELETE", "/_search/scroll?scroll_id=other", R"({"scroll_id":[")" + id + R"("]})");
    EXPECT_EQ(closed.body, R"({"succeeded":true,"num_freed":1})");
}

TEST_F(SearchOptions, AllThatIsWrongWithAScrollIsTold) {
    EXPECT_THAT(ask(400, "?scroll=1m&size=0&from=2"),
                AllOf(HasSubstr("1: using [from] is not allowed in a scroll context;"),
                      HasSubstr("2: [size] cannot be [0] in a scroll context;")));
}

TEST_F(SearchOptions, NumbersAreShownByTheirFormat) {
    put("sums", "1",
        R"({"n":1234567.891,"k":0.5,"i":7,"neg":-0.126,"big":9007199254740993,"none":0,)"
        R"("least":-9223372036854775808})");
    const auto shown = [&](const std::string& field, const std::string& format) {
        const std::string response = ask(200, "",
                                         R"({"_source":false,"docvalue_fields":[{"field":")" +
                                             field + R"(","format":")" + format + R"("}]})",
                                         "/sums/_search");
        const std::size_t at = response.find(":[\"", response.find("fields")) + 3;
        return response.substr(at, response.find('"', at) - at);
    };
    EXPECT_EQ(shown("n", "#,##0.00"), "1,234,567.89");
    EXPECT_EQ(shown("n", "#"), "1234568");
    EXPECT_EQ(shown("k", "#.0"), ".5");
    EXPECT_EQ(shown("k", "0.###"), "0.5");
    EXPECT_EQ(shown("k", "0%"), "50%");
    EXPECT_EQ(shown("i", "000.0 kg"), "007.0 kg");
    EXPECT_EQ(shown("neg", "0.##"), "-0.13");
    EXPECT_EQ(shown("neg", "#"), "0");
    EXPECT_EQ(shown("big", "#"), "9007199254740993");
    EXPECT_EQ(shown("big", "#,##0%"), "900,719,925,474,099,300%");
    EXPECT_EQ(shown("least", "#.0#"), "-9223372036854775808.0");
    EXPECT_EQ(shown("none", "0%"), "0%");
    EXPECT_EQ(shown("none", "#.##"), "0");
    EXPECT_EQ(shown("none", "#.0"), ".0");
}

TEST_F(SearchOptions, SortedDatesAreShownAndTakenByTheirFormat) {
    put("days", "a", R"({"at":"2021-02-11T08:30:04.828Z","n":3})");
    put("days", "b", R"({"at":"2021-06-11T04:30:00Z","n":4})");
    const auto sorted = [](const std::string& format, const std::string& after) {
        return R"({"sort":[{"at":{"order":"asc","format":")" + format + R"("}}])" +
               (after.empty() ? "" : R"(,"search_after":[")" + after + "\"]") + "}";
    };
    EXPECT_THAT(ask(200, "", sorted("strict_date_optional_time", ""), "/days/_search"),
                HasSubstr(R"("sort":["2021-02-11T08:30:04.828Z"])"));
    EXPECT_THAT(
        ask(200, "", sorted("dd.MM.yyyy", "11.02.2021"), "/days/_search"),
        AllOf(HasSubstr(R"("sort":["11.02.2021"])"), HasSubstr(R"("sort":["11.06.2021"])")));
    EXPECT_THAT(ask(400, "", sorted("dd.MM.yyyy", "2021-02-11"), "/days/_search"),
                HasSubstr("failed to parse date field [2021-02-11] with format [dd.MM.yyyy]"));
    EXPECT_THAT(ask(200, "", R"({"sort":[{"n":{"format":"yyyy"}}]})", "/days/_search"),
                HasSubstr(R"("sort":[3])"));
}

TEST_F(SearchOptions, TermsAreAsManyAsTheIndexAllows) {
    node.indices->create("few", R"({"settings":{"index.max_terms_count":2}})");
    put("few", "1", R"({"n":1})");
    EXPECT_THAT(ask(200, "", R"({"query":{"terms":{"n":[1,2]}}})", "/few/_search"),
                HasSubstr(R"("value":1)"));
    const std::string most = R"({"terms":{"n":[1,2,3]}})";
    const std::string near = R"({"field":"v","query_vector":[0],"k":1,"filter":)" + most + "}";
    for (const std::string& body :
         {R"("query":{"bool":{"filter":)" + most + "}}", R"("post_filter":)" + most,
          R"("knn":)" + near, R"("retriever":{"standard":{"filter":)" + most + "}}",
          R"("retriever":{"rrf":{"retrievers":[{"standard":{}},{"knn":)" + near + "}]}}"})
        EXPECT_THAT(ask(400, "", "{" + body + "}", "/few/_search"),
                    HasSubstr("The number of terms [3] used in the Terms Query request has "
                              "exceeded the allowed maximum of [2]"));
    EXPECT_THAT(ask(400, "", R"({"query":)" + most + "}", "/few/_count"),
                HasSubstr("exceeded the allowed maximum of [2]"));
}

TEST_F(SearchOptions, RangesTakeDatesByTheirOwnFormat) {
    put("days", "a", R"({"at":"2021-02-11T08:30:04.828Z"})");
    put("days", "b", R"({"at":"2021-06-11T04:30:00Z"})");
    const auto found = [&](const std::string& bounds) {
        const std::string response =
            ask(200, "?size=0", R"({"query":{"range":{"at":{)" + bounds + "}}}}", "/days/_search");
        return response.substr(response.find("\"value\":") + 8, 1);
    };
    EXPECT_EQ(found(R"("format":"dd/MM/yyyy","gte":"11/02/2021","lte":"11/02/2021")"), "1");
    EXPECT_EQ(found(R"("format":"dd/MM/yyyy","gt":"11/02/2021")"), "1");
    EXPECT_EQ(found(R"("format":"dd/MM/yyyy||uuuu","gte":2021,"lt":"01/03/2021")"), "1");
    EXPECT_EQ(
        found(R"("format":"dd.MM.yyyy HH:mm","gte":"11.02.2021 08:30","lte":"11.02.2021 08:30")"),
        "1");
    EXPECT_EQ(found(R"("format":"dd.MM.yyyy","gte":"10.02.2021||+1d","lte":"now")"), "2");
    EXPECT_EQ(found(R"("format":"dd.MM.yyyy HH","lte":"11.02.2021 09","time_zone":"+02:00")"), "0");
    EXPECT_THAT(ask(400, "", R"({"query":{"range":{"at":{"format":"dd/MM/yyyy","gte":"2021"}}}})",
                    "/days/_search"),
                HasSubstr("failed to parse date field [2021]"));
    EXPECT_THAT(
        ask(400, "", R"({"query":{"range":{"at":{"format":"jj","gte":"2021"}}}})", "/days/_search"),
        HasSubstr("Unknown pattern letter: j"));
}

TEST_F(SearchOptions, DatesOfRangesAreAsExactAsTheyAreWritten) {
    put("days", "a", R"({"at":"2021-02-11T08:30:04.828Z"})");
    const auto found = [&](const std::string& format, const std::string& bounds) {
        const std::string response =
            ask(200, "?size=0",
                R"({"query":{"range":{"at":{"format":")" + format + R"(",)" + bounds + "}}}}",
                "/days/_search");
        return response.substr(response.find("\"value\":") + 8, 1);
    };
    const std::string pattern = "yyyy_MM_dd_HH";
    EXPECT_EQ(found(pattern, R"("lte":"2021_02_11_08")"), "1");
    EXPECT_EQ(found(pattern, R"("gt":"2021_02_11_08")"), "0");
    EXPECT_EQ(found(pattern, R"("lte":"2021_02_11_07")"), "0");
    const std::string optional = "strict_date_optional_time||dd/MM/yyyy";
    EXPECT_EQ(found(optional, R"("lte":"2021-02-11")"), "1");
    EXPECT_EQ(found(optional, R"("lte":"11/02/2021")"), "1");
    EXPECT_EQ(found(optional, R"("gt":"2021-02-11T08:30","lte":"2021-02-12")"), "0");
    EXPECT_EQ(found(optional, R"("lte":"2021-02-11T09:00","time_zone":"+02:00")"), "0");
    EXPECT_EQ(found(optional, R"("lte":"2021-02-11T09:00Z","time_zone":"+02:00")"), "1");
    EXPECT_EQ(found("iso8601", R"("lte":"2021-02-11T08:30:04.827Z")"), "0");
    EXPECT_EQ(found("iso8601", R"("gte":"2021-02-11T10:30:04.828+02:00","time_zone":"-03:00")"),
              "1");
    EXPECT_EQ(found("iso8601", R"("gt":"2021-02-11T10:30:04.828+02:00","time_zone":"-03:00")"),
              "0");
    EXPECT_EQ(found("date_hour_minute", R"("lte":"2021-02-11T08:30")"), "1");
    EXPECT_EQ(found("date_hour_minute_second", R"("gt":"2021-02-11T08:30:04")"), "0");
    EXPECT_EQ(found("date_time_no_millis", R"("lte":"2021-02-11T08:30:04Z")"), "1");
    EXPECT_EQ(found("date_time", R"("lte":"2021-02-11T08:30:04.827Z")"), "0");
    EXPECT_EQ(found("yyyy-MM-dd HH:mm XXX", R"("lte":"2021-02-11 10:30 +02:00")"), "1");
    EXPECT_EQ(found("yyyy-MM-dd HH XXX", R"("lte":"2021-02-11 13 +05:30")"), "0");
    EXPECT_EQ(found("yyyy-MM-dd HH XXX", R"("lte":"2021-02-11 14 +05:30")"), "1");
    EXPECT_EQ(found("epoch_millis||yyyy", R"("gte":1613032204828,"time_zone":"+02:00")"), "1");
    EXPECT_EQ(found("epoch_millis||yyyy", R"("gt":1613032204828,"time_zone":"-02:00")"), "0");
}

TEST_F(SearchOptions, PlacesOfDocumentsOrderOnlyOneState) {
    EXPECT_THAT(ask(400, "", R"({"sort":["_shard_doc"],"search_after":[0]})"),
                HasSubstr("[_shard_doc] sort field cannot be used without [point in time]"));
}

TEST_F(SearchOptions, WhatCannotBeAskedFailsAllOfSeveralSearches) {
    const std::string opened = call("POST", "/birds/_pit?keep_alive=1m").body;
    const std::size_t at = opened.find(":\"") + 2;
    const std::string id = opened.substr(at, opened.find('"', at) - at);
    const std::string pit = R"({"pit":{"id":")" + id + "\"}}\n";
    EXPECT_THAT(ask(200, "", "{}\n" + pit, "/_msearch"), HasSubstr(R"("value":3)"));
    EXPECT_THAT(ask(400, "", "{}\n{}\n{\"index\":\"birds\"}\n" + pit, "/_msearch"),
                HasSubstr("[indices] cannot be used with point in time"));
}

TEST_F(SearchOptions, LenientQueriesFindNothingWhereValuesCannotBe) {
    ask(400, "?q=eggs:blue");
    EXPECT_THAT(ask(200, "?q=eggs:blue&lenient=true"), HasSubstr(R"("value":0)"));
}

}  // namespace
}  // namespace penstock::serve
