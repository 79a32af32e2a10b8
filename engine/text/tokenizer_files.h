// The file formats that tokenizers are read from.
#pragma once

#include <filesystem>

#include "engine/text/composed_tokenizer.h"

namespace penstock::text {

/// Reads HuggingFace's `tokenizer.json`. `tensorflow_js` asks for that runtime's rules in a Unigram
/// model, see load_tokenizer. Throws penstock::Error.
TokenizerParts read_tokenizer_json(const std::filesystem::path& file, bool tensorflow_js);

/// Reads BERT's `vocab.txt` (one token a line) and `tokenizer_config.json`, which may be absent.
/// Throws penstock::Error.
TokenizerParts read_vocabulary_text(const std::filesystem::path& vocabulary,
                                    const std::filesystem::path& config);

}  // namespace penstock::text
