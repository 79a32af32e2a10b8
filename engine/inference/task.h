// Task types: what a model's raw output means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace penstock::inference {

/// Elasticsearch's names of the NLP tasks.
enum class TaskType {
    text_embedding,
    text_expansion,
    ner,
    text_classification,
    zero_shot_classification,
    fill_mask,
    question_answering,
    text_similarity,
    pass_through,
};

std::string_view name(TaskType type);
std::optional<TaskType> parse_task_type(std::string_view name);

/// One sequence's raw output: rows x width floats, row-major, borrowed from the session.
struct SequenceOutput {
    const float* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t width = 0;
};

struct TextEmbedding {
    std::vector<float> values;
};

/// What is kept of a sequence: cached, shared by everybody who asked for the same text, never
/// changed. A new task type adds its alternative here and its Task in task.cpp; deployments and
/// their queues need no change.
using TaskOutput = std::variant<TextEmbedding>;

/// Heap bytes that `output` holds, for the cache's account.
std::size_t memory_bytes(const TaskOutput& output);

/// Turns raw outputs into results. Immutable; safe to use from any thread.
class Task {
  public:
    virtual ~Task() = default;
    virtual TaskType type() const = 0;
    /// Runs on an allocation's thread. Throws penstock::Error when the output cannot be a result of
    /// this task; that fails the one text.
    virtual TaskOutput keep(const SequenceOutput& output) const = 0;
};

/// Throws penstock::Error naming the type when it is not available in this version.
std::shared_ptr<const Task> make_task(TaskType type);

}  // namespace penstock::inference
