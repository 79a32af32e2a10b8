#include "tools/serve/deployment_registry.h"

#include <spdlog/spdlog.h>

#include <vector>

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/runtime/error.h"

namespace penstock::serve {

namespace {

using inference::DeploymentConfig;
using inference::DeploymentOption;

std::string to_json(const DeploymentConfig& config) {
    std::string out;
    document::JsonWriter json(out);
    // Every value is text: these are the options that parse_deployment_config reads back.
    json.object([&] {
        json.member("deployment_id", config.deployment_id);
        json.member("model_id", config.model_id);
        if (const auto& adaptive = config.adaptive_allocations; adaptive.enabled) {
            json.member("adaptive_allocations.enabled", "true");
            if (adaptive.min_number_of_allocations)
                json.member("adaptive_allocations.min_number_of_allocations",
                            std::to_string(*adaptive.min_number_of_allocations));
            if (adaptive.max_number_of_allocations)
                json.member("adaptive_allocations.max_number_of_allocations",
                            std::to_string(*adaptive.max_number_of_allocations));
        } else {
            json.member("number_of_allocations", std::to_string(config.number_of_allocations));
        }
        json.member("threads_per_allocation", std::to_string(config.threads_per_allocation));
        json.member("queue_capacity", std::to_string(config.queue_capacity));
        if (config.cache_size) json.member("cache_size", std::to_string(*config.cache_size) + "b");
        json.member("priority", inference::name(config.priority));
        if (config.max_batch_tokens)
            json.member("max_batch_tokens", std::to_string(*config.max_batch_tokens));
        json.member("device", config.device);
        json.member("dtype", config.dtype);
    });
    return out;
}

DeploymentConfig from_json(const std::string& text) {
    document::Arena arena;
    document::JsonParser parser;
    document::JsonError error;
    document::Value value;
    if (!parser.parse(text, arena, value, error) || !value.is_object())
        throw Error("its remembered parameters are damaged: " + error.text());
    std::vector<DeploymentOption> options;
    for (const document::Member& member : value.as_object()) {
        options.push_back({std::string(member.key()), ""});
        document::append_java_string(member.value, options.back().value);
    }
    const auto parsed = inference::parse_deployment_config(options);
    if (!parsed.problems.empty()) throw Error(inference::validation_message(parsed.problems));
    return parsed.config;
}

}  // namespace

DeploymentRegistry::DeploymentRegistry(const std::filesystem::path& data)
    : file_(data / "started-deployments.json") {}

void DeploymentRegistry::remember(const DeploymentConfig& config) const {
    file_.put(config.deployment_id, to_json(config));
}

void DeploymentRegistry::forget(const std::string& deployment_id) const {
    file_.remove(deployment_id);
}

void DeploymentRegistry::start_all(inference::Deployments& deployments) const {
    for (const auto& [id, text] : file_.read()) {
        try {
            DeploymentConfig config = from_json(text);
            config.wait_for = inference::WaitFor::starting;
            deployments.ensure(std::move(config));
        } catch (const Error& error) {
            spdlog::error("deployment [{}], which ran before, is not started: {}", id,
                          error.what());
        }
    }
}

}  // namespace penstock::serve
