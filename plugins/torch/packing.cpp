#include "plugins/torch/packing.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

#include "plugins/torch/error.h"

namespace penstock::plugins::torch {

namespace {

void copy_ids(std::span<const std::int32_t> from, std::int64_t* to, std::int64_t limit,
              std::size_t sequence, const char* kind) {
    for (const std::int32_t id : from) {
        if (id < 0 || id >= limit) {
            throw ModelError(text("sequence ", sequence, " has the ", kind, " id ", id,
                                  ", the model knows 0 to ", limit - 1,
                                  "; are tokenizer and model of one kind?"));
        }
        *to++ = id;
    }
}

}  // namespace

std::vector<std::size_t> by_length(const TokenBatch& batch) {
    std::vector<std::size_t> order(batch.sequences());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return batch.length(i); });
    return order;
}

PackedTokens pack(const TokenBatch& batch, std::span<const std::size_t> order,
                  std::int64_t vocab_size, std::int64_t type_vocab_size, const at::Device& device) {
    std::int64_t tokens = 0;
    for (const std::size_t sequence : order)
        tokens += batch.length(sequence);
    // One row each for ids, positions and types: one transfer to a device.
    const at::Tensor columns = at::empty({3, tokens}, at::TensorOptions().dtype(at::kLong));
    std::int64_t* ids = columns.data_ptr<std::int64_t>();

    PackedTokens packed;
    std::int64_t row = 0;
    for (const std::size_t sequence : order) {
        const std::int64_t length = batch.length(sequence);
        const auto begin = static_cast<std::size_t>(batch.offsets[sequence]);
        const auto count = static_cast<std::size_t>(length);
        copy_ids(batch.ids.subspan(begin, count), ids + row, vocab_size, sequence, "token");
        std::iota(ids + tokens + row, ids + tokens + row + length, std::int64_t{0});
        if (batch.type_ids.empty()) {
            std::fill_n(ids + 2 * tokens + row, length, std::int64_t{0});
        } else {
            copy_ids(batch.type_ids.subspan(begin, count), ids + 2 * tokens + row, type_vocab_size,
                     sequence, "type");
        }
        if (packed.groups.empty() || packed.groups.back().length != length) {
            packed.groups.push_back({row, 0, length});
        }
        ++packed.groups.back().sequences;
        row += length;
    }
    const at::Tensor placed = columns.to(device);
    packed.ids = placed.select(0, 0);
    packed.positions = placed.select(0, 1);
    packed.type_ids = placed.select(0, 2);
    return packed;
}

}  // namespace penstock::plugins::torch
