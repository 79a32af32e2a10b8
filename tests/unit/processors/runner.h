// Runs one document through processors as a pipeline does, for the tests in this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/document/document.h"
#include "engine/pipeline/definition.h"
#include "engine/pipeline/executor.h"
#include "engine/pipeline/node.h"
#include "engine/pipeline/spec.h"

namespace penstock::processors {

/// Pipelines by id, each a list of nodes like {rename: {...}}. The first one is run.
struct PipelineNodes {
    std::string id;
    std::vector<pipeline::Node> processors;
};

/// {name: options}, as it stands in a pipeline's list.
pipeline::Node processor_node(const std::string& name, const pipeline::Node& options);

/// A document as text: JSON in the order of its members, so that comparing text compares kinds and
/// order too.
struct DocumentText {
    std::string source;
    std::string meta;  ///< an object of what is not null
    bool operator==(const DocumentText&) const = default;
};

struct RunResult {
    bool compiled = false;
    std::string diagnostics;  ///< why it did not compile
    pipeline::ExecutionResult execution;
    DocumentText before, after;
    std::string ingest;
};

/// Compiles and runs. `file` is named in diagnostics. Nodes of the document are its members;
/// metadata may be null.
RunResult run(const std::vector<PipelineNodes>& pipelines, const std::string& file,
              const pipeline::Node& source, const pipeline::Node& meta = {});

/// Text as a node; reports what is wrong with it to GoogleTest and returns null then.
pipeline::Node parse(std::string_view text, const std::string& file);

/// All processors that come with Penstock.
const pipeline::Catalog& builtin();

/// Compact JSON.
std::string to_json(const pipeline::Node& node);

}  // namespace penstock::processors
