// What the model, inference and cat families share: models with all that is known of them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/inference/inference_error.h"
#include "engine/inference/request.h"
#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/deployment_registry.h"
#include "tools/serve/ml_description.h"
#include "tools/serve/model_upload.h"
#include "tools/serve/node.h"
#include "tools/serve/state_file.h"

namespace penstock::serve {

ApiError api_error(const inference::InferenceError& error);
ApiError api_error(const inference::InferError& error);

/// Runs `work` where it may block; an InferenceError comes out as an ApiError.
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> blocking(const Node& node, Work work) {
    try {
        co_return co_await runtime::call_on(node.runtime->blocking(), std::move(work));
    } catch (const inference::InferenceError& error) {
        throw api_error(error);
    }
}

/// One model: its files, and what was said about it.
struct ModelView {
    inference::ModelSummary files;
    ModelDescription description;
    std::vector<std::string> aliases;

    const std::string& id() const { return files.model_id; }
    bool fully_defined() const { return files.state == inference::ModelState::ok; }
};

/// The models of a node, uploaded ones and those in configured directories, with their aliases;
/// deployments to remember, inference endpoints. Thread-safe; blocks.
class Models {
  public:
    explicit Models(Node& node);

    Node& node() const { return node_; }
    ModelUploads& uploads() { return uploads_; }
    const DeploymentRegistry& registry() const { return registry_; }
    /// Inference endpoints by id: the settings as JSON.
    const StateFile& endpoints() const { return endpoints_; }

    /// By id.
    std::vector<ModelView> list() const;
    /// By id or alias. Throws ApiError 404.
    ModelView find(std::string_view id_or_alias) const;
    /// For "a,b*,alias", "_all" and "": by id, each once. 404 for a name without wildcards that
    /// there is not, and, unless `allow_no_match`, for a wildcard that matches none.
    std::vector<ModelView> expand(std::string_view expression, bool allow_no_match) const;

    /// Alias to model id.
    std::map<std::string, std::string, std::less<>> aliases() const;
    void put_alias(const std::string& alias, const std::string& model_id);
    bool remove_alias(const std::string& alias);
    /// Tells the deployments of the aliases, so that pipelines can use them.
    void publish_aliases() const;

  private:
    ModelView view(inference::ModelSummary files,
                   const std::map<std::string, std::string, std::less<>>& aliases) const;

    Node& node_;
    ModelUploads uploads_;
    DeploymentRegistry registry_;
    StateFile aliases_;
    StateFile endpoints_;
};

/// The stored pipelines whose processors name a model or deployment, with these names.
using ModelUses = std::map<std::string, std::set<std::string>>;
ModelUses model_uses(const Node& node);
/// The pipelines among them that name one of `names`.
std::vector<std::string> pipelines_with(const ModelUses& uses, const std::set<std::string>& names);
/// The pipelines that reach this deployment, by its id or by its model's, when that means it.
std::vector<std::string> pipelines_of(const Node& node, const ModelUses& uses,
                                      const inference::Deployment& deployment);

/// "adaptive_allocations": {"enabled": true, ...}; nothing when they are off.
void write_adaptive_allocations(document::JsonWriter& json,
                                const inference::AdaptiveAllocations& adaptive);
/// {"task_parameters": ..., "routing_table": ..., "assignment_state": ...}
void write_assignment(document::JsonWriter& json, const Node& node,
                      const inference::Deployment& deployment);
/// Waits, without holding a thread, until the deployment is as asked. Throws ApiError: 400 when it
/// fails, 408 when time is up, 429 when not all allocations can be started.
boost::asio::awaitable<void> wait_for_start(std::shared_ptr<inference::Deployment> deployment,
                                            inference::DeploymentConfig config);
/// Starts a deployment, remembers it, and waits as its configuration says. Throws ApiError.
boost::asio::awaitable<std::shared_ptr<inference::Deployment>> start_deployment(
    std::shared_ptr<Models> models, inference::DeploymentConfig config);
/// Stops deployments. What a drain accepts is done first, for at most 30 seconds, and no thread is
/// held meanwhile; it goes on when whoever asked for it has gone, and a forced stop ends it.
boost::asio::awaitable<void> stop_deployments(
    Node& node, std::vector<std::shared_ptr<inference::Deployment>> deployments,
    inference::StopMode mode);
/// Throws what a text was refused for as an ApiError; a full queue (429) goes before all else,
/// since it tells the client to wait. Does nothing when all have results.
void require_results(const inference::InferResult& result);
/// Numbers as short as they say the same float.
void write_embedding(document::JsonWriter& json, std::span<const float> embedding);

// ---- the routes of the ml family, one file each
void add_model_routes(Router& router, const std::shared_ptr<Models>& models);
void add_deployment_routes(Router& router, const std::shared_ptr<Models>& models);
void add_infer_routes(Router& router, const std::shared_ptr<Models>& models);
void add_model_stats_routes(Router& router, const std::shared_ptr<Models>& models);

}  // namespace penstock::serve
