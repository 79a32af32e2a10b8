// TorchScript archives: how they are called, what they may return, and which are refused.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "plugins/torch/tests/backend.h"

namespace penstock::plugins::torch::test {

namespace {

namespace fs = std::filesystem;

/// The archives of make_torchscript.cpp, whose table[i][j] is i + j / 10.
class TorchScript : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        directory_ = std::make_unique<TemporaryDirectory>();
        const std::string command =
            std::string(PENSTOCK_TORCHSCRIPT_MAKER) + " " + directory_->path().string();
        ASSERT_EQ(std::system(command.c_str()), 0);
    }
    static void TearDownTestSuite() { directory_.reset(); }

    static fs::path model(const std::string& name) { return directory_->path() / name; }

    static std::string run_error(const std::string& name, const Sequence& tokens) {
        Backend backend(model(name));
        try {
            backend.run_one(tokens);
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "";
    }

  private:
    static inline std::unique_ptr<TemporaryDirectory> directory_;
};

Vector row(double first) {
    Vector values;
    for (int j = 0; j < 8; ++j)
        values.push_back(static_cast<float>(first + j / 10.0));
    return values;
}

constexpr double kTolerance = 1e-4;  // values up to some thousands, in float32

TEST_F(TorchScript, IsCalledWithAsManyInputsAsItTakes) {
    EXPECT_LE(max_difference(Backend(model("one_input")).run_one({{5}}), row(5)), kTolerance);
    EXPECT_LE(max_difference(Backend(model("two_inputs")).run_one({{5, 7, 9}}), row(7)),
              kTolerance);
    EXPECT_LE(max_difference(Backend(model("three_inputs")).run_one({{5}, {2}}), row(205)),
              kTolerance);
}

TEST_F(TorchScript, BatchesRunOneByOneInOrder) {
    Backend backend(model("two_inputs"));
    const auto results = backend.run({{{4, 6, 8}}, {{1}}, {{2, 4}}});
    ASSERT_EQ(results.size(), 3U);
    EXPECT_LE(max_difference(results[0], row(6)), kTolerance);
    EXPECT_LE(max_difference(results[1], row(1)), kTolerance);
    EXPECT_LE(max_difference(results[2], row(3)), kTolerance);
}

TEST_F(TorchScript, TokenVectorsArePooledAsAsked) {
    // Rows 1 + 100 * 0 + 1000 * 0 and 3 + 100 * 1 + 1000 * 1.
    const Sequence tokens{{1, 3}, {0, 1}};
    Vector both = row(1);
    const Vector second = row(1103);
    both.insert(both.end(), second.begin(), second.end());
    const fs::path path = model("four_inputs_tuple");
    EXPECT_LE(max_difference(Backend(path).run_one(tokens), both), kTolerance);
    const auto pooled = [&](const char* options) { return Backend(path, options).run_one(tokens); };
    EXPECT_LE(max_difference(pooled(R"({"pooling":"mean"})"), row(552)), kTolerance);
    EXPECT_LE(max_difference(pooled(R"({"pooling":"cls"})"), row(1)), kTolerance);
    EXPECT_LE(max_difference(pooled(R"({"pooling":"max"})"), row(1103)), kTolerance);
    const Vector unit = pooled(R"({"pooling":"cls","normalize":true})");
    EXPECT_NEAR(cosine(unit, row(1)), 1, 1e-6);
    EXPECT_LT(unit[0], 0.5F);
}

TEST_F(TorchScript, DictionariesAndHalfPrecisionAreRead) {
    EXPECT_LE(max_difference(
                  Backend(model("dictionary"), R"({"pooling":"mean"})").run_one({{2, 4}}), row(3)),
              kTolerance);
    EXPECT_LE(max_difference(Backend(model("half")).run_one({{2, 4}}), row(3)), 0.01);
}

TEST_F(TorchScript, InfoComesFromTheModelAndItsConfig) {
    const Backend backend(model("two_inputs"));
    EXPECT_EQ(backend.info().output_width, 8);
    EXPECT_EQ(backend.info().weight_bytes, 50U * 8 * 4);
    EXPECT_EQ(backend.info().max_tokens, 512);
    write_file(model("two_inputs") / "config.json",
               R"({"model_type":"roberta","max_position_embeddings":77})");
    EXPECT_EQ(Backend(model("two_inputs")).info().max_tokens, 77);
    EXPECT_EQ(Backend(model("two_inputs"), R"({"max_sequence_length":9})").info().max_tokens, 9);
}

TEST_F(TorchScript, WhatDoesNotFitIsRefusedWhenItIsOpened) {
    const auto error = [](const char* name) { return open_error(model(name)); };
    EXPECT_NE(error("five_inputs").find("forward takes 5 inputs; 1 to 4 are expected"),
              std::string::npos);
    EXPECT_NE(error("returns_number").find("forward returned no tensor"), std::string::npos);
    EXPECT_NE(error("returns_vector").find("forward returned a tensor of shape [8]"),
              std::string::npos);
    EXPECT_NE(error("fails").find("view"), std::string::npos) << error("fails");
}

TEST_F(TorchScript, FailureOfARunIsAReason) {
    const std::string error = run_error("fails_on_long", {{1, 2, 3}});
    EXPECT_NE(error.find("shape '[1, 16]' is invalid"), std::string::npos) << error;
    EXPECT_EQ(error.find("Exception raised from"), std::string::npos) << error;
}

TEST_F(TorchScript, AWidthThatDependsOnTheTextIsRefused) {
    const char* const reason =
        "forward returned 300 numbers for 300 tokens and 2 for 2: a width that depends on the text "
        "is no embedding";
    EXPECT_EQ(run_error("width_of_text", {{4, 5}}), "");
    const std::string error = run_error("width_of_text", {std::vector<std::int32_t>(300, 1)});
    EXPECT_NE(error.find(reason), std::string::npos) << error;
    Backend backend(model("width_of_text"));
    EXPECT_THROW(backend.run({{{4, 5}}, {{1}}}), std::runtime_error) << "narrower, second";
    EXPECT_EQ(backend.run_one({{4, 5}}), (Vector{4, 5})) << "the session goes on";
}

TEST_F(TorchScript, MethodsOfTheModuleAreReadAndRun) {
    EXPECT_LE(max_difference(Backend(model("calls_helper")).run_one({{2, 4}}), row(3)), kTolerance);
}

TEST_F(TorchScript, HostileArchivesAreRefused) {
    const auto refused = [](const char* name, const char* reason) {
        const std::string error = open_error(model(name));
        EXPECT_NE(error.find("Model definition refused"), std::string::npos) << error;
        EXPECT_NE(error.find(reason), std::string::npos) << error;
    };
    refused("as_strided", "the operation aten::as_strided");
    refused("from_file", "the operation aten::from_file");
    refused("save", "the operation aten::save");
    refused("interface", "the operation prim::CallMethod");
    refused("set_state", "custom state hook '__setstate__'");
    EXPECT_FALSE(fs::exists("should-not-be-written"));
}

TEST_F(TorchScript, DamagedArchivesAreNamed) {
    const std::string whole = read_file(model("one_input") / "model.pt");
    const TemporaryDirectory directory;
    const fs::path file = directory.path() / "model.pt";
    const auto error = [&](const std::string& content) {
        write_file(file, content);
        return open_error(directory.path());
    };
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 61) {
        const std::string reason = error(whole.substr(0, size));
        EXPECT_TRUE(reason.starts_with("Model definition truncated: ")) << size << ": " << reason;
    }
    EXPECT_NE(error(std::string(1000, 'x')).find("Model definition truncated"), std::string::npos);

    // Entry names in local headers that differ from the table of contents.
    std::string renamed = whole;
    renamed.replace(renamed.find("/data.pkl"), 9, "/date.pkl");
    EXPECT_NE(error(renamed).find("another name in its own header"), std::string::npos);
    // The method of the last entry of the table of contents, from stored to deflated.
    std::string compressed = whole;
    compressed[compressed.rfind("PK\x01\x02") + 10] = 8;
    EXPECT_NE(error(compressed).find("is compressed"), std::string::npos);
    std::string counted = whole;
    counted[counted.rfind("PK\x01\x02")] = 'X';
    EXPECT_NE(error(counted).find("table of contents is damaged"), std::string::npos);
    // Any byte of the last part flipped: a reason or a working model, never a crash.
    for (std::size_t i = 1; i <= 600; ++i) {
        std::string flipped = whole;
        flipped[flipped.size() - i] = static_cast<char>(flipped[flipped.size() - i] ^ 0x41);
        (void)error(flipped);
    }
    EXPECT_EQ(error(whole), "");
}

}  // namespace

}  // namespace penstock::plugins::torch::test
