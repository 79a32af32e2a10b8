#include "engine/inference/deployment_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace penstock::inference {
namespace {

using std::chrono::milliseconds;

constexpr int kMaxThreadsPerAllocation = 32;
constexpr int kMaxQueueCapacity = 1'000'000;
constexpr int kNormalBatchTokens = 512;
constexpr int kLowBatchTokens = 256;
constexpr int kGpuBatchTokens = 8192;

bool is_cpu(const DeploymentConfig& config) {
    return config.device == "cpu";
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

using Unit = std::pair<std::string_view, double>;

// "<number><unit>" with the first unit that is the text's end; longer units come first in the
// table.
std::optional<double> parse_with_unit(std::string_view text, std::span<const Unit> units) {
    const std::string all = lower(trim(text));
    if (all == "0") return 0.0;
    for (const auto& [suffix, factor] : units) {
        if (!all.ends_with(suffix)) continue;
        const std::string_view digits =
            trim(std::string_view(all).substr(0, all.size() - suffix.size()));
        double value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(),
                                                  value, std::chars_format::fixed);
        if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value) ||
            value < 0)
            return std::nullopt;
        return value * factor;
    }
    return std::nullopt;
}

bool is_deployment_id(std::string_view id) {
    if (id.empty() || id == "." || id == "..") return false;
    return std::all_of(id.begin(), id.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
    });
}

bool is_device(std::string_view device) {
    if (device == "cpu" || device == "cuda") return true;
    if (!device.starts_with("cuda:") || device.size() == 5 || device.size() > 8) return false;
    return std::all_of(device.begin() + 5, device.end(),
                       [](unsigned char c) { return std::isdigit(c) != 0; });
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, substituted}));
        }
    }
    return row[b.size()];
}

// Reads options by name into a configuration; each reader below is one row of the table in
// readers().
class Parser {
  public:
    ParsedDeploymentConfig parse(std::span<const DeploymentOption> options) {
        const auto table = readers();
        std::set<std::string_view> seen;
        for (const DeploymentOption& option : options) {
            const auto reader = table.find(option.name);
            if (reader == table.end()) {
                unknown(option.name, table);
            } else if (!seen.insert(option.name).second) {
                problem(option.name, "is given twice");
            } else {
                reader->second(option);
            }
        }
        DeploymentConfig& config = out_.config;
        if (config.deployment_id.empty()) config.deployment_id = config.model_id;
        if (config.adaptive_allocations.enabled) {
            if (seen.contains("number_of_allocations")) {
                problem("number_of_allocations",
                        "cannot be set while [adaptive_allocations] is enabled: it follows the "
                        "load");
            }
            config.number_of_allocations =
                std::max(1, config.adaptive_allocations.min_number_of_allocations.value_or(0));
        }
        // What could not be read has its default now; a second complaint about it would only
        // confuse.
        for (ConfigProblem& found : validate(config)) {
            const bool reported =
                std::any_of(out_.problems.begin(), out_.problems.end(),
                            [&](const auto& p) { return p.option == found.option; });
            if (!reported) out_.problems.push_back(std::move(found));
        }
        return std::move(out_);
    }

  private:
    using ReaderOf = std::function<void(const DeploymentOption&)>;
    using Table = std::map<std::string, ReaderOf, std::less<>>;

    Table readers() {
        DeploymentConfig& c = out_.config;
        return {
            {"deployment_id", text(c.deployment_id)},
            {"model_id", text(c.model_id)},
            {"device", text(c.device)},
            {"dtype", text(c.dtype)},
            {"number_of_allocations", integer([&c](int v) { c.number_of_allocations = v; })},
            {"threads_per_allocation", integer([&c](int v) { c.threads_per_allocation = v; })},
            {"queue_capacity", integer([&c](int v) { c.queue_capacity = v; })},
            {"max_batch_tokens", integer([&c](int v) { c.max_batch_tokens = v; })},
            {"cache_size", [this](auto& option) { cache_size(option); }},
            {"timeout", [this](auto& option) { timeout(option); }},
            {"priority", [this](auto& option) { priority(option); }},
            {"wait_for", [this](auto& option) { wait_for(option); }},
            {"clamp", boolean([&c](bool v) { c.clamp = v; })},
            {"adaptive_allocations.enabled",
             boolean([&c](bool v) { c.adaptive_allocations.enabled = v; })},
            {"adaptive_allocations.min_number_of_allocations",
             integer([&c](int v) { c.adaptive_allocations.min_number_of_allocations = v; })},
            {"adaptive_allocations.max_number_of_allocations",
             integer([&c](int v) { c.adaptive_allocations.max_number_of_allocations = v; })},
        };
    }

    void problem(const std::string& option, const std::string& message) {
        out_.problems.push_back({option, "[" + option + "] " + message});
    }

    void unknown(const std::string& option, const Table& table) {
        std::string_view nearest;
        std::size_t best = option.size() / 3 + 2;
        for (const auto& [known, reader] : table) {
            const std::size_t distance = edit_distance(option, known);
            if (distance < best) {
                best = distance;
                nearest = known;
            }
        }
        const std::string hint =
            nearest.empty() ? "" : "; did you mean [" + std::string(nearest) + "]?";
        out_.problems.push_back({option, "unknown parameter [" + option + "]" + hint});
    }

    ReaderOf text(std::string& out) {
        return [&out](const DeploymentOption& option) { out = option.value; };
    }

    ReaderOf integer(std::function<void(int)> set) {
        return [this, set](const DeploymentOption& option) {
            const std::string_view digits = trim(option.value);
            std::int64_t value = 0;
            const auto [end, error] =
                std::from_chars(digits.data(), digits.data() + digits.size(), value);
            if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) {
                return problem(option.name, "must be an integer, not [" + option.value + "]");
            }
            // Out of int's range is out of every parameter's range, too: validate() finds the right
            // words.
            constexpr std::int64_t kMost = std::numeric_limits<int>::max();
            const bool overflow = error == std::errc::result_out_of_range;
            if (overflow) value = digits.starts_with('-') ? -kMost : kMost;
            set(static_cast<int>(std::clamp(value, -kMost, kMost)));
        };
    }

    ReaderOf boolean(std::function<void(bool)> set) {
        return [this, set](const DeploymentOption& option) {
            if (option.value != "true" && option.value != "false") {
                return problem(option.name, "must be true or false, not [" + option.value + "]");
            }
            set(option.value == "true");
        };
    }

    void unreadable(const DeploymentOption& option, const std::string& as) {
        out_.problems.push_back({option.name, "failed to parse setting [" + option.name +
                                                  "] with value [" + option.value + "] as a " + as +
                                                  ": unit is missing or unrecognized"});
    }

    void cache_size(const DeploymentOption& option) {
        out_.config.cache_size = parse_byte_size(option.value);
        if (!out_.config.cache_size) unreadable(option, "size in bytes");
    }

    void timeout(const DeploymentOption& option) {
        const auto value = parse_duration(option.value);
        if (!value) return unreadable(option, "time value");
        out_.config.timeout = *value;
    }

    void priority(const DeploymentOption& option) {
        const std::string value = lower(option.value);
        if (value != "low" && value != "normal") {
            return problem(option.name, "must be normal or low, not [" + option.value + "]");
        }
        out_.config.priority =
            value == "low" ? DeploymentPriority::low : DeploymentPriority::normal;
    }

    void wait_for(const DeploymentOption& option) {
        const std::string value = lower(option.value);
        for (const WaitFor each : {WaitFor::starting, WaitFor::started, WaitFor::fully_allocated}) {
            if (value == name(each)) {
                out_.config.wait_for = each;
                return;
            }
        }
        problem(option.name,
                "must be starting, started or fully_allocated, not [" + option.value + "]");
    }

    ParsedDeploymentConfig out_;
};

}  // namespace

int batch_token_limit(const DeploymentConfig& config) {
    if (config.max_batch_tokens) return *config.max_batch_tokens;
    if (!is_cpu(config)) return kGpuBatchTokens;
    return config.priority == DeploymentPriority::low ? kLowBatchTokens : kNormalBatchTokens;
}

ParsedDeploymentConfig parse_deployment_config(std::span<const DeploymentOption> options) {
    return Parser().parse(options);
}

std::vector<ConfigProblem> validate(const DeploymentConfig& config) {
    std::vector<ConfigProblem> problems;
    const auto require = [&](bool holds, const char* option, const std::string& message) {
        if (!holds) problems.push_back({option, "[" + std::string(option) + "] " + message});
    };
    const int threads = config.threads_per_allocation;
    const bool low = config.priority == DeploymentPriority::low;

    require(!config.model_id.empty(), "model_id", "must not be null");
    require(config.model_id.empty() || is_deployment_id(config.deployment_id), "deployment_id",
            "can contain alphanumeric characters (a-z, A-Z and 0-9), hyphens, underscores and "
            "dots, not [" +
                config.deployment_id + "]");
    require(config.number_of_allocations >= 1, "number_of_allocations",
            "must be a positive integer");
    const AdaptiveAllocations& adaptive = config.adaptive_allocations;
    const int least = adaptive.min_number_of_allocations.value_or(0);
    require(least >= 0, "min_number_of_allocations", "must be a non-negative integer");
    require(adaptive.max_number_of_allocations.value_or(1) >= 1, "max_number_of_allocations",
            "must be a positive integer or null");
    require(!adaptive.max_number_of_allocations || least <= *adaptive.max_number_of_allocations,
            "min_number_of_allocations", "must not be larger than [max_number_of_allocations]");
    require(!low || !adaptive.enabled, "adaptive_allocations",
            "cannot be enabled when [priority] is low");
    require(threads >= 1, "threads_per_allocation", "must be a positive integer");
    require(
        threads < 1 || (threads <= kMaxThreadsPerAllocation && (threads & (threads - 1)) == 0),
        "threads_per_allocation",
        "must be a power of 2 less than or equal to " + std::to_string(kMaxThreadsPerAllocation));
    require(config.queue_capacity >= 1, "queue_capacity", "must be a positive integer");
    // The limit itself is allowed: the words are Elasticsearch's.
    require(config.queue_capacity <= kMaxQueueCapacity, "queue_capacity",
            "must be less than " + std::to_string(kMaxQueueCapacity));
    require(config.timeout > milliseconds::zero(), "timeout", "must be positive");
    require(!low || config.number_of_allocations <= 1, "number_of_allocations",
            "must be 1 when [priority] is low");
    require(!low || threads <= 1, "threads_per_allocation", "must be 1 when [priority] is low");
    require(!config.max_batch_tokens || *config.max_batch_tokens >= 1, "max_batch_tokens",
            "must be a positive integer");
    require(is_device(config.device), "device",
            "must be cpu, cuda or cuda:N, not [" + config.device + "]");
    require(config.dtype == "auto" || config.dtype == "float32" || config.dtype == "float16",
            "dtype", "must be auto, float32 or float16, not [" + config.dtype + "]");
    return problems;
}

std::string validation_message(std::span<const ConfigProblem> problems) {
    std::string message = "Validation Failed: ";
    for (std::size_t i = 0; i < problems.size(); ++i) {
        message += std::to_string(i + 1) + ": " + problems[i].message + ";";
    }
    return message;
}

std::optional<std::uint64_t> parse_byte_size(std::string_view text) {
    constexpr double kKilo = 1024;
    static constexpr std::array<Unit, 11> kUnits{{
        {"kb", kKilo},
        {"mb", kKilo * kKilo},
        {"gb", kKilo * kKilo * kKilo},
        {"tb", kKilo * kKilo * kKilo * kKilo},
        {"pb", kKilo * kKilo * kKilo * kKilo * kKilo},
        {"k", kKilo},
        {"m", kKilo * kKilo},
        {"g", kKilo * kKilo * kKilo},
        {"t", kKilo * kKilo * kKilo * kKilo},
        {"p", kKilo * kKilo * kKilo * kKilo * kKilo},
        {"b", 1},
    }};
    const auto bytes = parse_with_unit(text, kUnits);
    constexpr double kMost = 9.2e18;  // within a signed 64-bit number, as the statistics show it
    if (!bytes || *bytes > kMost) return std::nullopt;
    return static_cast<std::uint64_t>(*bytes);
}

std::optional<milliseconds> parse_duration(std::string_view text) {
    static constexpr std::array<Unit, 5> kUnits{{
        {"ms", 1},
        {"s", 1000},
        {"m", 60'000},
        {"h", 3'600'000},
        {"d", 86'400'000},
    }};
    const auto value = parse_with_unit(text, kUnits);
    constexpr double kMost = 86'400'000.0 * 365 * 100;
    if (!value || *value > kMost) return std::nullopt;
    return milliseconds(static_cast<std::int64_t>(std::llround(*value)));
}

std::string format_duration(milliseconds duration) {
    static constexpr std::array<std::pair<std::int64_t, std::string_view>, 4> kUnits{
        {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}}};
    const std::int64_t count = duration.count();
    for (const auto& [size, suffix] : kUnits) {
        if (count < size) continue;
        const std::int64_t tenths = count * 10 / size;
        std::string text = std::to_string(tenths / 10);
        if (tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
        return text + std::string(suffix);
    }
    return std::to_string(count) + "ms";
}

std::string_view name(DeploymentPriority priority) {
    return priority == DeploymentPriority::low ? "low" : "normal";
}

std::string_view name(WaitFor wait_for) {
    switch (wait_for) {
        case WaitFor::starting:
            return "starting";
        case WaitFor::started:
            return "started";
        case WaitFor::fully_allocated:
            break;
    }
    return "fully_allocated";
}

}  // namespace penstock::inference
