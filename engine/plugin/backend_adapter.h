// Inference backends in plugins, as engine code sees them.
#pragma once

#include <memory>
#include <string_view>

#include "engine/inference/backend.h"
#include "engine/plugin/loader.h"

namespace penstock::plugin {

/// Wraps a backend's table. Failures of the plugin become penstock::Error "backend [torch]: <its
/// reason>"; so do results of a wrong shape (a faulty plugin must not make the engine read out of
/// bounds), after which the session stays usable. A batch that breaks PackedBatch's own rules
/// throws std::logic_error. Thread-safety is that of inference::Backend and the classes beside it.
std::unique_ptr<inference::Backend> make_backend(BackendTable backend);

/// The backend of that name from the plugins, loading its library when it is not loaded yet. Throws
/// penstock::Error.
std::unique_ptr<inference::Backend> open_backend(PluginSet& plugins, std::string_view name);

}  // namespace penstock::plugin
