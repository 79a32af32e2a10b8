#pragma once

#include <filesystem>
#include <memory>

#include "plugins/torch/model.h"
#include "plugins/torch/model_config.h"

namespace penstock::plugins::torch {

/// A TorchScript archive called as Elasticsearch calls the models that eland exports: forward takes
/// the first n of input_ids, attention_mask, token_type_ids and position_ids (int64 [1, tokens]), n
/// from 1 to 4 by its schema. The result is a float tensor, or the first one of a tuple, list or
/// dictionary: [1, width] as it is, [1, tokens, width] pooled, or one row per token without
/// pooling.
///
/// Sequences are run one by one, as the reference does: a traced model may have its example's batch
/// size baked in.
std::unique_ptr<Model> open_torchscript(const std::filesystem::path& archive,
                                        const Options& options);

}  // namespace penstock::plugins::torch
