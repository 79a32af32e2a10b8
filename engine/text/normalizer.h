// Text normalisers of tokenizers, as HuggingFace's `tokenizer.json` names them. Each keeps the
// original byte ranges.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/symbols.h"

namespace penstock::text {

/// Immutable and safe to use from any thread.
class Normalizer {
  public:
    virtual ~Normalizer() = default;

    /// Rewrites `text`. `spare` is working space: its content is lost, its capacity is kept between
    /// calls.
    virtual void apply(Symbols& text, Symbols& spare) const = 0;
};

using NormalizerPtr = std::unique_ptr<const Normalizer>;

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

/// Unicode normalisation (UAX #15). A code point that comes from several, or one of several that
/// come from one, has the range of all of them. A run of more than 256 combining marks is
/// normalised in pieces of that length, because sorting the marks of one run takes quadratic time;
/// UAX #15's stream-safe format allows no more than 30.
NormalizerPtr make_unicode_normalizer(UnicodeForm form);

/// Every code point to its lower case, without regard to its neighbours (a final sigma is like any
/// other).
NormalizerPtr make_lowercase_normalizer();

/// Removes all combining marks (general category M); after a decomposing form this removes accents.
NormalizerPtr make_strip_accents_normalizer();

/// Removes blanks at the ends.
NormalizerPtr make_strip_normalizer(bool left, bool right);

/// Puts `prefix` before a text that is not empty.
NormalizerPtr make_prepend_normalizer(std::string_view prefix);

/// Replaces every occurrence of a literal string.
NormalizerPtr make_replace_normalizer(std::string_view pattern, std::string_view content);

/// Replaces every match of a regular expression by a literal string. Throws penstock::Error that
/// tells what is wrong with the expression.
NormalizerPtr make_regex_replace_normalizer(std::string_view pattern, std::string_view content);

/// SentencePiece's rules for machine translation: drops control characters and makes blanks of
/// format characters.
NormalizerPtr make_nmt_normalizer();

/// BERT's rules: drops control characters (`clean_text`), puts blanks around Chinese characters,
/// removes accents, lowers case. `strip_accents` left out follows `lowercase`.
struct BertNormalizerOptions {
    bool clean_text = true;
    bool handle_chinese_chars = true;
    std::optional<bool> strip_accents;
    bool lowercase = true;
};
NormalizerPtr make_bert_normalizer(const BertNormalizerOptions& options);

/// SentencePiece's compiled rules (`precompiled_charsmap`, not base64 any more): a double array of
/// byte strings and their replacements. As HuggingFace applies them: first to grapheme clusters of
/// fewer than 6 bytes, then to single code points, and the shortest rule that matches counts.
/// Throws penstock::Error that tells what is broken.
NormalizerPtr make_precompiled_normalizer(std::string_view charsmap);

}  // namespace penstock::text
