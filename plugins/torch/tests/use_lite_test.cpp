// The bundled model against numbers that its original runtime computed (tests/data/use-lite-en).

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

#include "plugins/torch/tests/backend.h"

namespace penstock::plugins::torch::test {

namespace {

namespace fs = std::filesystem;

struct Item {
    std::string text;
    Sequence tokens;
    Vector embedding;
};

std::vector<Item> reference() {
    const fs::path file =
        fs::path(PENSTOCK_SOURCE_DIR) / "tests/data/use-lite-en/reference_embeddings.json";
    const auto json = boost::json::parse(read_file(file));
    std::vector<Item> items;
    for (const auto& entry : json.at("items").as_array()) {
        items.push_back({boost::json::value_to<std::string>(entry.at("text")),
                         {boost::json::value_to<std::vector<std::int32_t>>(entry.at("input_ids"))},
                         boost::json::value_to<Vector>(entry.at("embedding"))});
    }
    return items;
}

const fs::path& bundled() {
    static const fs::path path = fs::path(PENSTOCK_SOURCE_DIR) / "pipelines/models/use-lite-en";
    return path;
}

/// Every text alone, all at once, and in 20 random batches with repeats.
template <typename Check>
void run_in_all_ways(Backend& backend, const std::vector<Item>& items, const Check& check) {
    std::vector<Sequence> all;
    for (const Item& item : items) {
        all.push_back(item.tokens);
        check(item, backend.run_one(item.tokens));
    }
    const auto together = backend.run(all);
    for (std::size_t i = 0; i < items.size(); ++i)
        check(items[i], together[i]);

    std::mt19937 random(17);
    for (int round = 0; round < 20; ++round) {
        std::vector<std::size_t> picked(1 + random() % 60);
        std::vector<Sequence> batch;
        for (std::size_t& index : picked) {
            index = random() % items.size();
            batch.push_back(items[index].tokens);
        }
        const auto results = backend.run(batch);
        for (std::size_t i = 0; i < picked.size(); ++i)
            check(items[picked[i]], results[i]);
    }
}

TEST(UseLite, BundledHalfPrecisionWeightsAgreeWithTheOriginalRuntime) {
    const auto items = reference();
    ASSERT_EQ(items.size(), 20U);
    double worst = 1;
    for (const int threads : {1, 2}) {
        Backend backend(bundled(), R"({"device":"cpu","dtype":"auto"})", threads);
        EXPECT_EQ(backend.info().output_width, 512);
        EXPECT_EQ(backend.info().max_tokens, 128);
        run_in_all_ways(backend, items, [&](const Item& item, const Vector& found) {
            const double similarity = cosine(found, item.embedding);
            EXPECT_GE(similarity, 0.9999) << item.text;
            worst = std::min(worst, similarity);
        });
    }
    RecordProperty("worst_cosine", std::to_string(worst));
    std::printf("fp16 weights: smallest cosine 1 - %.2e\n", 1 - worst);
}

TEST(UseLite, FullPrecisionWeightsEqualTheOriginalRuntime) {
    const auto model = shared_data("models/use-lite-en");
    if (!model) GTEST_SKIP() << "shared/models/use-lite-en (float32 weights) is not here";
    double worst = 0;
    for (const int threads : {1, 2}) {
        Backend backend(*model, "{}", threads);
        run_in_all_ways(backend, reference(), [&](const Item& item, const Vector& found) {
            const double difference = max_difference(found, item.embedding);
            EXPECT_LE(difference, 1e-5) << item.text;
            worst = std::max(worst, difference);
        });
    }
    std::printf("fp32 weights: largest difference %.2e\n", worst);
}

TEST(UseLite, TorchScriptArchiveEqualsTheOriginalRuntime) {
    const auto archive = shared_data("models/use-lite-en/model.torchscript.pt");
    if (!archive) GTEST_SKIP() << "shared/models/use-lite-en/model.torchscript.pt is not here";
    const TemporaryDirectory directory;
    fs::create_symlink(fs::absolute(*archive), directory.path() / "model.pt");
    Backend backend(directory.path());
    EXPECT_EQ(backend.info().output_width, 512);
    EXPECT_GT(backend.info().weight_bytes, 27'000'000U);
    double worst = 0;
    run_in_all_ways(backend, reference(), [&](const Item& item, const Vector& found) {
        worst = std::max(worst, max_difference(found, item.embedding));
    });
    EXPECT_LE(worst, 1e-5);
    std::printf("TorchScript: largest difference %.2e\n", worst);
}

TEST(UseLite, TextWithoutTokensHasAVectorOfLengthOne) {
    Backend backend(bundled());
    const auto results = backend.run({{{}}, {{74, 337}}, {{}}});
    EXPECT_EQ(results[0], results[2]);
    EXPECT_NEAR(cosine(results[0], results[0]), 1, 1e-6);
    EXPECT_LT(cosine(results[0], results[1]), 0.99);
    EXPECT_LE(max_difference(results[1], backend.run_one({{74, 337}})), 1e-6);
}

TEST(UseLite, NormalizeOffKeepsTheDirection) {
    const Sequence tokens{{74, 337, 18, 2326, 568, 6}};
    const Vector raw = Backend(bundled(), R"({"normalize":false})").run_one(tokens);
    const Vector unit = Backend(bundled()).run_one(tokens);
    EXPECT_NEAR(cosine(raw, unit), 1, 1e-6);
    double length = 0;
    for (const float value : raw)
        length += static_cast<double>(value) * value;
    EXPECT_GT(std::abs(length - 1), 0.1);
}

TEST(UseLite, WeightsAreHeldOnce) {
    const Backend backend(bundled());
    // 6,975,872 parameters and the [128, 256] table of positions, as float32.
    EXPECT_NEAR(static_cast<double>(backend.info().weight_bytes), 4.0 * (6'975'872 + 128 * 256),
                200'000);
}

TEST(UseLite, RefusesWhatItCannotRun) {
    Backend backend(bundled());
    const auto error = [&](const std::vector<Sequence>& batch) -> std::string {
        try {
            backend.run(batch);
        } catch (const std::runtime_error& failure) {
            return failure.what();
        }
        return "";
    };
    EXPECT_NE(error({{{1}}, {{8002}}}).find("sequence 1 has the token id 8002"), std::string::npos);
    EXPECT_NE(error({{{-1}}}).find("token id -1"), std::string::npos);
    EXPECT_NE(error({{std::vector<std::int32_t>(129, 5)}}).find("129 tokens, the model takes 128"),
              std::string::npos);
    EXPECT_NE(error({}).find("at least one sequence"), std::string::npos);
    // A failed batch leaves the session usable.
    EXPECT_NEAR(cosine(backend.run_one({{74}}), backend.run_one({{74}})), 1, 1e-9);
}

}  // namespace

}  // namespace penstock::plugins::torch::test
