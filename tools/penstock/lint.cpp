// penstock lint: everything that is wrong with definition files, without running them.
#include <cstdio>
#include <set>

#include "engine/document/json.h"
#include "tools/penstock/command.h"
#include "tools/penstock/pipeline_files.h"

namespace penstock::tools {

namespace {

void print_json(const pipeline::Diagnostics& diagnostics) {
    std::string out = "[";
    for (const pipeline::Diagnostic& one : diagnostics.all()) {
        if (out.size() > 1) out += ',';
        out += "{\"severity\":\"";
        out += one.severity == pipeline::Severity::error ? "error" : "warning";
        out += "\",\"file\":";
        document::write_json_string(one.file, out);
        out += ",\"line\":" + std::to_string(one.position.line) +
               ",\"column\":" + std::to_string(one.position.column);
        for (auto [name, text] : {std::pair{"pipeline", &one.pipeline},
                                  {"processor", &one.processor},
                                  {"message", &one.message},
                                  {"hint", &one.hint}}) {
            out += ",\"" + std::string(name) + "\":";
            document::write_json_string(*text, out);
        }
        out += '}';
    }
    std::printf("%s]\n", out.c_str());
}

int lint(const CommonOptions& common, const std::vector<std::string>& paths) {
    Workspace workspace(common);
    pipeline::Diagnostics all;
    std::set<std::string> seen;
    std::size_t files = 0;
    for (const std::filesystem::path& file : pipeline_files(workspace, paths)) {
        ++files;
        pipeline::Diagnostics diagnostics;
        auto definitions = workspace.load_definitions(file, diagnostics);
        if (!diagnostics.has_errors() || !definitions.empty()) {
            pipeline::PipelineSet::compile(std::move(definitions), workspace.catalog(),
                                           diagnostics);
        }
        for (const pipeline::Diagnostic& one : diagnostics.all()) {
            // Files that call each other are read more than once.
            if (seen.insert(one.text()).second) all.add(one);
        }
    }
    if (common.json) {
        print_json(all);
    } else {
        if (!all.empty()) std::fprintf(stderr, "%s\n", all.text().c_str());
        if (!all.has_errors())
            std::printf("%zu pipeline%s fine\n", files, files == 1 ? " is" : "s are");
    }
    return all.has_errors() ? exit_error : exit_ok;
}

}  // namespace

void add_lint(CommandLine& line) {
    auto paths = std::make_shared<std::vector<std::string>>();
    CLI::App* command =
        line.add(line.app, "lint", "Check pipeline definitions without running them",
                 "  penstock lint ingest.yml\n  penstock lint pipelines/ --json");
    command->add_option("PIPELINE", *paths,
                        "Files, folders or ids; else all in the pipeline directories");
    command->callback(
        [&line, paths] { line.action = [&line, paths] { return lint(line.common, *paths); }; });
}

}  // namespace penstock::tools
