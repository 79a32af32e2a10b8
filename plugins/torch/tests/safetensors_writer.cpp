#include "plugins/torch/tests/safetensors_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <sstream>

namespace penstock::plugins::torch::test {

namespace {

/// IEEE 754 binary16, round to nearest even; values of models only, so no overflow and no NaN.
std::uint16_t half_bits(float value) {
    const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double magnitude = std::abs(static_cast<double>(value));
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    const int scale = std::max(exponent - 11, -24);  // weight of the last of the 11 bits
    auto mantissa = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, -scale)));
    std::uint32_t biased = static_cast<std::uint32_t>(scale + 24);
    // A mantissa of 2^10 and more carries the implicit bit into the exponent by plain addition.
    return static_cast<std::uint16_t>(sign | ((biased << 10) + mantissa));
}

float half_value(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 31;
    const int fraction = bits & 1023;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
    return static_cast<float>((bits & 0x8000) != 0 ? -magnitude : magnitude);
}

std::uint16_t bfloat_bits(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float bfloat_value(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

template <typename Value>
void append(std::string& data, Value value) {
    const auto bytes = std::bit_cast<std::array<char, sizeof(Value)>>(value);
    data.append(bytes.data(), bytes.size());
}

const char* name(Stored stored) {
    switch (stored) {
        case Stored::f32:
            return "F32";
        case Stored::f16:
            return "F16";
        case Stored::bf16:
            return "BF16";
        case Stored::f64:
            return "F64";
    }
    return "";
}

void append_as(std::string& data, float value, Stored stored) {
    switch (stored) {
        case Stored::f32:
            append(data, value);
            break;
        case Stored::f16:
            append(data, half_bits(value));
            break;
        case Stored::bf16:
            append(data, bfloat_bits(value));
            break;
        case Stored::f64:
            append(data, static_cast<double>(value));
            break;
    }
}

}  // namespace

float rounded(float value, Stored stored) {
    switch (stored) {
        case Stored::f16:
            return half_value(half_bits(value));
        case Stored::bf16:
            return bfloat_value(bfloat_bits(value));
        default:
            return value;
    }
}

std::string safetensors_file(const std::string& header, const std::string& data) {
    std::string file;
    append(file, static_cast<std::uint64_t>(header.size()));
    return file + header + data;
}

std::string safetensors(const Tensors& tensors, Stored stored) {
    std::ostringstream header;
    std::string data;
    header << R"({"__metadata__":{"format":"pt"})";
    for (const auto& [key, tensor] : tensors) {
        header << ",\"" << key << R"(":{"dtype":")" << name(stored) << R"(","shape":[)";
        for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
            header << (i == 0 ? "" : ",") << tensor.shape[i];
        }
        header << R"(],"data_offsets":[)" << data.size() << ",";
        for (const float value : tensor.values)
            append_as(data, value, stored);
        header << data.size() << "]}";
    }
    header << "}";
    std::string text = header.str();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return safetensors_file(text, data);
}

}  // namespace penstock::plugins::torch::test
