#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "plugins/torch/model_config.h"
#include "plugins/torch/packing.h"
#include "plugins/torch/weights.h"

namespace penstock::plugins::torch {

/// y = x W^T + b over packed rows. With several compute threads the rows are split among them here,
/// because a serial BLAS would use one only.
class Linear {
  public:
    /// Takes `name.weight` [out, in] and `name.bias` [out].
    Linear(Weights& weights, const std::string& name, std::int64_t out, std::int64_t in);
    /// Query, key and value as one product [3 * out, in], with the attention scale inside the
    /// query.
    static Linear fused_attention(Weights& weights, const std::string& name, std::int64_t out,
                                  std::int64_t in, std::int64_t heads);

    /// [rows, in] -> [rows, out]
    at::Tensor operator()(const at::Tensor& x) const;
    /// sum [rows, out] += x W^T + b, in place.
    void add_to(at::Tensor& sum, const at::Tensor& x) const;

  private:
    Linear(at::Tensor weight, at::Tensor bias);

    at::Tensor weight_;  ///< [in, out], a transposed view of what the file holds
    at::Tensor bias_;
};

class LayerNorm {
  public:
    /// Takes `name.weight` and `name.bias`, or the older `name.gamma` and `name.beta`.
    LayerNorm(Weights& weights, const std::string& name, std::int64_t width, double eps);

    at::Tensor operator()(const at::Tensor& x) const;

  private:
    at::Tensor weight_;
    at::Tensor bias_;
    double eps_;
};

/// Scaled dot-product attention within each sequence. `qkv` is [tokens, 3 * width] from a fused
/// product; the result is [tokens, width].
at::Tensor attention(const at::Tensor& qkv, const PackedTokens& tokens, std::int64_t heads);

/// In place.
void activate(at::Tensor& x, Activation activation);

/// One row per sequence [sequences, width], in the order of `tokens`; with Pooling::none the token
/// rows as they are. A sequence without tokens has zeros.
at::Tensor pool(const at::Tensor& hidden, const PackedTokens& tokens, Pooling pooling);

/// Rows of length 1; a row of zeros stays one.
at::Tensor normalized(const at::Tensor& rows);

}  // namespace penstock::plugins::torch
