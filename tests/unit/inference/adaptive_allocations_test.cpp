#include "engine/inference/adaptive_allocations.h"

#include <gtest/gtest.h>

#include "engine/inference/deployments.h"
#include "tests/unit/inference/fakes.h"

namespace penstock::inference {
namespace {

using namespace std::chrono_literals;
using testing::Fixture;
using Time = AllocationScaler::Time;

TEST(EstimateTest, ComesCloserWithEveryMeasurementAndFollowsAChangeAtOnce) {
    Estimate estimate;
    EXPECT_FALSE(estimate.known());
    for (int i = 0; i < 50; ++i)
        estimate.add(i % 2 == 0 ? 9 : 11, 1);
    EXPECT_NEAR(estimate.value(), 10, 0.3);
    EXPECT_LT(estimate.upper() - estimate.lower(), 1);
    estimate.add(100, 1);
    EXPECT_NEAR(estimate.value(), 100, 1);
}

/// A deployment that does what it is asked: `rate` texts a second of `seconds` each.
struct Load {
    AllocationScaler scaler;
    LoadCounters done;
    Time now{1h};
    int allocations = 1;

    int run(int rate, std::chrono::milliseconds each, AdaptiveAllocations limits, int looks) {
        for (int i = 0; i < looks; ++i) {
            allocations = scaler.next(done, allocations, limits, now);
            now += 10s;
            done.sequences += rate * 10;
            done.model_time += rate * 10 * each;
        }
        return allocations;
    }
};

AdaptiveAllocations limits(int least, int most) {
    return {true, least, most};
}

TEST(AllocationScalerTest, GivesWhatTheLoadNeeds) {
    Load load;
    EXPECT_EQ(load.run(100, 25ms, limits(1, 32), 10), 3) << "2.5 allocations' worth of work";
    EXPECT_EQ(load.run(100, 25ms, limits(1, 2), 1), 3) << "just grown";
    load.now += 10min;
    EXPECT_EQ(load.run(100, 25ms, limits(1, 2), 3), 2);
    EXPECT_EQ(load.run(1000, 100ms, {true, {}, {}}, 30), 32) << "without a maximum";
}

TEST(AllocationScalerTest, ShrinksWhenItHasNotJustGrown) {
    Load load;
    EXPECT_EQ(load.run(200, 25ms, limits(1, 32), 20), 6);
    EXPECT_EQ(load.run(20, 25ms, limits(1, 32), 10), 6) << "five minutes are not over";
    EXPECT_EQ(load.run(20, 25ms, limits(1, 32), 40), 1);
    EXPECT_EQ(load.run(0, 25ms, limits(1, 32), 10), 1);
}

TEST(AllocationScalerTest, HasNoneLeftAfterADayWithoutARequest) {
    Load load;
    load.run(1, 25ms, limits(0, 4), 10);
    load.now += 23h;
    EXPECT_EQ(load.run(0, 0ms, limits(0, 4), 2), 1);
    load.now += 25h;
    EXPECT_EQ(load.run(0, 0ms, limits(0, 4), 2), 0);
    EXPECT_EQ(load.run(0, 0ms, limits(0, 4), 2), 0);
    load.done.pending = 1;
    EXPECT_EQ(load.run(0, 0ms, limits(0, 4), 1), 1);
    load.now += 25h;
    EXPECT_EQ(load.run(0, 0ms, limits(1, 4), 2), 1) << "one is the least";
}

struct AdaptiveDeployment : ::testing::Test {
    AdaptiveDeployment() { fixture.models.add_model("m"); }

    static DeploymentConfig config(const AdaptiveAllocations& adaptive) {
        DeploymentConfig made;
        made.model_id = "m";
        made.adaptive_allocations = adaptive;
        return made;
    }
    Fixture fixture;
};

TEST_F(AdaptiveDeployment, GrowsAsFarAsProcessorsAreFree) {
    Deployments deployments(fixture.store(), 3);
    const auto deployment = deployments.start(config(limits(1, 32))).deployment;
    DeploymentConfig other = config({});
    other.deployment_id = "other";
    deployments.start(other);
    fixture.control->per_token = 5ms;
    Time now = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) {
        deployments.adapt(now);
        now += 10ms;  // so that ten texts are a thousand a second
        for (int text = 0; text < 10; ++text)
            testing::infer(*deployment, {std::to_string(i * 10 + text)});
    }
    deployments.adapt(now);
    EXPECT_EQ(deployment->config().number_of_allocations, 2);
    EXPECT_EQ(deployments.free_processors(), 0);
}

/// With none left, a text waits until there is one again.
TEST_F(AdaptiveDeployment, WakesUpForARequest) {
    Deployments deployments(fixture.store(), 3);
    const auto deployment = deployments.start(config(limits(0, 2))).deployment;
    const Time now = std::chrono::steady_clock::now();
    deployments.adapt(now);
    deployments.adapt(now + 25h);
    EXPECT_EQ(deployment->config().number_of_allocations, 0);
    EXPECT_EQ(deployments.free_processors(), 3);
    EXPECT_TRUE(testing::infer(*deployment, {"x"}).items[0].ok());
    EXPECT_EQ(deployment->config().number_of_allocations, 1);
}

}  // namespace
}  // namespace penstock::inference
