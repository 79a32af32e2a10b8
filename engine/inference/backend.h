// The interface of an inference backend: what runs a model's forward pass. Concrete backends are
// plugins.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::inference {

/// Token sequences laid end to end, without padding: sequence i is ids[offsets[i]] ..
/// ids[offsets[i+1]-1].
struct PackedBatch {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> type_ids;  ///< empty when all are 0

    std::size_t sequences() const { return offsets.size() - 1; }
    std::size_t tokens() const { return ids.size(); }
    void clear() {
        offsets.assign(1, 0);
        ids.clear();
        type_ids.clear();
    }
};

/// Sequence i's output: rows[i] x width floats, row-major, from data + offsets[i]. Borrowed from
/// the session until its next run.
struct BatchResult {
    const float* data = nullptr;
    std::span<const std::int64_t> offsets;
    std::span<const std::int64_t> rows;
    std::int64_t width = 0;
};

struct ModelInfo {
    std::uint64_t weight_bytes = 0;  ///< the one shared copy
    std::int64_t max_tokens = 0;     ///< longest sequence, special tokens included
    std::int64_t output_width = 0;   ///< columns of a result, e.g. the embedding's dimensions
};

/// One allocation: scratch memory and compute threads of its own over shared weights. Used by one
/// thread at a time; sessions of one model may run at the same time.
class Session {
  public:
    virtual ~Session() = default;
    /// Runs one batch of at least one sequence, each 1..max_tokens long. Throws penstock::Error,
    /// and then no sequence has a result.
    virtual BatchResult run(const PackedBatch& batch) = 0;
};

/// A loaded model: one copy of its weights, shared by its sessions, which must not outlive it (they
/// hold a shared_ptr to it). Thread-safe.
class BackendModel {
  public:
    virtual ~BackendModel() = default;
    virtual ModelInfo info() const = 0;
    virtual std::unique_ptr<Session> open_session(int threads) = 0;
};

/// Loads models. `config` is the JSON object that penstock_backend.open describes (plugins/sdk).
class Backend {
  public:
    virtual ~Backend() = default;
    virtual std::string_view name() const = 0;
    virtual std::shared_ptr<BackendModel> open(const std::string& directory,
                                               std::string_view config) = 0;
};

}  // namespace penstock::inference
