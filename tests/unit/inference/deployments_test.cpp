#include "engine/inference/deployments.h"

#include <gtest/gtest.h>

#include "tests/unit/inference/fakes.h"

namespace penstock::inference {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Fixture;
using testing::infer;

DeploymentConfig config(const std::string& id, int allocations = 1, int threads = 1) {
    DeploymentConfig made;
    made.deployment_id = id;
    made.model_id = "m";
    made.number_of_allocations = allocations;
    made.threads_per_allocation = threads;
    made.wait_for = WaitFor::fully_allocated;
    return made;
}

struct DeploymentsTest : ::testing::Test {
    DeploymentsTest() { fixture.models.add_model("m"); }
    Fixture fixture;
};

template <class F>
InferenceError caught(F&& act) {
    try {
        act();
    } catch (const InferenceError& error) {
        return error;
    }
    return {0, "", "nothing was thrown"};
}

TEST_F(DeploymentsTest, SearchBesideIngestSharesTheWeights) {
    Deployments deployments(fixture.store(), 8);
    const auto search = deployments.start(config("search")).deployment;
    DeploymentConfig low = config("ingest");
    low.priority = DeploymentPriority::low;
    const auto ingest = deployments.start(low).deployment;
    const auto third = deployments.start(config("other", 2, 2)).deployment;
    EXPECT_EQ(fixture.control->opened, 1);
    EXPECT_EQ(search->model(), ingest->model());
    EXPECT_EQ(fixture.control->sessions_alive, 4);
    EXPECT_TRUE(infer(*ingest, {"x"}).items[0].ok());
    EXPECT_FALSE(infer(*search, {"x"}).items[0].from_cache) << "caches are their own";
    EXPECT_TRUE(deployments.stop("search"));
    EXPECT_EQ(fixture.control->models_alive, 1);
    EXPECT_TRUE(deployments.stop("ingest"));
    EXPECT_TRUE(deployments.stop("other"));
    EXPECT_EQ(fixture.control->models_alive, 0);
    EXPECT_FALSE(deployments.stop("other"));
}

TEST_F(DeploymentsTest, KeepsTheThreadBudget) {
    Deployments deployments(fixture.store(), 8);
    deployments.start(config("search", 1, 4));
    EXPECT_EQ(deployments.free_processors(), 4);
    const auto error = caught([&] { deployments.start(config("ingest", 3, 2)); });
    EXPECT_EQ(error.status(), 429);
    EXPECT_STREQ(error.what(),
                 "Could not start deployment [ingest]: 3 allocations x 2 threads need 6 "
                 "processors, and 4 of 8 are "
                 "free (in use: [search] 1x4); ask for less, stop a deployment, or set clamp to "
                 "take what is free");
    EXPECT_EQ(deployments.find("ingest"), nullptr);

    DeploymentConfig clamped = config("ingest", 3, 2);
    clamped.clamp = true;
    EXPECT_EQ(deployments.start(clamped).deployment->config().number_of_allocations, 2);
    EXPECT_EQ(deployments.free_processors(), 0);
    const auto too_many = caught([&] { deployments.update_allocations("ingest", 3); });
    EXPECT_EQ(too_many.status(), 429);
    EXPECT_STREQ(too_many.what(),
                 "Could not update deployment [ingest]: 3 allocations x 2 threads need 6 "
                 "processors, and 4 of 8 are free (in use: [search] 1x4); ask for less, or stop "
                 "another deployment");
    deployments.update_allocations("ingest", 1);
    EXPECT_EQ(deployments.free_processors(), 2);
    clamped.deployment_id = "third";
    clamped.threads_per_allocation = 32;
    const auto third = deployments.start(clamped).deployment->config();
    EXPECT_EQ(third.threads_per_allocation, 2);
    EXPECT_EQ(third.number_of_allocations, 1);
    clamped.deployment_id = "fourth";
    EXPECT_EQ(caught([&] { deployments.start(clamped); }).status(), 429) << "nothing is free";
    deployments.stop("search");
    EXPECT_EQ(deployments.free_processors(), 4);
}

TEST_F(DeploymentsTest, RefusesWhatCannotBe) {
    Deployments deployments(fixture.store(), 64);
    deployments.start(config("d"));
    EXPECT_EQ(caught([&] { deployments.start(config("d")); }).status(), 409);
    DeploymentConfig unknown = config("x");
    unknown.model_id = "absent";
    const auto missing = caught([&] { deployments.start(unknown); });
    EXPECT_EQ(missing.status(), 404);
    EXPECT_EQ(std::string(missing.what()).find("Could not find trained model [absent]"), 0U);
    const auto invalid = caught([&] { deployments.start(config("x", 0, 3)); });
    EXPECT_EQ(invalid.status(), 400);
    EXPECT_STREQ(invalid.what(),
                 "Validation Failed: 1: [number_of_allocations] must be a positive integer;2: "
                 "[threads_per_allocation] must be a power of 2 less than or equal to 32;");
    EXPECT_EQ(caught([&] { deployments.update_allocations("absent", 2); }).status(), 404);
    EXPECT_EQ(caught([&] { deployments.update_allocations("d", 0); }).status(), 400);
}

TEST_F(DeploymentsTest, EnsureIsIdempotent) {
    Deployments deployments(fixture.store(), 8);
    const auto first = deployments.ensure(config("d", 1)).deployment;
    EXPECT_EQ(deployments.ensure(config("d", 1)).deployment, first);
    EXPECT_EQ(deployments.ensure(config("d", 3)).deployment, first);
    EXPECT_EQ(first->stats().allocation_count, 3);
    DeploymentConfig other = config("d", 3);
    other.queue_capacity = 5;
    EXPECT_EQ(caught([&] { deployments.ensure(other); }).status(), 409);
    EXPECT_EQ(fixture.control->opened, 1);
    EXPECT_EQ(deployments.list().size(), 1U);
}

TEST_F(DeploymentsTest, EnsureTriesAgainWhatCouldNotStart) {
    Deployments deployments(fixture.store(), 8);
    fixture.control->failing_sessions_from = 1;
    const auto first = deployments.ensure(config("d", 2));
    EXPECT_FALSE(first.reached);
    EXPECT_EQ(first.deployment->reason(), "an allocation could not start: no scratch memory");
    fixture.control->fail_sessions_from(1'000'000);
    EXPECT_TRUE(deployments.ensure(config("d", 2)).reached);
    EXPECT_EQ(first.deployment->reason(), "");
    EXPECT_EQ(first.deployment->stats().allocation_count, 2);
}

TEST_F(DeploymentsTest, AFailedStartIsQueryableAndCanBeStartedAgain) {
    Deployments deployments(fixture.store(), 2);
    fixture.control->fail_open = true;
    const auto error = caught([&] { deployments.start(config("d", 2)); });
    EXPECT_EQ(error.status(), 400);
    EXPECT_STREQ(error.what(), "Could not start deployment [d]: the weights are of another model");
    ASSERT_NE(deployments.find("d"), nullptr);
    EXPECT_EQ(deployments.find("d")->state(), DeploymentState::failed);
    EXPECT_EQ(deployments.free_processors(), 2) << "it holds nothing";
    EXPECT_EQ(caught([&] { deployments.update_allocations("d", 1); }).status(), 409);
    fixture.control->fail_open = false;
    EXPECT_TRUE(deployments.ensure(config("d", 2)).reached);
    EXPECT_EQ(deployments.list().size(), 1U);
}

TEST_F(DeploymentsTest, ALateStartGoesOnInTheBackground) {
    Deployments deployments(fixture.store(), 2);
    fixture.control->open_blocked = true;
    const testing::ReleaseAtEnd release(*fixture.control);
    DeploymentConfig late = config("d");
    late.timeout = milliseconds(1);
    const auto result = deployments.start(late);
    EXPECT_FALSE(result.reached);
    EXPECT_EQ(result.deployment->state(), DeploymentState::starting);
    EXPECT_EQ(deployments.free_processors(), 1) << "its processors are reserved already";
    fixture.control->block_open(false);
    EXPECT_TRUE(result.deployment->wait_until(WaitFor::started, seconds(20)));
    DeploymentConfig no_wait = config("e");
    no_wait.wait_for = WaitFor::starting;
    EXPECT_TRUE(deployments.start(no_wait).reached);
}

TEST_F(DeploymentsTest, FindsByModelWhenThatIsClear) {
    Deployments deployments(fixture.store(), 8);
    EXPECT_EQ(deployments.unknown("m").reason,
              "Could not find trained model [m]; no deployment is started");
    const auto first = deployments.start(config("a")).deployment;
    EXPECT_EQ(deployments.resolve("a"), first);
    EXPECT_EQ(deployments.resolve("m"), first);
    deployments.start(config("b"));
    EXPECT_EQ(deployments.resolve("m"), nullptr);
    const auto error = deployments.unknown("m");
    EXPECT_EQ(error.status, 404);
    EXPECT_EQ(error.type, "resource_not_found_exception");
    EXPECT_EQ(error.reason,
              "Could not find trained model [m]; the model has several deployments, name one: [a] "
              "fully_allocated, "
              "[b] fully_allocated");
    EXPECT_EQ(
        deployments.unknown("z").reason,
        "Could not find trained model [z]; deployments: [a] fully_allocated, [b] fully_allocated");
}

TEST_F(DeploymentsTest, StartsAndStopsFromManyThreads) {
    Deployments deployments(fixture.store(), 4);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int round = 0; round < 20; ++round) {
                const std::string id = "d" + std::to_string((t + round) % 3);
                caught([&] {
                    const auto started = deployments.ensure(config(id)).deployment;
                    infer(*started, {"x" + std::to_string(round)});
                });
                deployments.stop(id, round % 2 == 0 ? StopMode::drain : StopMode::fail, seconds(5));
            }
        });
    }
    for (auto& thread : threads)
        thread.join();
    for (const auto& left : deployments.list())
        deployments.stop(left->id());
    EXPECT_EQ(deployments.free_processors(), 4);
    EXPECT_EQ(fixture.control->models_alive, 0);
    EXPECT_EQ(fixture.control->sessions_alive, 0);
}

}  // namespace
}  // namespace penstock::inference
