// What a pipeline makes of documents: order, failures and handlers, calls, foreach, waiting steps.
#include "engine/pipeline/executor.h"

#include <gtest/gtest.h>

#include <map>
#include <ostream>

#include "tests/unit/pipeline/trial.h"

namespace penstock::pipeline::test {
namespace {

struct Expectation {
    std::string source;
    std::string becomes;  ///< as TrialBatch::texts tells it
};

struct Case {
    std::string name;
    std::string pipelines;  ///< the first one runs
    std::vector<Expectation> documents;
    std::string statistics = {};
};

// GoogleTest prints parameters with this.
void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}

std::vector<Case> cases();

std::string first_id(const std::string& pipelines) {
    std::size_t begin = pipelines.find("--- ") + 4;
    return pipelines.substr(begin, pipelines.find('\n', begin) - begin);
}

class ExecutorCases : public testing::TestWithParam<Case> {
  protected:
    /// The documents together, and each in a batch of its own.
    void expect(const std::set<std::string>& waiting) {
        const Case& one = GetParam();
        auto set = compile(one.pipelines, trial_catalog({waiting, nullptr}));
        ASSERT_NE(set, nullptr);
        std::string id = first_id(one.pipelines);
        std::vector<std::string> sources, expected;
        for (const Expectation& document : one.documents) {
            sources.push_back(document.source);
            expected.push_back(document.becomes);
        }
        EXPECT_EQ(run(set, id, sources), expected);
        if (!one.statistics.empty()) {
            EXPECT_EQ(statistics(*set), one.statistics);
        }
        for (std::size_t i = 0; i < sources.size(); ++i) {
            EXPECT_EQ(run(set, id, {sources[i]}), std::vector{expected[i]}) << sources[i];
        }
        if (!set->find(id)->waits) {
            EXPECT_EQ(run_sync(set, id, sources), expected);
        }
    }
};

TEST_P(ExecutorCases, NothingWaits) {
    expect({});
}
TEST_P(ExecutorCases, EverythingWaits) {
    expect({"*"});
}
TEST_P(ExecutorCases, FailingStepsWait) {
    expect({"fail", "fail_if", "half", "half_kept", "throws"});
}
TEST_P(ExecutorCases, OtherStepsWait) {
    expect({"note", "put", "drop_if"});
}

INSTANTIATE_TEST_SUITE_P(All, ExecutorCases, testing::ValuesIn(cases()),
                         [](const auto& parameter) { return parameter.param.name; });

std::vector<Case> cases() {
    std::vector<Case> all;
    // ---- order, failures
    all.push_back({"StepsRunInOrder",
                   R"(
--- main
processors: [{note: {text: "1"}}, {note: {text: "2"}}, {note: {text: "3 {{a}}"}}]
)",
                   {{R"({"a":1})", R"({"a":1,"log":["1","2","3 1"]})"},
                    {R"({})", R"({"log":["1","2","3 "]})"}},
                   "main 2/0 [note 2/0, note 2/0, note 2/0]"});
    all.push_back(
        {"NoSteps", "--- main\nprocessors: []\n", {{R"({"a":1})", R"({"a":1})"}}, "main 1/0"});
    all.push_back({"FirstFailureEndsIt",
                   R"(
--- main
processors:
  - note: {text: "1"}
  - fail_if: {field: bad, tag: check}
  - note: {text: "2"}
)",
                   {{R"({"bad":1})",
                     R"(failed in main/fail_if:check: [bad] is there, left {"bad":1,"log":["1"]})"},
                    {R"({})", R"({"log":["1","2"]})"}},
                   "main 2/1 [note 2/0, fail_if:check 2/1, note 1/0]"});
    all.push_back({"FailingStepLeavesTheDocumentAsItWas",
                   R"(
--- main
processors: [{note: {text: "1"}}, {half: {message: no}}]
)",
                   {{R"({"keep":1,"half":{"x":1}})",
                     R"(failed in main/half: no, left {"keep":1,"half":{"x":1},"log":["1"]})"}}});
    all.push_back({"SomeStepsKeepWhatTheyDid",
                   R"(
--- main
processors: [{half_kept: {ignore_failure: true}}, {take: {field: _ingest.half}}]
)",
                   {{R"({"keep":1,"a":1})", R"({"a":1,"half":{"done":true},"log":["half"]})"}}});
    all.push_back({"IgnoredFailure",
                   R"(
--- main
processors: [{half: {ignore_failure: true}}, {note: {text: "2"}}]
)",
                   {{R"({"keep":1})", R"({"keep":1,"log":["2"]})"}},
                   "main 1/0 [half 1/1, note 1/0]"});
    all.push_back({"IgnoringWinsOverHandling",
                   R"(
--- main
processors:
  - fail: {message: no, ignore_failure: true, on_failure: [{note: {text: handled}}]}
  - note: {text: "2"}
)",
                   {{R"({})", R"({"log":["2"]})"}},
                   "main 1/0 [fail 1/1, note 0/0, note 1/0]"});
    // ---- handlers
    all.push_back({"HandlerOfAStep",
                   R"(
--- main
processors:
  - fail_if:
      field: bad
      tag: t
      on_failure:
        - note: {text: "{{_ingest.on_failure_message}}|{{_ingest.on_failure_processor_type}}|{{_ingest.on_failure_processor_tag}}|{{_ingest.on_failure_pipeline}}"}
        - note: {text: more}
  - note: {text: after, on_failure: [{note: {text: never}}]}
  - note: {text: "gone:{{_ingest.on_failure_message}}{{_ingest.on_failure_processor_type}}"}
)",
                   {{R"({"bad":1})",
                     R"({"bad":1,"log":["[bad] is there|fail_if|t|","more","after","gone:"]})"},
                    {R"({})", R"({"log":["after","gone:"]})"}},
                   "main 2/0 [fail_if:t 2/1, note 1/0, note 1/0, note 2/0, note 0/0, note 2/0]"});
    all.push_back({"HandlerRunsOnTheDocumentAsItWasBefore",
                   R"(
--- main
processors: [{half: {on_failure: [{note: {text: "{{keep}}"}}]}}]
)",
                   {{R"({"keep":1})", R"({"keep":1,"log":["1"]})"}}});
    all.push_back({"FailureInAHandlerFailsTheDocument",
                   R"(
--- main
processors:
  - fail: {message: first, on_failure: [{note: {text: h}}, {fail: {message: second, tag: h}}, {note: {text: never}}]}
  - note: {text: never}
)",
                   {{R"({})", R"(failed in main/fail:h: second, left {"log":["h"]})"}},
                   "main 1/1 [fail 1/1, note 1/0, fail:h 1/1, note 0/0, note 0/0]"});
    all.push_back(
        {"HandlersNest",
         R"(
--- main
processors:
  - fail:
      message: outer
      tag: o
      on_failure:
        - note: {text: "1 {{_ingest.on_failure_message}}"}
        - fail:
            message: inner
            on_failure:
              - note: {text: "2 {{_ingest.on_failure_message}} {{_ingest.on_failure_processor_tag}}"}
              - half: {message: innermost, on_failure: [{note: {text: "3 {{_ingest.on_failure_message}}"}}]}
              - note: {text: "4 {{_ingest.on_failure_message}}"}
        - note: {text: "5 {{_ingest.on_failure_message}} {{_ingest.on_failure_processor_tag}}"}
  - note: {text: "6 {{_ingest.on_failure_message}}"}
)",
         {{R"({})",
           R"({"log":["1 outer","2 inner ","3 innermost","4 inner","5 outer o","6 "]})"}}});
    all.push_back({"DropInAHandler",
                   R"(
--- main
processors:
  - fail_if: {field: bad, on_failure: [{drop: {}}, {note: {text: never}}]}
  - note: {text: after}
)",
                   {{R"({"bad":1})", "dropped"}, {R"({})", R"({"log":["after"]})"}},
                   "main 2/0 [fail_if 2/1, drop 1/0, note 0/0, note 1/0]"});
    all.push_back({"HandlerOfThePipeline",
                   R"(
--- main
processors: [{note: {text: "1"}}, {fail_if: {field: bad}}, {note: {text: "2"}}]
on_failure: [{note: {text: "handled {{_ingest.on_failure_message}}"}}]
)",
                   {{R"({"bad":1})", R"({"bad":1,"log":["1","handled [bad] is there"]})"},
                    {R"({})", R"({"log":["1","2"]})"}},
                   "main 2/0 [note 2/0, fail_if 2/1, note 1/0, note 1/0]"});
    all.push_back({"HandlerOfThePipelineTakesFailuresOfHandlers",
                   R"(
--- main
processors: [{fail: {message: a, on_failure: [{fail: {message: b}}]}}, {note: {text: never}}]
on_failure: [{note: {text: "{{_ingest.on_failure_message}}"}}]
)",
                   {{R"({})", R"({"log":["b"]})"}}});
    all.push_back({"FailureInThePipelinesHandler",
                   R"(
--- main
processors: [{fail: {message: a}}]
on_failure: [{note: {text: h}}, {fail: {message: "b after {{_ingest.on_failure_message}}"}}]
)",
                   {{R"({})", R"(failed in main/fail: b after a, left {"log":["h"]})"}},
                   "main 1/1 [fail 1/1, note 1/0, fail 1/1]"});
    all.push_back({"DropInThePipelinesHandler",
                   "--- main\nprocessors: [{fail: {message: a}}]\non_failure: [{drop: {}}, {note: "
                   "{text: never}}]\n",
                   {{R"({})", "dropped"}}});
    // ---- drop
    all.push_back(
        {"Drop",
         "--- main\nprocessors: [{drop_if: {field: x}}, {note: {text: kept}}]\n",
         {{R"({"x":1})", "dropped"}, {R"({})", R"({"log":["kept"]})"}, {R"({"x":2})", "dropped"}},
         "main 3/0 [drop_if 3/0, note 1/0]"});
    all.push_back({"DropInACalledPipelineEndsTheCallerToo",
                   R"(
--- main
processors: [{pipeline: {name: inner, ignore_failure: true}}, {note: {text: after}}]
--- inner
processors: [{drop_if: {field: x}}, {note: {text: inner}}]
)",
                   {{R"({"x":1})", "dropped"}, {R"({})", R"({"log":["inner","after"]})"}},
                   "main 2/0 [pipeline 2/0, note 1/0]; inner 2/0 [drop_if 2/0, note 1/0]"});
    // ---- exceptions
    all.push_back({"AnExceptionIsAFailure",
                   "--- main\nprocessors: [{throws: {what: ouch}}]\n",
                   {{R"({"keep":1})", R"(failed in main/throws: ouch, left {"keep":1})"}}});
    all.push_back({"AnyExceptionIsAFailureAndIsHandled",
                   R"(
--- main
processors: [{throws: {what: int, on_failure: [{note: {text: "{{_ingest.on_failure_message}}"}}]}}]
)",
                   {{R"({"keep":1})", R"({"keep":1,"log":["an exception of an unknown type"]})"}}});
    // ---- calls
    all.push_back({"CallsNestAndTellTheirPipeline",
                   R"(
--- main
processors: [{note: {text: "{{_ingest.pipeline}}"}}, {pipeline: {name: a}}, {note: {text: "{{_ingest.pipeline}}"}}]
--- a
processors: [{note: {text: "{{_ingest.pipeline}}"}}, {pipeline: {name: b}}, {note: {text: "{{_ingest.pipeline}}"}}]
--- b
processors: [{note: {text: "{{_ingest.pipeline}} {{_ingest.timestamp}}"}}]
)",
                   {{R"({})", R"({"log":["main","a","b 2026-01-02T03:04:05.678Z","a","main"]})"}}});
    all.push_back(
        {"FailureOfACalledPipeline",
         R"(
--- main
processors:
  - pipeline:
      name: a
      tag: call
      on_failure:
        - note: {text: "{{_ingest.on_failure_message}}|{{_ingest.on_failure_processor_type}}|{{_ingest.on_failure_processor_tag}}|{{_ingest.on_failure_pipeline}}|{{_ingest.pipeline}}"}
        - fail: {message: own, on_failure: [{note: {text: "own {{_ingest.on_failure_pipeline}}"}}]}
        - note: {text: "{{_ingest.on_failure_pipeline}}"}
  - note: {text: after}
--- a
processors: [{put: {field: a, value: 1}}, {fail: {message: no, tag: f}}]
)",
         {{R"({})", R"({"a":1,"log":["no|fail|f|a|main","own ","a","after"]})"}},
         "main 1/0 [pipeline:call 1/1, note 1/0, fail 1/1, note 1/0, note 1/0, note 1/0]; "
         "a 1/1 [put 1/0, fail:f 1/1]"});
    all.push_back({"CalledPipelineHandlesItsOwn",
                   R"(
--- main
processors: [{pipeline: {name: a}}, {note: {text: after}}]
on_failure: [{note: {text: never}}]
--- a
processors: [{fail: {message: no}}, {note: {text: never}}]
on_failure: [{note: {text: "{{_ingest.on_failure_pipeline}} {{_ingest.pipeline}}"}}]
)",
                   {{R"({})", R"({"log":["a a","after"]})"}}});
    all.push_back({"CalledPipelineKeepsWhatItDidBeforeItFailed",
                   R"(
--- main
processors: [{pipeline: {name: a, ignore_failure: true}}, {note: {text: after}}]
--- a
processors: [{put: {field: a, value: 1}}, {half: {}}]
)",
                   {{R"({})", R"({"a":1,"log":["after"]})"}}});
    all.push_back(
        {"NamesFromTemplates",
         R"(
--- main
processors: [{pipeline: {name: "p-{{kind}}", tag: call}}, {note: {text: after}}]
--- p-a
processors: [{note: {text: a}}]
--- p-b
processors: [{note: {text: b}}]
)",
         {{R"({"kind":"a"})", R"({"kind":"a","log":["a","after"]})"},
          {R"({"kind":"b"})", R"({"kind":"b","log":["b","after"]})"},
          {R"({"kind":"c"})",
           "failed in main/pipeline:call: Pipeline processor configured for non-existent pipeline "
           "[p-c], "
           R"(left {"kind":"c"})"},
          {R"({"kind":"a"})", R"({"kind":"a","log":["a","after"]})"}},
         "main 4/1 [pipeline:call 4/1, note 3/0]; p-a 2/0 [note 2/0]; p-b 1/0 [note 1/0]"});
    all.push_back({"MissingPipelineIgnored",
                   R"(
--- main
processors: [{pipeline: {name: "{{kind}}", ignore_missing_pipeline: true}}, {note: {text: after}}]
)",
                   {{R"({"kind":"x"})", R"({"kind":"x","log":["after"]})"}}});
    all.push_back(
        {"CycleAtRunTime",
         R"(
--- main
processors: [{pipeline: {name: "{{next}}"}}]
--- a
processors: [{note: {text: a}}, {pipeline: {name: "{{then}}", tag: back}}]
--- b
processors: [{note: {text: b}}]
)",
         {{R"({"next":"a","then":"main"})",
           R"(failed in a/pipeline:back: Cycle detected for pipeline: main, left )"
           R"({"next":"a","then":"main","log":["a"]})"},
          {R"({"next":"a","then":"a"})",
           R"(failed in a/pipeline:back: Cycle detected for pipeline: a, left )"
           R"({"next":"a","then":"a","log":["a"]})"},
          {R"({"next":"a","then":"b"})", R"({"next":"a","then":"b","log":["a","b"]})"},
          {R"({"next":"main"})",
           R"(failed in main/pipeline: Cycle detected for pipeline: main, left {"next":"main"})"}}});
    all.push_back({"OnePipelineTwiceInARowIsNoCycle",
                   R"(
--- main
processors: [{pipeline: {name: a}}, {pipeline: {name: a}}]
--- a
processors: [{note: {text: a}}]
)",
                   {{R"({})", R"({"log":["a","a"]})"}},
                   "main 1/0 [pipeline 1/0, pipeline 1/0]; a 2/0 [note 2/0]"});
    all.push_back(
        {"CallInAHandler",
         R"(
--- main
processors: [{fail_if: {field: bad, on_failure: [{pipeline: {name: h}}, {note: {text: "{{_ingest.on_failure_message}}"}}]}}]
--- h
processors:
  - note: {text: "h {{_ingest.on_failure_message}}"}
  - fail: {message: x, on_failure: [{note: {text: "{{_ingest.on_failure_message}} {{_ingest.on_failure_pipeline}}"}}]}
)",
         {{R"({"bad":1})", R"({"bad":1,"log":["h [bad] is there","x h","[bad] is there"]})"},
          {R"({})", R"({})"}}});
    // ---- foreach
    all.push_back({"ForeachOverLists",
                   R"(
--- main
processors:
  - foreach: {field: l, processor: {put: {field: _ingest._value, value: "<{{_ingest._value}}>"}}}
  - note: {text: "gone:{{_ingest._value}}"}
)",
                   {{R"({"l":["a","b"]})", R"({"l":["<a>","<b>"],"log":["gone:"]})"},
                    {R"({"l":[]})", R"({"l":[],"log":["gone:"]})"},
                    {R"({"l":["c"]})", R"({"l":["<c>"],"log":["gone:"]})"}},
                   "main 3/0 [foreach 3/0, put 3/0, note 3/0]"});
    all.push_back({"ForeachOverObjects",
                   R"(
--- main
processors:
  - foreach: {field: o, processor: {put: {field: _ingest._key, value: "{{_ingest._key}}_{{_ingest._value}}"}}}
)",
                   {{R"({"o":{"a":1,"b":{"c":2}}})", R"({"o":{"a_1":1,"b_{c=2}":{"c":2}}})"},
                    {R"({"o":{}})", R"({"o":{}})"}}});
    all.push_back({"ForeachElementsRenamedToOneKeepTheLast",
                   "--- main\nprocessors: [{foreach: {field: o, processor: {put: {field: "
                   "_ingest._key, value: x}}}}]\n",
                   {{R"({"o":{"a":1,"b":2}})", R"({"o":{"x":2}})"}}});
    all.push_back({"ForeachElementsWithoutANameAreLeftOut",
                   R"(
--- main
processors:
  - foreach: {field: o, processor: {put: {field: _ingest._key, value: "{{_ingest._value}}"}}}
  - foreach: {field: p, ignore_missing: true, processor: {take: {field: _ingest._key}}}
)",
                   {{R"({"o":{"a":"","b":" ","c":"d"}})", R"({"o":{"d":"d"}})"},
                    {R"({"o":{},"p":{"a":1}})", R"({"o":{},"p":{}})"}}});
    all.push_back({"ForeachRemovedValueIsNull",
                   "--- main\nprocessors: [{foreach: {field: l, processor: {take: {field: "
                   "_ingest._value}}}}]\n",
                   {{R"({"l":[1,2]})", R"({"l":[null,null]})"}}});
    all.push_back({"ForeachNested",
                   R"(
--- main
processors:
  - foreach:
      field: rows
      processor:
        foreach:
          field: _ingest._value.cells
          processor: {put: {field: _ingest._value, value: "{{_ingest._value}}!"}}
)",
                   {{R"({"rows":[{"cells":["a","b"]},{"cells":[]},{"cells":["c"]}]})",
                     R"({"rows":[{"cells":["a!","b!"]},{"cells":[]},{"cells":["c!"]}]})"}}});
    all.push_back(
        {"ForeachRestoresTheOuterElement",
         R"(
--- main
processors: [{foreach: {field: o, processor: {pipeline: {name: each}}}}]
--- each
processors:
  - note: {text: "{{_ingest._key}}={{_ingest._value}}"}
  - foreach: {field: l, processor: {note: {text: "{{_ingest._key}}/{{_ingest._value}}"}}}
  - note: {text: "{{_ingest._key}}={{_ingest._value}}"}
)",
         {{R"({"o":{"k":1,"m":2},"l":["x"]})",
           R"({"o":{"k":1,"m":2},"l":["x"],"log":["k=1","k/x","k=1","m=2","m/x","m=2"]})"}}});
    all.push_back({"ForeachBodyMayChangeTheList",
                   R"(
--- main
processors:
  - foreach: {field: l, processor: {note: {to: l, text: "n{{_ingest._value}}"}}}
  - foreach: {field: m, processor: {take: {field: m}}, ignore_failure: true}
)",
                   {{R"({"l":["a","b"],"m":[1]})", R"({"l":["a","b"],"m":[1]})"},
                    {R"({"l":[],"m":[1,2]})", R"({"l":[]})"}},
                   "main 2/0 [foreach 2/0, note 2/0, foreach 2/1, take 3/1]"});
    all.push_back(
        {"ForeachStopsAtTheFirstFailure",
         R"(
--- main
processors:
  - foreach: {field: l, tag: loop, processor: {pipeline: {name: each}}}
--- each
processors:
  - put: {field: _ingest._value.seen, value: true}
  - fail_if: {field: _ingest._value.bad, tag: check}
  - note: {text: "{{_ingest._value.n}}"}
)",
         // As in the reference: elements that are objects were changed in place.
         {{R"({"l":[{"n":1},{"n":2,"bad":1},{"n":3}]})",
           R"(failed in each/fail_if:check: [_ingest._value.bad] is there, left )"
           R"({"l":[{"n":1,"seen":true},{"n":2,"bad":1,"seen":true},{"n":3}],"log":["1"]})"},
          {R"({"l":[{"n":4}]})", R"({"l":[{"n":4,"seen":true}],"log":["4"]})"}},
         "main 2/1 [foreach:loop 2/1, pipeline 3/1]; each 3/1 [put 3/0, fail_if:check 3/1, note "
         "2/0]"});
    all.push_back({"ForeachFailureKeepsTheListsOwnElements",
                   R"(
--- main
processors:
  - foreach: {field: l, processor: {pipeline: {name: each}}, on_failure: [{note: {text: "{{_ingest.on_failure_message}}"}}]}
--- each
processors: [{fail_if: {field: stop}}, {put: {field: _ingest._value, value: x}}, {put: {field: stop, value: 1}}]
)",
                   {{R"({"l":["a","b"]})", R"({"l":["a","b"],"stop":1,"log":["[stop] is there"]})"},
                    {R"({"l":["a"]})", R"({"l":["x"],"stop":1})"}}});
    all.push_back(
        {"ForeachInnerHandlerLetsTheLoopGoOn",
         R"(
--- main
processors:
  - foreach:
      field: l
      processor:
        fail_if:
          field: _ingest._value.bad
          on_failure: [{put: {field: _ingest._value, value: "{{_ingest.on_failure_message}}"}}]
)",
         {{R"({"l":[{"bad":1},{"n":2}]})", R"({"l":["[_ingest._value.bad] is there",{"n":2}]})"}}});
    all.push_back({"ForeachInnerFailureIgnored",
                   R"(
--- main
processors: [{foreach: {field: l, processor: {half: {ignore_failure: true}}}}]
)",
                   {{R"({"l":[1,2]})", R"({"l":[1,2]})"}},
                   "main 1/0 [foreach 1/0, half 2/2]"});
    all.push_back({"ForeachDrop",
                   R"(
--- main
processors: [{foreach: {field: l, processor: {drop_if: {field: _ingest._value.x}}}}, {note: {text: after}}]
)",
                   {{R"({"l":[{"n":1},{"x":1},{"n":2}]})", "dropped"},
                    {R"({"l":[{"n":1}]})", R"({"l":[{"n":1}],"log":["after"]})"}},
                   "main 2/0 [foreach 2/0, drop_if 3/0, note 1/0]"});
    all.push_back(
        {"ForeachOverWhatIsNoList",
         R"(
--- main
processors: [{foreach: {field: a.l, processor: {note: {text: x}}}}]
)",
         {{R"({"a":{"l":"x"}})",
           "failed in main/foreach: field [a.l] of type [java.lang.String] cannot be cast to a "
           "list or map, "
           R"(left {"a":{"l":"x"}})"},
          {R"({"a":{"l":null}})",
           "failed in main/foreach: field [a.l] is null, cannot loop over its elements., "
           R"(left {"a":{"l":null}})"},
          {R"({"a":{}})",
           R"(failed in main/foreach: field [l] not present as part of path [a.l], left {"a":{}})"}}});
    all.push_back({"ForeachIgnoreMissing",
                   R"(
--- main
processors: [{foreach: {field: l, ignore_missing: true, processor: {note: {text: x}}}}]
)",
                   {{R"({})", R"({})"},
                    {R"({"l":null})", R"({"l":null})"},
                    {R"({"l":5})",
                     "failed in main/foreach: field [l] of type [java.lang.Integer] cannot be cast "
                     "to a list or map, "
                     R"(left {"l":5})"}}});
    all.push_back(
        {"ForeachThrow",
         "--- main\nprocessors: [{foreach: {field: l, processor: {throws: {what: ouch}}}}]\n",
         {{R"({"l":["a"],"keep":1})",
           R"(failed in main/throws: ouch, left {"l":["a"],"keep":1})"}}});
    all.push_back(
        {"ForeachOfCallsByName",
         R"(
--- main
processors: [{foreach: {field: l, processor: {pipeline: {name: "{{_ingest._value}}", ignore_missing_pipeline: true}}}}]
--- a
processors: [{note: {text: a}}]
--- b
processors: [{note: {text: b}}, {fail_if: {field: bad}}]
)",
         {{R"({"l":["a","b","c","a"]})", R"({"l":["a","b","c","a"],"log":["a","b","a"]})"},
          {R"({"l":["b","a"]})", R"({"l":["b","a"],"log":["b","a"]})"},
          {R"({"l":["a","b","a"],"bad":1})",
           R"(failed in b/fail_if: [bad] is there, left {"l":["a","b","a"],"bad":1,"log":["a","b"]})"}}});
    return all;
}

// ---- limits

/// p1 calls p2 calls p3 ... calls pN, by names from templates or not.
std::string chain(std::size_t length) {
    std::string text;
    for (std::size_t i = 1; i <= length; ++i) {
        std::string n = std::to_string(i);
        text += "--- p" + n + "\nprocessors: [{put: {field: at, value: " + n + "}}";
        if (i < length) text += ", {pipeline: {name: p" + std::to_string(i + 1) + "}}";
        text += "]\n";
    }
    return text;
}

TEST(Executor, AHundredPipelinesOnTopOfEachOther) {
    for (const std::set<std::string>& waiting : {std::set<std::string>{}, {"put"}}) {
        Catalog catalog = trial_catalog({waiting, nullptr});
        EXPECT_EQ(run(compile(chain(100), catalog), "p1", {"{}"}),
                  std::vector<std::string>{R"({"at":100})"});
        EXPECT_EQ(run(compile(chain(101), catalog), "p1", {"{}"}),
                  std::vector<std::string>{
                      "failed in p100/pipeline: Too many nested pipelines. Cannot have more than "
                      R"(100 nested pipelines per document, left {"at":100})"});
    }
}

/// Each of 100 pipelines calls the next one from the innermost of 18 handlers, in a foreach.
std::string deep_handlers() {
    std::string text;
    for (int pipeline = 1; pipeline <= 100; ++pipeline) {
        std::string step = pipeline == 100
                               ? "{note: {text: end}}"
                               : "{pipeline: {name: p" + std::to_string(pipeline + 1) + "}}";
        step = "{foreach: {field: l, processor: " + step + "}}";
        for (int level = 0; level < 18; ++level)
            step = "{fail: {message: m, on_failure: [" + step + "]}}";
        text += "--- p" + std::to_string(pipeline) + "\nprocessors: [" + step + "]\n";
    }
    return text;
}

TEST(Executor, DeepHandlersNeedNoDeepStack) {
    for (const std::set<std::string>& waiting : {std::set<std::string>{}, {"fail"}, {"note"}}) {
        auto set = compile(deep_handlers(), trial_catalog({waiting, nullptr}));
        ASSERT_NE(set, nullptr);
        EXPECT_EQ(run(set, "p1", {R"({"l":[1]})"}),
                  std::vector<std::string>{R"({"l":[1],"log":["end"]})"});
    }
}

TEST(Executor, EmptyBatch) {
    for (const std::set<std::string>& waiting : {std::set<std::string>{}, {"note"}}) {
        auto set = compile("--- main\nprocessors: [{note: {text: x}}]\n",
                           trial_catalog({waiting, nullptr}));
        EXPECT_TRUE(run(set, "main", {}).empty());
        EXPECT_EQ(statistics(*set), "main 0/0 [note 0/0]");
    }
}

// ---- documents as they come

TEST(Executor, TimestampIsNowUnlessItIsThere) {
    auto set =
        compile("--- main\nprocessors: [{put: {field: t, value: \"{{_ingest.timestamp}}\"}}]\n",
                trial_catalog());
    TrialBatch batch({"{}", "{}"});
    batch[1].set_ingest("timestamp", document::Value::string("2020-01-01T00:00:00.000Z"));
    Executor executor(set, *set->find("main"));
    executor.run_sync(batch.documents(), batch.results());
    std::string_view now = batch[0].source().as_object().get("t")->as_string();
    ASSERT_EQ(now.size(), 27u) << now;
    EXPECT_EQ(now.substr(0, 2), "20");
    EXPECT_EQ(now[10], 'T');
    EXPECT_EQ(now[26], 'Z');
    EXPECT_EQ(batch[1].source().as_object().get("t")->as_string(), "2020-01-01T00:00:00.000Z");
}

TEST(Executor, CallersIngestMetadataComesBack) {
    auto set = compile(R"(
--- main
processors:
  - fail: {message: new, on_failure: [{note: {text: "{{_ingest.on_failure_message}}"}}]}
  - foreach: {field: l, processor: {note: {text: "{{_ingest._value}}"}}}
)",
                       trial_catalog());
    TrialBatch batch({R"({"l":[1]})"});
    for (const char* key : {"on_failure_message", "_value", "pipeline", "timestamp"}) {
        batch[0].set_ingest(key, document::Value::string("mine"));
    }
    Executor executor(set, *set->find("main"));
    executor.run_sync(batch.documents(), batch.results());
    EXPECT_EQ(batch.texts(),
              std::vector<std::string>{
                  R"({"l":[1],"log":["new","1"]} with _ingest {"on_failure_message":"mine",)"
                  R"("_value":"mine","pipeline":"mine","timestamp":"mine"})"});
}

TEST(Executor, RunSyncRefusesPipelinesThatWait) {
    auto set = compile("--- main\nprocessors: [{wait: {}}]\n", trial_catalog());
    TrialBatch batch({"{}"});
    Executor executor(set, *set->find("main"));
    EXPECT_THROW(executor.run_sync(batch.documents(), batch.results()), std::logic_error);
}

TEST(Executor, ServesBatchAfterBatch) {
    auto set = compile("--- main\nprocessors: [{fail_if: {field: bad}}, {note: {text: x}}]\n",
                       trial_catalog());
    Executor executor(set, *set->find("main"));
    executor.set_timestamp(std::string(trial_time));
    for (int i = 0; i < 3; ++i) {
        TrialBatch batch({R"({"bad":1})", "{}"});
        executor.run_sync(batch.documents(), batch.results());
        EXPECT_EQ(batch.texts(), (std::vector<std::string>{
                                     R"(failed in main/fail_if: [bad] is there, left {"bad":1})",
                                     R"({"log":["x"]})"}));
    }
    EXPECT_EQ(statistics(*set), "main 6/3 [fail_if 6/3, note 3/0]");
}

// ---- observers

class Witness final : public StepObserver {
  public:
    void entering(const Step& step, std::size_t slot, document::Document&) override {
        add(step, slot, "entering");
    }
    void after(const Step& step, std::size_t slot, document::Document&, Status status,
               const document::Failure* failure) override {
        static constexpr const char* names[] = {"success", "error", "error_ignored", "skipped",
                                                "dropped"};
        std::string text = names[static_cast<std::size_t>(status)];
        add(step, slot, failure ? text + " " + failure->reason : text);
    }
    std::vector<std::string> of(std::size_t slot) const {
        auto found = seen_.find(slot);
        return found == seen_.end() ? std::vector<std::string>{} : found->second;
    }

  private:
    void add(const Step& step, std::size_t slot, const std::string& text) {
        seen_[slot].push_back(step.type + (step.tag.empty() ? "" : ":" + step.tag) + " " + text);
    }
    std::map<std::size_t, std::vector<std::string>> seen_;
};

TEST(Executor, ObserversSeeEveryStep) {
    const char* pipelines = R"(
--- main
processors:
  - note: {text: x}
  - fail_if: {field: ignored, ignore_failure: true}
  - fail_if: {field: handled, tag: h, on_failure: [{note: {text: x, tag: in_handler}}]}
  - pipeline: {name: inner}
  - foreach: {field: l, ignore_missing: true, processor: {note: {text: x}}}
--- inner
processors: [{drop_if: {field: drop}}, {fail_if: {field: bad, tag: b}}]
)";
    for (const std::set<std::string>& waiting :
         {std::set<std::string>{}, {"*"}, {"note"}, {"fail_if"}}) {
        auto set = compile(pipelines, trial_catalog({waiting, nullptr}));
        Witness witness;
        run(set, "main",
            {R"({"l":[1,2]})", R"({"ignored":1,"drop":1})", R"({"handled":1,"bad":1})"}, &witness);
        EXPECT_EQ(witness.of(0), (std::vector<std::string>{"note success", "fail_if success",
                                                           "fail_if:h success", "pipeline entering",
                                                           "drop_if success", "fail_if:b success",
                                                           "pipeline success", "foreach success"}));
        EXPECT_EQ(witness.of(1), (std::vector<std::string>{
                                     "note success", "fail_if error_ignored [ignored] is there",
                                     "fail_if:h success", "pipeline entering", "drop_if dropped",
                                     "pipeline dropped"}));
        EXPECT_EQ(witness.of(2),
                  (std::vector<std::string>{
                      "note success", "fail_if success", "fail_if:h error [handled] is there",
                      "note:in_handler success", "pipeline entering", "drop_if success",
                      "fail_if:b error [bad] is there", "pipeline error [bad] is there"}));
    }
}

}  // namespace
}  // namespace penstock::pipeline::test
