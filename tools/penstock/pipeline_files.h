// Definition files as commands take them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tools/penstock/workspace.h"

namespace penstock::tools {

/// Files for arguments that are files, folders (all .yml, .yaml and .json directly in them) or ids;
/// without arguments all in the configured pipeline directories. Throws penstock::Error when there
/// are none.
std::vector<std::filesystem::path> pipeline_files(const Workspace& workspace,
                                                  const std::vector<std::string>& arguments);

/// Whether a file in a pipeline folder is a definition by its name: the configuration lies there at
/// times, and is not.
bool is_definition_file(const std::filesystem::path& file);

}  // namespace penstock::tools
