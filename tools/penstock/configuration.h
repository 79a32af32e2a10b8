// penstock.yml: where things are, and which deployments there are.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/inference/deployment_config.h"
#include "engine/io/index.h"

namespace penstock::tools {

/// What every command works with. Relative paths in the file are relative to the file's own folder.
struct Configuration {
    std::string file;  ///< empty: built-in defaults
    std::filesystem::path data_directory;
    std::vector<std::filesystem::path> model_directories;
    std::vector<std::filesystem::path> plugin_directories;
    std::vector<std::filesystem::path> pipeline_directories;
    std::map<std::string, inference::DeploymentConfig> deployments;
    int allowed_processors = 0;  ///< for all allocations together; 0: what the machine has
    int cpu_threads = 0;         ///< of the pool that runs pipelines; 0: what the machine has
    io::IndexStoreOptions index;
    /// Files that `user_agent` processors name; empty: `ingest-user-agent` in the data directory.
    std::filesystem::path user_agent_directory;
    std::size_t user_agent_cache_size = 1000;  ///< results that each of them remembers
};

/// Reads `file`; without one the environment's PENSTOCK_CONFIG, else ./penstock.yml when it is
/// there, else defaults (data in ./.penstock, models and plugins as they are installed or built
/// beside this program). Throws penstock::Error with every mistake in the file, each with its line
/// and column.
Configuration load_configuration(const std::optional<std::filesystem::path>& file);

/// The folder of this program's file.
std::filesystem::path program_directory();

}  // namespace penstock::tools
