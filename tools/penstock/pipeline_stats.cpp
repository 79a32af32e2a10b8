#include "tools/penstock/pipeline_stats.h"

#include <chrono>
#include <cstdint>

#include "engine/document/json.h"
#include "tools/penstock/progress.h"
#include "tools/penstock/text_layout.h"

namespace penstock::tools {

namespace {

template <class Counted>
std::vector<std::string> row(const std::string& name, const Counted& counted) {
    return {name, group_digits(counted.count),
            human_duration(std::chrono::nanoseconds(counted.time_in_nanos)),
            group_digits(counted.failed)};
}

template <class Counted>
std::string numbers(const Counted& counted) {
    return "\"count\":" + std::to_string(counted.count) +
           ",\"time_in_millis\":" + std::to_string(counted.time_in_nanos / 1'000'000) +
           ",\"current\":" + std::to_string(counted.current) +
           ",\"failed\":" + std::to_string(counted.failed);
}

}  // namespace

std::string pipeline_stats_text(const pipeline::PipelineSet& set) {
    std::vector<std::vector<std::string>> rows{{"pipeline", "count", "time", "failed"}};
    for (const pipeline::PipelineStatistics& pipeline : set.statistics()) {
        rows.push_back(row(pipeline.id, pipeline));
        for (const pipeline::StepStatistics& step : pipeline.processors)
            rows.push_back(row("  " + step.key(), step));
    }
    return table(rows);
}

std::string pipeline_stats_json(const pipeline::PipelineSet& set) {
    std::string out = "{";
    for (const pipeline::PipelineStatistics& pipeline : set.statistics()) {
        if (out.size() > 1) out += ',';
        document::write_json_string(pipeline.id, out);
        out += ":{" + numbers(pipeline) + ",\"processors\":[";
        for (const pipeline::StepStatistics& step : pipeline.processors) {
            if (out.back() != '[') out += ',';
            out += '{';
            document::write_json_string(step.key(), out);
            out += ":{\"type\":";
            document::write_json_string(step.type, out);
            out += ",\"stats\":{" + numbers(step) + "}}}";
        }
        out += "]}";
    }
    return out + '}';
}

}  // namespace penstock::tools
