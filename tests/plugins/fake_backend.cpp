// The inference backend `fake`, for tests of everything around a model: instant, deterministic,
// without weights.
//
// A sequence's embedding depends on its ids and type ids alone (never on its batch) and has length
// 1; texts that share tokens are near each other. The directory is not read. Members of the config,
// all optional:
//   width               columns of the embedding (8)
//   max_tokens          (512)
//   weight_bytes        what info() claims (0)
//   sleep_us_per_token  how long a batch takes, so that queues fill and time-outs strike (0)
//   per_token           true: one row for each token instead of one for the sequence (false)
//   fail_open           a reason: open() fails with it
//   fail_on_id          a token id: batches that hold it fail
#include <penstock_plugin.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using namespace penstock_sdk;

std::uint64_t mix(std::uint64_t x) {  // the finaliser of SplitMix64 (Steele, Lea, Flood 2014)
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/// From -1 to 1.
double coordinate(std::int32_t id, std::int32_t type, std::int64_t column) {
    const std::uint64_t seed = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(id)) << 32) |
                               static_cast<std::uint32_t>(type);
    const std::uint64_t bits = mix(mix(seed) + static_cast<std::uint64_t>(column));
    return static_cast<double>(bits >> 11) * 0x1.0p-52 - 1.0;
}

class FakeModel {
  public:
    FakeModel(std::string_view, const Json& config) : width_(integer(config, "width", 8)) {
        if (const Json* reason = config.find("fail_open"))
            throw std::runtime_error(*reason->string());
        max_tokens_ = integer(config, "max_tokens", 512);
        weight_bytes_ = integer(config, "weight_bytes", 0);
        sleep_ = std::chrono::microseconds(integer(config, "sleep_us_per_token", 0));
        fail_on_id_ = integer(config, "fail_on_id", -1);
        if (const Json* flag = config.find("per_token")) per_token_ = *flag->boolean();
    }

    ModelInfo info() const {
        return ModelInfo{static_cast<std::uint64_t>(weight_bytes_), max_tokens_, width_};
    }

    class Session {
      public:
        Session(const FakeModel& model, int threads) : model_(model) {
            if (threads < 1) throw std::invalid_argument("threads must be 1 or more");
        }

        void run(const Batch& batch, Result& result) const {
            result.clear(model_.width_);
            std::int64_t tokens = 0;
            for (std::size_t i = 0; i < batch.size(); ++i) {
                tokens += static_cast<std::int64_t>(batch.length(i));
                model_.embed(batch, i, result);
            }
            if (model_.sleep_.count() > 0) std::this_thread::sleep_for(model_.sleep_ * tokens);
        }

      private:
        const FakeModel& model_;
    };

  private:
    static std::int64_t integer(const Json& config, std::string_view name, std::int64_t otherwise) {
        const Json* value = config.find(name);
        return value && value->integer() ? *value->integer() : otherwise;
    }

    void embed(const Batch& batch, std::size_t i, Result& result) const {
        const std::size_t length = batch.length(i);
        if (length == 0 || length > static_cast<std::size_t>(max_tokens_)) {
            throw std::runtime_error("a sequence of " + std::to_string(length) +
                                     " tokens, of 1 to " + std::to_string(max_tokens_));
        }
        const std::int32_t* types = batch.type_ids(i);
        float* row = result.append(per_token_ ? static_cast<std::int64_t>(length) : 1);
        for (std::size_t t = 0; t < length; ++t) {
            const std::int32_t id = batch.ids(i)[t];
            if (id == fail_on_id_)
                throw std::runtime_error("token " + std::to_string(id) + " fails");
            for (std::int64_t c = 0; c < width_; ++c) {
                row[c] += static_cast<float>(coordinate(id, types ? types[t] : 0, c));
            }
            if (!per_token_ && t + 1 < length) continue;
            normalise(row);
            if (per_token_) row += width_;
        }
    }

    void normalise(float* row) const {
        double square = 0;
        for (std::int64_t c = 0; c < width_; ++c)
            square += static_cast<double>(row[c]) * row[c];
        const double length = std::sqrt(square);
        if (length == 0) return;
        for (std::int64_t c = 0; c < width_; ++c)
            row[c] = static_cast<float>(row[c] / length);
    }

    std::int64_t width_;
    std::int64_t max_tokens_ = 0;
    std::int64_t weight_bytes_ = 0;
    std::chrono::microseconds sleep_{0};
    std::int64_t fail_on_id_ = -1;
    bool per_token_ = false;
};

}  // namespace

PENSTOCK_PLUGIN("fake_backend", "1.0.0", backend<FakeModel>("fake"));
