// _inference: endpoints for text embedding on deployments of this server.
#include <algorithm>

#include "engine/document/json.h"
#include "engine/inference/infer_async.h"
#include "tools/serve/json_body.h"
#include "tools/serve/ml_models.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using document::Object;
using document::Value;
using inference::DeploymentConfig;

namespace {

using ModelsPtr = std::shared_ptr<Models>;

constexpr std::string_view kTask = "text_embedding";
constexpr std::string_view kService = "elasticsearch";

/// What a client has made, or a running deployment under its own id.
struct Endpoint {
    std::string id;
    std::string model_id;
    std::string deployment_id;
    bool owns_deployment = false;  ///< it was started for the endpoint, and stops with it
    int num_allocations = 1;
    int num_threads = 1;
    inference::AdaptiveAllocations adaptive;
};

void check_task(const std::string& task) {
    if (task.empty() || task == kTask) return;
    throw illegal_argument("the task type [" + task +
                           "] is not available in this version; available: text_embedding");
}

ApiError unknown_endpoint(const std::string& id) {
    return resource_not_found("Inference endpoint not found [" + id + "]");
}

std::string to_json(const Endpoint& endpoint) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("model_id", endpoint.model_id);
        json.member("deployment_id", endpoint.deployment_id);
        json.member("owns_deployment", endpoint.owns_deployment);
        json.member("num_allocations", endpoint.num_allocations);
        json.member("num_threads", endpoint.num_threads);
        write_adaptive_allocations(json, endpoint.adaptive);
    });
    return out;
}

inference::AdaptiveAllocations read_adaptive(const Value* value) {
    if (value == nullptr) return {};
    if (!value->is_object())
        throw illegal_argument("[service_settings] field [adaptive_allocations] must be an object");
    std::vector<inference::DeploymentOption> options{{"model_id", "m"}};
    for (const document::Member& one : value->as_object()) {
        if (one.value.is_null()) continue;
        options.push_back({"adaptive_allocations." + std::string(one.key()), ""});
        document::append_java_string(one.value, options.back().value);
    }
    const auto parsed = inference::parse_deployment_config(options);
    if (parsed.problems.empty()) return parsed.config.adaptive_allocations;
    throw ApiError(400, "action_request_validation_exception",
                   inference::validation_message(parsed.problems));
}

Endpoint from_json(const std::string& id, const std::string& text) {
    JsonBody state;
    state.parse(text);
    const auto string = [&](std::string_view name) {
        const Value* value = state.find(name);
        return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
    };
    const auto integer = [&](std::string_view name) {
        const Value* value = state.find(name);
        return value != nullptr && value->is_integer() ? static_cast<int>(value->as_integer()) : 1;
    };
    const Value* owns = state.find("owns_deployment");
    return {id,
            string("model_id"),
            string("deployment_id"),
            owns != nullptr && owns->is_boolean() && owns->as_boolean(),
            integer("num_allocations"),
            integer("num_threads"),
            read_adaptive(state.find("adaptive_allocations"))};
}

Endpoint of_deployment(const inference::Deployment& deployment) {
    const DeploymentConfig config = deployment.config();
    return {config.deployment_id,         config.model_id,
            config.deployment_id,         false,
            config.number_of_allocations, config.threads_per_allocation,
            config.adaptive_allocations};
}

/// All, by id; a made endpoint hides the deployment of the same id.
std::map<std::string, Endpoint> all_endpoints(const Models& models) {
    std::map<std::string, Endpoint> all;
    for (const auto& [id, text] : models.endpoints().read())
        all.emplace(id, from_json(id, text));
    for (const auto& deployment : models.node().deployments->list())
        all.emplace(deployment->id(), of_deployment(*deployment));
    return all;
}

void write_endpoint(JsonWriter& json, const Endpoint& endpoint) {
    json.object([&] {
        json.member("inference_id", endpoint.id);
        json.member("task_type", kTask);
        json.member("service", kService);
        json.member_object("service_settings", [&] {
            json.member("num_allocations", endpoint.num_allocations);
            json.member("num_threads", endpoint.num_threads);
            write_adaptive_allocations(json, endpoint.adaptive);
            json.member("model_id", endpoint.model_id);
            if (!endpoint.owns_deployment) json.member("deployment_id", endpoint.deployment_id);
        });
        // Texts go to the model one by one, as they come.
        json.member_object("chunking_settings", [&] { json.member("strategy", "none"); });
    });
}

std::string endpoint_json(const Endpoint& endpoint) {
    std::string out;
    JsonWriter json(out);
    write_endpoint(json, endpoint);
    return out;
}

// ---- get

asio::awaitable<Response> get_endpoints(Request& request, ModelsPtr models) {
    check_task(request.part("task"));
    const std::string& wanted = request.part("id");
    const auto all = co_await blocking(models->node(), [&] { return all_endpoints(*models); });
    const bool every = wanted.empty() || wanted == "_all" || wanted == "*";
    if (!every && !all.contains(wanted)) throw unknown_endpoint(wanted);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array("endpoints", [&] {
            for (const auto& [id, endpoint] : all) {
                if (every || id == wanted) write_endpoint(json, endpoint);
            }
        });
    });
    co_return Response::json(std::move(out));
}

// ---- put

/// The number of allocations and the like, told in the names of the inference API.
int positive(const Object& settings, std::string_view name) {
    const Value* value = member(settings, name);
    if (value == nullptr) return 1;
    if (!value->is_integer() || value->as_integer() < 1 || value->as_integer() > 1'000'000) {
        throw illegal_argument("[service_settings] Invalid value [" + json_text(*value) + "]. [" +
                               std::string(name) + "] must be a positive integer");
    }
    return static_cast<int>(value->as_integer());
}

std::string string_setting(const Object& settings, std::string_view name) {
    const Value* value = member(settings, name);
    if (value == nullptr) return {};
    if (!value->is_string())
        throw illegal_argument("[service_settings] field [" + std::string(name) +
                               "] must be a string");
    return std::string(value->as_string());
}

void check_members(const Object& object, std::string_view where,
                   std::initializer_list<std::string_view> known) {
    for (const document::Member& one : object) {
        if (std::find(known.begin(), known.end(), one.key()) != known.end()) continue;
        throw illegal_argument("[" + std::string(where) + "] has the setting [" +
                               std::string(one.key()) + "], which is not supported");
    }
}

void check_service(const JsonBody& body) {
    const Value* service = body.find("service");
    if (service == nullptr || !service->is_string())
        throw illegal_argument("[service] is missing; supported is elasticsearch");
    if (service->as_string() != kService) {
        throw illegal_argument("The service [" + std::string(service->as_string()) +
                               "] is not available; supported is elasticsearch, with models of "
                               "this server");
    }
    check_members(body.root(), "inference endpoint",
                  {"service", "service_settings", "task_settings"});
    const Value* task = body.find("task_settings");
    if (task != nullptr && !(task->is_object() && task->as_object().empty()))
        throw illegal_argument("[task_settings] of a text_embedding endpoint must be empty");
}

Endpoint read_endpoint(const std::string& id, const JsonBody& body) {
    check_service(body);
    const Value* settings = body.find("service_settings");
    if (settings == nullptr || !settings->is_object())
        throw action_validation({"[service_settings] must be an object"});
    const Object& object = settings->as_object();
    check_members(
        object, "service_settings",
        {"model_id", "deployment_id", "num_allocations", "num_threads", "adaptive_allocations"});
    Endpoint endpoint;
    endpoint.id = id;
    endpoint.model_id = string_setting(object, "model_id");
    endpoint.deployment_id = string_setting(object, "deployment_id");
    endpoint.adaptive = read_adaptive(member(object, "adaptive_allocations"));
    if (endpoint.adaptive.enabled && member(object, "num_allocations") != nullptr) {
        throw illegal_argument(
            "[num_allocations] cannot be set while [adaptive_allocations] is enabled: it follows "
            "the load");
    }
    endpoint.num_allocations = positive(object, "num_allocations");
    endpoint.num_threads = positive(object, "num_threads");
    if (endpoint.model_id.empty() == endpoint.deployment_id.empty()) {
        throw action_validation(
            {"[service_settings] must have either [model_id] or [deployment_id]"});
    }
    return endpoint;
}

/// Uses the deployment that is named, or starts one for the endpoint.
asio::awaitable<Endpoint> connect(ModelsPtr models, Endpoint endpoint,
                                  std::chrono::milliseconds timeout) {
    Node& node = models->node();
    if (!endpoint.deployment_id.empty()) {
        const auto deployment = node.deployments->find(endpoint.deployment_id);
        if (!deployment) throw api_error(node.deployments->unknown(endpoint.deployment_id));
        Endpoint connected = of_deployment(*deployment);
        connected.id = endpoint.id;
        co_return connected;
    }
    endpoint.model_id =
        co_await blocking(node, [&] { return models->find(endpoint.model_id).id(); });
    DeploymentConfig config;
    config.model_id = endpoint.model_id;
    config.deployment_id = endpoint.deployment_id = endpoint.id;
    config.number_of_allocations =
        std::max(endpoint.num_allocations, endpoint.adaptive.min_number_of_allocations.value_or(0));
    config.adaptive_allocations = endpoint.adaptive;
    config.threads_per_allocation = endpoint.num_threads;
    config.timeout = timeout;
    endpoint.owns_deployment = true;
    co_await start_deployment(models, config);
    co_return endpoint;
}

asio::awaitable<Response> put_endpoint(Request& request, ModelsPtr models) {
    check_task(request.part("task"));
    const std::string& id = request.part("id");
    if (!is_model_id(id)) {
        throw action_validation(
            {"Invalid inference_id; '" + id +
             "' can contain lowercase alphanumeric (a-z and 0-9), hyphens, underscores or dots, "
             "must start and end with alphanumeric and have at most 64 characters"});
    }
    const auto timeout = request.query.time("timeout", std::chrono::seconds(30));
    JsonBody body;
    co_await body.read(request);
    Endpoint asked = read_endpoint(id, body);
    const auto known = co_await blocking(models->node(), [&] { return all_endpoints(*models); });
    const auto same = known.find(id);
    // Naming an endpoint as its own deployment is allowed: they are one.
    if (same != known.end() && same->second.deployment_id != asked.deployment_id) {
        throw ApiError(400, "resource_already_exists_exception",
                       "Inference endpoint [" + id + "] already exists");
    }
    const Endpoint made = co_await connect(models, std::move(asked), timeout);
    co_await blocking(models->node(), [&] { models->endpoints().put(id, to_json(made)); });
    co_return Response::json(endpoint_json(made));
}

// ---- delete

std::vector<std::string> uses_of(const Node& node, const std::string& id) {
    return pipelines_with(model_uses(node), {id});
}

std::string delete_json(const std::vector<std::string>& pipelines) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("acknowledged", pipelines.empty());
        json.member_array("pipelines", [&] {
            for (const std::string& pipeline : pipelines)
                json.value(pipeline);
        });
        json.member_array("indexes", [] {});
        json.member("error_message",
                    pipelines.empty() ? "" : "Inference endpoint is referenced by pipelines");
    });
    return out;
}

/// The deployment that is to stop with it; null when there is none.
std::shared_ptr<inference::Deployment> remove_endpoint(const Models& models,
                                                       const Endpoint& endpoint) {
    models.endpoints().remove(endpoint.id);
    if (!endpoint.owns_deployment) return nullptr;
    models.registry().forget(endpoint.deployment_id);
    return models.node().deployments->find(endpoint.deployment_id);
}

asio::awaitable<Response> delete_endpoint(Request& request, ModelsPtr models) {
    check_task(request.part("task"));
    const std::string& id = request.part("id");
    const bool dry_run = request.query.flag("dry_run");
    const bool force = request.query.flag("force");
    const auto made = co_await blocking(models->node(), [&] { return models->endpoints().read(); });
    const auto found = made.find(id);
    if (found == made.end()) {
        if (models->node().deployments->find(id)) {
            throw illegal_argument("[" + id +
                                   "] is a deployment; stop it with "
                                   "_ml/trained_models/{id}/deployment/_stop");
        }
        throw unknown_endpoint(id);
    }
    const Endpoint endpoint = from_json(id, found->second);
    const auto pipelines =
        co_await blocking(models->node(), [&] { return uses_of(models->node(), id); });
    if (dry_run) co_return Response::json(delete_json(pipelines));
    if (!pipelines.empty() && !force) {
        throw ApiError(409, "status_exception",
                       "Inference endpoint [" + id +
                           "] is referenced by pipelines and cannot be deleted. Use `force` to "
                           "delete it anyway, or use `dry_run` to list the pipelines that "
                           "reference it.");
    }
    std::vector<std::shared_ptr<inference::Deployment>> stopped;
    if (auto its_own =
            co_await blocking(models->node(), [&] { return remove_endpoint(*models, endpoint); }))
        stopped.push_back(std::move(its_own));
    co_await stop_deployments(models->node(), std::move(stopped), inference::StopMode::drain);
    co_return Response::json(delete_json({}));
}

// ---- infer

std::vector<std::string_view> read_input(const JsonBody& body) {
    check_members(body.root(), "inference request", {"input", "input_type", "task_settings"});
    const Value* input = body.find("input");
    std::vector<std::string_view> texts;
    if (input != nullptr && input->is_string()) texts.push_back(input->as_string());
    if (input != nullptr && input->is_array()) {
        for (const Value& text : input->as_array()) {
            if (!text.is_string()) throw parsing_error("[input] must hold strings");
            texts.push_back(text.as_string());
        }
    }
    if (texts.empty())
        throw action_validation({"Field [input] must be a string or a list of strings"});
    return texts;
}

/// input_type says which prefix the model puts before a text.
inference::PrefixKind read_prefix(const JsonBody& body) {
    const Value* type = body.find("input_type");
    if (type == nullptr) return inference::PrefixKind::none;
    const std::string_view name = type->is_string() ? type->as_string() : std::string_view();
    if (name == "ingest" || name == "internal_ingest") return inference::PrefixKind::ingest;
    if (name == "search" || name == "internal_search") return inference::PrefixKind::search;
    throw illegal_argument("[input_type] must be ingest or search, not " + json_text(*type));
}

std::string embeddings_json(const inference::InferResult& result) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array(kTask, [&] {
            for (const inference::InferItem& item : result.items) {
                json.object([&] {
                    json.key("embedding");
                    write_embedding(json, item.embedding());
                });
            }
        });
    });
    return out;
}

/// The deployment behind an inference id: an endpoint's, or a running one's own id.
std::string deployment_behind(const Models& models, const std::string& id) {
    const auto made = models.endpoints().read();
    const auto found = made.find(id);
    if (found != made.end()) return from_json(id, found->second).deployment_id;
    if (models.node().deployments->resolve(id)) return id;
    throw unknown_endpoint(id);
}

asio::awaitable<Response> infer_input(Request& request, ModelsPtr models) {
    check_task(request.part("task"));
    JsonBody body;
    co_await body.read(request);
    const std::vector<std::string_view> texts = read_input(body);
    inference::InferRequest asked;
    asked.texts = texts;
    asked.options.prefix = read_prefix(body);
    asked.options.admission = inference::Admission::reject;
    asked.options.timeout = request.query.time("timeout", std::chrono::seconds(30));
    if (asked.options.timeout.count() <= 0) throw action_validation({"[timeout] must be positive"});
    const std::string id = co_await blocking(
        models->node(), [&] { return deployment_behind(*models, request.part("id")); });
    const inference::InferResult result =
        co_await inference::infer(*models->node().deployments, id, asked);
    require_results(result);
    co_return Response::json(embeddings_json(result));
}

}  // namespace

void add_inference_routes(Router& router, Node& node) {
    const auto models = std::make_shared<Models>(node);
    const auto with_models = [&](auto handle) {
        return [=](Request& request) { return handle(request, models); };
    };
    router.add("GET", "/_inference", with_models(get_endpoints));
    for (const std::string pattern : {"/_inference/{id}", "/_inference/{task}/{id}"}) {
        router.add("GET", pattern, with_models(get_endpoints));
        router.add("PUT", pattern, with_models(put_endpoint), {"timeout"});
        router.add("DELETE", pattern, with_models(delete_endpoint), {"dry_run", "force"});
        router.add("POST", pattern, with_models(infer_input), {"timeout"});
    }
}

}  // namespace penstock::serve
