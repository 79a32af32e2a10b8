// Definitions to compiled pipelines: options checked, names resolved, steps cut into segments.
#include <algorithm>
#include <set>
#include <utility>

#include "engine/pipeline/pipeline.h"

namespace penstock::pipeline {

namespace {

/// A call by its number, and the pipeline that it leads to.
struct CallEdge {
    std::uint32_t to;
    std::size_t call;
};
using CallGraph = std::vector<std::vector<CallEdge>>;  // by calling pipeline

struct Cycle {
    std::size_t call;  ///< the one that closes it
    std::vector<std::uint32_t>
        way;  ///< from the pipeline that is called again to the one that calls it
};

/// Depth first from every pipeline; a call back into the path being walked closes a cycle, and each
/// is told once. A loop and not recursion: the path may be as long as there are pipelines.
class CycleSearch {
  public:
    explicit CycleSearch(const CallGraph& graph)
        : graph_(graph), states_(graph.size(), State::fresh) {}

    std::vector<Cycle> run() {
        for (std::uint32_t pipeline = 0; pipeline < graph_.size(); ++pipeline) {
            if (states_[pipeline] == State::fresh) enter(pipeline);
            while (!path_.empty())
                step();
        }
        return std::move(found_);
    }

  private:
    enum class State : std::uint8_t { fresh, on_path, finished };
    struct Place {
        std::uint32_t pipeline;
        std::size_t next_edge;
    };

    void enter(std::uint32_t pipeline) {
        states_[pipeline] = State::on_path;
        path_.push_back({pipeline, 0});
    }

    void step() {
        Place& here = path_.back();
        if (here.next_edge == graph_[here.pipeline].size()) {
            states_[here.pipeline] = State::finished;
            path_.pop_back();
            return;
        }
        const CallEdge& edge = graph_[here.pipeline][here.next_edge++];
        bool closes = states_[edge.to] == State::on_path;
        if (closes && closing_.insert({here.pipeline, edge.to}).second)
            found_.push_back({edge.call, way_from(edge.to)});
        if (states_[edge.to] == State::fresh) enter(edge.to);
    }

    std::vector<std::uint32_t> way_from(std::uint32_t pipeline) const {
        std::vector<std::uint32_t> way;
        for (const Place& place : path_) {
            if (place.pipeline == pipeline || !way.empty()) way.push_back(place.pipeline);
        }
        return way;
    }

    const CallGraph& graph_;
    std::vector<State> states_;
    std::vector<Place> path_;
    std::set<std::pair<std::uint32_t, std::uint32_t>>
        closing_;  // caller and called: two such calls are one cycle
    std::vector<Cycle> found_;
};

}  // namespace

class Compiler {
  public:
    Compiler(PipelineSet& set, const Catalog& catalog, Diagnostics& diagnostics)
        : set_(set), catalog_(catalog), diagnostics_(diagnostics) {}

    void compile(const std::vector<PipelineDefinition>& definitions) {
        for (const PipelineDefinition& definition : definitions)
            declare(definition);
        for (const PipelineDefinition& definition : definitions)
            fill(definition);
        check_calls();
        if (diagnostics_.has_errors()) return;
        find_waits();
        set_.counters_ = std::make_unique<Counters>(counters_);
    }

  private:
    /// A call whose name is known, for the checks that need all pipelines.
    struct Call {
        const PipelineDefinition* from;
        std::string to;
        Position position;
        std::string processor;
        bool ignore_missing;
    };

    void report(const PipelineDefinition& definition, Position position, std::string processor,
                std::string message, std::string hint = {}, Severity severity = Severity::error) {
        diagnostics_.add({severity, definition.file, position, definition.id, std::move(processor),
                          std::move(message), std::move(hint)});
    }

    void declare(const PipelineDefinition& definition) {
        auto number = static_cast<std::uint32_t>(set_.pipelines_.size());
        auto [place, added] = set_.by_id_.emplace(definition.id, number);
        if (!added) {
            const std::string& other = files_[place->second];
            report(definition, {1, 1}, "",
                   "pipeline [" + definition.id + "] is defined twice" +
                       (other.empty() ? "" : ", also in " + other),
                   "rename the file or set another [id]");
            return;
        }
        files_.push_back(definition.file);
        if (definition.deprecated) deprecated_.insert(number);
        auto pipeline = std::make_unique<Pipeline>();
        pipeline->id = definition.id;
        pipeline->description = definition.description;
        pipeline->number = number;
        pipeline->counter = counters_++;
        set_.pipelines_.push_back(std::move(pipeline));
    }

    void fill(const PipelineDefinition& definition) {
        Pipeline& pipeline = *set_.pipelines_[set_.by_id_.at(definition.id)];
        current_ = &definition;
        pipeline.steps = block(definition.processors);
        if (definition.has_on_failure)
            pipeline.on_failure = std::make_unique<Block>(block(definition.on_failure));
    }

    Block block(const std::vector<ProcessorDefinition>& processors) {
        Block made;
        for (const ProcessorDefinition& processor : processors) {
            if (auto compiled = step(processor)) made.steps.push_back(std::move(*compiled));
        }
        return made;
    }

    std::optional<Step> step(const ProcessorDefinition& definition) {
        if (definition.condition) {
            report(*current_, definition.condition_position, definition.label(),
                   "option [if] is not available in this version: conditions need the script "
                   "language, which is not "
                   "part of it yet",
                   "split the pipeline, or drop documents before it");
        }
        std::unique_ptr<Block> handler;
        if (definition.has_on_failure)
            handler = std::make_unique<Block>(block(definition.on_failure));
        const ProcessorSpec* spec = catalog_.find(definition.type);
        if (spec == nullptr) {
            unknown(definition);
            return std::nullopt;
        }
        Config::Context context;
        context.diagnostics = &diagnostics_;
        context.file = current_->file;
        context.pipeline = current_->id;
        context.tag = definition.tag;
        context.access = current_->access;
        context.nested = [this](const Node& node) { return nested(node); };
        Config config(*spec, definition.options, std::move(context));
        if (!config.valid()) return std::nullopt;

        Step made;
        try {
            made.body = spec->compile(config);
        } catch (const Error& error) {
            config.error("", error.what());
            return std::nullopt;
        }
        made.type = definition.type;
        made.tag = definition.tag;
        made.description = definition.description;
        made.pipeline = current_->id;
        made.ignore_failure = definition.ignore_failure;
        // What a called pipeline or an earlier element did stands when a later step fails, as in
        // the reference.
        made.keeps_partial_changes = spec->keeps_partial_changes ||
                                     std::holds_alternative<PipelineCall>(made.body) ||
                                     std::holds_alternative<ForeachElement>(made.body);
        made.on_failure = std::move(handler);
        made.counter = counters_++;
        if (const auto* call = std::get_if<PipelineCall>(&made.body);
            call && call->name.is_constant()) {
            calls_.push_back({current_, call->name.text(), definition.position, definition.label(),
                              call->ignore_missing});
        }
        return made;
    }

    void unknown(const ProcessorDefinition& definition) {
        if (definition.type == "script") {
            report(*current_, definition.position, definition.label(),
                   "processor [script] is not available in this version: the script language is "
                   "not part of it yet",
                   "use the other processors, or a plugin");
            return;
        }
        std::vector<std::string_view> names;
        for (const auto& [name, spec] : catalog_.all())
            names.push_back(name);
        std::string_view near = nearest(definition.type, names);
        report(*current_, definition.position, definition.label(),
               "no processor type exists with name [" + definition.type + "]",
               near.empty() ? "`penstock inspect processors` lists those that exist"
                            : "did you mean [" + std::string(near) + "]?");
    }

    BlockPtr nested(const Node& node) {
        BlockPtr made(new Block);
        auto definition = parse_processor(node, current_->file, current_->id, diagnostics_);
        if (definition) {
            if (auto compiled = step(*definition)) made->steps.push_back(std::move(*compiled));
        }
        return made;
    }

    void check_calls() {
        std::vector<std::string_view> names;
        for (const auto& [id, number] : set_.by_id_)
            names.push_back(id);
        for (const Call& call : calls_) {
            auto called = set_.by_id_.find(call.to);
            if (called != set_.by_id_.end()) {
                if (deprecated_.contains(called->second)) {
                    report(*call.from, call.position, call.processor,
                           "pipeline [" + call.to + "] is deprecated", "", Severity::warning);
                }
                continue;
            }
            if (call.ignore_missing) continue;
            std::string_view near = nearest(call.to, names);
            report(*call.from, call.position, call.processor,
                   "pipeline [" + call.to + "] does not exist",
                   near.empty() ? "add its file, or set [ignore_missing_pipeline]"
                                : "did you mean [" + std::string(near) + "]?",
                   severity_of_calls());
        }
        find_cycles();
    }

    Severity severity_of_calls() const {
        return set_.options_.bad_calls_are_errors ? Severity::error : Severity::warning;
    }

    void find_cycles() {
        CallGraph graph(set_.pipelines_.size());
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            auto to = set_.by_id_.find(calls_[i].to);
            if (to == set_.by_id_.end()) continue;
            graph[set_.by_id_.at(calls_[i].from->id)].push_back({to->second, i});
        }
        for (const Cycle& cycle : CycleSearch(graph).run()) {
            std::vector<std::string_view> way;
            for (std::uint32_t pipeline : cycle.way)
                way.push_back(set_.pipelines_[pipeline]->id);
            report_cycle(calls_[cycle.call], way);
        }
    }

    void report_cycle(const Call& call, const std::vector<std::string_view>& way) {
        constexpr std::size_t shown_at_each_end = 8;
        std::string text;
        for (std::size_t i = 0; i < way.size(); ++i) {
            if (i == shown_at_each_end && way.size() > 2 * shown_at_each_end) {
                i = way.size() - shown_at_each_end;
                text += "... -> ";
            }
            text += std::string(way[i]) + " -> ";
        }
        report(*call.from, call.position, call.processor,
               "Cycle detected for pipeline: " + call.to + " (" + text + call.to + ")",
               "a pipeline must not call itself, directly or through others", severity_of_calls());
    }

    // ---- which steps wait

    /// A pipeline waits when one that it calls waits, so this goes round until nothing changes
    /// (calls form no cycle, but a name from a template may lead anywhere: such a call waits when
    /// any pipeline does).
    void find_waits() {
        bool changed = true;
        while (changed) {
            changed = false;
            for (auto& pipeline : set_.pipelines_) {
                bool waits = mark(pipeline->steps);
                if (pipeline->on_failure) waits = mark(*pipeline->on_failure) || waits;
                changed = changed || waits != pipeline->waits;
                pipeline->waits = waits;
            }
        }
        for (auto& pipeline : set_.pipelines_) {
            cut(pipeline->steps);
            if (pipeline->on_failure) cut(*pipeline->on_failure);
        }
    }

    bool mark(Block& block) {
        block.waits = false;
        for (Step& step : block.steps) {
            step.waits = body_waits(step.body);
            if (step.on_failure) step.waits = mark(*step.on_failure) || step.waits;
            block.waits = block.waits || step.waits;
        }
        return block.waits;
    }

    bool body_waits(StepBody& body) {
        if (std::holds_alternative<AsyncProcessorPtr>(body)) return true;
        if (auto* foreach = std::get_if<ForeachElement>(&body)) return mark(*foreach->body);
        if (auto* call = std::get_if<PipelineCall>(&body)) {
            if (call->name.is_constant()) {
                const Pipeline* called = set_.find(call->name.text());
                return called != nullptr && called->waits;
            }
            return std::any_of(set_.pipelines_.begin(), set_.pipelines_.end(),
                               [](const auto& pipeline) { return pipeline->waits; });
        }
        return false;
    }

    void cut(Block& block) {
        block.segments.clear();
        for (std::uint32_t i = 0; i < block.steps.size(); ++i) {
            Step& step = block.steps[i];
            if (step.on_failure) cut(*step.on_failure);
            if (auto* foreach = std::get_if<ForeachElement>(&step.body)) cut(*foreach->body);
            if (!step.waits && !block.segments.empty() && !block.segments.back().waits) {
                block.segments.back().end = i + 1;
            } else {
                block.segments.push_back({i, i + 1, step.waits});
            }
        }
    }

    PipelineSet& set_;
    const Catalog& catalog_;
    Diagnostics& diagnostics_;
    const PipelineDefinition* current_ = nullptr;
    std::vector<Call> calls_;
    std::vector<std::string> files_;      // by pipeline
    std::set<std::uint32_t> deprecated_;  // pipelines
    std::uint32_t counters_ = 0;
};

std::shared_ptr<const PipelineSet> PipelineSet::compile(std::vector<PipelineDefinition> definitions,
                                                        const Catalog& catalog,
                                                        Diagnostics& diagnostics,
                                                        const CompileOptions& options) {
    std::shared_ptr<PipelineSet> set(new PipelineSet());
    set->options_ = options;
    Compiler(*set, catalog, diagnostics).compile(definitions);
    return diagnostics.has_errors() ? nullptr : set;
}

std::shared_ptr<const PipelineSet> PipelineSet::compile(std::vector<PipelineDefinition> definitions,
                                                        const Catalog& catalog,
                                                        const CompileOptions& options) {
    Diagnostics diagnostics;
    auto set = compile(std::move(definitions), catalog, diagnostics, options);
    if (!set) throw DefinitionError(std::move(diagnostics));
    return set;
}

const Pipeline* PipelineSet::find(std::string_view id) const {
    auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : pipelines_[found->second].get();
}

}  // namespace penstock::pipeline
