// What pipelines did: counts, times and failures of each step.
#pragma once

#include <string>

#include "engine/pipeline/pipeline.h"

namespace penstock::tools {

/// A table for people: a line for each pipeline and, indented, for each of its processors.
std::string pipeline_stats_text(const pipeline::PipelineSet& set);
/// The `ingest.pipelines` object of Elasticsearch's node statistics.
std::string pipeline_stats_json(const pipeline::PipelineSet& set);

}  // namespace penstock::tools
