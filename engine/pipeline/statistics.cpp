#include "engine/pipeline/statistics.h"

#include <algorithm>

#include "engine/pipeline/pipeline.h"

namespace penstock::pipeline {

namespace {

void read(const Counters::Cell& cell, std::uint64_t& count, std::uint64_t& nanos,
          std::uint64_t& failed, std::uint64_t& current) {
    count = cell.count.load(std::memory_order_relaxed);
    nanos = cell.nanos.load(std::memory_order_relaxed);
    failed = cell.failed.load(std::memory_order_relaxed);
    // Workers add and take away in no order that a reader could rely on.
    current = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, cell.current.load(std::memory_order_relaxed)));
}

void collect(const Block& block, Counters& counters, std::vector<StepStatistics>& out) {
    for (const Step& step : block.steps) {
        StepStatistics& one = out.emplace_back();
        one.type = step.type;
        one.tag = step.tag;
        read(counters[step.counter], one.count, one.time_in_nanos, one.failed, one.current);
        if (const auto* foreach = std::get_if<ForeachElement>(&step.body))
            collect(*foreach->body, counters, out);
        if (step.on_failure) collect(*step.on_failure, counters, out);
    }
}

}  // namespace

std::string StepStatistics::key() const {
    return tag.empty() ? type : type + ":" + tag;
}

std::vector<PipelineStatistics> PipelineSet::statistics() const {
    std::vector<PipelineStatistics> all;
    for (const auto& pipeline : pipelines_) {
        PipelineStatistics& one = all.emplace_back();
        one.id = pipeline->id;
        read((*counters_)[pipeline->counter], one.count, one.time_in_nanos, one.failed,
             one.current);
        collect(pipeline->steps, *counters_, one.processors);
        if (pipeline->on_failure) collect(*pipeline->on_failure, *counters_, one.processors);
    }
    return all;
}

}  // namespace penstock::pipeline
