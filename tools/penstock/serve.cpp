// penstock serve: the HTTP API.
#include "tools/serve/server.h"

#include <sys/resource.h>
#include <condition_variable>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>

#include "tools/penstock/command.h"
#include "tools/penstock/interrupt.h"
#include "tools/penstock/pipeline_files.h"

namespace penstock::tools {

namespace {

namespace fs = std::filesystem;
using std::chrono::system_clock;

struct Options {
    std::string address = "127.0.0.1";
    std::uint16_t port = 9200;
    std::string data;
    std::string compat = "elasticsearch:9";
    std::string clock;
    std::string geoip_dir;
    std::string user_agent_dir;
    std::string node_name = "penstock";
    std::string cluster_name = "penstock";
    std::string certificate;
    std::string key;
    double request_memory = 256;  // MiB
    int grace = 30;               // seconds
    std::string request_log;
    std::optional<std::vector<std::string>> remote_whitelist;
    bool insecure = false;
};

system_clock::time_point parse_clock(const std::string& text) {
    std::tm parts{};
    const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (end == nullptr || std::string_view(end) != "Z")
        throw Error("--clock must be a time such as 2026-01-31T12:00:00Z, found " + text);
    return system_clock::from_time_t(::timegm(&parts));
}

/// The definition files of the configured directories, with which the server begins.
std::vector<pipeline::PipelineDefinition> configured_pipelines(const Configuration& configuration) {
    std::vector<pipeline::PipelineDefinition> definitions;
    pipeline::Diagnostics diagnostics;
    for (const fs::path& folder : configuration.pipeline_directories) {
        if (!fs::is_directory(folder)) continue;
        for (const auto& entry : fs::directory_iterator(folder)) {
            if (!entry.is_regular_file() || !is_definition_file(entry.path())) continue;
            auto definition = pipeline::load_definition(entry.path(), diagnostics);
            if (definition) definitions.push_back(std::move(*definition));
        }
    }
    if (diagnostics.has_errors()) throw pipeline::DefinitionError(std::move(diagnostics));
    return definitions;
}

/// Blocks until the first signal; the second ends the patience with requests under way.
class Signals {
  public:
    explicit Signals(runtime::Runtime& runtime)
        : interrupt_(runtime, [this](int count) {
              std::lock_guard lock(mutex_);
              count_ = count;
              changed_.notify_all();
              if (count > 1 && hurry_) hurry_();
          }) {}

    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return count_ > 0; });
    }

    /// Calls `hurry` at the second signal, or at once when it has been; null: no more.
    void at_second(std::function<void()> hurry) {
        std::lock_guard lock(mutex_);
        hurry_ = std::move(hurry);
        if (count_ > 1 && hurry_) hurry_();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
    std::function<void()> hurry_;
    Interrupt interrupt_;
};

/// Connections, indices and open scrolls are files each.
void raise_file_limit() {
    ::rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run_server(const CommonOptions& common, const Options& options) {
    Workspace workspace(common);
    if (!options.data.empty()) workspace.set_data_directory(options.data);
    if (!options.user_agent_dir.empty()) workspace.set_user_agent_directory(options.user_agent_dir);
    workspace.open_to_any_deployment();
    // Where clients put models.
    const fs::path models = workspace.configuration().data_directory / "models";
    fs::create_directories(models);
    workspace.add_model_directory(models);
    serve::ServerOptions server_options;
    server_options.http.address = options.address;
    server_options.http.port = options.port;
    server_options.http.certificate = options.certificate;
    server_options.http.private_key = options.key;
    server_options.compat = serve::Compat::parse(options.compat);
    server_options.data = workspace.configuration().data_directory;
    server_options.version = PENSTOCK_VERSION;
    server_options.node_name = options.node_name;
    server_options.cluster_name = options.cluster_name;
    server_options.request_memory = static_cast<std::size_t>(options.request_memory * 1024 * 1024);
    server_options.request_log = options.request_log;
    server_options.remote_whitelist = options.remote_whitelist;
    server_options.insecure = options.insecure;
    server_options.geoip_directory = options.geoip_dir;
    if (!options.clock.empty()) server_options.clock = parse_clock(options.clock);
    server_options.pipelines = configured_pipelines(workspace.configuration());
    serve::ServerParts parts;
    parts.runtime = &workspace.runtime();
    parts.catalog = &workspace.catalog();
    parts.store = workspace.indices();
    parts.models = workspace.models();
    parts.deployments = workspace.deployments();
    raise_file_limit();
    serve::log_to_stderr();
    Signals signals(workspace.runtime());
    serve::Server server(std::move(server_options), std::move(parts));
    server.start();
    workspace.begin_deployments();
    std::printf("listening on %s:%u\n", options.address.c_str(), server.port());
    std::fflush(stdout);
    signals.wait();
    std::fprintf(stderr, "penstock: stopping; requests under way are answered first\n");
    signals.at_second([&server] { server.hurry(); });
    const bool ended = server.stop(std::chrono::seconds(options.grace));
    signals.at_second(nullptr);
    if (ended) return exit_ok;
    // What is on the disk is as safe as when the power fails.
    std::fprintf(stderr, "penstock: a request under way does not end, and is given up\n");
    std::_Exit(exit_error);
}

}  // namespace

void add_serve(CommandLine& line) {
    CLI::App* command =
        line.add(line.app, "serve", "Answer Elasticsearch's and OpenSearch's requests over HTTP",
                 "  penstock serve\n"
                 "  penstock serve --port 0 --data ./data --compat opensearch:3");
    auto options = std::make_shared<Options>();
    command->add_option("--address", options->address, "Address to listen on")
        ->capture_default_str();
    command
        ->add_option("--port", options->port, "Port to listen on; 0 takes a free one and prints it")
        ->capture_default_str();
    command->add_option("--data", options->data, "Data directory; else the configuration's");
    command->add_option("--compat", options->compat, "Product and version to answer as")
        ->capture_default_str();
    command->add_option("--clock", options->clock,
                        "Time that documents see, fixed: 2026-01-31T12:00:00Z");
    command
        ->add_option("--geoip-dir", options->geoip_dir,
                     "Directory of MaxMind databases (*.mmdb), opened at the start")
        ->type_name("DIRECTORY");
    command
        ->add_option("--user-agent-dir", options->user_agent_dir,
                     "Directory of files (*.yml) for the regex_file of user_agent processors; "
                     "else the configuration's")
        ->type_name("DIRECTORY");
    command->add_option("--node-name", options->node_name, "Name of this node")
        ->capture_default_str();
    command->add_option("--cluster-name", options->cluster_name, "Name of the cluster")
        ->capture_default_str();
    CLI::Option* certificate =
        command->add_option("--certificate", options->certificate, "TLS certificate chain (PEM)")
            ->type_name("FILE");
    CLI::Option* key =
        command->add_option("--key", options->key, "TLS private key (PEM)")->type_name("FILE");
    certificate->needs(key);
    key->needs(certificate);
    command
        ->add_option("--request-memory", options->request_memory,
                     "MiB for the bodies of all requests under way; more is answered with 429")
        ->capture_default_str();
    command
        ->add_option("--grace", options->grace,
                     "Seconds to answer accepted requests when it is stopped")
        ->capture_default_str();
    command
        ->add_option("--request-log", options->request_log,
                     "Write a line for each request; - is standard error")
        ->type_name("FILE");
    command
        ->add_option_function<std::vector<std::string>>(
            "--reindex-remote-whitelist",
            [options](const std::vector<std::string>& hosts) { options->remote_whitelist = hosts; },
            "Hosts that a reindex may read from, with * for any text; else loopback ones if "
            "--address is one, and none if not")
        ->delimiter(',')
        ->type_name("HOST:PORT,...");
    command->add_flag("--insecure", options->insecure,
                      "Listen on any address although there is no user and no key");
    command->callback([&line, options] {
        line.action = [&line, options] { return run_server(line.common, *options); };
    });
}

}  // namespace penstock::tools
