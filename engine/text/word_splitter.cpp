// The strategies that count words: word, sentence, recursive, and fixed_token_length without a
// model.
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/runtime/error.h"
#include "engine/text/splitter.h"
#include "engine/text/symbols.h"

namespace penstock::text {
namespace {

// About milliseconds, by ICU's account. A sane separator needs microseconds for a text.
constexpr std::int32_t kSeparatorTimeLimit = 5000;

/// A word and the place where a chunk that begins with it begins: behind the blanks before it, so
/// that a bracket or a quotation mark goes with its word.
struct Word {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t start = 0;
};

/// The words of a text, in order.
class WordList {
  public:
    WordList(const BreakIteratorPool& pool, std::string_view text) {
        BreakIteratorPool::Lease boundaries(pool, text);
        std::size_t begin = 0;
        std::size_t behind_blank = 0;
        for (std::int32_t at = boundaries->next(); at != icu::BreakIterator::DONE;
             at = boundaries->next()) {
            const auto end = static_cast<std::size_t>(at);
            if (boundaries->getRuleStatus() != UBRK_WORD_NONE) {
                const bool blank_before = !words_.empty() && behind_blank > words_.back().end;
                words_.push_back({begin, end, blank_before ? behind_blank : begin});
            } else if (blank_at(text, begin)) {
                behind_blank = end;
            }
            begin = end;
        }
    }

    /// The index of the first word that begins at or behind `at`.
    std::size_t first_from(std::size_t at) const {
        const auto found = std::lower_bound(
            words_.begin(), words_.end(), at,
            [](const Word& word, std::size_t place) { return word.begin < place; });
        return static_cast<std::size_t>(found - words_.begin());
    }
    std::size_t count(const ByteRange& range) const {
        return first_from(range.end) - first_from(range.begin);
    }

    /// Appends ranges of `size` words each that together make `range`, each repeating the last
    /// `overlap` words of the one before.
    void cut(const ByteRange& range, std::size_t size, std::size_t overlap,
             std::vector<ByteRange>& out) const {
        const std::size_t last = first_from(range.end);
        std::size_t begin = range.begin;
        for (std::size_t first = first_from(range.begin); first + size < last;
             first += size - overlap) {
            out.push_back({begin, words_[first + size].start});
            begin = words_[first + size - overlap].start;
        }
        out.push_back({begin, range.end});
    }

  private:
    std::vector<Word> words_;
};

class WordSplitter final : public Splitter {
  public:
    WordSplitter(std::size_t size, std::size_t overlap) : size_(size), overlap_(overlap) {}

    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        WordList(pool_, text).cut({0, text.size()}, size_, overlap_, out);
        return std::nullopt;
    }

  private:
    std::size_t size_;
    std::size_t overlap_;
    BreakIteratorPool pool_{BreakIteratorPool::Kind::word};
};

/// Puts whole sentences together up to a number of words.
class SentencePacker {
  public:
    SentencePacker(std::size_t size, bool overlap) : size_(size), overlap_(overlap) {}

    void pack(std::string_view text, const WordList& words, const ByteRange& range,
              std::vector<ByteRange>& out) const {
        const std::vector<ByteRange> units = sentences(text, words, range);
        std::size_t first = 0;  // unit of the chunk that is being filled
        std::size_t filled = 0;
        std::size_t before = 0;  // words of the unit before
        for (std::size_t index = 0; index < units.size(); ++index) {
            const std::size_t count = words.count(units[index]);
            if (index > first && filled + count > size_) {
                out.push_back({units[first].begin, units[index].begin});
                const bool repeat = overlap_ && before + count <= size_;
                first = repeat ? index - 1 : index;
                filled = repeat ? before : 0;
            }
            filled += count;
            before = count;
        }
        out.push_back({units[first].begin, range.end});
    }

  private:
    /// The sentences of `range`; one with too many words is cut, without overlap.
    std::vector<ByteRange> sentences(std::string_view text, const WordList& words,
                                     const ByteRange& range) const {
        std::vector<ByteRange> units;
        BreakIteratorPool::Lease boundaries(pool_,
                                            text.substr(range.begin, range.end - range.begin));
        std::size_t begin = range.begin;
        for (std::int32_t at = boundaries->next(); at != icu::BreakIterator::DONE;
             at = boundaries->next()) {
            const std::size_t end = range.begin + static_cast<std::size_t>(at);
            words.cut({begin, end}, size_, 0, units);
            begin = end;
        }
        return units;
    }

    std::size_t size_;
    bool overlap_;
    BreakIteratorPool pool_{BreakIteratorPool::Kind::sentence};
};

class SentenceSplitter final : public Splitter {
  public:
    SentenceSplitter(std::size_t size, bool overlap) : packer_(size, overlap) {}

    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        packer_.pack(text, WordList(words_, text), {0, text.size()}, out);
        return std::nullopt;
    }

  private:
    SentencePacker packer_;
    BreakIteratorPool words_{BreakIteratorPool::Kind::word};
};

using RegexPatternPtr = std::unique_ptr<const icu::RegexPattern>;

RegexPatternPtr compile(const std::string& pattern, UErrorCode& status) {
    UParseError place;
    return RegexPatternPtr(
        icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(pattern), place, status));
}

struct Separator {
    std::string text;
    RegexPatternPtr pattern;
};

/// Each level cuts what is still too long at one more separator and puts neighbours together again
/// as far as they fit; what is too long after the last is cut into sentences. A separator stays at
/// the start of the piece behind it.
class RecursiveSplitter final : public Splitter {
  public:
    RecursiveSplitter(std::size_t size, const std::vector<std::string>& separators)
        : size_(size), sentences_(size, false) {
        for (const std::string& separator : separators) {
            UErrorCode status = U_ZERO_ERROR;
            separators_.push_back({separator, compile(separator, status)});
            if (U_FAILURE(status)) throw Error(*check_separator(separator));
        }
    }

    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        const WordList words(words_, text);
        std::vector<ByteRange> ranges = {{0, text.size()}};
        for (const Separator& separator : separators_) {
            std::vector<ByteRange> refined;
            for (const ByteRange& range : ranges) {
                if (words.count(range) <= size_) {
                    refined.push_back(range);
                    continue;
                }
                std::vector<ByteRange> pieces;
                if (SplitProblem problem = cut(text, range, separator, pieces)) return problem;
                merge(words, pieces, refined);
            }
            ranges = std::move(refined);
        }
        for (const ByteRange& range : ranges) {
            if (words.count(range) <= size_) {
                out.push_back(range);
            } else {
                sentences_.pack(text, words, range, out);
            }
        }
        return std::nullopt;
    }

  private:
    static SplitProblem cut(std::string_view text, const ByteRange& range,
                            const Separator& separator, std::vector<ByteRange>& pieces) {
        UErrorCode status = U_ZERO_ERROR;
        UText source = UTEXT_INITIALIZER;
        utext_openUTF8(&source, text.data() + range.begin,
                       static_cast<std::int64_t>(range.end - range.begin), &status);
        const std::unique_ptr<icu::RegexMatcher> matcher(separator.pattern->matcher(status));
        if (U_FAILURE(status)) throw std::bad_alloc();
        matcher->reset(&source);
        matcher->setTimeLimit(kSeparatorTimeLimit, status);
        std::size_t begin = range.begin;
        while (matcher->find(status)) {
            const std::size_t at = range.begin + static_cast<std::size_t>(matcher->start64(status));
            if (at > begin) pieces.push_back({std::exchange(begin, at), at});
        }
        utext_close(&source);
        if (begin < range.end) pieces.push_back({begin, range.end});
        if (U_SUCCESS(status)) return std::nullopt;
        return "separator '" + separator.text + "' cannot be searched for in this text (" +
               u_errorName(status) + "); use a simpler regular expression";
    }

    void merge(const WordList& words, const std::vector<ByteRange>& pieces,
               std::vector<ByteRange>& out) const {
        ByteRange merged = pieces.front();
        for (std::size_t index = 1; index < pieces.size(); ++index) {
            const ByteRange longer = {merged.begin, pieces[index].end};
            if (words.count(longer) <= size_) {
                merged = longer;
            } else {
                out.push_back(std::exchange(merged, pieces[index]));
            }
        }
        out.push_back(merged);
    }

    std::size_t size_;
    std::vector<Separator> separators_;
    SentencePacker sentences_;
    BreakIteratorPool words_{BreakIteratorPool::Kind::word};
};

std::vector<std::string> separators_of(SeparatorGroup group) {
    if (group == SeparatorGroup::plaintext) return {R"((?<!\n)\n\n(?!\n))", R"((?<!\n)\n(?!\n))"};
    // The headings of CommonMark: by number signs from level 1 to 6, then underlined ones.
    return {R"(\n# )",
            R"(\n## )",
            R"(\n### )",
            R"(\n#### )",
            R"(\n##### )",
            R"(\n###### )",
            R"(\n(?=[^\S\n]*\S[^\n]*\n=+[ \t]*(?:\n|\z)))",
            R"(\n(?=[^\S\n]*\S[^\n]*\n-+[ \t]*(?:\n|\z)))"};
}

/// OpenSearch's fixed_token_length: a chunk ends where the token behind it begins.
class WordTokenSplitter final : public Splitter {
  public:
    WordTokenSplitter(WordTokenizer tokenizer, std::size_t limit, std::size_t overlap)
        : tokenizer_(tokenizer), limit_(limit), overlap_(overlap) {}

    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        const std::vector<std::size_t> tokens =
            tokenizer_ == WordTokenizer::standard ? standard_tokens(text) : run_tokens(text);
        std::size_t begin = 0;
        for (std::size_t first = 0; first + limit_ < tokens.size(); first += limit_ - overlap_) {
            out.push_back({begin, tokens[first + limit_]});
            begin = tokens[first + limit_ - overlap_];
        }
        out.push_back({begin, text.size()});
        return std::nullopt;
    }

  private:
    /// Where each token begins.
    std::vector<std::size_t> standard_tokens(std::string_view text) const {
        std::vector<std::size_t> tokens;
        BreakIteratorPool::Lease boundaries(pool_, text);
        std::size_t begin = 0;
        for (std::int32_t at = boundaries->next(); at != icu::BreakIterator::DONE;
             at = boundaries->next()) {
            const auto end = static_cast<std::size_t>(at);
            const std::int32_t status = boundaries->getRuleStatus();
            if (status >= UBRK_WORD_KANA) {
                append_characters(text.substr(begin, end - begin), begin, tokens);
            } else if (status != UBRK_WORD_NONE) {
                tokens.push_back(begin);
            }
            begin = end;
        }
        return tokens;
    }

    /// Lucene has no dictionary: a Han or Hiragana character is a token, other letters beside it
    /// make one together.
    static void append_characters(std::string_view word, std::size_t offset,
                                  std::vector<std::size_t>& tokens) {
        Symbols symbols;
        decode(word, symbols);
        bool in_run = false;
        for (const Symbol& symbol : symbols) {
            const auto code = static_cast<UChar32>(symbol.code);
            if ((U_GET_GC_MASK(code) & U_GC_M_MASK) != 0) continue;
            const bool alone =
                uscript_hasScript(code, USCRIPT_HAN) || uscript_hasScript(code, USCRIPT_HIRAGANA);
            const bool katakana = uscript_hasScript(code, USCRIPT_KATAKANA);
            if ((alone && !katakana) || !in_run) tokens.push_back(offset + symbol.begin);
            in_run = !alone || katakana;
        }
    }

    std::vector<std::size_t> run_tokens(std::string_view text) const {
        std::vector<std::size_t> tokens;
        Symbols symbols;
        decode(text, symbols);
        bool in_run = false;
        for (const Symbol& symbol : symbols) {
            const bool inside = tokenizer_ == WordTokenizer::letter
                                    ? u_isalpha(static_cast<UChar32>(symbol.code)) != 0
                                    : !is_blank(symbol.code);
            if (inside && !in_run) tokens.push_back(symbol.begin);
            in_run = inside;
        }
        return tokens;
    }

    WordTokenizer tokenizer_;
    std::size_t limit_;
    std::size_t overlap_;
    BreakIteratorPool pool_{BreakIteratorPool::Kind::word};
};

}  // namespace

SplitProblem check_separator(const std::string& separator) {
    UErrorCode status = U_ZERO_ERROR;
    if (!separator.empty()) compile(separator, status);
    if (!separator.empty() && U_SUCCESS(status)) return std::nullopt;
    const std::string reason = separator.empty() ? "it is empty" : u_errorName(status);
    return "separators: '" + separator + "' is not a regular expression (" + reason + ")";
}

SplitterPtr make_word_splitter(const ChunkSettings& settings) {
    return std::make_unique<WordSplitter>(static_cast<std::size_t>(settings.max_chunk_size),
                                          static_cast<std::size_t>(settings.overlap));
}

SplitterPtr make_sentence_splitter(const ChunkSettings& settings) {
    return std::make_unique<SentenceSplitter>(static_cast<std::size_t>(settings.max_chunk_size),
                                              settings.sentence_overlap == 1);
}

SplitterPtr make_recursive_splitter(const ChunkSettings& settings) {
    return std::make_unique<RecursiveSplitter>(static_cast<std::size_t>(settings.max_chunk_size),
                                               settings.separators.empty()
                                                   ? separators_of(settings.separator_group)
                                                   : settings.separators);
}

SplitterPtr make_word_token_splitter(const ChunkSettings& settings) {
    const double overlap =
        std::floor(static_cast<double>(settings.token_limit) * settings.overlap_rate);
    return std::make_unique<WordTokenSplitter>(settings.word_tokenizer,
                                               static_cast<std::size_t>(settings.token_limit),
                                               static_cast<std::size_t>(overlap));
}

}  // namespace penstock::text
