// Fields that mappings keep out of the index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/io/index_snapshot.h"
#include "tests/unit/io/scratch.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;

class MappedFieldsTest : public Scratch {
  protected:
    MappedFieldsTest() : store_(IndexStore::open(dir_)) {}

    void map(const std::string& mappings) {
        IndexSettings settings;
        settings.attributes = {{"mappings", mappings}};
        store_->create("i", settings);
    }

    void put(const std::string& source) {
        WriteItem item;
        item.id = "1";
        item.source = source;
        std::vector<ItemResult> results;
        store_->bulk("i", std::span(&item, 1), results);
        ASSERT_TRUE(results.front().ok()) << results.front().error_reason;
        EXPECT_EQ(store_->get("i", "1", true)->source, source);
    }

    std::vector<std::string> brought() {
        std::vector<std::string> paths;
        for (const FieldInfo& field : store_->info("i").fields)
            paths.push_back(field.path);
        return paths;
    }

    std::size_t found(const std::string& query) {
        SearchPart part;
        part.snapshot = store_->snapshot("i");
        DocumentSearch search;
        search.query = Query::parse(query);
        return search_documents(std::span(&part, 1), search).total;
    }

    std::shared_ptr<IndexStore> store_;
};

TEST_F(MappedFieldsTest, WhatIsNotMappedMayStayInTheSourceOnly) {
    map(R"({"dynamic":false,"properties":{"a":{"type":"text"},"dotted.name":{"type":"keyword"},)"
        R"("o":{"properties":{"x":{"type":"long"}}},"free":{"type":"object","dynamic":"true"}}})");
    put(R"({"a":"fox","b":"dog","n":7,"v":[)" +
        [] {
            std::string zeros = "1";
            for (int i = 1; i < 128; ++i)
                zeros += ",0";
            return zeros;
        }() +
        R"(],"o":{"x":1,"y":"cat"},"o.z":"cat","free":{"w":"owl"},"dotted":{"name":"eel"}})");
    EXPECT_THAT(brought(), ElementsAre("a", "free.w", "dotted.name", "o.x"));
    EXPECT_EQ(found(R"({"match":{"a":"fox"}})"), 1U);
    EXPECT_EQ(found(R"({"match":{"free.w":"owl"}})"), 1U);
    EXPECT_EQ(found(R"({"term":{"dotted.name":"eel"}})"), 1U);
    EXPECT_EQ(found(R"({"match":{"b":"dog"}})"), 0U);
    EXPECT_EQ(found(R"({"term":{"n":7}})"), 0U);
    EXPECT_EQ(found(R"({"exists":{"field":"o.y"}})"), 0U);
    EXPECT_EQ(found(R"({"exists":{"field":"o.x"}})"), 1U);
}

TEST_F(MappedFieldsTest, AnObjectMayBeKeptOut) {
    map(R"({"properties":{"o":{"type":"object","enabled":false,"properties":)"
        R"({"x":{"type":"keyword"}}}}})");
    put(R"({"o":[{"x":"fox"},{"x":7,"y":{"z":"dog"}}],"p":"cat"})");
    EXPECT_THAT(brought(), ElementsAre("p"));
    EXPECT_EQ(found(R"({"exists":{"field":"o.x"}})"), 0U);
    EXPECT_EQ(found(R"({"term":{"o.x":"fox"}})"), 0U);
    EXPECT_EQ(found(R"({"match":{"o.y.z":"dog"}})"), 0U);
    put(R"({"o":"no object at all"})");
    put(R"({"o":null})");
}

TEST_F(MappedFieldsTest, WhatIsKeptOutMustBeJsonStill) {
    map(R"({"dynamic":"false"})");
    WriteItem item;
    item.source = R"({"a":{"b":1,"b":2}})";
    std::vector<ItemResult> results;
    store_->bulk("i", std::span(&item, 1), results);
    EXPECT_EQ(results.front().error_reason, "Duplicate field 'b'");
}

}  // namespace
}  // namespace penstock::io
