#include "tools/penstock/workspace.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>

#include "engine/plugin/backend_adapter.h"
#include "engine/plugin/log.h"
#include "engine/plugin/processor_adapter.h"
#include "processors/user_agent/parser.h"
#include "tools/penstock/pipeline_files.h"

namespace penstock::tools {

namespace fs = std::filesystem;
using pipeline::Diagnostics;
using pipeline::PipelineDefinition;

namespace {

void log_plugin(int level, std::string_view message) noexcept {
    static constexpr const char* names[] = {"debug", "info", "warning", "error"};
    if (level < 2) return;  // a command's stderr is for its user
    std::fprintf(stderr, "penstock: %s: %.*s\n", names[std::clamp(level, 0, 3)],
                 static_cast<int>(message.size()), message.data());
}

/// The names that a pipeline calls; `dynamic` is set when one comes from a template.
void collect_calls(const pipeline::Node& node, std::set<std::string>& names, bool& dynamic) {
    if (node.is_map()) {
        for (const auto& entry : node.entries) {
            if (entry.key == "pipeline" && entry.value.is_map()) {
                const pipeline::Node* name = entry.value.find("name");
                if (name != nullptr && name->is_string()) {
                    if (script::Template::has_tags(name->text)) {
                        dynamic = true;
                    } else {
                        names.insert(name->text);
                    }
                }
            }
            collect_calls(entry.value, names, dynamic);
        }
    }
    for (const auto& item : node.items)
        collect_calls(item, names, dynamic);
}

void collect_calls(const PipelineDefinition& definition, std::set<std::string>& names,
                   bool& dynamic) {
    // Only processor lists hold calls; a document in the tests block may look like one.
    for (const char* key : {"processors", "on_failure"}) {
        if (const pipeline::Node* list = definition.root.find(key))
            collect_calls(*list, names, dynamic);
    }
}

constexpr const char* extensions[] = {".yml", ".yaml", ".json"};

std::optional<fs::path> pipeline_file(const fs::path& folder, const std::string& id) {
    for (const char* extension : extensions) {
        fs::path file = folder / (id + extension);
        if (fs::is_regular_file(file)) return file;
    }
    return std::nullopt;
}

std::string read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    return content.str();
}

std::string hex(XXH128_hash_t hash) {
    char text[33];
    std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    return text;
}

}  // namespace

Workspace::Workspace(const CommonOptions& options)
    : configuration_(load_configuration(options.config)) {
    plugin::set_log(log_plugin);
}

Workspace::~Workspace() = default;

void Workspace::set_data_directory(fs::path directory) {
    configuration_.data_directory = std::move(directory);
}

void Workspace::set_user_agent_directory(fs::path directory) {
    configuration_.user_agent_directory = std::move(directory);
}

void Workspace::add_model_directory(fs::path directory) {
    configuration_.model_directories.push_back(std::move(directory));
}

runtime::Runtime& Workspace::runtime() {
    if (!runtime_)
        runtime_ = std::make_unique<runtime::Runtime>(
            runtime::RuntimeOptions{configuration_.cpu_threads, 4});
    return *runtime_;
}

std::shared_ptr<io::IndexStore> Workspace::indices() {
    if (!indices_)
        indices_ =
            io::IndexStore::open(configuration_.data_directory.string(), configuration_.index);
    return indices_;
}

plugin::PluginSet& Workspace::plugins() {
    if (!plugins_)
        plugins_ = std::make_unique<plugin::PluginSet>(configuration_.plugin_directories);
    return *plugins_;
}

std::shared_ptr<const inference::ModelStore> Workspace::models() {
    if (!models_) {
        inference::ModelStoreOptions options;
        options.roots = configuration_.model_directories;
        options.backend = [this]() -> std::shared_ptr<inference::Backend> {
            return plugin::open_backend(plugins(), "torch");
        };
        models_ = std::make_shared<inference::ModelStore>(std::move(options));
    }
    return models_;
}

std::shared_ptr<inference::Deployments> Workspace::deployments() {
    if (!deployments_) {
        deployments_ =
            std::make_shared<inference::Deployments>(models(), configuration_.allowed_processors);
    }
    return deployments_;
}

processors::DeploymentDirectoryPtr Workspace::deployment_directory() {
    if (!directory_) {
        std::set<std::string> declared;
        for (const auto& [id, config] : configuration_.deployments)
            declared.insert(id);
        directory_ = std::make_shared<processors::DeploymentDirectory>(
            deployments(), std::move(declared), any_deployment_);
    }
    return directory_;
}

processors::UserAgentParsersPtr Workspace::user_agents() {
    if (!user_agents_) {
        fs::path directory = configuration_.user_agent_directory;
        if (directory.empty()) directory = configuration_.data_directory / "ingest-user-agent";
        user_agents_ = std::make_shared<const processors::UserAgentParsers>(
            std::move(directory), configuration_.user_agent_cache_size);
    }
    return user_agents_;
}

const pipeline::Catalog& Workspace::catalog() {
    if (!catalog_) {
        catalog_ = std::make_unique<pipeline::Catalog>();
        processors::add_builtin(*catalog_, deployment_directory(), user_agents());
        plugin::add_processors(*catalog_, plugins().load());
    }
    return *catalog_;
}

fs::path Workspace::find_pipeline(const std::string& name_or_file) const {
    if (fs::is_regular_file(name_or_file)) return name_or_file;
    for (const fs::path& folder : configuration_.pipeline_directories) {
        if (auto file = pipeline_file(folder, name_or_file)) return *file;
    }
    std::string where;
    for (const fs::path& folder : configuration_.pipeline_directories)
        where += ", " + folder.string();
    throw Error("there is no pipeline [" + name_or_file +
                "]: neither a file of that name nor an id in the configured " +
                "pipeline directories" +
                (where.empty() ? " (none are configured)" : " (" + where.substr(2) + ")"));
}

std::vector<PipelineDefinition> Workspace::load_definitions(const fs::path& file,
                                                            Diagnostics& diagnostics) {
    std::vector<PipelineDefinition> definitions;
    std::set<fs::path> loaded;
    std::vector<fs::path> todo{file};
    std::vector<fs::path> folders = configuration_.pipeline_directories;
    folders.insert(folders.begin(), file.has_parent_path() ? file.parent_path() : fs::path("."));
    while (!todo.empty()) {
        fs::path next = todo.back();
        todo.pop_back();
        if (!loaded.insert(fs::weakly_canonical(next)).second) continue;
        auto definition = pipeline::load_definition(next, diagnostics);
        if (!definition) continue;
        std::set<std::string> calls;
        bool dynamic = false;
        collect_calls(*definition, calls, dynamic);
        for (const std::string& id : calls) {
            for (const fs::path& folder : folders) {
                if (auto found = pipeline_file(folder, id)) {
                    todo.push_back(*found);
                    break;
                }
            }
        }
        if (dynamic) {
            // A name from a template may be any of the pipelines beside this one.
            for (const auto& entry : fs::directory_iterator(folders.front())) {
                if (entry.is_regular_file() && is_definition_file(entry.path()))
                    todo.push_back(entry.path());
            }
        }
        definitions.push_back(std::move(*definition));
    }
    return definitions;
}

LoadedPipeline Workspace::load_pipeline(const std::string& name_or_file) {
    LoadedPipeline loaded;
    Diagnostics diagnostics;
    loaded.definitions = load_definitions(find_pipeline(name_or_file), diagnostics);
    if (diagnostics.has_errors()) {
        // What the compiler finds in the parts that could be read belongs to the same report.
        if (!loaded.definitions.empty()) {
            pipeline::PipelineSet::compile(std::move(loaded.definitions), catalog(), diagnostics);
        }
        throw pipeline::DefinitionError(std::move(diagnostics));
    }
    std::string id = loaded.definitions.front().id;
    std::string content;
    for (const PipelineDefinition& definition : loaded.definitions)
        content += read(definition.file) + '\0';
    loaded.fingerprint = hex(XXH3_128bits(content.data(), content.size()));
    loaded.set = pipeline::PipelineSet::compile(loaded.definitions, catalog());
    loaded.pipeline = loaded.set->find(id);
    return loaded;
}

std::shared_ptr<inference::Deployment> Workspace::start_deployment(const std::string& id) {
    auto declared = configuration_.deployments.find(id);
    if (declared == configuration_.deployments.end()) {
        std::string list;
        for (const auto& [name, config] : configuration_.deployments)
            list += (list.empty() ? "" : ", ") + name;
        throw Error(
            "no deployment [" + id + "] is configured" +
            (list.empty() ? " (add [deployments] to penstock.yml)" : " (there are: " + list + ")"));
    }
    inference::StartResult started = deployments()->ensure(declared->second);
    if (!started.reached) {
        std::string reason = started.deployment->reason();
        throw Error("deployment [" + id + "] was not ready within " +
                    inference::format_duration(declared->second.timeout) +
                    (reason.empty() ? "" : ": " + reason) + " (its [timeout] can be raised)");
    }
    return started.deployment;
}

void Workspace::start_used_deployments() {
    for (const std::string& id : deployment_directory()->used())
        start_deployment(id);
}

void Workspace::begin_deployments() {
    for (const bool clamped : {false, true}) {
        for (const auto& [id, configured] : configuration_.deployments) {
            if (configured.clamp != clamped || deployments()->find(id)) continue;
            inference::DeploymentConfig config = configured;
            config.wait_for = inference::WaitFor::starting;
            try {
                deployments()->ensure(std::move(config));
            } catch (const Error& problem) {
                std::fprintf(stderr, "penstock: deployment [%s] is not started: %s\n", id.c_str(),
                             problem.what());
            }
        }
    }
}

}  // namespace penstock::tools
