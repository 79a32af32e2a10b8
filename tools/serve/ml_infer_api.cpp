// Inference on documents by a running deployment.
#include <map>
#include <mutex>

#include "engine/inference/infer_async.h"
#include "tools/serve/json_body.h"
#include "tools/serve/ml_models.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using document::Value;

namespace {

using ModelsPtr = std::shared_ptr<Models>;

std::vector<std::string_view> read_texts(const JsonBody& body, const std::string& field) {
    const Value* docs = body.find("docs");
    if (docs == nullptr || !docs->is_array() || docs->as_array().empty())
        throw action_validation({"at least one document is required"});
    std::vector<std::string_view> texts;
    for (const Value& doc : docs->as_array()) {
        const Value* text = doc.is_object() ? member(doc.as_object(), field) : nullptr;
        if (text == nullptr) {
            throw illegal_argument("Input field [" + field +
                                   "] does not exist in the source document");
        }
        if (!text->is_string()) {
            throw illegal_argument("Input value [" + json_text(*text) + "] for field [" + field +
                                   "] must be a string");
        }
        texts.push_back(text->as_string());
    }
    return texts;
}

std::chrono::milliseconds read_timeout(const Request& request, const JsonBody& body) {
    constexpr std::chrono::seconds otherwise(10);
    std::chrono::milliseconds timeout = request.query.time("timeout", otherwise);
    if (const Value* value = body.find("timeout")) {
        const auto parsed = value->is_string() ? parse_time(value->as_string()) : std::nullopt;
        if (!parsed) throw illegal_argument("failed to parse [timeout] " + json_text(*value));
        timeout = *parsed;
    }
    if (timeout.count() <= 0) throw action_validation({"[timeout] must be positive"});
    return timeout;
}

void check_members(const JsonBody& body) {
    for (const document::Member& one : body.root()) {
        const std::string_view name = one.key();
        if (name != "docs" && name != "inference_config" && name != "timeout" && name != "id") {
            throw ApiError(
                400, "x_content_parse_exception",
                "[infer_trained_model_request] unknown field [" + std::string(name) + "]");
        }
    }
}

std::string results_json(const inference::InferResult& result, const std::string& results_field) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array("inference_results", [&] {
            for (const inference::InferItem& item : result.items) {
                json.object([&] {
                    json.key(results_field);
                    write_embedding(json, item.embedding());
                    if (item.is_truncated) json.member("is_truncated", true);
                });
            }
        });
    });
    return out;
}

using DescriptionPtr = std::shared_ptr<const ModelDescription>;

/// What was said about the models of running deployments, so that not every request reads files. A
/// model that is put anew has a new deployment. Thread-safe.
class Descriptions {
  public:
    explicit Descriptions(ModelsPtr models) : models_(std::move(models)) {}

    asio::awaitable<DescriptionPtr> find(std::shared_ptr<inference::Deployment> deployment) {
        if (DescriptionPtr known = lookup(deployment)) co_return known;
        const std::string model_id = deployment->config().model_id;
        DescriptionPtr description = co_await blocking(models_->node(), [&] {
            return std::make_shared<const ModelDescription>(models_->find(model_id).description);
        });
        std::lock_guard lock(mutex_);
        by_deployment_.insert_or_assign(deployment->id(), Known{deployment, description});
        co_return description;
    }

  private:
    struct Known {
        std::weak_ptr<inference::Deployment> deployment;
        DescriptionPtr description;
    };

    DescriptionPtr lookup(const std::shared_ptr<inference::Deployment>& deployment) {
        std::lock_guard lock(mutex_);
        const auto found = by_deployment_.find(deployment->id());
        const bool same =
            found != by_deployment_.end() && found->second.deployment.lock() == deployment;
        return same ? found->second.description : nullptr;
    }

    ModelsPtr models_;
    std::mutex mutex_;
    std::map<std::string, Known> by_deployment_;
};

asio::awaitable<Response> infer(Request& request, const Node& node,
                                std::shared_ptr<Descriptions> descriptions) {
    JsonBody body;
    co_await body.read(request);
    check_members(body);
    const inference::Deployments& deployments = *node.deployments;
    const auto deployment = deployments.resolve(request.part("id"));
    if (!deployment) throw api_error(deployments.unknown(request.part("id")));
    const DescriptionPtr model = co_await descriptions->find(deployment);
    const InferenceUpdate update = parse_update(*model, body.find("inference_config"));
    inference::InferRequest asked;
    const std::vector<std::string_view> texts = read_texts(body, model->input_fields.front());
    asked.texts = texts;
    asked.options.truncate = update.truncate;
    asked.options.admission = inference::Admission::reject;
    asked.options.timeout = read_timeout(request, body);
    const inference::InferResult result = co_await inference::infer(deployment, asked);
    require_results(result);
    co_return Response::json(results_json(result, update.results_field));
}

}  // namespace

void add_infer_routes(Router& router, const ModelsPtr& models) {
    const auto descriptions = std::make_shared<Descriptions>(models);
    const auto handle = [&node = models->node(), descriptions](Request& request) {
        return infer(request, node, descriptions);
    };
    const std::string base = "/_ml/trained_models/{id}";
    router.add("POST", base + "/_infer", handle, {"timeout"});
    router.add("POST", base + "/deployment/_infer", handle, {"timeout"});
}

}  // namespace penstock::serve
