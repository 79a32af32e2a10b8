// Tokenizers: text to the model's token ids, with the byte range of every token.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::text {

/// The tokens of one text. `begin[i]`..`end[i]` is token i's byte range in the original (not
/// normalised) text, always whole code points. Tokens that come from one expanded code point share
/// its range; a unigram token that begins with a blank has the blank in its range; special tokens
/// that a template adds have an empty range. Ranges are in order. All vectors have the same length.
/// Reused between calls: a tokenizer clears it first and keeps its capacity.
struct Tokens {
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> begin;
    std::vector<std::uint32_t> end;

    std::size_t size() const { return ids.size(); }
    void clear() {
        ids.clear();
        begin.clear();
        end.clear();
    }
};

/// Immutable after loading and safe to use from any thread.
class Tokenizer {
  public:
    virtual ~Tokenizer() = default;

    /// Tokenises valid UTF-8 text of less than 4 GiB; nothing is truncated. Adds the model's
    /// special tokens ([CLS] .. [SEP]) when `with_special_tokens`. Time is linear in the text's
    /// length. Bytes that are not UTF-8 are read as U+FFFD.
    virtual void encode(std::string_view text, bool with_special_tokens, Tokens& out) const = 0;

    /// How many tokens `encode` adds to one text with special tokens (BERT: 2, USE-Lite: 0).
    virtual std::size_t special_token_count() const = 0;
    /// The special tokens put before and after a single text.
    virtual const std::vector<std::int32_t>& prefix_ids() const = 0;
    virtual const std::vector<std::int32_t>& suffix_ids() const = 0;
    /// "unigram", "wordpiece" or "wordlevel".
    virtual std::string_view type() const = 0;
    virtual std::size_t vocabulary_size() const = 0;
    /// The token's text; empty when `id` is out of range.
    virtual std::string_view token(std::int32_t id) const = 0;
    /// The id of a token's text, such as "[MASK]". Searches the whole vocabulary: for loading, not
    /// for every document.
    virtual std::optional<std::int32_t> id(std::string_view token) const;
};

/// Reads a tokenizer from a model's directory: `tokenizer.json` (HuggingFace: Unigram, WordPiece
/// and WordLevel models with their normalisers, pre-tokenisers and post-processors; its truncation
/// and padding are left to the caller), or else `vocab.txt` with an optional
/// `tokenizer_config.json` (BERT). Unigram models whose `config.json` has the model type `use-lite`
/// follow the rules of TensorFlow.js, which that model was published with: ids 0 to 5 are never
/// found in a text, and ties and unknown characters are decided otherwise. Throws penstock::Error
/// that names the file and what in it is unsupported or broken.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& directory);

}  // namespace penstock::text
