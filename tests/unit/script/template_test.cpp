#include "engine/script/template.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/document/json.h"
#include "engine/runtime/error.h"

namespace penstock::script {
namespace {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Meta;
using document::Value;

Value parse(std::string_view json, Arena& arena) {
    document::JsonParser parser;
    document::JsonError error;
    Value value;
    EXPECT_TRUE(parser.parse(json, arena, value, error)) << error.text() << ": " << json;
    return value;
}

std::string to_json(Value value) {
    std::string out;
    document::write_json(value, out);
    return out;
}

struct Fixture {
    explicit Fixture(std::string_view source) : document(arena) {
        document.set_source(parse(source, arena));
        document.set_meta(Meta::index, Value::string("logs"));
        document.set_meta(Meta::id, Value::string("7"));
        document.set_ingest("timestamp", Value::string("2026-01-02T03:04:05Z"));
        document.set_ingest("_value", parse(R"({"k":"v"})", arena));
    }
    std::string render(std::string_view text, MediaType media_type = MediaType::json) {
        std::string out;
        Template::compile(text, media_type).render(document, out);
        return out;
    }
    Arena arena;
    Document document;
};

struct Case {
    const char* text;
    const char* source;
    const char* out;
    MediaType media_type = MediaType::json;
};

void PrintTo(const Case& c, std::ostream* out) {
    *out << c.text << " with " << c.source;
}

class TemplateRendering : public testing::TestWithParam<Case> {};

TEST_P(TemplateRendering, gives_the_text) {
    Fixture fixture(GetParam().source);
    EXPECT_EQ(fixture.render(GetParam().text, GetParam().media_type), GetParam().out);
}

INSTANTIATE_TEST_SUITE_P(
    variables, TemplateRendering,
    testing::Values(Case{"no tags", "{}", "no tags"}, Case{"", "{}", ""},
                    Case{"a {{b}} c", R"({"b":"x"})", "a x c"},
                    Case{"{{ b }}{{b}}", R"({"b":"x"})", "xx"}, Case{"[{{missing}}]", "{}", "[]"},
                    Case{"[{{a}}]", R"({"a":null})", "[]"},
                    Case{"{{a.b.c}}", R"({"a":{"b":{"c":1}}})", "1"},
                    Case{"[{{a.b.c}}]", R"({"a":{"b":5}})", "[]"},
                    Case{"{{a.b}}", R"({"a":{"b":1},"a.b":2})", "2"},
                    Case{"{{_source.a.b}}", R"({"a":{"b":1},"a.b":2})", "1"},
                    Case{"{{a.b.c}}", R"({"a":{"b.c":3}})", "3"},
                    Case{"[{{a.b.c}}]", R"({"a.b":{"c":3}})", "[]"},
                    Case{"{{i}} {{d}} {{e}} {{t}}", R"({"i":-12,"d":1.0,"e":1e20,"t":true})",
                         "-12 1.0 1.0E20 true"},
                    Case{"{{n}}", R"({"n":18446744073709551616})", "18446744073709551616"},
                    Case{"{{l.1}} {{l.size}} {{l.0.x}}", R"({"l":[{"x":"y"},"b"]})", "b 2 y"},
                    Case{"[{{l.2}}{{l.x}}]", R"({"l":["a","b"]})", "[]"},
                    Case{"{{{o}}}", R"({"o":{"a":1,"b":["x","y"],"c":{"d":null}}})",
                         "{a=1, b=[x, y], c={d=null}}"},
                    Case{"{{l}} {{e}}", R"({"l":["x",["y","z"]],"e":[]})", "{0=x, 1=[y, z]} {}"},
                    Case{"{{_index}}/{{_id}}/{{_routing}}", "{}", "logs/7/"},
                    Case{"{{_source._index}} {{_source.a}}", R"({"a":"b"})", "logs b"},
                    Case{"{{_ingest.timestamp}} {{_ingest._value.k}}", "{}",
                         "2026-01-02T03:04:05Z v"},
                    Case{"{{_index}}", R"({"_index":"field"})", "logs"},
                    Case{"{{größe}} {{名.前}}", R"({"größe":"ü","名":{"前":"漢"}})", "ü 漢"},
                    Case{"a{{! a comment with }one brace }}b", "{}", "ab"}));

INSTANTIATE_TEST_SUITE_P(
    escaping, TemplateRendering,
    testing::Values(Case{"{{a}}", R"({"a":"q\" b\\ t\t n\n r\r b\b f\f u\u001f d\u007f <&> é"})",
                         "q\\\" b\\\\ t\\t n\\n r\\r b\\b f\\f u\\u001F d\x7f <&> é"},
                    Case{"{{{a}}}|{{&a}}|{{& a }}", R"({"a":"\"\n"})", "\"\n|\"\n|\"\n"},
                    Case{"{{{ a }}}", R"({"a":"x"})", "x"},
                    Case{"{{o}}", R"({"o":{"a":"\""}})", "{a=\\\"}"},
                    Case{"{{a}}", R"({"a":"\"\n"})", "\"\n", MediaType::plain},
                    Case{"{{a}}/{{{a}}}", R"({"a":"é b&c=*-._~"})",
                         "%C3%A9+b%26c%3D*-._%7E/é b&c=*-._~", MediaType::form},
                    Case{"{{l}}", R"({"l":["a"]})", "%7B0%3Da%7D", MediaType::form},
                    Case{"\"as\\is\"", "{}", "\"as\\is\""}));

INSTANTIATE_TEST_SUITE_P(
    sections, TemplateRendering,
    testing::Values(Case{"{{#l}}<{{.}}>{{/l}}", R"({"l":["a",1,true]})", "<a><1><true>"},
                    Case{"{{#l}}{{n}}{{m}};{{/l}}",
                         R"({"l":[{"n":1},{"n":2,"m":"own"}],"m":"outer"})", "1outer;2own;"},
                    Case{"{{#o}}{{a}}{{b}}{{/o}}", R"({"o":{"a":1},"b":2,"a":9})", "12"},
                    Case{"{{#a.b}}{{c}}{{/a.b}}", R"({"a":{"b":{"c":"x"}}})", "x"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({"x":true})", "yes"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({"x":false})", "no"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({"x":null})", "no"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({})", "no"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({"x":""})", "no"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({"x":[]})", "no"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({"x":{}})", "yes"},
                    Case{"{{#x}}yes{{/x}}{{^x}}no{{/x}}", R"({"x":0})", "yes"},
                    Case{"{{#x}}{{.}}{{/x}}", R"({"x":"text"})", "text"},
                    Case{"{{#l}}[{{#.}}{{.}},{{/.}}]{{/l}}", R"({"l":[[1,2],[3]]})", "[1,2,][3,]"},
                    Case{"{{#l}}({{x}}){{/l}}", R"({"l":[null,{"x":1}],"x":"o"})", "(o)(1)"},
                    Case{"{{#l}}{{_index}}{{_ingest.timestamp}}{{/l}}", R"({"l":[1]})",
                         "logs2026-01-02T03:04:05Z"},
                    Case{"{{#a}}{{#b}}{{c}}{{d}}{{/b}}{{/a}}", R"({"a":{"d":"D"},"b":{"c":"C"}})",
                         "CD"},
                    Case{"{{#a}}{{#b}}x{{/b}}y{{/a}}z", R"({"a":[1,2],"b":false})", "yyz"}));

INSTANTIATE_TEST_SUITE_P(lines, TemplateRendering,
                         testing::Values(Case{"a\n{{#x}}\nb\n{{/x}}\nc", R"({"x":1})", "a\nb\nc"},
                                         Case{"a\r\n  {{#x}}  \r\nb\r\n{{/x}}\r\nc", R"({"x":1})",
                                              "a\r\nb\r\nc"},
                                         Case{"a\n {{! note }} \nb", "{}", "a\nb"},
                                         Case{"a {{! note }}\nb", "{}", "a \nb"},
                                         Case{"| {{#x}}|{{/x}} |", R"({"x":1})", "| | |"},
                                         Case{"a\n  {{x}}\nb", R"({"x":1})", "a\n  1\nb"},
                                         Case{"{{#x}}\nb\n{{/x}}", R"({"x":1})", "b\n"},
                                         Case{" {{! only }} ", "{}", "  "}));

INSTANTIATE_TEST_SUITE_P(delimiters, TemplateRendering,
                         testing::Values(Case{"{{=<% %>=}}<%a%> {{a}}", R"({"a":1})", "1 {{a}}"},
                                         Case{"{{a}}{{=| |=}}|a||={{ }}=|{{a}}", R"({"a":1})",
                                              "111"},
                                         Case{"{{= [ ] =}}[#x][.][/x]", R"({"x":[1,2]})", "12"}));

INSTANTIATE_TEST_SUITE_P(
    functions, TemplateRendering,
    testing::Values(Case{"{{#toJson}}o{{/toJson}}", R"({"o":{"a":[1,"\"",null],"b":1.5}})",
                         R"({"a":[1,"\"",null],"b":1.5})"},
                    Case{"{{#tojson}} l {{/tojson}}", R"({"l":["a"]})", R"(["a"])"},
                    Case{"{{#toJson}}s{{/toJson}}{{#toJson}}n{{/toJson}}{{#toJson}}no{{/toJson}}",
                         R"({"s":"x","n":1})", "x1"},
                    Case{"{{#toJson}}a.l.0{{/toJson}}", R"({"a":{"l":[{"b":true}]}})",
                         R"({"b":true})"},
                    Case{"{{#join}}l{{/join}}", R"({"l":["a",1,true]})", "a,1,true"},
                    Case{"{{#join delimiter=' and '}}l{{/join delimiter=' and '}}",
                         R"({"l":["a","b"]})", "a and b"},
                    Case{"{{#join delimiter=''}}l{{/join}}", R"({"l":["a","b"]})", "ab"},
                    Case{"[{{#join}}l{{/join}}]", R"({"l":[]})", "[]"},
                    Case{"{{#join}}l{{/join}}", R"({"l":"scalar"})", "l"},
                    Case{"{{#l}}{{#join delimiter='-'}}x{{/join}};{{/l}}",
                         R"({"l":[{"x":[1,2]},{"x":[3]}]})", "1-2;3;"},
                    Case{"{{#url}}a b/{{{x}}}{{/url}}", R"({"x":"é?"})", "a+b%2F%C3%A9%3F"}));

struct BadCase {
    const char* text;
    const char* message;
};

void PrintTo(const BadCase& c, std::ostream* out) {
    *out << c.text;
}

class TemplateMistake : public testing::TestWithParam<BadCase> {};

TEST_P(TemplateMistake, is_told_with_its_place) {
    try {
        Template::compile(GetParam().text);
        FAIL() << "compiled";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), GetParam().message);
    }
}

INSTANTIATE_TEST_SUITE_P(
    all, TemplateMistake,
    testing::Values(
        BadCase{"a {{b", "template, column 3: the tag is not closed by [}}]"},
        BadCase{"{{{b}}", "template, column 1: the tag is not closed by [}}}]"},
        BadCase{"{{", "template, column 1: the tag is not closed by [}}]"},
        BadCase{"x\ny {{}}", "template, line 2, column 3: the tag is empty"},
        BadCase{"{{{ }}}", "template, column 1: the tag is empty"},
        BadCase{"{{# }}{{/ }}", "template, column 1: the section has no name"},
        BadCase{"ab{{#a}}", "template, column 3: section [a] is never closed"},
        BadCase{"{{/a}}", "template, column 1: section [a] is closed but was not opened"},
        BadCase{"{{#a}}{{#b}}{{/a}}{{/b}}",
                "template, column 13: section [b] is open here, but [a] is closed"},
        BadCase{
            "{{> part}}",
            "template, column 1: partials and blocks are not supported; write their text in place"},
        BadCase{"{{%P}}", "template, column 1: pragmas are not supported"},
        BadCase{"{{=<%=}}", "template, column 1: new delimiters are written as {{=<% %>=}}"},
        BadCase{"{{#toJson}}{{a}}{{/toJson}}",
                "template, column 1: [toJson] must contain one name and nothing else, as "
                "{{#toJson}}user{{/toJson}}"},
        BadCase{"{{#join}}{{/join}}",
                "template, column 1: [join] must contain one name and nothing else, as "
                "{{#toJson}}user{{/toJson}}"}));

TEST(Template, limits_nesting) {
    std::string open, close;
    for (int i = 0; i < 101; ++i) {
        open += "{{#a}}";
        close += "{{/a}}";
    }
    EXPECT_THROW(Template::compile(open + close), Error);
    Fixture fixture(R"({"a":1})");
    EXPECT_EQ(fixture.render(open.substr(6) + "x" + close.substr(6)), "x");
}

TEST(Template, says_whether_it_is_constant) {
    EXPECT_TRUE(Template().is_constant());
    EXPECT_EQ(Template().text(), "");
    Template constant = Template::compile("a } b");
    EXPECT_TRUE(constant.is_constant());
    EXPECT_EQ(constant.text(), "a } b");
    Template moved = std::move(constant);
    EXPECT_EQ(moved.text(), "a } b");
    EXPECT_FALSE(Template::compile("{{a}}").is_constant());
}

TEST(Template, appends) {
    Fixture fixture(R"({"a":1})");
    std::string out = "before ";
    Template::compile("{{a}}").render(fixture.document, out);
    EXPECT_EQ(out, "before 1");
}

TEST(ValueTemplate, renders_strings_anywhere_in_it) {
    Fixture fixture(R"({"a":"x\ny","n":1,"k":"key"})");
    Arena mine;
    auto value = ValueTemplate::compile(parse(
        R"(["{{a}}","{{{a}}}","{{n}}",2,null,{"{{k}}":["{{missing}}"],"b":{"c":"d {{n}}"}},[],{}])",
        mine));
    EXPECT_FALSE(value.is_constant());
    EXPECT_EQ(to_json(value.resolve(fixture.document)),
              R"(["x\\ny","x\ny","1",2,null,{"key":[""],"b":{"c":"d 1"}},[],{}])");
}

TEST(ValueTemplate, gives_each_document_its_own_copy_of_a_constant) {
    ValueTemplate value;
    {
        Arena gone;
        value = ValueTemplate::compile(parse(R"({"a":[1,{"b":"text"}]})", gone));
    }
    EXPECT_TRUE(value.is_constant());
    Fixture fixture("{}");
    auto first = FieldPath::parse("x");
    auto inner = FieldPath::parse("x.a.1.b");
    ASSERT_TRUE(fixture.document.set(*first, value.resolve(fixture.document)).is_ok());
    ASSERT_TRUE(fixture.document.set(*inner, Value::integer(5)).is_ok());
    EXPECT_EQ(to_json(fixture.document.source()), R"({"x":{"a":[1,{"b":5}]}})");
    EXPECT_EQ(to_json(value.resolve(fixture.document)), R"({"a":[1,{"b":"text"}]})");
}

TEST(ValueTemplate, escapes_by_media_type) {
    Fixture fixture(R"({"a":"\"é\"","b":"plain"})");
    auto resolve = [&](const char* text, MediaType media_type) {
        return std::string(ValueTemplate::compile(Value::string(text), media_type)
                               .resolve(fixture.document)
                               .as_string());
    };
    EXPECT_EQ(resolve("{{a}}", MediaType::json), R"(\"é\")");
    EXPECT_EQ(resolve("{{b}}", MediaType::json), "plain");
    EXPECT_EQ(resolve("{{a}}", MediaType::plain), R"("é")");
    EXPECT_EQ(resolve("{{a}}", MediaType::form), "%22%C3%A9%22");
    EXPECT_EQ(resolve("{{b}}", MediaType::form), "plain");
    EXPECT_EQ(resolve("{{no}}", MediaType::json), "");
}

TEST(ValueTemplate, throws_for_a_bad_template_inside) {
    Arena arena;
    EXPECT_THROW(ValueTemplate::compile(parse(R"({"a":["{{b"]})", arena)), Error);
    EXPECT_THROW(ValueTemplate::compile(parse(R"({"{{#b}}":1})", arena)), Error);
}

TEST(FieldTemplate, prepares_constant_paths) {
    FieldTemplate field = FieldTemplate::compile("a.b");
    EXPECT_TRUE(field.is_constant());
    Fixture fixture("{}");
    FieldPath scratch;
    auto path = field.resolve(fixture.document, scratch);
    ASSERT_TRUE(path.has_value());
    EXPECT_EQ((*path)->text(), "a.b");
    EXPECT_NE(*path, &scratch);
    EXPECT_THROW(FieldTemplate::compile(""), Error);
    EXPECT_THROW(FieldTemplate::compile("."), Error);
    EXPECT_THROW(FieldTemplate::compile("{{a"), Error);
}

TEST(FieldTemplate, renders_paths_for_each_document) {
    Fixture fixture(R"({"name":"x.y"})");
    FieldPath scratch;
    FieldTemplate field =
        FieldTemplate::compile("_ingest.{{name}}.z", document::AccessPattern::flexible);
    EXPECT_FALSE(field.is_constant());
    EXPECT_EQ(field.text(), "_ingest.{{name}}.z");
    auto path = field.resolve(fixture.document, scratch);
    ASSERT_TRUE(path.has_value());
    EXPECT_EQ((*path)->text(), "_ingest.x.y.z");
    EXPECT_EQ((*path)->root(), FieldPath::Root::ingest);
    EXPECT_EQ((*path)->access(), document::AccessPattern::flexible);
    auto empty = FieldTemplate::compile("{{missing}}").resolve(fixture.document, scratch);
    ASSERT_FALSE(empty.has_value());
    EXPECT_EQ(empty.error().reason, "path cannot be null nor empty");
}

}  // namespace
}  // namespace penstock::script
