// Where plugins' log lines go.
#pragma once

#include <penstock_plugin.h>

#include <cstdint>
#include <string_view>

namespace penstock::plugin {

/// level: 0 debug, 1 info, 2 warning, 3 error. Called on any thread, several at once; must not
/// throw.
using LogFunction = void (*)(int level, std::string_view message) noexcept;

/// Sends plugins' log lines to `function`; nullptr drops them, as at the start. One for the
/// process, because the ABI's `log` carries no context: a plugin may call it from a thread of its
/// own, for no model or document. Thread-safe.
void set_log(LogFunction function);

/// The `log` entry of the host tables.
void host_log(std::int32_t level, penstock_str message);

}  // namespace penstock::plugin
