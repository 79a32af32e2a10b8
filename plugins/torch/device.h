#pragma once

#include <ATen/core/Tensor.h>

#include "plugins/torch/model_config.h"

namespace penstock::plugins::torch {

/// Where a model's weights live, and as what.
struct Placement {
    at::Device device{at::kCPU};
    at::ScalarType dtype = at::kFloat;
};

/// Resolves `device` and `dtype`. Throws ModelError when this libtorch cannot do what they ask for:
/// CUDA that is not there, or half precision on the CPU (fp16 files are widened there instead).
Placement resolve_placement(const Options& options);

}  // namespace penstock::plugins::torch
