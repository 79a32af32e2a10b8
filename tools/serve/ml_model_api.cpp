// Trained models: get, put in parts, delete, aliases.
#include <algorithm>
#include <charconv>

#include "tools/serve/json_body.h"
#include "tools/serve/ml_models.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using document::Value;

namespace {

using ModelsPtr = std::shared_ptr<Models>;

constexpr std::int64_t kPage = 100;  ///< models in an answer, when `size` does not say

Response acknowledged() {
    return Response::json("{\"acknowledged\":true}");
}

// ---- get

struct Page {
    std::int64_t from = 0;
    std::int64_t size = kPage;
};

Page read_page(const Request& request) {
    const Page page{request.query.integer("from", 0), request.query.integer("size", kPage)};
    if (page.from < 0) throw illegal_argument("Parameter [from] cannot be < 0");
    if (page.size < 0) throw illegal_argument("Parameter [size] cannot be < 0");
    return page;
}

/// What `include` asks for, and this server can give.
bool wants_definition_status(const Request& request) {
    bool status = false;
    for (const std::string& each : request.query.list("include")) {
        if (each == "definition") {
            throw illegal_argument(
                "[include=definition] is not supported: a TorchScript archive is not sent back");
        }
        if (each == "definition_status") {
            status = true;
        } else if (each != "total_feature_importance" && each != "feature_importance_baseline" &&
                   each != "hyperparameters") {
            throw illegal_argument(
                "unknown [include] parameter [" + each +
                "]. Valid options are: [definition, feature_importance_baseline, hyperparameters, "
                "total_feature_importance, definition_status]");
        }
    }
    return status;
}

std::vector<ModelView> with_tags(std::vector<ModelView> models,
                                 const std::vector<std::string>& tags) {
    std::erase_if(models, [&](const ModelView& model) {
        const auto& has = model.description.tags;
        return !std::all_of(tags.begin(), tags.end(), [&](const std::string& tag) {
            return std::find(has.begin(), has.end(), tag) != has.end();
        });
    });
    return models;
}

std::string models_json(const std::vector<ModelView>& models, Page page, bool status) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("count", models.size());
        json.member_array("trained_model_configs", [&] {
            const auto from = std::min<std::size_t>(page.from, models.size());
            const auto end = std::min<std::size_t>(from + page.size, models.size());
            for (std::size_t i = from; i < end; ++i) {
                std::optional<bool> defined;
                if (status) defined = models[i].fully_defined();
                json.object([&] {
                    write_config(json, models[i].description, models[i].files, models[i].aliases,
                                 defined);
                });
            }
        });
    });
    return out;
}

asio::awaitable<Response> get_models(Request& request, ModelsPtr models) {
    const Page page = read_page(request);
    const bool status = wants_definition_status(request);
    const bool allow_no_match = request.query.flag("allow_no_match", true);
    request.query.flag("decompress_definition");
    request.query.flag("exclude_generated");
    auto found = co_await blocking(models->node(), [&] {
        return with_tags(models->expand(request.part("id"), allow_no_match),
                         request.query.list("tags"));
    });
    co_return Response::json(models_json(found, page, status));
}

// ---- put

void require_free(const Models& models, const std::string& id) {
    for (const inference::ModelSummary& files : models.node().models->list()) {
        if (files.model_id != id) continue;
        throw ApiError(400, "status_exception",
                       "Trained machine learning model [" + id + "] already exists");
    }
    if (models.aliases().contains(id)) {
        throw ApiError(400, "status_exception",
                       "requested model_id [" + id +
                           "] is the same as an existing model_alias. Model model_aliases and ids "
                           "must be unique");
    }
}

asio::awaitable<Response> put_model(Request& request, ModelsPtr models) {
    request.query.flag("defer_definition_decompression");
    request.query.flag("wait_for_completion");
    JsonBody body;
    co_await body.read(request);
    if (body.empty()) throw parsing_error("request body is required");
    ModelDescription model = parse_description(request.part("id"), body.root());
    model.created_by = "api_user";
    model.create_time = milliseconds(models->node().now());
    co_await blocking(models->node(), [&] {
        require_free(*models, model.id);
        models->uploads().create(model);
    });
    std::string out;
    JsonWriter json(out);
    json.object([&] { write_config(json, model, {}, {}, std::nullopt); });
    co_return Response::json(std::move(out));
}

std::int64_t integer_member(const JsonBody& body, std::string_view name) {
    const Value* value = body.find(name);
    if (value == nullptr || !value->is_integer()) {
        throw illegal_argument("[" + std::string(name) + "] must be an integer" +
                               (value == nullptr ? ", and is missing" : ""));
    }
    return value->as_integer();
}

std::int64_t part_number(const std::string& text) {
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size()) {
        throw illegal_argument("Failed to parse int parameter [part] with value [" + text + "]");
    }
    return number;
}

/// Uploaded models alone can be changed: the others are files that somebody else looks after.
void require_uploaded(Models& models, const std::string& id) {
    if (models.uploads().describe(id)) return;
    const ModelView model = models.find(id);
    throw illegal_argument("model [" + model.id() +
                           "] lies in a model directory of the configuration; change it there");
}

asio::awaitable<Response> put_part(Request& request, ModelsPtr models) {
    JsonBody body;
    co_await body.read(request);
    const Value* definition = body.find("definition");
    if (definition == nullptr || !definition->is_string())
        throw action_validation({"[definition] must not be null"});
    const DefinitionPart part{
        part_number(request.part("part")), integer_member(body, "total_parts"),
        integer_member(body, "total_definition_length"), definition->as_string()};
    co_await blocking(models->node(), [&] {
        require_uploaded(*models, request.part("id"));
        models->uploads().put_part(request.part("id"), part);
    });
    co_return acknowledged();
}

asio::awaitable<Response> put_vocabulary(Request& request, ModelsPtr models) {
    JsonBody body;
    co_await body.read(request);
    co_await blocking(models->node(), [&] {
        require_uploaded(*models, request.part("id"));
        models->uploads().put_vocabulary(request.part("id"), body.root());
    });
    co_return acknowledged();
}

// ---- delete

ApiError in_use(const std::string& reason) {
    return {409, "status_exception", reason + "; use force to delete the model"};
}

std::vector<std::string> deployments_of(const Models& models, const std::string& model_id) {
    std::vector<std::string> ids;
    for (const auto& deployment : models.node().deployments->list()) {
        if (deployment->config().model_id == model_id) ids.push_back(deployment->id());
    }
    return ids;
}

void require_unused(const Models& models, const ModelView& model,
                    const std::vector<std::string>& deployments) {
    const std::string start = "Cannot delete model [" + model.id() + "] as it ";
    const ModelUses uses = model_uses(models.node());
    std::set<std::string> names(deployments.begin(), deployments.end());
    names.insert(model.id());
    if (!pipelines_with(uses, names).empty())
        throw in_use(start + "is still referenced by ingest processors");
    for (const std::string& alias : model.aliases) {
        if (!pipelines_with(uses, {alias}).empty()) {
            throw in_use(start + "has a model_alias [" + alias +
                         "] that is still referenced by ingest processors");
        }
    }
    if (!deployments.empty()) throw in_use(start + "is currently deployed");
}

void delete_model(Models& models, const std::string& id, bool force) {
    const ModelView model = models.find(id);
    require_uploaded(models, model.id());
    const std::vector<std::string> deployments = deployments_of(models, model.id());
    if (!force) require_unused(models, model, deployments);
    for (const std::string& deployment : deployments) {
        models.node().deployments->stop(deployment, inference::StopMode::fail);
        models.registry().forget(deployment);
    }
    for (const std::string& alias : model.aliases)
        models.remove_alias(alias);
    models.uploads().remove(model.id());
}

asio::awaitable<Response> remove_model(Request& request, ModelsPtr models) {
    const bool force = request.query.flag("force");
    request.query.time("timeout", std::chrono::seconds(30));
    co_await blocking(models->node(), [&] { delete_model(*models, request.part("id"), force); });
    co_return acknowledged();
}

// ---- aliases

void put_alias(Models& models, const std::string& alias, const std::string& id, bool reassign) {
    if (!is_model_id(alias) || std::isdigit(static_cast<unsigned char>(alias.back())) != 0) {
        throw action_validation(
            {"Invalid model_alias; '" + alias +
             "' can contain lowercase alphanumeric (a-z and 0-9), hyphens, underscores or dots, "
             "must start with alphanumeric and must end with a letter"});
    }
    const ModelView model = models.find(id);
    if (model.id() != id)
        throw illegal_argument("[" + id + "] is an alias itself; name the model [" + model.id() +
                               "]");
    for (const ModelView& each : models.list()) {
        if (each.id() == alias)
            throw action_validation({"model_alias [" + alias + "] cannot match model_id [" + id +
                                     "]: a model has that id"});
    }
    const auto aliases = models.aliases();
    const auto known = aliases.find(alias);
    if (known != aliases.end() && known->second != id && !reassign) {
        throw illegal_argument("cannot assign model_alias [" + alias + "] to model_id [" + id +
                               "] as model_alias already refers to [" + known->second +
                               "]. Set parameter [reassign] to [true] if model_alias should be "
                               "reassigned.");
    }
    models.put_alias(alias, id);
}

void remove_alias(Models& models, const std::string& alias, const std::string& id, bool force) {
    const auto aliases = models.aliases();
    const auto known = aliases.find(alias);
    if (known == aliases.end())
        throw resource_not_found("model_alias [" + alias + "] could not be found");
    if (known->second != id) {
        throw illegal_argument("model_alias [" + alias + "] does not refer to provided model_id [" +
                               id + "]");
    }
    if (!force && !pipelines_with(model_uses(models.node()), {alias}).empty()) {
        throw ApiError(409, "status_exception",
                       "Cannot delete model_alias [" + alias +
                           "] as it is still referenced by ingest processors");
    }
    models.remove_alias(alias);
}

}  // namespace

void add_model_routes(Router& router, const ModelsPtr& models) {
    const auto with_models = [&](auto handle) {
        return [=](Request& request) { return handle(request, models); };
    };
    const std::string base = "/_ml/trained_models";
    const std::vector<std::string> get{"allow_no_match",
                                       "decompress_definition",
                                       "exclude_generated",
                                       "from",
                                       "include",
                                       "size",
                                       "tags"};
    router.add("GET", base, with_models(get_models), get);
    router.add("GET", base + "/{id}", with_models(get_models), get);
    router.add("PUT", base + "/{id}", with_models(put_model),
               {"defer_definition_decompression", "wait_for_completion"});
    router.add("DELETE", base + "/{id}", with_models(remove_model), {"force", "timeout"});
    router.add("PUT", base + "/{id}/definition/{part}", with_models(put_part));
    router.add("PUT", base + "/{id}/vocabulary", with_models(put_vocabulary));
    router.add("PUT", base + "/{id}/model_aliases/{alias}",
               [models](Request& request) -> asio::awaitable<Response> {
                   const bool reassign = request.query.flag("reassign");
                   co_await blocking(models->node(), [&] {
                       put_alias(*models, request.part("alias"), request.part("id"), reassign);
                   });
                   co_return acknowledged();
               },
               {"reassign"});
    router.add("DELETE", base + "/{id}/model_aliases/{alias}",
               [models](Request& request) -> asio::awaitable<Response> {
                   co_await blocking(models->node(), [&] {
                       remove_alias(*models, request.part("alias"), request.part("id"), false);
                   });
                   co_return acknowledged();
               });
}

}  // namespace penstock::serve
