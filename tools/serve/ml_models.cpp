#include "tools/serve/ml_models.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "engine/document/json.h"
#include "tools/serve/json_body.h"
#include "tools/serve/timestamp.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using document::Value;
using inference::Deployment;
using inference::DeploymentConfig;
using inference::DeploymentState;

ApiError api_error(const inference::InferenceError& error) {
    return {error.status(), error.type(), error.what()};
}

ApiError api_error(const inference::InferError& error) {
    return ApiError(error.status, error.type, error.reason).retry_after(error.retry_after_seconds);
}

// ---- models

Models::Models(Node& node)
    : node_(node),
      uploads_(node.data / "models"),
      registry_(node.data),
      aliases_(node.data / "model-aliases.json"),
      endpoints_(node.data / "inference-endpoints.json") {}

std::map<std::string, std::string, std::less<>> Models::aliases() const {
    std::map<std::string, std::string, std::less<>> aliases;
    for (const auto& [alias, json] : aliases_.read()) {
        JsonBody state;
        state.parse(json);
        const Value* model = state.find("model_id");
        if (model != nullptr && model->is_string()) aliases.emplace(alias, model->as_string());
    }
    return aliases;
}

void Models::put_alias(const std::string& alias, const std::string& model_id) {
    std::string state;
    JsonWriter json(state);
    json.object([&] { json.member("model_id", model_id); });
    aliases_.put(alias, state);
    publish_aliases();
}

bool Models::remove_alias(const std::string& alias) {
    const bool removed = aliases_.remove(alias);
    publish_aliases();
    return removed;
}

void Models::publish_aliases() const {
    node_.deployments->set_model_aliases(aliases());
}

ModelView Models::view(inference::ModelSummary files,
                       const std::map<std::string, std::string, std::less<>>& aliases) const {
    ModelView view;
    view.files = std::move(files);
    for (const auto& [alias, model] : aliases) {
        if (model == view.id()) view.aliases.push_back(alias);
    }
    // One broken description must not hide all other models.
    const auto broken = [&](const std::exception& error) {
        view.files.state = inference::ModelState::invalid;
        view.files.reason = error.what();
        view.description = {};
        view.description.id = view.id();
        view.description.inference_config = "{}";
    };
    try {
        auto uploaded = uploads_.describe(view.id());
        view.description = uploaded ? std::move(*uploaded) : describe_directory(view.files);
    } catch (const Error& error) {
        broken(error);
    } catch (const ApiError& error) {
        broken(error);
    }
    return view;
}

std::vector<ModelView> Models::list() const {
    const auto names = aliases();
    std::vector<ModelView> all;
    for (inference::ModelSummary& files : node_.models->list())
        all.push_back(view(std::move(files), names));
    return all;
}

ModelView Models::find(std::string_view id_or_alias) const {
    const auto names = aliases();
    const auto alias = names.find(id_or_alias);
    const std::string id = alias == names.end() ? std::string(id_or_alias) : alias->second;
    try {
        return view(node_.models->describe(id), names);
    } catch (const inference::InferenceError& error) {
        if (error.status() != 404) throw;
        throw resource_not_found("No known trained model with model_id [" +
                                 std::string(id_or_alias) + "]");
    }
}

std::vector<ModelView> Models::expand(std::string_view expression, bool allow_no_match) const {
    std::vector<std::string> patterns = split_list(expression);
    if (patterns.empty() || expression == "_all") patterns = {"*"};
    std::vector<ModelView> all = list();
    std::vector<bool> chosen(all.size(), false);
    for (const std::string& pattern : patterns) {
        bool matched = false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto fits = [&](const std::string& name) {
                return matches_wildcard(pattern, name);
            };
            if (!fits(all[i].id()) &&
                std::none_of(all[i].aliases.begin(), all[i].aliases.end(), fits))
                continue;
            chosen[i] = matched = true;
        }
        const bool wildcard = pattern.find('*') != std::string::npos;
        if (!matched && !(wildcard && allow_no_match))
            throw resource_not_found("No known trained model with model_id [" + pattern + "]");
    }
    std::vector<ModelView> found;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (chosen[i]) found.push_back(std::move(all[i]));
    }
    return found;
}

// ---- pipelines that use them

namespace {

/// Processors that take a deployment, and the option that names it.
void collect_names(const Value& value, std::set<std::string>& names) {
    if (value.is_array()) {
        for (const Value& item : value.as_array())
            collect_names(item, names);
    }
    if (!value.is_object()) return;
    for (const document::Member& one : value.as_object()) {
        const bool takes_model = one.key() == "inference" || one.key() == "chunk";
        const Value* name = takes_model && one.value.is_object()
                                ? member(one.value.as_object(), "model_id")
                                : nullptr;
        if (name != nullptr && name->is_string()) names.emplace(name->as_string());
        collect_names(one.value, names);
    }
}

}  // namespace

ModelUses model_uses(const Node& node) {
    ModelUses uses;
    for (const StoredPipeline& stored : node.pipelines->match({"*"})) {
        JsonBody config;
        config.parse(stored.config);
        std::set<std::string> names;
        for (const document::Member& one : config.root())
            collect_names(one.value, names);
        if (!names.empty()) uses.emplace(stored.id, std::move(names));
    }
    return uses;
}

std::vector<std::string> pipelines_with(const ModelUses& uses, const std::set<std::string>& names) {
    std::vector<std::string> found;
    for (const auto& [pipeline, used] : uses) {
        if (std::any_of(used.begin(), used.end(), [&](auto& name) { return names.contains(name); }))
            found.push_back(pipeline);
    }
    return found;
}

std::vector<std::string> pipelines_of(const Node& node, const ModelUses& uses,
                                      const Deployment& deployment) {
    std::vector<std::string> found;
    for (const auto& [pipeline, used] : uses) {
        const auto means_it = [&](const std::string& name) {
            return node.deployments->resolve(name).get() == &deployment;
        };
        if (std::any_of(used.begin(), used.end(), means_it)) found.push_back(pipeline);
    }
    return found;
}

// ---- deployments

namespace {

/// Elasticsearch knows no stopped or fully allocated assignment.
std::string_view assignment_state(DeploymentState state) {
    switch (state) {
        case DeploymentState::started:
        case DeploymentState::fully_allocated:
            return "started";
        case DeploymentState::stopped:
            return "stopping";
        default:
            return inference::name(state);
    }
}

std::uint64_t model_bytes(const Node& node, const std::string& model_id) {
    try {
        return node.models->describe(model_id).model_size_bytes;
    } catch (const inference::InferenceError&) {
        return 0;  // its files are gone while it runs
    }
}

}  // namespace

void write_adaptive_allocations(JsonWriter& json, const inference::AdaptiveAllocations& adaptive) {
    if (!adaptive.enabled) return;
    json.member_object("adaptive_allocations", [&] {
        json.member("enabled", true);
        if (adaptive.min_number_of_allocations)
            json.member("min_number_of_allocations", *adaptive.min_number_of_allocations);
        if (adaptive.max_number_of_allocations)
            json.member("max_number_of_allocations", *adaptive.max_number_of_allocations);
    });
}

void write_assignment(JsonWriter& json, const Node& node, const Deployment& deployment) {
    const DeploymentConfig config = deployment.config();
    const inference::DeploymentStats stats = deployment.stats();
    const std::uint64_t bytes = model_bytes(node, config.model_id);
    const std::string_view state = assignment_state(deployment.state());
    json.object([&] {
        json.member_object("task_parameters", [&] {
            json.member("model_id", config.model_id);
            json.member("deployment_id", config.deployment_id);
            json.member("model_bytes", bytes);
            json.member("threads_per_allocation", config.threads_per_allocation);
            json.member("number_of_allocations", config.number_of_allocations);
            json.member("queue_capacity", config.queue_capacity);
            json.member("cache_size", std::to_string(config.cache_size.value_or(bytes)) + "b");
            json.member("priority", inference::name(config.priority));
            json.member("per_deployment_memory_bytes", bytes);
            json.member("per_allocation_memory_bytes", 0);
        });
        json.member_object("routing_table", [&] {
            json.member_object(node.id, [&] {
                json.member("current_allocations", stats.allocation_count);
                json.member("target_allocations", stats.target_allocation_count);
                json.member("routing_state", state);
                json.member("reason", stats.reason);
            });
        });
        json.member("assignment_state", state);
        if (!stats.reason.empty()) json.member("reason", stats.reason);
        json.member("start_time", timestamp(std::chrono::system_clock::time_point(
                                      std::chrono::milliseconds(stats.start_time))));
        json.member("max_assigned_allocations", stats.allocation_count);
        write_adaptive_allocations(json, config.adaptive_allocations);
    });
}

asio::awaitable<void> wait_for_start(std::shared_ptr<Deployment> deployment,
                                     DeploymentConfig config) {
    constexpr std::chrono::milliseconds pause(10);
    constexpr std::chrono::milliseconds at_once(0);
    const auto deadline = std::chrono::steady_clock::now() + config.timeout;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!deployment->wait_until(config.wait_for, at_once)) {
        const DeploymentState state = deployment->state();
        const std::string reason = deployment->reason();
        if (state == DeploymentState::failed) {
            throw ApiError(400, "status_exception",
                           "Could not start deployment [" + config.deployment_id + "]: " + reason);
        }
        if (state == DeploymentState::stopping || state == DeploymentState::stopped) {
            throw ApiError(409, "status_exception",
                           "deployment [" + config.deployment_id + "] was stopped as it started");
        }
        if (state == DeploymentState::started && !reason.empty()) {
            throw ApiError(429, "status_exception",
                           "deployment [" + config.deployment_id +
                               "] runs, but not with all of its allocations: " + reason);
        }
        if (std::chrono::steady_clock::now() >= deadline) {
            throw ApiError(408, "status_exception",
                           "Timed out after [" + inference::format_duration(config.timeout) +
                               "] waiting for deployment [" + config.deployment_id +
                               "] to start; it goes on starting");
        }
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<std::shared_ptr<Deployment>> start_deployment(std::shared_ptr<Models> models,
                                                              DeploymentConfig config) {
    DeploymentConfig begun = config;
    begun.wait_for = inference::WaitFor::starting;
    Node& node = models->node();
    const auto deployment = co_await blocking(node, [&] {
        auto started = node.deployments->start(begun).deployment;
        models->registry().remember(started->config());
        return started;
    });
    std::exception_ptr failure;
    try {
        co_await wait_for_start(deployment, config);
    } catch (const ApiError&) {
        failure = std::current_exception();
    }
    // What failed is not to be tried again by every restart.
    if (failure && deployment->state() == DeploymentState::failed)
        co_await blocking(node, [&] { models->registry().forget(config.deployment_id); });
    if (failure) std::rethrow_exception(failure);
    co_return deployment;
}

namespace {

constexpr std::chrono::seconds kDrainTime{30};
constexpr std::chrono::milliseconds kBetweenLooks{10};
constexpr std::chrono::milliseconds kAtOnce{0};

/// Stops a deployment that takes no new work any more, when it has done what it has accepted.
asio::awaitable<void> drain(std::weak_ptr<inference::Deployments> deployments,
                            std::shared_ptr<Deployment> deployment,
                            asio::any_io_executor blocking_pool) {
    const auto deadline = std::chrono::steady_clock::now() + kDrainTime;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!deployment->is_idle() && std::chrono::steady_clock::now() < deadline) {
        timer.expires_after(kBetweenLooks);
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_await runtime::call_on(blocking_pool, [&] {
        if (const auto all = deployments.lock())
            all->stop(deployment, inference::StopMode::drain, kAtOnce);
        return true;
    });
}

}  // namespace

asio::awaitable<void> stop_deployments(Node& node,
                                       std::vector<std::shared_ptr<Deployment>> deployments,
                                       inference::StopMode mode) {
    if (mode == inference::StopMode::fail) {
        co_await blocking(node, [&] {
            for (const auto& deployment : deployments)
                node.deployments->stop(deployment, mode, kAtOnce);
        });
        co_return;
    }
    for (const auto& deployment : deployments) {
        deployment->begin_stop();
        asio::co_spawn(node.runtime->cpu(),
                       drain(node.deployments, deployment, node.runtime->blocking()),
                       asio::detached);
    }
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (const auto& deployment : deployments) {
        while (node.deployments->find(deployment->id()) == deployment) {
            timer.expires_after(kBetweenLooks);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }
}

void require_results(const inference::InferResult& result) {
    constexpr int queue_full = 429;
    const inference::InferError* worst = nullptr;
    for (const inference::InferItem& item : result.items) {
        if (!item.error) continue;
        if (worst == nullptr || (item.error->status == queue_full && worst->status != queue_full))
            worst = &*item.error;
    }
    if (worst != nullptr) throw api_error(*worst);
}

void write_embedding(JsonWriter& json, std::span<const float> embedding) {
    json.array([&] {
        for (const float number : embedding) {
            // The double nearest to the float's shortest text, so that it is written as 0.1 and
            // not as 0.10000000149011612.
            std::array<char, 32> text{};
            const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
            double value = 0;
            std::from_chars(text.data(), end, value);
            json.value(value);
        }
    });
}

}  // namespace penstock::serve
