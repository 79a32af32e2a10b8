// A processor's specification, as a plugin writes it.
#pragma once

#include <string>
#include <string_view>

#include "engine/pipeline/spec.h"

namespace penstock::plugin {

/// Reads the JSON that penstock_processor.spec describes; the result has no compile function.
/// Throws penstock::Error starting with `where` for what is no specification, unknown members and
/// option types included. What only pipeline::Catalog can tell (doubled options, defaults that do
/// not fit) is left to it.
pipeline::ProcessorSpec parse_spec(std::string_view json, const std::string& where);

}  // namespace penstock::plugin
