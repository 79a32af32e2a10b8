#include "engine/job/task_manager.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <future>
#include <thread>

#include "engine/runtime/runtime.h"

namespace penstock::job {
namespace {

using namespace std::chrono_literals;

class TaskManagerTest : public testing::Test {
  protected:
    TaskManagerTest() {
        options_.directory =
            std::filesystem::path(testing::TempDir()) /
            (std::string("tasks_") + testing::UnitTest::GetInstance()->current_test_info()->name());
        std::filesystem::remove_all(options_.directory);
    }
    ~TaskManagerTest() override { std::filesystem::remove_all(options_.directory); }

    static TaskSpec job(std::string resume = "") {
        TaskSpec spec;
        spec.action = "indices:data/write/reindex";
        spec.description = "reindex from [a] to [b]";
        spec.cancellable = true;
        spec.headers = {{"X-Opaque-Id", "me"}};
        spec.keep_result = true;
        spec.resume = std::move(resume);
        return spec;
    }
    static TaskSpec small() {
        TaskSpec spec;
        spec.action = "indices:data/write/bulk";
        return spec;
    }
    std::future<bool> wait(std::shared_ptr<Task> task, std::chrono::milliseconds timeout) {
        return boost::asio::co_spawn(runtime_.cpu(), TaskManager::wait(std::move(task), timeout),
                                     boost::asio::use_future);
    }

    TaskManagerOptions options_;
    runtime::Runtime runtime_{{2, 2}};
};

TEST_F(TaskManagerTest, KeepsResultsOverARestart) {
    std::uint64_t number = 0;
    {
        TaskManager tasks(options_);
        const auto task = tasks.begin(job());
        number = task->number();
        TaskHooks hooks;
        hooks.status = [] { return R"({"total":3})"; };
        task->set_hooks(std::move(hooks));
        EXPECT_EQ(task->info().status, R"({"total":3})");
        EXPECT_EQ(task->info(false).status, "");
        tasks.finish(task, {R"({"took":1.5,"created":3})", ""});
        EXPECT_EQ(tasks.find(number), nullptr);
    }
    TaskManager tasks(options_);
    const auto stored = tasks.stored(number);
    ASSERT_TRUE(stored.has_value());
    EXPECT_TRUE(stored->completed);
    EXPECT_EQ(stored->outcome.response, R"({"took":1.5,"created":3})");
    EXPECT_EQ(stored->status, R"({"total":3})");
    EXPECT_EQ(stored->spec.description, "reindex from [a] to [b]");
    EXPECT_EQ(stored->spec.headers, job().headers);
    EXPECT_GT(tasks.begin(small())->number(), number) << "ids of kept results are not given again";
}

TEST_F(TaskManagerTest, ASmallTaskLeavesNothing) {
    TaskManager tasks(options_);
    {
        TaskScope scope(tasks, small());
        EXPECT_EQ(tasks.running().size(), 1u);
    }
    EXPECT_TRUE(tasks.running().empty());
    EXPECT_TRUE(std::filesystem::is_empty(options_.directory));
}

TEST_F(TaskManagerTest, AJobThatDiedIsResumedOrFailed) {
    std::uint64_t lost = 0;
    std::uint64_t resumable = 0;
    {
        TaskManager tasks(options_);
        lost = tasks.begin(job())->number();
        resumable = tasks.begin(job(R"({"step":1})"))->number();
    }
    TaskManager tasks(options_);
    const auto failed = tasks.stored(lost);
    ASSERT_TRUE(failed.has_value());
    EXPECT_TRUE(failed->completed);
    EXPECT_NE(failed->outcome.error.find("the server ended while the task was running"),
              std::string::npos);
    EXPECT_FALSE(tasks.stored(resumable)->completed);

    const auto interrupted = tasks.take_interrupted();
    ASSERT_EQ(interrupted.size(), 1u);
    EXPECT_EQ(interrupted[0].number, resumable);
    EXPECT_EQ(interrupted[0].spec.resume, R"({"step":1})");
    EXPECT_TRUE(tasks.take_interrupted().empty());
    const auto task = tasks.resume(interrupted[0]);
    EXPECT_EQ(tasks.find(resumable), task);
    tasks.finish(task, {"{}", ""});
    EXPECT_TRUE(tasks.stored(resumable)->completed);
}

TEST_F(TaskManagerTest, CancelReachesTheWorkAndTheChildren) {
    TaskManager tasks(options_);
    const auto parent = tasks.begin(job());
    TaskSpec child_spec = small();
    child_spec.parent = parent->number();
    const auto child = tasks.begin(child_spec);
    const auto other = tasks.begin(small());
    std::atomic<int> calls{0};
    TaskHooks hooks;
    hooks.cancel = [&] { ++calls; };
    child->set_hooks(hooks);
    tasks.cancel(parent);
    tasks.cancel(parent);
    parent->set_hooks(hooks);  // too late for the cancel, which it hears of all the same
    EXPECT_EQ(calls, 2);
    EXPECT_TRUE(parent->cancelled());
    EXPECT_TRUE(child->info().cancelled);
    EXPECT_FALSE(other->cancelled());
}

TEST_F(TaskManagerTest, WaitsUntilTheEndOrTheTimeout) {
    TaskManager tasks(options_);
    const auto task = tasks.begin(small());
    EXPECT_FALSE(wait(task, 20ms).get());
    auto first = wait(task, -1ms);
    auto second = wait(task, 60s);
    EXPECT_EQ(first.wait_for(30ms), std::future_status::timeout);
    tasks.finish(task);
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
    EXPECT_TRUE(wait(task, 0ms).get());
}

TEST_F(TaskManagerTest, WaitsFromManyThreads) {
    TaskManager tasks(options_);
    for (int round = 0; round < 50; ++round) {
        const auto task = tasks.begin(small());
        auto one = wait(task, 60s);
        auto two = wait(task, -1ms);
        std::thread ender([&] { tasks.finish(task); });
        EXPECT_TRUE(one.get());
        EXPECT_TRUE(two.get());
        ender.join();
    }
}

TEST_F(TaskManagerTest, WhoWaitsCanBeCancelled) {
    namespace asio = boost::asio;
    TaskManager tasks(options_);
    const auto task = tasks.begin(small());
    const auto strand = asio::make_strand(runtime_.cpu());
    for (int round = 0; round < 50; ++round) {
        asio::cancellation_signal cancel;
        auto waited = asio::co_spawn(strand, TaskManager::wait(task, -1ms),
                                     asio::bind_cancellation_slot(cancel.slot(), asio::use_future));
        asio::post(strand, [&] { cancel.emit(asio::cancellation_type::terminal); });
        EXPECT_FALSE(waited.get());
        // Not before the emission is over.
        asio::post(strand, asio::use_future([] {})).get();
    }
    tasks.finish(task);
}

TEST_F(TaskManagerTest, RefusesTooMany) {
    options_.max_running = 3;
    options_.max_jobs = 1;
    TaskManager tasks(options_);
    const auto first = tasks.begin(job());
    EXPECT_THROW(tasks.begin(job()), TooManyTasks);
    const auto second = tasks.begin(small());
    const auto third = tasks.begin(small());
    EXPECT_THROW(tasks.begin(small()), TooManyTasks);
    tasks.finish(first);
    EXPECT_NO_THROW(tasks.finish(tasks.begin(job())));
}

TEST_F(TaskManagerTest, DropsOldResults) {
    options_.max_results = 2;
    TaskManager tasks(options_);
    std::vector<std::uint64_t> numbers;
    for (int i = 0; i < 3; ++i) {
        const auto task = tasks.begin(job());
        numbers.push_back(task->number());
        tasks.finish(task, {"{}", ""});
    }
    EXPECT_FALSE(tasks.stored(numbers[0]).has_value());
    EXPECT_TRUE(tasks.stored(numbers[1]).has_value());
    options_.max_result_age = std::chrono::hours(0);
    TaskManager later(options_);
    EXPECT_FALSE(later.stored(numbers[2]).has_value());
}

TEST_F(TaskManagerTest, StopSuspendsWhatCanBeResumed) {
    std::uint64_t number = 0;
    {
        TaskManager tasks(options_);
        const auto task = tasks.begin(job(R"({"step":1})"));
        number = task->number();
        std::ofstream(tasks.checkpoint_path(number)) << "far";
        TaskHooks hooks;
        hooks.suspend = [&] { tasks.finish(task, {"", "", true}); };
        task->set_hooks(std::move(hooks));
        tasks.stop(10s);
        EXPECT_THROW(tasks.begin(small()), TooManyTasks);
    }
    TaskManager tasks(options_);
    ASSERT_EQ(tasks.take_interrupted().size(), 1u);
    EXPECT_TRUE(std::filesystem::exists(tasks.checkpoint_path(number)));
}

TEST_F(TaskManagerTest, LeavesForeignFilesAlone) {
    std::filesystem::create_directories(options_.directory);
    std::ofstream(options_.directory / "reindex-abc.json") << "{}";
    std::ofstream(options_.directory / "7.json") << "{broken";
    TaskManager tasks(options_);
    EXPECT_FALSE(tasks.stored(7).has_value());
    EXPECT_TRUE(std::filesystem::exists(options_.directory / "7.json"));
    EXPECT_EQ(tasks.begin(small())->number(), 8u);
}

TEST_F(TaskManagerTest, PassesOnARate) {
    TaskManager tasks(options_);
    const auto task = tasks.begin(small());
    EXPECT_FALSE(task->rethrottle(5));
    double rate = 0;
    TaskHooks hooks;
    hooks.rethrottle = [&](double wanted) { rate = wanted; };
    task->set_hooks(std::move(hooks));
    EXPECT_TRUE(task->rethrottle(5));
    EXPECT_EQ(rate, 5);
}

}  // namespace
}  // namespace penstock::job
