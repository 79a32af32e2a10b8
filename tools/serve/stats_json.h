// Statistics as Elasticsearch's node statistics show them.
#pragma once

#include <vector>

#include "engine/document/json_writer.h"
#include "engine/pipeline/statistics.h"

namespace penstock::serve {

/// The `ingest` section: {"total": ..., "pipelines": {...}}.
void write_ingest(document::JsonWriter& json,
                  const std::vector<pipeline::PipelineStatistics>& pipelines);

/// Over all pipelines, each document counted once: what one pipeline hands to another by a pipeline
/// processor is the outer one's already.
pipeline::PipelineStatistics ingest_total(
    const std::vector<pipeline::PipelineStatistics>& pipelines);

}  // namespace penstock::serve
