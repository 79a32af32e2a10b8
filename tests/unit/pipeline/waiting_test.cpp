// Steps that wait: what they are given at once, exceptions, cancellation, many workers.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <optional>
#include <thread>

#include "tests/unit/pipeline/trial.h"

namespace penstock::pipeline::test {
namespace {

namespace asio = boost::asio;

// ---- gathering

TEST(Waiting, TakesTheWholeBatch) {
    Gathered gathered;
    auto set = compile(
        "--- main\nprocessors: [{drop_if: {field: x}}, {fail_if: {field: bad}}, {note: {text: "
        "a}}]\n",
        trial_catalog({{"note", "fail_if"}, &gathered}));
    auto became = run(set, "main", {"{}", R"({"x":1})", R"({"bad":1})", "{}"});
    EXPECT_EQ(gathered, (Gathered{{"fail_if", 3}, {"note", 2}}));
    EXPECT_EQ(became,
              (std::vector<std::string>{R"({"log":["a"]})", "dropped",
                                        R"(failed in main/fail_if: [bad] is there, left {"bad":1})",
                                        R"({"log":["a"]})"}));
}

TEST(Waiting, HandlersTakeAllThatFailed) {
    Gathered gathered;
    auto set = compile(R"(
--- main
processors: [{fail_if: {field: bad, on_failure: [{note: {text: h}}, {fail_if: {field: worse}}]}}, {note: {text: a}}]
on_failure: [{note: {text: p}}]
)",
                       trial_catalog({{"note"}, &gathered}));
    auto became =
        run(set, "main", {R"({"bad":1})", "{}", R"({"bad":1,"worse":1})", R"({"bad":1})"});
    EXPECT_EQ(gathered, (Gathered{{"note", 3}, {"note", 3}, {"note", 1}}));
    EXPECT_EQ(became, (std::vector<std::string>{R"({"bad":1,"log":["h","a"]})", R"({"log":["a"]})",
                                                R"({"bad":1,"worse":1,"log":["h","p"]})",
                                                R"({"bad":1,"log":["h","a"]})"}));
}

TEST(Waiting, ForeachGathersByRounds) {
    Gathered gathered;
    auto set = compile(R"(
--- main
processors:
  - foreach:
      field: l
      ignore_missing: true
      processor: {fail_if: {field: _ingest._value.bad}}
      on_failure: [{note: {text: h}}]
)",
                       trial_catalog({{"fail_if", "note"}, &gathered}));
    auto became = run(set, "main",
                      {R"({"l":[{},{},{}]})", R"({"l":[{}]})", R"({"l":[{"bad":1},{}]})",
                       R"({"l":[]})", "{}", R"({"l":{"a":{},"b":{}}})"});
    EXPECT_EQ(gathered, (Gathered{{"fail_if", 4}, {"fail_if", 2}, {"fail_if", 1}, {"note", 1}}));
    EXPECT_EQ(became, (std::vector<std::string>{R"({"l":[{},{},{}]})", R"({"l":[{}]})",
                                                R"({"l":[{"bad":1},{}],"log":["h"]})",
                                                R"({"l":[]})", "{}", R"({"l":{"a":{},"b":{}}})"}));
    EXPECT_EQ(statistics(*set), "main 6/0 [foreach 6/1, fail_if 7/1, note 1/0]");
}

TEST(Waiting, CallsByNameGoInGroups) {
    Gathered gathered;
    auto set = compile(R"(
--- main
processors: [{pipeline: {name: "{{to}}", ignore_missing_pipeline: true}}, {wait: {}}]
--- a
processors: [{note: {text: a}}]
--- b
processors: [{note: {text: b}}]
--- c
processors: []
)",
                       trial_catalog({{"note"}, &gathered}));
    auto became = run(set, "main",
                      {R"({"to":"a"})", R"({"to":"b"})", R"({"to":"a"})", R"({"to":"c"})",
                       R"({"to":"d"})", R"({"to":"a"})", R"({"to":"main"})"});
    EXPECT_EQ(gathered, (Gathered{{"note", 3}, {"note", 1}, {"wait", 6}}));
    EXPECT_EQ(
        became,
        (std::vector<std::string>{
            R"({"to":"a","log":["a"]})", R"({"to":"b","log":["b"]})", R"({"to":"a","log":["a"]})",
            R"({"to":"c"})", R"({"to":"d"})", R"({"to":"a","log":["a"]})",
            R"(failed in main/pipeline: Cycle detected for pipeline: main, left {"to":"main"})"}));
    EXPECT_EQ(statistics(*set),
              "main 7/1 [pipeline 7/1]; a 3/0 [note 3/0]; b 1/0 [note 1/0]; c 1/0");
}

TEST(Waiting, StepsBetweenRunDocumentByDocument) {
    Gathered gathered;
    auto set = compile(
        "--- main\nprocessors: [{note: {text: a}}, {put: {field: b, value: 1}}, {wait: {}}, {drop: "
        "{}}]\n",
        trial_catalog({{}, &gathered}));
    const Pipeline& main = *set->find("main");
    ASSERT_EQ(main.steps.segments.size(), 3u);
    EXPECT_EQ(main.steps.segments[0].end, 2u);
    EXPECT_TRUE(main.steps.segments[1].waits);
    EXPECT_EQ(run(set, "main", {"{}", "{}"}), (std::vector<std::string>{"dropped", "dropped"}));
    EXPECT_EQ(gathered, (Gathered{{"wait", 2}}));
}

// ---- exceptions

TEST(Waiting, AnExceptionFailsTheDocumentsThatWereGiven) {
    auto set = compile(R"(
--- main
processors: [{fail_if: {field: bad, on_failure: [{throws: {what: ouch, tag: t}}]}}, {note: {text: a}}]
)",
                       trial_catalog({{"throws"}, nullptr}));
    EXPECT_EQ(run(set, "main", {R"({"bad":1,"keep":1})", "{}", R"({"bad":2})"}),
              (std::vector<std::string>{R"(failed in main/throws:t: ouch, left {"bad":1,"keep":1})",
                                        R"({"log":["a"]})",
                                        R"(failed in main/throws:t: ouch, left {"bad":2})"}));
    EXPECT_EQ(statistics(*set), "main 3/2 [fail_if 3/2, throws:t 2/2, note 1/0]");
}

// ---- cancellation

/// Waits for ever. A deaf one answers its cancellation with failures, as a careless plugin might.
class Forever final : public AsyncProcessor {
  public:
    Forever(bool deaf, std::atomic<int>& waiting) : deaf_(deaf), waiting_(waiting) {}
    asio::awaitable<void> run(std::span<AsyncItem> items) const override {
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        ++waiting_;
        try {
            co_await timer.async_wait(asio::use_awaitable);
        } catch (const boost::system::system_error&) {
            if (!deaf_) throw;
            for (AsyncItem& item : items)
                item.outcome = document::failure("interrupted");
        }
    }

  private:
    bool deaf_;
    std::atomic<int>& waiting_;
};

class Cancellation : public testing::Test {
  protected:
    void load(const std::string& pipelines) {
        Catalog catalog = trial_catalog();
        for (bool deaf : {false, true}) {
            catalog.add({.name = deaf ? "deaf" : "forever",
                         .compile = [this, deaf](const Config&) -> StepBody {
                             return AsyncProcessorPtr(new Forever(deaf, waiting_));
                         }});
        }
        set_ = compile(pipelines, catalog);
    }

    /// Runs until it waits.
    void start(const std::vector<std::string>& sources) {
        batch_.emplace(sources);
        executor_.emplace(set_, *set_->find("main"));
        asio::co_spawn(*context_, executor_->run(batch_->documents(), batch_->results()),
                       asio::bind_cancellation_slot(signal_.slot(), [this](std::exception_ptr why) {
                           ended_ = true;
                           why_ = why;
                       }));
        while (waiting_ == 0)
            ASSERT_GT(context_->run_one(), 0u);
    }

    bool was_cancelled() const {
        try {
            if (why_) std::rethrow_exception(why_);
        } catch (const boost::system::system_error& error) {
            return error.code() == asio::error::operation_aborted;
        } catch (...) {
        }
        return false;
    }

    void expect_cancelled() {
        signal_.emit(asio::cancellation_type::terminal);
        context_->restart();
        context_->run();
        EXPECT_TRUE(ended_);
        EXPECT_TRUE(was_cancelled());
        for (const ExecutionResult& result : batch_->results())
            EXPECT_EQ(result.fate, Fate::running);
    }

    std::atomic<int> waiting_ = 0;
    std::shared_ptr<const PipelineSet> set_;
    std::optional<TrialBatch> batch_;
    std::optional<Executor> executor_;
    asio::cancellation_signal signal_;
    bool ended_ = false;
    std::exception_ptr why_;
    // Goes first, with the coroutines that it still holds.
    std::optional<asio::io_context> context_{std::in_place, 1};
};

constexpr const char* waits_in_a_handler = R"(
--- main
processors: [{note: {text: a}}, {pipeline: {name: inner, ignore_failure: true}}, {note: {text: never}}]
on_failure: [{drop: {}}]
--- inner
processors: [{fail_if: {field: bad, on_failure: [{foreach: {field: l, processor: {forever: {}}}}]}}]
)";

TEST_F(Cancellation, ReachesTheStepAndLeavesNothingCurrent) {
    load(waits_in_a_handler);
    start({R"({"bad":1,"l":[1]})", "{}"});
    EXPECT_EQ(
        statistics(*set_),
        "main 0/0 (current 2) [note 0/0, pipeline 0/0 (current 2), note 0/0, drop 0/0]; "
        "inner 0/0 (current 2) [fail_if 0/0, foreach 0/0 (current 1), forever 0/0 (current 1)]");
    expect_cancelled();
    EXPECT_EQ(statistics(*set_),
              "main 2/0 [note 2/0, pipeline 2/0, note 0/0, drop 0/0]; "
              "inner 2/0 [fail_if 2/1, foreach 1/0, forever 1/0]");
}

TEST_F(Cancellation, IsNotTakenForAFailure) {
    load("--- main\nprocessors: [{deaf: {ignore_failure: true}}]\n");
    start({"{}"});
    expect_cancelled();
    EXPECT_EQ(statistics(*set_), "main 1/0 [deaf 1/0]");
}

TEST_F(Cancellation, EndOfTheEventLoopLeavesNothingCurrent) {
    load(waits_in_a_handler);
    start({R"({"bad":1,"l":[1]})"});
    context_.reset();
    EXPECT_FALSE(ended_);
    EXPECT_EQ(statistics(*set_),
              "main 1/0 [note 1/0, pipeline 1/0, note 0/0, drop 0/0]; "
              "inner 1/0 [fail_if 1/1, foreach 1/0, forever 1/0]");
}

TEST_F(Cancellation, ExecutorServesTheNextBatch) {
    load("--- main\nprocessors: [{drop_if: {field: x}}, {forever: {}}]\n");
    start({"{}"});
    expect_cancelled();
    TrialBatch next({R"({"x":1})"});
    context_->restart();
    asio::co_spawn(*context_, executor_->run(next.documents(), next.results()),
                   [](std::exception_ptr) {});
    context_->run();
    EXPECT_EQ(next.results().at(0).fate, Fate::dropped);
}

// ---- many workers

TEST(Workers, ShareOneSetOfPipelines) {
    constexpr std::size_t workers = 4, batches = 25, size = 20;
    const char* pipelines = R"(
--- main
processors:
  - foreach: {field: l, processor: {put: {field: _ingest._value, value: "{{_ingest._value}}{{x}}"}}}
  - pipeline: {name: "{{to}}", ignore_missing_pipeline: true}
  - fail_if: {field: bad, on_failure: [{note: {text: "{{_ingest.on_failure_message}}"}}]}
  - half: {ignore_failure: true}
--- a
processors: [{note: {text: "{{_ingest.pipeline}}"}}]
)";
    for (const std::set<std::string>& waiting : {std::set<std::string>{}, {"note", "half"}}) {
        auto set = compile(pipelines, trial_catalog({waiting, nullptr}));
        std::vector<std::string> sources, expected;
        for (std::size_t i = 0; i < size; i += 2) {
            sources.push_back(R"({"l":["a","b"],"x":1,"to":"a"})");
            expected.push_back(R"({"l":["a1","b1"],"x":1,"to":"a","log":["a"]})");
            sources.push_back(R"({"l":[],"bad":1})");
            expected.push_back(R"({"l":[],"bad":1,"log":["[bad] is there"]})");
        }
        std::vector<std::thread> threads;
        for (std::size_t worker = 0; worker < workers; ++worker) {
            threads.emplace_back([&] {
                for (std::size_t batch = 0; batch < batches; ++batch) {
                    EXPECT_EQ(run(set, "main", sources), expected);
                    (void)set->statistics();
                }
            });
        }
        for (std::thread& thread : threads)
            thread.join();
        EXPECT_EQ(statistics(*set),
                  "main 2000/0 [foreach 2000/0, put 2000/0, pipeline 2000/0, fail_if 2000/1000, "
                  "note 1000/0, "
                  "half 2000/2000]; a 1000/0 [note 1000/0]");
    }
}

}  // namespace
}  // namespace penstock::pipeline::test
