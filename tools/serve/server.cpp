#include "tools/serve/server.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/ip/address.hpp>

#include "engine/job/task_manager.h"
#include "engine/runtime/error.h"
#include "processors/geoip_databases.h"
#include "tools/serve/authentication.h"
#include "tools/serve/document_writer.h"
#include "tools/serve/memory_budget.h"
#include "tools/serve/node.h"
#include "tools/serve/random_id.h"
#include "tools/serve/reindex_job.h"
#include "tools/serve/reindex_remote.h"
#include "tools/serve/state_file.h"
#include "tools/serve/task_results.h"

namespace penstock::serve {

namespace {

/// The identities of a node stay the same as long as its data do.
void identify(Node& node) {
    const StateFile file(node.data / "node.json");
    const StateFile::States known = file.read();
    const auto identity = [&](const std::string& name) {
        const auto found = known.find(name);
        if (found != known.end()) return found->second.substr(1, found->second.size() - 2);
        std::string made = random_uuid();
        file.put(name, '"' + made + '"');
        return made;
    };
    node.id = identity("node_id");
    node.cluster_id = identity("cluster_uuid");
}

bool is_loopback(const std::string& text) {
    boost::system::error_code problem;
    const auto address = boost::asio::ip::make_address(text, problem);
    return !problem && address.is_loopback();
}

/// By default what whoever reaches this server reaches anyway.
std::shared_ptr<const RemoteWhitelist> remote_whitelist(const ServerOptions& options) {
    if (options.remote_whitelist)
        return std::make_shared<const RemoteWhitelist>(*options.remote_whitelist);
    if (!is_loopback(options.http.address)) return nullptr;
    return std::make_shared<const RemoteWhitelist>(RemoteWhitelist::loopback());
}

/// Whoever reaches the port may do everything, unless there are users or keys.
void check_address(const HttpOptions& http, const Credentials& credentials) {
    boost::system::error_code problem;
    boost::asio::ip::make_address(http.address, problem);
    if (problem || is_loopback(http.address) || !credentials.empty()) return;
    throw Error("it is not safe to listen on " + http.address +
                " without authentication: add a user (penstock user add NAME) or a key (penstock "
                "key create NAME), or say --insecure");
}

std::function<void(const Request&, const Response&, std::chrono::nanoseconds)> request_log(
    const std::string& where) {
    std::shared_ptr<spdlog::logger> logger;
    try {
        logger = where == "-" ? spdlog::stderr_logger_mt("requests")
                              : spdlog::basic_logger_mt("requests", where);
    } catch (const spdlog::spdlog_ex& error) {
        throw Error(std::string("cannot write the request log: ") + error.what());
    }
    spdlog::drop("requests");  // one server's, not the process's
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc);
    logger->flush_on(spdlog::level::info);
    return [logger](const Request& request, const Response& response,
                    std::chrono::nanoseconds took) {
        const std::string& user = request.principal ? request.principal->name : std::string("-");
        logger->info("{} {} {} {} {} {} {:.1f}ms", request.remote, user, request.method,
                     request.path, response.status, response.body.size(),
                     static_cast<double>(took.count()) / 1e6);
    };
}

}  // namespace

struct Server::Impl {
    Impl(ServerOptions&& options, ServerParts&& parts) : budget(options.request_memory) {
        node.name = options.node_name;
        node.cluster_name = options.cluster_name;
        node.version = options.version;
        node.compat = options.compat;
        node.data = options.data;
        node.runtime = parts.runtime;
        node.budget = &budget;
        node.catalog = parts.catalog;
        node.store = parts.store;
        node.indices = std::make_shared<IndexRegistry>(parts.store);
        node.models = parts.models;
        node.deployments = parts.deployments;
        node.pipelines = std::make_shared<PipelineRegistry>(
            options.data / "pipelines", *parts.catalog, std::move(options.pipelines));
        if (!options.geoip_directory.empty())
            node.geoip = std::make_shared<processors::GeoIpDatabases>(options.geoip_directory);
        if (options.clock) node.now = [fixed = *options.clock] { return fixed; };
        node.indices->set_clock(node.now);
        node.credentials = std::make_shared<Credentials>(options.data);
        node.remote_whitelist = remote_whitelist(options);
        if (!options.insecure) check_address(options.http, *node.credentials);
        if (!options.request_log.empty()) node.log = request_log(options.request_log);
        identify(node);
        job::TaskManagerOptions tasks;
        tasks.directory = options.data / "tasks";
        tasks.results = index_of_results(node);
        node.tasks = std::make_shared<job::TaskManager>(std::move(tasks));
        add_routes();
        const std::string address = options.http.address;
        http.emplace(*parts.runtime, std::move(options.http), budget, make_dispatch(router, node));
        node.http = [this] { return http->stats(); };
        node.publish_address = address + ":" + std::to_string(http->port());
    }

    void add_routes() {
        for (const auto add :
             {add_root_routes, add_ingest_routes, add_document_routes, add_bulk_routes,
              add_index_routes, add_search_routes, add_task_routes, add_reindex_routes,
              add_ml_routes, add_inference_routes, add_cluster_routes, add_cat_routes,
              add_security_routes})
            add(router, node);
    }

    MemoryBudget budget;
    std::atomic<bool> hurried = false;
    Node node;
    Router router;
    std::optional<HttpServer> http;  // last: it uses all the others until it has stopped
};

void log_to_stderr() {
    auto logger = spdlog::stderr_logger_mt("penstock");
    logger->set_pattern("penstock: %l: %v");
    spdlog::set_default_logger(std::move(logger));
}

Server::Server(ServerOptions options, ServerParts parts)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(parts))) {}

Server::~Server() = default;

std::uint16_t Server::port() const {
    return impl_->http->port();
}

void Server::start() {
    resume_reindex_tasks(impl_->node);
    impl_->http->start();
}

bool Server::stop(std::chrono::milliseconds grace) {
    constexpr std::chrono::milliseconds glance(100);  // at whether there is a hurry
    const auto end = std::chrono::steady_clock::now() + grace;
    const auto left = [&] {
        const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        return impl_->hurried ? std::chrono::milliseconds(0)
                              : std::max(time, std::chrono::milliseconds(0));
    };
    // Long jobs first: requests may wait for them.
    while (!impl_->node.tasks->stop(std::min(left(), glance)) && left().count() > 0) {
    }
    return impl_->http->stop(left());
}

void Server::hurry() {
    impl_->hurried = true;
    impl_->http->hurry();
}

}  // namespace penstock::serve
