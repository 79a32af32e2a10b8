// What all families of the API share: the server's state.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "engine/inference/deployments.h"
#include "engine/io/index.h"
#include "engine/pipeline/spec.h"
#include "engine/runtime/runtime.h"
#include "tools/serve/compat.h"
#include "tools/serve/index_registry.h"
#include "tools/serve/memory_budget.h"
#include "tools/serve/pipeline_registry.h"
#include "tools/serve/router.h"

namespace penstock::job {
class TaskManager;
}
namespace penstock::processors {
class GeoIpDatabases;
}

namespace penstock::serve {

class Credentials;
class RemoteWhitelist;
struct HttpStats;

/// Cluster settings that searches go by. Any thread may change them while others search.
struct SearchSettings {
    /// `search.max_keep_alive`, of scrolls and points in time.
    std::atomic<std::chrono::milliseconds> max_keep_alive{std::chrono::hours(24)};
};

/// Made by the command, outlives the server. Members are thread-safe as they say themselves.
struct Node {
    std::string name = "penstock";
    std::string id;  ///< 22 characters, kept in the data directory
    std::string cluster_name = "penstock";
    std::string cluster_id;
    std::string version;  ///< Penstock's own
    Compat compat;
    std::filesystem::path data;
    std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
    std::string publish_address;  ///< "127.0.0.1:9200"

    runtime::Runtime* runtime = nullptr;
    MemoryBudget* budget = nullptr;
    const pipeline::Catalog* catalog = nullptr;
    std::shared_ptr<io::IndexStore> store;
    std::shared_ptr<IndexRegistry> indices;
    std::shared_ptr<SearchSettings> search_settings = std::make_shared<SearchSettings>();
    std::shared_ptr<PipelineRegistry> pipelines;
    std::shared_ptr<const inference::ModelStore> models;
    std::shared_ptr<inference::Deployments> deployments;
    std::shared_ptr<job::TaskManager> tasks;
    std::shared_ptr<const processors::GeoIpDatabases> geoip;  ///< null: none
    std::shared_ptr<Credentials> credentials;                 ///< null: authentication is off
    std::shared_ptr<const RemoteWhitelist> remote_whitelist;  ///< null: no remote is read
    std::function<HttpStats()> http;                          ///< null: no HTTP server
    /// Told of every answered request; null: no log.
    std::function<void(const Request&, const Response&, std::chrono::nanoseconds)> log;
    /// `_ingest.timestamp` for `--clock`, and the time of everything else that shows one.
    std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
};

/// One file a family.
void add_root_routes(Router& router, Node& node);
void add_ingest_routes(Router& router, Node& node);
void add_document_routes(Router& router, Node& node);
void add_bulk_routes(Router& router, Node& node);
void add_index_routes(Router& router, Node& node);
void add_search_routes(Router& router, Node& node);
void add_task_routes(Router& router, Node& node);
void add_reindex_routes(Router& router, Node& node);
void add_ml_routes(Router& router, Node& node);
void add_inference_routes(Router& router, Node& node);
void add_cluster_routes(Router& router, Node& node);
void add_cat_routes(Router& router, Node& node);
void add_security_routes(Router& router, Node& node);

/// The dispatch of a server: finds the handler, and makes of what it throws a response.
std::function<boost::asio::awaitable<Response>(Request&)> make_dispatch(const Router& router,
                                                                        Node& node);

}  // namespace penstock::serve
