// Trial runs: documents through a pipeline, with what every step made of them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pipeline/executor.h"

namespace penstock::pipeline {

/// One step of one document. `document` is the whole document after it, as JSON (see
/// SimulatedDocument), or empty when it failed or dropped the document. A step that calls a
/// pipeline comes before the steps of that pipeline, with the document as it was then; what becomes
/// of it there is seen from those.
struct SimulatedStep {
    std::string processor_type;
    std::string tag;
    std::string description;
    StepObserver::Status status = StepObserver::Status::success;
    document::Failure failure;  ///< with status error and error_ignored
    std::string document;
    bool is_call = false;  ///< it ran another pipeline
};

/// What became of one document. `before` and `after` are JSON objects {_index, _id, _version,
/// _source, _ingest} as Elasticsearch's simulate API answers them; `after` is empty when it was
/// dropped or failed.
struct SimulatedDocument {
    Fate fate = Fate::done;
    document::Failure failure;
    std::string before;
    std::string after;
    std::vector<SimulatedStep> steps;  ///< only when asked for
};

struct SimulateOptions {
    bool verbose = false;   ///< keep every step
    std::string timestamp;  ///< `_ingest.timestamp`; the clock's when empty
};

/// Documents are JSON texts: {"_index", "_id", "_routing", ..., "_source": {...}}, or a bare
/// source. A text that is neither is answered as a failed document. Documents run as one batch.
boost::asio::awaitable<std::vector<SimulatedDocument>> simulate(
    std::shared_ptr<const PipelineSet> set, const Pipeline& pipeline,
    std::vector<std::string> documents, SimulateOptions options);

/// The answer of Elasticsearch's simulate API: {"docs": [...]}.
std::string simulate_response(const std::vector<SimulatedDocument>& documents, bool verbose);

}  // namespace penstock::pipeline
