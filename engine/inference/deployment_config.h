// The parameters of a deployment: names, defaults and limits of Elasticsearch's start API, and a
// few of our own.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::inference {

/// A low-priority deployment has one allocation of one thread, which the operating system schedules
/// behind others, and short batches.
enum class DeploymentPriority { normal, low };

/// What a start waits for: nothing, the first allocation, all allocations.
enum class WaitFor { starting, started, fully_allocated };

/// Allocations that follow the load; see AllocationScaler.
struct AdaptiveAllocations {
    bool enabled = false;
    std::optional<int>
        min_number_of_allocations;  ///< 0 when absent: none after a day of no request
    std::optional<int> max_number_of_allocations;

    friend bool operator==(const AdaptiveAllocations&, const AdaptiveAllocations&) = default;
};

struct DeploymentConfig {
    std::string deployment_id;  ///< unique in a process; the model_id when not given
    std::string model_id;
    int number_of_allocations = 1;             ///< batches that run at the same time: throughput
    AdaptiveAllocations adaptive_allocations;  ///< enabled, it sets the number
    int threads_per_allocation =
        1;  ///< threads of one batch: speed of a single text; a power of 2, at most 32
    int queue_capacity = 1024;  ///< texts that may wait, 1 to 1,000,000
    std::optional<std::uint64_t>
        cache_size;  ///< bytes; the model's size when absent; 0 turns the cache off
    DeploymentPriority priority = DeploymentPriority::normal;
    std::optional<int> max_batch_tokens;  ///< see batch_token_limit
    std::chrono::milliseconds timeout{
        30'000};  ///< how long a start waits; a late one goes on in the background
    WaitFor wait_for = WaitFor::started;
    std::string device = "cpu";  ///< "cpu" or "cuda:N"
    std::string dtype = "auto";  ///< auto (the model's manifest), float32 or float16
    bool clamp = false;  ///< take fewer allocations or threads when not enough processors are free,
                         ///< do not refuse

    friend bool operator==(const DeploymentConfig&, const DeploymentConfig&) = default;
};

/// Tokens in one batch when max_batch_tokens is not given. On one CPU core 128 to 1024 tokens make
/// no visible difference (packed, MiniLM-L6 shape), so that small batches with little waiting win;
/// a GPU needs large ones.
int batch_token_limit(const DeploymentConfig& config);

struct ConfigProblem {
    std::string option;   ///< the parameter's name
    std::string message;  ///< complete, with the name in brackets as Elasticsearch writes it
};

/// One parameter as a person wrote it: from a configuration file, a query string or a request's
/// body. "adaptive_allocations.enabled" names a nested one.
struct DeploymentOption {
    std::string name;
    std::string value;
};

struct ParsedDeploymentConfig {
    DeploymentConfig config;
    std::vector<ConfigProblem>
        problems;  ///< all of them; config is to be used only when there are none
};

/// Reads and validates. With adaptive allocations the number begins at their minimum, at least 1.
ParsedDeploymentConfig parse_deployment_config(std::span<const DeploymentOption> options);
/// All that is wrong with a configuration by itself (whether it fits the machine is for Deployments
/// to say).
std::vector<ConfigProblem> validate(const DeploymentConfig& config);
/// "Validation Failed: 1: ...;2: ...;" as Elasticsearch joins them.
std::string validation_message(std::span<const ConfigProblem> problems);

/// "512b", "4kb", "1.5gb" (b, k, kb, m, mb, g, gb, t, tb, p, pb in any case; "0" needs no unit).
/// Elasticsearch's rule.
std::optional<std::uint64_t> parse_byte_size(std::string_view text);
/// "500ms", "30s", "2m", "1h", "1d"; "0" needs no unit.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// "30s", "1.5m": the largest unit with at most one decimal, as Elasticsearch's TimeValue writes
/// it.
std::string format_duration(std::chrono::milliseconds duration);

std::string_view name(DeploymentPriority priority);
std::string_view name(WaitFor wait_for);

}  // namespace penstock::inference
