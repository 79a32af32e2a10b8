// Compiled pipelines: what the executor runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pipeline/async_processor.h"
#include "engine/pipeline/definition.h"
#include "engine/pipeline/spec.h"
#include "engine/pipeline/statistics.h"

namespace penstock::pipeline {

/// One step, prepared.
struct Step {
    StepBody body;
    std::string type;  ///< "rename"
    std::string tag;
    std::string description;
    std::string pipeline;  ///< id of the pipeline that it is written in
    bool ignore_failure = false;
    bool keeps_partial_changes = false;
    bool waits = false;  ///< it, something in it or its handler is asynchronous
    std::unique_ptr<Block> on_failure;
    /// Where its numbers are kept, within the pipeline set's statistics.
    std::uint32_t counter = 0;
};

/// Steps in order, cut into segments: a run of steps that never wait is executed document by
/// document, a step that waits takes the whole batch.
struct Block {
    struct Segment {
        std::uint32_t begin;
        std::uint32_t end;
        bool waits;
    };
    std::vector<Step> steps;
    std::vector<Segment> segments;
    bool waits = false;
};

/// One compiled pipeline. Immutable but for its counters; shared by all workers.
struct Pipeline {
    std::string id;
    std::string description;
    std::uint32_t number = 0;   ///< within its set
    std::uint32_t counter = 0;  ///< of the pipeline as a whole
    Block steps;
    std::unique_ptr<Block> on_failure;
    bool waits = false;
};

struct CompileOptions {
    /// A called pipeline that is not there, or a circle of calls: errors when files are compiled
    /// together, warnings where pipelines are put one by one (then the call fails when it runs, as
    /// in Elasticsearch).
    bool bad_calls_are_errors = true;
    std::uint32_t max_nested_pipelines =
        100;  ///< calls on top of each other for one document, as in Elasticsearch
};

/// Pipelines compiled together, by id; calls between them are resolved. Immutable; keep it alive
/// (shared_ptr) as long as documents that went through it: their constants live here.
class PipelineSet {
  public:
    /// Compiles all definitions, or throws DefinitionError with everything that is wrong.
    static std::shared_ptr<const PipelineSet> compile(std::vector<PipelineDefinition> definitions,
                                                      const Catalog& catalog,
                                                      const CompileOptions& options = {});
    /// The same, reporting to `diagnostics` (warnings too); null when there are errors.
    static std::shared_ptr<const PipelineSet> compile(std::vector<PipelineDefinition> definitions,
                                                      const Catalog& catalog,
                                                      Diagnostics& diagnostics,
                                                      const CompileOptions& options = {});

    const Pipeline* find(std::string_view id) const;
    const std::vector<std::unique_ptr<Pipeline>>& all() const { return pipelines_; }
    const CompileOptions& options() const { return options_; }

    /// Numbers so far, per pipeline and processor, in the reference's shape. Thread-safe.
    std::vector<PipelineStatistics> statistics() const;
    Counters& counters() const { return *counters_; }

  private:
    friend class Compiler;
    PipelineSet() = default;

    std::vector<std::unique_ptr<Pipeline>> pipelines_;
    std::map<std::string, std::uint32_t, std::less<>> by_id_;
    std::unique_ptr<Counters> counters_;
    CompileOptions options_;
};

}  // namespace penstock::pipeline
