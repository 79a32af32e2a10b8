// What commands share: opened when first asked for, so that a command pays only for what it uses.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/inference/deployments.h"
#include "engine/io/index.h"
#include "engine/pipeline/pipeline.h"
#include "engine/plugin/loader.h"
#include "engine/runtime/runtime.h"
#include "processors/builtin.h"
#include "processors/deployment_directory.h"
#include "tools/penstock/configuration.h"

namespace penstock::tools {

/// A compiled pipeline with all that it calls.
struct LoadedPipeline {
    std::shared_ptr<const pipeline::PipelineSet> set;
    const pipeline::Pipeline* pipeline = nullptr;
    std::vector<pipeline::PipelineDefinition> definitions;
    std::string fingerprint;  ///< of the content of all definitions
};

/// Options that every command takes.
struct CommonOptions {
    std::optional<std::filesystem::path> config;
    bool json = false;
};

/// Not thread-safe; what it hands out is as thread-safe as its own documentation says.
class Workspace {
  public:
    explicit Workspace(const CommonOptions& options);
    ~Workspace();

    const Configuration& configuration() const { return configuration_; }
    /// Before anything is opened.
    void set_data_directory(std::filesystem::path directory);
    /// Before catalog().
    void set_user_agent_directory(std::filesystem::path directory);
    /// Before models().
    void add_model_directory(std::filesystem::path directory);
    /// Pipelines may name deployments that are not declared: they come and go. Before catalog().
    void open_to_any_deployment() { any_deployment_ = true; }
    runtime::Runtime& runtime();
    std::shared_ptr<io::IndexStore> indices();
    plugin::PluginSet& plugins();
    std::shared_ptr<const inference::ModelStore> models();
    std::shared_ptr<inference::Deployments> deployments();
    processors::DeploymentDirectoryPtr deployment_directory();
    processors::UserAgentParsersPtr user_agents();
    /// Built-in processors and those of the plugins.
    const pipeline::Catalog& catalog();

    /// A definition file by path or, when there is no such file, by id in the configured pipeline
    /// directories; with the pipelines that it calls, from the same folder and the configured ones.
    /// Throws penstock::Error.
    LoadedPipeline load_pipeline(const std::string& name_or_file);
    /// The same without compiling; problems go to `diagnostics`.
    std::vector<pipeline::PipelineDefinition> load_definitions(const std::filesystem::path& file,
                                                               pipeline::Diagnostics& diagnostics);
    std::filesystem::path find_pipeline(const std::string& name_or_file) const;

    /// Starts a declared deployment, or does nothing when it runs. Throws penstock::Error.
    std::shared_ptr<inference::Deployment> start_deployment(const std::string& id);
    /// Starts those that compiled pipelines have named.
    void start_used_deployments();
    /// Begins to start all that are configured and not there yet, and returns. What cannot be
    /// started is said on standard error. Those that take less when there is less come last.
    void begin_deployments();

  private:
    Configuration configuration_;
    std::unique_ptr<runtime::Runtime> runtime_;
    std::shared_ptr<io::IndexStore> indices_;
    std::unique_ptr<plugin::PluginSet> plugins_;
    std::shared_ptr<const inference::ModelStore> models_;
    std::shared_ptr<inference::Deployments> deployments_;
    processors::DeploymentDirectoryPtr directory_;
    processors::UserAgentParsersPtr user_agents_;
    std::unique_ptr<pipeline::Catalog> catalog_;
    bool any_deployment_ = false;
};

}  // namespace penstock::tools
