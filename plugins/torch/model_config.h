#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace penstock::plugins::torch {

/// How the token vectors of a sequence become its result.
enum class Pooling {
    none,  ///< one row per token
    mean,
    cls,  ///< the first token's
    max,
};

/// `gelu_tanh` is the tanh approximation that HuggingFace calls gelu_new and gelu_pytorch_tanh.
enum class Activation { relu, gelu, gelu_tanh };

/// What the host asked for; absent members leave it to the model's own files.
struct Options {
    std::string device = "cpu";  ///< "cpu", "cuda" or "cuda:N"
    std::string dtype = "auto";  ///< "auto", "float32" or, not on the CPU, "float16"
    std::optional<Pooling> pooling;
    std::optional<bool> normalize;
    std::optional<std::int64_t> max_tokens;  ///< max_sequence_length
};

/// An encoder's shape, read from config.json and the sentence-transformers files beside it.
struct EncoderConfig {
    std::int64_t vocab_size = 0;
    std::int64_t embedding_size = 0;  ///< width of the token embeddings; hidden_size for BERT
    std::int64_t hidden_size = 0;
    std::int64_t intermediate_size = 0;
    std::int64_t layers = 0;
    std::int64_t heads = 0;
    std::int64_t max_positions = 0;
    std::int64_t type_vocab_size = 0;  ///< 0: the model has no token types
    double layer_norm_eps = 0;
    double embedding_scale = 1;
    Activation activation = Activation::gelu;
    Pooling pooling = Pooling::mean;
    bool normalize = false;
    std::int64_t max_tokens = 0;  ///< longest sequence accepted
};

/// Parses the host's options. Unknown members are the host's business and are passed over; known
/// ones with a wrong type or value are refused. Throws ModelError.
Options parse_options(const std::string& json);

/// `model_type` of config.json; nothing when there is no config.json or it does not say.
std::optional<std::string> model_type(const std::filesystem::path& directory);

/// The shapes of the two architectures known here, pooling and limits already overridden by
/// `options`. All that is wrong is reported in one ModelError.
EncoderConfig read_use_lite(const std::filesystem::path& directory, const Options& options);
EncoderConfig read_bert(const std::filesystem::path& directory, const Options& options);

/// What the sentence-transformers files (modules.json, 1_Pooling/config.json) say for a model whose
/// shape is not ours to read (TorchScript); `pooling` is none when they say nothing.
struct PoolingConfig {
    std::optional<Pooling> pooling;
    bool normalize = false;
    std::optional<std::int64_t> max_tokens;
};
PoolingConfig read_pooling(const std::filesystem::path& directory);

/// max_position_embeddings of config.json, when it has one.
std::optional<std::int64_t> max_positions(const std::filesystem::path& directory);

}  // namespace penstock::plugins::torch
