#include "engine/io/index.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "engine/document/json.h"
#include "engine/io/index_snapshot.h"
#include "engine/io/query_node.h"
#include "engine/runtime/error.h"
#include "scratch.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string shortest(float value) {
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string vector_text(std::size_t dims, float first, std::string_view separator = ",") {
    std::string text = "[";
    for (std::size_t i = 0; i < dims; ++i) {
        if (i > 0) text += separator;
        text += i == 0 ? shortest(first) : "0.5";
    }
    return text + "]";
}

/// {"f0":1,"f1":1,...}, with one more member at its end.
std::string wide_object(int fields, const std::string& last = {}) {
    std::string text = "{";
    for (int i = 0; i < fields; ++i)
        text += "\"f" + std::to_string(i) + "\":1,";
    text += last;
    if (last.empty()) text.pop_back();
    return text + "}";
}

class IndexTest : public Scratch {
  protected:
    IndexTest() : store(IndexStore::open(dir_)) {}

    ItemResult put(std::string_view id, std::string_view source, WriteItem item = {},
                   const std::string& index = "books") {
        item.id = id;
        item.source = source;
        std::vector<ItemResult> results;
        store->bulk(index, std::span(&item, 1), results);
        return results[0];
    }
    std::string source_of(std::string_view id, bool vectors = false) {
        const auto document = store->get("books", id, vectors);
        return document ? document->source : "none";
    }
    void reopen() {
        store.reset();
        store = IndexStore::open(dir_);
    }

    std::shared_ptr<IndexStore> store;
};

TEST_F(IndexTest, CreatesUpdatesAndDeletes) {
    ItemResult result = put("1", R"({"title": "A"})");
    EXPECT_EQ(result.status, 201);
    EXPECT_STREQ(result.result, "created");
    EXPECT_EQ(result.version, 1);
    EXPECT_EQ(result.seq_no, 0);
    result = put("1", R"({"title": "B"})");
    EXPECT_EQ(result.status, 200);
    EXPECT_STREQ(result.result, "updated");
    EXPECT_EQ(result.version, 2);
    EXPECT_EQ(result.seq_no, 1);
    EXPECT_EQ(source_of("1"), R"({"title": "B"})");
    EXPECT_EQ(store->count("books"), 1U);
    WriteItem gone;
    gone.op = WriteOp::remove;
    EXPECT_STREQ(put("1", "", gone).result, "deleted");
    EXPECT_EQ(put("1", "", gone).status, 404);
    EXPECT_EQ(store->count("books"), 0U);
    EXPECT_EQ(put("1", "{}").version, 1);
}

TEST_F(IndexTest, KeepsToVersionsAndConditions) {
    WriteItem create;
    create.op = WriteOp::create;
    EXPECT_EQ(put("1", "{}", create).status, 201);
    ItemResult result = put("1", R"({"x":1})", create);
    EXPECT_EQ(result.status, 409);
    EXPECT_EQ(result.error_type, "version_conflict_engine_exception");
    EXPECT_EQ(result.error_reason,
              "[1]: version conflict, document already exists (current version [1])");
    EXPECT_EQ(source_of("1"), "{}");

    WriteItem condition;
    condition.if_seq_no = 5;
    condition.if_primary_term = 1;
    EXPECT_EQ(put("1", "{}", condition).error_reason,
              "[1]: version conflict, required seqNo [5], primary term [1]. current document has "
              "seqNo [0] and primary "
              "term [1]");
    EXPECT_THAT(put("2", "{}", condition).error_reason, HasSubstr("but no document was found"));
    condition.if_seq_no = 0;
    EXPECT_EQ(put("1", "{}", condition).status, 200);

    WriteItem external;
    external.version_type = VersionType::external;
    external.version = 7;
    EXPECT_EQ(put("1", "{}", external).version, 7);
    EXPECT_EQ(
        put("1", "{}", external).error_reason,
        "[1]: version conflict, current version [7] is higher or equal to the one provided [7]");
    external.version_type = VersionType::external_gte;
    EXPECT_EQ(put("1", "{}", external).status, 200);
    external.version = 6;
    EXPECT_EQ(put("1", "{}", external).status, 409);
    external.version = -1;
    EXPECT_EQ(put("1", "{}", external).status, 400);
}

TEST_F(IndexTest, OneBulkSeesItsOwnWritesAndRefusesItemByItem) {
    std::vector<WriteItem> items(6);
    items[0].id = items[1].id = "1";
    items[1].op = WriteOp::create;
    items[2].id = "2";
    items[2].source = "[1]";
    items[3].index = "others";
    items[3].id = "1";
    items[4].index = "Wrong";
    items[4].id = "1";
    for (WriteItem& item : items) {
        if (item.source.empty()) item.source = "{}";
    }
    std::vector<ItemResult> results;
    store->bulk("books", items, results);
    std::vector<int> statuses;
    for (const ItemResult& result : results)
        statuses.push_back(result.status);
    EXPECT_THAT(statuses, ElementsAre(201, 409, 400, 201, 400, 201));
    EXPECT_EQ(results[5].id.size(), 22U);
    EXPECT_THAT(store->names(), ElementsAre("books", "others"));
    EXPECT_EQ(put(std::string(513, 'x'), "{}").status, 400);
}

struct BadSource {
    const char* source;
    const char* reason;
};

TEST_F(IndexTest, RefusesWhatIsNoDocument) {
    const std::vector<BadSource> bad = {
        {"", "not a JSON object"},
        {"1", "not a JSON object"},
        {"[]", "not a JSON object"},
        {"{", "unexpected end"},
        {"{}x", "text after the end"},
        {"{\"a\":}", "expected a value"},
        {"{\"a\":1,}", "comma"},
        {"{\"a\" 1}", "colon"},
        {"{a:1}", "member name"},
        {"{\"a\":[1 2]}", "comma"},
        {"{\"a\":01}", "malformed number"},
        {"{\"a\":NaN}", "expected a value"},
        {"{\"a\":-}", "malformed number"},
        {"{\"a\":1.}", "malformed number"},
        {"{\"a\":tru}", "unknown word"},
        {"{\"a\":\"\\x\"}", "unknown escape"},
        {"{\"a\":\"\\u12g4\"}", "hexadecimal"},
        {"{\"a\":\"\n\"}", "control character"},
        {"{\"a\":\"\xff\"}", "invalid UTF-8"},
        {"{\"a\":\"\xed\xa0\x80\"}", "invalid UTF-8"},
        {"{\"a\":\"x}", "closing quote"},
        {R"({"a":1,"a":2})", "Duplicate field 'a'"},
        {R"({"o":[{"a":1,"b":2,"\u0061":3}]})", "Duplicate field 'a'"},
        {R"({"a":"\ud800"})", "lone surrogate"},
        {R"({"a":"\udc00\ud800"})", "lone surrogate"},
        {R"({"a":"\ud800\u0041"})", "lone surrogate"},
        {R"({"\ud83d":1})", "lone surrogate"},
    };
    for (const BadSource& one : bad) {
        const ItemResult result = put("1", one.source);
        EXPECT_EQ(result.status, 400) << one.source;
        EXPECT_EQ(result.error_type, "document_parsing_exception");
        EXPECT_THAT(result.error_reason, HasSubstr(one.reason)) << one.source;
    }
    const std::string deep = "{\"a\":" + std::string(2000, '[') + std::string(2000, ']') + "}";
    EXPECT_THAT(put("1", deep).error_reason, HasSubstr("nested too deep"));
    EXPECT_EQ(put("1", R"({"a":"\ud83d\ude00","":{"":[null,true,[["x"]],1e-400]}})").status, 201);
    EXPECT_EQ(put("1", wide_object(100)).status, 200);
    EXPECT_THAT(put("1", wide_object(100, R"("f7":2)")).error_reason, HasSubstr("Duplicate"));
    const std::string long_name(600, 'x');
    EXPECT_THAT(put("1", "{\"" + long_name + R"(":{"a":1,"a":2}})").error_reason,
                HasSubstr("Duplicate"));
    std::string wide = "{";
    for (int i = 0; i < 1001; ++i)
        wide += "\"f" + std::to_string(i) + "\":\"x\",";
    wide.back() = '}';
    EXPECT_EQ(put("2", wide).error_reason, "Limit of total fields [1000] has been exceeded");
    EXPECT_EQ(store->count("books"), 1U);
}

/// What is written must be readable for those who parse it later. (The parser keeps a number that
/// is too large as its text; here nobody could compare it.)
TEST_F(IndexTest, TakesWhatTheParserTakes) {
    for (const char* value :
         {"1e308", "1E+999999999999", "1e-400", "1e-99999999", "0e999", "-0.0",
          "179769313486231570000000000000000000000000", R"("\ud83d\ude00")", R"("\uD83D")",
          R"("\ude00")", R"({"a":1,"b":1,"a":1})", R"([{"a":1},{"a":1}])", "\"\x7f\""}) {
        const std::string source = std::string("{\"x\":") + value + "}";
        document::Arena arena;
        document::Value parsed;
        document::JsonError error;
        const bool readable = document::JsonParser().parse(source, arena, parsed, error);
        EXPECT_EQ(put("1", source).ok(), readable) << value << ": " << error.text();
    }
}

/// The text of a source comes back byte by byte, however its vectors were written.
/// Each value keeps its path; nested objects with long names would multiply the document's size.
TEST_F(IndexTest, RefusesPathsThatAreTooLong) {
    std::string nested = "\"x\"";
    for (int i = 0; i < 30; ++i)
        nested = "{\"" + std::string(40, static_cast<char>('a' + i % 26)) + "\":" + nested + "}";
    const ItemResult result = put("1", nested);
    EXPECT_EQ(result.status, 400);
    EXPECT_THAT(result.error_reason,
                HasSubstr("is too long, must be no longer than 512 bytes but was: "));
    EXPECT_LT(result.error_reason.size(), 200U);
    nested.replace(nested.find("\"x\""), 3, "[1,{}]");
    EXPECT_EQ(put("0", nested).status, 201) << "there is nothing to index";
    EXPECT_EQ(put("2", "{\"" + std::string(600, 'x') + "\":1}").status, 201);
    EXPECT_EQ(put("3", "{\"" + std::string(512, 'x') + "\":\"text\"}").status, 201);
}

/// A field of numbers stays one, whatever the length of a list of them.
TEST_F(IndexTest, TakesLongListsOfNumbersAsNumbers) {
    std::string list = "{\"n\":[1";
    for (int i = 0; i < 10'000; ++i)
        list += ",1";
    EXPECT_EQ(put("1", R"({"n":1})").status, 201);
    EXPECT_EQ(put("2", list + "]}").status, 201);
    EXPECT_EQ(put("3", "{\"n\":" + vector_text(200, 1) + "}").status, 201);
    EXPECT_EQ(put("4", R"({"n":2})").status, 201);
}

TEST_F(IndexTest, GivesBackVectorsExactlyAsTheyWere) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, 0.05F);
    std::vector<std::string> sources;
    const auto vector = [&](auto&& number, const char* separator = ",") {
        std::string text = "[";
        for (int i = 0; i < 130; ++i)
            text += (i > 0 ? separator : "") + number(i == 5   ? 0.0F
                                                      : i == 6 ? 1e-5F
                                                      : i == 7 ? 2.0F
                                                               : normal(random));
        return text + "]";
    };
    const auto print = [](const char* format) {
        return [format](double value) {
            char text[64];
            std::snprintf(text, sizeof text, format, value);
            return std::string(text);
        };
    };
    const std::string fixed = vector(print("%.6f"));
    const std::string full = vector(print("%.17g"), ", ");
    const std::string halves = vector_text(128, 0.25F);
    sources.push_back("{\"v\":" + fixed + "}");
    sources.push_back("{\"v\":" + full + ",\"a\":1}");
    sources.push_back("{ \"a\" : 1 , \"v\" : " + vector_text(130, 0.25F, ", ") + " }");
    sources.push_back("{\"v\":" + vector_text(130, 1.5F) + ",\"w\":" + halves + "}");
    sources.push_back("{\"v\" :" + vector_text(130, 1.5F) + " , \"w\":" + halves +
                      ",\"a\":{\"x\":" + halves + "}}");
    sources.push_back("{\"a\":1,\"v\":" + vector_text(130, 1.5F) + ",\"w\":" + halves +
                      ",\"b\":[{\"x\":" + halves + "},{\"t\":\"q\",\"x\":" + halves + "}]}");
    sources.push_back("{\"v\":" + vector([](float value) {
                          return value == 0.0F    ? "0.0"
                                 : value == 2.0F  ? "2.0"
                                 : value == 1e-5F ? "1.0E-5"
                                                  : std::to_string(0.25F);
                      }) +
                      "}");
    for (const std::string& source : sources) {
        ASSERT_TRUE(put("1", source).ok()) << source;
        EXPECT_EQ(source_of("1", true), source);
    }
    // What was cut is not stored twice, and what is left is JSON.
    put("2", sources[5]);
    EXPECT_EQ(source_of("2"), "{\"a\":1,\"b\":[{},{\"t\":\"q\"}]}");
    put("3", sources[3]);
    EXPECT_EQ(source_of("3"), "{}");
}

TEST_F(IndexTest, RefusesVectorsThatDoNotFit) {
    EXPECT_EQ(put("1", "{\"chunks\":[{\"v\":" + vector_text(128, 1) + "}]}").status, 201);
    EXPECT_EQ(put("2", "{\"chunks\":[{\"v\":" + vector_text(129, 1) + "}]}").error_reason,
              "the vector in field [chunks.v] has a different number of dimensions [129] than the "
              "field [128]");
    EXPECT_THAT(put("2", "{\"chunks\":{\"v\":[1,2]}}").error_reason, HasSubstr("dimensions [2]"));
    EXPECT_THAT(put("2", "{\"chunks\":{\"v\":\"x\"}}").error_reason,
                HasSubstr("[chunks.v] holds vectors"));
    EXPECT_THAT(put("2", "{\"chunks\":{\"v\":7}}").error_reason,
                HasSubstr("[chunks.v] holds vectors"));
    EXPECT_EQ(put("2", "{\"chunks\":{\"v\":null}}").status, 201);
    std::string zero = "[0";
    for (int i = 1; i < 128; ++i)
        zero += ",0";
    EXPECT_THAT(put("3", "{\"chunks\":{\"v\":" + zero + "]}}").error_reason,
                HasSubstr("zero magnitude"));
    EXPECT_THAT(put("3", "{\"w\":" + zero + ",1e99]}").error_reason, HasSubstr("32-bit float"));
    EXPECT_THAT(put("3", "{\"w\":[{\"x\":" + vector_text(200, 1) +
                             "},{\"x\":" + vector_text(201, 1) + "}]}")
                    .error_reason,
                HasSubstr("dimensions [201]"));
    EXPECT_EQ(store->count("books"), 2U);
    const IndexInfo info = store->info("books");
    ASSERT_EQ(info.vector_fields.size(), 1U);
    EXPECT_EQ(info.vector_fields[0].field, "chunks.v");
    EXPECT_EQ(info.vector_fields[0].dims, 128U);
    EXPECT_EQ(info.vector_fields[0].vectors, 1U);
    EXPECT_GT(info.bytes, 0U);

    store->create("small", {{{"v", 0, Similarity::dot_product}}, "english"});
    EXPECT_THAT(put("1", R"({"v":[1,1]})", {}, "small").error_reason, HasSubstr("unit length"));
    EXPECT_EQ(put("1", R"({"v":[0.6,0.8]})", {}, "small").status, 201);
    EXPECT_THAT(put("2", R"({"v":[1,0,0]})", {}, "small").error_reason,
                HasSubstr("[3] than the field [2]"));
    EXPECT_EQ(store->info("small").vector_fields[0].dims, 2U);
    EXPECT_EQ(store->info("small").analyzer, "english");
}

TEST_F(IndexTest, NamesFollowTheRules) {
    for (const char* bad :
         {"", ".", "..", "A", "_x", "-x", "+x", "a b", "a/b", "a*", "a,b", "a#b", "a:b", "../x"}) {
        EXPECT_THAT(error_of([&] { store->create(bad); }), HasSubstr("Invalid index name")) << bad;
    }
    EXPECT_THAT(error_of([&] { store->create(std::string(256, 'a')); }), HasSubstr("too long"));
    store->create("ok-1_x.y");
    EXPECT_THAT(error_of([&] { store->create("ok-1_x.y"); }), HasSubstr("already exists"));
    EXPECT_THAT(error_of([&] { store->create("z", {{}, "klingon"}); }), HasSubstr("klingon"));
    EXPECT_THAT(error_of([&] { store->count("none"); }), HasSubstr("no such index [none]"));
    EXPECT_TRUE(store->remove("ok-1_x.y"));
    EXPECT_FALSE(store->remove("ok-1_x.y"));
    EXPECT_TRUE(store->names().empty());
}

TEST_F(IndexTest, AnIndexDeletedElsewhereIsNotWrittenIntoNothing) {
    put("1", "{}");
    IndexStore::open(dir_)->remove("books");
    EXPECT_THAT(error_of([&] { store->count("books"); }), HasSubstr("no such index"));
    EXPECT_EQ(put("2", "{}").seq_no, 0);
    EXPECT_EQ(IndexStore::open(dir_)->count("books"), 1U);
}

TEST_F(IndexTest, SaysThatFilesAreDamaged) {
    put("1", "{}");
    store.reset();
    write("indices/books/index.db", std::string(50000, 'x'));
    std::filesystem::remove(path("indices/books/index.db-wal"));
    store = IndexStore::open(dir_);
    EXPECT_THAT(error_of([&] { store->count("books"); }), HasSubstr("damaged"));
    EXPECT_THROW(store->count("books"), StorageError);
    write("indices/books/index.db", "");
    EXPECT_THAT(error_of([&] { store->count("books"); }), HasSubstr("damaged"));
    EXPECT_THROW(store->count("books"), StorageError);
}

/// Numbers and truth values where text is expected are searched as the text they are.
TEST_F(IndexTest, FieldsOfTextHoldNumbersToo) {
    const auto found = [&](const std::string& index, const std::string& words) {
        SearchRequest request;
        request.text = TextQuery{words, {}, true};
        return store->search(index, request).size();
    };
    IndexSettings settings;
    settings.attributes["mappings"] =
        R"({"properties":{"title":{"type":"text"},"tag":{"type":"keyword"}}})";
    store->create("books", settings);
    put("1", R"({"title":1984,"tag":7})");
    put("2", R"({"title":["part",2,true,"end"]})");
    put("3", R"({"other":"words"})");
    put("4", R"({"other":[451],"day":"2024-01-01"})");
    put("5", R"({"day":1700000000000})");
    EXPECT_EQ(found("books", "1984"), 1U);
    EXPECT_EQ(found("books", "part 2 true end"), 1U);
    EXPECT_EQ(found("books", "451"), 1U);
    EXPECT_EQ(found("books", "7"), 0U);
    put("6", "{\"title\":" + vector_text(200, 1) + "}");
    EXPECT_EQ(store->info("books").vector_fields.size(), 0U);
    EXPECT_EQ(store->info("books").fields.back().type, "date");
    store->set_attributes("books", {{"mappings", R"({"properties":{"n":{"type":"text"}}})"}});
    put("7", R"({"n":"17"})");
    EXPECT_EQ(found("books", "17"), 1U);
}

/// As in Elasticsearch's standard analyzer; an index that was made without keeps its words.
TEST_F(IndexTest, IdeographsAreWords) {
    const auto found = [&](const std::string& index, const std::string& words) {
        SearchRequest request;
        request.text = TextQuery{words, {}, true};
        return store->search(index, request).size();
    };
    store->create("english", {{}, "english"});
    for (const char* index : {"books", "english"}) {
        put("1", R"({"t":"我在北京工作 reading カタカナ ひらがな𠀋 한국어"})", {}, index);
        EXPECT_EQ(found(index, "北京"), 1U);
        EXPECT_EQ(found(index, "北京工作"), 1U);
        EXPECT_EQ(found(index, "京北"), 0U);
        EXPECT_EQ(found(index, "らが"), 1U);
        EXPECT_EQ(found(index, "𠀋"), 1U);
        EXPECT_EQ(found(index, "カタカナ"), 1U);
        EXPECT_EQ(found(index, "カタ"), 0U);
        EXPECT_EQ(found(index, "한국"), 0U);
        EXPECT_EQ(found(index, "reading 작"), 0U);
        EXPECT_EQ(found(index, "Reading"), 1U);
    }
    EXPECT_EQ(found("english", "reads"), 1U);
    store->create("old");
    Database(path("indices/old/index.db"), "old", Database::Mode::write)
        .execute("UPDATE meta SET value = 1 WHERE key = 'format'");
    reopen();
    put("1", R"({"t":"我在北京工作 beside"})", {}, "old");
    EXPECT_EQ(found("old", "北京"), 0U);
    EXPECT_EQ(found("old", "beside"), 1U);
}

TEST_F(IndexTest, StrictMappingsTakeNoOtherFields) {
    IndexSettings settings;
    settings.attributes["mappings"] =
        R"({"dynamic":"strict","properties":{"a":{"type":"text"},"f":{"type":"flattened"},)"
        R"("o":{"properties":{"x":{"type":"long"}}},"free":{"type":"object","dynamic":true}}})";
    store->create("books", settings);
    EXPECT_EQ(
        put("1", R"({"a":"x","o":{"x":1},"o.x":2,"f":{"any":1},"free":{"y":{"z":1}}})").status,
        201);
    const ItemResult refused = put("2", R"({"b":1})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(refused.error_type, "strict_dynamic_mapping_exception");
    EXPECT_EQ(refused.error_reason,
              "mapping set to strict, dynamic introduction of [b] within [_doc] is not allowed");
    EXPECT_THAT(put("2", R"({"o":[{"y":null}]})").error_reason,
                HasSubstr("dynamic introduction of [y] within [o]"));
}

TEST_F(IndexTest, ScansInOrderWhileOthersWrite) {
    for (int i = 0; i < 10; ++i)
        put(std::to_string(i),
            "{\"n\":" + std::to_string(i) + ",\"v\":" + vector_text(128, 1.5F) + "}");
    SourceOptions options = at("index:books");
    options.store = store;
    const auto source = open_source(options);
    RecordBatch batch;
    ASSERT_TRUE(source->read(batch, 4, 1UL << 20));
    EXPECT_EQ(batch.records.size(), 4U);
    EXPECT_EQ(batch.text(batch.records[1]), "{\"n\":1,\"v\":" + vector_text(128, 1.5F) + "}");
    EXPECT_EQ(batch.records[1].id, "1");
    EXPECT_EQ(batch.location(batch.records[1]), "index:books/1");
    const std::string position = batch.end_position;
    put("1", R"({"n":"again"})");
    put("7", R"({"n":"again"})");
    put("new", R"({"n":"new"})");
    // The open scan does not see the changes.
    const auto rest = read_all(*source);
    EXPECT_EQ(rest.size(), 6U);
    EXPECT_EQ(source->progress().records_total, 10U);
    // One that continues later does: nothing is missing, and what changed comes at the end.
    const auto again = open_source(options);
    again->seek(position);
    std::vector<std::string> ids;
    while (again->read(batch, 2, 1UL << 20)) {
        for (const Record& record : batch.records)
            ids.push_back(record.id);
    }
    EXPECT_THAT(ids, ElementsAre("4", "5", "6", "8", "9", "1", "7", "new"));
    store->remove("books");
    put("1", "{}");
    EXPECT_THAT(error_of([&] { open_source(options)->seek(position); }), HasSubstr("made again"));
}

TEST_F(IndexTest, SlicesOfAnIndexReadEverythingOnce) {
    for (int i = 0; i < 57; ++i)
        put(std::to_string(i), "{}");
    for (int i = 0; i < 57; i += 3)
        put(std::to_string(i), "{}");
    SourceOptions options = at("index:books");
    options.store = store;
    for (const std::size_t count : {1UL, 2UL, 5UL, 100UL}) {
        std::multiset<std::string> ids;
        std::uint64_t total = 0;
        RecordBatch batch;
        for (const auto& slice : open_slices(options, count)) {
            total += slice->progress().records_total.value();
            while (slice->read(batch, 3, 1000)) {
                for (const Record& record : batch.records)
                    ids.insert(record.id);
            }
        }
        EXPECT_EQ(ids.size(), 57U);
        EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 57U);
        EXPECT_EQ(total, 57U);
    }
}

/// Asks for every document; counts how often, and writes meanwhile.
class WritingNode : public QueryNode {
  public:
    explicit WritingNode(std::function<void()> write) : write_(std::move(write)) {}
    MatcherPtr prepare(const Preparation& preparation) const override {
        ++asked;
        write_();
        return make_all()->prepare(preparation);
    }
    mutable int asked = 0;

  private:
    std::function<void()> write_;
};

/// Slices see one state, for which writers wait; they do not wait for the query.
TEST_F(IndexTest, SlicesAskTheirQueryOnce) {
    for (int i = 0; i < 20; ++i)
        put(std::to_string(i), "{}");
    const auto node = std::make_shared<WritingNode>([&] { put("new", "{}"); });
    std::size_t found = 0;
    RecordBatch batch;
    for (const auto& slice : store->scan_slices("books", 3, std::make_shared<Query>(node))) {
        while (slice->read(batch, 100, 1UL << 20))
            found += batch.records.size();
    }
    EXPECT_EQ(found, 20U);
    EXPECT_EQ(node->asked, 1);
}

/// Connections of this process to the log of an index.
std::size_t open_connections() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        const std::string target = std::filesystem::read_symlink(entry, ignored).native();
        count += target.ends_with("index.db-wal") ? 1U : 0U;
    }
    return count;
}

TEST_F(IndexTest, KeepsFewIdleReaders) {
    put("1", "{}");
    {
        std::vector<std::shared_ptr<IndexSnapshot>> snapshots;
        for (int i = 0; i < 20; ++i)
            snapshots.push_back(store->snapshot("books"));
        EXPECT_GE(open_connections(), 20U);
    }
    EXPECT_LE(open_connections(), 6U);
}

/// Every update moves a document to the end of the sequence. Slices that saw different states would
/// give it twice or not at all.
TEST_F(IndexTest, SlicesSeeOneState) {
    constexpr int kDocuments = 40;
    for (int i = 0; i < kDocuments; ++i)
        put(std::to_string(i), "{}");
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        for (int i = 0; !stop; i = (i + 1) % kDocuments)
            put(std::to_string(i), "{}");
    });
    RecordBatch batch;
    for (int round = 0; round < 20; ++round) {
        std::multiset<std::string> ids;
        for (const auto& slice : store->scan_slices("books", 6)) {
            while (slice->read(batch, 100, 1UL << 20)) {
                for (const Record& record : batch.records)
                    ids.insert(record.id);
            }
        }
        EXPECT_EQ(ids.size(), static_cast<std::size_t>(kDocuments));
        EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
    }
    stop = true;
    writer.join();
}

/// A child writes and tells after each bulk what is acknowledged; it is killed; everything
/// acknowledged is there.
TEST_F(IndexTest, LosesNothingAcknowledgedWhenKilled) {
    store.reset();
    for (int round = 0; round < 5; ++round) {
        int pipe_ends[2];
        ASSERT_EQ(::pipe(pipe_ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            const auto mine = IndexStore::open(dir_, {.survive_power_loss = round % 2 == 0});
            std::vector<ItemResult> results;
            for (int i = 0;; ++i) {
                std::vector<std::string> ids;
                for (int k = 0; k < 20; ++k)
                    ids.push_back(std::to_string(round) + "-" + std::to_string(i) + "-" +
                                  std::to_string(k));
                std::vector<WriteItem> items(ids.size());
                const std::string source = "{\"t\":\"word" + std::to_string(i) + "\",\"v\":" +
                                           vector_text(128, 1.0F + static_cast<float>(i)) + "}";
                for (std::size_t k = 0; k < ids.size(); ++k) {
                    items[k].id = ids[k];
                    items[k].source = source;
                }
                mine->bulk("books", items, results);
                if (::write(pipe_ends[1], &i, sizeof i) != sizeof i) ::_exit(1);
            }
        }
        ::close(pipe_ends[1]);
        int acknowledged = -1;
        const int enough = 3 + round * 4;
        while (acknowledged<enough&& ::read(pipe_ends[0], &acknowledged, sizeof acknowledged)> 0) {
        }
        ::kill(child, SIGKILL);
        while (::read(pipe_ends[0], &acknowledged, sizeof acknowledged) > 0) {
        }
        ::close(pipe_ends[0]);
        ::waitpid(child, nullptr, 0);
        ASSERT_GE(acknowledged, enough);

        store = IndexStore::open(dir_);
        std::uint64_t found = 0;
        for (int i = 0; i <= acknowledged; ++i) {
            for (int k = 0; k < 20; ++k) {
                const std::string id =
                    std::to_string(round) + "-" + std::to_string(i) + "-" + std::to_string(k);
                found += store->get("books", id) ? 1U : 0U;
            }
        }
        EXPECT_EQ(found, static_cast<std::uint64_t>(acknowledged + 1) * 20);
        // Whole bulks only, and documents, vectors and counters agree.
        const IndexInfo info = store->info("books");
        EXPECT_EQ(info.docs % 20, 0U);
        EXPECT_EQ(info.vector_fields.at(0).vectors, info.docs);
        SourceOptions options = at("index:books");
        options.store = store;
        EXPECT_EQ(read_all(*open_source(options)).size(), info.docs);
        store.reset();
    }
}

TEST_F(IndexTest, OneWriterAndManyReadersAtOnce) {
    put("0", "{\"n\":0,\"t\":\"word\",\"v\":" + vector_text(128, 1) + "}");
    std::atomic<bool> done{false};
    std::atomic<int> searches{0};
    std::atomic<int> wrong{0};
    std::vector<std::thread> readers;
    std::vector<float> query(128, 0.5F);
    for (int r = 0; r < 4; ++r) {
        readers.emplace_back([&, r] {
            SearchRequest request;
            request.text = TextQuery{"word", {}, false};
            if (r % 2 == 0) request.vector = VectorQuery{"v", query, 100, false};
            while (!done) {
                const auto hits = store->search("books", request);
                // Document 0 is rewritten all the time and must always be found, once.
                const auto count = std::count_if(hits.begin(), hits.end(), [](const Hit& hit) {
                    return hit.document.id == "0";
                });
                if (count > 1 || hits.empty() || !store->get("books", "0")) ++wrong;
                ++searches;
            }
        });
    }
    std::thread second([&] {
        for (int i = 0; i < 60; ++i)
            put("b" + std::to_string(i), "{\"t\":\"word b\",\"v\":" + vector_text(128, 2) + "}");
    });
    for (int i = 1; i <= 60; ++i) {
        put("0", "{\"n\":" + std::to_string(i) +
                     ",\"t\":\"word\",\"v\":" + vector_text(128, static_cast<float>(i)) + "}");
    }
    second.join();
    done = true;
    for (std::thread& reader : readers)
        reader.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_GT(searches, 0);
    EXPECT_EQ(store->count("books"), 61U);
    EXPECT_EQ(store->info("books").vector_fields[0].vectors, 61U);
}

TEST_F(IndexTest, TwoStoresOnOneDirectoryFollowEachOther) {
    const auto other = IndexStore::open(dir_);
    put("1", "{\"t\":\"alpha\",\"v\":" + vector_text(128, 1) + "}");
    SearchRequest request;
    request.vector = VectorQuery{"", std::vector<float>(128, 0.5F), 100, false};
    EXPECT_EQ(other->search("books", request).size(), 1U);
    WriteItem item;
    item.id = "2";
    const std::string source = "{\"new_field\":\"beta\",\"v\":" + vector_text(128, 2) + "}";
    item.source = source;
    std::vector<ItemResult> results;
    other->bulk("books", std::span(&item, 1), results);
    EXPECT_EQ(results[0].seq_no, 1);
    EXPECT_EQ(put("3", "{\"new_field\":\"gamma\"}").seq_no, 2);
    WriteItem gone;
    gone.op = WriteOp::remove;
    put("1", "", gone);
    const auto hits = other->search("books", request);
    ASSERT_EQ(hits.size(), 1U);
    EXPECT_EQ(hits[0].document.id, "2");
    EXPECT_EQ(other->count("books"), 2U);
}

TEST_F(IndexTest, SearchesSeeTheLastRefreshWhereTheyAreToldTo) {
    put("1", "{}");
    store->set_visibility("books", Visibility::on_refresh);
    const auto seen = [&] { return store->searchable("books")->docs(); };
    put("2", "{}");
    EXPECT_EQ(seen(), 1U);
    EXPECT_EQ(store->snapshot("books")->docs(), 2U);
    store->set_visibility("books", Visibility::on_refresh);
    EXPECT_EQ(seen(), 1U) << "it is that already";
    store->refresh("books");
    EXPECT_EQ(seen(), 2U);
    put("3", "{}");
    store->set_visibility("books", Visibility::at_once);
    EXPECT_EQ(seen(), 3U);
}

TEST_F(IndexTest, RefreshesByItselfBeforeItsLogGrowsForEver) {
    constexpr std::size_t limit = 2'000'000;
    store = IndexStore::open(dir_, {.most_unrefreshed = limit});
    store->create("books");
    store->set_visibility("books", Visibility::on_refresh);
    const auto log = [&] {
        return std::filesystem::file_size(dir_ + "/indices/books/index.db-wal");
    };
    put("first", R"({"text":"a"})");
    EXPECT_EQ(store->searchable("books")->docs(), 0U);
    WriteItem gone;
    gone.op = WriteOp::remove;
    for (int i = 0; i < 300; ++i) {
        const std::string id = std::to_string(i);
        put(id, R"({"text":"a few words"})");
        put(id, "", gone);
        ASSERT_LT(log(), limit * 2) << i;
    }
    EXPECT_EQ(store->searchable("books")->docs(), 1U);
}

TEST_F(IndexTest, SurvivesReopening) {
    put("1", R"({"t":"alpha"})");
    put("2", R"({"t":"beta"})");
    reopen();
    EXPECT_EQ(put("2", "{}").version, 2);
    EXPECT_EQ(store->count("books"), 2U);
    const std::vector<std::string> ids = {"2", "none", "1"};
    const auto found = store->mget("books", ids);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0]->source, "{}");
    EXPECT_FALSE(found[1]);
    EXPECT_EQ(found[2]->seq_no, 0);
}

}  // namespace
}  // namespace penstock::io
