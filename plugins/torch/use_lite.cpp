#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/tanh.h>
#include <c10/core/InferenceMode.h>

#include <optional>
#include <utility>
#include <vector>

#include "plugins/torch/encoder.h"
#include "plugins/torch/error.h"
#include "plugins/torch/layers.h"
#include "plugins/torch/safetensors.h"
#include "plugins/torch/weights.h"

namespace penstock::plugins::torch {

namespace {

struct Layer {
    LayerNorm attention_norm;
    Linear qkv;
    Linear attention_output;
    std::optional<Linear> residual;  ///< where the layer's input is not as wide as its output
    LayerNorm ffn_norm;
    Linear intermediate;
    Linear output;

    at::Tensor forward(at::Tensor x, const PackedTokens& tokens, std::int64_t heads) const {
        const at::Tensor attended = attention(qkv(attention_norm(x)), tokens, heads);
        if (residual) x = (*residual)(x);
        attention_output.add_to(x, attended);
        at::Tensor wide = intermediate(ffn_norm(x));
        activate(wide, Activation::relu);
        output.add_to(x, wide);
        return x;
    }
};

Layer take_layer(Weights& weights, std::int64_t index, const EncoderConfig& config) {
    const std::string name = text("encoder.layer.", index, ".");
    const std::int64_t out = config.hidden_size;
    const std::int64_t in = index == 0 ? config.embedding_size : out;
    std::optional<Linear> residual;
    if (in != out) residual = Linear(weights, name + "residual.dense", out, in);
    return {LayerNorm(weights, name + "attention_norm", in, config.layer_norm_eps),
            Linear::fused_attention(weights, name + "attention.self", in, in, config.heads),
            Linear(weights, name + "attention.output.dense", out, in),
            std::move(residual),
            LayerNorm(weights, name + "ffn_norm", out, config.layer_norm_eps),
            Linear(weights, name + "intermediate.dense", config.intermediate_size, out),
            Linear(weights, name + "output.dense", out, config.intermediate_size)};
}

class UseLite final : public Encoder {
  public:
    UseLite(const EncoderConfig& config, Weights& weights)
        : Encoder(config, weights.placement()),
          words_(weights.take("embeddings.word_embeddings.weight",
                              {config.vocab_size, config.embedding_size})),
          timescales_(weights.take("embeddings.inv_timescales", {config.embedding_size / 2})),
          sentence_(weights, "sentence.dense", config.hidden_size, config.hidden_size) {
        for (std::int64_t i = 0; i < config.layers && !weights.hopeless(); ++i) {
            layers_.push_back(take_layer(weights, i, config));
        }
        weights.finish();
        words_.mul_(config.embedding_scale);
        const at::Tensor angles =
            at::outer(at::arange(config.max_positions, timescales_.options().dtype(at::kFloat)),
                      timescales_.to(at::kFloat));
        timing_ = at::cat({angles.sin(), angles.cos()}, 1).to(timescales_.scalar_type());
        set_weight_bytes(weights.bytes() + timing_.nbytes());
    }

  private:
    at::Tensor encode(const PackedTokens& tokens) const override {
        at::Tensor x = at::embedding(words_, tokens.ids);
        x.add_(at::embedding(timing_, tokens.positions));
        for (const Layer& layer : layers_)
            x = layer.forward(x, tokens, config().heads);
        return x;
    }

    at::Tensor project(const at::Tensor& pooled) const override {
        return at::tanh(sentence_(pooled));
    }

    at::Tensor words_;       ///< [vocabulary, embedding_size], embedding_scale already inside
    at::Tensor timescales_;  ///< [embedding_size / 2]
    at::Tensor timing_;      ///< [positions, embedding_size]: sines, then cosines
    std::vector<Layer> layers_;
    Linear sentence_;
};

}  // namespace

std::unique_ptr<Model> open_use_lite(const std::filesystem::path& directory,
                                     const Options& options) {
    const c10::InferenceMode guard;
    const EncoderConfig config = read_use_lite(directory, options);
    const TensorStore store = TensorStore::open(directory);
    Weights weights(store, resolve_placement(options));
    return std::make_unique<UseLite>(config, weights);
}

}  // namespace penstock::plugins::torch
