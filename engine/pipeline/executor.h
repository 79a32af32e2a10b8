// Runs documents through a compiled pipeline.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/document.h"
#include "engine/pipeline/pipeline.h"

namespace penstock::pipeline {

/// What became of one document.
enum class Fate : std::uint8_t { running, done, dropped, failed };

struct ExecutionResult {
    Fate fate = Fate::running;
    document::Failure failure;  ///< when failed
};

/// Sees every step of every document, those of handlers and called pipelines included, for
/// `simulate --verbose`. A foreach is one step: what it runs for its elements is not shown, as in
/// Elasticsearch. `slot` is the document's. Called on the executing thread; must not throw.
class StepObserver {
  public:
    enum class Status : std::uint8_t { success, error, error_ignored, skipped, dropped };
    virtual ~StepObserver() = default;
    /// A step begins to run another pipeline, whose steps come next; `after` follows for this step
    /// too.
    virtual void entering(const Step& /*step*/, std::size_t /*slot*/,
                          document::Document& /*document*/) {}
    /// A step ended. `failure` is set with error and error_ignored; a handler's steps come after
    /// its step's error.
    virtual void after(const Step& step, std::size_t slot, document::Document& document,
                       Status status, const document::Failure* failure) = 0;
};

/// Runs batches through one pipeline of a set. Cheap to make; one per worker; not thread-safe (the
/// set is shared).
class Executor {
  public:
    Executor(std::shared_ptr<const PipelineSet> set, const Pipeline& pipeline,
             StepObserver* observer = nullptr);
    ~Executor();

    /// Runs all documents; results[i] tells what became of documents[i]. `_ingest.timestamp` is set
    /// to now (ISO 8601 UTC) first when it is not there. Never throws for what a document or a step
    /// does: an exception that leaves a processor fails its document, or the documents that an
    /// asynchronous one was given. Throws on cancellation (boost::system::system_error,
    /// operation_aborted): then results stay `running` and no document of the batch may be
    /// acknowledged. The executor, the documents and `results` must outlive the run.
    boost::asio::awaitable<void> run(std::span<document::Document*> documents,
                                     std::vector<ExecutionResult>& results);

    /// The same without an event loop, for a pipeline in which nothing waits (Pipeline::waits is
    /// false; otherwise std::logic_error).
    void run_sync(std::span<document::Document*> documents, std::vector<ExecutionResult>& results);

    /// Fixes the clock of `_ingest.timestamp` (tests, simulate); empty means the real one.
    void set_timestamp(std::string iso8601);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::pipeline
