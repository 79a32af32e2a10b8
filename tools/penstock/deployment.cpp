// penstock deployment: the configured deployments and their numbers.
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "engine/document/json.h"
#include "tools/penstock/command.h"
#include "tools/penstock/deployment_stats.h"
#include "tools/penstock/text_layout.h"

namespace penstock::tools {

namespace {

/// What the last process that ran a deployment wrote down.
struct LastRun {
    bool running = false;
    std::string stats;  ///< JSON; empty when it never ran
};

LastRun last_run(const Configuration& configuration, const std::string& id) {
    std::ifstream in(DeploymentStatsFile::path(configuration, id), std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    std::string text = content.str();
    document::Arena arena;
    document::JsonParser parser;
    document::Value value;
    document::JsonError error;
    if (!in || !parser.parse(text, arena, value, error) || !value.is_object()) return {};
    const document::Value* pid = value.as_object().get("pid");
    const document::Value* stats = value.as_object().get("stats");
    if (pid == nullptr || !pid->is_integer() || stats == nullptr) return {};
    LastRun run;
    run.running = ::kill(static_cast<pid_t>(pid->as_integer()), 0) == 0;
    document::write_json(*stats, run.stats);
    return run;
}

int list(const CommonOptions& common) {
    Workspace workspace(common);
    std::vector<std::vector<std::string>> rows{
        {"deployment", "model", "allocations", "threads", "queue", "priority", "running"}};
    std::string out = "[";
    int threads = 0;
    for (const auto& [id, config] : workspace.configuration().deployments) {
        LastRun run = last_run(workspace.configuration(), id);
        threads += config.number_of_allocations * config.threads_per_allocation;
        rows.push_back({id, config.model_id, std::to_string(config.number_of_allocations),
                        std::to_string(config.threads_per_allocation),
                        std::to_string(config.queue_capacity),
                        std::string(inference::name(config.priority)), run.running ? "yes" : "no"});
        if (out.size() > 1) out += ',';
        out += "{\"deployment_id\":";
        document::write_json_string(id, out);
        out += ",\"model_id\":";
        document::write_json_string(config.model_id, out);
        out += ",\"number_of_allocations\":" + std::to_string(config.number_of_allocations) +
               ",\"threads_per_allocation\":" + std::to_string(config.threads_per_allocation) +
               ",\"queue_capacity\":" + std::to_string(config.queue_capacity) + ",\"priority\":\"" +
               std::string(inference::name(config.priority)) +
               "\",\"running\":" + (run.running ? "true" : "false") + '}';
    }
    if (common.json) {
        std::printf("%s]\n", out.c_str());
        return exit_ok;
    }
    if (rows.size() == 1) {
        std::printf(
            "no deployments are configured; add them under [deployments] in penstock.yml\n");
        return exit_ok;
    }
    std::printf("%s%d threads when all run, %d processors allowed\n", table(rows).c_str(), threads,
                workspace.deployments()->allowed_processors());
    return exit_ok;
}

int stats(const CommonOptions& common, const std::string& only) {
    Workspace workspace(common);
    const auto& deployments = workspace.configuration().deployments;
    if (!only.empty() && !deployments.contains(only)) {
        throw Error("no deployment [" + only +
                    "] is configured; `penstock deployment list` shows those there are");
    }
    std::string out = "[";
    for (const auto& [id, config] : deployments) {
        if (!only.empty() && id != only) continue;
        LastRun run = last_run(workspace.configuration(), id);
        if (common.json) {
            if (run.stats.empty()) continue;
            out += (out.size() > 1 ? "," : "") + run.stats;
            continue;
        }
        if (run.stats.empty()) {
            std::printf("%s: has not run yet\n", id.c_str());
            continue;
        }
        std::printf("%s: %s\n", id.c_str(),
                    run.running ? "running" : "not running; numbers of its last run");
        document::Arena arena;
        document::JsonParser parser;
        document::Value value;
        document::JsonError error;
        parser.parse(run.stats, arena, value, error);
        for (const document::Member& member : value.as_object()) {
            std::string text;
            document::append_java_string(member.value, text);
            std::printf("  %-46s %s\n", std::string(member.key()).c_str(), text.c_str());
        }
    }
    if (common.json) std::printf("%s]\n", out.c_str());
    return exit_ok;
}

}  // namespace

void add_deployment(CommandLine& line) {
    CLI::App* deployment =
        line.add(line.app, "deployment", "The configured deployments and their statistics",
                 "  penstock deployment list\n  penstock deployment stats ingest --json");
    deployment->require_subcommand(1);
    CLI::App* listing = line.add(*deployment, "list", "All deployments with their parameters", "");
    listing->callback([&line] { line.action = [&line] { return list(line.common); }; });
    auto id = std::make_shared<std::string>();
    CLI::App* statistics =
        line.add(*deployment, "stats", "Numbers of running deployments, or of their last run", "");
    statistics->add_option("ID", *id, "A deployment; else all");
    statistics->callback(
        [&line, id] { line.action = [&line, id] { return stats(line.common, *id); }; });
}

}  // namespace penstock::tools
