// The store and a deployment with a real model's tokenizer; the model itself is the fake.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/inference/fakes.h"

namespace penstock::inference {
namespace {

std::filesystem::path models() {
    const char* shared = std::getenv("PENSTOCK_SHARED");
    return (shared != nullptr ? std::filesystem::path(shared)
                              : std::filesystem::path(PENSTOCK_SOURCE_DIR) / "../shared") /
           "models";
}

TEST(RealTokenizer, GivesTheModelsOwnIds) {
    if (!std::filesystem::exists(models() / "use-lite-en"))
        GTEST_SKIP() << "shared/models/use-lite-en is absent";
    const auto control = std::make_shared<testing::Control>();
    ModelStoreOptions options;
    options.roots = {models()};
    options.backend = [&] { return std::make_shared<testing::FakeBackend>(control); };
    const auto store = std::make_shared<ModelStore>(options);
    EXPECT_EQ(store->describe("use-lite-en").state, ModelState::ok);
    EXPECT_EQ(store->describe("use-lite-en").model_size_bytes, 27'907'536U);
    EXPECT_EQ(store->describe("minilm-l6-tokenizer").state, ModelState::incomplete);

    DeploymentConfig config;
    config.deployment_id = config.model_id = "use-lite-en";
    Deployment deployment(config, [&] { return store->load("use-lite-en", {}); });
    ASSERT_TRUE(deployment.wait_until(WaitFor::started, std::chrono::seconds(60)))
        << deployment.reason();
    const auto result = testing::infer(deployment, {"A man is eating food."});
    ASSERT_TRUE(result.items[0].ok());
    const std::vector<std::int32_t> ids{74, 337, 18, 2326, 568, 6};  // MODEL.md
    ASSERT_EQ(control->batches.size(), 1U);
    EXPECT_EQ(control->batches[0][0], ids);
    EXPECT_EQ(testing::infer(deployment, {""}).items[0].error->status, 400);
}

}  // namespace
}  // namespace penstock::inference
