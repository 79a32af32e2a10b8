// Templates: what new indices begin with.
#pragma once

#include <array>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/index_settings.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/state_file.h"

namespace penstock::serve {

/// Which kind of template: composable ones are preferred to legacy ones, and may be composed of
/// components.
enum class TemplateKind { composable, legacy, component };

struct StoredTemplate {
    std::string name;
    std::string json;  ///< as it was put
};

/// What a new index begins with.
struct Blueprint {
    FlatSettings settings;
    JsonTree mappings;
    JsonTree aliases;

    /// `body`: {"settings", "mappings", "aliases"}; what was added later wins. Throws ApiError 400.
    void add(const JsonTree& body);
};

/// As it is kept of an alias: {"filter", "index_routing", "search_routing", "is_write_index", ...}.
/// Throws ApiError 400.
JsonTree normalise_alias(const std::string& alias_name, const JsonTree& body);

/// Thread-safe; blocks for files, which lie beside the indices.
class IndexTemplates {
  public:
    explicit IndexTemplates(const std::filesystem::path& directory);

    /// Throws ApiError 400; with `create`, also when there is one of this name.
    void put(TemplateKind kind, const std::string& name, std::string_view body, bool create);
    bool remove(TemplateKind kind, const std::string& name);
    /// By name, `*` for any characters; all of them without a pattern.
    std::vector<StoredTemplate> match(TemplateKind kind, std::string_view pattern) const;

    /// What templates say of a new index of this name.
    Blueprint blueprint(const std::string& name) const;

  private:
    const StateFile& file(TemplateKind kind) const;
    void add_components(const JsonTree& body, Blueprint& blueprint) const;

    std::array<StateFile, 3> files_;
    std::mutex change_;  ///< one change at a time
};

}  // namespace penstock::serve
