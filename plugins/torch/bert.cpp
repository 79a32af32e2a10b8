#include <ATen/ops/embedding.h>
#include <c10/core/InferenceMode.h>

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
    Linear qkv;
    Linear attention_output;
    LayerNorm attention_norm;
    Linear intermediate;
    Linear output;
    LayerNorm output_norm;

    at::Tensor forward(at::Tensor x, const PackedTokens& tokens,
                       const EncoderConfig& config) const {
        attention_output.add_to(x, attention(qkv(x), tokens, config.heads));
        x = attention_norm(x);
        at::Tensor wide = intermediate(x);
        activate(wide, config.activation);
        output.add_to(x, wide);
        return output_norm(x);
    }
};

Layer take_layer(Weights& weights, std::int64_t index, const EncoderConfig& config) {
    const std::string name = text("encoder.layer.", index, ".");
    const std::int64_t width = config.hidden_size;
    return {Linear::fused_attention(weights, name + "attention.self", width, width, config.heads),
            Linear(weights, name + "attention.output.dense", width, width),
            LayerNorm(weights, name + "attention.output.LayerNorm", width, config.layer_norm_eps),
            Linear(weights, name + "intermediate.dense", config.intermediate_size, width),
            Linear(weights, name + "output.dense", width, config.intermediate_size),
            LayerNorm(weights, name + "output.LayerNorm", width, config.layer_norm_eps)};
}

class Bert final : public Encoder {
  public:
    Bert(const EncoderConfig& config, Weights& weights)
        : Encoder(config, weights.placement()),
          words_(weights.take("embeddings.word_embeddings.weight",
                              {config.vocab_size, config.hidden_size})),
          positions_(weights.take("embeddings.position_embeddings.weight",
                                  {config.max_positions, config.hidden_size})),
          types_(weights.take("embeddings.token_type_embeddings.weight",
                              {config.type_vocab_size, config.hidden_size})),
          norm_(weights, "embeddings.LayerNorm", config.hidden_size, config.layer_norm_eps) {
        for (std::int64_t i = 0; i < config.layers && !weights.hopeless(); ++i) {
            layers_.push_back(take_layer(weights, i, config));
        }
        weights.finish();
        set_weight_bytes(weights.bytes());
    }

  private:
    at::Tensor encode(const PackedTokens& tokens) const override {
        at::Tensor x = at::embedding(words_, tokens.ids);
        x.add_(at::embedding(positions_, tokens.positions));
        x.add_(at::embedding(types_, tokens.type_ids));
        x = norm_(x);
        for (const Layer& layer : layers_)
            x = layer.forward(x, tokens, config());
        return x;
    }

    at::Tensor words_;      ///< [vocabulary, hidden_size]
    at::Tensor positions_;  ///< [positions, hidden_size]
    at::Tensor types_;      ///< [types, hidden_size]
    LayerNorm norm_;
    std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Model> open_bert(const std::filesystem::path& directory, const Options& options) {
    const c10::InferenceMode guard;
    const EncoderConfig config = read_bert(directory, options);
    const TensorStore store = TensorStore::open(directory);
    // A checkpoint with a task head names the encoder "bert."; one of the bare encoder does not.
    const bool prefixed = store.find("bert.embeddings.word_embeddings.weight") != nullptr;
    Weights weights(store, resolve_placement(options), prefixed ? "bert." : "");
    return std::make_unique<Bert>(config, weights);
}

}  // namespace penstock::plugins::torch
