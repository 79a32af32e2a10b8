// Pipelines of small processors, compiled and run: what the executor's and compiler's tests stand
// on.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/pipeline/executor.h"
#include "engine/pipeline/pipeline.h"

namespace penstock::pipeline::test {

/// What asynchronous processors were given: their type, and how many documents at once.
using Gathered = std::vector<std::pair<std::string, std::size_t>>;

/// The trial processors: `pipeline` and `foreach` as users know them, and
///   note: {text, to: log}   appends a text to a list
///   put: {field, value}     writes a value
///   take: {field}           removes a field
///   move: {from, to}        renames
///   fail: {message}
///   fail_if: {field}        fails with "[field] is there" when it is
///   drop: {}, drop_if: {field}
///   half: {message}         changes several fields, then fails; half_kept keeps them, as its
///   specification says throws: {what}          changes a field, then throws: a std::exception, or
///   an int when `what` is "int" wait: {}                asynchronous always, does nothing
/// Each of those named in `waiting` is asynchronous (all when it holds "*"): the same work, done
/// for the whole batch after a turn of the event loop. `gathered`, when given, is told of every
/// asynchronous call.
struct TrialOptions {
    std::set<std::string> waiting;
    Gathered* gathered = nullptr;
};
Catalog trial_catalog(const TrialOptions& options = {});

/// Definitions of several pipelines from one text: a line `--- ID` begins each. Findings go to
/// `diagnostics`; the file name is ID.yml.
std::vector<PipelineDefinition> definitions(std::string_view text, Diagnostics& diagnostics);

/// Compiles such a text; a failure of the test, and null, when it is wrong.
std::shared_ptr<const PipelineSet> compile(std::string_view text, const Catalog& catalog,
                                           const CompileOptions& options = {});

/// What a compiler says about such a text: all diagnostics, a line each.
std::string complaints(std::string_view text, const CompileOptions& options = {});

/// Documents of one batch with their memory.
class TrialBatch {
  public:
    explicit TrialBatch(const std::vector<std::string>& sources);
    ~TrialBatch();
    TrialBatch(TrialBatch&&) noexcept;
    TrialBatch& operator=(TrialBatch&&) noexcept;

    std::span<document::Document*> documents();
    document::Document& operator[](std::size_t i);
    std::vector<ExecutionResult>& results();
    /// A line for each document: its source as JSON; "dropped"; or
    /// "failed in PIPELINE/TYPE:TAG: REASON, left SOURCE". What should not be left in `_ingest`
    /// follows.
    std::vector<std::string> texts();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

inline constexpr std::string_view trial_time = "2026-01-02T03:04:05.678Z";

/// Runs sources as one batch through the pipeline `id` on an event loop of its own.
std::vector<std::string> run(const std::shared_ptr<const PipelineSet>& set, std::string_view id,
                             const std::vector<std::string>& sources,
                             StepObserver* observer = nullptr);
/// The same without an event loop.
std::vector<std::string> run_sync(const std::shared_ptr<const PipelineSet>& set,
                                  std::string_view id, const std::vector<std::string>& sources,
                                  StepObserver* observer = nullptr);

/// "main 3/1 [note 3/0, fail_if:t 3/1]; inner ...": documents and failures of every pipeline and
/// step. Steps of type `wait` are left out; whatever is still counted as current is shown as
/// "(current N)".
std::string statistics(const PipelineSet& set);

}  // namespace penstock::pipeline::test
