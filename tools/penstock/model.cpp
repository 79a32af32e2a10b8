// penstock model: models in the model directories.
#include <cstdio>

#include "engine/document/json.h"
#include "tools/penstock/command.h"
#include "tools/penstock/text_layout.h"

namespace penstock::tools {

namespace {

int list(const CommonOptions& common) {
    Workspace workspace(common);
    std::vector<std::vector<std::string>> rows{{"model", "task", "size", "state"}};
    std::string out = "[";
    std::string problems;
    for (const inference::ModelSummary& model : workspace.models()->list()) {
        bool whole = model.state == inference::ModelState::ok;
        rows.push_back({model.model_id, std::string(inference::name(model.task_type)),
                        byte_size(model.model_size_bytes), whole ? "ok" : "incomplete"});
        if (!whole) problems += model.model_id + ": " + model.reason + "\n";
        if (out.size() > 1) out += ',';
        out += "{\"model_id\":";
        document::write_json_string(model.model_id, out);
        out += ",\"task_type\":";
        document::write_json_string(inference::name(model.task_type), out);
        out += ",\"model_size_bytes\":" + std::to_string(model.model_size_bytes) +
               ",\"fully_defined\":" + (whole ? "true" : "false");
        out += ",\"reason\":";
        document::write_json_string(model.reason, out);
        out += ",\"directory\":";
        document::write_json_string(model.directory.string(), out);
        out += '}';
    }
    if (common.json) {
        std::printf("%s]\n", out.c_str());
    } else {
        std::printf("%s%s",
                    rows.size() == 1 ? "there are no models in the model directories\n"
                                     : table(rows).c_str(),
                    problems.c_str());
    }
    return exit_ok;
}

}  // namespace

void add_model(CommandLine& line) {
    CLI::App* model =
        line.add(line.app, "model", "Models in the model directories", "  penstock model list");
    model->require_subcommand(1);
    CLI::App* listing = line.add(*model, "list", "All models, whole or not", "");
    listing->callback([&line] { line.action = [&line] { return list(line.common); }; });
}

}  // namespace penstock::tools
