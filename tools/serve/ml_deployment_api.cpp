// Deployments of trained models: start, update, stop.
#include <algorithm>
#include <chrono>
#include <optional>

#include "engine/document/json.h"
#include "engine/inference/deployment_config.h"
#include "tools/serve/json_body.h"
#include "tools/serve/ml_models.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using document::Value;
using inference::Deployment;
using inference::DeploymentConfig;
using inference::DeploymentOption;

namespace {

using ModelsPtr = std::shared_ptr<Models>;

/// Of a start; the body takes the same and adaptive_allocations.
const std::vector<std::string>& start_parameters() {
    static const std::vector<std::string> names{"deployment_id",
                                                "number_of_allocations",
                                                "threads_per_allocation",
                                                "queue_capacity",
                                                "cache_size",
                                                "priority",
                                                "timeout",
                                                "wait_for",
                                                "max_batch_tokens",
                                                "device",
                                                "dtype",
                                                "clamp"};
    return names;
}

std::string text_of(const Value& value) {
    std::string text;
    document::append_java_string(value, text);
    return text;
}

/// Query and body as options; a nested member of the body has its path as name.
std::vector<DeploymentOption> read_options(const Request& request, const JsonBody& body) {
    std::vector<DeploymentOption> options;
    for (const std::string& name : start_parameters()) {
        const std::string* value = request.query.find(name);
        if (value != nullptr) options.push_back({name, *value});
    }
    for (const document::Member& one : body.root()) {
        const std::string name(one.key());
        if (one.value.is_object()) {
            for (const document::Member& inner : one.value.as_object())
                options.push_back({name + "." + std::string(inner.key()), text_of(inner.value)});
        } else if (!one.value.is_null()) {
            options.push_back({name, text_of(one.value)});
        }
    }
    return options;
}

DeploymentConfig read_config(const std::vector<DeploymentOption>& options) {
    inference::ParsedDeploymentConfig parsed = inference::parse_deployment_config(options);
    if (parsed.problems.empty()) return std::move(parsed.config);
    throw ApiError(400, "action_request_validation_exception",
                   inference::validation_message(parsed.problems));
}

std::string assignment_json(const Node& node, const Deployment& deployment) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.key("assignment");
        write_assignment(json, node, deployment);
    });
    return out;
}

// ---- start

asio::awaitable<Response> start(Request& request, ModelsPtr models) {
    JsonBody body;
    co_await body.read(request);
    Node& node = models->node();
    const std::string model_id =
        co_await blocking(node, [&] { return models->find(request.part("id")).id(); });
    std::vector<DeploymentOption> options = read_options(request, body);
    options.push_back({"model_id", model_id});
    const DeploymentConfig config = read_config(options);
    const auto deployment = co_await start_deployment(models, config);
    co_return Response::json(
        co_await blocking(node, [&] { return assignment_json(node, *deployment); }));
}

// ---- update

/// What a running deployment can change: one or the other.
struct AllocationChange {
    std::optional<int> number;
    std::optional<inference::AdaptiveAllocations> adaptive;
};

AllocationChange read_change(const Request& request, const JsonBody& body) {
    std::vector<DeploymentOption> options = read_options(request, body);
    bool number = false;
    bool adaptive = false;
    for (const DeploymentOption& option : options) {
        if (option.name == "number_of_allocations") {
            number = true;
        } else if (option.name.starts_with("adaptive_allocations.")) {
            adaptive = true;
        } else {
            throw illegal_argument("[" + option.name +
                                   "] cannot be changed while the deployment runs; only "
                                   "[number_of_allocations] and [adaptive_allocations] can");
        }
    }
    options.push_back({"model_id", request.part("id")});
    const DeploymentConfig config = read_config(options);
    if (!number && !adaptive) {
        throw action_validation(
            {"either [number_of_allocations] or [adaptive_allocations] must be given"});
    }
    AllocationChange change;
    if (number) change.number = config.number_of_allocations;
    if (adaptive) change.adaptive = config.adaptive_allocations;
    return change;
}

std::shared_ptr<Deployment> require_deployment(const Node& node, const std::string& id) {
    auto deployment = node.deployments->find(id);
    if (deployment) return deployment;
    throw resource_not_found("deployment [" + id + "] not found; " +
                             node.deployments->unknown(id).reason);
}

asio::awaitable<Response> update(Request& request, ModelsPtr models) {
    JsonBody body;
    co_await body.read(request);
    const AllocationChange change = read_change(request, body);
    Node& node = models->node();
    const auto deployment = require_deployment(node, request.part("id"));
    co_return Response::json(co_await blocking(node, [&] {
        if (change.adaptive) node.deployments->update_adaptive(deployment->id(), *change.adaptive);
        if (change.number) node.deployments->update_allocations(deployment->id(), *change.number);
        models->registry().remember(deployment->config());
        return assignment_json(node, *deployment);
    }));
}

// ---- stop

struct StopOptions {
    bool allow_no_match = true;
    bool force = false;
    bool finish_pending_work = true;
};

void read_flag(const Request& request, const JsonBody& body, std::string_view name, bool& out) {
    out = request.query.flag(name, out);
    const Value* value = body.find(name);
    if (value == nullptr) return;
    if (!value->is_boolean())
        throw illegal_argument("[" + std::string(name) + "] must be true or false");
    out = value->as_boolean();
}

StopOptions read_stop_options(const Request& request, const JsonBody& body) {
    for (const document::Member& one : body.root()) {
        if (one.key() != "allow_no_match" && one.key() != "force" && one.key() != "id" &&
            one.key() != "finish_pending_work")
            throw illegal_argument("[stop_deployment_request] unknown field [" +
                                   std::string(one.key()) + "]");
    }
    StopOptions options;
    read_flag(request, body, "allow_no_match", options.allow_no_match);
    read_flag(request, body, "force", options.force);
    read_flag(request, body, "finish_pending_work", options.finish_pending_work);
    return options;
}

/// The deployments that an expression names. A model that is not deployed counts as stopped.
std::vector<std::shared_ptr<Deployment>> deployments_of(const Models& models,
                                                        const std::string& expression,
                                                        bool allow_no_match) {
    const Node& node = models.node();
    std::vector<std::shared_ptr<Deployment>> found;
    for (const std::string& name : split_list(expression)) {
        const std::string pattern = name == "_all" ? "*" : name;
        const std::size_t before = found.size();
        for (const auto& deployment : node.deployments->list()) {
            if (matches_wildcard(pattern, deployment->id())) found.push_back(deployment);
        }
        if (found.size() > before) continue;
        if (pattern.find('*') == std::string::npos) {
            if (auto deployment = node.deployments->resolve(name)) {
                found.push_back(std::move(deployment));
            } else {
                models.find(name);
            }
        } else if (!allow_no_match) {
            throw resource_not_found("No known model deployments match [" + name + "]");
        }
    }
    return found;
}

/// Endpoints that a client has made on this deployment.
bool has_endpoint(const Models& models, const std::string& deployment_id) {
    for (const auto& [id, json] : models.endpoints().read()) {
        JsonBody state;
        state.parse(json);
        const Value* used = state.find("deployment_id");
        if (used != nullptr && used->is_string() && used->as_string() == deployment_id) return true;
    }
    return false;
}

void require_unused(const Models& models, const ModelUses& uses, const Deployment& deployment) {
    const std::string start = "Cannot stop deployment [" + deployment.id() + "] as it is ";
    if (!pipelines_of(models.node(), uses, deployment).empty()) {
        throw ApiError(409, "status_exception",
                       start + "referenced by ingest processors; use force to stop the deployment");
    }
    if (has_endpoint(models, deployment.id())) {
        throw ApiError(409, "status_exception",
                       start + "used by inference endpoints; use force to stop the deployment");
    }
}

/// Those that are to stop, which a later start of the server does not start again. Throws ApiError
/// when one of them is in use.
std::vector<std::shared_ptr<Deployment>> to_stop(const Models& models,
                                                 const std::string& expression,
                                                 const StopOptions& options) {
    auto found = deployments_of(models, expression, options.allow_no_match);
    if (!options.force) {
        const ModelUses uses = model_uses(models.node());
        for (const auto& deployment : found)
            require_unused(models, uses, *deployment);
    }
    for (const auto& deployment : found)
        models.registry().forget(deployment->id());
    return found;
}

asio::awaitable<Response> stop(Request& request, ModelsPtr models) {
    JsonBody body;
    co_await body.read(request);
    const StopOptions options = read_stop_options(request, body);
    auto found = co_await blocking(models->node(),
                                   [&] { return to_stop(*models, request.part("id"), options); });
    const bool drains = !options.force && options.finish_pending_work;
    co_await stop_deployments(models->node(), std::move(found),
                              drains ? inference::StopMode::drain : inference::StopMode::fail);
    co_return Response::json("{\"stopped\":true}");
}

}  // namespace

void add_deployment_routes(Router& router, const ModelsPtr& models) {
    const auto with_models = [&](auto handle) {
        return [=](Request& request) { return handle(request, models); };
    };
    const std::string base = "/_ml/trained_models/{id}/deployment";
    router.add("POST", base + "/_start", with_models(start), start_parameters());
    router.add("POST", base + "/_update", with_models(update), {"number_of_allocations"});
    router.add("POST", base + "/_stop", with_models(stop),
               {"allow_no_match", "force", "finish_pending_work"});
}

}  // namespace penstock::serve
