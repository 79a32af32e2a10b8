#include "engine/job/batch.h"

#include <gtest/gtest.h>

namespace penstock::job {
namespace {

/// Lines as a source gives them.
void fill(Batch& batch, const std::vector<std::string>& lines) {
    batch.records.clear();
    batch.records.origins = {"a.ndjson"};
    for (std::size_t i = 0; i < lines.size(); ++i) {
        io::Record record;
        record.begin = batch.records.buffer.size();
        record.size = lines[i].size();
        record.line = i + 1;
        record.offset = record.begin;
        batch.records.buffer += lines[i];
        batch.records.records.push_back(record);
    }
}

void pass_through(Batch& batch, const BatchSettings& settings) {
    batch.parse(settings);
    batch.results().assign(batch.documents().size(), {pipeline::Fate::done, {}});
    batch.render(settings);
}

TEST(Batch, TakesMetadataOutOfTheSourceAndMakesIdsThatStay) {
    BatchSettings settings;
    settings.index = "dest";
    Batch batch;
    std::vector<std::string> lines = {R"({"_id":"a","_routing":"r","x":1})", R"({"x":2})",
                                      R"({"_index":"old","_id":7,"_source":{"y":[1.0]}})",
                                      R"({"_id":{"no":1},"x":3})"};
    fill(batch, lines);
    pass_through(batch, settings);
    ASSERT_EQ(batch.items().size(), 4u);
    EXPECT_EQ(batch.items()[0].id, "a");
    EXPECT_EQ(batch.items()[0].routing, "r");
    EXPECT_EQ(batch.items()[0].source, R"({"x":1})");
    EXPECT_EQ(batch.items()[0].index, "dest");
    EXPECT_EQ(batch.items()[1].source, R"({"x":2})");
    EXPECT_EQ(batch.items()[2].id, "7");
    EXPECT_EQ(batch.items()[2].source, R"({"y":[1.0]})");
    EXPECT_EQ(batch.items()[3].source, lines[3]) << "a metadata member of the wrong type stays";
    std::string made(batch.items()[1].id);
    EXPECT_FALSE(made.empty());
    EXPECT_NE(made, batch.items()[3].id);

    Batch again;
    fill(again, lines);
    pass_through(again, settings);
    EXPECT_EQ(again.items()[1].id, made);
}

TEST(Batch, TakesTheIdFromAField) {
    BatchSettings settings;
    settings.id_field = "user.key";
    Batch batch;
    fill(batch, {R"({"user":{"key":"k"}})", R"({"user":{"key":12}})", R"({"user":{}})",
                 R"({"user":{"key":null}})"});
    pass_through(batch, settings);
    ASSERT_EQ(batch.items().size(), 2u);
    EXPECT_EQ(batch.items()[0].id, "k");
    EXPECT_EQ(batch.items()[1].id, "12");
    EXPECT_EQ(batch.items()[1].source, R"({"user":{"key":12}})");
    ASSERT_EQ(batch.failed().size(), 2u);
    EXPECT_EQ(batch.failed()[0].record, 2u);
}

TEST(Batch, TurnsBadRecordsIntoFailuresWithTheirBytes) {
    Batch batch;
    fill(batch,
         {R"({"a":1,"a":2})", "[1]", "{\"a\":NaN}", "{\"s\":\"\xff\"}", R"({"ok":true})", ""});
    pass_through(batch, {});
    ASSERT_EQ(batch.items().size(), 1u);
    ASSERT_EQ(batch.failed().size(), 5u);
    io::DeadDocument dead = batch.dead_letter(batch.failed()[0]);
    EXPECT_EQ(dead.raw, R"({"a":1,"a":2})");
    EXPECT_EQ(dead.message, "Duplicate field 'a' at column 9");
    EXPECT_EQ(dead.location, "a.ndjson:1");
    EXPECT_EQ(batch.dead_letter(batch.failed()[1]).message,
              "a document must be a JSON object, found an array");
}

TEST(Batch, IsReusable) {
    Batch batch;
    for (int round = 0; round < 3; ++round) {
        fill(batch, {R"({"a":"b"})", "broken"});
        pass_through(batch, {});
        EXPECT_EQ(batch.items().size(), 1u);
        EXPECT_EQ(batch.failed().size(), 1u);
    }
}

}  // namespace
}  // namespace penstock::job
