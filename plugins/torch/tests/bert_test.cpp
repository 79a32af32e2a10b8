// BERT encoders with random weights, against a second forward pass written in plain loops over
// doubles.

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "plugins/torch/tests/backend.h"
#include "plugins/torch/tests/bert_reference.h"

namespace penstock::plugins::torch::test {

namespace {

constexpr double kTolerance = 1e-5;

void write_model(const std::filesystem::path& directory, const BertShape& shape,
                 const Tensors& weights, Stored stored = Stored::f32) {
    write_file(directory / "config.json", bert_config(shape));
    write_file(directory / "model.safetensors", safetensors(weights, stored));
}

/// Sequences of mixed lengths, two of them equal, with token types in some.
std::vector<Sequence> sample(const BertShape& shape, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<Sequence> batch;
    for (const std::size_t length : {7U, 1U, 12U, 7U, 40U, 3U}) {
        Sequence sequence;
        for (std::size_t i = 0; i < length; ++i) {
            sequence.ids.push_back(static_cast<std::int32_t>(random() % shape.vocab));
            if (length == 12) sequence.types.push_back(i < 5 ? 0 : 1);
        }
        batch.push_back(sequence);
    }
    return batch;
}

struct Variant {
    std::string activation;
    std::string pooling;
    bool normalize;
};

class BertVariants : public ::testing::TestWithParam<Variant> {};

TEST_P(BertVariants, MatchesPlainLoopsOneByOneAndBatched) {
    BertShape shape;
    shape.activation = GetParam().activation;
    const Tensors weights = bert_weights(shape, 11);
    const TemporaryDirectory directory;
    write_model(directory.path(), shape, weights);
    Backend backend(directory.path(), R"({"device":"cpu","dtype":"auto","pooling":")" +
                                          GetParam().pooling + R"(","normalize":)" +
                                          (GetParam().normalize ? "true}" : "false}"));
    const auto batch = sample(shape, 5);
    const auto together = backend.run(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        const Vector expected = pooled(bert_forward(shape, weights, batch[i]), GetParam().pooling,
                                       GetParam().normalize);
        EXPECT_LE(max_difference(backend.run_one(batch[i]), expected), kTolerance) << i;
        EXPECT_LE(max_difference(together[i], expected), kTolerance) << i;
    }
}

INSTANTIATE_TEST_SUITE_P(
    All, BertVariants,
    ::testing::Values(Variant{"gelu", "mean", true}, Variant{"gelu", "cls", false},
                      Variant{"gelu_new", "max", true}, Variant{"gelu_pytorch_tanh", "mean", false},
                      Variant{"relu", "cls", true}, Variant{"relu", "max", false}),
    [](const auto& suite) {
        return suite.param.activation + "_" + suite.param.pooling +
               (suite.param.normalize ? "_normalized" : "");
    });

TEST(Bert, SixLayersOf384AsSentenceModelsHave) {
    BertShape shape;
    shape.vocab = 200;
    shape.hidden = 384;
    shape.intermediate = 1536;
    shape.layers = 6;
    shape.heads = 12;
    const Tensors weights = bert_weights(shape, 3);
    const TemporaryDirectory directory;
    write_model(directory.path(), shape, weights);
    Backend backend(directory.path(), R"({"normalize":true})");
    auto batch = sample(shape, 8);
    batch.resize(4);  // the plain loops take their time
    const auto together = backend.run(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        const Vector expected = pooled(bert_forward(shape, weights, batch[i]), "mean", true);
        EXPECT_LE(max_difference(together[i], expected), kTolerance) << i;
    }
    EXPECT_EQ(backend.info().output_width, 384);
    EXPECT_EQ(backend.info().max_tokens, 40);
    EXPECT_GT(backend.info().weight_bytes, 6U * 12 * 384 * 384 * 4);
}

TEST(Bert, TakesPrefixedAndOldNames) {
    const BertShape shape;
    const Tensors plain = bert_weights(shape, 21);
    const auto batch = sample(shape, 1);
    for (const bool old_names : {false, true}) {
        const TemporaryDirectory directory;
        Tensors weights = bert_weights(shape, 21, "bert.", old_names);
        weights["cls.predictions.bias"] = {{3}, {1, 2, 3}};  // a task head is left aside
        write_model(directory.path(), shape, weights);
        Backend backend(directory.path());
        for (const Sequence& sequence : batch) {
            EXPECT_LE(max_difference(backend.run_one(sequence),
                                     pooled(bert_forward(shape, plain, sequence), "mean", false)),
                      kTolerance);
        }
    }
}

class BertStored : public ::testing::TestWithParam<Stored> {};

TEST_P(BertStored, WidensToFloat32) {
    const BertShape shape;
    Tensors weights = bert_weights(shape, 2);
    const TemporaryDirectory directory;
    write_model(directory.path(), shape, weights, GetParam());
    for (auto& [name, tensor] : weights) {
        for (float& value : tensor.values)
            value = rounded(value, GetParam());
    }
    Backend backend(directory.path());
    for (const Sequence& sequence : sample(shape, 2)) {
        EXPECT_LE(max_difference(backend.run_one(sequence),
                                 pooled(bert_forward(shape, weights, sequence), "mean", false)),
                  kTolerance);
    }
}

INSTANTIATE_TEST_SUITE_P(All, BertStored,
                         ::testing::Values(Stored::f16, Stored::bf16, Stored::f64));

TEST(Bert, WithoutPoolingGivesARowPerToken) {
    const BertShape shape;
    const Tensors weights = bert_weights(shape, 4);
    const TemporaryDirectory directory;
    write_model(directory.path(), shape, weights);
    Backend backend(directory.path(), R"({"pooling":"none"})");
    const auto batch = sample(shape, 9);
    const auto results = backend.run(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        Vector expected;
        for (const auto& row : bert_forward(shape, weights, batch[i])) {
            expected.insert(expected.end(), row.begin(), row.end());
        }
        EXPECT_LE(max_difference(results[i], expected), kTolerance) << i;
    }
}

TEST(Bert, ReadsSentenceTransformersFiles) {
    const BertShape shape;
    const Tensors weights = bert_weights(shape, 6);
    const TemporaryDirectory directory;
    write_model(directory.path(), shape, weights);
    write_file(directory.path() / "modules.json",
               R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
                   {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
                   {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])");
    write_file(directory.path() / "1_Pooling/config.json",
               R"({"word_embedding_dimension":32,"pooling_mode_cls_token":true,)"
               R"("pooling_mode_mean_tokens":false,"pooling_mode_max_tokens":false})");
    write_file(directory.path() / "sentence_bert_config.json", R"({"max_seq_length":16})");
    const Sequence sequence = sample(shape, 3)[2];
    const auto hidden = bert_forward(shape, weights, sequence);

    Backend stated(directory.path());
    EXPECT_EQ(stated.info().max_tokens, 16);
    EXPECT_LE(max_difference(stated.run_one(sequence), pooled(hidden, "cls", true)), kTolerance);

    Backend overridden(directory.path(),
                       R"({"pooling":"max","normalize":false,"max_sequence_length":20})");
    EXPECT_EQ(overridden.info().max_tokens, 20);
    EXPECT_LE(max_difference(overridden.run_one(sequence), pooled(hidden, "max", false)),
              kTolerance);
}

TEST(Bert, ShardsAreOneModel) {
    const BertShape shape;
    const Tensors weights = bert_weights(shape, 7);
    Tensors shards[2];
    std::string map;
    for (const auto& [name, tensor] : weights) {
        const bool second = name.find("layer.1") != std::string::npos;
        shards[second ? 1 : 0][name] = tensor;
        map +=
            (map.empty() ? "\"" : ",\"") + name + "\":\"" + (second ? "b" : "a") + ".safetensors\"";
    }
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", bert_config(shape));
    write_file(directory.path() / "a.safetensors", safetensors(shards[0]));
    write_file(directory.path() / "b.safetensors", safetensors(shards[1]));
    write_file(directory.path() / "model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
    const Sequence sequence = sample(shape, 3)[0];
    EXPECT_LE(max_difference(Backend(directory.path()).run_one(sequence),
                             pooled(bert_forward(shape, weights, sequence), "mean", false)),
              kTolerance);
    std::filesystem::remove(directory.path() / "b.safetensors");
    EXPECT_NE(open_error(directory.path()).find("b.safetensors: cannot be read"),
              std::string::npos);
}

TEST(Bert, AnyNumberOfThreadsAndSessionsGivesTheSame) {
    BertShape shape;
    shape.hidden = 64;
    const Tensors weights = bert_weights(shape, 12);
    const TemporaryDirectory directory;
    write_model(directory.path(), shape, weights);
    Backend backend(directory.path());
    std::vector<Sequence> batch;
    for (unsigned i = 0; i < 20;
         ++i) {  // enough rows that they are split among threads and portions
        for (const Sequence& sequence : sample(shape, i))
            batch.push_back(sequence);
    }
    const auto expected = backend.run(batch);

    std::vector<std::vector<Vector>> found(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < found.size(); ++i) {
        threads.emplace_back([&, i] {
            void* session = backend.open_session(static_cast<int>(i % 2) + 1);
            for (int round = 0; round < 10; ++round)
                found[i] = backend.run(session, batch);
            backend.close_session(session);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (const auto& results : found) {
        for (std::size_t i = 0; i < batch.size(); ++i) {
            EXPECT_LE(max_difference(results[i], expected[i]), kTolerance);
        }
    }
}

}  // namespace

}  // namespace penstock::plugins::torch::test
