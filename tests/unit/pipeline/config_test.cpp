#include <gtest/gtest.h>

#include "engine/pipeline/reference.h"
#include "tests/unit/pipeline/test_catalog.h"

namespace penstock::pipeline {
namespace {

/// A Config over options written as YAML, with everything that it refers to.
class Options {
  public:
    Options(ProcessorSpec spec, std::string_view yaml, NestedCompiler nested = {})
        : spec_(std::move(spec)), node_(*parse_node(yaml, "x.yml", diagnostics_)) {
        Config::Context context;
        context.diagnostics = &diagnostics_;
        context.file = "x.yml";
        context.tag = "t";
        context.nested = std::move(nested);
        config_.emplace(spec_, node_, std::move(context));
    }
    const Config* operator->() const { return &*config_; }
    std::string findings() const { return diagnostics_.text(); }

  private:
    Diagnostics diagnostics_;
    ProcessorSpec spec_;
    Node node_;
    std::optional<Config> config_;
};

TEST(Config, GivesValuesInTheirOneForm) {
    Options options(test::chunk_spec(), R"(
field: a.b
strategy: sentence
size: "20"
overlap: 3
ratio: "0.25"
separators: x
pattern: '\d+'
settings: {k: [1]}
tag: common options are skipped
ignore_failure: true
)");
    EXPECT_EQ(options.findings(), "");
    EXPECT_TRUE(options->valid());
    EXPECT_EQ(options->path("field").size(), 2u);
    EXPECT_EQ(options->string("strategy"), "sentence");
    EXPECT_EQ(options->integer("size"), 20);
    EXPECT_EQ(options->integer("overlap"), 3);
    EXPECT_EQ(options->number("ratio"), 0.25);
    EXPECT_EQ(options->strings("separators"), std::vector<std::string>{"x"});
    EXPECT_EQ(options->string("pattern"), "\\d+");
    EXPECT_EQ(options->node("settings").entries.at(0).key, "k");
    EXPECT_TRUE(options->has("size"));
    EXPECT_FALSE(options->has("steps"));
    EXPECT_EQ(options->tag(), "t");
}

TEST(Config, GivesDefaults) {
    Options options(test::chunk_spec(), "{field: a, overlap: null}");
    EXPECT_TRUE(options->valid());
    EXPECT_FALSE(options->has("strategy"));
    EXPECT_EQ(options->string("strategy"), "word");
    EXPECT_EQ(options->integer("size"), 250);
    EXPECT_EQ(options->number("ratio"), 0.5);
    EXPECT_FALSE(options->has("overlap")) << "null is as good as not given";
    EXPECT_EQ(options->integer("overlap"), 0);
    EXPECT_TRUE(options->strings("separators").empty());
    EXPECT_EQ(options->path_or("target_field", options->string("field")).text(), "a");
    EXPECT_EQ(Options(test::chunk_spec(), "{field: a, target_field: b}")
                  ->path_or("target_field", "a")
                  .text(),
              "b");
    EXPECT_TRUE(Options(test::set_spec(), "{field: a, value: 1}")->flag("override"));
    EXPECT_FALSE(
        Options(test::set_spec(), "{field: a, value: 1, override: \"false\"}")->flag("override"));
}

TEST(Config, KnowsOlderNames) {
    Options options(test::chunk_spec(), "{field: a, max_size: 7}");
    EXPECT_EQ(options.findings(), "");
    EXPECT_EQ(options->integer("size"), 7);
}

TEST(Config, PreparesTemplates) {
    Options options(test::set_spec(), "{field: 'a.{{b}}', value: {k: ['{{c}}', 2]}}");
    EXPECT_EQ(options.findings(), "");
    EXPECT_FALSE(options->field("field").is_constant());
    EXPECT_FALSE(options->value("value").is_constant());
    Options constant(test::set_spec(), "{field: a, value: {k: [c, 2]}}");
    EXPECT_TRUE(constant->field("field").is_constant());
    EXPECT_TRUE(constant->value("value").is_constant());
    EXPECT_EQ(Options(test::chunk_spec(), "{field: a, separators: ['{{x}}', y]}")
                  ->fields("separators")
                  .size(),
              2u);
}

TEST(Config, CompilesTheNestedProcessorOnce) {
    int calls = 0;
    Options options(test::foreach_spec(), "{field: a, processor: {set: {field: b, value: 1}}}",
                    [&](const Node& node) {
                        ++calls;
                        EXPECT_EQ(node.entries.at(0).key, "set");
                        return BlockPtr(new Block);
                    });
    EXPECT_NE(options->nested("processor"), nullptr);
    EXPECT_EQ(calls, 1);
}

TEST(Config, ReportsAtTheOption) {
    Options options(test::chunk_spec(), "field: a\nsettings:\n  k: 1\n");
    options->error("field", "is not nice", "choose another");
    options->warning("size", "is the default");
    options->error_at(options->node("settings").entries[0].value, "is odd");
    options->error("", "is wrong as a whole");
    EXPECT_EQ(options.findings(),
              "x.yml:1:1: warning: [chunk:t] is the default\n"
              "x.yml:1:1: error: [chunk:t] is wrong as a whole\n"
              "x.yml:1:8: error: [chunk:t] is not nice (choose another)\n"
              "x.yml:3:6: error: [chunk:t] is odd");
    EXPECT_EQ(options->parse_path("field", "").text(), "_") << "harmless";
}

TEST(Config, RefusesMisuseOfTheSpecification) {
    Options options(test::chunk_spec(), "{field: a}");
    EXPECT_THROW(options->string("colour"), std::logic_error);
    EXPECT_THROW(options->flag("size"), std::logic_error);
    EXPECT_THROW(options->field("field"), std::logic_error) << "it takes no templates";
    EXPECT_THROW(Options(test::set_spec(), "{field: a, value: 1}")->path("field"),
                 std::logic_error);
}

TEST(Config, OptionsMustBeAMap) {
    Options options(test::rename_spec(), "[a]");
    EXPECT_FALSE(options->valid());
    EXPECT_EQ(options.findings(),
              "x.yml:1:1: error: [rename:t] options must be a map, found a list");
}

// ---- catalog ----------------------------------------------------------------------------------

std::string refusal(ProcessorSpec spec) {
    Catalog catalog = test::catalog();
    try {
        catalog.add(std::move(spec));
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST(Catalog, ChecksSpecifications) {
    EXPECT_EQ(refusal({.name = "fine_2"}), "");
    EXPECT_NE(refusal(test::rename_spec()).find("there is one of that name already"),
              std::string::npos);
    EXPECT_NE(refusal({.name = "Rename"}).find("lower-case"), std::string::npos);
    EXPECT_NE(refusal({.name = ""}), "");
    EXPECT_NE(refusal({.name = "a", .options = {string_option("tag", "")}})
                  .find("[tag] is declared twice"),
              std::string::npos);
    EXPECT_NE(refusal({.name = "a", .options = {string_option("a b", "")}}), "");
    EXPECT_NE(
        refusal({.name = "a",
                 .options = {{.name = "x", .type = OptionType::integer, .default_value = "ten"}}})
            .find("must be an integer, found the string [ten]"),
        std::string::npos);
    EXPECT_NE(refusal({.name = "a", .options = {{.name = "x", .type = OptionType::enumeration}}}),
              "");
    EXPECT_NE(refusal({.name = "a", .options = {{.name = "x", .default_value = "[a"}}})
                  .find("is not YAML"),
              std::string::npos);
    ProcessorSpec sets{.name = "a", .options = {string_option("x", "")}};
    sets.exactly_one_of = {{"x", "y"}};
    EXPECT_NE(refusal(std::move(sets)).find("[y] of a set of options is not declared"),
              std::string::npos);
}

// ---- reference --------------------------------------------------------------------------------

TEST(Reference, PagesShowEverything) {
    auto pages = reference_pages(test::catalog());
    ASSERT_EQ(pages.size(), 5u);
    EXPECT_NE(pages["README.md"].find("| [rename](rename.md) | Moves a field to a new name. |"),
              std::string::npos);
    EXPECT_NE(pages["README.md"].find("| `on_failure` |"), std::string::npos);
    EXPECT_NE(pages["chunk.md"].find(
                  "| `size` | integer | `250` | Most words. At least 1. At most 10000. Also named "
                  "`max_size`. |"),
              std::string::npos)
        << pages["chunk.md"];
    EXPECT_NE(
        pages["chunk.md"].find("At most one of `words`, `characters`, `tokens` may be given."),
        std::string::npos);
    EXPECT_NE(pages["rename.md"].find("| in | `{\"host\":\"a\\|b\"}` |"), std::string::npos)
        << "cells escape bars";
    EXPECT_NE(pages["rename.md"].find("| fails | field [host] is absent |"), std::string::npos);
    EXPECT_NE(pages["set.md"].find("| `value` | any value, templates allowed | – | Its value. |"),
              std::string::npos);
}

TEST(Reference, TerminalTextIsWrapped) {
    ProcessorSpec set = test::set_spec();
    std::string text = processor_text(set, 60);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        EXPECT_LE(line.size(), 60u) << line;
    EXPECT_NE(text.find("- set: {field: a,   value: 1}\n"), std::string::npos)
        << "code keeps its blanks\n"
        << text;
    EXPECT_NE(text.find("  field (field, templates allowed, required)\n      Field to write.\n"),
              std::string::npos);
    EXPECT_NE(catalog_text(test::catalog()).find("rename   Moves a field to a new name.\n"),
              std::string::npos);
}

/// The schema is JSON, and says about each option what the specification says.
TEST(Reference, SchemaFollowsTheSpecifications) {
    std::string text = pipeline_schema(test::catalog());
    Diagnostics diagnostics;
    auto schema = parse_node(text, "schema.json", diagnostics);
    ASSERT_TRUE(schema) << diagnostics.text();
    EXPECT_EQ(schema->find("$schema")->text, "https://json-schema.org/draft/2020-12/schema");
    const Node* chunk = schema->find("$defs")->find("processor-chunk");
    ASSERT_NE(chunk, nullptr);
    EXPECT_EQ(chunk->find("required")->items.at(0).text, "field");
    const Node* size = chunk->find("properties")->find("size");
    EXPECT_EQ(size->find("minimum")->integer, 1);
    EXPECT_EQ(size->find("maximum")->integer, 10000);
    EXPECT_EQ(size->find("default")->integer, 250);
    EXPECT_TRUE(chunk->find("properties")->find("max_size")->find("deprecated")->boolean);
    const Node* set = schema->find("$defs")->find("processor-set");
    EXPECT_EQ(set->find("allOf")->items.at(0).find("oneOf")->items.size(), 2u);
    EXPECT_EQ(set->find("properties")->find("on_failure")->find("$ref")->text, "#/$defs/handlers");
}

}  // namespace
}  // namespace penstock::pipeline
