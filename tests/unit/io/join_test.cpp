// The join field: queries over parents and children, and what documents may say there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/io/index_snapshot.h"
#include "engine/io/query.h"
#include "engine/io/sorted_source.h"
#include "tests/unit/io/scratch.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class JoinTest : public Scratch {
  protected:
    JoinTest() : store_(IndexStore::open(dir_)) {
        map("i", R"({"question":["answer","comment"],"answer":"vote"})");
        put("q1", R"({"j":"question","t":"fox","u":"x"})");
        put("q2", R"({"j":{"name":"question"},"t":"dog"})");
        put("q3", R"({"j":["question"],"t":"fox"})");
        put("a1", R"({"j":{"name":"answer","parent":"q1"},"t":"jumps","n":1,"u":"x"})");
        put("a2", R"({"j":{"name":"answer","parent":"q1"},"t":"jumps","n":4})");
        put("a3", R"({"j":{"name":"answer","parent":"q2"},"t":"barks","n":2})");
        put("c1", R"({"j":{"name":"comment","parent":"q1"},"t":"jumps"})");
        put("v1", R"({"j":{"name":"vote","parent":"a1"},"n":9})");
        put("lost", R"({"j":{"name":"answer","parent":"gone"},"t":"jumps"})");
        put("alone", R"({"t":"fox jumps"})");
    }

    void map(const std::string& index, const std::string& relations) {
        IndexSettings settings;
        settings.attributes = {{"mappings", R"({"properties":{"t":{"type":"text"},"j":{"type":)"
                                            R"("join","relations":)" +
                                                relations + "}}}"}};
        store_->create(index, settings);
    }

    ItemResult write(const std::string& id, const std::string& source,
                     const std::string& routing = "r", const std::string& index = "i") {
        WriteItem item;
        item.id = id;
        item.source = source;
        item.routing = routing;
        std::vector<ItemResult> results;
        store_->bulk(index, std::span(&item, 1), results);
        return results.front();
    }
    void put(const std::string& id, const std::string& source) {
        const ItemResult result = write(id, source);
        ASSERT_TRUE(result.ok()) << result.error_reason;
    }

    FoundDocuments search(const std::string& query, const std::string& filter = "") {
        part_.snapshot = store_->snapshot("i");
        part_.filter = filter.empty() ? nullptr : Query::parse(filter);
        DocumentSearch all;
        all.query = Query::parse(query);
        all.size = 100;
        return search_documents(std::span(&part_, 1), all);
    }
    std::vector<std::string> find(const std::string& query, const std::string& filter = "") {
        std::vector<std::string> ids;
        for (const FoundDocument& one : search(query, filter).hits)
            ids.push_back(part_.snapshot->document(one.seq_no, false)->id);
        return ids;
    }
    /// Of the only document that matches.
    double score(const std::string& query) {
        const FoundDocuments found = search(query);
        EXPECT_EQ(found.hits.size(), 1U) << query;
        return found.hits.empty() ? -1 : found.hits.front().score;
    }
    std::string refusal(const std::string& query) {
        try {
            find(query);
        } catch (const QueryError& error) {
            return error.type() + ": " + error.what();
        }
        return "none";
    }

    static std::string parent_id(const std::string& type, const std::string& id) {
        return R"({"parent_id":{"type":")" + type + R"(","id":)" + id + "}}";
    }
    static std::string has_parent(const std::string& type, const std::string& query,
                                  const std::string& rest = "") {
        return R"({"has_parent":{"parent_type":")" + type + R"(","query":)" + query + rest + "}}";
    }
    static std::string has_child(const std::string& type, const std::string& query,
                                 const std::string& rest = "") {
        return R"({"has_child":{"type":")" + type + R"(","query":)" + query + rest + "}}";
    }

    std::shared_ptr<IndexStore> store_;
    SearchPart part_;
};

constexpr const char* kAll = R"({"match_all":{}})";
constexpr const char* kFox = R"({"match":{"t":"fox"}})";
constexpr const char* kJumps = R"({"match":{"t":"jumps"}})";

TEST_F(JoinTest, FindsChildrenOfAnId) {
    EXPECT_THAT(find(parent_id("answer", R"("q1")")), UnorderedElementsAre("a1", "a2"));
    EXPECT_THAT(find(parent_id("comment", R"("q1")")), ElementsAre("c1"));
    EXPECT_THAT(find(parent_id("answer", R"("gone")")), ElementsAre("lost"));
    EXPECT_THAT(find(parent_id("vote", R"("q1")")), IsEmpty());
    EXPECT_EQ(score(R"({"parent_id":{"type":"vote","id":"a1","boost":3}})"), 3);
}

TEST_F(JoinTest, IdsMayBeNumbers) {
    put("1", R"({"j":"question"})");
    put("a4", R"({"j":{"name":"answer","parent":1}})");
    put("a5", R"({"j":{"name":"answer","parent":"1"}})");
    EXPECT_THAT(find(parent_id("answer", "1")), UnorderedElementsAre("a4", "a5"));
    EXPECT_THAT(find(parent_id("answer", R"("1")")), UnorderedElementsAre("a4", "a5"));
    EXPECT_THAT(find(has_parent("question", R"({"ids":{"values":["1"]}})")),
                UnorderedElementsAre("a4", "a5"));
}

TEST_F(JoinTest, FindsChildrenByTheirParents) {
    EXPECT_THAT(find(has_parent("question", kFox)), UnorderedElementsAre("a1", "a2", "c1"));
    EXPECT_THAT(find(has_parent("question", kAll)), UnorderedElementsAre("a1", "a2", "a3", "c1"));
    EXPECT_THAT(find(has_parent("answer", kFox)), IsEmpty());
    EXPECT_THAT(find(has_parent("answer", has_parent("question", kFox))), ElementsAre("v1"));
    EXPECT_THAT(find(has_parent("answer", has_parent("question", R"({"match":{"t":"dog"}})"))),
                IsEmpty());
    EXPECT_THAT(find(R"({"bool":{"must":)" + has_parent("question", kFox) +
                     R"(,"filter":{"range":{"n":{"gt":1}}}}})"),
                ElementsAre("a2"));
}

TEST_F(JoinTest, FindsParentsByTheirChildren) {
    EXPECT_THAT(find(has_child("answer", kJumps)), ElementsAre("q1"));
    EXPECT_THAT(find(has_child("answer", kAll)), UnorderedElementsAre("q1", "q2"));
    EXPECT_THAT(find(has_child("answer", kAll, R"(,"min_children":2)")), ElementsAre("q1"));
    EXPECT_THAT(find(has_child("answer", kAll, R"(,"max_children":1)")), ElementsAre("q2"));
    EXPECT_THAT(find(has_child("answer", has_child("vote", kAll))), ElementsAre("q1"));
    EXPECT_THAT(find(has_child("answer", has_parent("question", R"({"match":{"t":"dog"}})"))),
                ElementsAre("q2"));
    EXPECT_THAT(find(R"({"bool":{"filter":{"term":{"j.name.keyword":"question"}},"must_not":)" +
                     has_child("answer", kAll) + "}}"),
                IsEmpty());
    EXPECT_THAT(find(R"({"bool":{"must":)" + std::string(kFox) + R"(,"must_not":)" +
                     has_child("answer", kAll) + "}}"),
                UnorderedElementsAre("q3", "alone"));
}

/// A question is no parent of a vote, whatever the vote says.
TEST_F(JoinTest, ParentsAreOfTheRelationAbove) {
    put("v2", R"({"j":{"name":"vote","parent":"q3"}})");
    EXPECT_THAT(find(has_child("vote", kAll)), ElementsAre("a1"));
    EXPECT_THAT(find(has_parent("question", R"({"ids":{"values":["q3"]}})")), IsEmpty());
}

TEST_F(JoinTest, ScoresAreOfTheOtherSide) {
    const std::string by_n =
        R"({"bool":{"should":[{"constant_score":{"filter":{"term":{"n":1}},"boost":1}},)"
        R"({"constant_score":{"filter":{"term":{"n":4}},"boost":4}}]}})";
    EXPECT_EQ(score(has_child("answer", by_n)), 1);
    EXPECT_EQ(score(has_child("answer", by_n, R"(,"boost":3)")), 3);
    EXPECT_EQ(score(has_child("answer", by_n, R"(,"score_mode":"none")")), 1);
    EXPECT_EQ(score(has_child("answer", by_n, R"(,"score_mode":"sum")")), 5);
    EXPECT_EQ(score(has_child("answer", by_n, R"(,"score_mode":"avg")")), 2.5);
    EXPECT_EQ(score(has_child("answer", by_n, R"(,"score_mode":"min")")), 1);
    EXPECT_EQ(score(has_child("answer", by_n, R"(,"score_mode":"max","boost":2)")), 8);
    const std::string answer =
        R"({"constant_score":{"filter":{"ids":{"values":["a1"]}},"boost":7}})";
    EXPECT_EQ(score(has_parent("answer", answer)), 1);
    EXPECT_EQ(score(has_parent("answer", answer, R"(,"boost":2)")), 2);
    EXPECT_EQ(score(has_parent("answer", answer, R"(,"score":true)")), 7);
    EXPECT_EQ(score(has_parent("answer", answer, R"(,"score":true,"boost":2)")), 14);
}

TEST_F(JoinTest, WhatAnAliasHidesIsNobodysRelation) {
    const std::string alias = R"({"term":{"u":"x"}})";
    EXPECT_THAT(find(has_child("answer", kAll), alias), ElementsAre("q1"));
    EXPECT_THAT(find(has_child("answer", R"({"term":{"n":4}})"), alias), IsEmpty());
    EXPECT_THAT(find(has_parent("question", kAll), alias), ElementsAre("a1"));
    // The alias itself looks at all documents.
    EXPECT_THAT(find(kAll, has_parent("question", kFox)), UnorderedElementsAre("a1", "a2", "c1"));
}

TEST_F(JoinTest, RelationsThatAreNotMapped) {
    EXPECT_EQ(refusal(parent_id("question", R"("q1")")),
              "query_shard_exception: [parent_id] no relation found for child [question]");
    EXPECT_EQ(refusal(has_parent("vote", kAll)),
              "query_shard_exception: [has_parent] join field [j] doesn't hold [vote] as a parent");
    EXPECT_EQ(
        refusal(has_child("question", kAll)),
        "query_shard_exception: [has_child] join field [j] doesn't hold [question] as a child");
    const std::string ignore = R"(,"ignore_unmapped":true)";
    EXPECT_THAT(find(R"({"parent_id":{"type":"x","id":"1","ignore_unmapped":true}})"), IsEmpty());
    EXPECT_THAT(find(has_parent("vote", kAll, ignore)), IsEmpty());
    EXPECT_THAT(find(has_child("question", kAll, ignore)), IsEmpty());
    store_->set_attributes("i", {{"mappings", "{}"}});
    EXPECT_EQ(refusal(parent_id("answer", R"("q1")")),
              "query_shard_exception: [parent_id] no join field found for index [i]");
    EXPECT_EQ(refusal(has_parent("question", kAll)),
              "query_shard_exception: [has_parent] no join field has been configured");
    EXPECT_EQ(refusal(has_child("answer", kAll)),
              "query_shard_exception: [has_child] no join field has been configured");
    EXPECT_THAT(find(has_child("answer", kAll, ignore)), IsEmpty());
}

TEST_F(JoinTest, RefusesWhatIsNoSuchQuery) {
    EXPECT_THAT(refusal(R"({"parent_id":{"id":1}})"), HasSubstr("[parent_id] requires 'type'"));
    EXPECT_THAT(refusal(R"({"parent_id":{"type":"answer"}})"),
                HasSubstr("[parent_id] requires 'id'"));
    EXPECT_THAT(refusal(R"({"parent_id":{"type":"answer","id":["1"]}})"),
                HasSubstr("[parent_id] query does not support [id]"));
    EXPECT_THAT(refusal(R"({"has_parent":{"query":{"match_all":{}}}})"),
                HasSubstr("[has_parent] requires 'parent_type' field"));
    EXPECT_THAT(refusal(R"({"has_parent":{"parent_type":"question"}})"),
                HasSubstr("[has_parent] requires 'query' field"));
    EXPECT_THAT(refusal(R"({"has_child":{"query":{"match_all":{}}}})"),
                HasSubstr("[has_child] requires 'type' field"));
    EXPECT_THAT(refusal(has_child("answer", kAll, R"(,"score_mode":"median")")),
                HasSubstr("No score mode for child query [median] found"));
    EXPECT_THAT(refusal(has_child("answer", kAll, R"(,"min_children":0)")),
                HasSubstr("[has_child] requires positive 'min_children' field"));
    EXPECT_THAT(refusal(has_child("answer", kAll, R"(,"max_children":0)")),
                HasSubstr("[has_child] requires positive 'max_children' field"));
    EXPECT_THAT(refusal(has_child("answer", kAll, R"(,"min_children":3,"max_children":2)")),
                HasSubstr("[has_child] 'max_children' is less than 'min_children'"));
    EXPECT_THAT(refusal(has_child("answer", kAll, R"(,"inner_hits":{})")),
                HasSubstr("[has_child] query does not support [inner_hits]"));
    EXPECT_THAT(refusal(R"({"nested":{"path":"c","query":)" + has_child("answer", kAll) + "}}"),
                HasSubstr("[has_child] cannot stand in [nested]"));
}

TEST_F(JoinTest, DocumentsSayWhatTheyAreOf) {
    const auto problem = [&](const std::string& value, const std::string& routing = "r") {
        const ItemResult result = write("new", R"({ "n" : 1, "j" : )" + value + "}", routing);
        return result.ok() ? "" : result.error_type + ": " + result.error_reason;
    };
    const std::string begin = "document_parsing_exception: failed to parse: ";
    EXPECT_EQ(problem(R"({"name":"answer","parent":"q1"})", ""),
              begin + "[routing] is missing for join field [j]");
    EXPECT_EQ(problem(R"({"name":"answer"})"), begin + "[parent] is missing for join field [j]");
    EXPECT_EQ(problem(R"("answer")"), begin + "[parent] is missing for join field [j]");
    EXPECT_EQ(problem(R"("reply")"), begin + "unknown join name [reply] for field [j]");
    EXPECT_EQ(problem("{}"), begin + "null join name in field [j]");
    EXPECT_EQ(problem(R"({"name":"question","x":"y"})"),
              begin + "unknown field name [x] in join field [j]");
    EXPECT_EQ(problem("5"), begin +
                                "[j] expected START_OBJECT or VALUE_STRING but was: "
                                "VALUE_NUMBER");
    EXPECT_EQ(problem(R"(["question","answer"])"),
              begin + "the join field [j] has more than one value");
    EXPECT_EQ(problem(R"({"name":"question"})", ""), "");
    EXPECT_EQ(problem(R"({"name":"question","parent":"q1"})", ""), "");
    EXPECT_EQ(problem(R"({"name":"answer","parent":7})"), "");
    EXPECT_TRUE(write("none", R"({"n":1})", "").ok());
}

/// A parent is found whichever slice reads it.
TEST_F(JoinTest, SlicesInAnOrderSeeAllParents) {
    SortedOptions options;
    options.parts = {{.index = "i"}};
    options.query = Query::parse(has_parent("question", kAll));
    options.sort = {{.kind = SortKey::Kind::document}};
    options.slices = 4;
    std::vector<std::string> ids;
    for (const auto& slice : open_sorted(*store_, options)) {
        RecordBatch batch;
        while (slice->read(batch, 100, SIZE_MAX)) {
            for (const Record& record : batch.records)
                ids.push_back(record.id);
        }
    }
    EXPECT_THAT(ids, UnorderedElementsAre("a1", "a2", "a3", "c1"));
}

}  // namespace
}  // namespace penstock::io
