#include "engine/inference/deployment.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <numeric>

#include "engine/inference/inference_error.h"
#include "tests/unit/inference/fakes.h"

namespace penstock::inference {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::eventually;
using testing::expected_embedding;
using testing::Fixture;
using testing::id_of;
using testing::infer;
using testing::NoNewThreads;
using testing::Pending;
using testing::ReleaseAtEnd;
using testing::values;
using testing::words;

std::vector<std::string> distinct(std::size_t count, const std::string& stem = "text") {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i)
        texts.push_back(stem + std::to_string(i));
    return texts;
}

std::size_t failures(const InferResult& result, int status) {
    return static_cast<std::size_t>(std::count_if(
        result.items.begin(), result.items.end(),
        [&](const InferItem& item) { return item.error && item.error->status == status; }));
}

/// Blocks the model with one text in it, so that what comes after stays in the queue.
std::unique_ptr<Pending> occupy(Fixture& fixture, Deployment& deployment) {
    fixture.control->block(true);
    auto pending = std::make_unique<Pending>();
    pending->submit(deployment, {"occupied"});
    EXPECT_TRUE(eventually([&] { return fixture.control->running_now() == 1; }));
    return pending;
}

TEST(Deployment, AnswersEachTextInOrder) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    EXPECT_EQ(deployment->state(), DeploymentState::fully_allocated);
    EXPECT_EQ(deployment->max_tokens(), 64);
    EXPECT_EQ(deployment->tokenizer()->type(), "words");
    const auto texts = distinct(300, "a b ");
    const auto result = infer(*deployment, texts);
    ASSERT_EQ(result.items.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        ASSERT_TRUE(result.items[i].ok()) << result.items[i].error->reason;
        EXPECT_EQ(values(result.items[i]), expected_embedding(texts[i]));
        EXPECT_EQ(result.items[i].tokens, 5U);
    }
    EXPECT_TRUE(infer(*deployment, {}).items.empty());
}

TEST(Deployment, OneBadTextDoesNotFailItsNeighbours) {
    Fixture fixture;
    const auto deployment = fixture.deploy({},
                                           "inference_config: {text_embedding: {tokenization: "
                                           "{with_special_tokens: false}}}\n");
    const auto result = infer(*deployment, {"good", "", "bad \xFF", "\xED\xA0\x80", "fine"});
    EXPECT_TRUE(result.items[0].ok());
    EXPECT_TRUE(result.items[4].ok());
    EXPECT_EQ(result.items[1].error->reason, "the text has no tokens for model [m] (is it empty?)");
    EXPECT_EQ(result.items[2].error->reason, "the text is not valid UTF-8 at byte 4");
    EXPECT_EQ(result.items[3].error->reason, "the text is not valid UTF-8 at byte 0");
    EXPECT_EQ(failures(result, 400), 3U);
}

TEST(Deployment, NeverTruncatesSilently) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    const std::string text = words(100);
    const auto cut = infer(*deployment, {text, words(62)});
    EXPECT_TRUE(cut.items[0].is_truncated);
    EXPECT_EQ(cut.items[0].tokens, 102U);
    EXPECT_FALSE(cut.items[1].is_truncated);
    {
        std::lock_guard lock(fixture.control->mutex);
        const auto& ids = fixture.control->batches[0][0];
        ASSERT_EQ(ids.size(), 64U);
        EXPECT_EQ(ids.front(), 1);
        EXPECT_EQ(ids[62], id_of("w61"));
        EXPECT_EQ(ids.back(), 2) << "the end token stays";
    }
    EXPECT_EQ(deployment->stats().truncated_count, 1);

    const auto refused = infer(*deployment, {text}, {.truncate = Truncate::none});
    EXPECT_EQ(refused.items[0].error->status, 400);
    EXPECT_EQ(refused.items[0].error->reason,
              "Input too large. The tokenized input length [102] exceeds the maximum sequence "
              "length [64]");
}

TEST(Deployment, PutsThePrefixOfTheCallersRoleFirst) {
    Fixture fixture;
    const auto deployment =
        fixture.deploy({}, "prefix_strings: {ingest: 'passage: ', search: 'query: '}\n");
    for (const auto& [kind, text] :
         std::vector<std::pair<PrefixKind, std::string>>{{PrefixKind::none, "x"},
                                                         {PrefixKind::ingest, "passage: x"},
                                                         {PrefixKind::search, "query: x"}}) {
        const auto result = infer(*deployment, {"x"}, {.prefix = kind});
        EXPECT_EQ(values(result.items[0]), expected_embedding(text));
        EXPECT_FALSE(result.items[0].from_cache);
    }
    EXPECT_EQ(deployment->prefix_tokens(PrefixKind::ingest), 1);
    EXPECT_EQ(deployment->prefix_tokens(PrefixKind::none), 0);
}

TEST(Deployment, CachesByContent) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    infer(*deployment, distinct(10));
    const auto again = infer(*deployment, distinct(12));
    for (std::size_t i = 0; i < 12; ++i) {
        EXPECT_EQ(again.items[i].from_cache, i < 10);
        EXPECT_EQ(values(again.items[i]), expected_embedding("text" + std::to_string(i)));
    }
    const auto stats = deployment->stats();
    EXPECT_EQ(stats.cache_size, 1 << 20) << "the model's size";
    EXPECT_EQ(stats.inference_cache_hit_count, 10);
    EXPECT_EQ(stats.cache_miss_count, 12);
    EXPECT_EQ(stats.inference_count, 22);
    EXPECT_GT(stats.cache_bytes, 0);
}

TEST(Deployment, KeepsTheCacheWithinItsBytes) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.cache_size = 2000});
    infer(*deployment, distinct(100));
    const auto stats = deployment->stats();
    EXPECT_LE(stats.cache_bytes, 2000);
    EXPECT_GT(stats.cache_bytes, 0);
    EXPECT_FALSE(infer(*deployment, {"text0"}).items[0].from_cache);
}

TEST(Deployment, ZeroBytesTurnTheCacheOff) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.cache_size = 0});
    infer(*deployment, {"same"});
    EXPECT_FALSE(infer(*deployment, {"same"}).items[0].from_cache);
    EXPECT_EQ(fixture.control->batch_count(), 2U);
    EXPECT_EQ(deployment->stats().cache_miss_count, 0);
}

TEST(Deployment, RunsIdenticalTextsInFlightOnce) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.cache_size = 0});
    const auto blocker = occupy(fixture, *deployment);
    Pending first;
    Pending second;
    first.submit(*deployment, {"same", "same", "other"});
    second.submit(*deployment, {"same", "occupied"});
    EXPECT_EQ(deployment->stats().number_of_pending_requests, 3) << "occupied, same, other";
    fixture.control->block(false);
    ASSERT_TRUE(first.wait() && second.wait() && blocker->wait());
    EXPECT_EQ(values(second.result.items[0]), expected_embedding("same"));
    EXPECT_EQ(values(second.result.items[1]), expected_embedding("occupied"));
    EXPECT_EQ(first.result.items[0].output, second.result.items[0].output) << "one copy";
    std::size_t sequences = 0;
    for (const auto& batch : fixture.control->batches)
        sequences += batch.size();
    EXPECT_EQ(sequences, 3U);
    EXPECT_EQ(deployment->stats().shared_count, 3);
    EXPECT_EQ(deployment->stats().inference_count, 6);
}

TEST(Deployment, RejectsAtOnceWhenFull) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.queue_capacity = 10});
    const auto blocker = occupy(fixture, *deployment);
    Pending waiting;
    waiting.submit(*deployment, distinct(13), {.admission = Admission::reject});
    EXPECT_EQ(deployment->stats().number_of_pending_requests, 11);
    const auto rejected = infer(*deployment, {"text3", "one more"},
                                {.admission = Admission::reject, .timeout = milliseconds(30)});
    EXPECT_EQ(rejected.items[0].error->status, 408) << "in flight already: it needs no room";
    ASSERT_EQ(rejected.items[1].error->status, 429);
    EXPECT_EQ(rejected.items[1].error->type, "es_rejected_execution_exception");
    EXPECT_EQ(
        rejected.items[1].error->reason,
        "deployment [d]: inference process queue is full (10 texts). Unable to execute command");
    EXPECT_GE(rejected.items[1].error->retry_after_seconds, 1);
    fixture.control->block(false);
    ASSERT_TRUE(waiting.wait());
    EXPECT_EQ(failures(waiting.result, 429), 3U) << "what fitted was done";
    EXPECT_EQ(deployment->stats().rejected_execution_count, 4);
}

TEST(Deployment, ABulkOfTenThousandPassesAQueueOf1024) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.number_of_allocations = 2, .cache_size = 0});
    const auto result = infer(*deployment, distinct(10'000), {.timeout = seconds(60)});
    EXPECT_TRUE(std::all_of(result.items.begin(), result.items.end(),
                            [](auto& item) { return item.ok(); }));
    EXPECT_EQ(deployment->stats().rejected_execution_count, 0);
    EXPECT_EQ(deployment->stats().inference_count, 10'000);
    EXPECT_EQ(deployment->stats().number_of_waiting_requests, 0);
}

TEST(Deployment, ManyBulksAtOncePassASmallQueue) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.number_of_allocations = 2, .queue_capacity = 7});
    std::vector<std::thread> callers;
    std::atomic<std::size_t> good = 0;
    for (int caller = 0; caller < 4; ++caller) {
        callers.emplace_back([&, caller] {
            const auto texts = distinct(500, "c" + std::to_string(caller % 2) + " ");
            const auto result = infer(*deployment, texts, {.timeout = seconds(60)});
            for (std::size_t i = 0; i < texts.size(); ++i) {
                good +=
                    result.items[i].ok() && values(result.items[i]) == expected_embedding(texts[i]);
            }
        });
    }
    for (auto& caller : callers)
        caller.join();
    EXPECT_EQ(good, 2000U);
}

TEST(Deployment, ASmallRequestIsNotShutOutByALargeOne) {
    Fixture fixture;
    fixture.control->per_token = std::chrono::microseconds(200);
    const auto deployment = fixture.deploy({.queue_capacity = 8});
    Pending large;
    large.submit(*deployment, distinct(2000), {.timeout = seconds(60)});
    const auto small = infer(*deployment, {"s1", "s2", "s3"}, {.timeout = seconds(60)});
    EXPECT_EQ(failures(small, 408), 0U);
    EXPECT_FALSE(large.is_done());
    fixture.control->mutex.lock();
    fixture.control->per_token = std::chrono::microseconds(0);
    fixture.control->mutex.unlock();
    ASSERT_TRUE(large.wait());
}

TEST(Deployment, ExpiredAndCancelledTextsNeverReachTheModel) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.queue_capacity = 4});
    const auto blocker = occupy(fixture, *deployment);
    Pending cancelled;
    cancelled.submit(*deployment, {"shared", "c1", "c2"});
    Pending keeper;
    keeper.submit(*deployment, {"shared"});
    const auto late = infer(*deployment, {"l1", "l2", "l3"}, {.timeout = milliseconds(20)});
    EXPECT_EQ(failures(late, 408), 3U) << "one was queued, two waited for room";
    EXPECT_EQ(late.items[0].error->reason, "timeout [20ms] waiting for inference result");
    EXPECT_EQ(deployment->stats().number_of_pending_requests, 4)
        << "what expired has left the queue";
    EXPECT_EQ(deployment->stats().number_of_waiting_requests, 0);

    deployment->cancel(cancelled.call);
    deployment->cancel(cancelled.call);
    ASSERT_TRUE(cancelled.is_done()) << "answered at once";
    EXPECT_EQ(failures(cancelled.result, 400), 3U);
    EXPECT_EQ(cancelled.result.items[0].error->reason, "inference task cancelled");
    EXPECT_EQ(deployment->stats().number_of_pending_requests, 2)
        << "occupied, and what the keeper shares";

    fixture.control->block(false);
    ASSERT_TRUE(keeper.wait() && blocker->wait());
    EXPECT_TRUE(keeper.result.items[0].ok());
    for (const auto& batch : fixture.control->batches) {
        for (const auto& ids : batch) {
            for (const char* word : {"c1", "c2", "l1", "l2", "l3"})
                EXPECT_NE(ids[1], id_of(word));
        }
    }
    const auto stats = deployment->stats();
    EXPECT_EQ(stats.timeout_count, 3);
    EXPECT_EQ(stats.cancelled_count, 3);
    deployment->cancel(keeper.call, CancelReason::timed_out);
    EXPECT_EQ(deployment->stats().timeout_count, 3) << "an answered call cannot be cancelled";
}

TEST(Deployment, DeadlinesHoldWithoutAnybodyWatching) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    const auto blocker = occupy(fixture, *deployment);
    Pending late;
    late.submit(*deployment, {"late"}, {.timeout = milliseconds(10)});
    std::this_thread::sleep_for(milliseconds(30));
    fixture.control->block(false);
    ASSERT_TRUE(late.wait());
    EXPECT_EQ(failures(late.result, 408), 1U);
    EXPECT_EQ(fixture.control->batch_count(), 1U);
}

TEST(Deployment, ATextInTheModelWhoseCallerLeftIsStillCached) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    const auto blocker = occupy(fixture, *deployment);
    deployment->cancel(blocker->call);
    ASSERT_TRUE(blocker->is_done());
    fixture.control->block(false);
    ASSERT_TRUE(eventually([&] { return deployment->stats().number_of_pending_requests == 0; }));
    EXPECT_TRUE(infer(*deployment, {"occupied"}).items[0].from_cache);
}

TEST(Deployment, ACallCancelledBeforeItIsSubmittedIsAnsweredSo) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    Pending pending;
    deployment->cancel(pending.call);
    pending.submit(*deployment, {"a", "b"});
    ASSERT_TRUE(pending.is_done());
    EXPECT_EQ(failures(pending.result, 400), 2U);
    EXPECT_EQ(fixture.control->batch_count(), 0U);
}

TEST(Deployment, HighPriorityOvertakesInTheQueueAndInTheWaitForIt) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.queue_capacity = 5, .max_batch_tokens = 3});
    const auto blocker = occupy(fixture, *deployment);
    Pending normal;
    normal.submit(*deployment, distinct(20));
    Pending high;
    high.submit(*deployment, {"h0", "h1", "text3"}, {.priority = RequestPriority::high});
    fixture.control->block(false);
    ASSERT_TRUE(high.wait() && normal.wait());
    std::vector<std::int32_t> order;
    for (const auto& batch : fixture.control->batches)
        order.push_back(batch[0][1]);
    const auto position = [&](const char* word) {
        return std::find(order.begin(), order.end(), id_of(word)) - order.begin();
    };
    EXPECT_EQ(position("text3"), 1) << "already queued as normal, and raised";
    EXPECT_LE(position("h0"), 3) << "the first to be admitted, before 15 others";
    EXPECT_LE(position("h1"), 5);
}

TEST(Deployment, BatchesWithinTheTokenBudget) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.cache_size = 0, .max_batch_tokens = 100});
    const auto blocker = occupy(fixture, *deployment);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 200; ++i)
        texts.push_back(words(1 + i % 60, "t" + std::to_string(i) + "_"));
    Pending pending;
    pending.submit(*deployment, texts);
    fixture.control->block(false);
    ASSERT_TRUE(pending.wait());
    std::size_t largest = 0;
    for (const auto& batch : fixture.control->batches) {
        std::size_t tokens = 0;
        for (const auto& ids : batch)
            tokens += ids.size();
        EXPECT_LE(tokens, 100U);
        largest = std::max(largest, batch.size());
    }
    EXPECT_GT(largest, 3U);
    EXPECT_LT(fixture.control->batch_count(), 120U);
}

TEST(Deployment, DividesWhatWaitsAmongIdleAllocations) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.number_of_allocations = 2, .cache_size = 0});
    fixture.control->block(true);
    std::vector<std::string> texts;
    for (int i = 0; i < 8; ++i)
        texts.push_back(words(30, "t" + std::to_string(i) + "_"));
    Pending pending;
    pending.submit(*deployment, texts);
    EXPECT_TRUE(eventually([&] { return fixture.control->running_now() == 2; }))
        << "one batch of all 256 tokens would have left one allocation idle";
    fixture.control->block(false);
    ASSERT_TRUE(pending.wait());
}

TEST(Deployment, APoisonousTextFailsAlone) {
    Fixture fixture;
    fixture.control->poison = {id_of("text7")};
    const auto deployment = fixture.deploy();
    const auto blocker = occupy(fixture, *deployment);
    Pending pending;
    pending.submit(*deployment, distinct(20));
    fixture.control->block(false);
    ASSERT_TRUE(pending.wait());
    for (std::size_t i = 0; i < 20; ++i)
        EXPECT_EQ(pending.result.items[i].ok(), i != 7);
    EXPECT_EQ(pending.result.items[7].error->status, 500);
    EXPECT_EQ(pending.result.items[7].error->reason, "Error in inference process: [poisoned]");
    const auto stats = deployment->stats();
    EXPECT_EQ(stats.error_count, 1);
    EXPECT_EQ(stats.retried_batch_count, 1);
    EXPECT_EQ(stats.inference_count, 20) << "19 and the one that occupied the model";
}

TEST(Deployment, RefusesNumbersThatAreNotFinite) {
    Fixture fixture;
    fixture.control->nan_output = true;
    const auto deployment = fixture.deploy();
    const auto result = infer(*deployment, {"x"});
    EXPECT_EQ(failures(result, 500), 1U);
    fixture.control->mutex.lock();
    fixture.control->nan_output = false;
    fixture.control->mutex.unlock();
    EXPECT_TRUE(infer(*deployment, {"x"}).items[0].ok()) << "a failure is not cached";
}

TEST(Deployment, StopFailsTheQueueAndFinishesWhatRuns) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.queue_capacity = 4});
    const auto blocker = occupy(fixture, *deployment);
    Pending queued;
    queued.submit(*deployment, distinct(10));
    std::thread stopper([&] { deployment->stop(StopMode::fail, seconds(10)); });
    ASSERT_TRUE(queued.wait()) << "failed before the running batch is done";
    EXPECT_EQ(failures(queued.result, 409), 10U);
    EXPECT_EQ(queued.result.items[0].error->reason,
              "[d] is stopping or stopped due to [stopped by request]");
    EXPECT_EQ(failures(infer(*deployment, {"new"}), 409), 1U);
    EXPECT_EQ(deployment->state(), DeploymentState::stopping);
    fixture.control->block(false);
    stopper.join();
    ASSERT_TRUE(blocker->wait());
    EXPECT_TRUE(blocker->result.items[0].ok());
    EXPECT_EQ(deployment->state(), DeploymentState::stopped);
    EXPECT_EQ(fixture.control->sessions_alive, 0);
    EXPECT_EQ(fixture.control->models_alive, 0) << "the memory is given back";
    deployment->stop(StopMode::drain, seconds(1));
    EXPECT_EQ(failures(infer(*deployment, {"new"}), 409), 1U);
    EXPECT_EQ(deployment->tokenizer(), nullptr);
}

TEST(Deployment, StopDrainsWhatWasAccepted) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.queue_capacity = 4});
    const auto blocker = occupy(fixture, *deployment);
    Pending queued;
    queued.submit(*deployment, distinct(50));
    std::thread stopper([&] { deployment->stop(StopMode::drain, seconds(20)); });
    ASSERT_TRUE(eventually([&] { return deployment->state() == DeploymentState::stopping; }));
    fixture.control->block(false);
    stopper.join();
    ASSERT_TRUE(queued.is_done());
    EXPECT_TRUE(std::all_of(queued.result.items.begin(), queued.result.items.end(),
                            [](auto& item) { return item.ok(); }));
}

TEST(Deployment, ADrainEndsWhenTheLastWaitingTextIsCancelled) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.max_batch_tokens = 3});
    fixture.control->block(true);
    Pending queued;
    // The batch's callback cancels what is queued: the allocation then finds nothing to do, and
    // has looked already whether all is done.
    const std::string_view text = "first";
    deployment->submit(make_call(), {{&text, 1}, {}},
                       [&](InferResult) { deployment->cancel(queued.call); });
    ASSERT_TRUE(eventually([&] { return fixture.control->running_now() == 1; }));
    queued.submit(*deployment, {"second"});
    std::jthread stopper([&] { deployment->stop(StopMode::drain, seconds(40)); });
    const ReleaseAtEnd release(*fixture.control);
    ASSERT_TRUE(eventually([&] { return deployment->state() == DeploymentState::stopping; }));
    std::this_thread::sleep_for(milliseconds(20));  // into its wait; else it need not be woken
    fixture.control->block(false);
    EXPECT_TRUE(eventually([&] { return deployment->state() == DeploymentState::stopped; }));
    EXPECT_EQ(failures(queued.result, 400), 1U);
}

TEST(Deployment, ATextInTheModelCanBeGivenUpWhileTheDeploymentStops) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    const auto late = occupy(fixture, *deployment);
    Pending queued;
    queued.submit(*deployment, {"queued"});
    std::jthread stopper([&] { deployment->stop(StopMode::fail, seconds(20)); });
    const ReleaseAtEnd release(*fixture.control);
    ASSERT_TRUE(queued.wait()) << "closed; the other is closed likewise, all but its text";
    deployment->cancel(late->call, CancelReason::timed_out);
    ASSERT_TRUE(late->is_done()) << "answered at once";
    EXPECT_EQ(failures(late->result, 408), 1U);
    EXPECT_EQ(deployment->stats().timeout_count, 1);
    EXPECT_EQ(deployment->state(), DeploymentState::stopping);
}

TEST(Deployment, ADrainThatTakesTooLongFails) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    const auto blocker = occupy(fixture, *deployment);
    Pending queued;
    queued.submit(*deployment, {"a"});
    std::thread stopper([&] { deployment->stop(StopMode::drain, milliseconds(20)); });
    ASSERT_TRUE(queued.wait());
    EXPECT_EQ(failures(queued.result, 409), 1U);
    fixture.control->block(false);
    stopper.join();
}

TEST(Deployment, DestroyedWhileBusyAnswersAll) {
    Fixture fixture;
    fixture.control->per_token = std::chrono::microseconds(50);
    Pending pending;
    {
        const auto deployment = fixture.deploy();
        pending.submit(*deployment, distinct(3000));
    }
    ASSERT_TRUE(pending.is_done());
    EXPECT_GT(failures(pending.result, 409), 0U);
}

TEST(Deployment, SaysStartingWhileItStarts) {
    Fixture fixture;
    fixture.control->open_blocked = true;
    fixture.models.add_model("m");
    DeploymentConfig config;
    config.deployment_id = config.model_id = "m";
    Deployment deployment(config, [store = fixture.store()] { return store->load("m", {}); });
    const ReleaseAtEnd release(*fixture.control);
    EXPECT_EQ(deployment.state(), DeploymentState::starting);
    EXPECT_TRUE(deployment.wait_until(WaitFor::starting, milliseconds(0)));
    EXPECT_FALSE(deployment.wait_until(WaitFor::started, milliseconds(1)));
    const auto result = infer(deployment, {"x"});
    ASSERT_EQ(result.items[0].error->status, 503);
    EXPECT_GT(result.items[0].error->retry_after_seconds, 0);
    fixture.control->block_open(false);
    EXPECT_TRUE(deployment.wait_until(WaitFor::started, seconds(20)))
        << "it went on in the background";
    EXPECT_TRUE(infer(deployment, {"x"}).items[0].ok());
}

TEST(Deployment, CanBeStoppedWhileItStarts) {
    Fixture fixture;
    fixture.control->open_blocked = true;
    fixture.models.add_model("m");
    DeploymentConfig config;
    config.deployment_id = config.model_id = "m";
    Deployment deployment(config, [store = fixture.store()] { return store->load("m", {}); });
    std::jthread stopper([&] { deployment.stop(StopMode::drain, seconds(1)); });
    const ReleaseAtEnd release(*fixture.control);
    ASSERT_TRUE(eventually([&] { return deployment.state() == DeploymentState::stopping; }));
    ASSERT_TRUE(eventually([&] { return fixture.control->opening_now() == 1; }));
    fixture.control->block_open(false);
    stopper.join();
    EXPECT_EQ(deployment.state(), DeploymentState::stopped);
    EXPECT_EQ(fixture.control->sessions, 0);
    EXPECT_EQ(fixture.control->models_alive, 0);
}

TEST(Deployment, FailsWithTheReasonWhenTheModelCannotBeLoaded) {
    Fixture fixture;
    fixture.control->fail_open = true;
    const auto deployment = fixture.deploy();
    EXPECT_EQ(deployment->state(), DeploymentState::failed);
    EXPECT_EQ(deployment->reason(), "the weights are of another model");
    EXPECT_EQ(infer(*deployment, {"x"}).items[0].error->reason,
              "[d] is stopping or stopped due to [the weights are of another model]");
}

TEST(Deployment, RunsWithTheAllocationsThatCouldStart) {
    Fixture fixture;
    fixture.control->failing_sessions_from = 1;
    const auto deployment = fixture.deploy({.number_of_allocations = 3});
    ASSERT_TRUE(eventually([&] { return deployment->stats().allocation_count == 1; }));
    EXPECT_FALSE(deployment->wait_until(WaitFor::fully_allocated, seconds(20)));
    EXPECT_TRUE(deployment->wait_until(WaitFor::started, seconds(20)));
    EXPECT_EQ(deployment->reason(), "an allocation could not start: no scratch memory");
    EXPECT_TRUE(infer(*deployment, {"x"}).items[0].ok());

    fixture.control->mutex.lock();
    fixture.control->failing_sessions_from = 1'000'000;
    fixture.control->mutex.unlock();
    EXPECT_TRUE(eventually([&] {  // asking again retries what failed, also what fails only now
        deployment->set_allocations(3);
        return deployment->wait_until(WaitFor::fully_allocated, milliseconds(100));
    }));
    EXPECT_EQ(deployment->reason(), "");
}

TEST(Deployment, GoesOnWithWhatRunsWhenNoThreadCanBeStarted) {
    Fixture fixture;
    fixture.control->failing_sessions_from = 1;
    const auto deployment = fixture.deploy({.number_of_allocations = 2});
    ASSERT_TRUE(eventually([&] {
        return deployment->stats().allocation_count == 1 && !deployment->reason().empty();
    }));
    fixture.control->fail_sessions_from(1'000'000);
    {
        const NoNewThreads none;
        try {
            deployment->set_allocations(3);  // lets the failed one leave first
            ADD_FAILURE() << "there was no thread to be had";
        } catch (const InferenceError& error) {
            EXPECT_EQ(error.status(), 429);
            EXPECT_EQ(std::string(error.what())
                          .find("Could not update deployment [d]: an allocation could not start: "),
                      0U)
                << error.what();
        }
    }
    EXPECT_EQ(deployment->config().number_of_allocations, 1);
    EXPECT_EQ(deployment->state(), DeploymentState::fully_allocated) << "with what it has";
    EXPECT_TRUE(infer(*deployment, {"x"}).items[0].ok());
    deployment->set_allocations(3);
    EXPECT_TRUE(deployment->wait_until(WaitFor::fully_allocated, seconds(20)));
    EXPECT_EQ(deployment->reason(), "");
    EXPECT_EQ(deployment->stats().allocation_count, 3);
}

TEST(Deployment, KeepsTheAllocationsThatWorkWhenThereAreTooMany) {
    Fixture fixture;
    fixture.models.add_model("m");
    fixture.control->blocked_session = 0;
    DeploymentConfig config;
    config.deployment_id = config.model_id = "m";
    Deployment deployment(config, [store = fixture.store()] { return store->load("m", {}); });
    const ReleaseAtEnd release(*fixture.control);
    ASSERT_TRUE(eventually([&] { return fixture.control->session_count() == 1; }));
    deployment.set_allocations(2);
    ASSERT_TRUE(deployment.wait_until(WaitFor::started, seconds(20))) << "the second one works";
    std::thread fewer([&] { deployment.set_allocations(1); });
    EXPECT_TRUE(eventually([&] { return deployment.config().number_of_allocations == 1; }));
    fixture.control->fail_sessions_from(0);  // the first one, which opens still
    fixture.control->block_session(-1);
    fewer.join();
    EXPECT_EQ(deployment.state(), DeploymentState::fully_allocated);
    EXPECT_EQ(deployment.reason(), "") << "what leaves may fail to start";
    EXPECT_TRUE(infer(deployment, {"x"}).items[0].ok());
}

TEST(Deployment, FailsWhenNoAllocationCanStart) {
    Fixture fixture;
    fixture.control->failing_sessions_from = 0;
    const auto deployment = fixture.deploy({.number_of_allocations = 2});
    EXPECT_EQ(deployment->state(), DeploymentState::failed);
    EXPECT_EQ(deployment->reason(), "an allocation could not start: no scratch memory");
}

TEST(Deployment, ChangesItsAllocationsWhileBusy) {
    Fixture fixture;
    fixture.control->per_token = std::chrono::microseconds(20);
    const auto deployment = fixture.deploy({.cache_size = 0});
    Pending pending;
    pending.submit(*deployment, distinct(3000), {.timeout = seconds(60)});
    for (const int count : {3, 1, 4, 2}) {
        deployment->set_allocations(count);
        EXPECT_TRUE(deployment->wait_until(WaitFor::fully_allocated, seconds(20)));
        EXPECT_EQ(deployment->stats().allocation_count, count);
        EXPECT_EQ(fixture.control->sessions_alive, count);
    }
    fixture.control->mutex.lock();
    fixture.control->per_token = std::chrono::microseconds(0);
    fixture.control->mutex.unlock();
    ASSERT_TRUE(pending.wait());
    EXPECT_TRUE(std::all_of(pending.result.items.begin(), pending.result.items.end(),
                            [](auto& item) { return item.ok(); }));
}

TEST(Deployment, GivesEachSessionItsThreadsAndShortBatchesToLowPriority) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.threads_per_allocation = 4});
    EXPECT_EQ(fixture.control->threads, std::vector<int>{4});
    EXPECT_EQ(batch_token_limit({}), 512);
    EXPECT_EQ(batch_token_limit({.priority = DeploymentPriority::low}), 256);
}

TEST(Deployment, ALowPriorityAllocationGivesWayToOthers) {
    Fixture fixture;
    const auto deployment = fixture.deploy({.priority = DeploymentPriority::low});
    std::atomic<int> nice = -100;
    std::atomic<bool> done = false;
    const std::string text = "x";
    const std::string_view view = text;
    deployment->submit(make_call(), {{&view, 1}, {}},
                       [&](InferResult) {  // on the allocation's thread
                           nice = ::getpriority(PRIO_PROCESS, 0);
                           done = true;
                       });
    ASSERT_TRUE(eventually([&] { return done.load(); }));
    EXPECT_EQ(nice, std::min(19, ::getpriority(PRIO_PROCESS, 0) + 10));
}

TEST(Deployment, LowPriorityIsCountedFromThePriorityOfWhoStartsIt) {
    std::atomic<int> nice = -100;
    int own = 0;
    std::thread([&] {  // a nice thread of its own: it could not take that back
        own = std::min(19, ::getpriority(PRIO_PROCESS, 0) + 3);
        ASSERT_EQ(::setpriority(PRIO_PROCESS, 0, own), 0);
        Fixture fixture;
        const auto deployment = fixture.deploy({.priority = DeploymentPriority::low});
        const std::string_view view = "x";
        deployment->submit(make_call(), {{&view, 1}, {}},
                           [&](InferResult) { nice = ::getpriority(PRIO_PROCESS, 0); });
        EXPECT_TRUE(eventually([&] { return nice != -100; }));
    })
        .join();
    EXPECT_EQ(nice, std::min(19, own + 10));
}

TEST(Deployment, CountsUnderTheReferencesNames) {
    Fixture fixture;
    fixture.control->per_token = std::chrono::microseconds(100);
    const auto deployment = fixture.deploy({.queue_capacity = 99});
    infer(*deployment, distinct(20));
    infer(*deployment, distinct(20));
    const auto stats = deployment->stats();
    EXPECT_EQ(stats.deployment_id, "d");
    EXPECT_EQ(stats.model_id, "m");
    EXPECT_EQ(stats.state, "fully_allocated");
    EXPECT_EQ(stats.inference_count, 40);
    EXPECT_EQ(stats.throughput_last_minute, 40);
    EXPECT_EQ(stats.peak_throughput_per_minute, 40);
    EXPECT_EQ(stats.inference_cache_hit_count_last_minute, 20);
    EXPECT_EQ(stats.token_count, 60);
    EXPECT_EQ(stats.number_of_pending_requests, 0);
    ASSERT_TRUE(stats.average_inference_time_ms &&
                stats.average_inference_time_ms_excluding_cache_hits);
    EXPECT_GE(*stats.average_inference_time_ms_excluding_cache_hits, 0.3) << "three tokens";
    EXPECT_NEAR(*stats.average_inference_time_ms * 2,
                *stats.average_inference_time_ms_excluding_cache_hits, 1e-6);
    EXPECT_GT(stats.start_time, 1'600'000'000'000);
    ASSERT_TRUE(stats.last_access);
    EXPECT_GE(*stats.last_access, stats.start_time);
    std::set<std::string> names;
    for_each_field(stats, [&](const char* name, const auto&) {
        EXPECT_TRUE(names.insert(name).second) << name;
    });
    EXPECT_EQ(names.size(), 35U);
}

TEST(Deployment, CallbacksMaySubmitAgain) {
    Fixture fixture;
    const auto deployment = fixture.deploy();
    std::atomic<int> left = 50;
    std::function<void()> next = [&] {
        const std::string text = "n" + std::to_string(left.load());
        const std::string_view view = text;
        deployment->submit(make_call(), {{&view, 1}, {}}, [&](InferResult) {
            if (--left > 0) next();
        });
    };
    next();
    EXPECT_TRUE(eventually([&] { return left == 0; }));
}

}  // namespace
}  // namespace penstock::inference
