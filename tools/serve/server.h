// The whole server: state, routes, HTTP.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/inference/deployments.h"
#include "engine/io/index.h"
#include "engine/pipeline/definition.h"
#include "engine/pipeline/spec.h"
#include "engine/runtime/runtime.h"
#include "tools/serve/compat.h"
#include "tools/serve/http_server.h"

namespace penstock::serve {

struct ServerOptions {
    HttpOptions http;
    Compat compat;
    std::filesystem::path data;
    std::string version;  ///< Penstock's own
    std::string node_name = "penstock";
    std::string cluster_name = "penstock";
    std::size_t request_memory = 256UL * 1024 * 1024;  ///< bytes, for all bodies in flight
    /// The time that documents see; the real one when absent.
    std::optional<std::chrono::system_clock::time_point> clock;
    std::filesystem::path geoip_directory;  ///< of MaxMind databases; empty: none
    /// Listen on other addresses than the loopback although nobody has to say who they are.
    bool insecure = false;
    /// Hosts that a reindex may read, "host:port" with `*`; absent: loopback ones if the server
    /// itself listens on a loopback address, else none.
    std::optional<std::vector<std::string>> remote_whitelist;
    /// A line a request: "-" is standard error, else a file; empty: none. Never with a query string
    /// or header, which may hold secrets.
    std::string request_log;
    /// Pipelines of definition files, which are there from the start.
    std::vector<pipeline::PipelineDefinition> pipelines;
};

/// What the server works with; all of it outlives the server.
struct ServerParts {
    runtime::Runtime* runtime = nullptr;
    const pipeline::Catalog* catalog = nullptr;
    std::shared_ptr<io::IndexStore> store;
    std::shared_ptr<const inference::ModelStore> models;
    std::shared_ptr<inference::Deployments> deployments;
};

/// Sends what the server has to say of itself to standard error: standard output is for its
/// address. For the process, once, by whoever runs a server in it.
void log_to_stderr();

/// Everything that answers below one address.
class Server {
  public:
    /// Reads the stored state and binds the address; throws penstock::Error.
    Server(ServerOptions options, ServerParts parts);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::uint16_t port() const;
    void start();
    /// Blocks until accepted requests are answered, or `grace` is over and the others are cut.
    /// False when something still runs that cannot be cut: the process should end without
    /// destroying the server, which would wait for it.
    bool stop(std::chrono::milliseconds grace);
    /// Ends the grace of a stop that blocks or is to come. Thread-safe.
    void hurry();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::serve
