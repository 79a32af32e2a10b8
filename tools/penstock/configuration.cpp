#include "tools/penstock/configuration.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "engine/pipeline/definition.h"
#include "engine/pipeline/diagnostic.h"
#include "engine/pipeline/node.h"
#include "engine/runtime/error.h"

namespace penstock::tools {

namespace fs = std::filesystem;
using pipeline::Diagnostics;
using pipeline::Node;

namespace {

/// Reads the parts of the file, gathering what is wrong.
class Reader {
  public:
    Reader(Configuration& configuration, Diagnostics& diagnostics)
        : configuration_(configuration),
          diagnostics_(diagnostics),
          base_(fs::path(configuration.file).parent_path()) {}

    void read(const Node& root) {
        if (root.is_null()) return;
        if (!root.is_map())
            return report(root.position,
                          "the configuration must be a map, found " + root.describe());
        for (const auto& entry : root.entries)
            read_entry(entry);
    }

  private:
    void report(pipeline::Position position, std::string message, std::string hint = {}) {
        diagnostics_.add({pipeline::Severity::error, configuration_.file, position, "", "",
                          std::move(message), std::move(hint)});
    }

    void unknown(const Node::Entry& entry, const std::string& where,
                 const std::vector<std::string_view>& known) {
        std::string_view near = pipeline::nearest(entry.key, known);
        report(entry.position, "option [" + entry.key + "] is not known" + where,
               near.empty() ? "" : "did you mean [" + std::string(near) + "]?");
    }

    void read_entry(const Node::Entry& entry) {
        static const std::vector<std::string_view> known = {
            "data_directory", "model_directories",  "plugin_directories", "pipeline_directories",
            "deployments",    "allowed_processors", "cpu_threads",        "index",
            "user_agent"};
        if (entry.key == "data_directory") {
            if (auto path = text(entry.value, entry.key))
                configuration_.data_directory = resolve(*path);
        } else if (entry.key == "model_directories") {
            configuration_.model_directories = directories(entry);
        } else if (entry.key == "plugin_directories") {
            configuration_.plugin_directories = directories(entry);
        } else if (entry.key == "pipeline_directories") {
            configuration_.pipeline_directories = directories(entry);
        } else if (entry.key == "deployments") {
            read_deployments(entry.value);
        } else if (entry.key == "allowed_processors") {
            configuration_.allowed_processors =
                static_cast<int>(integer(entry.value, entry.key, 0, 4096));
        } else if (entry.key == "cpu_threads") {
            configuration_.cpu_threads = static_cast<int>(integer(entry.value, entry.key, 0, 4096));
        } else if (entry.key == "index") {
            read_index(entry.value);
        } else if (entry.key == "user_agent") {
            read_user_agent(entry.value);
        } else {
            unknown(entry, "", known);
        }
    }

    std::optional<std::string> text(const Node& node, const std::string& option) {
        if (node.is_string() && !node.text.empty()) return node.text;
        report(node.position, "option [" + option + "] expects a string, found " + node.describe());
        return std::nullopt;
    }

    std::int64_t integer(const Node& node, const std::string& option, std::int64_t least,
                         std::int64_t most) {
        if (node.kind == Node::Kind::integer && node.integer >= least && node.integer <= most)
            return node.integer;
        report(node.position, "option [" + option + "] expects a whole number from " +
                                  std::to_string(least) + " to " + std::to_string(most) +
                                  ", found " + node.describe());
        return least;
    }

    fs::path resolve(const std::string& path) { return (base_ / path).lexically_normal(); }

    std::vector<fs::path> directories(const Node::Entry& entry) {
        std::vector<fs::path> all;
        if (entry.value.is_list()) {
            for (const Node& item : entry.value.items) {
                if (auto path = text(item, entry.key)) all.push_back(resolve(*path));
            }
        } else if (auto path = text(entry.value, entry.key)) {
            all.push_back(resolve(*path));
        }
        return all;
    }

    void read_deployments(const Node& node) {
        if (!node.is_map()) {
            return report(node.position,
                          "option [deployments] expects a map from deployment ids to their "
                          "parameters, found " +
                              node.describe());
        }
        for (const auto& entry : node.entries)
            read_deployment(entry);
    }

    void read_deployment(const Node::Entry& entry) {
        if (!entry.value.is_map()) {
            return report(entry.value.position, "deployment [" + entry.key +
                                                    "] expects a map of parameters, found " +
                                                    entry.value.describe());
        }
        std::vector<inference::DeploymentOption> options{{"deployment_id", entry.key}};
        for (const auto& parameter : entry.value.entries) {
            if (parameter.value.is_map()) {
                for (const auto& inner : parameter.value.entries) {
                    options.push_back({parameter.key + "." + inner.key, inner.value.text});
                }
            } else {
                options.push_back({parameter.key, parameter.value.text});
            }
        }
        inference::ParsedDeploymentConfig parsed = inference::parse_deployment_config(options);
        for (const auto& problem : parsed.problems) {
            report(position_of(entry, problem.option),
                   "deployment [" + entry.key + "]: " + problem.message);
        }
        configuration_.deployments.emplace(entry.key, std::move(parsed.config));
    }

    static pipeline::Position position_of(const Node::Entry& deployment,
                                          const std::string& option) {
        std::string outer = option.substr(0, option.find('.'));
        for (const auto& parameter : deployment.value.entries) {
            if (parameter.key == outer) return parameter.value.position;
        }
        return deployment.position;
    }

    void read_index(const Node& node) {
        if (!node.is_map())
            return report(node.position, "option [index] expects a map, found " + node.describe());
        for (const auto& entry : node.entries) {
            if (entry.key == "survive_power_loss" && entry.value.kind == Node::Kind::boolean) {
                configuration_.index.survive_power_loss = entry.value.boolean;
            } else if (entry.key == "exact_limit") {
                configuration_.index.exact_limit = static_cast<std::size_t>(
                    integer(entry.value, "index.exact_limit", 0, 1'000'000'000));
            } else if (entry.key == "survive_power_loss") {
                report(entry.value.position,
                       "option [index.survive_power_loss] expects true or false, found " +
                           entry.value.describe());
            } else {
                unknown(entry, " in [index]", {"survive_power_loss", "exact_limit"});
            }
        }
    }

    void read_user_agent(const Node& node) {
        if (!node.is_map()) {
            return report(node.position,
                          "option [user_agent] expects a map, found " + node.describe());
        }
        for (const auto& entry : node.entries) {
            if (entry.key == "directory") {
                if (auto path = text(entry.value, "user_agent.directory"))
                    configuration_.user_agent_directory = resolve(*path);
            } else if (entry.key == "cache_size") {
                configuration_.user_agent_cache_size = static_cast<std::size_t>(
                    integer(entry.value, "user_agent.cache_size", 0, 1'000'000));
            } else {
                unknown(entry, " in [user_agent]", {"directory", "cache_size"});
            }
        }
    }

    Configuration& configuration_;
    Diagnostics& diagnostics_;
    fs::path base_;
};

std::string read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    if (!in || fs::is_directory(file))
        throw Error("cannot read the configuration file " + file.string());
    return content.str();
}

/// Installed: PREFIX/bin/penstock with PREFIX/lib/.../penstock/plugins and PREFIX/share/penstock.
/// Built: the plugins beside the program.
void set_defaults(Configuration& configuration) {
    fs::path here = program_directory();
    configuration.data_directory = ".penstock";
    for (const fs::path& plugins : {here / "plugins", here / PENSTOCK_PLUGIN_PATH}) {
        if (fs::is_directory(plugins))
            configuration.plugin_directories.push_back(plugins.lexically_normal());
    }
    fs::path models = here / "../share/penstock/models";
    if (fs::is_directory(models))
        configuration.model_directories.push_back(models.lexically_normal());
}

std::optional<fs::path> find_file(const std::optional<fs::path>& asked) {
    if (asked) return asked;
    if (const char* environment = std::getenv("PENSTOCK_CONFIG"); environment && *environment)
        return environment;
    if (fs::exists("penstock.yml")) return "penstock.yml";
    return std::nullopt;
}

}  // namespace

fs::path program_directory() {
    std::error_code error;
    fs::path program = fs::read_symlink("/proc/self/exe", error);
    return error ? fs::current_path() : program.parent_path();
}

Configuration load_configuration(const std::optional<fs::path>& asked) {
    Configuration configuration;
    set_defaults(configuration);
    auto file = find_file(asked);
    if (!file) return configuration;
    configuration.file = file->string();
    Diagnostics diagnostics;
    auto root = pipeline::parse_node(read_file(*file), configuration.file, diagnostics);
    if (root) Reader(configuration, diagnostics).read(*root);
    if (diagnostics.has_errors()) throw pipeline::DefinitionError(std::move(diagnostics));
    return configuration;
}

}  // namespace penstock::tools
