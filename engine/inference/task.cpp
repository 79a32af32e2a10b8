#include "engine/inference/task.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "engine/runtime/error.h"

namespace penstock::inference {
namespace {

constexpr std::array<std::pair<TaskType, std::string_view>, 9> kNames{{
    {TaskType::text_embedding, "text_embedding"},
    {TaskType::text_expansion, "text_expansion"},
    {TaskType::ner, "ner"},
    {TaskType::text_classification, "text_classification"},
    {TaskType::zero_shot_classification, "zero_shot_classification"},
    {TaskType::fill_mask, "fill_mask"},
    {TaskType::question_answering, "question_answering"},
    {TaskType::text_similarity, "text_similarity"},
    {TaskType::pass_through, "pass_through"},
}};

class TextEmbeddingTask final : public Task {
  public:
    TaskType type() const override { return TaskType::text_embedding; }

    TaskOutput keep(const SequenceOutput& output) const override {
        if (output.rows != 1) {
            throw Error(
                "the model returned " + std::to_string(output.rows) +
                " vectors for one text; a text_embedding model returns 1 (is the pooling set?)");
        }
        std::vector<float> values(output.data, output.data + output.width);
        // One NaN in an index spoils every distance computed with it, and is hard to find later.
        if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
            throw Error("the model returned a vector with a number that is not finite");
        }
        return TextEmbedding{std::move(values)};
    }
};

}  // namespace

std::string_view name(TaskType type) {
    return std::find_if(kNames.begin(), kNames.end(), [&](auto& n) { return n.first == type; })
        ->second;
}

std::optional<TaskType> parse_task_type(std::string_view name) {
    for (const auto& [type, text] : kNames) {
        if (text == name) return type;
    }
    return std::nullopt;
}

std::size_t memory_bytes(const TaskOutput& output) {
    return sizeof(TaskOutput) + std::get<TextEmbedding>(output).values.capacity() * sizeof(float);
}

std::shared_ptr<const Task> make_task(TaskType type) {
    if (type == TaskType::text_embedding) return std::make_shared<TextEmbeddingTask>();
    throw Error("the task type [" + std::string(name(type)) +
                "] is not available in this version; available: text_embedding");
}

}  // namespace penstock::inference
