#include "tools/penstock/pipeline_files.h"

#include <algorithm>

#include "engine/runtime/error.h"

namespace penstock::tools {

namespace fs = std::filesystem;

bool is_definition_file(const fs::path& file) {
    fs::path extension = file.extension();
    if (file.filename() == "penstock.yml" || file.filename().string().starts_with('.'))
        return false;
    return extension == ".yml" || extension == ".yaml" || extension == ".json";
}

std::vector<fs::path> pipeline_files(const Workspace& workspace,
                                     const std::vector<std::string>& arguments) {
    std::vector<fs::path> files;
    auto add_folder = [&](const fs::path& folder) {
        std::vector<fs::path> found;
        for (const auto& entry : fs::directory_iterator(folder)) {
            if (entry.is_regular_file() && is_definition_file(entry.path()))
                found.push_back(entry.path());
        }
        std::sort(found.begin(), found.end());
        files.insert(files.end(), found.begin(), found.end());
    };
    for (const std::string& argument : arguments) {
        if (fs::is_directory(argument)) {
            add_folder(argument);
        } else {
            files.push_back(workspace.find_pipeline(argument));
        }
    }
    if (arguments.empty()) {
        for (const fs::path& folder : workspace.configuration().pipeline_directories)
            add_folder(folder);
    }
    if (files.empty())
        throw Error("there are no pipeline definitions to look at: name files or folders");
    return files;
}

}  // namespace penstock::tools
