#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace penstock::plugins::torch::test {

/// A tensor to be written, row-major.
struct Tensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
};

using Tensors = std::map<std::string, Tensor>;

enum class Stored { f32, f16, bf16, f64 };

/// The bytes of a safetensors file that holds `tensors`, each as `stored`.
std::string safetensors(const Tensors& tensors, Stored stored = Stored::f32);

/// A file from any header text and data, for files that are wrong on purpose.
std::string safetensors_file(const std::string& header, const std::string& data);

/// The nearest value that `stored` can hold.
float rounded(float value, Stored stored);

}  // namespace penstock::plugins::torch::test
