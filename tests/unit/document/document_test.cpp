#include "engine/document/document.h"

#include <gtest/gtest.h>

#include "engine/document/json.h"

namespace penstock::document {
namespace {

class DocumentTest : public testing::Test {
  protected:
    Value json(std::string_view text) {
        Value value;
        JsonError error;
        EXPECT_TRUE(parser_.parse(text, arena_, value, error)) << text << error.text();
        return value;
    }
    Document document(std::string_view source) {
        Document made(arena_);
        made.set_source(json(source));
        made.commit();
        return made;
    }
    static FieldPath path(std::string_view text, AccessPattern access = AccessPattern::classic) {
        auto parsed = FieldPath::parse(text, access);
        EXPECT_TRUE(parsed.has_value()) << text;
        return std::move(*parsed);
    }
    static std::string text(Value value) {
        std::string out;
        write_json(value, out);
        return out;
    }
    static std::string reason(const Outcome& outcome) {
        return outcome.is_failure() ? outcome.failure().reason : "ok";
    }
    static std::string get(const Document& document, std::string_view field) {
        auto value = document.get(path(field));
        return value ? text(*value) : value.error().reason;
    }

    Arena arena_;
    JsonParser parser_;
};

TEST_F(DocumentTest, ReadsFieldsListsAndMetadata) {
    Document doc = document(R"({"a":{"b":[{"c":1},{"c":2}]},"n":null,"s":"x"})");
    doc.set_meta(Meta::id, Value::string("7"));
    doc.set_ingest("timestamp", Value::string("now"));
    EXPECT_EQ(get(doc, "a.b.1.c"), "2");
    EXPECT_EQ(get(doc, "_source.a.b.0"), R"({"c":1})");
    EXPECT_EQ(get(doc, "_id"), R"("7")");
    EXPECT_EQ(get(doc, "_ingest.timestamp"), R"("now")");
    EXPECT_EQ(get(doc, "n"), "null");
    EXPECT_EQ(get(doc, "x.y"), "field [x] not present as part of path [x.y]");
    EXPECT_EQ(get(doc, "a.b.x"),
              "[x] is not an integer, cannot be used as an index as part of path [a.b.x]");
    EXPECT_EQ(get(doc, "a.b.5"),
              "[5] is out of bounds for array with length [2] as part of path [a.b.5]");
    EXPECT_EQ(get(doc, "n.y"), "cannot resolve [y] from null as part of path [n.y]");
    EXPECT_EQ(get(doc, "s.y"),
              "cannot resolve [y] from object of type [java.lang.String] as part of path [s.y]");
    EXPECT_FALSE(doc.has(path("_routing")));
}

TEST_F(DocumentTest, RefusesWhatIsNoPath) {
    EXPECT_EQ(FieldPath::parse("").error().reason, "path cannot be null nor empty");
    EXPECT_EQ(FieldPath::parse(".").error().reason, "path [.] is not valid");
    EXPECT_EQ(FieldPath::parse("_ingest.").error().reason, "path [_ingest.] is not valid");
    EXPECT_EQ(path("a..b").size(), 3u);
    EXPECT_EQ(path("a.").size(), 1u);
}

TEST_F(DocumentTest, WritesMakingParentsOrNothing) {
    Document doc = document(R"({"s":"x","l":[1,{"a":2}],"n":null})");
    EXPECT_TRUE(doc.set(path("p.q.0.r"), Value::integer(1)).is_ok());
    EXPECT_TRUE(doc.set(path("l.1.b"), Value::integer(3)).is_ok());
    EXPECT_TRUE(doc.set(path("l.0"), Value::integer(9)).is_ok());
    EXPECT_EQ(reason(doc.set(path("s.y.z"), Value::null())),
              "cannot resolve [y] from object of type [java.lang.String] as part of path [s.y.z]");
    EXPECT_EQ(reason(doc.set(path("s.y"), Value::null())),
              "cannot set [y] with parent object of type [java.lang.String] as part of path [s.y]");
    EXPECT_EQ(reason(doc.set(path("n.y"), Value::null())),
              "cannot set [y] with null parent as part of path [n.y]");
    EXPECT_EQ(reason(doc.set(path("l.2"), Value::null())),
              "[2] is out of bounds for array with length [2] as part of path [l.2]");
    EXPECT_EQ(text(doc.source()),
              R"({"s":"x","l":[9,{"a":2,"b":3}],"n":null,"p":{"q":{"0":{"r":1}}}})");
    doc.roll_back(0);
    EXPECT_EQ(text(doc.source()), R"({"s":"x","l":[1,{"a":2}],"n":null})");
}

TEST_F(DocumentTest, ChecksMetadataTypes) {
    Document doc = document("{}");
    EXPECT_EQ(reason(doc.set(path("_id"), Value::integer(5))),
              "_id [5] is wrong type, expected assignable to [java.lang.String], not type "
              "[java.lang.Integer]");
    EXPECT_TRUE(doc.set(path("_routing"), Value::string("r")).is_ok());
    EXPECT_TRUE(doc.remove(path("_routing")).is_ok());
    EXPECT_EQ(reason(doc.remove(path("_routing"))),
              "field [_routing] not present as part of path [_routing]");
    doc.set_meta(Meta::index, Value::string("i"));
    EXPECT_EQ(reason(doc.remove(path("_index"))), "_index cannot be removed");
}

TEST_F(DocumentTest, AppendsToListsScalarsAndNothing) {
    Document doc = document(R"({"l":[1],"s":"x"})");
    EXPECT_TRUE(doc.append(path("l"), json("[2,1]")).is_ok());
    EXPECT_TRUE(doc.append(path("s"), Value::string("y")).is_ok());
    EXPECT_TRUE(doc.append(path("new.one"), Value::integer(1)).is_ok());
    EXPECT_EQ(text(doc.source()), R"({"l":[1,2,1],"s":["x","y"],"new":{"one":[1]}})");
    EXPECT_TRUE(doc.append(path("l"), json("[2,7]"), false).is_ok());
    EXPECT_EQ(get(doc, "l"), "[1,2,1,7]");
    doc.roll_back(0);
    EXPECT_EQ(text(doc.source()), R"({"l":[1],"s":"x"})");
    EXPECT_TRUE(doc.append(path("s"), Value::string("x"), false).is_ok());
    EXPECT_EQ(get(doc, "s"), R"("x")");
}

TEST_F(DocumentTest, MovesKeepingAllOrNothing) {
    Document doc = document(R"({"a":{"deep":[1,2]},"b":1,"s":"x"})");
    EXPECT_TRUE(doc.move(path("a"), path("c.d")).is_ok());
    EXPECT_EQ(text(doc.source()), R"({"b":1,"s":"x","c":{"d":{"deep":[1,2]}}})");
    EXPECT_EQ(reason(doc.move(path("nope"), path("z"))), "field [nope] doesn't exist");
    EXPECT_EQ(reason(doc.move(path("b"), path("s"))), "field [s] already exists");
    EXPECT_EQ(reason(doc.move(path("b"), path("s.x"))),
              "cannot set [x] with parent object of type [java.lang.String] as part of path [s.x]");
    EXPECT_EQ(text(doc.source()), R"({"b":1,"s":"x","c":{"d":{"deep":[1,2]}}})");
    EXPECT_TRUE(doc.move(path("b"), path("b.c")).is_ok());
    EXPECT_EQ(text(doc.source()), R"({"s":"x","c":{"d":{"deep":[1,2]}},"b":{"c":1}})");
    doc.roll_back(0);
    EXPECT_EQ(text(doc.source()), R"({"a":{"deep":[1,2]},"b":1,"s":"x"})");
}

TEST_F(DocumentTest, RefusesToMoveAValueIntoItself) {
    Document doc = document(R"({"l":[{"a":1},2]})");
    doc.set_ingest("_value", *doc.find(path("l.0")));  // as foreach does
    EXPECT_EQ(reason(doc.move(path("l"), path("_ingest._value.x"))),
              "field [l] cannot be moved into itself: [_ingest._value.x] is a part of it");
    EXPECT_EQ(reason(doc.move(path("_ingest._value"), path("l.0.x"))),
              "field [_ingest._value] cannot be moved into itself: [l.0.x] is a part of it");
    EXPECT_EQ(text(doc.source()), R"({"l":[{"a":1},2]})");
    EXPECT_TRUE(doc.move(path("_ingest._value.a"), path("b")).is_ok());
    EXPECT_EQ(text(doc.source()), R"({"l":[{},2],"b":1})");
}

TEST_F(DocumentTest, RefusesACircleWithinTheSourceToo) {
    // What foreach and a called pipeline can make: the element hangs in two places of the source.
    for (AccessPattern access : {AccessPattern::classic, AccessPattern::flexible}) {
        Document doc = document(R"({"items":[{"a":1}]})");
        doc.set_ingest("_value", *doc.find(path("items.0")));
        ASSERT_TRUE(doc.move(path("_ingest._value", access), path("other", access)).is_ok());
        EXPECT_EQ(reason(doc.move(path("items", access), path("other.x", access))),
                  "field [items] cannot be moved into itself: [other.x] is a part of it");
        EXPECT_EQ(text(doc.source()), R"({"items":[{"a":1}],"other":{"a":1}})");
    }
}

TEST_F(DocumentTest, AMissingMetadataFieldIsNoParent) {
    Document doc = document("{}");
    EXPECT_EQ(reason(doc.set(path("_id.x"), Value::integer(1))),
              "_id [{}] is wrong type, expected assignable to [java.lang.String], not type "
              "[java.util.HashMap]");
    EXPECT_TRUE(doc.meta(Meta::id).is_null());
    EXPECT_TRUE(doc.set(path("_dynamic_templates.x"), Value::string("t")).is_ok());
}

TEST_F(DocumentTest, RemovesFromListsAndObjects) {
    Document doc = document(R"({"l":[1,2,3],"o":{"a":1,"b":2,"c":3}})");
    EXPECT_TRUE(doc.remove(path("l.1")).is_ok());
    EXPECT_TRUE(doc.remove(path("o.b")).is_ok());
    EXPECT_EQ(text(doc.source()), R"({"l":[1,3],"o":{"a":1,"c":3}})");
    EXPECT_EQ(reason(doc.remove(path("o.b"))), "field [b] not present as part of path [o.b]");
    EXPECT_EQ(reason(doc.remove(path("x.b"))), "field [x] not present as part of path [x.b]");
    doc.roll_back(0);
    EXPECT_EQ(text(doc.source()), R"({"l":[1,2,3],"o":{"a":1,"b":2,"c":3}})");
}

TEST_F(DocumentTest, FlexibleAccessFindsAndWritesDottedKeys) {
    auto flexible = [&](std::string_view text) { return path(text, AccessPattern::flexible); };
    Document doc = document(R"({"a.b":{"c":1},"a":{"b.c":2,"x":{"y":3}},"p":{"q":1}})");
    EXPECT_EQ(text(*doc.find(flexible("a.b.c"))), "1");
    EXPECT_EQ(text(*doc.find(flexible("a.x.y"))), "3");
    EXPECT_EQ(doc.find(flexible("a.z")), nullptr);
    EXPECT_TRUE(doc.set(flexible("p.new.deep"), Value::integer(1)).is_ok());
    EXPECT_TRUE(doc.set(flexible("r.s"), Value::integer(2)).is_ok());
    EXPECT_TRUE(doc.set(flexible("r.s"), Value::integer(3)).is_ok());
    EXPECT_TRUE(doc.remove(flexible("a.b.c")).is_ok());
    EXPECT_EQ(text(doc.source()),
              R"({"a.b":{},"a":{"b.c":2,"x":{"y":3}},"p":{"q":1,"new.deep":1},"r.s":3})");
}

TEST_F(DocumentTest, LeavesNoMoreGarbageThanWhatWasWritten) {
    Document doc = document("{}");
    FieldPath field = path("field");
    std::string text(200, 'x');
    std::size_t before = arena_.used();
    for (int round = 0; round < 10000; ++round) {
        ASSERT_TRUE(doc.set(field, Value::string(text, arena_)).is_ok());
        ASSERT_TRUE(doc.remove(field).is_ok());
        doc.commit();  // as the executor does after every step
    }
    // 2,000,000 bytes of text, the key of each new member, and the ends of blocks.
    EXPECT_LT(arena_.used() - before, 2'300'000u);
}

TEST(Values, PrintAndCompareAsInJava) {
    Arena arena;
    JsonParser parser;
    JsonError error;
    Value value;
    ASSERT_TRUE(parser.parse(R"({"a":[1,2.0,null,"x"],"":{"b":true}})", arena, value, error));
    std::string out;
    append_java_string(value, out);
    EXPECT_EQ(out, "{a=[1, 2.0, null, x], ={b=true}}");
    EXPECT_TRUE(equal(value, clone(value, arena)));
    EXPECT_FALSE(equal(Value::integer(1), Value::floating(1)));
    EXPECT_EQ(java_type_name(Value::integer(1)), "java.lang.Integer");
    EXPECT_EQ(java_type_name(Value::integer(1ll << 40)), "java.lang.Long");
}

}  // namespace
}  // namespace penstock::document
