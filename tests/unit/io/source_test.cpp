#include "engine/io/source.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <set>
#include <thread>

#include "scratch.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using Strings = std::vector<std::string>;

class SourceTest : public Scratch {};

struct Case {
    std::string name;
    std::string file;
    std::string bytes;
    Strings records;  // a text that ends in … is compared up to there
};

void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}

class Reading : public Scratch, public testing::WithParamInterface<Case> {};

void expect_like(const Strings& found, const Strings& wanted) {
    ASSERT_EQ(found.size(), wanted.size()) << testing::PrintToString(found);
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (wanted[i].ends_with("…")) {
            EXPECT_THAT(found[i], StartsWith(wanted[i].substr(0, wanted[i].size() - 3)));
        } else {
            EXPECT_EQ(found[i], wanted[i]);
        }
    }
}

TEST_P(Reading, GivesTheRecords) {
    expect_like(read_all(write(GetParam().file, GetParam().bytes)), GetParam().records);
}

/// Every reader, at every boundary between records: the position leads to exactly the rest.
TEST_P(Reading, ContinuesAtEveryRecord) {
    const std::string file = write(GetParam().file, GetParam().bytes);
    const Strings all = read_all(file);
    const auto source = open_source(at(file));
    RecordBatch batch;
    std::string position = source->position();
    for (std::size_t i = 0;; ++i) {
        const auto again = open_source(at(file));
        again->seek(position);
        EXPECT_EQ(read_all(*again),
                  Strings(all.begin() + static_cast<std::ptrdiff_t>(i), all.end()))
            << position;
        if (!source->read(batch, 1, 1)) break;
        position = batch.end_position;
    }
}

std::string lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
        text += "{\"n\":" + std::to_string(i) + "}\n";
    return text;
}

Strings numbered(int count) {
    Strings all;
    for (int i = 0; i < count; ++i)
        all.push_back("{\"n\":" + std::to_string(i) + "}");
    return all;
}

Strings plus(Strings list, const std::string& last) {
    list.push_back(last);
    return list;
}

std::string damaged(std::string bytes, std::size_t at) {
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    return bytes;
}

const std::vector<Case>& cases() {
    static const std::vector<Case> all = {
        {"lines", "a.ndjson", "{\"a\":1}\n{\"a\":2}\n", {"{\"a\":1}", "{\"a\":2}"}},
        {"jsonl", "a.jsonl", "{\"a\":1}\n", {"{\"a\":1}"}},
        {"no_last_line_end", "a.ndjson", "{\"a\":1}\n{\"a\":2}", {"{\"a\":1}", "{\"a\":2}"}},
        {"crlf_and_mark",
         "a.ndjson",
         "\xEF\xBB\xBF{\"a\":1}\r\n{\"a\":2}\r\n",
         {"{\"a\":1}", "{\"a\":2}"}},
        {"empty_lines",
         "a.ndjson",
         "\n\n{\"a\":1}\n  \r\n\n{\"a\":2}\n\n",
         {"{\"a\":1}", "{\"a\":2}"}},
        {"empty_file", "a.ndjson", "", {}},
        {"only_a_mark", "a.ndjson", "\xEF\xBB\xBF", {}},
        {"nul_and_bad_utf8_stay",
         "a.ndjson",
         std::string("{\"a\":\"\0\xff\"}\nno json\n", 18),
         {std::string("{\"a\":\"\0\xff\"}", 10), "no json"}},
        {"utf16", "a.ndjson", std::string("\xff\xfe{\0", 4), {"!source: …"}},
        {"gzip", "a.ndjson.gz", gzip(lines(3)), numbered(3)},
        {"gzip_members_and_padding", "a.ndjson.gz",
         gzip("{\"n\":0}\n{\"n\"") + gzip(":1}\n{\"n\":2}\n") + std::string(512, '\0'),
         numbered(3)},
        {"gzip_without_its_name", "a.ndjson", gzip(lines(3)), numbered(3)},
        {"zstd", "a.ndjson.zst", zstd(lines(3)), numbered(3)},
        {"zstd_frames", "a.ndjson.zst", zstd(lines(1)) + zstd("{\"n\":1}\n") + zstd("{\"n\":2}"),
         numbered(3)},
        {"not_gzip", "a.ndjson.gz", "{\"a\":1}\n", {"!source: …"}},
        {"empty_gzip", "a.ndjson.gz", "", {"!source: …"}},
        {"gzip_cut_off", "a.ndjson.gz", gzip(lines(3)).substr(0, gzip(lines(3)).size() - 3),
         plus(numbered(3), "!source: …")},
        {"gzip_bad_checksum", "a.ndjson.gz", damaged(gzip(lines(3)), gzip(lines(3)).size() - 8),
         plus(numbered(3), "!source: …")},
        {"gzip_and_garbage", "a.ndjson.gz", gzip(lines(2)) + "garbage",
         plus(numbered(2), "!source: …")},
        {"second_gzip_member_cut_inside_a_line",
         "a.ndjson.gz",
         gzip("{\"n\":0}\n{\"n\"") + gzip(":1}").substr(0, 9),
         {"{\"n\":0}", "!record: the input breaks off inside this line|{\"n\"", "!source: …"}},
        {"zstd_cut_off", "a.ndjson.zst", zstd(lines(2)) + zstd(lines(9)).substr(0, 9),
         plus(numbered(2), "!source: …")},
        {"zstd_corrupt", "a.ndjson.zst", zstd(lines(2)) + "(\xb5/\xfd garbage garbage",
         plus(numbered(2), "!source: …")},
        {"one_object",
         "a.json",
         "{\n  \"a\": {\"b\": \"}\"}\n}\n",
         {"{\n  \"a\": {\"b\": \"}\"}\n}"}},
        {"array",
         "a.json",
         "\xEF\xBB\xBF [ {\"a\":[1,{}]} , {\"b\":\"\\\"]\"}\n]\n",
         {"{\"a\":[1,{}]}", "{\"b\":\"\\\"]\"}"}},
        {"empty_array", "a.json", "[]", {}},
        {"concatenated",
         "a.json",
         "{\"a\":1}{\"a\":2}\n{\"a\":3}",
         {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"}},
        {"two_arrays", "a.json", "[{\"a\":1}][{\"a\":2}]", {"{\"a\":1}", "{\"a\":2}"}},
        {"array_of_others",
         "a.json",
         "[1, \"x,]\", {\"a\":1}, [2], null]",
         {"!record: a document must be a JSON object|1",
          "!record: a document must be a JSON object|\"x,]\"", "{\"a\":1}",
          "!record: a document must be a JSON object|[2]",
          "!record: a document must be a JSON object|null"}},
        {"array_not_closed",
         "a.json",
         "[{\"a\":1},{\"a\":2}",
         {"{\"a\":1}", "{\"a\":2}", "!source: …"}},
        {"object_not_closed",
         "a.json",
         "{\"a\":1} {\"a\":",
         {"{\"a\":1}", "!record: the file ends inside…"}},
        {"brackets_do_not_match",
         "a.json",
         "[{\"a\":[1},{\"a\":2}]",
         {"!record: the brackets of this value do not match|{\"a\":[1}", "{\"a\":2}"}},
        {"quote_missing",
         "a.json",
         "{\"a\":\"x}\n{\"a\":2}",
         {"!record: a line ends inside a string|{\"a\":\"x}", "{\"a\":2}"}},
        {"garbage", "a.json", "hello {\"a\":1} ]", {"!record: …", "{\"a\":1}", "!record: …"}},
        {"csv",
         "a.csv",
         "a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\r\n2,5\" disk\r\n",
         {"{\"a\":\"1\",\"b\":\"x, \\\"y\\\"\\nz\"}", "{\"a\":\"2\",\"b\":\"5\\\" disk\"}"}},
        {"csv_empty_cells",
         "a.csv",
         "a,b\n,\n\"\",x",
         {"{\"a\":\"\",\"b\":\"\"}", "{\"a\":\"\",\"b\":\"x\"}"}},
        {"csv_wrong_columns",
         "a.csv",
         "a,b\n1\n1,2,3\n1,2\n",
         {"!record: the row has 1 columns, the header has 2|1",
          "!record: the row has 3 columns, the header has 2|1,2,3", "{\"a\":\"1\",\"b\":\"2\"}"}},
        {"csv_text_after_quote",
         "a.csv",
         "a,b\n\"x\"y,2\n3,4\n",
         {"!record: text after the closing quote of a cell|\"x\"y,2", "{\"a\":\"3\",\"b\":\"4\"}"}},
        {"csv_quote_not_closed",
         "a.csv",
         "a\n1\n\"x\n2\n",
         {"{\"a\":\"1\"}", "!record: a quoted cell is not…"}},
        {"csv_not_utf8",
         "a.csv",
         "a,b\n1,\xe9t\xe9\n1,2\n",
         {"!record: column 2, b, is not UTF-8; convert the file first: iconv -f WINDOWS-1252 -t "
          "UTF-8|1,\xe9t\xe9",
          "{\"a\":\"1\",\"b\":\"2\"}"}},
        {"csv_header_not_utf8", "a.csv", "a,\xe9\n1,2\n", {"!source: …"}},
        {"csv_only_header", "a.csv", "a,b\n", {}},
        {"csv_empty", "a.csv", "", {}},
        {"csv_header_twice", "a.csv", "a,a\n1,2\n", {"!source: …"}},
        {"csv_header_without_name", "a.csv", "a,\n1,2\n", {"!source: …"}},
        {"csv_control_characters",
         "a.csv",
         std::string("a\n\x01\0\n", 5),
         {"{\"a\":\"\\u0001\\u0000\"}"}},
        {"csv_mark_and_gzip",
         "a.csv.gz",
         gzip("\xEF\xBB\xBF"
              "a\nx\ny\n"),
         {"{\"a\":\"x\"}", "{\"a\":\"y\"}"}},
        {"csv_cut_off",
         "a.csv.gz",
         gzip("a,b\n1,2\n3,") + gzip("4\n").substr(0, 8),
         {"{\"a\":\"1\",\"b\":\"2\"}", "!record: the input breaks off inside this row|3,",
          "!source: …"}},
        {"tsv", "a.tsv", "a\tb\n1,5\t\"x\ty\"\n", {"{\"a\":\"1,5\",\"b\":\"x\\ty\"}"}},
        {"dead_letters",
         "a.dead-letter.ndjson",
         "{\"document\":{\"id\":\"1\",\"source\":{\"a\": [1]}},\"error\":{}}\n"
         "{\"document\":{\"raw\":\"{\\\"a\\\"\"}}\n{\"document\":{\"raw_base64\":\"/"
         "w==\"}}\n{\"x\":1}\n",
         {"{\"a\": [1]}", "{\"a\"", "\xff", "!record: …"}},
    };
    return all;
}

INSTANTIATE_TEST_SUITE_P(Files, Reading, testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.name; });

TEST_F(SourceTest, NamesLinesAndGivesStableIds) {
    write("d/a.ndjson", "{\"a\":1}\n\n{\"a\":2}\n");
    write("d/b.csv", "x\n\"1\n2\"\n3\n");
    const auto old = std::filesystem::current_path();
    std::filesystem::current_path(dir_);
    Strings places;
    std::set<std::string> ids;
    RecordBatch batch;
    const auto source = open_source(at("./d/"));
    source->read(batch, 100, 1000);
    for (const Record& record : batch.records) {
        places.push_back(batch.location(record));
        ids.insert(batch.stable_id(record));
        EXPECT_THAT(batch.stable_id(record), testing::MatchesRegex("[A-Za-z0-9_-]{22}"));
    }
    EXPECT_THAT(places, ElementsAre("d/a.ndjson:1", "d/a.ndjson:3", "d/b.csv:2", "d/b.csv:4"));
    EXPECT_EQ(ids.size(), 4U);
    // The same through another spelling, one by one, and in slices.
    for (const std::size_t slices : {1UL, 3UL}) {
        std::set<std::string> again;
        for (const auto& slice : open_slices(at("d"), slices)) {
            while (slice->read(batch, 1, 1))
                again.insert(batch.stable_id(batch.records[0]));
        }
        EXPECT_EQ(again, ids);
    }
    std::filesystem::current_path(old);
}

TEST_F(SourceTest, ReadsDirectoriesAndGlobsInOrder) {
    write("d/b.ndjson", "{\"n\":1}\n");
    write("d/a/z.json", "[{\"n\":0}]");
    write("d/c.csv.zst", zstd("n\n2\n"));
    write("d/.hidden.ndjson", "{\"n\":9}\n");
    write("d/.git/x.ndjson", "{\"n\":9}\n");
    write("d/README.md", "not data");
    EXPECT_THAT(read_all(path("d")), ElementsAre("{\"n\":0}", "{\"n\":1}", "{\"n\":\"2\"}"));
    EXPECT_THAT(read_all(path("d/*.{ndjson,csv.zst}")), ElementsAre("{\"n\":1}", "{\"n\":\"2\"}"));
    write("d/[odd].ndjson", "{\"n\":7}\n");
    EXPECT_THAT(read_all(path("d/[odd].ndjson")), ElementsAre("{\"n\":7}"));
}

TEST_F(SourceTest, SaysWhatCannotBeRead) {
    write("empty/x.md", "");
    EXPECT_THAT(error_of([&] { open_source(at(path("none.ndjson"))); }), HasSubstr("No such file"));
    EXPECT_THAT(error_of([&] { open_source(at(path("*.ndjson"))); }), HasSubstr("no file matches"));
    EXPECT_THAT(error_of([&] { open_source(at(path("empty"))); }),
                HasSubstr("no file that can be read"));
    EXPECT_THAT(error_of([&] { open_source(at(path("empty/x.md"))); }),
                HasSubstr("cannot tell the format"));
    EXPECT_THAT(error_of([&] { open_source(at("")); }), HasSubstr("no name"));
    EXPECT_THAT(error_of([&] { open_source(at("index:x")); }), HasSubstr("no data directory"));
    SourceOptions options = at(path("empty/x.md"));
    options.format = Format::ndjson;
    EXPECT_THAT(read_all(*open_source(options)), IsEmpty());
}

TEST_F(SourceTest, AFileThatVanishesIsAFailureAndTheOthersAreRead) {
    write("d/a.ndjson", "{\"n\":0}\n");
    write("d/b.ndjson", "{\"n\":1}\n");
    const auto source = open_source(at(path("d")));
    std::filesystem::remove(path("d/a.ndjson"));
    const Strings all = read_all(*source);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_THAT(all[0], testing::AllOf(StartsWith("!source: "), HasSubstr("a.ndjson")));
    EXPECT_EQ(all[1], "{\"n\":1}");
}

TEST_F(SourceTest, FaultsNameFileAndPlace) {
    const std::string file = write("a.ndjson.gz", gzip(lines(3)).substr(0, 20));
    EXPECT_THAT(read_all(file).back(),
                testing::AllOf(HasSubstr(file), HasSubstr("cut off at compressed byte 20")));
}

TEST_F(SourceTest, ALongLineIsKeptInPartAndCostsNoMemory) {
    std::string bytes = "{\"n\":0}\n{\"x\":\"" + std::string(3'000'000, 'x') + "\"}\n{\"n\":1}\n";
    for (const char* name : {"a.ndjson", "a.json", "a.csv"}) {
        const bool csv = std::string_view(name) == "a.csv";
        const std::string file =
            write(name, csv ? "n\n0\n" + std::string(3'000'000, 'x') + "\n1\n" : bytes);
        SourceOptions options = at(file);
        options.max_record_bytes = 1'000'000;
        const Strings all = read_all(*open_source(options));
        ASSERT_EQ(all.size(), 3U) << name;
        EXPECT_THAT(all[1], HasSubstr("longer than 1000000 bytes"));
        EXPECT_LT(all[1].size(), 4400U);
        EXPECT_EQ(all[2], csv ? "{\"n\":\"1\"}" : "{\"n\":1}");
    }
}

TEST_F(SourceTest, ReadsALineOfAHundredMegabytes) {
    constexpr std::size_t kSize = 100'000'000;
    write("a.ndjson", "{\"x\":\"" + std::string(kSize, 'x') + "\"}\n{\"n\":1}\n");
    const auto source = open_source(at(path("a.ndjson")));
    RecordBatch batch;
    ASSERT_TRUE(source->read(batch, 10, 1000));
    ASSERT_EQ(batch.records.size(), 1U);
    EXPECT_EQ(batch.records[0].kind, RecordKind::document);
    EXPECT_EQ(batch.records[0].size, kSize + 8);
    ASSERT_TRUE(source->read(batch, 10, 1000));
    EXPECT_EQ(batch.text(batch.records[0]), "{\"n\":1}");
}

TEST_F(SourceTest, KeepsToBatchLimits) {
    const auto source = open_source(at(write("a.ndjson", lines(100))));
    RecordBatch batch;
    source->read(batch, 7, 1000);
    EXPECT_EQ(batch.records.size(), 7U);
    source->read(batch, 100, 15);
    EXPECT_EQ(batch.records.size(), 3U);  // 7 bytes each; the third passes 15
    const Progress progress = source->progress();
    EXPECT_EQ(progress.records_read, 10U);
    EXPECT_EQ(progress.bytes_total, lines(100).size());
}

TEST_F(SourceTest, RefusesToContinueInChangedFiles) {
    const auto resume = [&](const std::string& location, const std::string& position) {
        return error_of([&] { open_source(at(location))->seek(position); });
    };
    write("d/a.ndjson", lines(2));
    const std::string file = write("d/b.ndjson", lines(4));
    RecordBatch batch;
    const auto source = open_source(at(path("d")));
    source->read(batch, 4, 1000);
    const std::string position = batch.end_position;

    write("d/b.ndjson", lines(9));  // grown: as a log grows
    const auto again = open_source(at(path("d")));
    again->seek(position);
    EXPECT_EQ(read_all(*again).size(), 7U);

    write("d/b.ndjson", "{\"n\":7}\n{\"n\":8}\n{\"n\":9}\n");
    EXPECT_THAT(resume(path("d"), position), HasSubstr("other content"));
    write("d/b.ndjson", "{}");
    EXPECT_THAT(resume(path("d"), position), HasSubstr("shorter"));
    std::filesystem::remove(file);
    EXPECT_THAT(resume(path("d"), position), HasSubstr("not there any more"));
    write("d/b.ndjson", lines(4));
    write("d/0.ndjson", lines(4));
    EXPECT_THAT(resume(path("d"), position), HasSubstr("added, removed or renamed"));
    EXPECT_THAT(resume(path("d"), "{\"kind\":\"index\"}"), HasSubstr("does not belong to files"));
    EXPECT_THAT(resume(path("d"), "rubbish"), HasSubstr("does not belong to files"));
}

TEST_F(SourceTest, SlicesReadEverythingOnce) {
    write("d/a.ndjson", "\xEF\xBB\xBF" + lines(101));
    write("d/b.ndjson",
          std::string("\n\n{\"x\":\"") + std::string(3000, 'y') + "\"}\n\n\n" + lines(5));
    write("d/c.csv", "n\n1\n2\n");
    write("d/d.ndjson.gz", gzip(lines(50)));
    write("d/e.ndjson", "");
    write("d/f.json", "[{\"n\":1}]");
    Strings whole = read_all(path("d"));
    std::sort(whole.begin(), whole.end());
    ASSERT_EQ(whole.size(), 101U + 6 + 2 + 50 + 1);
    for (const std::size_t count : {2UL, 3UL, 7UL, 64UL, 1000UL}) {
        Strings all;
        const auto slices = open_slices(at(path("d")), count);
        EXPECT_EQ(slices.size(), count);
        for (const auto& slice : slices) {
            for (std::string& text : read_all(*slice))
                all.push_back(std::move(text));
        }
        std::sort(all.begin(), all.end());
        EXPECT_EQ(all, whole) << count;
    }
}

TEST_F(SourceTest, SlicesContinueAndRefuseAnotherDivision) {
    const std::string file = write("a.ndjson", lines(100));
    auto slices = open_slices(at(file), 4);
    RecordBatch batch;
    slices[2]->read(batch, 3, 1000);
    EXPECT_THAT(batch.location(batch.records[0]), HasSubstr("a.ndjson@"));
    const Strings rest = read_all(*slices[2]);
    slices = open_slices(at(file), 4);
    slices[2]->seek(batch.end_position);
    EXPECT_EQ(read_all(*slices[2]), rest);
    EXPECT_THAT(error_of([&] { slices[1]->seek(batch.end_position); }), HasSubstr("slices"));
    write("a.ndjson", lines(101));
    slices = open_slices(at(file), 4);
    EXPECT_THAT(error_of([&] { slices[2]->seek(batch.end_position); }), HasSubstr("sizes"));
}

TEST_F(SourceTest, PipesAreReadButNotResumedOrSliced) {
    const std::string pipe = path("pipe");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::thread writer([&] { std::ofstream(pipe) << lines(3); });
    const auto source = open_source(at(pipe));
    RecordBatch batch;
    source->read(batch, 2, 1000);
    EXPECT_EQ(batch.records.size(), 2U);
    EXPECT_FALSE(source->progress().bytes_total.has_value());
    const std::string position = batch.end_position;
    EXPECT_EQ(read_all(*source).size(), 1U);
    writer.join();
    EXPECT_THAT(error_of([&] { open_source(at(pipe))->seek(position); }), HasSubstr("pipe"));
    EXPECT_THAT(error_of([&] { open_slices(at("-"), 2); }), HasSubstr("slices"));
}

TEST_F(SourceTest, PipesGiveIdsOfTheirOwn) {
    const std::string pipe = path("pipe");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::set<std::string> ids;
    for (int run = 0; run < 2; ++run) {
        std::thread writer([&] { std::ofstream(pipe) << lines(3); });
        const auto source = open_source(at(pipe));
        RecordBatch batch;
        while (source->read(batch, 2, 1000)) {
            EXPECT_EQ(batch.location(batch.records[0]).substr(0, pipe.size()), pipe);
            for (const Record& record : batch.records)
                ids.insert(batch.stable_id(record));
        }
        writer.join();
    }
    EXPECT_EQ(ids.size(), 6U);
}

/// Nobody writes to the pipe: neither opening nor reading may wait where an interrupt cannot reach.
TEST_F(SourceTest, AnInterruptEndsTheWaitForAPipesWriter) {
    const std::string pipe = path("pipe");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    for (const char* format : {"ndjson", "json", "csv"}) {
        SourceOptions options = at(pipe);
        options.format = format_from_name(format);
        const auto source = open_source(options);
        std::thread reader([&] { EXPECT_EQ(read_all(*source), Strings{}) << format; });
        source->interrupt();
        reader.join();
    }
}

/// What a pipe had begun to say when it was interrupted is no fault of the data.
TEST_F(SourceTest, AnInterruptedPipeLeavesNoHalfDocument) {
    const std::string pipe = path("pipe");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    const std::vector<std::pair<const char*, const char*>> begun = {
        {"csv", "a,b\n1,2\n3,"}, {"json", "[{\"a\":\"1\",\"b\":\"2\"},{\"a\":"}};
    for (const auto& [format, bytes] : begun) {
        SourceOptions options = at(pipe);
        options.format = format_from_name(format);
        const auto source = open_source(options);
        const int writer = ::open(pipe.c_str(), O_RDWR);  // waits for no reader
        ASSERT_EQ(::write(writer, bytes, std::strlen(bytes)),
                  static_cast<ssize_t>(std::strlen(bytes)));
        RecordBatch batch;
        ASSERT_TRUE(source->read(batch, 1, 1000)) << format;
        EXPECT_EQ(batch.text(batch.records[0]), "{\"a\":\"1\",\"b\":\"2\"}");
        std::thread reader([&] {
            for (const std::string& rest : read_all(*source))
                EXPECT_THAT(rest, testing::Not(StartsWith("!source"))) << format;
        });
        source->interrupt();
        reader.join();
        ::close(writer);
    }
}

/// Random bytes through every reader: no crash, an end, and no lost byte order (records come with
/// rising offsets).
TEST_F(SourceTest, SurvivesNoise) {
    std::uint32_t state = 1;
    const auto random = [&] { return state = state * 1664525U + 1013904223U, state >> 16U; };
    const std::string alphabet("{}[]\",:\\\n\r \t01ae\xff\0\x1f", 20);
    for (int round = 0; round < 100; ++round) {
        std::string bytes;
        for (std::uint32_t i = random() % 200; i > 0; --i)
            bytes += alphabet[random() % alphabet.size()];
        for (const char* name :
             {"n.ndjson", "n.json", "n.csv", "n.tsv", "n.ndjson.gz", "n.json.zst"}) {
            const bool packed = random() % 2 == 0;
            std::string content = bytes;
            if (packed && std::string_view(name).ends_with("gz"))
                content = damaged(gzip(bytes), random() % 20);
            if (packed && std::string_view(name).ends_with("zst"))
                content = damaged(zstd(bytes), random() % 9);
            SourceOptions options = at(write(name, content));
            options.max_record_bytes = 50;
            const auto source = open_source(options);
            RecordBatch batch;
            std::uint64_t last = 0;
            int batches = 0;
            while (source->read(batch, 1, 1)) {
                EXPECT_GE(batch.records[0].offset, last);
                last = batch.records[0].offset;
                ASSERT_LT(++batches, 1000);
            }
        }
    }
}

}  // namespace
}  // namespace penstock::io
