// What clients say about a model: the body of PUT _ml/trained_models/{id}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/document/json_writer.h"
#include "engine/document/value.h"
#include "engine/inference/model_store.h"

namespace penstock::serve {

/// How Elasticsearch's inference_config.*.tokenization says a text becomes tokens.
struct Tokenization {
    std::string type = "bert";  ///< bert, mpnet or xlm_roberta
    bool do_lower_case = false;
    bool with_special_tokens = true;
    std::int64_t max_sequence_length = 512;
    std::string truncate = "first";  ///< first, second or none
};

/// One trained model as the API shows it. Members that are JSON text are empty when absent.
struct ModelDescription {
    std::string id;
    std::string description;
    std::string created_by = "api_user";
    std::int64_t create_time = 0;  ///< milliseconds since 1970
    std::vector<std::string> tags;
    std::vector<std::string> input_fields{"text_field"};  ///< of a document; the first is the text
    std::string inference_config;                         ///< JSON
    std::string metadata;                                 ///< JSON
    std::string platform_architecture;
    std::string prefix_ingest;
    std::string prefix_search;

    // Read out of inference_config.
    Tokenization tokenization;
    std::string results_field = "predicted_value";
    std::optional<std::int64_t> embedding_size;
};

/// Reads and checks a request's body, or what to_json has written. Throws ApiError 400 for
/// everything that this version cannot run: other model types than pytorch, other tasks than
/// text_embedding, tokenizers of other kinds, models of another processor.
ModelDescription parse_description(std::string id, const document::Object& body);
/// The description of a model that lies in a configured directory. Throws penstock::Error.
ModelDescription describe_directory(const inference::ModelSummary& model);

/// As parse_description reads it.
std::string to_json(const ModelDescription& model);
/// penstock-model.yaml for the model store.
std::string to_manifest(const ModelDescription& model);

/// The members of GET _ml/trained_models' entry.
void write_config(document::JsonWriter& json, const ModelDescription& model,
                  const inference::ModelSummary& files, const std::vector<std::string>& aliases,
                  std::optional<bool> fully_defined);

/// What one call changes of the model's inference_config: {"text_embedding": {...}}.
struct InferenceUpdate {
    std::string results_field = "predicted_value";
    std::optional<inference::Truncate> truncate;
};
/// Throws ApiError 400.
InferenceUpdate parse_update(const ModelDescription& model, const document::Value* config);

}  // namespace penstock::serve
