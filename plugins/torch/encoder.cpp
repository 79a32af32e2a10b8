#include "plugins/torch/encoder.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <span>

#include "plugins/torch/layers.h"

namespace penstock::plugins::torch {

namespace {

/// Tokens run at once: the widest intermediate of a small encoder then stays in a core's cache,
/// while the matrix products are tall enough to run at full speed. A GPU wants more work a launch.
constexpr std::int64_t kTokensAtOnceCpu = 512;
constexpr std::int64_t kTokensAtOnceCuda = 16384;

/// How many of the next sequences fit `budget` tokens; at least one.
std::size_t portion(const TokenBatch& batch, std::span<const std::size_t> order,
                    std::int64_t budget) {
    std::int64_t tokens = batch.length(order.front());
    std::size_t count = 1;
    while (count < order.size() && tokens + batch.length(order[count]) <= budget) {
        tokens += batch.length(order[count]);
        ++count;
    }
    return count;
}

}  // namespace

void Encoder::set_weight_bytes(std::uint64_t bytes) {
    info_ = {bytes, config_.max_tokens, config_.hidden_size};
}

at::Tensor Encoder::results(const PackedTokens& tokens) const {
    at::Tensor rows = pool(encode(tokens), tokens, config_.pooling);
    if (config_.pooling != Pooling::none) rows = project(rows);
    if (config_.normalize) rows = normalized(rows.to(at::kFloat));
    return rows.to(at::kCPU, at::kFloat).contiguous();
}

void Encoder::run(const TokenBatch& batch, Output& output) const {
    const c10::InferenceMode guard;
    const bool per_token = config_.pooling == Pooling::none;
    output.reset(batch.sequences(), config_.hidden_size,
                 [&](std::size_t i) { return per_token ? batch.length(i) : std::int64_t{1}; });
    const std::int64_t budget = placement_.device.is_cpu() ? kTokensAtOnceCpu : kTokensAtOnceCuda;
    const auto order = by_length(batch);
    std::span<const std::size_t> rest = order;
    while (!rest.empty()) {
        const auto now = rest.first(portion(batch, rest, budget));
        rest = rest.subspan(now.size());
        const PackedTokens tokens =
            pack(batch, now, config_.vocab_size, config_.type_vocab_size, placement_.device);
        const at::Tensor rows = results(tokens);
        const float* source = rows.data_ptr<float>();
        for (const std::size_t sequence : now) {
            const std::int64_t size = output.rows[sequence] * output.width;
            std::copy_n(source, size, output.data.data() + output.offsets[sequence]);
            source += size;
        }
    }
}

}  // namespace penstock::plugins::torch
