// How commands plug into the program: one file a command, one function each.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "tools/penstock/workspace.h"

namespace penstock::tools {

/// What the shell sees. Also in `penstock --help`.
enum ExitCode : int {
    exit_ok = 0,
    exit_error = 1,  ///< what was asked could not be done; the reason is on stderr
    exit_usage = 2,  ///< the command line is wrong
    exit_documents_failed =
        3,  ///< done, but some documents failed (they are in the dead letter or on stderr)
    exit_interrupted = 130,  ///< stopped by Ctrl-C
};

/// The command line being put together: each command adds its subcommand, which sets `action`.
struct CommandLine {
    CLI::App& app;
    CommonOptions common;
    std::function<int()> action;

    /// A subcommand with the options that all have; `examples` end its help.
    CLI::App* add(CLI::App& parent, const std::string& name, const std::string& summary,
                  const std::string& examples);
};

void add_run(CommandLine& line);
void add_reindex(CommandLine& line);
void add_simulate(CommandLine& line);
void add_lint(CommandLine& line);
void add_test(CommandLine& line);
void add_inspect(CommandLine& line);
void add_search(CommandLine& line);
void add_index(CommandLine& line);
void add_deployment(CommandLine& line);
void add_model(CommandLine& line);
void add_security(CommandLine& line);
void add_serve(CommandLine& line);
void add_completion(CommandLine& line);

}  // namespace penstock::tools
