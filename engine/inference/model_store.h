// Where models live on disk, and the one loaded copy of each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/inference/backend.h"
#include "engine/inference/model_files.h"
#include "engine/inference/model_manifest.h"
#include "engine/inference/task.h"
#include "engine/text/tokenizer.h"

namespace penstock::inference {

/// One model directory, as far as it can be known without loading weights.
struct ModelSummary {
    std::string model_id;
    std::filesystem::path directory;
    ModelState state = ModelState::ok;
    std::string reason;  ///< why it cannot be loaded; empty when ok
    TaskType task_type = TaskType::text_embedding;
    std::string description;
    std::uint64_t model_size_bytes = 0;  ///< the weights' files
};

/// A model ready to run. Shared, without change, by all deployments of the model on one device and
/// in one number format; its memory goes when the last of them stops.
struct LoadedModel {
    std::string model_id;
    ModelManifest manifest;
    std::shared_ptr<Backend> backend;
    std::shared_ptr<BackendModel> weights;
    ModelInfo info;
    std::shared_ptr<const text::Tokenizer> tokenizer;
    std::shared_ptr<const Task> task;
    std::int64_t max_tokens =
        0;  ///< longest input: the least of model, manifest and inference_config
};

/// Where and in which number format a model runs.
struct Placement {
    std::string device = "cpu";  ///< "cpu" or "cuda:N"
    std::string dtype = "auto";  ///< "auto" is the manifest's choice
};

struct ModelStoreOptions {
    /// Directories that hold one directory a model. When two hold the same model_id, the first has
    /// it.
    std::vector<std::filesystem::path> roots;
    /// Called each time a model is loaded; the first call is the moment to load the backend's
    /// plugin.
    std::function<std::shared_ptr<Backend>()> backend;
    /// text::load_tokenizer when empty.
    std::function<std::shared_ptr<const text::Tokenizer>(const std::filesystem::path&)> tokenizer;
};

/// Thread-safe. Loading blocks for as long as reading the files takes; loads of one model wait for
/// each other.
class ModelStore {
  public:
    explicit ModelStore(ModelStoreOptions options);
    ~ModelStore();

    /// All model directories, whole or not, by model_id; none that is hidden.
    std::vector<ModelSummary> list() const;
    /// Throws InferenceError 404.
    ModelSummary describe(std::string_view model_id) const;
    /// Without loading weights or a backend, for what only counts tokens. Throws penstock::Error.
    std::shared_ptr<const text::Tokenizer> tokenizer(std::string_view model_id) const;
    /// The loaded model, the same one as long as somebody holds it and its files do not change.
    /// Throws penstock::Error that names the file and the remedy ("Model definition truncated...").
    std::shared_ptr<const LoadedModel> load(std::string_view model_id,
                                            const Placement& asked) const;

  private:
    struct Shared;
    std::filesystem::path directory(std::string_view model_id) const;

    ModelStoreOptions options_;
    std::unique_ptr<Shared> shared_;
};

}  // namespace penstock::inference
