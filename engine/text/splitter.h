// The strategies behind Chunker: each cuts a text into byte ranges.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/break_iterators.h"
#include "engine/text/chunk.h"

namespace penstock::text {

/// Half-open range of bytes.
struct ByteRange {
    std::size_t begin = 0;
    std::size_t end = 0;
};

/// What is wrong with a text, for people; nothing when all is well.
using SplitProblem = std::optional<std::string>;

/// Immutable and safe to use from any thread.
class Splitter {
  public:
    virtual ~Splitter() = default;

    /// Appends the chunks of `text`, which is not empty and at most BreakIteratorPool::kMaxBytes
    /// long.
    virtual SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const = 0;
};

using SplitterPtr = std::unique_ptr<const Splitter>;

// Each takes settings that check_chunk_settings has no complaint about.
SplitterPtr make_whole_splitter();
SplitterPtr make_delimiter_splitter(const ChunkSettings& settings);
SplitterPtr make_character_splitter(const ChunkSettings& settings);
SplitterPtr make_word_splitter(const ChunkSettings& settings);
SplitterPtr make_sentence_splitter(const ChunkSettings& settings);
SplitterPtr make_recursive_splitter(const ChunkSettings& settings);
SplitterPtr make_word_token_splitter(const ChunkSettings& settings);

/// Chunks of at most `limit` tokens, special tokens among them, when tokenised alone;
/// `overlap_rate` of the tokens of a chunk are repeated in the next, from a word's start on.
SplitterPtr make_model_token_splitter(std::shared_ptr<const Tokenizer> tokenizer, std::size_t limit,
                                      double overlap_rate);

/// What is wrong with a separator, or nothing.
SplitProblem check_separator(const std::string& separator);

/// Keeps grapheme clusters (UAX #29) whole. Safe to use from any thread.
class GraphemeBoundaries {
  public:
    /// The last boundary that is greater than `lowest` and not behind `at`; `at` itself if there is
    /// none within some hundred bytes.
    std::size_t floor(std::string_view text, std::size_t lowest, std::size_t at) const;

  private:
    BreakIteratorPool pool_{BreakIteratorPool::Kind::grapheme};
};

/// The byte position after the code point at `at`.
std::size_t next_code_point(std::string_view text, std::size_t at);

/// Whether a blank (White_Space) begins at `at`.
bool blank_at(std::string_view text, std::size_t at);

}  // namespace penstock::text
