// A text to the token ids that go to a model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/inference/content.h"
#include "engine/inference/model_store.h"
#include "engine/inference/request.h"

namespace penstock::inference {

struct ModelInput {
    std::optional<InferError> error;  ///< why the text cannot be an input; `content` is empty then
    Content content;
    std::uint32_t tokens = 0;  ///< before truncation
    bool is_truncated = false;
};

/// Prefix, tokens, truncation. Keeps its buffers from text to text; one for each thread.
class InputMaker {
  public:
    InputMaker(const LoadedModel& model, const InferOptions& options);

    /// The text is outside data: invalid UTF-8, no tokens and too many tokens are errors in the
    /// result (400).
    ModelInput make(std::string_view text);

  private:
    void cut_to_limit();

    const LoadedModel& model_;
    const std::string* prefix_;
    Truncate truncate_;
    std::string prefixed_;
    text::Tokens tokens_;
};

}  // namespace penstock::inference
