// Pre-tokenizers: cut a normalised text into the words that a token model sees one at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/text/symbols.h"

namespace penstock::text {

/// Half-open range of symbols.
struct WordRange {
    std::size_t begin = 0;
    std::size_t end = 0;
};

/// A text and its words so far; the words are in order and do not overlap.
struct Words {
    Symbols symbols;
    std::vector<WordRange> ranges;
    // Working space of pre-tokenizers, kept for its capacity.
    Symbols spare_symbols;
    std::vector<WordRange> spare_ranges;
};

/// Immutable and safe to use from any thread.
class PreTokenizer {
  public:
    virtual ~PreTokenizer() = default;

    /// Cuts every word further, and may rewrite it. A word that begins at byte 0 of the original is
    /// the first one.
    virtual void apply(Words& words) const = 0;
};

using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

/// At blanks, which go away.
PreTokenizerPtr make_whitespace_split_pre_tokenizer();

/// Runs of word characters and runs of others (`\w+|[^\w\s]+`); blanks go away.
PreTokenizerPtr make_whitespace_pre_tokenizer();

/// At blanks, which go away, and around every punctuation character.
PreTokenizerPtr make_bert_pre_tokenizer();

/// Around every punctuation character.
PreTokenizerPtr make_punctuation_pre_tokenizer();

/// Around every digit, or around every run of digits.
PreTokenizerPtr make_digits_pre_tokenizer(bool individual);

/// When Metaspace puts its mark before a word that does not begin with it.
enum class PrependScheme {
    never,
    first,  ///< before the word at the start of the text
    always,
    unconditionally,  ///< even before a word that begins with it
};

/// Blanks (U+0020) become `mark`; with `split`, every mark begins a word.
PreTokenizerPtr make_metaspace_pre_tokenizer(char32_t mark, PrependScheme scheme, bool split);

}  // namespace penstock::text
