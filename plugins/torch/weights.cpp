#include "plugins/torch/weights.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "plugins/torch/error.h"

namespace penstock::plugins::torch {

namespace {

constexpr std::size_t kProblemsShown = 10;

std::optional<at::ScalarType> float_type(std::string_view dtype) {
    static constexpr std::array<std::pair<std::string_view, at::ScalarType>, 4> kTypes{
        {{"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"F64", at::kDouble}}};
    for (const auto& [name, type] : kTypes) {
        if (name == dtype) return type;
    }
    return std::nullopt;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
    std::string list;
    for (const std::int64_t extent : shape) {
        list += text(list.empty() ? "" : ", ", extent);
    }
    return "[" + list + "]";
}

}  // namespace

Weights::Weights(const TensorStore& store, Placement placement, std::string prefix)
    : store_(store), placement_(placement), prefix_(std::move(prefix)) {}

at::Tensor Weights::take(std::initializer_list<std::string> names,
                         const std::vector<std::int64_t>& shape) {
    const StoredTensor* stored = nullptr;
    std::string name = prefix_ + *names.begin();
    for (const std::string& candidate : names) {
        stored = store_.find(prefix_ + candidate);
        if (stored != nullptr) {
            name = prefix_ + candidate;
            break;
        }
    }
    const auto type = stored == nullptr ? std::nullopt : float_type(stored->dtype);
    if (stored == nullptr) {
        problem(text("tensor '", name, "' ", shape_text(shape), " is missing"));
    } else if (stored->shape != shape) {
        problem(text("tensor '", name, "' has the shape ", shape_text(stored->shape), ", ",
                     shape_text(shape), " is expected"));
    } else if (!type) {
        problem(text("tensor '", name, "' has the dtype ", stored->dtype,
                     ", a floating-point type is expected"));
    } else {
        // The mapping may end, or the file change, while the model lives: always a copy.
        const at::Tensor source = at::from_blob(const_cast<std::byte*>(stored->data.data()), shape,
                                                at::TensorOptions().dtype(*type));
        at::Tensor copy = source.to(placement_.device, placement_.dtype, /*non_blocking=*/false,
                                    /*copy=*/true);
        bytes_ += copy.nbytes();
        return copy;
    }
    // One element seen under the wanted shape: later steps fit, and a bogus extent costs no memory.
    return at::zeros({1}, at::TensorOptions().dtype(placement_.dtype).device(placement_.device))
        .expand(shape);
}

void Weights::problem(const std::string& what) {
    problems_.push_back(what);
}

bool Weights::hopeless() const {
    return problems_.size() > kProblemsShown;
}

void Weights::finish() const {
    if (problems_.empty()) return;
    std::string list;
    for (std::size_t i = 0; i < std::min(problems_.size(), kProblemsShown); ++i) {
        list += text(i == 0 ? "" : "; ", problems_[i]);
    }
    if (problems_.size() > kProblemsShown) {
        list += "; and more";
    }
    throw ModelError("config.json and the weights do not fit: " + list);
}

}  // namespace penstock::plugins::torch
