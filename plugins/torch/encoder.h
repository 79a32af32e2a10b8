#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>

#include "plugins/torch/device.h"
#include "plugins/torch/model.h"
#include "plugins/torch/model_config.h"
#include "plugins/torch/packing.h"

namespace penstock::plugins::torch {

/// What the built-in architectures have in common: packing, running in portions that fit the cache,
/// pooling, and putting results back into the batch's order. A subclass knows the forward pass.
class Encoder : public Model {
  public:
    const ModelInfo& info() const override { return info_; }
    void run(const TokenBatch& batch, Output& output) const override;

  protected:
    Encoder(const EncoderConfig& config, const Placement& placement)
        : config_(config), placement_(placement) {}

    /// Packed tokens -> one vector per token [tokens, hidden_size].
    virtual at::Tensor encode(const PackedTokens& tokens) const = 0;
    /// What follows pooling; the identity for most.
    virtual at::Tensor project(const at::Tensor& pooled) const { return pooled; }

    const EncoderConfig& config() const { return config_; }
    void set_weight_bytes(std::uint64_t bytes);

  private:
    at::Tensor results(const PackedTokens& tokens) const;

    EncoderConfig config_;
    Placement placement_;
    ModelInfo info_;
};

/// Universal Sentence Encoder Lite: pre-norm, sinusoidal positions, a tanh projection of the mean.
/// The forward pass is in pipelines/models/use-lite-en/MODEL.md.
std::unique_ptr<Model> open_use_lite(const std::filesystem::path& directory,
                                     const Options& options);

/// BERT encoders as HuggingFace stores them (Devlin et al. 2018, arXiv 1810.04805): post-norm,
/// learned positions and token types. A task head or pooler in the file is left aside.
std::unique_ptr<Model> open_bert(const std::filesystem::path& directory, const Options& options);

}  // namespace penstock::plugins::torch
