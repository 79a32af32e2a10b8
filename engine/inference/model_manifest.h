// penstock-model.yaml: what a model's own files do not say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "engine/inference/request.h"
#include "engine/inference/task.h"

namespace penstock::inference {

/// The defaults of a model's inference_config, as Elasticsearch keeps them with a trained model.
struct InferenceDefaults {
    std::string results_field;                        ///< empty: the processor's own default
    std::optional<std::int64_t> embedding_size;       ///< checked against the model when it starts
    std::optional<std::int64_t> max_sequence_length;  ///< tokens, special tokens included
    Truncate truncate = Truncate::first;
    bool with_special_tokens = true;
};

/// Everything is optional in the file; absent means the value here, or what config.json says.
struct ModelManifest {
    std::string description;
    TaskType task_type = TaskType::text_embedding;
    std::optional<std::string> pooling;  ///< mean, cls or max
    std::optional<bool> normalize;       ///< to length 1
    std::string prefix_ingest;
    std::string prefix_search;
    std::string dtype = "auto";  ///< auto, float32 or float16
    std::optional<std::int64_t> max_sequence_length;
    InferenceDefaults inference_config;
};

/// The manifest of the model in `directory`; the defaults when the file is absent. Throws
/// penstock::Error that lists every mistake with file:line:column, one a line.
ModelManifest load_manifest(const std::filesystem::path& directory);

}  // namespace penstock::inference
