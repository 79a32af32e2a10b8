// A tokenizer put together from its parts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/added_tokens.h"
#include "engine/text/normalizer.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/token_model.h"
#include "engine/text/tokenizer.h"

namespace penstock::text {

/// What a tokenizer file describes. Steps are run in their order.
struct TokenizerParts {
    std::vector<NormalizerPtr> normalizers;
    std::vector<PreTokenizerPtr> pre_tokenizers;
    TokenModelPtr model;
    std::vector<AddedToken> added_tokens;
    std::vector<std::int32_t> prefix_ids;
    std::vector<std::int32_t> suffix_ids;
    std::vector<std::string> tokens;  ///< by id, added tokens among them
};

/// Text goes through added tokens found in the original, normalisers, added tokens found in the
/// normalised text, pre-tokenizers and the model, as HuggingFace's tokenizers do it.
std::shared_ptr<const Tokenizer> compose_tokenizer(TokenizerParts parts);

}  // namespace penstock::text
