// What callers ask of a deployment and what they get.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/inference/task.h"

namespace penstock::inference {

/// What to do with a text of more tokens than the model takes: cut its end off (and mark the item),
/// or fail it.
enum class Truncate { first, none };
/// Which of the model's prefix strings goes before each text (asymmetric models: "passage: ",
/// "query: ").
enum class PrefixKind { none, ingest, search };
/// What to do when the queue is full: wait for room until the time-out (jobs: back-pressure), or
/// fail what does not fit with 429 at once (APIs).
enum class Admission { wait, reject };
/// High overtakes normal at batch boundaries, within one deployment.
enum class RequestPriority { normal, high };

struct InferOptions {
    std::optional<Truncate> truncate;  ///< the model's default when absent
    PrefixKind prefix = PrefixKind::none;
    Admission admission = Admission::wait;
    RequestPriority priority = RequestPriority::normal;
    std::chrono::milliseconds timeout{
        10'000};  ///< for the whole request; what is not done then fails with 408
};

/// When a request made now must be answered. A time-out beyond a year is a year, so that no clock
/// overflows.
inline std::chrono::steady_clock::time_point deadline_of(const InferOptions& options) {
    constexpr std::chrono::milliseconds kYear = std::chrono::hours(24 * 365);
    return std::chrono::steady_clock::now() + std::min(options.timeout, kYear);
}

/// All texts of a caller at once: a document's fields, a batch of documents, chunks. The texts are
/// read before submit returns (or before the awaitable first suspends) and need not live longer.
struct InferRequest {
    std::span<const std::string_view> texts;
    InferOptions options;
};

/// Why one text has no result, with the status and type that Elasticsearch's API gives.
struct InferError {
    int status = 500;             ///< 400, 404, 408, 409, 429, 500 or 503
    std::string type;             ///< "status_exception", "resource_not_found_exception", ...
    std::string reason;           ///< for people
    int retry_after_seconds = 0;  ///< with 429 and 503: when to try again
};

/// The answer for one text: `output` or `error`, never both.
struct InferItem {
    std::shared_ptr<const TaskOutput> output;
    std::optional<InferError> error;
    std::uint32_t tokens = 0;   ///< in the text with prefix and special tokens, before truncation
    bool is_truncated = false;  ///< the model did not see the end of the text
    bool from_cache = false;

    bool ok() const { return output != nullptr; }
    /// The vector of a text_embedding result; empty when there is none. Lives as long as `output`.
    std::span<const float> embedding() const {
        if (!output) return {};
        const auto* embedding = std::get_if<TextEmbedding>(output.get());
        return embedding ? std::span<const float>(embedding->values) : std::span<const float>();
    }
};

struct InferResult {
    std::vector<InferItem> items;  ///< one for each text, in the request's order
};

}  // namespace penstock::inference
