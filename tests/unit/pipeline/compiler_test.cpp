// Definitions that do not compile, and what is said about them.
#include <gtest/gtest.h>

#include "tests/unit/pipeline/trial.h"

namespace penstock::pipeline::test {
namespace {

struct Complaint {
    std::string name;
    std::string pipelines;
    std::string said;
};

void PrintTo(const Complaint& one, std::ostream* out) {
    *out << one.name;
}

class Complaints : public testing::TestWithParam<Complaint> {};

TEST_P(Complaints, AreSaid) {
    EXPECT_EQ(complaints(GetParam().pipelines), GetParam().said);
}

const Complaint all_complaints[] = {
    {"UnknownProcessor", "--- main\nprocessors:\n  - nota: {text: x}\n  - zzzzzzzz: {}\n",
     "main.yml:2:5: error: [nota] no processor type exists with name [nota] (did you mean "
     "[note]?)\n"
     "main.yml:3:5: error: [zzzzzzzz] no processor type exists with name [zzzzzzzz] (`penstock "
     "inspect processors` "
     "lists those that exist)"},
    {"ConditionsAndScripts",
     "--- main\nprocessors:\n  - note: {text: x, if: \"ctx.a == 1\", tag: t}\n  - script: {source: "
     "\"ctx.a = 1\"}\n",
     "main.yml:2:25: error: [note:t] option [if] is not available in this version: conditions need "
     "the script language, "
     "which is not part of it yet (split the pipeline, or drop documents before it)\n"
     "main.yml:3:5: error: [script] processor [script] is not available in this version: the "
     "script language is not "
     "part of it yet (use the other processors, or a plugin)"},
    {"ConditionInAHandlerAndInForeach",
     "--- main\nprocessors:\n  - note:\n      text: x\n      on_failure:\n        - drop: {if: "
     "\"true\"}\n"
     "  - foreach: {field: l, processor: {drop: {if: \"true\"}}}\n",
     "main.yml:5:22: error: [drop] option [if] is not available in this version: conditions need "
     "the script language, "
     "which is not part of it yet (split the pipeline, or drop documents before it)\n"
     "main.yml:6:48: error: [drop] option [if] is not available in this version: conditions need "
     "the script language, "
     "which is not part of it yet (split the pipeline, or drop documents before it)"},
    {"AllAtOnce",
     "--- a\nprocessors:\n  - note: {txt: x}\n  - foreach: {processor: {nota: {}}}\n  - fail: "
     "{message: 1, "
     "on_failure: [{dorp: {}}]}\n--- b\nprocessors:\n  - pipeline: {name: c}\n",
     "a.yml:2:5: error: [note] [text] required property is missing\n"
     "a.yml:2:12: error: [note] option [txt] is not known (did you mean [text]?)\n"
     "a.yml:3:5: error: [foreach] [field] required property is missing\n"
     "a.yml:3:27: error: [nota] no processor type exists with name [nota] (did you mean [note]?)\n"
     "a.yml:4:21: error: [fail] option [message] must be a string, found the number 1 (put it in "
     "quotes)\n"
     "a.yml:4:38: error: [dorp] no processor type exists with name [dorp] (did you mean [drop]?)\n"
     "b.yml:2:5: error: [pipeline] pipeline [c] does not exist (add its file, or set "
     "[ignore_missing_pipeline])"},
    {"MissingPipeline",
     "--- main\nprocessors:\n  - pipeline: {name: clean-txt, tag: call}\n  - pipeline: {name: "
     "nowhere, "
     "ignore_missing_pipeline: true}\n  - pipeline: {name: \"{{x}}\"}\n--- clean-text\nprocessors: "
     "[]\n",
     "main.yml:2:5: error: [pipeline:call] pipeline [clean-txt] does not exist (did you mean "
     "[clean-text]?)"},
    {"CycleOfOne", "--- main\nprocessors:\n  - pipeline: {name: main}\n",
     "main.yml:2:5: error: [pipeline] Cycle detected for pipeline: main (main -> main) (a pipeline "
     "must not call itself, "
     "directly or through others)"},
    {"CycleOfThreeNamedOnceWithTheWay",
     "--- z\nprocessors: [{pipeline: {name: a}}, {pipeline: {name: b}}]\n"
     "--- a\nprocessors: [{pipeline: {name: b}}]\n"
     "--- b\nprocessors: [{foreach: {field: l, processor: {pipeline: {name: c}}}}]\n"
     "--- c\nprocessors:\n  - note: {text: x}\non_failure:\n  - pipeline: {name: a}\n  - pipeline: "
     "{name: a}\n",
     "c.yml:4:5: error: [pipeline] Cycle detected for pipeline: a (a -> b -> c -> a) (a pipeline "
     "must not call itself, "
     "directly or through others)"},
    {"TwoCycles",
     "--- a\nprocessors: [{pipeline: {name: b}}]\n--- b\nprocessors: [{pipeline: {name: a}}, "
     "{pipeline: {name: b}}]\n",
     "b.yml:1:15: error: [pipeline] Cycle detected for pipeline: a (a -> b -> a) (a pipeline must "
     "not call itself, "
     "directly or through others)\n"
     "b.yml:1:38: error: [pipeline] Cycle detected for pipeline: b (b -> b) (a pipeline must not "
     "call itself, directly "
     "or through others)"},
    {"NoCycle",
     "--- a\nprocessors: [{pipeline: {name: b}}, {pipeline: {name: c}}]\n--- b\nprocessors: "
     "[{pipeline: {name: c}}]\n"
     "--- c\nprocessors: []\n",
     ""},
    {"TwiceTheSameId", "--- a\nprocessors: []\n--- b\n{\"id\": \"a\", \"processors\": []}\n",
     "b.yml:1:1: error: pipeline [a] is defined twice, also in a.yml (rename the file or set "
     "another [id])"},
    {"Deprecated",
     "--- main\nprocessors: [{pipeline: {name: old}}]\n--- old\ndeprecated: true\nprocessors: []\n",
     "main.yml:1:15: warning: [pipeline] pipeline [old] is deprecated"},
};

INSTANTIATE_TEST_SUITE_P(All, Complaints, testing::ValuesIn(all_complaints),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(Compiler, MissingPipelinesMayBeWarnings) {
    CompileOptions options;
    options.bad_calls_are_errors = false;
    EXPECT_EQ(
        complaints("--- main\nprocessors: [{pipeline: {name: later}}]\n", options),
        "main.yml:1:15: warning: [pipeline] pipeline [later] does not exist (add its file, or set "
        "[ignore_missing_pipeline])");
    auto set =
        compile("--- main\nprocessors: [{pipeline: {name: later}}]\n", trial_catalog(), options);
    EXPECT_EQ(run(set, "main", {"{}"}),
              std::vector<std::string>{"failed in main/pipeline: Pipeline processor configured for "
                                       "non-existent pipeline [later], left {}"});
}

TEST(Compiler, ACircleOfCallsMayBeAWarningAndThenFailsWhenItRuns) {
    CompileOptions options;
    options.bad_calls_are_errors = false;
    auto set = compile(
        "--- outer\nprocessors: [{pipeline: {name: inner}}]\n"
        "--- inner\nprocessors: [{pipeline: {name: outer}}]\n",
        trial_catalog(), options);
    EXPECT_EQ(run(set, "outer", {"{}"}),
              std::vector<std::string>{
                  "failed in inner/pipeline: Cycle detected for pipeline: outer, left {}"});
}

TEST(Compiler, ThrowsAllThatIsWrong) {
    Diagnostics diagnostics;
    auto all = definitions("--- a\nprocessors: [{nota: {}}, {dorp: {}}]\n", diagnostics);
    try {
        PipelineSet::compile(std::move(all), trial_catalog());
        FAIL() << "it compiled";
    } catch (const DefinitionError& error) {
        EXPECT_EQ(error.diagnostics().all().size(), 2u);
        EXPECT_NE(std::string(error.what()).find("[drop]"), std::string::npos);
    }
}

TEST(Compiler, AProcessorsOwnErrorIsOneOfTheFindings) {
    Catalog catalog = trial_catalog();
    catalog.add({.name = "needs_model",
                 .compile = [](const Config&) -> StepBody { throw Error("no such model"); }});
    Diagnostics diagnostics;
    auto all =
        definitions("--- a\nprocessors: [{needs_model: {tag: m}}, {dorp: {}}]\n", diagnostics);
    EXPECT_EQ(PipelineSet::compile(std::move(all), catalog, diagnostics), nullptr);
    ASSERT_EQ(diagnostics.all().size(), 2u) << diagnostics.text();
    EXPECT_EQ(diagnostics.all()[0].message, "no such model");
    EXPECT_EQ(diagnostics.all()[0].processor, "needs_model:m");
}

TEST(Compiler, LongChainsOfCallsNeedNoDeepStack) {
    std::string text;
    for (int i = 0; i < 20000; ++i) {
        std::string next = std::to_string((i + 1) % 20000);
        text += "--- " + std::to_string(i) + "\n{\"processors\":[{\"pipeline\":{\"name\":\"" +
                next + "\"}}]}\n";
    }
    std::string said = complaints(text);
    EXPECT_NE(said.find("Cycle detected for pipeline: 0 (0 -> 1 -> 2 ->"), std::string::npos)
        << said.substr(0, 200);
    EXPECT_EQ(said.find('\n'), std::string::npos);
    EXPECT_LT(said.size(), 500u);
}

// ---- which steps wait

TEST(Compiler, KnowsWhichPipelinesWait) {
    auto set = compile(R"(
--- plain
processors: [{note: {text: x}}]
--- step
processors: [{note: {text: x}}, {wait: {}}]
--- handler
processors: [{note: {text: x, on_failure: [{wait: {}}]}}]
--- pipeline_handler
processors: [{note: {text: x}}]
on_failure: [{fail: {message: x, on_failure: [{wait: {}}]}}]
--- loop
processors: [{foreach: {field: l, processor: {note: {text: x, on_failure: [{wait: {}}]}}}}]
--- a_call
processors: [{pipeline: {name: call}}]
--- call
processors: [{pipeline: {name: step}}]
--- call_by_name
processors: [{pipeline: {name: "{{x}}"}}]
--- plain_call
processors: [{pipeline: {name: plain}}, {pipeline: {name: gone, ignore_missing_pipeline: true}}]
)",
                       trial_catalog());
    for (const auto& pipeline : set->all()) {
        EXPECT_EQ(pipeline->waits, !pipeline->id.starts_with("plain")) << pipeline->id;
    }
    auto still =
        compile("--- a\nprocessors: [{pipeline: {name: \"{{x}}\"}}]\n--- b\nprocessors: []\n",
                trial_catalog());
    EXPECT_FALSE(still->find("a")->waits);
}

TEST(Compiler, KeepsWhatDefinitionsSay) {
    auto set = compile(R"(
--- main
description: cleans
processors: [{note: {text: x, tag: t, description: notes}}]
)",
                       trial_catalog());
    const Pipeline* main = set->find("main");
    ASSERT_NE(main, nullptr);
    EXPECT_EQ(main->description, "cleans");
    EXPECT_EQ(main->steps.steps.at(0).description, "notes");
    EXPECT_EQ(main->steps.steps.at(0).pipeline, "main");
    EXPECT_EQ(set->find("other"), nullptr);
    EXPECT_EQ(set->statistics().at(0).processors.at(0).key(), "note:t");
}

}  // namespace
}  // namespace penstock::pipeline::test
