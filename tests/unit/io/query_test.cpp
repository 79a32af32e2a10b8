// Queries over the embedded index: what they find, how they rank, what they refuse.
#include "engine/io/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/document/json.h"
#include "engine/io/date_math.h"
#include "engine/io/index_snapshot.h"
#include "tests/unit/io/scratch.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class QueryTest : public Scratch {
  protected:
    QueryTest() : store_(IndexStore::open(dir_)) {}

    void put(const std::string& id, const std::string& source, const std::string& index = "i") {
        WriteItem item;
        item.id = id;
        item.source = source;
        std::vector<ItemResult> results;
        store_->bulk(index, std::span(&item, 1), results);
        ASSERT_TRUE(results.front().ok()) << results.front().error_reason;
    }

    FoundDocuments search(const DocumentSearch& search,
                          const std::vector<std::string>& indices = {"i"},
                          const std::shared_ptr<const Query>& filter = nullptr) {
        parts_.clear();
        for (const std::string& index : indices)
            parts_.push_back({store_->snapshot(index), filter});
        return search_documents(parts_, search);
    }

    static std::shared_ptr<const Query> knn(const std::string& clause) {
        document::Arena arena;
        document::Value value;
        document::JsonError error;
        document::JsonParser().parse(clause, arena, value, error);
        return Query::knn(value);
    }

    std::vector<std::string> ids(const FoundDocuments& found) {
        std::vector<std::string> all;
        for (const FoundDocument& one : found.hits)
            all.push_back(parts_[one.part].snapshot->document(one.seq_no, false)->id);
        return all;
    }

    std::vector<std::string> find(const std::string& query) {
        DocumentSearch all;
        all.query = Query::parse(query);
        all.size = 100;
        const FoundDocuments found = search(all);
        EXPECT_EQ(found.total, found.hits.size());
        return ids(found);
    }

    std::vector<std::string> find_text(const std::string& text) {
        DocumentSearch all;
        all.query = Query::from_text(text);
        return ids(search(all));
    }

    std::string refusal(const std::string& query) {
        try {
            find(query);
        } catch (const QueryError& error) {
            return error.type() + ": " + error.what();
        }
        return "none";
    }

    std::shared_ptr<IndexStore> store_;
    std::vector<SearchPart> parts_;
};

/// What the index does not list is looked for in the documents, not taken as absent.
TEST_F(QueryTest, FindsValuesOfFieldsThatAreNotListed) {
    std::string wide = "{";
    for (int i = 0; i < 5000; ++i)
        wide += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
    wide.back() = '}';
    put("wide", wide);
    put("late", R"({"late":7})");
    const std::string name(600, 'x');
    put("long", "{\"" + name + "\":{\"n\":5}}");
    put("empty", R"({"blank":""})");
    EXPECT_THAT(find(R"({"term":{"k4999":4999}})"), ElementsAre("wide"));
    EXPECT_THAT(find(R"({"term":{"late":7}})"), ElementsAre("late"));
    EXPECT_THAT(find("{\"term\":{\"" + name + ".n\":5}}"), ElementsAre("long"));
    EXPECT_THAT(find(R"({"exists":{"field":"blank"}})"), ElementsAre("empty"));
    EXPECT_THAT(find(R"({"term":{"nowhere":1}})"), IsEmpty());
}

TEST_F(QueryTest, AnEmptyTextIsAValue) {
    put("empty", R"({"blank":""})");
    put("list", R"({"blank":[""]})");
    put("none", R"({"other":1})");
    EXPECT_THAT(find(R"({"exists":{"field":"blank"}})"), UnorderedElementsAre("empty", "list"));
    EXPECT_THAT(find(R"({"term":{"blank.keyword":""}})"), UnorderedElementsAre("empty", "list"));
}

class Books : public QueryTest {
  protected:
    Books() {
        put("1",
            R"({"title":"The quick brown fox","year":2001,"price":9.5,"tags":["animal","fast"],)"
            R"("when":"2024-01-15T10:00:00Z","sold":true,"author":{"name":"Ann Lee"}})");
        put("2", R"({"title":"The lazy dog","year":2010,"price":20,"tags":["animal"],)"
                 R"("when":"2024-02-20","sold":false,"author":{"name":"Bob"}})");
        put("3", R"({"title":"Foxes and dogs, quick","year":"2020","tags":[],"when":"2024-02-29",)"
                 R"("items":[{"sku":"A1","n":1},{"sku":"B2","n":2}]})");
        put("4", R"({"year":1999,"author":{"name":"ann lee"}})");
    }
};

TEST_F(Books, Words) {
    EXPECT_THAT(find(R"({"match":{"title":"fox"}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"match":{"title":"QUICK dog"}})"), UnorderedElementsAre("1", "2", "3"));
    EXPECT_THAT(find(R"({"match":{"title":{"query":"quick fox","operator":"and"}}})"),
                ElementsAre("1"));
    EXPECT_THAT(find(R"({"match":{"title":{"query":"the lazy fox","minimum_should_match":2}}})"),
                UnorderedElementsAre("1", "2"));
    EXPECT_THAT(find(R"({"match_phrase":{"title":"brown fox"}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"match_phrase":{"title":"fox brown"}})"), IsEmpty());
    EXPECT_THAT(find(R"({"match_phrase_prefix":{"title":"quick bro"}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"multi_match":{"query":"ann","fields":["title","author.name^2"]}})"),
                UnorderedElementsAre("1", "4"));
    EXPECT_THAT(find(R"({"match":{"year":2010}})"), ElementsAre("2"));
    EXPECT_THAT(find(R"({"match":{"none":"fox"}})"), IsEmpty());
}

TEST_F(Books, WholeValues) {
    EXPECT_THAT(find(R"({"term":{"title.keyword":"The lazy dog"}})"), ElementsAre("2"));
    EXPECT_THAT(find(R"({"term":{"title.keyword":"the lazy dog"}})"), IsEmpty());
    EXPECT_THAT(find(R"({"term":{"title":"lazy"}})"), ElementsAre("2"));
    EXPECT_THAT(find(R"({"term":{"title":"Lazy"}})"), IsEmpty());
    EXPECT_THAT(find(R"({"term":{"year":{"value":2020}}})"), ElementsAre("3"));
    EXPECT_THAT(find(R"({"term":{"sold":true}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"term":{"when":"2024-02-29"}})"), ElementsAre("3"));
    EXPECT_THAT(find(R"({"terms":{"tags.keyword":["fast","slow"]}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"term":{"items.sku.keyword":"B2"}})"), ElementsAre("3"));
    EXPECT_THAT(find(R"({"term":{"items.n":2}})"), ElementsAre("3"));
    EXPECT_THAT(find(R"({"term":{"_id":3}})"), ElementsAre("3"));
    EXPECT_THAT(find(R"({"ids":{"values":["4","9","1"]}})"), UnorderedElementsAre("1", "4"));
    EXPECT_THAT(
        find(R"({"term":{"author.name.keyword":{"value":"ANN LEE","case_insensitive":true}}})"),
        UnorderedElementsAre("1", "4"));
}

TEST_F(Books, RangesAndPresence) {
    EXPECT_THAT(find(R"({"range":{"year":{"gte":2001,"lt":2020}}})"),
                UnorderedElementsAre("1", "2"));
    EXPECT_THAT(find(R"({"range":{"price":{"gt":9.5}}})"), ElementsAre("2"));
    EXPECT_THAT(find(R"({"range":{"when":{"gte":"2024-02"}}})"), UnorderedElementsAre("2", "3"));
    EXPECT_THAT(find(R"({"range":{"when":{"lte":"2024-01"}}})"), IsEmpty());
    EXPECT_THAT(find(R"({"range":{"when":{"lte":"2024-01-15"}}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"range":{"when":{"gt":"2024"}}})"), UnorderedElementsAre("1", "2", "3"));
    EXPECT_THAT(find(R"({"range":{"when":{"lte":"2024-01-01||/M"}}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"range":{"when":{"gte":"2024-02-20||/M","lt":"2024-02-20||/M+1M"}}})"),
                UnorderedElementsAre("2", "3"));
    EXPECT_THAT(find(R"({"range":{"when":{"gte":"now-1d/d"}}})"), IsEmpty());
    EXPECT_THAT(find(R"({"range":{"title.keyword":{"gte":"The q"}}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"exists":{"field":"title"}})"), UnorderedElementsAre("1", "2", "3"));
    EXPECT_THAT(find(R"({"exists":{"field":"tags"}})"), UnorderedElementsAre("1", "2"));
    EXPECT_THAT(find(R"({"exists":{"field":"items"}})"), ElementsAre("3"));
    EXPECT_THAT(find(R"({"exists":{"field":"nothing"}})"), IsEmpty());
}

TEST_F(Books, Patterns) {
    EXPECT_THAT(find(R"({"prefix":{"title.keyword":"The "}})"), UnorderedElementsAre("1", "2"));
    EXPECT_THAT(find(R"({"prefix":{"title":"qui"}})"), UnorderedElementsAre("1", "3"));
    EXPECT_THAT(find(R"({"wildcard":{"author.name.keyword":"*n L?e"}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"wildcard":{"title":{"value":"f*x*"}}})"), UnorderedElementsAre("1", "3"));
}

TEST_F(Books, Combinations) {
    EXPECT_THAT(find(R"({"bool":{"must":[{"match":{"title":"quick"}}],)"
                     R"("must_not":{"term":{"year":2001}}}})"),
                ElementsAre("3"));
    EXPECT_THAT(find(R"({"bool":{"filter":{"exists":{"field":"title"}},)"
                     R"("should":[{"term":{"sold":true}}]}})"),
                UnorderedElementsAre("1", "2", "3"));
    EXPECT_THAT(find(R"({"bool":{"should":[{"term":{"sold":true}},{"term":{"year":1999}},)"
                     R"({"match":{"title":"quick"}}],"minimum_should_match":2}})"),
                ElementsAre("1"));
    EXPECT_THAT(find(R"({"bool":{}})"), UnorderedElementsAre("1", "2", "3", "4"));
    EXPECT_THAT(find(R"({"constant_score":{"filter":{"term":{"year":1999}},"boost":3}})"),
                ElementsAre("4"));
    EXPECT_THAT(find(R"({"dis_max":{"queries":[{"term":{"year":1999}},{"term":{"year":2010}}]}})"),
                UnorderedElementsAre("2", "4"));
    EXPECT_THAT(find(R"({"match_none":{}})"), IsEmpty());
    EXPECT_THAT(find(R"({"nested":{"path":"items","query":{"term":{"items.n":1}}}})"),
                ElementsAre("3"));
}

TEST_F(Books, LuceneSyntax) {
    EXPECT_THAT(find_text("title:fox"), ElementsAre("1"));
    EXPECT_THAT(find_text("year:2010"), ElementsAre("2"));
    EXPECT_THAT(find_text("year:[2000 TO 2015} AND title:dog"), ElementsAre("2"));
    EXPECT_THAT(find_text("\"brown fox\" OR year:>=2020"), UnorderedElementsAre("1", "3"));
    EXPECT_THAT(find_text("quick -fox"), ElementsAre("3"));
    EXPECT_THAT(find_text("quick AND NOT title:brown"), ElementsAre("3"));
    EXPECT_THAT(find_text("title:(lazy OR brown)"), UnorderedElementsAre("1", "2"));
    EXPECT_THAT(find_text("_exists_:items"), ElementsAre("3"));
    EXPECT_THAT(find_text("title:qui*"), UnorderedElementsAre("1", "3"));
    EXPECT_THAT(find_text("*"), UnorderedElementsAre("1", "2", "3", "4"));
    EXPECT_THROW(find_text("title:[a"), QueryError);
}

TEST_F(Books, RefusesInElasticsearchsWords) {
    EXPECT_EQ(refusal(R"({"foo":{}})"), "parsing_exception: unknown query [foo]");
    EXPECT_EQ(refusal(R"({"foo":"bar"})"),
              "parsing_exception: [foo] query malformed, no start_object after query name");
    EXPECT_THAT(refusal(R"({"match":{"a":"x","b":"y"}})"),
                HasSubstr("[match] query doesn't support multiple fields, found [a] and [b]"));
    EXPECT_THAT(refusal(R"({"fuzzy":{"title":"x"}})"), HasSubstr("[fuzzy] is not supported"));
    EXPECT_THAT(refusal(R"({"match":{"title":{"query":"x","fuzziness":"AUTO"}}})"),
                HasSubstr("[match] query does not support [fuzziness]"));
    EXPECT_THAT(refusal(R"({"range":{"year":{"gte":"abc"}}})"), HasSubstr("number_format"));
    EXPECT_THAT(refusal(R"({"term":{"year":"abc"}})"), HasSubstr("failed to create query"));
    EXPECT_THAT(refusal("{"), HasSubstr("parsing_exception"));
    try {
        Query::parse("{\n  \"foo\": {}}");
        ADD_FAILURE();
    } catch (const QueryError& error) {
        EXPECT_EQ(error.line(), 2U);
        EXPECT_EQ(error.column(), 3U);
    }
}

TEST_F(QueryTest, ScoresAsLucene) {
    put("1", R"({"text":"hello"})");
    DocumentSearch one;
    one.query = Query::parse(R"({"match":{"text":"hello"}})");
    EXPECT_NEAR(search(one).hits.at(0).score, 0.2876821, 1e-6);
    one.query = Query::match_all();
    EXPECT_EQ(search(one).hits.at(0).score, 1);
    one.query = Query::parse(R"({"bool":{"filter":{"match":{"text":"hello"}}}})");
    EXPECT_EQ(search(one).hits.at(0).score, 0);
}

TEST_F(Books, SortsAndGoesOn) {
    DocumentSearch by_year;
    SortKey key;
    key.kind = SortKey::Kind::field;
    key.field = "year";
    key.descending = true;
    by_year.sort = {key};
    by_year.size = 2;
    const FoundDocuments first = search(by_year);
    EXPECT_EQ(first.total, 4U);
    EXPECT_THAT(ids(first), ElementsAre("3", "2"));
    by_year.after = first.hits.back().sort;
    EXPECT_THAT(ids(search(by_year)), ElementsAre("1", "4"));
    by_year.sort[0].field = "title";
    by_year.after.reset();
    EXPECT_THROW(search(by_year), QueryError);
    by_year.sort[0].field = "unheard";
    EXPECT_THROW(search(by_year), QueryError);
    by_year.sort[0].if_unmapped = ValueType::long_number;
    EXPECT_EQ(search(by_year).hits.size(), 2U);
    by_year.sort[0] = {.kind = SortKey::Kind::field, .field = "price"};
    by_year.size = 10;
    EXPECT_THAT(ids(search(by_year)), ElementsAre("1", "2", "3", "4"));
}

TEST_F(Books, ASnapshotSeesOneState) {
    const auto before = store_->snapshot("i");
    put("5", R"({"title":"a late fox"})");
    const std::vector<SearchPart> parts{{before, nullptr}};
    DocumentSearch foxes;
    foxes.query = Query::parse(R"({"match":{"title":"fox"}})");
    EXPECT_EQ(search_documents(parts, foxes).total, 1U);
    EXPECT_EQ(search(foxes).total, 2U);
}

TEST_F(QueryTest, NearestNeighboursWithFiltersAndInOldStates) {
    IndexSettings settings;
    settings.vectors = {{"v", 2, Similarity::l2_norm}};
    store_->create("i", settings);
    for (int i = 0; i < 10; ++i)
        put(std::to_string(i), "{\"v\":[" + std::to_string(i) +
                                   ",0],\"even\":" + (i % 2 == 0 ? "true" : "false") + "}");
    EXPECT_THAT(find(R"({"knn":{"field":"v","query_vector":[3.2,0],"k":2}})"),
                ElementsAre("3", "4"));
    EXPECT_THAT(find(R"({"knn":{"field":"v","query_vector":[3.2,0],"k":2,)"
                     R"("filter":{"term":{"even":true}}}})"),
                ElementsAre("4", "2"));
    EXPECT_THAT(find(R"({"exists":{"field":"v"}})").size(), 10U);
    EXPECT_THAT(refusal(R"({"knn":{"field":"v","query_vector":[1],"k":2}})"),
                HasSubstr("different dimension [1] than the index vectors [2]"));
    const auto before = store_->snapshot("i");
    put("3", R"({"v":[100,0]})");
    find(R"({"knn":{"field":"v","query_vector":[3.2,0],"k":2}})");
    DocumentSearch nearest;
    nearest.query = Query::parse(R"({"knn":{"field":"v","query_vector":[3.2,0],"k":1}})");
    const std::vector<SearchPart> parts{{before, nullptr}};
    const FoundDocuments found = search_documents(parts, nearest);
    EXPECT_EQ(before->document(found.hits.at(0).seq_no, false)->id, "3");
}

TEST_F(QueryTest, TheNearestOfSeveralIndicesCountTogether) {
    IndexSettings settings;
    settings.vectors = {{"v", 1, Similarity::l2_norm}};
    store_->create("a", settings);
    store_->create("b", settings);
    put("a1", R"({"v":[1]})", "a");
    put("a2", R"({"v":[2]})", "a");
    put("b9", R"({"v":[9]})", "b");
    DocumentSearch nearest;
    nearest.knn = {knn(R"({"field":"v","query_vector":[0],"k":2})")};
    EXPECT_THAT(ids(search(nearest, {"a", "b"})), ElementsAre("a1", "a2"));
}

TEST_F(QueryTest, FiltersOfAliasesChooseBeforeTheNearestAreCounted) {
    IndexSettings settings;
    settings.vectors = {{"v", 1, Similarity::l2_norm}};
    store_->create("i", settings);
    put("near", R"({"v":[1],"team":"red"})");
    put("far", R"({"v":[5],"team":"blue"})");
    put("farther", R"({"v":[6],"team":"blue","old":true})");
    const auto blue = Query::parse(R"({"term":{"team.keyword":"blue"}})");
    DocumentSearch nearest;
    nearest.knn = {knn(R"({"field":"v","query_vector":[0],"k":1})")};
    EXPECT_THAT(ids(search(nearest, {"i"}, blue)), ElementsAre("far"));
    nearest.knn = {knn(R"({"field":"v","query_vector":[0],"k":1,"filter":{"term":{"old":true}}})")};
    EXPECT_THAT(ids(search(nearest, {"i"}, blue)), ElementsAre("farther"));
    nearest.knn.clear();
    nearest.query =
        Query::parse(R"({"bool":{"must":{"knn":{"field":"v","query_vector":[0],"k":1}}}})");
    EXPECT_THAT(ids(search(nearest, {"i"}, blue)), ElementsAre("far"));
}

TEST_F(QueryTest, SimilarityOfNeighboursIsThatOfTheVectors) {
    const auto found = [&](Similarity similarity, const std::string& least) {
        const std::string index = "i" + std::to_string(static_cast<int>(similarity));
        if (!store_->exists(index)) {
            IndexSettings settings;
            settings.vectors = {{"v", 2, similarity}};
            store_->create(index, settings);
            put("x", R"({"v":[1,0]})", index);
            put("y", R"({"v":[0.6,0.8]})", index);
            put("z", R"({"v":[0,1]})", index);
        }
        DocumentSearch nearest;
        nearest.knn = {
            knn(R"({"field":"v","query_vector":[1,0],"k":3,"similarity":)" + least + "}")};
        return ids(search(nearest, {index}));
    };
    EXPECT_THAT(found(Similarity::cosine, "0.6"), ElementsAre("x", "y"));
    EXPECT_THAT(found(Similarity::cosine, "0.61"), ElementsAre("x"));
    EXPECT_THAT(found(Similarity::dot_product, "0.61"), ElementsAre("x"));
    EXPECT_THAT(found(Similarity::l2_norm, "1"), ElementsAre("x", "y"));
    EXPECT_THAT(found(Similarity::l2_norm, "0.5"), ElementsAre("x"));
    EXPECT_THAT(found(Similarity::max_inner_product, "0.5"), ElementsAre("x", "y"));
    EXPECT_THAT(found(Similarity::max_inner_product, "-0.5").size(), 3U);
}

TEST_F(QueryTest, AliasesOfAliasesAreUnknown) {
    put("1", R"({"real":"x"})");
    store_->set_attributes("i",
                           {{"mappings", R"({"properties":{"a":{"type":"alias","path":"b"},)"
                                         R"("b":{"type":"alias","path":"a","fields":)"
                                         R"({"c":{"type":"murmur3"}}},"s":{"type":"alias",)"
                                         R"("path":"s"},"r":{"type":"alias","path":"real"}}})"}});
    for (const std::string name : {"a", "b", "b.c", "s", "a.keyword"}) {
        EXPECT_THAT(find(R"({"term":{")" + name + R"(":"x"}})"), IsEmpty());
        EXPECT_THAT(find(R"({"exists":{"field":")" + name + R"("}})"), IsEmpty());
    }
    EXPECT_THAT(find(R"({"match":{"r":"x"}})"), ElementsAre("1"));
}

class People : public QueryTest {
  protected:
    People() {
        put("1", R"({"name":"Alice Miller","job":"cook","age":30})");
        put("2", R"({"name":"Bob","job":"alice's driver","age":40})");
        put("3", R"({"name":"Carol","job":"driver","note":"knows Alice"})");
    }
};

TEST_F(People, QueryStringsLookForEachWordInAllTheirFields) {
    EXPECT_THAT(find(R"({"query_string":{"query":"alice","fields":["name^2","job"]}})"),
                ElementsAre("1", "2"));
    EXPECT_THAT(find(R"({"query_string":{"query":"alice","fields":["na*"]}})"), ElementsAre("1"));
    EXPECT_THAT(find(R"({"query_string":{"query":"alice cook","fields":["name","job"],)"
                     R"("default_operator":"AND"}})"),
                ElementsAre("1"));
    EXPECT_THAT(find(R"({"query_string":{"query":"+bob +job:driver","fields":["name^3"]}})"),
                ElementsAre("2"));
    EXPECT_THAT(find(R"({"query_string":{"query":"ALI*","fields":["name","note"]}})"),
                UnorderedElementsAre("1", "3"));
    EXPECT_THAT(find(R"({"multi_match":{"query":"alice","fields":["n*"]}})"),
                UnorderedElementsAre("1", "3"));
    EXPECT_THAT(refusal(R"({"query_string":{"query":"x","fields":["name^y"]}})"),
                HasSubstr("number_format_exception"));
    EXPECT_THAT(refusal(R"({"query_string":{"query":"x","quote_field_suffix":".e"}})"),
                HasSubstr("does not support [quote_field_suffix]"));
}

TEST_F(People, SimpleQueryStringsNeverFail) {
    const auto simple = [&](const std::string& text, const std::string& options = "") {
        std::string query = R"({"simple_query_string":{"query":)";
        document::write_json_string(text, query);
        return find(query + options + "}}");
    };
    for (const std::string text : {"name:[a", "\"alice", "(((", ")(", "a && \\", "-", "~", "\"\"",
                                   "+ | -", "/x/", "alice~~2 AND {", "()", "foo^^", ""})
        EXPECT_NO_THROW(simple(text)) << text;
    EXPECT_THAT(simple("name:alice"), UnorderedElementsAre("1", "2", "3"));
    EXPECT_THAT(simple("bob | carol"), UnorderedElementsAre("2", "3"));
    EXPECT_THAT(simple("alice + driver"), UnorderedElementsAre("2", "3"));
    EXPECT_THAT(simple("alice + -driver"), ElementsAre("1"));
    EXPECT_THAT(simple("alice + (cook | bob)"), UnorderedElementsAre("1", "2"));
    EXPECT_THAT(simple("\"knows alice\"~2"), ElementsAre("3"));
    EXPECT_THAT(simple("mill*"), ElementsAre("1"));
    EXPECT_THAT(simple("miller~1"), ElementsAre("1"));
    EXPECT_THAT(simple("*").size(), 3U);
    EXPECT_THAT(simple("alice cook", R"(,"default_operator":"and","fields":["name^2","job"])"),
                ElementsAre("1"));
    EXPECT_THAT(simple("alice", R"(,"fields":["age","name"])"), ElementsAre("1"));
    EXPECT_THAT(simple("mill*", R"(,"flags":"NONE")"), IsEmpty());
    EXPECT_THAT(simple("carol -alice", R"(,"default_operator":"and","flags":"NOT|WHITESPACE")"),
                IsEmpty());
    EXPECT_THAT(refusal(R"({"simple_query_string":{"query":"x","flags":"FOO"}})"),
                HasSubstr("Unknown simple_query_string flag [FOO]"));
    EXPECT_THAT(refusal(R"({"simple_query_string":{"query":"x","minimum_should_match":2}})"),
                HasSubstr("does not support [minimum_should_match]"));
}

class Orders : public QueryTest {
  protected:
    Orders() {
        put("apart", R"({"c":[{"a":"x one","b":"q","n":1},{"a":"y","b":"p two","n":2}]})");
        put("same", R"({"c":[{"a":"z","n":7},{"a":"x one","b":"p","n":2,"d":[{"k":"u","m":1},)"
                    R"({"k":"v","m":2}]}]})");
        put("single", R"({"c":{"a":"x","b":"p two","n":3},"a":"x"})");
    }
    std::vector<std::string> nested(const std::string& query, const std::string& path = "c") {
        return find(R"({"nested":{"path":")" + path + R"(","query":)" + query + "}}");
    }
};

TEST_F(Orders, NestedConditionsAreMetByOneObject) {
    const std::string both = R"({"bool":{"must":[{"match":{"c.a":"x"}},{"match":{"c.b":"p"}}]}})";
    EXPECT_THAT(nested(both), UnorderedElementsAre("same", "single"));
    EXPECT_THAT(nested(R"({"constant_score":{"filter":)" + both + "}}"),
                UnorderedElementsAre("same", "single"));
    EXPECT_THAT(nested(R"({"query_string":{"query":"c.a:x AND c.b:p"}})"),
                UnorderedElementsAre("same", "single"));
    EXPECT_THAT(nested(R"({"bool":{"must":{"match":{"c.a":"x"}},"filter":{"range":{"c.n":)"
                       R"({"gte":2}}}}})"),
                UnorderedElementsAre("same", "single"));
    EXPECT_THAT(nested(R"({"bool":{"must":{"term":{"c.a.keyword":"x one"}},"must_not":)"
                       R"({"exists":{"field":"c.b"}}}})"),
                IsEmpty());
    EXPECT_THAT(nested(R"({"bool":{"must_not":{"exists":{"field":"c.b"}}}})"), ElementsAre("same"));
    EXPECT_THAT(nested(R"({"multi_match":{"query":"two x","fields":["c.a","c.b"],)"
                       R"("type":"most_fields"}})")
                    .size(),
                3U);
    EXPECT_THAT(nested(R"({"bool":{"must":[{"match":{"c.b":"two"}},{"match":{"a":"x"}}]}})"),
                IsEmpty());
}

TEST_F(Orders, NestedInNested) {
    const auto inner = [](const std::string& k, int m) {
        return R"({"nested":{"path":"c.d","query":{"bool":{"must":[{"match":{"c.d.k":")" + k +
               R"("}},{"term":{"c.d.m":)" + std::to_string(m) + "}}]}}}}";
    };
    EXPECT_THAT(nested(inner("v", 2)), ElementsAre("same"));
    EXPECT_THAT(nested(inner("u", 2)), IsEmpty());
    EXPECT_THAT(nested(R"({"bool":{"must":[{"match":{"c.a":"x"}},)" + inner("u", 1) + "]}}"),
                ElementsAre("same"));
    EXPECT_THAT(nested(R"({"bool":{"must":[{"match":{"c.a":"z"}},)" + inner("u", 1) + "]}}"),
                IsEmpty());
    EXPECT_THAT(refusal(R"({"nested":{"query":{"match_all":{}}}})"),
                HasSubstr("requires 'path' field"));
    EXPECT_THAT(refusal(R"({"nested":{"path":"c","score_mode":"foo","query":{"match_all":{}}}})"),
                HasSubstr("No score mode for child query [foo] found"));
    EXPECT_THAT(refusal(R"({"nested":{"path":"c","query":{"bool":{"must":{"knn":)"
                        R"({"field":"c.v","query_vector":[1],"k":1}}}}}})"),
                HasSubstr("[knn] must be the whole query of [nested]"));
    EXPECT_THAT(refusal(R"({"nested":{"path":"c","query":{"bool":{"must":[{"nested":)"
                        R"({"path":"c.d","query":{"knn":{"field":"c.d.v","query_vector":[1],)"
                        R"("k":1}}}},{"match":{"c.a":"x"}}]}}}})"),
                HasSubstr("[knn] must be the whole query of [nested]"));
}

TEST_F(Orders, ScoresOfNestedObjectsAreJoined) {
    const auto score = [&](const std::string& mode) {
        DocumentSearch one;
        one.query = Query::parse(
            R"({"nested":{"path":"c","score_mode":")" + mode +
            R"(","query":{"bool":{"should":[{"constant_score":{"filter":{"term":{"c.n":1}},)"
            R"("boost":1}},{"constant_score":{"filter":{"term":{"c.n":2}},"boost":4}}]}}}})");
        for (const FoundDocument& hit : search(one).hits) {
            if (parts_[0].snapshot->document(hit.seq_no, false)->id == "apart") return hit.score;
        }
        return -1.0;
    };
    EXPECT_EQ(score("avg"), 2.5);
    EXPECT_EQ(score("sum"), 5);
    EXPECT_EQ(score("max"), 4);
    EXPECT_EQ(score("min"), 1);
    EXPECT_EQ(score("none"), 0);
}

TEST_F(QueryTest, ValuesToGoOnAfterAreOfTheFieldsType) {
    put("1", R"({"p":0.1,"when":"2021-01-01","k":"5","b":false})");
    put("2", R"({"p":0.25,"when":"2021-06-01","k":"7","b":true})");
    const auto after = [&](const std::string& field, SortValue value) {
        DocumentSearch sorted;
        sorted.sort = {{.kind = SortKey::Kind::field, .field = field}};
        sorted.after = std::vector{std::move(value)};
        return ids(search(sorted));
    };
    EXPECT_THAT(after("p", "0.2"), ElementsAre("2"));
    EXPECT_THAT(after("when", "2021-03-01"), ElementsAre("2"));
    EXPECT_THAT(after("when", std::int64_t{1609459200000}), ElementsAre("2"));
    EXPECT_THAT(after("k.keyword", std::int64_t{6}), ElementsAre("2"));
    EXPECT_THAT(after("b", "false"), ElementsAre("2"));
    EXPECT_THAT(after("b", std::int64_t{0}), ElementsAre("2"));
    EXPECT_THROW(after("p", "abc"), QueryError);
    EXPECT_THROW(after("when", "soon"), QueryError);
    put("3", R"({"x":1})");
    DocumentSearch sorted;
    sorted.sort = {{.kind = SortKey::Kind::field, .field = "when"}};
    sorted.sort[0].missing = "2021-02-01";
    EXPECT_THAT(ids(search(sorted)), ElementsAre("1", "3", "2"));
    sorted.sort[0].missing = "soon";
    EXPECT_THROW(search(sorted), QueryError);
}

TEST_F(QueryTest, WordsAreLettersAndDigitsOfAllScripts) {
    put("1", R"({"t":"\u00dcber den Flu\u00df","p":"price \u20ac 100"})");
    put("2", R"({"t":"\u041f\u0440\u0438\u0432\u0435\u0442"})");
    EXPECT_THAT(find("{\"prefix\":{\"t\":\"\u00fcb\"}}"), ElementsAre("1"));
    EXPECT_THAT(find("{\"wildcard\":{\"t\":\"\u00fcbe*\"}}"), ElementsAre("1"));
    EXPECT_THAT(find("{\"wildcard\":{\"t\":\"f*u\u00df\"}}"), ElementsAre("1"));
    EXPECT_THAT(find("{\"prefix\":{\"t\":\"\u043f\u0440\"}}"), ElementsAre("2"));
    EXPECT_THAT(find_text("t:\u041f\u0420*"), ElementsAre("2"));
    EXPECT_THAT(find("{\"match\":{\"p\":{\"query\":\"price \u20ac 100\",\"operator\":\"and\"}}}"),
                ElementsAre("1"));
    EXPECT_THAT(words_of("A\xff"
                         "b\xE2\x82"),
                ElementsAre("a", "b"));
    EXPECT_THAT(words_of("e\u0301t \u0301"), ElementsAre("e\u0301t"));
}

TEST_F(Books, ManyTermsOfAllTypes) {
    std::string names = "\"The lazy dog\"";
    std::string numbers = "2001.0,\"1999\"";
    for (int i = 0; i < 2000; ++i) {
        names += ",\"n" + std::to_string(i) + "\"";
        numbers += "," + std::to_string(100'000 + i) + ".5";
    }
    EXPECT_THAT(find(R"({"terms":{"title.keyword":[)" + names + "]}}"), ElementsAre("2"));
    EXPECT_THAT(find(R"({"terms":{"year":[)" + numbers + "]}}"), UnorderedElementsAre("1", "4"));
    EXPECT_THAT(find(R"({"terms":{"price":[20,9.5]}})"), UnorderedElementsAre("1", "2"));
    EXPECT_THAT(find(R"({"terms":{"when":["2024-02-20","2024-01-15","2024-02-20"]}})"),
                UnorderedElementsAre("1", "2"));
    EXPECT_THAT(find(R"({"terms":{"sold":["true"]}})"), ElementsAre("1"));
}

TEST_F(QueryTest, LookedUpTermsAreRefusedWhileTheyAreCounted) {
    std::size_t given = 0;
    QueryOptions options;
    options.load_terms = [&](const TermsLookup&, const std::function<void(document::Value)>& take) {
        for (int i = 0; i < 40'000; ++i, ++given)
            take(document::Value::integer(i));
    };
    const std::string lookup = R"({"terms":{"n":{"index":"i","id":"1","path":"p"}}})";
    Query::parse(lookup, options);
    given = 0;
    EXPECT_THROW(Query::parse(R"({"bool":{"should":[)" + lookup + "," + lookup + "]}}", options),
                 QueryError);
    EXPECT_EQ(given, 65'536U);
}

TEST_F(QueryTest, SearchesEndAtTheirDeadline) {
    for (int i = 0; i < 3; ++i)
        put(std::to_string(i), R"({"n":1})");
    DocumentSearch late;
    late.query = Query::parse(R"({"term":{"n":1}})");
    late.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
    FoundDocuments found = search(late);
    EXPECT_TRUE(found.timed_out);
    EXPECT_EQ(found.total, 0U);
    late.deadline = std::chrono::steady_clock::now() + std::chrono::hours(1);
    found = search(late);
    EXPECT_FALSE(found.timed_out);
    EXPECT_EQ(found.total, 3U);
}

TEST_F(QueryTest, NumbersThatAreHardlyMoreThanNothing) {
    put("1", R"({"t":"x"})");
    EXPECT_THAT(find(R"({"match":{"t":{"query":"x","boost":"1e-320"}}})"), ElementsAre("1"));
    EXPECT_THAT(find_text("t:x^1e-320"), ElementsAre("1"));
    EXPECT_THAT(refusal(R"({"match":{"t":{"query":"x","boost":"1e-400"}}})"),
                HasSubstr("[boost] must be a number"));
}

TEST_F(QueryTest, ErrorsTellTheIndexThatCannotAnswer) {
    put("1", R"({"n":1})");
    try {
        find(R"({"term":{"n":"abc"}})");
        ADD_FAILURE();
    } catch (const QueryError& error) {
        EXPECT_EQ(error.index(), "i");
    }
    try {
        find(R"({"foo":{}})");
        ADD_FAILURE();
    } catch (const QueryError& error) {
        EXPECT_EQ(error.index(), "");
    }
}

TEST_F(Books, ReadsWhatMatchesInSlices) {
    const auto query = Query::parse(R"({"exists":{"field":"title"}})");
    std::vector<std::string> all;
    for (const auto& slice : store_->scan_slices("i", 3, query)) {
        RecordBatch batch;
        while (slice->read(batch, 1, 1U << 20U)) {
            for (const Record& record : batch.records)
                all.push_back(record.id);
        }
    }
    EXPECT_THAT(all, UnorderedElementsAre("1", "2", "3"));
    EXPECT_EQ(store_->scan("i", query)->progress().records_total, 3U);
}

TEST_F(Books, KnowsFieldsAndKeepsAttributes) {
    std::map<std::string, std::string> types;
    for (const FieldInfo& field : store_->info("i").fields)
        types[field.path] = field.type;
    EXPECT_EQ(types["year"], "long");
    EXPECT_EQ(types["price"], "float");
    EXPECT_EQ(types["sold"], "boolean");
    EXPECT_EQ(types["when"], "date");
    EXPECT_EQ(types["items.n"], "long");
    EXPECT_EQ(types["author.name"], "text");
    store_->set_attributes("i", {{"mappings", R"({"properties":{"title":{"type":"keyword"}}})"}});
    EXPECT_THAT(find(R"({"match":{"title":"fox"}})"), IsEmpty());
    EXPECT_THAT(find(R"({"match":{"title":"The lazy dog"}})"), ElementsAre("2"));
    store_ = IndexStore::open(dir_);
    EXPECT_EQ(store_->attributes("i").size(), 1U);
}

TEST(DateMath, ReadsRoundsAndAdds) {
    DateOptions options;
    options.now_millis = 1'700'000'000'000;  // 2023-11-14T22:13:20Z
    EXPECT_EQ(format_date(*parse_date_math("now/d", options)), "2023-11-14T00:00:00.000Z");
    EXPECT_EQ(format_date(*parse_date_math("now-1M/M", options)), "2023-10-01T00:00:00.000Z");
    EXPECT_EQ(format_date(*parse_date_math("2024-01-31||+1M", options)),
              "2024-02-29T00:00:00.000Z");
    options.edge = DateEdge::end;
    EXPECT_EQ(format_date(*parse_date_math("now/d", options)), "2023-11-14T23:59:59.999Z");
    // What is left out of an upper edge is the first month and day, but the last time of the day.
    EXPECT_EQ(format_date(*parse_date("2024-02", options)), "2024-02-01T23:59:59.999Z");
    EXPECT_EQ(format_date(*parse_date("2024", options)), "2024-01-01T23:59:59.999Z");
    EXPECT_EQ(format_date(*parse_date("2024-02-03T10", options)), "2024-02-03T10:59:59.999Z");
    EXPECT_EQ(format_date(*parse_date_math("2024-02||/M", options)), "2024-02-29T23:59:59.999Z");
    EXPECT_EQ(format_date(*parse_date_math("2024-02||/y", options)), "2024-12-31T23:59:59.999Z");
    EXPECT_EQ(parse_date("2024-05-31T10:00:00.5+02:00"), parse_date("2024-05-31T08:00:00.500Z"));
    EXPECT_FALSE(parse_date("2024-13-01"));
    EXPECT_FALSE(parse_date("tomorrow"));
    EXPECT_TRUE(looks_like_date("2024-05-31"));
    EXPECT_FALSE(looks_like_date("2024"));
}

}  // namespace
}  // namespace penstock::io
