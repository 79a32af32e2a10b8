// What values a document may have where mappings say its types.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/io/index.h"
#include "tests/unit/io/scratch.h"

namespace penstock::io {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class MappedValuesTest : public Scratch {
  protected:
    MappedValuesTest() : store_(IndexStore::open(dir_)) {}

    void map(const std::string& properties, const std::string& settings = "{}") {
        IndexSettings index;
        index.attributes = {{"mappings", R"({"properties":)" + properties + "}"},
                            {"settings", R"({"index":{"mapping":)" + settings + "}}"}};
        store_->create("i", index);
    }

    ItemResult write(const std::string& source) {
        WriteItem item;
        item.id = "x";
        item.source = source;
        std::vector<ItemResult> results;
        store_->bulk("i", std::span(&item, 1), results);
        return results.front();
    }

    std::shared_ptr<IndexStore> store_;
};

TEST_F(MappedValuesTest, SaysWhichValueDoesNotFit) {
    map(R"({"pages":{"type":"long"},"book":{"properties":{"title":{"type":"keyword"}}}})");
    const ItemResult refused = write("{\"a\":1,\n \"pages\": \"many\"}");
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(refused.error_type, "document_parsing_exception");
    EXPECT_EQ(refused.error_reason,
              "[2:11] failed to parse field [pages] of type [long] in document with id 'x'. "
              "Preview of field's value: 'many'");
    EXPECT_EQ(refused.cause_type, "illegal_argument_exception");
    EXPECT_EQ(refused.cause_reason, "For input string: \"many\"");
    const ItemResult object = write(R"({"book":[{"title":"a"},{"title":[{"en":"b","n":2}]}]})");
    EXPECT_THAT(object.error_reason,
                EndsWith("field [book.title] of type [keyword] in document with id 'x'. Preview of "
                         "field's value: '{en=b, n=2}'"));
    EXPECT_EQ(object.cause_reason, "Can't get text on a START_OBJECT at 1:34");
    EXPECT_EQ(write(R"({"book":"Emma"})").error_reason,
              "[1:9] object mapping for [book] tried to parse field [book] as object, but found a "
              "concrete value");
    EXPECT_EQ(store_->count("i"), 0U);
}

TEST_F(MappedValuesTest, TakesWhatElasticsearchConverts) {
    map(R"({"n":{"type":"integer"},"u":{"type":"unsigned_long"},"f":{"type":"float"},)"
        R"("b":{"type":"boolean"},"d":{"type":"date"},"ns":{"type":"date_nanos"},)"
        R"("own":{"type":"date","format":"dd/MM/yyyy"},"ip":{"type":"ip"},"t":{"type":"text"},)"
        R"("o":{"type":"object","enabled":false,"properties":{"n":{"type":"long"}}},)"
        R"("c":{"type":"constant_keyword","value":"7"},"g":{"type":"geo_point"},)"
        R"("dotted.name":{"type":"long"}})");
    for (const char* fits : {R"({"n":"12"})",
                             R"({"n":" 1.9 "})",
                             R"({"n":1e3})",
                             R"({"n":""})",
                             R"({"n":[1,[null]]})",
                             R"({"n":-2147483648})",
                             R"({"u":"18446744073709551615"})",
                             R"({"u":"7.25"})",
                             R"({"f":"+1.5"})",
                             R"({"f":-3.4028235E38})",
                             R"({"f":1e-400})",
                             R"({"n":-1e-400})",
                             R"({"b":"false"})",
                             R"({"b":""})",
                             R"({"d":"2024-05-31"})",
                             R"({"d":17})",
                             R"({"d":"-5"})",
                             R"({"d":"2024-05-31T10:00:00.123456789+02:00"})",
                             R"({"ns":"2024-05-31"})",
                             R"({"own":"31/05/2024"})",
                             R"({"ip":"::1"})",
                             R"({"ip":["10.0.0.1"]})",
                             R"({"t":1})",
                             R"({"t":[true,"a"]})",
                             R"({"o":{"n":"x"}})",
                             R"({"o":"x"})",
                             R"({"c":7})",
                             R"({"g":{"lat":1,"lon":2}})",
                             R"({"other":{"n":"x"}})",
                             R"({"dotted":{"name":1}})",
                             R"({"n":null,"d":null,"o":null})"}) {
        const ItemResult result = write(fits);
        EXPECT_TRUE(result.ok()) << fits << ": " << result.error_reason;
    }
}

TEST_F(MappedValuesTest, RefusesWhatDoesNotFit) {
    map(R"({"n":{"type":"integer"},"l":{"type":"long"},"u":{"type":"unsigned_long"},)"
        R"("f":{"type":"float"},"b":{"type":"boolean"},"d":{"type":"date"},)"
        R"("ns":{"type":"date_nanos"},"ip":{"type":"ip"},"many":{"type":"nested"},)"
        R"("c":{"type":"constant_keyword","value":"7"},"dotted.name":{"type":"long"}})");
    const std::pair<const char*, const char*> faults[] = {
        {R"({"n":"1x"})", "For input string: \"1x\""},
        {R"({"n":true})", "Current token (VALUE_TRUE) not numeric"},
        {R"({"n":{"x":1}})", "Cannot parse object as number"},
        {R"({"n":2147483648})", "Value [2147483648] is out of range for an integer"},
        {R"({"l":9223372036854775808})", "Value [9223372036854775808] is out of range for a long"},
        {R"({"u":-1})", "Value [-1] is out of range for unsigned long"},
        {R"({"u":18446744073709551616})", "is out of range for unsigned long"},
        {R"({"f":"NaN"})", "[float] supports only finite values, but got [NaN]"},
        {R"({"f":3.40282357e38})", "[float] supports only finite values, but got [3.40282357e38]"},
        {R"({"f":1e39})", "[float] supports only finite values, but got [1e39]"},
        {R"({"b":"yes"})", "Failed to parse value [yes] as only [true] or [false] are allowed."},
        {R"({"b":1})", "Failed to parse value [1] as only"},
        {R"({"d":"someday"})",
         "failed to parse date field [someday] with format "
         "[strict_date_optional_time||epoch_millis]"},
        {R"({"ns":"1969-12-31"})", "date[1969-12-31] is before the epoch in 1970"},
        {R"({"ns":"2262-05-01"})", "date[2262-05-01] is after 2262-04-11T23:47:16.854775807"},
        {R"({"ip":"300.1.1.1"})", "'300.1.1.1' is not an IP string literal."},
        {R"({"ip":7})", "'7' is not an IP string literal."},
        {R"({"c":"8"})", "equal to the value defined in the mappings [7], but got [8]"},
        {R"({"dotted.name":"x"})", "For input string: \"x\""},
        {R"({"dotted":{"n\u0061me":"x"}})", "For input string: \"x\""},
    };
    for (const auto& [source, cause] : faults) {
        const ItemResult result = write(source);
        EXPECT_EQ(result.status, 400) << source;
        EXPECT_THAT(result.cause_reason, HasSubstr(cause)) << source;
    }
    EXPECT_THAT(write(R"({"many":[{"a":1},2]})").error_reason,
                HasSubstr("object mapping for [many] tried to parse field [many] as object"));
}

TEST_F(MappedValuesTest, MalformedValuesMayBeIgnored) {
    map(R"({"n":{"type":"long","ignore_malformed":true},"ip":{"type":"ip"},)"
        R"("b":{"type":"boolean","ignore_malformed":false},"o":{"type":"object"}})",
        R"({"ignore_malformed":"true"})");
    EXPECT_TRUE(write(R"({"n":"x","ip":["garbage",7]})").ok());
    EXPECT_FALSE(write(R"({"b":"yes"})").ok());
    EXPECT_FALSE(write(R"({"n":{"a":1}})").ok()) << "an object is no value";
    EXPECT_FALSE(write(R"({"o":1})").ok());
}

TEST_F(MappedValuesTest, NumbersMayHaveToBeWhatTheyAre) {
    map(R"({"n":{"type":"integer","coerce":false},"f":{"type":"float","coerce":"false"},)"
        R"("lax":{"type":"long"}})");
    EXPECT_TRUE(write(R"({"n":7,"f":1.5,"lax":"8.5"})").ok());
    EXPECT_TRUE(write(R"({"n":7.0,"f":1})").ok());
    EXPECT_THAT(write(R"({"n":"7"})").cause_reason, HasSubstr("passed as String"));
    EXPECT_THAT(write(R"({"f":""})").cause_reason, HasSubstr("passed as String"));
    EXPECT_THAT(write(R"({"n":7.5})").cause_reason,
                HasSubstr("7.5 cannot be converted to [integer] without data loss"));
    store_->set_attributes("i", {{"settings", R"({"index":{"mapping":{"coerce":"false"}}})"}});
    EXPECT_FALSE(write(R"({"lax":"8.5"})").ok());
}

TEST_F(MappedValuesTest, AnAliasIsNoFieldToWrite) {
    map(R"({"n":{"type":"long"},"m":{"type":"alias","path":"n"}})");
    EXPECT_TRUE(write(R"({"n":1,"m":null})").ok());
    for (const char* source : {R"({"m":1})", R"({"m":{"a":1}})"})
        EXPECT_EQ(write(source).cause_reason, "Cannot write to a field alias [m].");
}

TEST_F(MappedValuesTest, NamesMayHaveAnyNumberOfDots) {
    std::string name = "a";
    for (int i = 0; i < 200'000; ++i)
        name += ".a";
    map("{\"" + name + "\":{\"type\":\"long\"},\"n\":{\"type\":\"long\"}}");
    EXPECT_TRUE(write("{\"" + name + "\":null}").ok());
    EXPECT_FALSE(write(R"({"n":"x"})").ok());
}

TEST_F(MappedValuesTest, NestedObjectsAreCounted) {
    map(R"({"n":{"type":"nested","properties":{"m":{"type":"nested"}}},"o":{"type":"object"}})",
        R"({"nested_objects":{"limit":"3"}})");
    EXPECT_TRUE(write(R"({"n":[{},{"m":{}}],"o":[{},{},{},{}]})").ok());
    EXPECT_THAT(write(R"({"n":[{},{"m":[{},{}]}]})").error_reason,
                HasSubstr("The number of nested documents has exceeded the allowed limit of [3]. "
                          "This limit can be set by changing the "
                          "[index.mapping.nested_objects.limit] index level setting."));
}

TEST_F(MappedValuesTest, DotsAloneAreNoName) {
    map("{}");
    for (const char* source : {R"({".":1})", R"({"..":"a"})", R"({"a":[{".":{}}]})"})
        EXPECT_THAT(write(source).error_reason,
                    HasSubstr("field name cannot contain only the character [.]"))
            << source;
}

TEST_F(MappedValuesTest, NewMappingsCountFromTheNextWriteOn) {
    map(R"({"a":{"type":"text"}})");
    EXPECT_TRUE(write(R"({"n":"x"})").ok());
    store_->set_attributes("i", {{"mappings", R"({"properties":{"n":{"type":"long"}}})"}});
    EXPECT_FALSE(write(R"({"n":"x"})").ok());
}

}  // namespace
}  // namespace penstock::io
