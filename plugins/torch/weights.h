#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/torch/device.h"
#include "plugins/torch/safetensors.h"

namespace penstock::plugins::torch {

/// Takes the tensors of a TensorStore by name, checks their shape, and copies them to the device as
/// the type wanted. What is missing or has another shape is collected, so that finish() reports
/// all.
class Weights {
  public:
    Weights(const TensorStore& store, Placement placement, std::string prefix = {});

    /// The tensor under `prefix + name`, for the first of `names` that exists. A placeholder of the
    /// wanted shape when it cannot be had; finish() then throws.
    at::Tensor take(std::initializer_list<std::string> names,
                    const std::vector<std::int64_t>& shape);
    at::Tensor take(const std::string& name, const std::vector<std::int64_t>& shape) {
        return take({name}, shape);
    }

    const Placement& placement() const { return placement_; }
    std::uint64_t bytes() const { return bytes_; }

    /// True once more is wrong than finish() names: taking more tells nobody anything, and a bogus
    /// number of layers would be believed.
    bool hopeless() const;
    /// False once something was missing or misshapen.
    bool complete() const { return problems_.empty(); }
    /// Throws ModelError listing every tensor that was missing or misshapen. Called once all are
    /// taken, before any of them is used.
    void finish() const;

  private:
    void problem(const std::string& what);

    const TensorStore& store_;
    Placement placement_;
    std::string prefix_;
    std::uint64_t bytes_ = 0;
    std::vector<std::string> problems_;
};

}  // namespace penstock::plugins::torch
