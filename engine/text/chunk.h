// Chunkers: cut a long text into pieces that a model can take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace penstock::text {

/// One chunk, as half-open ranges in the source text. `text.substr(begin, end - begin)` is the
/// chunk, always whole code points.
struct Chunk {
    std::size_t begin = 0;             ///< bytes
    std::size_t end = 0;               ///< bytes
    std::size_t begin_code_point = 0;  ///< Unicode code points
    std::size_t end_code_point = 0;
};

/// How a text is cut. The first four are Elasticsearch's chunking strategies, the others
/// OpenSearch's text_chunking algorithms. A word is a word of UAX #29, as ICU finds it.
enum class ChunkStrategy {
    none,       ///< one chunk
    word,       ///< so many words
    sentence,   ///< as many whole sentences as fit; longer sentences are cut between words
    recursive,  ///< at the first separator that makes pieces small enough, then at the next ...
    fixed_token_length,  ///< so many tokens of a model (or words, without one)
    delimiter,           ///< behind every delimiter
    fixed_char_length,   ///< so many code points
};

/// Nothing when there is no strategy of this name ("sentence", ...).
std::optional<ChunkStrategy> chunk_strategy(std::string_view name);
std::string_view chunk_strategy_name(ChunkStrategy strategy);

/// Ready-made lists of separators for ChunkStrategy::recursive.
enum class SeparatorGroup {
    plaintext,  ///< blank lines, then line ends
    markdown,   ///< headings, greatest first
};

/// What to do with a text that makes more chunks than `max_chunk_limit`.
enum class OnChunkLimit {
    error,
    merge,  ///< the last chunk gets the rest of the text, as in OpenSearch
    drop,   ///< the rest of the text is left out
};

/// What fixed_token_length counts where it is not given a model's tokenizer; named after Lucene's
/// tokenizers.
enum class WordTokenizer {
    standard,    ///< words of UAX #29, every Han and Hiragana character alone
    letter,      ///< runs of letters
    whitespace,  ///< runs of anything but blanks
};

/// One struct for all strategies: each reads the fields named in its comment, and the common ones.
/// Defaults are those of Elasticsearch and OpenSearch.
struct ChunkSettings {
    ChunkStrategy strategy = ChunkStrategy::sentence;

    std::int64_t max_chunk_size =
        250;                     ///< words; word and recursive: at least 10, sentence: at least 20
    std::int64_t overlap = 100;  ///< words; word: at most half of max_chunk_size
    std::int64_t sentence_overlap = 1;  ///< sentences; sentence: 0 or 1
    SeparatorGroup separator_group =
        SeparatorGroup::plaintext;        ///< recursive, when `separators` is empty
    std::vector<std::string> separators;  ///< regular expressions (ICU); recursive

    std::int64_t token_limit = 384;  ///< tokens, special tokens among them; fixed_token_length
    WordTokenizer word_tokenizer =
        WordTokenizer::standard;  ///< fixed_token_length without `tokenizer`
    double overlap_rate = 0;  ///< 0 to 0.5 of the limit; fixed_token_length and fixed_char_length
    std::string delimiter = "\n\n";  ///< delimiter
    std::int64_t char_limit = 2048;  ///< code points; fixed_char_length

    /// -1: no limit. Left out: 100 for OpenSearch's algorithms, no limit for Elasticsearch's
    /// strategies.
    std::optional<std::int64_t> max_chunk_limit;
    OnChunkLimit on_limit = OnChunkLimit::error;

    /// The tokenizer of the model that will read the chunks, shared with its deployment; and the
    /// most tokens that the model takes, special tokens among them, less those of a prefix that
    /// will be put before each chunk (0: no limit). No chunk of any strategy passes that limit.
    std::shared_ptr<const Tokenizer> tokenizer;
    std::int64_t max_tokens = 0;
};

/// Everything that is wrong with the settings, each a message for people that begins with the
/// field's name.
std::vector<std::string> check_chunk_settings(const ChunkSettings& settings);

/// Cuts texts. Safe to use from any thread.
///
/// Without overlap the chunks, put together, are the text: blanks between two chunks belong to the
/// first of them (to the second only where the model would count them as tokens that the first has
/// no room for). Chunks are in order, none is empty, none lies within another, and an empty text
/// has none. Grapheme clusters stay whole unless a delimiter or separator cuts them, or a single
/// one of them is longer than the limit.
class Chunker {
  public:
    /// Throws penstock::Error with all of check_chunk_settings' messages.
    static std::unique_ptr<const Chunker> make(ChunkSettings settings);
    virtual ~Chunker() = default;

    /// Replaces `out` by the chunks of UTF-8 `text`, in time linear in its length. Returns what is
    /// wrong when the text cannot be cut as asked (too many chunks, a single character with more
    /// tokens than the model takes); `out` is then empty.
    [[nodiscard]] virtual std::optional<std::string> chunk(std::string_view text,
                                                           std::vector<Chunk>& out) const = 0;
};

}  // namespace penstock::text
