#include "engine/io/sink.h"

#include <gmock/gmock.h>

#include "engine/io/dead_letter.h"
#include "scratch.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SinkTest : public Scratch {
  protected:
    static WriteItem item(std::string_view id, std::string_view source) {
        WriteItem one;
        one.id = id;
        one.source = source;
        return one;
    }
    static std::vector<ItemResult> put(Sink& sink, const std::vector<WriteItem>& items) {
        std::vector<ItemResult> results;
        sink.write(items, results);
        return results;
    }
    std::unique_ptr<Sink> open(const std::string& name, bool overwrite = false) const {
        return open_sink({path(name), overwrite, nullptr});
    }
};

TEST_F(SinkTest, WritesLinesWithTheirIds) {
    {
        const auto sink = open("out.ndjson");
        const auto results =
            put(*sink, {item("1", "{\"a\":1}"), item("q\"", "{ }"),
                        item("3", "{\n \"b\": \"x\"\r\n}"), item("4", "{\"_id\":\"own\",\"a\":2}"),
                        item("", "{\"a\":3}"), item("5", "{\"deep\":{\"_id\":1}}")});
        EXPECT_EQ(results.size(), 6U);
        EXPECT_EQ(results[0].status, 201);
        EXPECT_TRUE(results[0].ok());
        sink->flush();
    }
    EXPECT_EQ(read_file(path("out.ndjson")),
              "{\"_id\":\"1\",\"a\":1}\n{\"_id\":\"q\\\"\" }\n{\"_id\":\"3\",  \"b\": \"x\"  }\n"
              "{\"_id\":\"own\",\"a\":2}\n{\"a\":3}\n{\"_id\":\"5\",\"deep\":{\"_id\":1}}\n");
    EXPECT_EQ(read_all(path("out.ndjson")).size(), 6U);
}

TEST_F(SinkTest, DoesNotReplaceAFileUnasked) {
    write("out.ndjson", "precious\n");
    const auto sink = open("out.ndjson");
    EXPECT_THAT(error_of([&] { put(*sink, {item("1", "{}")}); }),
                HasSubstr("exists and is not empty"));
    EXPECT_EQ(read_file(path("out.ndjson")), "precious\n");
    const auto bold = open("out.ndjson", true);
    put(*bold, {item("1", "{}")});
    bold->flush();
    EXPECT_EQ(read_file(path("out.ndjson")), "{\"_id\":\"1\"}\n");
}

TEST_F(SinkTest, GoesBackToACheckpoint) {
    std::string checkpoint;
    {
        const auto sink = open("out.ndjson");
        put(*sink, {item("1", "{}")});
        checkpoint = sink->checkpoint();
        put(*sink, {item("2", "{}"), item("3", "{}")});
    }
    std::ofstream(path("out.ndjson"), std::ios::app) << "{\"torn";
    {
        const auto sink = open("out.ndjson");
        sink->restore(checkpoint);
        put(*sink, {item("2", "{}")});
        sink->flush();
    }
    EXPECT_EQ(read_file(path("out.ndjson")), "{\"_id\":\"1\"}\n{\"_id\":\"2\"}\n");
    write("out.ndjson", "");
    EXPECT_THAT(error_of([&] { open("out.ndjson")->restore(checkpoint); }), HasSubstr("shorter"));
    EXPECT_THAT(error_of([&] {
                    open_sink({"-", false, nullptr})->restore(checkpoint);
                }),
                HasSubstr("standard output"));
    EXPECT_THAT(error_of([&] { open("x")->restore("rubbish"); }), HasSubstr("damaged"));
}

TEST_F(SinkTest, SaysWhatCannotBeWritten) {
    EXPECT_THAT(error_of([&] { put(*open("no/such/dir.ndjson"), {item("1", "{}")}); }),
                HasSubstr("No such file"));
    EXPECT_THAT(error_of([&] { open("out.ndjson.gz"); }), HasSubstr("compressed"));
    EXPECT_THAT(error_of([&] {
                    open_sink({"index:x", false, nullptr});
                }),
                HasSubstr("no data directory"));
    EXPECT_THAT(error_of([&] { open_sink({"", false, nullptr}); }), HasSubstr("no name"));
    const auto full = open_sink({"/dev/full", true, nullptr});
    EXPECT_THAT(error_of([&] {
                    put(*full, {item("1", "{}")});
                    full->flush();
                }),
                HasSubstr("No space left"));
    WriteItem gone = item("1", "");
    gone.op = WriteOp::remove;
    EXPECT_EQ(put(*open("out.ndjson"), {gone})[0].status, 400);
}

TEST_F(SinkTest, DeadLettersComeBackAsTheyWere) {
    const std::string file = path("failed.dead-letter.ndjson");
    {
        DeadLetter dead(file);
        DeadDocument one;
        one.id = "1";
        one.index = "books";
        one.routing = "r";
        one.source = "{\"a\":\n\"x\\n\"}";
        one.location = "in.ndjson:7";
        one.type = "illegal_argument_exception";
        one.message = "field [b] not present";
        one.pipeline = "p";
        one.processor_type = "rename";
        one.processor_tag = "t";
        dead.write(one);
        DeadDocument text;
        text.raw = "{\"a\": no";
        dead.write(text);
        DeadDocument bytes;
        bytes.raw = "{\"\xff\xfe";
        bytes.message = "bad byte \xff";
        dead.write(bytes);
        dead.flush();
    }
    const std::string first = read_file(file).substr(0, read_file(file).find('\n'));
    EXPECT_THAT(first, testing::StartsWith("{\"@timestamp\":\"20"));
    EXPECT_THAT(
        first,
        testing::EndsWith(
            "\"document\":{\"id\":\"1\",\"index\":\"books\",\"routing\":\"r\",\"source\":{\"a\": "
            "\"x\\n\"}},\"error\":{\"type\":\"illegal_argument_exception\",\"message\":\"field [b] "
            "not "
            "present\",\"pipeline\":\"p\",\"processor_type\":\"rename\",\"processor_tag\":\"t\"},"
            "\"location\":\"in.ndjson:7\"}"));
    const auto source = open_source(at(file));
    RecordBatch batch;
    source->read(batch, 10, 1000);
    ASSERT_EQ(batch.records.size(), 3U);
    EXPECT_EQ(batch.text(batch.records[0]), "{\"a\": \"x\\n\"}");
    EXPECT_EQ(batch.records[0].id, "1");
    EXPECT_EQ(batch.records[0].index, "books");
    EXPECT_EQ(batch.records[0].routing, "r");
    EXPECT_EQ(batch.text(batch.records[1]), "{\"a\": no");
    EXPECT_EQ(batch.text(batch.records[2]), "{\"\xff\xfe");
}

TEST_F(SinkTest, DeadLettersAreAppendedBehindATornLineAndCutOnRestore) {
    const std::string file = write("d.dead-letter.ndjson", "{\"torn");
    std::string checkpoint;
    DeadDocument one;
    one.source = "{}";
    {
        DeadLetter dead(file);
        dead.write(one);
        checkpoint = dead.checkpoint();
        dead.write(one);
    }
    EXPECT_THAT(read_all(file), ElementsAre(testing::StartsWith("!record"), "{}", "{}"));
    {
        DeadLetter dead(file);
        dead.restore(checkpoint);
        dead.flush();
    }
    EXPECT_EQ(read_all(file).size(), 2U);
}

TEST_F(SinkTest, ARestoredDeadLetterGoesOnBehindTheTornLine) {
    const std::string file = write("d.dead-letter.ndjson", "{\"torn");
    const std::string checkpoint = DeadLetter(file).checkpoint();
    DeadLetter dead(file);
    dead.restore(checkpoint);
    DeadDocument one;
    one.source = "{}";
    dead.write(one);
    dead.flush();
    EXPECT_THAT(read_all(file), ElementsAre(testing::StartsWith("!record"), "{}"));
}

}  // namespace
}  // namespace penstock::io
