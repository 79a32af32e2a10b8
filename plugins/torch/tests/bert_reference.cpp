#include "plugins/torch/tests/bert_reference.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>

namespace penstock::plugins::torch::test {

namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

Row matrix_row(const Tensor& matrix, std::int64_t row) {
    const auto width = static_cast<std::size_t>(matrix.shape.at(1));
    const auto* begin = matrix.values.data() + static_cast<std::size_t>(row) * width;
    return {begin, begin + width};
}

/// Reads one encoder's tensors by the names that HuggingFace uses.
class Reference {
  public:
    Reference(const BertShape& shape, const Tensors& weights) : shape_(shape), weights_(weights) {}

    Rows embed(const Sequence& sequence) const {
        Rows rows;
        for (std::size_t i = 0; i < sequence.ids.size(); ++i) {
            const std::int64_t type = sequence.types.empty() ? 0 : sequence.types[i];
            Row row = matrix_row(at("embeddings.word_embeddings.weight"), sequence.ids[i]);
            const Row position = matrix_row(at("embeddings.position_embeddings.weight"),
                                            static_cast<std::int64_t>(i));
            const Row kind = matrix_row(at("embeddings.token_type_embeddings.weight"), type);
            for (std::size_t j = 0; j < row.size(); ++j)
                row[j] += position[j] + kind[j];
            rows.push_back(norm("embeddings.LayerNorm", row));
        }
        return rows;
    }

    Rows layer(const std::string& name, const Rows& x) const {
        Rows q, k, v;
        for (const Row& row : x) {
            q.push_back(linear(name + "attention.self.query", row));
            k.push_back(linear(name + "attention.self.key", row));
            v.push_back(linear(name + "attention.self.value", row));
        }
        Rows out;
        for (std::size_t i = 0; i < x.size(); ++i) {
            Row y = linear(name + "attention.output.dense", attend(q[i], k, v));
            for (std::size_t j = 0; j < y.size(); ++j)
                y[j] += x[i][j];
            y = norm(name + "attention.output.LayerNorm", y);
            Row wide = linear(name + "intermediate.dense", y);
            for (double& value : wide)
                value = activate(value);
            Row z = linear(name + "output.dense", wide);
            for (std::size_t j = 0; j < z.size(); ++j)
                z[j] += y[j];
            out.push_back(norm(name + "output.LayerNorm", z));
        }
        return out;
    }

  private:
    const Tensor& at(const std::string& name) const { return weights_.at(name); }

    Row linear(const std::string& name, const Row& x) const {
        const Tensor& weight = at(name + ".weight");
        const Tensor& bias = at(name + ".bias");
        Row y(static_cast<std::size_t>(weight.shape.at(0)));
        for (std::size_t i = 0; i < y.size(); ++i) {
            y[i] = bias.values[i];
            for (std::size_t j = 0; j < x.size(); ++j) {
                y[i] += static_cast<double>(weight.values[i * x.size() + j]) * x[j];
            }
        }
        return y;
    }

    Row norm(const std::string& name, const Row& x) const {
        double mean = 0;
        for (const double value : x)
            mean += value / static_cast<double>(x.size());
        double variance = 0;
        for (const double value : x) {
            variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
        }
        Row y(x.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
            y[i] = (x[i] - mean) / std::sqrt(variance + shape_.eps) *
                       static_cast<double>(at(name + ".weight").values[i]) +
                   static_cast<double>(at(name + ".bias").values[i]);
        }
        return y;
    }

    Row attend(const Row& q, const Rows& k, const Rows& v) const {
        const auto size = q.size() / static_cast<std::size_t>(shape_.heads);
        Row result(q.size());
        for (std::size_t begin = 0; begin < q.size(); begin += size) {
            Row weight;
            double sum = 0;
            for (const Row& key : k) {
                double score = 0;
                for (std::size_t j = begin; j < begin + size; ++j)
                    score += q[j] * key[j];
                weight.push_back(std::exp(score / std::sqrt(static_cast<double>(size))));
                sum += weight.back();
            }
            for (std::size_t i = 0; i < v.size(); ++i) {
                for (std::size_t j = begin; j < begin + size; ++j) {
                    result[j] += weight[i] / sum * v[i][j];
                }
            }
        }
        return result;
    }

    double activate(double x) const {
        if (shape_.activation == "relu") return std::max(x, 0.0);
        if (shape_.activation == "gelu") return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
        const double inner = std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
        return 0.5 * x * (1 + std::tanh(inner));
    }

    const BertShape& shape_;
    const Tensors& weights_;
};

}  // namespace

std::string bert_config(const BertShape& shape) {
    std::ostringstream out;
    out << R"({"model_type":"bert","vocab_size":)" << shape.vocab << R"(,"hidden_size":)"
        << shape.hidden << R"(,"intermediate_size":)" << shape.intermediate
        << R"(,"num_hidden_layers":)" << shape.layers << R"(,"num_attention_heads":)" << shape.heads
        << R"(,"max_position_embeddings":)" << shape.positions << R"(,"type_vocab_size":)"
        << shape.types << R"(,"hidden_act":")" << shape.activation << R"(","layer_norm_eps":)"
        << shape.eps << "}";
    return out.str();
}

Tensors bert_weights(const BertShape& shape, unsigned seed, const std::string& prefix,
                     bool old_names) {
    std::mt19937 random(seed);
    Tensors tensors;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> extents, double mean,
                         double spread) {
        std::normal_distribution<double> values(mean, spread);
        std::int64_t count = 1;
        for (const std::int64_t extent : extents)
            count *= extent;
        Tensor tensor{std::move(extents), {}};
        for (std::int64_t i = 0; i < count; ++i) {
            tensor.values.push_back(static_cast<float>(values(random)));
        }
        tensors[prefix + name] = std::move(tensor);
    };
    const auto add_linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
        add(name + ".weight", {out, in}, 0, 1.0 / std::sqrt(static_cast<double>(in)));
        add(name + ".bias", {out}, 0, 0.1);
    };
    const auto add_norm = [&](const std::string& name) {
        add(name + (old_names ? ".gamma" : ".weight"), {shape.hidden}, 1, 0.2);
        add(name + (old_names ? ".beta" : ".bias"), {shape.hidden}, 0, 0.2);
    };
    add("embeddings.word_embeddings.weight", {shape.vocab, shape.hidden}, 0, 1);
    add("embeddings.position_embeddings.weight", {shape.positions, shape.hidden}, 0, 1);
    add("embeddings.token_type_embeddings.weight", {shape.types, shape.hidden}, 0, 1);
    add_norm("embeddings.LayerNorm");
    for (std::int64_t i = 0; i < shape.layers; ++i) {
        const std::string name = "encoder.layer." + std::to_string(i) + ".";
        for (const char* part : {"query", "key", "value"}) {
            add_linear(name + "attention.self." + part, shape.hidden, shape.hidden);
        }
        add_linear(name + "attention.output.dense", shape.hidden, shape.hidden);
        add_norm(name + "attention.output.LayerNorm");
        add_linear(name + "intermediate.dense", shape.intermediate, shape.hidden);
        add_linear(name + "output.dense", shape.hidden, shape.intermediate);
        add_norm(name + "output.LayerNorm");
    }
    return tensors;
}

std::vector<std::vector<double>> bert_forward(const BertShape& shape, const Tensors& weights,
                                              const Sequence& sequence) {
    const Reference reference(shape, weights);
    Rows x = reference.embed(sequence);
    for (std::int64_t i = 0; i < shape.layers; ++i) {
        x = reference.layer("encoder.layer." + std::to_string(i) + ".", x);
    }
    return x;
}

Vector pooled(const std::vector<std::vector<double>>& tokens, const std::string& pooling,
              bool normalize) {
    std::vector<double> result = tokens.front();
    for (std::size_t i = 1; i < tokens.size() && pooling != "cls"; ++i) {
        for (std::size_t j = 0; j < result.size(); ++j) {
            result[j] =
                pooling == "max" ? std::max(result[j], tokens[i][j]) : result[j] + tokens[i][j];
        }
    }
    double length = 0;
    for (double& value : result) {
        if (pooling == "mean") value /= static_cast<double>(tokens.size());
        length += value * value;
    }
    if (normalize) {
        for (double& value : result)
            value /= std::sqrt(length);
    }
    return {result.begin(), result.end()};
}

}  // namespace penstock::plugins::torch::test
