// The named patterns that come with the program, for `grok` and for those who ask what there is.
#pragma once

#include <map>
#include <string_view>

namespace penstock::processors {

/// `ecs_compatibility`: which names the patterns give to fields.
enum class GrokSet { disabled, v1 };

/// A set's patterns by name, as Oniguruma's syntax with %{NAME} references. Source: the folder
/// processors/grok-patterns. Thread-safe; made once, lives as long as the process.
const std::map<std::string_view, std::string_view>& grok_patterns(GrokSet set);

}  // namespace penstock::processors
