#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "plugins/torch/model.h"

namespace penstock::plugins::torch {

/// Neighbouring sequences of one length: token rows [first_row, first_row + sequences * length).
struct LengthGroup {
    std::int64_t first_row = 0;
    std::int64_t sequences = 0;
    std::int64_t length = 0;
};

/// Some sequences of a batch, shortest first, their tokens one after the other without padding.
/// Equal lengths lie together, so that attention and pooling see plain [sequences, length, width]
/// views.
struct PackedTokens {
    at::Tensor ids;        ///< int64 [tokens]
    at::Tensor positions;  ///< int64 [tokens], from 0 in each sequence
    at::Tensor type_ids;   ///< int64 [tokens]
    std::vector<LengthGroup> groups;
};

/// The batch's sequence indices ordered by length; equal lengths keep their order.
std::vector<std::size_t> by_length(const TokenBatch& batch);

/// Packs the sequences named by `order`, which are sorted by length. Ids are checked against the
/// vocabularies; throws ModelError naming the sequence and the id.
PackedTokens pack(const TokenBatch& batch, std::span<const std::size_t> order,
                  std::int64_t vocab_size, std::int64_t type_vocab_size, const at::Device& device);

}  // namespace penstock::plugins::torch
