#include "tools/serve/stats_json.h"

#include <cstdint>

namespace penstock::serve {

using document::JsonWriter;
using pipeline::PipelineStatistics;
using pipeline::StepStatistics;

namespace {

constexpr std::uint64_t kNanosPerMilli = 1'000'000;

template <class Counted>
void write_counts(JsonWriter& json, const Counted& counted) {
    json.member("count", counted.count);
    json.member("time_in_millis", counted.time_in_nanos / kNanosPerMilli);
    json.member("current", counted.current);
    json.member("failed", counted.failed);
}

/// Times are estimates and counters of running pipelines move while they are read: never below 0.
void take_off(std::uint64_t& sum, std::uint64_t part) {
    sum -= part < sum ? part : sum;
}

void write_pipeline(JsonWriter& json, const PipelineStatistics& pipeline) {
    json.member_object(pipeline.id, [&] {
        write_counts(json, pipeline);
        // Bytes are not counted; typed clients fail without the members.
        json.member("ingested_as_first_pipeline_in_bytes", 0);
        json.member("produced_as_first_pipeline_in_bytes", 0);
        json.member_array("processors", [&] {
            for (const StepStatistics& step : pipeline.processors) {
                json.object([&] {
                    json.member_object(step.key(), [&] {
                        json.member("type", step.type);
                        json.member_object("stats", [&] { write_counts(json, step); });
                    });
                });
            }
        });
    });
}

}  // namespace

PipelineStatistics ingest_total(const std::vector<PipelineStatistics>& pipelines) {
    PipelineStatistics total;
    for (const PipelineStatistics& pipeline : pipelines) {
        total.count += pipeline.count;
        total.time_in_nanos += pipeline.time_in_nanos;
        total.failed += pipeline.failed;
        total.current += pipeline.current;
    }
    for (const PipelineStatistics& pipeline : pipelines) {
        for (const StepStatistics& step : pipeline.processors) {
            if (step.type != "pipeline") continue;
            take_off(total.count, step.count);
            take_off(total.time_in_nanos, step.time_in_nanos);
            take_off(total.failed, step.failed);
            take_off(total.current, step.current);
        }
    }
    return total;
}

void write_ingest(JsonWriter& json, const std::vector<PipelineStatistics>& pipelines) {
    json.object([&] {
        json.member_object("total", [&] { write_counts(json, ingest_total(pipelines)); });
        json.member_object("pipelines", [&] {
            for (const PipelineStatistics& pipeline : pipelines)
                write_pipeline(json, pipeline);
        });
    });
}

}  // namespace penstock::serve
