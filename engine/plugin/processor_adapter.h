// Processors in plugins, as the pipeline compiler sees them.
#pragma once

#include <vector>

#include "engine/pipeline/spec.h"
#include "engine/plugin/loader.h"

namespace penstock::plugin {

/// The specifications of a library's processors, read from their JSON, with compile functions that
/// call the plugin. Throws penstock::Error (file, processor, what) for JSON that is no
/// specification: unknown members and option types included, so that a misspelt "required" does not
/// pass.
///
/// Options of type `processor` are not offered to plugins; `templated` is for fields and strings.
std::vector<pipeline::ProcessorSpec> processor_specs(const Library& library);

/// Adds all processors of the libraries. Throws penstock::Error that names the file when one of
/// them cannot be added, because its name is taken, say.
void add_processors(pipeline::Catalog& catalog, const std::vector<Library>& libraries);

}  // namespace penstock::plugin
