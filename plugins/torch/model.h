#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::plugins::torch {

/// Sequences of token ids without padding, borrowed for one call: sequence i has the tokens
/// ids[offsets[i]] .. ids[offsets[i + 1]]. `type_ids` is empty when all are 0.
struct TokenBatch {
    std::span<const std::int64_t> offsets;
    std::span<const std::int32_t> ids;
    std::span<const std::int32_t> type_ids;

    std::size_t sequences() const { return offsets.size() - 1; }
    std::int64_t length(std::size_t sequence) const {
        return offsets[sequence + 1] - offsets[sequence];
    }
};

/// Results of one batch: sequence i has rows[i] rows of `width` floats from data[offsets[i]].
struct Output {
    std::vector<float> data;
    std::vector<std::int64_t> offsets;
    std::vector<std::int64_t> rows;
    std::int64_t width = 0;

    /// Makes room for one result per sequence, of `rows_of(i)` rows each. Keeps its capacity.
    template <typename RowsOf>
    void reset(std::size_t sequences, std::int64_t new_width, RowsOf rows_of) {
        width = new_width;
        offsets.resize(sequences);
        rows.resize(sequences);
        std::int64_t end = 0;
        for (std::size_t i = 0; i < sequences; ++i) {
            offsets[i] = end;
            rows[i] = rows_of(i);
            end += rows[i] * width;
        }
        data.resize(static_cast<std::size_t>(end));
    }
};

struct ModelInfo {
    std::uint64_t weight_bytes = 0;
    std::int64_t max_tokens = 0;
    std::int64_t output_width = 0;
};

/// A loaded model: the one copy of the weights that all its sessions share. Immutable, so run() may
/// be called by any number of threads at once.
class Model {
  public:
    virtual ~Model() = default;

    virtual const ModelInfo& info() const = 0;
    /// Runs a batch with the calling thread's number of compute threads (see ComputeThreads). The
    /// batch has been checked against info().max_tokens. Throws ModelError, or what libtorch
    /// throws.
    virtual void run(const TokenBatch& batch, Output& output) const = 0;
};

/// Opens the model in `directory`; `options` is the JSON object that README.md
/// documents. Throws ModelError.
std::unique_ptr<Model> open_model(const std::string& directory, const std::string& options);

}  // namespace penstock::plugins::torch
