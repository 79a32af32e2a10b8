#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/torch/tests/backend.h"
#include "plugins/torch/tests/safetensors_writer.h"

namespace penstock::plugins::torch::test {

/// A BERT encoder's shape, with the words of config.json.
struct BertShape {
    std::int64_t vocab = 97;
    std::int64_t hidden = 32;
    std::int64_t intermediate = 64;
    std::int64_t layers = 2;
    std::int64_t heads = 4;
    std::int64_t positions = 40;
    std::int64_t types = 2;
    std::string activation = "gelu";
    double eps = 1e-12;
};

std::string bert_config(const BertShape& shape);

/// Random weights under HuggingFace's names; `prefix` before each, LayerNorm with gamma and beta
/// when `old_names`.
Tensors bert_weights(const BertShape& shape, unsigned seed, const std::string& prefix = "",
                     bool old_names = false);

/// The forward pass written again from the paper: plain loops over doubles, one sequence at a time,
/// no fused product. Returns the last hidden states, `hidden` numbers a token.
std::vector<std::vector<double>> bert_forward(const BertShape& shape, const Tensors& weights,
                                              const Sequence& sequence);

/// One vector from token vectors: "mean", "cls" or "max", of length 1 when `normalize`.
Vector pooled(const std::vector<std::vector<double>>& tokens, const std::string& pooling,
              bool normalize);

}  // namespace penstock::plugins::torch::test
