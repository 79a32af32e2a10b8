// The command line: parses it and calls one command.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "engine/runtime/error.h"
#include "tools/penstock/command.h"

namespace penstock::tools {

namespace {

constexpr const char* footer =
    "Exit codes:\n"
    "  0    done\n"
    "  1    not done; the reason is on stderr\n"
    "  2    the command line is wrong\n"
    "  3    done, but some documents failed\n"
    "  130  stopped by Ctrl-C\n\n"
    "Examples:\n"
    "  penstock run clean.yml < in.ndjson > out.ndjson\n"
    "  penstock reindex --source speeches.ndjson --dest index:speeches --pipeline embed\n"
    "  penstock search speeches \"nuclear weapons\" --deployment search";

}  // namespace

CLI::App* CommandLine::add(CLI::App& parent, const std::string& name, const std::string& summary,
                           const std::string& examples) {
    CLI::App* command = parent.add_subcommand(name, summary);
    command
        ->add_option("--config", common.config,
                     "Configuration file; else $PENSTOCK_CONFIG, else ./penstock.yml")
        ->type_name("FILE");
    command->add_flag("--json", common.json, "Write JSON, for scripts");
    if (!examples.empty()) command->footer("Examples:\n" + examples);
    return command;
}

int run(int argc, char** argv) {
    CLI::App app{
        "Runs Elasticsearch and OpenSearch ingest pipelines outside the cluster, machine learning "
        "included.",
        "penstock"};
    app.set_version_flag("--version", "penstock " PENSTOCK_VERSION);
    app.require_subcommand(1);
    app.footer(footer);
    CommandLine line{app, {}, {}};
    add_run(line);
    add_reindex(line);
    add_simulate(line);
    add_lint(line);
    add_test(line);
    add_inspect(line);
    add_search(line);
    add_index(line);
    add_deployment(line);
    add_model(line);
    add_serve(line);
    add_security(line);
    add_completion(line);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_ok : exit_usage;
    }
    try {
        int code = line.action();
        if (std::fflush(stdout) != 0) throw Error("cannot write to standard output");
        return code;
    } catch (const pipeline::DefinitionError& error) {
        std::fprintf(stderr, "%s\n", error.what());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "penstock: %s\n", error.what());
    }
    return exit_error;
}

}  // namespace penstock::tools

int main(int argc, char** argv) {
    return penstock::tools::run(argc, argv);
}
