// Trial runs, in the shapes of Elasticsearch's simulate API.
#include "engine/pipeline/simulate.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "tests/unit/pipeline/trial.h"

namespace penstock::pipeline::test {
namespace {

constexpr const char* pipelines = R"(
--- main
processors:
  - note: {text: "{{_ingest.pipeline}}", tag: first, description: notes}
  - fail_if: {field: soft, ignore_failure: true}
  - fail_if: {field: handled, on_failure: [{put: {field: h, value: "{{_ingest.on_failure_message}}"}}]}
  - pipeline: {name: inner, tag: call}
--- inner
processors: [{drop_if: {field: x}}, {fail_if: {field: bad, tag: t}}]
--- nothing
processors: []
)";

std::vector<SimulatedDocument> trial(const std::vector<std::string>& documents, bool verbose,
                                     const std::set<std::string>& waiting = {},
                                     std::string_view id = "main") {
    auto set = compile(pipelines, trial_catalog({waiting, nullptr}));
    boost::asio::io_context context(1);
    std::vector<SimulatedDocument> simulated;
    boost::asio::co_spawn(
        context, simulate(set, *set->find(id), documents, {verbose, std::string(trial_time)}),
        [&](const std::exception_ptr& exception, std::vector<SimulatedDocument> answer) {
            if (exception) std::rethrow_exception(exception);
            simulated = std::move(answer);
        });
    context.run();
    return simulated;
}

std::string answer(const std::vector<std::string>& documents, bool verbose,
                   const std::set<std::string>& waiting = {}, std::string_view id = "main") {
    return simulate_response(trial(documents, verbose, waiting, id), verbose);
}

#define NAMES R"("_index":"_index","_id":"_id","_version":"-3",)"
#define TIME R"("_ingest":{"timestamp":"2026-01-02T03:04:05.678Z"})"
#define TIME_IN(ID) R"("_ingest":{"timestamp":"2026-01-02T03:04:05.678Z","pipeline":")" ID "\"}"

TEST(Simulate, AnswersDocuments) {
    EXPECT_EQ(
        answer({R"({"_source":{"a":1}})", R"({"a":1})",
                R"({"_index":"logs","_id":"7","_routing":"r","_source":{},"ignored":1})"},
               false),
        R"({"docs":[{"doc":{)" NAMES R"("_source":{"a":1,"log":["main"]},)" TIME R"(}},)"
        R"({"doc":{)" NAMES R"("_source":{"a":1,"log":["main"]},)" TIME R"(}},)"
        R"({"doc":{"_index":"logs","_id":"7","_routing":"r","_version":"-3","_source":{"log":["main"]},)" TIME
        R"(}}]})");
}

TEST(Simulate, AnswersDroppedAndFailedOnes) {
    EXPECT_EQ(
        answer({R"({"x":1})", R"({"bad":1})"}, false),
        R"({"docs":[null,{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"[bad] is there"}],)"
        R"("type":"illegal_argument_exception","reason":"[bad] is there","processor_type":"fail_if",)"
        R"("processor_tag":"t","pipeline":"inner"}}]})");
}

TEST(Simulate, AnswersTextsThatAreNoDocuments) {
    auto simulated = trial(
        {"{", "[1]", R"({"_source":[]})", R"({"_index":1,"_source":{}})", R"({"a":1})"}, true);
    ASSERT_EQ(simulated.size(), 5u);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(simulated[i].fate, Fate::failed) << i;
        EXPECT_EQ(simulated[i].failure.type, document::FailureType::parse) << i;
        EXPECT_TRUE(simulated[i].before.empty()) << i;
    }
    EXPECT_EQ(simulated[1].failure.reason, "a document must be a JSON object");
    EXPECT_EQ(simulated[2].failure.reason, "[_source] must be an object");
    EXPECT_EQ(simulated[4].fate, Fate::done);
    EXPECT_EQ(
        simulate_response({simulated[1]}, true),
        R"({"docs":[{"error":{"root_cause":[{"type":"parse_exception","reason":"a document must be a JSON )"
        R"(object"}],"type":"parse_exception","reason":"a document must be a JSON object"}}]})");
}

TEST(Simulate, VerboseShowsEveryStep) {
    const std::string expected =
        R"({"docs":[{"processor_results":[)"
        R"({"processor_type":"note","status":"success","tag":"first","description":"notes","doc":{)" NAMES
        R"("_source":{"soft":1,"log":["main"]},)" TIME_IN(
            "main") R"(}},)"
                    R"({"processor_type":"fail_if","status":"error_ignored","ignored_error":{"error":{"root_cause":[)"
                    R"({"type":"illegal_argument_exception","reason":"[soft] is there"}],"type":"illegal_argument_exception",)"
                    R"("reason":"[soft] is there","processor_type":"fail_if","pipeline":"main"}},"doc":{)" NAMES
                    R"("_source":{"soft":1,"log":["main"]},)" TIME_IN(
                        "main") R"(}},)"
                                R"({"processor_type":"fail_if","status":"success","doc":{)" NAMES
                                R"("_source":{"soft":1,"log":["main"]},)" TIME_IN(
                                    "main") R"(}},)"
                                            R"({"processor_type":"pipeline","status":"success","tag":"call"},)"
                                            R"({"processor_type":"drop_if","status":"success","doc":{)" NAMES
                                            R"("_source":{"soft":1,"log":["main"]},)" TIME_IN(
                                                "inner") R"(}},)"
                                                         R"({"processor_type":"fail_if","status":"success","tag":"t","doc":{)" NAMES
                                                         R"("_source":{"soft":1,"log":["main"]},)" TIME_IN(
                                                             "inner") R"(}}]}]})";
    EXPECT_EQ(answer({R"({"soft":1})"}, true), expected);
    EXPECT_EQ(answer({R"({"soft":1})"}, true, {"*"}), expected);
}

TEST(Simulate, VerboseShowsDropsFailuresAndHandlers) {
    auto dropped = trial({R"({"x":1})"}, true).at(0);
    ASSERT_EQ(dropped.steps.size(), 5u);
    EXPECT_EQ(dropped.fate, Fate::dropped);
    EXPECT_EQ(dropped.steps[3].processor_type, "pipeline");
    EXPECT_TRUE(dropped.steps[3].is_call);
    EXPECT_EQ(dropped.steps[4].status, StepObserver::Status::dropped);
    EXPECT_TRUE(dropped.steps[4].document.empty());
    std::string text = simulate_response({dropped}, true);
    EXPECT_TRUE(text.ends_with(R"(,{"processor_type":"drop_if","status":"dropped"}]}]})")) << text;

    auto failed = trial({R"({"handled":1,"bad":1})"}, true).at(0);
    ASSERT_EQ(failed.steps.size(), 7u);
    EXPECT_EQ(failed.fate, Fate::failed);
    EXPECT_TRUE(failed.after.empty());
    EXPECT_EQ(failed.steps[2].status, StepObserver::Status::error);
    EXPECT_EQ(failed.steps[3].processor_type, "put");
    EXPECT_EQ(failed.steps[3].document,
              "{" NAMES
              R"("_source":{"handled":1,"bad":1,"log":["main"],"h":"[handled] is there"},)"
              R"("_ingest":{"timestamp":"2026-01-02T03:04:05.678Z","pipeline":"main",)"
              R"("on_failure_message":"[handled] is there","on_failure_processor_type":"fail_if",)"
              R"("on_failure_processor_tag":null}})");
    text = simulate_response({failed}, true);
    EXPECT_TRUE(text.ends_with(
        R"(,{"processor_type":"fail_if","status":"error","tag":"t","error":{"root_cause":[)"
        R"({"type":"illegal_argument_exception","reason":"[bad] is there"}],)"
        R"("type":"illegal_argument_exception","reason":"[bad] is there",)"
        R"("processor_type":"fail_if","processor_tag":"t","pipeline":"inner"}}]}]})"))
        << text;
}

TEST(Simulate, PipelineWithoutSteps) {
    EXPECT_EQ(answer({"{}"}, true, {}, "nothing"), R"({"docs":[{"processor_results":[]}]})");
    EXPECT_EQ(answer({"{}"}, false, {}, "nothing"),
              R"({"docs":[{"doc":{)" NAMES R"("_source":{},)" TIME R"(}}]})");
    EXPECT_EQ(answer({}, false), R"({"docs":[]})");
}

TEST(Simulate, TellsWhatDocumentsWereBefore) {
    auto one = trial({R"({"_id":"1","_source":{"a":1}})"}, false).at(0);
    EXPECT_EQ(one.before, R"({"_index":"_index","_id":"1","_version":"-3","_source":{"a":1}})");
    EXPECT_TRUE(one.steps.empty());
}

}  // namespace
}  // namespace penstock::pipeline::test
