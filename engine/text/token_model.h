// Token models: one word's (or text's) symbols to token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/symbols.h"
#include "engine/text/tokenizer.h"
#include "engine/text/trie.h"

namespace penstock::text {

/// Working space of one `encode`, kept for its capacity.
struct ModelSpace {
    struct Cell {
        double score = 0;
        std::uint32_t start = 0;
        std::int32_t id = 0;
    };
    std::vector<Trie::Label> labels;
    std::vector<Cell> cells;
};

inline void append_token(std::int32_t id, SymbolSpan source, Tokens& out) {
    out.ids.push_back(id);
    out.begin.push_back(source.front().begin);
    out.end.push_back(source.back().end);
}

/// Immutable and safe to use from any thread.
class TokenModel {
  public:
    virtual ~TokenModel() = default;

    /// Appends the tokens of `word`, which is not empty.
    virtual void encode(SymbolSpan word, ModelSpace& space, Tokens& out) const = 0;
    virtual std::string_view type() const = 0;
};

using TokenModelPtr = std::unique_ptr<const TokenModel>;

/// SentencePiece's unigram language model: the cut whose pieces' scores have the greatest sum (Kudo
/// 2018, arXiv 1804.10959), found by dynamic programming in doubles.
struct UnigramOptions {
    std::vector<std::pair<std::string, double>> pieces;  ///< text and score, by id
    std::int32_t unknown_id = 0;
    /// Unknown characters become the pieces `<0x00>` to `<0xFF>` of their bytes, where all of these
    /// exist.
    bool byte_fallback = false;
    /// How many ids, from 0, are never found in a text.
    std::size_t reserved = 0;
    /// The rules of TensorFlow.js' tokenizer, which Universal Sentence Encoder Lite was published
    /// with, where they differ from SentencePiece's: an unknown character costs nothing but stands
    /// only where no piece begins, a later cut wins a tie, and a sum of exactly 0 counts as "not
    /// reached yet".
    bool tensorflow_js = false;
};
/// Throws penstock::Error when the unknown id is out of range.
TokenModelPtr make_unigram(const UnigramOptions& options);

/// BERT's WordPiece: longest piece first, from the left; a word with a part that is no piece is
/// unknown as a whole.
struct WordPieceOptions {
    std::vector<std::string> tokens;  ///< by id; empty where an id is not used
    std::int32_t unknown_id = 0;
    std::string continuing_prefix = "##";
    std::size_t max_word_length = 100;  ///< code points; longer words are unknown
};
TokenModelPtr make_word_piece(const WordPieceOptions& options);

/// Whole words alone.
TokenModelPtr make_word_level(const std::vector<std::string>& tokens, std::int32_t unknown_id);

}  // namespace penstock::text
