// What a user sees for a model that is damaged, incomplete, or not one we know.

#include <gtest/gtest.h>

#include <functional>

#include "plugins/torch/tests/backend.h"
#include "plugins/torch/tests/bert_reference.h"

namespace penstock::plugins::torch::test {

namespace {

namespace fs = std::filesystem;

/// A small whole model, ready to be damaged.
struct Model {
    std::string config = bert_config({});
    std::string weights = safetensors(bert_weights({}, 1));
};

struct Case {
    const char* name;
    std::function<void(Model&)> damage;
    const char* reason;  ///< part of the message
};

class BrokenModel : public ::testing::TestWithParam<Case> {};

TEST_P(BrokenModel, IsRefusedWithItsReason) {
    Model model;
    GetParam().damage(model);
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", model.config);
    write_file(directory.path() / "model.safetensors", model.weights);
    const std::string error = open_error(directory.path());
    EXPECT_NE(error.find(GetParam().reason), std::string::npos) << error;
}

/// The same file with other header text; the data stays.
std::string with_header(const std::string& file, const std::string& from, const std::string& to) {
    std::uint64_t length = 0;
    for (std::size_t i = 8; i-- > 0;)
        length = length << 8 | static_cast<unsigned char>(file[i]);
    std::string header = file.substr(8, length);
    const auto at = header.find(from);
    if (at == std::string::npos) throw std::logic_error("no such text in the header: " + from);
    header.replace(at, from.size(), to);
    return safetensors_file(header, file.substr(8 + length));
}

std::string one_tensor(const std::string& description, std::size_t bytes) {
    return safetensors_file("{\"a\":" + description + "}", std::string(bytes, '\0'));
}

const Case kCases[] = {
    {"Empty", [](Model& m) { m.weights = ""; }, "Model definition truncated: "},
    {"FiveBytes", [](Model& m) { m.weights.resize(5); }, "has 5 bytes, 8 are expected"},
    {"InsideHeader", [](Model& m) { m.weights.resize(100); }, "has 100 bytes, "},
    {"InsideData", [](Model& m) { m.weights.resize(m.weights.size() - 1); },
     "are expected; copy the file again"},
    {"Longer", [](Model& m) { m.weights += "xy"; }, "2 bytes after the last tensor"},
    {"NotSafetensors", [](Model& m) { m.weights = std::string(64, 'x'); },
     "not a safetensors file?"},
    {"HeaderNotJson", [](Model& m) { m.weights = safetensors_file("{\"a\":", ""); },
     "not valid JSON"},
    {"HeaderNotObject", [](Model& m) { m.weights = safetensors_file("[]", ""); },
     "header is not JSON"},
    {"HeaderTooDeep",
     [](Model& m) { m.weights = safetensors_file("{\"a\":" + std::string(5000, '[') + "}", ""); },
     "not valid JSON"},
    {"NoTensors", [](Model& m) { m.weights = safetensors_file("{}", ""); }, "is missing"},
    {"UnknownDtype",
     [](Model& m) {
         m.weights = one_tensor(R"({"dtype":"Q3","shape":[1],"data_offsets":[0,1]})", 1);
     },
     "unknown dtype 'Q3'"},
    {"NoDtype",
     [](Model& m) { m.weights = one_tensor(R"({"shape":[1],"data_offsets":[0,4]})", 4); },
     "tensor 'a' has no dtype"},
    {"NegativeShape",
     [](Model& m) {
         m.weights = one_tensor(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", 4);
     },
     "tensor 'a' has no shape"},
    {"ShapeOverflows",
     [](Model& m) {
         m.weights = one_tensor(
             R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]})", 4);
     },
     "do not fit its 4 bytes"},
    {"ShapeTooLarge",
     [](Model& m) {
         m.weights = one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", 4);
     },
     "do not fit its 4 bytes"},
    {"OffsetsBackwards",
     [](Model& m) {
         m.weights = one_tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4);
     },
     "no valid data_offsets"},
    {"OffsetsBeyondFile",
     [](Model& m) {
         m.weights = one_tensor(R"({"dtype":"F32","shape":[1000],"data_offsets":[0,4000]})", 4);
     },
     "Model definition truncated"},
    {"Overlap",
     [](Model& m) {
         m.weights = safetensors_file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                      R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                                      std::string(12, '\0'));
     },
     "(overlap)"},
    {"Gap",
     [](Model& m) {
         m.weights = safetensors_file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                                      std::string(12, '\0'));
     },
     "(gap)"},
    {"MissingTensor",
     [](Model& m) {
         m.weights = with_header(m.weights, "encoder.layer.1.output.dense.bias",
                                 "encoder.layer.9.output.dense.bias");
     },
     "tensor 'encoder.layer.1.output.dense.bias' [32] is missing"},
    {"OtherShape",
     [](Model& m) {
         BertShape shape;
         shape.vocab = 50;
         m.weights = safetensors(bert_weights(shape, 1));
     },
     "tensor 'embeddings.word_embeddings.weight' has the shape [50, 32], [97, 32] is expected"},
    {"IntegerWeights",
     [](Model& m) {
         m.weights = with_header(m.weights, R"("embeddings.LayerNorm.bias":{"dtype":"F32")",
                                 R"("embeddings.LayerNorm.bias":{"dtype":"I32")");
     },
     "has the dtype I32, a floating-point type is expected"},
    {"ConfigNotJson", [](Model& m) { m.config = "{"; }, "config.json: not valid JSON"},
    {"ConfigNotObject", [](Model& m) { m.config = "[]"; }, "a JSON object is expected"},
    {"UnknownArchitecture", [](Model& m) { m.config = R"({"model_type":"llama"})"; },
     "model_type 'llama' is not supported; supported are bert, use-lite"},
    {"NoArchitecture", [](Model& m) { m.config = "{}"; }, "no model_type; supported are"},
    {"AllConfigMistakesAtOnce",
     [](Model& m) {
         m.config = R"({"model_type":"bert","vocab_size":0,"hidden_size":"x","hidden_act":"swish",)"
                    R"("num_hidden_layers":2,"num_attention_heads":4,"is_decoder":true})";
     },
     "'vocab_size' must be a whole number from 1 to 100000000; 'hidden_size' must be a whole "
     "number "
     "from 1 to 100000000; 'intermediate_size' is missing: a whole number from 1 to 100000000 is "
     "expected; 'hidden_act' must be one of gelu, gelu_new, gelu_pytorch_tanh, relu; 'is_decoder'"},
    {"HugeShapes",
     [](Model& m) {
         m.config =
             R"({"model_type":"bert","vocab_size":100000000,"hidden_size":100000000,)"
             R"("intermediate_size":100000000,"num_hidden_layers":2,"num_attention_heads":4})";
     },
     "[100000000, 100000000] is expected"},
    {"AHundredMillionLayers",  // refused before long, not one by one
     [](Model& m) {
         const std::string layers = "\"num_hidden_layers\":";
         const auto at = m.config.find(layers) + layers.size();
         m.config.replace(at, m.config.find(',', at) - at, "100000000");
     },
     "; and more"},
    {"RelativePositions",
     [](Model& m) { m.config.insert(1, R"("position_embedding_type":"relative_key",)"); },
     "'position_embedding_type' must be one of absolute"},
    {"HeadsDoNotDivide",
     [](Model& m) {
         BertShape shape;
         shape.heads = 5;
         m.config = bert_config(shape);
     },
     "a width of 32 cannot be divided among 5 heads"},
};

INSTANTIATE_TEST_SUITE_P(All, BrokenModel, ::testing::ValuesIn(kCases),
                         [](const auto& suite) { return suite.param.name; });

TEST(BrokenModel, EveryTruncationIsNamed) {
    const std::string whole = Model().weights;
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", Model().config);
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 97) {
        write_file(directory.path() / "model.safetensors", whole.substr(0, size));
        const std::string error = open_error(directory.path());
        EXPECT_TRUE(error.starts_with("Model definition truncated: ")) << size << ": " << error;
    }
    write_file(directory.path() / "model.safetensors", whole);
    EXPECT_EQ(open_error(directory.path()), "");
}

TEST(BrokenModel, EveryFlippedHeaderByteIsSurvived) {
    const std::string whole = Model().weights;
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", Model().config);
    for (std::size_t at = 0; at < 400; ++at) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x15);
        write_file(directory.path() / "model.safetensors", damaged);
        (void)open_error(
            directory.path());  // any answer but a crash; some flips hit a name's blank
    }
}

TEST(BrokenModel, DirectoriesWithoutAModel) {
    const TemporaryDirectory directory;
    EXPECT_NE(open_error(directory.path() / "nowhere").find("is not a directory"),
              std::string::npos);
    EXPECT_NE(open_error(directory.path()).find("has no weights: model.safetensors"),
              std::string::npos);
    write_file(directory.path() / "pytorch_model.bin", "x");
    EXPECT_NE(open_error(directory.path()).find("convert pytorch_model.bin"), std::string::npos);
}

TEST(BrokenModel, IndexMayNotNameFilesElsewhere) {
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", bert_config({}));
    write_file(directory.path() / "model.safetensors.index.json",
               R"({"weight_map":{"a":"../a.safetensors"}})");
    EXPECT_NE(open_error(directory.path()).find("must name a file beside the index"),
              std::string::npos);
}

TEST(BrokenModel, SentenceTransformersModulesThatAreNotSupported) {
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", Model().config);
    write_file(directory.path() / "model.safetensors", Model().weights);
    write_file(directory.path() / "1_Pooling/config.json",
               R"({"pooling_mode_mean_tokens":false,"pooling_mode_lasttoken":true})");
    EXPECT_NE(open_error(directory.path()).find("'pooling_mode_lasttoken' is not supported"),
              std::string::npos);
    write_file(directory.path() / "1_Pooling/config.json",
               R"({"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true})");
    EXPECT_NE(open_error(directory.path()).find("exactly one pooling mode is expected, 2"),
              std::string::npos);
    write_file(directory.path() / "modules.json",
               R"([{"path":"2_Dense","type":"sentence_transformers.models.Dense"}])");
    EXPECT_NE(open_error(directory.path()).find("models.Dense' is not supported"),
              std::string::npos);
    write_file(directory.path() / "modules.json",
               R"([{"path":"../x","type":"sentence_transformers.models.Pooling"}])");
    EXPECT_NE(open_error(directory.path()).find("leaves the model's directory"), std::string::npos);
}

TEST(Options, WrongOnesAreNamed) {
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", Model().config);
    write_file(directory.path() / "model.safetensors", Model().weights);
    const auto error = [&](const char* options) { return open_error(directory.path(), options); };
    EXPECT_EQ(error(R"({"device":"cpu","something_else":1})"), "");
    EXPECT_NE(error(R"({"pooling":"median","dtype":"int3"})")
                  .find("'dtype' must be one of auto, float32, float16; 'pooling' must be one of "
                        "mean, cls, max, none"),
              std::string::npos);
    EXPECT_NE(error(R"({"device":"tpu:0"})").find("cpu, cuda or cuda:N is expected"),
              std::string::npos);
    EXPECT_NE(error(R"({"device":"meta"})").find("cpu, cuda or cuda:N is expected"),
              std::string::npos);
    EXPECT_NE(error(R"({"dtype":"float16"})").find("needs device cuda:N"), std::string::npos);
    EXPECT_NE(error("nonsense").find("model options: not valid JSON"), std::string::npos);
}

TEST(Options, CudaThatIsNotThereIsRefusedOrRuns) {
    const TemporaryDirectory directory;
    write_file(directory.path() / "config.json", Model().config);
    write_file(directory.path() / "model.safetensors", Model().weights);
    const std::string error = open_error(directory.path(), R"({"device":"cuda:0"})");
    if (error.empty()) {
        const Sequence tokens{{1, 2, 3}};
        EXPECT_GE(cosine(Backend(directory.path(), R"({"device":"cuda:0"})").run_one(tokens),
                         Backend(directory.path()).run_one(tokens)),
                  0.9999);
    } else {
        EXPECT_NE(error.find("device 'cuda:0'"), std::string::npos) << error;
    }
}

TEST(Plugin, DescribesItself) {
    const penstock_plugin& table = plugin();
    EXPECT_EQ(table.size, sizeof(penstock_plugin));
    EXPECT_EQ(std::string(table.name.data, table.name.size), "torch");
    ASSERT_EQ(table.backend_count, 1U);
    EXPECT_EQ(std::string(table.backends[0]->name.data, table.backends[0]->name.size), "torch");
    EXPECT_EQ(table.processor_count, 0U);
}

}  // namespace

}  // namespace penstock::plugins::torch::test
