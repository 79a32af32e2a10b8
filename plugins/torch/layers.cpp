#include "plugins/torch/layers.h"

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <utility>

namespace penstock::plugins::torch {

namespace {

/// Fewer rows than this a thread are not worth waking it.
constexpr std::int64_t kRowsPerThread = 16;

bool splits_rows(const at::Tensor& x) {
    return x.is_cpu() && x.size(0) >= 2 * kRowsPerThread && at::get_num_threads() > 1;
}

/// Calls `work(first row, rows)` for blocks of x's rows, on the session's threads.
template <typename Work>
void for_row_blocks(const at::Tensor& x, const Work& work) {
    at::parallel_for(0, x.size(0), kRowsPerThread, [&](std::int64_t begin, std::int64_t end) {
        const c10::InferenceMode guard;  // it is a property of the thread
        work(begin, end - begin);
    });
}

}  // namespace

Linear::Linear(at::Tensor weight, at::Tensor bias) : weight_(weight.t()), bias_(std::move(bias)) {}

Linear::Linear(Weights& weights, const std::string& name, std::int64_t out, std::int64_t in)
    : Linear(weights.take(name + ".weight", {out, in}), weights.take(name + ".bias", {out})) {}

Linear Linear::fused_attention(Weights& weights, const std::string& name, std::int64_t out,
                               std::int64_t in, std::int64_t heads) {
    std::vector<at::Tensor> matrices;
    std::vector<at::Tensor> biases;
    for (const char* part : {".query", ".key", ".value"}) {
        matrices.push_back(weights.take(name + part + ".weight", {out, in}));
        biases.push_back(weights.take(name + part + ".bias", {out}));
    }
    if (!weights.complete()) return {matrices.front(), biases.front()};
    // softmax(q k^T / sqrt(d)): dividing the query's rows once saves a pass over every score
    // matrix.
    const double scale = 1.0 / std::sqrt(static_cast<double>(out / heads));
    matrices.front().mul_(scale);
    biases.front().mul_(scale);
    return {at::cat(matrices), at::cat(biases)};
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
    if (!splits_rows(x)) return at::addmm(bias_, x, weight_);
    const at::Tensor result = at::empty({x.size(0), weight_.size(1)}, x.options());
    for_row_blocks(x, [&](std::int64_t first, std::int64_t rows) {
        at::Tensor block = result.narrow(0, first, rows);
        at::addmm_out(block, bias_, x.narrow(0, first, rows), weight_);
    });
    return result;
}

void Linear::add_to(at::Tensor& sum, const at::Tensor& x) const {
    sum.add_(bias_);
    if (!splits_rows(x)) {
        sum.addmm_(x, weight_);
        return;
    }
    for_row_blocks(x, [&](std::int64_t first, std::int64_t rows) {
        sum.narrow(0, first, rows).addmm_(x.narrow(0, first, rows), weight_);
    });
}

LayerNorm::LayerNorm(Weights& weights, const std::string& name, std::int64_t width, double eps)
    : weight_(weights.take({name + ".weight", name + ".gamma"}, {width})),
      bias_(weights.take({name + ".bias", name + ".beta"}, {width})),
      eps_(eps) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
    return at::layer_norm(x, {x.size(-1)}, weight_, bias_, eps_);
}

at::Tensor attention(const at::Tensor& qkv, const PackedTokens& tokens, std::int64_t heads) {
    const std::int64_t width = qkv.size(1) / 3;
    const at::Tensor result = at::empty({qkv.size(0), width}, qkv.options());
    for (const LengthGroup& group : tokens.groups) {
        const std::int64_t rows = group.sequences * group.length;
        if (rows == 0) continue;
        const at::Tensor parts = qkv.narrow(0, group.first_row, rows)
                                     .view({group.sequences, group.length, 3, heads, width / heads})
                                     .permute({2, 0, 3, 1, 4})
                                     .reshape({3, group.sequences * heads, group.length, -1});
        at::Tensor scores = at::bmm(parts.select(0, 0), parts.select(0, 1).transpose(1, 2));
        scores = at::softmax(scores, -1);
        const at::Tensor mixed = at::bmm(scores, parts.select(0, 2))
                                     .view({group.sequences, heads, group.length, width / heads})
                                     .transpose(1, 2);
        result.narrow(0, group.first_row, rows)
            .view({group.sequences, group.length, heads, width / heads})
            .copy_(mixed);
    }
    return result;
}

void activate(at::Tensor& x, Activation activation) {
    switch (activation) {
        case Activation::relu:
            at::relu_(x);
            return;
        case Activation::gelu:
            at::gelu_(x, "none");
            return;
        case Activation::gelu_tanh:
            at::gelu_(x, "tanh");
            return;
    }
}

at::Tensor pool(const at::Tensor& hidden, const PackedTokens& tokens, Pooling pooling) {
    if (pooling == Pooling::none) return hidden;
    const std::int64_t width = hidden.size(1);
    std::vector<at::Tensor> pooled;
    for (const LengthGroup& group : tokens.groups) {
        if (group.length == 0) {
            pooled.push_back(at::zeros({group.sequences, width}, hidden.options()));
            continue;
        }
        const at::Tensor rows = hidden.narrow(0, group.first_row, group.sequences * group.length)
                                    .view({group.sequences, group.length, width});
        switch (pooling) {
            case Pooling::mean:
                pooled.push_back(rows.mean(1));
                break;
            case Pooling::max:
                pooled.push_back(at::amax(rows, 1));
                break;
            case Pooling::cls:
            case Pooling::none:
                pooled.push_back(rows.select(1, 0));
                break;
        }
    }
    return at::cat(pooled);
}

at::Tensor normalized(const at::Tensor& rows) {
    constexpr double kSmallest = 1e-12;
    const at::Tensor lengths =
        at::linalg_vector_norm(rows, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
    return rows.div(lengths.clamp_min(kSmallest));
}

}  // namespace penstock::plugins::torch
