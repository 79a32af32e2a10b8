#include "engine/pipeline/simulate.h"

#include <deque>

#include "engine/document/json.h"

namespace penstock::pipeline {

using document::Arena;
using document::Document;
using document::Meta;
using document::Value;

namespace {

void write_member(std::string& out, std::string_view name, Value value) {
    if (out.back() != '{') out += ',';
    document::write_json_string(name, out);
    out += ':';
    document::write_json(value, out);
}

/// Failure metadata belongs to handlers, and the element to foreach: they are shown while they are
/// there.
std::string render(const Document& document) {
    std::string out = "{";
    for (std::size_t i = 0; i < document::meta_count; ++i) {
        Value value = document.meta(static_cast<Meta>(i));
        // The reference shows a version as text.
        if (static_cast<Meta>(i) == Meta::version && value.is_integer()) {
            out += (out.back() == '{' ? "\"_version\":\"" : ",\"_version\":\"") +
                   std::to_string(value.as_integer()) + '"';
        } else if (!value.is_null()) {
            write_member(out, document::meta_name(static_cast<Meta>(i)), value);
        }
    }
    write_member(out, "_source", document.source());
    if (document.ingest().is_object()) write_member(out, "_ingest", document.ingest());
    return out + '}';
}

class Recorder final : public StepObserver {
  public:
    explicit Recorder(std::vector<SimulatedDocument>& documents)
        : documents_(documents), calls_(documents.size()) {}

    /// As in the reference, a call comes before the steps of the pipeline that it runs, and what
    /// happens in there is told of those steps alone.
    void entering(const Step& step, std::size_t slot, Document& document) override {
        after(step, slot, document, Status::success, nullptr);
        documents_[slot].steps.back().is_call = true;
        calls_[slot].push_back(&step);
    }

    void after(const Step& step, std::size_t slot, Document& document, Status status,
               const document::Failure* failure) override {
        if (!calls_[slot].empty() && calls_[slot].back() == &step) {
            calls_[slot].pop_back();
            return;
        }
        SimulatedStep made;
        made.processor_type = step.type;
        made.tag = step.tag;
        made.description = step.description;
        made.status = status;
        if (failure != nullptr) made.failure = *failure;
        bool shows = status == Status::success || status == Status::error_ignored;
        if (shows) made.document = render(document);
        documents_[slot].steps.push_back(std::move(made));
    }

  private:
    std::vector<SimulatedDocument>& documents_;
    std::vector<std::vector<const Step*>> calls_;  // those that run, by slot, innermost last
};

/// Metadata members and `_source`, or a bare source. Empty on success, else what is wrong.
std::string read(std::string_view text, document::JsonParser& parser, Arena& arena,
                 Document& document) {
    Value value;
    document::JsonError error;
    if (!parser.parse(text, arena, value, error)) return error.text();
    if (!value.is_object()) return "a document must be a JSON object";
    document.set_meta(Meta::index, Value::string("_index"));
    document.set_meta(Meta::id, Value::string("_id"));
    document.set_meta(Meta::version, Value::integer(-3));
    const Value* source = value.as_object().get("_source");
    if (source == nullptr) {
        document.set_source(value);
    } else if (source->is_object()) {
        document.set_source(*source);
    } else {
        return "[_source] must be an object";
    }
    if (source != nullptr) {
        for (const document::Member& member : value.as_object()) {
            if (!document::meta_named(member.key())) continue;
            auto path = document::FieldPath::parse(member.key());
            document::Outcome outcome = document.set(*path, member.value);
            if (outcome.is_failure()) return outcome.failure().reason;
        }
    }
    document.commit();
    return "";
}

std::string_view status_name(StepObserver::Status status) {
    switch (status) {
        case StepObserver::Status::success:
            return "success";
        case StepObserver::Status::error:
            return "error";
        case StepObserver::Status::error_ignored:
            return "error_ignored";
        case StepObserver::Status::skipped:
            return "skipped";
        case StepObserver::Status::dropped:
            return "dropped";
    }
    return "success";
}

void write_text(std::string& out, std::string_view name, std::string_view text) {
    if (out.back() != '{') out += ',';
    document::write_json_string(name, out);
    out += ':';
    document::write_json_string(text, out);
}

std::string error_object(const document::Failure& failure) {
    std::string cause = "{";
    write_text(cause, "type", document::type_name(failure.type));
    write_text(cause, "reason", failure.reason);
    std::string out = "{\"root_cause\":[" + cause + "}],";
    out += cause.substr(1);
    if (!failure.processor_type.empty()) {
        write_text(out, "processor_type", failure.processor_type);
        if (!failure.processor_tag.empty()) write_text(out, "processor_tag", failure.processor_tag);
        write_text(out, "pipeline", failure.pipeline);
    }
    return out + '}';
}

std::string step_object(const SimulatedStep& step) {
    std::string out = "{";
    write_text(out, "processor_type", step.processor_type);
    write_text(out, "status", status_name(step.status));
    if (!step.tag.empty()) write_text(out, "tag", step.tag);
    if (!step.description.empty()) write_text(out, "description", step.description);
    if (step.status == StepObserver::Status::error)
        out += ",\"error\":" + error_object(step.failure);
    if (step.status == StepObserver::Status::error_ignored) {
        out += ",\"ignored_error\":{\"error\":" + error_object(step.failure) + '}';
    }
    if (!step.document.empty() && !step.is_call) out += ",\"doc\":" + step.document;
    return out + '}';
}

}  // namespace

boost::asio::awaitable<std::vector<SimulatedDocument>> simulate(
    std::shared_ptr<const PipelineSet> set, const Pipeline& pipeline,
    std::vector<std::string> texts, SimulateOptions options) {
    std::vector<SimulatedDocument> simulated(texts.size());
    Arena arena;
    document::JsonParser parser;
    std::deque<Document> documents;
    std::vector<Document*> live;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        Document& document = documents.emplace_back(arena);
        document.slot = static_cast<std::uint32_t>(i);
        std::string problem = read(texts[i], parser, arena, document);
        if (problem.empty()) {
            simulated[i].before = render(document);
            live.push_back(&document);
        } else {
            simulated[i].fate = Fate::failed;
            simulated[i].failure = document::failure(problem, document::FailureType::parse);
        }
    }
    Recorder recorder(simulated);
    Executor executor(set, pipeline, options.verbose ? &recorder : nullptr);
    executor.set_timestamp(options.timestamp);
    std::vector<ExecutionResult> results;
    co_await executor.run(live, results);
    for (std::size_t i = 0; i < live.size(); ++i) {
        SimulatedDocument& one = simulated[live[i]->slot];
        one.fate = results[i].fate;
        one.failure = std::move(results[i].failure);
        if (one.fate == Fate::done) one.after = render(*live[i]);
    }
    co_return simulated;
}

std::string simulate_response(const std::vector<SimulatedDocument>& documents, bool verbose) {
    std::string out = "{\"docs\":[";
    for (const SimulatedDocument& one : documents) {
        if (out.back() != '[') out += ',';
        bool ran =
            one.fate != Fate::failed || !one.steps.empty();  // otherwise the text was no document
        if (verbose && ran) {
            out += "{\"processor_results\":[";
            for (const SimulatedStep& step : one.steps) {
                if (out.back() != '[') out += ',';
                out += step_object(step);
            }
            out += "]}";
        } else if (one.fate == Fate::failed) {
            out += "{\"error\":" + error_object(one.failure) + '}';
        } else if (one.fate == Fate::dropped) {
            out += "null";
        } else {
            out += "{\"doc\":" + one.after + '}';
        }
    }
    return out + "]}";
}

}  // namespace penstock::pipeline
