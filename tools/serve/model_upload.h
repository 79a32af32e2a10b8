// Models that clients put: description, definition in parts, vocabulary.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "tools/serve/ml_description.h"

namespace penstock::serve {

/// One part of a TorchScript archive.
struct DefinitionPart {
    std::int64_t number = 0;                   ///< from 0
    std::int64_t total_parts = 0;              ///< the same in all parts
    std::int64_t total_definition_length = 0;  ///< bytes of the archive, likewise
    std::string_view definition;               ///< base64
};

/// Directories below one root, in the model store's layout:
///
///     ID/trained-model.json     the description (describe)
///     ID/penstock-model.yaml    the same for the model store
///     ID/vocab.txt, tokenizer.json, tokenizer_config.json
///     ID/model.pt               when all parts have come
///     ID/.parts/                the parts until then
///
/// A model is complete in one step: its archive is assembled beside the parts and renamed.
/// Thread-safe; blocks for files. Throws ApiError for what is wrong with a request, penstock::Error
/// for what is wrong with the disk.
class ModelUploads {
  public:
    explicit ModelUploads(std::filesystem::path root);

    const std::filesystem::path& root() const { return root_; }

    /// 400 when the id is no model id.
    void create(const ModelDescription& model) const;
    /// Nothing when it was not put here.
    std::optional<ModelDescription> describe(std::string_view id) const;
    /// True when it was the last missing part. 400 for a part that does not fit the others.
    bool put_part(std::string_view id, const DefinitionPart& part);
    /// Writes the files that the tokenizer is loaded from. 400 when the vocabulary does not fit the
    /// model's tokenization.
    void put_vocabulary(std::string_view id, const document::Object& body) const;
    /// False when it was not put here.
    bool remove(std::string_view id);

  private:
    std::filesystem::path directory(std::string_view id) const;
    void assemble(const std::filesystem::path& directory, const DefinitionPart& last) const;

    std::filesystem::path root_;
    std::mutex mutex_;  // one part or removal at a time
};

/// Elasticsearch's rule: lower case letters, digits, `-`, `_`, `.`, beginning and ending with a
/// letter or digit.
bool is_model_id(std::string_view id);

}  // namespace penstock::serve
