#include "engine/inference/infer_async.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include "tests/unit/inference/fakes.h"

namespace penstock::inference {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using testing::eventually;
using testing::expected_embedding;
using testing::Fixture;
using testing::values;

asio::awaitable<InferResult> ask(std::shared_ptr<Deployment> deployment,
                                 std::vector<std::string> texts, InferOptions options = {}) {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    co_return co_await infer(std::move(deployment), {views, options});
}

TEST(InferAsync, ResumesOnTheCoroutinesExecutor) {
    Fixture fixture;
    const std::shared_ptr<Deployment> deployment = fixture.deploy();
    asio::io_context context;
    bool right_thread = false;
    InferResult result;
    const std::vector<std::string> texts{"a", "b"};
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            const auto before = std::this_thread::get_id();
            result = co_await ask(deployment, texts);
            right_thread = std::this_thread::get_id() == before;
        },
        [](std::exception_ptr error) { EXPECT_FALSE(error); });
    context.run();
    EXPECT_TRUE(right_thread);
    ASSERT_EQ(result.items.size(), 2U);
    EXPECT_EQ(values(result.items[1]), expected_embedding("b"));
}

TEST(InferAsync, AnswersAtTheDeadlineWhileTheModelIsBusy) {
    Fixture fixture;
    const std::shared_ptr<Deployment> deployment = fixture.deploy();
    fixture.control->block(true);
    asio::io_context context;
    auto answer = asio::co_spawn(context, ask(deployment, {"a"}, {.timeout = milliseconds(20)}),
                                 asio::use_future);
    context.run();
    const auto result = answer.get();
    EXPECT_EQ(result.items[0].error->status, 408);
    EXPECT_EQ(deployment->stats().timeout_count, 1);
    fixture.control->block(false);
}

TEST(InferAsync, CancellationAnswersAtOnceAndLeavesTheQueue) {
    Fixture fixture;
    const std::shared_ptr<Deployment> deployment = fixture.deploy();
    fixture.control->block(true);
    testing::Pending occupied;
    occupied.submit(*deployment, {"occupied"});
    ASSERT_TRUE(eventually([&] { return fixture.control->running_now() == 1; }));

    asio::io_context context;
    asio::cancellation_signal signal;
    bool ended = false;
    asio::co_spawn(context, ask(deployment, {"a", "b"}),
                   asio::bind_cancellation_slot(
                       signal.slot(), [&](std::exception_ptr, InferResult) { ended = true; }));
    asio::steady_timer timer(context, milliseconds(20));
    timer.async_wait([&](const boost::system::error_code&) {
        EXPECT_EQ(deployment->stats().number_of_pending_requests, 3);
        signal.emit(asio::cancellation_type::terminal);
    });
    context.run();
    EXPECT_TRUE(ended);
    EXPECT_EQ(deployment->stats().number_of_pending_requests, 1);
    EXPECT_EQ(deployment->stats().cancelled_count, 2);
    fixture.control->block(false);
    EXPECT_TRUE(occupied.wait());
}

TEST(InferAsync, ManyCoroutinesOnAPool) {
    Fixture fixture;
    const std::shared_ptr<Deployment> deployment =
        fixture.deploy({.number_of_allocations = 2, .queue_capacity = 16});
    asio::thread_pool pool(3);
    std::vector<std::future<InferResult>> answers;
    for (int i = 0; i < 40; ++i) {
        std::vector<std::string> texts;
        for (int t = 0; t < 50; ++t)
            texts.push_back("c" + std::to_string(i % 20) + " t" + std::to_string(t));
        answers.push_back(asio::co_spawn(
            pool, ask(deployment, texts, {.timeout = std::chrono::seconds(60)}), asio::use_future));
    }
    for (int i = 0; i < 40; ++i) {
        const auto result = answers[static_cast<std::size_t>(i)].get();
        for (int t = 0; t < 50; ++t) {
            EXPECT_EQ(values(result.items[static_cast<std::size_t>(t)]),
                      expected_embedding("c" + std::to_string(i % 20) + " t" + std::to_string(t)));
        }
    }
    pool.join();
    EXPECT_EQ(deployment->stats().rejected_execution_count, 0);
}

TEST(InferAsync, AnUnknownDeploymentIsA404ForEachText) {
    Fixture fixture;
    fixture.models.add_model("m");
    Deployments deployments(fixture.store(), 2);
    const std::vector<std::string_view> texts{"a", "b"};
    asio::io_context context;
    auto answer =
        asio::co_spawn(context, infer(deployments, "nobody", {texts, {}}), asio::use_future);
    context.run();
    const auto result = answer.get();
    ASSERT_EQ(result.items.size(), 2U);
    EXPECT_EQ(result.items[1].error->status, 404);
    EXPECT_EQ(result.items[1].error->reason,
              "Could not find trained model [nobody]; no deployment is started");
}

}  // namespace
}  // namespace penstock::inference
