#include "engine/inference/model_input.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace penstock::inference {
namespace {

const std::string* prefix_of(const ModelManifest& manifest, PrefixKind kind) {
    if (kind == PrefixKind::ingest) return &manifest.prefix_ingest;
    if (kind == PrefixKind::search) return &manifest.prefix_search;
    return nullptr;
}

// The length of the UTF-8 sequence at the start of `text`; 0 when it is not one (Unicode's table
// 3-7).
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const bool overlong = first == 0xE0 && byte(1) < 0xA0;
        const bool surrogate = first == 0xED && byte(1) > 0x9F;
        return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const bool overlong = first == 0xF0 && byte(1) < 0x90;
        const bool too_large = first == 0xF4 && byte(1) > 0x8F;
        return continues(1) && continues(2) && continues(3) && !overlong && !too_large ? 4 : 0;
    }
    return 0;
}

// Where the text stops being UTF-8.
std::optional<std::size_t> first_invalid_byte(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t length = sequence_length(text.substr(at));
        if (length == 0) return at;
        at += length;
    }
    return std::nullopt;
}

ModelInput refused(std::string reason, std::size_t tokens = 0) {
    ModelInput input;
    input.error = InferError{400, "status_exception", std::move(reason), 0};
    input.tokens = static_cast<std::uint32_t>(tokens);
    return input;
}

}  // namespace

InputMaker::InputMaker(const LoadedModel& model, const InferOptions& options)
    : model_(model),
      prefix_(prefix_of(model.manifest, options.prefix)),
      truncate_(options.truncate.value_or(model.manifest.inference_config.truncate)) {}

ModelInput InputMaker::make(std::string_view text) {
    if (const auto at = first_invalid_byte(text)) {
        return refused("the text is not valid UTF-8 at byte " + std::to_string(*at));
    }
    if (prefix_ != nullptr && !prefix_->empty()) {
        prefixed_.assign(*prefix_);
        prefixed_.append(text);
        text = prefixed_;
    }
    model_.tokenizer->encode(text, model_.manifest.inference_config.with_special_tokens, tokens_);
    const std::size_t count = tokens_.size();
    if (count == 0) {
        return refused("the text has no tokens for model [" + model_.model_id + "] (is it empty?)");
    }
    ModelInput input;
    input.tokens = static_cast<std::uint32_t>(count);
    if (count > static_cast<std::size_t>(model_.max_tokens)) {
        if (truncate_ == Truncate::none) {
            return refused("Input too large. The tokenized input length [" + std::to_string(count) +
                               "] exceeds the maximum sequence length [" +
                               std::to_string(model_.max_tokens) + "]",
                           count);
        }
        cut_to_limit();
        input.is_truncated = true;
    }
    input.content.ids = std::make_shared<const std::vector<std::int32_t>>(tokens_.ids);
    input.content.hash =
        XXH3_64bits(tokens_.ids.data(), tokens_.ids.size() * sizeof(tokens_.ids.front()));
    return input;
}

// The special tokens at the end stay: the cut is made in the text before them.
void InputMaker::cut_to_limit() {
    std::vector<std::int32_t>& ids = tokens_.ids;
    const auto limit = static_cast<std::size_t>(model_.max_tokens);
    ids.resize(limit);
    if (!model_.manifest.inference_config.with_special_tokens) return;
    const auto& suffix = model_.tokenizer->suffix_ids();
    std::copy(suffix.begin(), suffix.end(), ids.end() - static_cast<std::ptrdiff_t>(suffix.size()));
}

}  // namespace penstock::inference
