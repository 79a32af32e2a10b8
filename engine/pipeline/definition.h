// Pipeline definition files: YAML or JSON, as Elasticsearch and OpenSearch write them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/path.h"
#include "engine/pipeline/diagnostic.h"
#include "engine/pipeline/node.h"

namespace penstock::pipeline {

/// Limits against hostile files.
struct DefinitionLimits {
    std::size_t max_bytes = 16 * 1024 * 1024;
    std::size_t max_depth = 64;
    std::size_t max_nodes = 1'000'000;  ///< after aliases and merges are expanded
};

/// Parses YAML or JSON (chosen by content: JSON is YAML here) to a tree with positions. Anchors,
/// aliases and merge keys (`<<`) are expanded; duplicate keys, more than one document, tags other
/// than the core ones and what passes the limits are errors. Reports to `diagnostics` and returns
/// nothing when the text cannot be used.
std::optional<Node> parse_node(std::string_view text, const std::string& file,
                               Diagnostics& diagnostics, const DefinitionLimits& limits = {});

/// One processor of a list: `- rename: {field: a, ...}`.
struct ProcessorDefinition {
    std::string type;
    Position position;  ///< of the type
    Node options;       ///< a map; may be null
    // The common options, checked:
    std::string tag;
    std::string description;
    std::optional<std::string> condition;  ///< `if`
    Position condition_position;
    bool ignore_failure = false;
    bool has_on_failure = false;
    std::vector<ProcessorDefinition> on_failure;

    std::string label() const;  ///< "rename" or "rename:tag"
};

struct PipelineDefinition {
    std::string id;
    std::string file;
    std::string description;
    std::optional<std::int64_t> version;
    Node meta;  ///< _meta; null when absent
    bool deprecated = false;
    document::AccessPattern access = document::AccessPattern::classic;
    std::vector<ProcessorDefinition> processors;
    bool has_on_failure = false;
    std::vector<ProcessorDefinition> on_failure;
    Node tests;  ///< the `tests` block of `penstock test`; null when absent
    Node root;   ///< the whole file, as it was read
};

/// Reads a definition. The id is `id`'s member in the file, else the given one (the file's stem).
/// Structure and common options are checked here, each processor's own options by the compiler.
/// Reports every mistake; nothing is returned when the file is not usable at all.
std::optional<PipelineDefinition> parse_definition(std::string_view text, const std::string& file,
                                                   const std::string& id, Diagnostics& diagnostics,
                                                   const DefinitionLimits& limits = {});
/// Reads a file; `id` is its name without `.yml`, `.yaml` or `.json`. Unreadable files are
/// diagnostics too.
std::optional<PipelineDefinition> load_definition(const std::filesystem::path& file,
                                                  Diagnostics& diagnostics,
                                                  const DefinitionLimits& limits = {});
/// One processor, from a node like `{rename: {...}}`, for `foreach`.
std::optional<ProcessorDefinition> parse_processor(const Node& node, const std::string& file,
                                                   const std::string& pipeline,
                                                   Diagnostics& diagnostics);

}  // namespace penstock::pipeline
