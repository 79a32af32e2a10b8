#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/document/json.h"
#include "tests/unit/pipeline/test_catalog.h"

namespace penstock::pipeline {
namespace {

Node parsed(std::string_view text, const std::string& file = "x.yml") {
    Diagnostics diagnostics;
    auto node = parse_node(text, file, diagnostics);
    EXPECT_EQ(diagnostics.text(), "") << text;
    return node ? *node : Node{};
}

std::string json(const Node& node) {
    document::Arena arena;
    std::string out;
    document::write_json(node.to_value(arena), out);
    return out;
}

std::string findings(std::string_view text, const DefinitionLimits& limits = {},
                     const std::string& file = "x.yml") {
    Diagnostics diagnostics;
    parse_node(text, file, diagnostics, limits);
    return diagnostics.text();
}

// ---- scalars ----------------------------------------------------------------------------------

struct Scalar {
    const char* yaml;
    const char* json;
};

class YamlScalar : public testing::TestWithParam<Scalar> {};

TEST_P(YamlScalar, HasTheTypeOfTheCoreSchemaAndJson) {
    EXPECT_EQ(json(parsed(GetParam().yaml)), GetParam().json);
}

INSTANTIATE_TEST_SUITE_P(
    All, YamlScalar,
    testing::Values(
        // YAML 1.1 would make something else of these.
        Scalar{"NO", "\"NO\""}, Scalar{"on", "\"on\""}, Scalar{"y", "\"y\""},
        Scalar{"Yes", "\"Yes\""}, Scalar{"012", "\"012\""}, Scalar{"0o17", "\"0o17\""},
        Scalar{"0x1F", "\"0x1F\""}, Scalar{"1_000", "\"1_000\""}, Scalar{"12:30", "\"12:30\""},
        Scalar{"2024-01-01", "\"2024-01-01\""}, Scalar{".inf", "\".inf\""},
        Scalar{".nan", "\".nan\""}, Scalar{"1.2.3", "\"1.2.3\""}, Scalar{"+5", "\"+5\""},
        Scalar{".5", "\".5\""}, Scalar{"5.", "\"5.\""}, Scalar{"-", "[null]"}, Scalar{"=", "\"=\""},
        // The rest is what it looks like.
        Scalar{"true", "true"}, Scalar{"True", "true"}, Scalar{"FALSE", "false"},
        Scalar{"tRUE", "\"tRUE\""}, Scalar{"null", "null"}, Scalar{"~", "null"},
        Scalar{"Null", "null"}, Scalar{"nULL", "\"nULL\""}, Scalar{"0", "0"}, Scalar{"-7", "-7"},
        Scalar{"9223372036854775807", "9223372036854775807"},
        Scalar{"18446744073709551616", "18446744073709551616"}, Scalar{"1.5", "1.5"},
        Scalar{"1e3", "1000.0"}, Scalar{"0.10000000000000000001", "0.10000000000000000001"},
        // What is quoted is text.
        Scalar{"'true'", "\"true\""}, Scalar{"\"12\"", "\"12\""}, Scalar{"''", "\"\""},
        Scalar{"|\n  5", "\"5\""}, Scalar{">-\n  null\n  x", "\"null x\""},
        Scalar{"!!str 12", "\"12\""}, Scalar{"!!str ''", "\"\""}, Scalar{"!!int '12'", "12"},
        Scalar{"!!float 1", "1"}, Scalar{"!!bool 'true'", "true"}, Scalar{"! 12", "\"12\""},
        Scalar{"!!seq [1]", "[1]"}, Scalar{"!!map {a: 1}", "{\"a\":1}"}));

TEST(Definition, KeysAreTextAsWritten) {
    EXPECT_EQ(json(parsed("1: a\ntrue: b\nnull: c\n~: d\n1.50: e\n'x y': f\n2024-01-01: g\n")),
              R"({"1":"a","true":"b","null":"c","~":"d","1.50":"e","x y":"f","2024-01-01":"g"})");
}

// ---- positions --------------------------------------------------------------------------------

TEST(Definition, YamlPositionsAreExact) {
    Node root =
        parsed("a: 1\nbb:\n  - x\n  - {c: 'd', \"e\": [f]}\n  -\nü: ö\nlast:\nblock: |\n  text\n");
    auto at = [](const Position& p) {
        return std::to_string(p.line) + ":" + std::to_string(p.column);
    };
    EXPECT_EQ(at(root.position), "1:1");
    EXPECT_EQ(at(root.entries[0].value.position), "1:4");
    EXPECT_EQ(at(root.entries[1].position), "2:1");
    const Node& list = root.entries[1].value;
    EXPECT_EQ(at(list.position), "3:3");
    EXPECT_EQ(at(list.items[0].position), "3:5");
    EXPECT_EQ(at(list.items[1].position), "4:5");
    EXPECT_EQ(at(list.items[1].entries[0].position), "4:6");
    EXPECT_EQ(at(list.items[1].entries[0].value.position), "4:9");
    EXPECT_EQ(at(list.items[1].entries[1].position), "4:14");
    EXPECT_EQ(at(list.items[1].entries[1].value.items[0].position), "4:20");
    EXPECT_EQ(at(root.entries[2].value.position), "6:5") << "columns count bytes";
    EXPECT_EQ(at(root.entries[3].value.position), "7:1") << "what is left out is at its key";
    EXPECT_EQ(at(root.entries[4].value.position), "8:8");
}

TEST(Definition, JsonPositionsAreExact) {
    Node root = parsed(
        "{\r\n\t\"a\": [1,\n \"\\u00fc\\ud83d\\ude00\", {\"b\":null}],\n\t\"c\\/d\" : 1.0E2}\n");
    EXPECT_EQ(json(root), "{\"a\":[1,\"ü😀\",{\"b\":null}],\"c/d\":100.0}");
    EXPECT_EQ(root.entries[0].position.line, 2u);
    EXPECT_EQ(root.entries[0].position.column, 2u);
    EXPECT_EQ(root.entries[0].value.items[1].position.column, 2u);
    EXPECT_EQ(root.entries[0].value.items[2].entries[0].value.position.column, 29u);
    EXPECT_EQ(root.entries[1].value.position.line, 4u);
    EXPECT_EQ(root.entries[1].value.position.column, 11u);
}

TEST(Definition, FlowYamlThatIsNotJsonIsYaml) {
    EXPECT_EQ(json(parsed("{a: [b, c,], 'd': {e: ~}} # done")),
              R"({"a":["b","c"],"d":{"e":null}})");
    EXPECT_NE(findings("{a: b}", {}, "x.json"), "") << "a file named .json is JSON";
}

TEST(Definition, ByteOrderMarkAndLineEndsDoNotMatter) {
    EXPECT_EQ(json(parsed("\xef\xbb\xbf"
                          "a: 1\r\nb: |\r\n  x\r\n  y\r\n")),
              R"({"a":1,"b":"x\ny\n"})");
    EXPECT_EQ(json(parsed("---\na: 1\n...\n")), R"({"a":1})");
    EXPECT_EQ(json(parsed("a: 1\n---\n")), R"({"a":1})")
        << "a last separator with nothing behind it";
}

// ---- anchors ----------------------------------------------------------------------------------

TEST(Definition, AliasesAndMergesAreExpanded) {
    EXPECT_EQ(json(parsed("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3, z: 4}\n")),
              R"({"a":{"x":1,"y":2},"b":{"x":1,"y":2},"c":{"x":1,"y":3,"z":4}})");
    EXPECT_EQ(json(parsed("[&a {x: 1}, &b {x: 2, y: 2}, {z: 3, <<: [*b, *a]}, {<<: *a, x: 9}]")),
              R"([{"x":1},{"x":2,"y":2},{"z":3,"x":2,"y":2},{"x":9}])")
        << "earlier maps of a list win, explicit keys win over all";
    EXPECT_EQ(json(parsed("[&a {x: 1}, &b {<<: *a, y: 2}, {<<: *b}]")),
              R"([{"x":1},{"x":1,"y":2},{"x":1,"y":2}])");
    EXPECT_EQ(json(parsed("{'<<': 1}")), R"({"<<":1})") << "a quoted << is a key";
    EXPECT_EQ(json(parsed("[&a x, &a y, *a, {*a : 1}]")), R"(["x","y","y",{"y":1}])")
        << "the last anchor counts";
}

// ---- limits -----------------------------------------------------------------------------------

TEST(Definition, LimitsAreExact) {
    DefinitionLimits limits;
    limits.max_depth = 3;
    EXPECT_EQ(findings("[[[1]]]", limits), "");
    EXPECT_EQ(findings("[[[[1]]]]", limits), "x.yml:1:4: error: nested more than 3 levels deep");
    EXPECT_EQ(findings("a:\n b:\n  c:\n   - d\n", limits),
              "x.yml:4:4: error: nested more than 3 levels deep");
    EXPECT_EQ(findings("- &a [[x]]\n- [*a]\n", limits),
              "x.yml:2:4: error: nested more than 3 levels deep");
    limits = {};
    limits.max_nodes = 4;
    EXPECT_EQ(findings("[1, 2, 3]", limits), "");
    EXPECT_EQ(findings("[1, 2, 3, 4]", limits), "x.yml:1:11: error: more than 4 values");
    EXPECT_EQ(findings("- 1\n- 2\n- 3\n- 4\n", limits), "x.yml:4:3: error: more than 4 values");
    limits = {};
    limits.max_bytes = 8;
    EXPECT_EQ(findings("[1, 2, ]", limits), "");
    EXPECT_EQ(findings("[1, 2, 3]", limits),
              "x.yml: error: the file has 9 bytes, more than the 8 allowed");
}

TEST(Definition, HostileTextsAreRefusedQuickly) {
    auto begin = std::chrono::steady_clock::now();
    auto repeated = [](std::string_view text, int count) {
        std::string out;
        for (int i = 0; i < count; ++i)
            out += text;
        return out;
    };
    std::string deep = "nested more than 64 levels deep";
    EXPECT_NE(findings(repeated("[", 10000)).find(deep), std::string::npos);
    EXPECT_NE(findings(repeated("{\"a\":", 10000)).find(deep), std::string::npos);
    EXPECT_NE(findings(repeated("{a: ", 10000) + "1" + repeated("}", 10000)).find(deep),
              std::string::npos);
    EXPECT_NE(findings(repeated("{a: ", 10000)).find("close the bracket"), std::string::npos);
    EXPECT_NE(findings(repeated("- ", 10000)).find(deep), std::string::npos);
    EXPECT_NE(findings(repeated("? ", 10000)).find("x.yml:1:"), std::string::npos);
    EXPECT_NE(findings("a: " + repeated("[", 500000) + repeated("]", 500000)).find(deep),
              std::string::npos);
    EXPECT_NE(findings("a: " + repeated("[", 2000000)).find("more than 1000000 values"),
              std::string::npos);
    std::string steps;
    for (int i = 0; i < 10000; ++i)
        steps += std::string(static_cast<std::size_t>(i % 200), ' ') + "a:\n";
    EXPECT_NE(findings(steps), "");
    // Ten texts of 1 MB, each repeated a thousand times by aliases: 10 GB when expanded.
    std::string texts =
        "a: &a " + std::string(1000000, 'x') + "\nb: [" + repeated("*a,", 10000) + "]\n";
    EXPECT_NE(findings(texts).find("bytes of text after aliases are expanded"), std::string::npos);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(Definition, AMillionMistakesAreCounted) {
    std::string text = "processors:\n";
    for (int i = 0; i < 20000; ++i)
        text += "- x\n";
    Diagnostics diagnostics;
    parse_definition(text, "x.yml", "x", diagnostics);
    EXPECT_EQ(diagnostics.all().size(), Diagnostics::most_kept);
    EXPECT_TRUE(diagnostics.text().ends_with("\n... and 19000 more"));
}

// ---- definitions ------------------------------------------------------------------------------

PipelineDefinition definition(std::string_view text) {
    Diagnostics diagnostics;
    auto read = parse_definition(text, "ingest.yml", "ingest", diagnostics);
    EXPECT_EQ(diagnostics.text(), "");
    return read ? std::move(*read) : PipelineDefinition{};
}

TEST(Definition, HoldsEverythingThatTheFileSays) {
    PipelineDefinition read = definition(R"(
id: speeches
description: All of it
version: 7
_meta: {owner: me}
deprecated: "true"
field_access_pattern: flexible
created_date_millis: 1700000000000
processors:
  - rename:
      tag: first
      description: why
      if: ctx.a != null
      ignore_failure: true
      field: a
      target_field: b
      on_failure:
        - set: {field: e, value: 1}
        - drop:
  - foreach: {field: a, processor: {set: {field: b, value: 1}}}
on_failure:
  - set: {field: f, value: 2}
tests: [{in: {}}]
)");
    EXPECT_EQ(read.id, "speeches");
    EXPECT_EQ(read.file, "ingest.yml");
    EXPECT_EQ(read.description, "All of it");
    EXPECT_EQ(read.version, 7);
    EXPECT_EQ(json(read.meta), R"({"owner":"me"})");
    EXPECT_TRUE(read.deprecated);
    EXPECT_EQ(read.access, document::AccessPattern::flexible);
    EXPECT_EQ(json(read.tests), R"([{"in":{}}])");
    ASSERT_EQ(read.processors.size(), 2u);
    const ProcessorDefinition& rename = read.processors[0];
    EXPECT_EQ(rename.type, "rename");
    EXPECT_EQ(rename.label(), "rename:first");
    EXPECT_EQ(rename.description, "why");
    EXPECT_EQ(rename.condition, "ctx.a != null");
    EXPECT_EQ(rename.condition_position.line, 13u);
    EXPECT_TRUE(rename.ignore_failure);
    EXPECT_EQ(json(rename.options), R"({"field":"a","target_field":"b"})");
    EXPECT_EQ(rename.position.line, 10u);
    EXPECT_EQ(rename.position.column, 5u);
    ASSERT_TRUE(rename.has_on_failure);
    ASSERT_EQ(rename.on_failure.size(), 2u);
    EXPECT_EQ(rename.on_failure[1].type, "drop");
    EXPECT_FALSE(read.processors[1].has_on_failure);
    ASSERT_TRUE(read.has_on_failure);
    EXPECT_EQ(read.on_failure[0].type, "set");
}

TEST(Definition, NeedsOnlyProcessors) {
    PipelineDefinition read = definition("processors: []");
    EXPECT_EQ(read.id, "ingest");
    EXPECT_FALSE(read.has_on_failure);
    EXPECT_FALSE(read.version.has_value());
    EXPECT_EQ(read.access, document::AccessPattern::classic);
}

TEST(Definition, JsonIsReadAsYamlIs) {
    PipelineDefinition yaml =
        definition("processors: [{set: {field: a, value: [1, 2.5, x, null]}}]");
    PipelineDefinition json_text =
        definition(R"({"processors":[{"set":{"field":"a","value":[1,2.5,"x",null]}}]})");
    EXPECT_EQ(json(yaml.root), json(json_text.root));
}

TEST(Definition, FilesAreLoaded) {
    std::filesystem::path folder =
        std::filesystem::path(testing::TempDir()) / "penstock_definition_test";
    std::filesystem::create_directories(folder);
    std::filesystem::path file = folder / "my-pipeline.yml";
    std::ofstream(file) << "processors: []\n";
    Diagnostics diagnostics;
    auto read = load_definition(file, diagnostics);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, "my-pipeline");
    EXPECT_EQ(read->file, file.string());

    EXPECT_FALSE(load_definition(folder / "absent.yml", diagnostics));
    EXPECT_NE(
        diagnostics.text().find("absent.yml: error: cannot be read: No such file or directory"),
        std::string::npos);
    EXPECT_FALSE(load_definition(folder, diagnostics));
    EXPECT_NE(diagnostics.text().find("is a directory"), std::string::npos);
    EXPECT_FALSE(load_definition("/dev/zero", diagnostics));
    EXPECT_NE(diagnostics.text().find("has more than the 16777216 bytes allowed"),
              std::string::npos);
    std::filesystem::remove_all(folder);
}

// ---- diagnostics ------------------------------------------------------------------------------

TEST(Diagnostics, AreOrderedAndReportedOnce) {
    Diagnostics all;
    all.add({Severity::error, "b.yml", {1, 1}, {}, {}, "fourth", {}});
    all.add({Severity::error, "a.yml", {12, 9}, {}, {}, "third", {}});
    all.add({Severity::warning, "a.yml", {2, 10}, "p", "set:t", "second", "do this"});
    all.add({Severity::error, "a.yml", {2, 9}, {}, {}, "first\x1b[31m", {}});
    all.add({Severity::error, "a.yml", {12, 9}, {}, {}, "third", {}});
    EXPECT_EQ(all.text(),
              "a.yml:2:9: error: first\\x1b[31m\n"
              "a.yml:2:10: warning: [set:t] second (do this)\n"
              "a.yml:12:9: error: third\n"
              "b.yml:1:1: error: fourth");
    EXPECT_THROW(throw DefinitionError(all), Error);
}

TEST(Diagnostics, WarningsAreNoErrors) {
    Diagnostics all;
    all.add({Severity::warning, "", {}, {}, {}, "careful", {}});
    EXPECT_FALSE(all.has_errors());
    EXPECT_FALSE(all.empty());
    EXPECT_EQ(all.text(), "warning: careful");
}

TEST(Nearest, FindsWhatWasMeant) {
    std::vector<std::string_view> names = {"field", "target_field", "ignore_missing", "if", "tag"};
    EXPECT_EQ(nearest("feild", names), "field");
    EXPECT_EQ(nearest("targetField", names), "target_field");
    EXPECT_EQ(nearest("Ignore-Missing", names), "ignore_missing");
    EXPECT_EQ(nearest("tga", names), "tag");
    EXPECT_EQ(nearest("colour", names), "");
    EXPECT_EQ(nearest("x", names), "");
    EXPECT_EQ(nearest("", names), "");
    EXPECT_EQ(nearest(std::string(100000, 'f'), names), "");
}

// ---- pipelines that people already have -------------------------------------------------------

TEST(Definition, RealPipelinesAreRead) {
    const char* set = std::getenv("PENSTOCK_SHARED");
    std::filesystem::path folder = set ? set : PENSTOCK_SOURCE_DIR "/../shared";
    folder /= "conformance";
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "there is no " << folder;
    int count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        auto extension = entry.path().extension();
        if (extension != ".yml" && extension != ".yaml" && extension != ".json") continue;
        std::ifstream stream(entry.path(), std::ios::binary);
        std::string text(std::istreambuf_iterator<char>(stream), {});
        // Elasticsearch's own test files hold one test in each document.
        text.insert(0, "\n");
        for (std::size_t at = 0; at < text.size();) {
            std::size_t end = std::min(text.find("\n---", at + 1), text.size());
            std::string part = text.substr(at, end - at);
            if (part.starts_with("\n---")) part.erase(0, 4);
            Diagnostics diagnostics;
            EXPECT_TRUE(parse_node(part, entry.path().filename().string(), diagnostics))
                << diagnostics.text();
            EXPECT_EQ(diagnostics.text(), "");
            at = end;
        }
        ++count;
    }
    EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace penstock::pipeline
