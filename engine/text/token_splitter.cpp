// fixed_token_length with a model's tokenizer.
#include <algorithm>
#include <cmath>

#include "engine/text/splitter.h"

namespace penstock::text {
namespace {

// How far a cut moves to stand before a word and not in it. Longer words are cut between tokens.
constexpr std::size_t kMostTokensPerWord = 16;
// How often a chunk with too many tokens is shortened by just the excess before it is halved, which
// bounds the work.
constexpr int kShortenings = 3;

class ModelTokenSplitter final : public Splitter {
  public:
    ModelTokenSplitter(std::shared_ptr<const Tokenizer> tokenizer, std::size_t limit,
                       double overlap_rate)
        : tokenizer_(std::move(tokenizer)),
          limit_(limit - tokenizer_->special_token_count()),
          overlap_(
              static_cast<std::size_t>(std::floor(static_cast<double>(limit_) * overlap_rate))) {}

    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        Work work{text, {}, {}};
        tokenizer_->encode(text, false, work.tokens);
        std::size_t covered = 0;
        for (std::size_t begin = 0; covered < text.size();) {
            std::size_t end = chunk_end(work, begin);
            // A long cluster behind a repeated part may leave no room for anything new.
            if (end <= covered && begin < covered) end = chunk_end(work, begin = covered);
            if (end == begin) return too_long(work, begin);
            out.push_back({begin, end});
            begin = next_begin(work, begin, end);
            covered = end;
        }
        return std::nullopt;
    }

  private:
    struct Work {
        std::string_view text;
        Tokens tokens;  // of the whole text
        Tokens alone;   // of one chunk
    };

    /// How many tokens the chunk has that a model would see: a part of a text may have more than
    /// its share.
    std::size_t count_alone(Work& work, std::size_t begin, std::size_t end) const {
        tokenizer_->encode(work.text.substr(begin, end - begin), false, work.alone);
        return work.alone.size();
    }

    /// The index of the first token that ends behind `at`.
    static std::size_t token_from(const Work& work, std::size_t at) {
        const auto& ends = work.tokens.end;
        return static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), at) -
                                        ends.begin());
    }

    /// The end of a chunk from `begin` on; `begin` when not even one code point fits.
    std::size_t chunk_end(Work& work, std::size_t begin) const {
        const std::size_t first = token_from(work, begin);
        std::size_t wanted = limit_;
        for (int attempt = 0; wanted > 0; ++attempt) {
            const std::size_t end = cut_before(work, begin, first, first + wanted);
            if (end > begin) {
                const std::size_t count = count_alone(work, begin, end);
                if (count <= limit_) return end;
                const std::size_t excess =
                    attempt < kShortenings ? count - limit_ : (wanted + 1) / 2;
                wanted -= std::min(wanted, excess);
            } else {
                wanted /= 2;
            }
        }
        const std::size_t end = next_code_point(work.text, begin);
        return count_alone(work, begin, end) <= limit_ ? end : begin;
    }

    /// The place before token `last` where a chunk that begins with token `first` ends; `begin`
    /// when there is none.
    std::size_t cut_before(const Work& work, std::size_t begin, std::size_t first,
                           std::size_t last) const {
        const Tokens& tokens = work.tokens;
        if (last >= tokens.size()) return work.text.size();
        const std::size_t reach = std::min(kMostTokensPerWord, (last - first) / 2);
        std::size_t word = last;
        while (last - word < reach && !begins_word(work, word))
            --word;
        if (begins_word(work, word)) last = word;
        // Tokens that one code point expands to are not parted.
        while (last > first && tokens.begin[last] < tokens.end[last - 1])
            --last;
        return std::max(begin, graphemes_.floor(work.text, begin, place_before(work, last)));
    }

    static bool begins_word(const Work& work, std::size_t token) {
        const std::size_t begin = work.tokens.begin[token];
        if (begin == work.tokens.end[token]) return false;
        if (token > 0 && begin < work.tokens.end[token - 1]) return false;
        return blank_at(work.text, begin) || (begin > 0 && blank_before(work.text, begin));
    }

    static bool blank_before(std::string_view text, std::size_t at) {
        do
            --at;
        while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
        return blank_at(text, at);
    }

    /// Where a chunk that begins with `token` begins: behind the token's own leading blanks, which
    /// belong to the chunk before. A token of blanks alone is left in one piece, since it may not
    /// fit there.
    static std::size_t place_before(const Work& work, std::size_t token) {
        const std::size_t begin = work.tokens.begin[token];
        const std::size_t end = work.tokens.end[token];
        std::size_t place = begin;
        while (place < end && blank_at(work.text, place))
            place = next_code_point(work.text, place);
        return place < end ? place : begin;
    }

    /// Where the chunk after `begin`..`end` begins: with at most `overlap_` tokens of it, from a
    /// word's start on.
    std::size_t next_begin(const Work& work, std::size_t begin, std::size_t end) const {
        const std::size_t next = token_from(work, end);
        std::size_t token = next - std::min(next, overlap_);
        std::size_t word = token;
        while (word < next && word - token < kMostTokensPerWord && !begins_word(work, word))
            ++word;
        if (word < next && begins_word(work, word)) token = word;
        while (token < next && token > 0 && work.tokens.begin[token] < work.tokens.end[token - 1])
            ++token;
        if (token >= next) return end;
        const std::size_t place = graphemes_.floor(work.text, begin, place_before(work, token));
        return place > begin && place < end ? place : end;
    }

    SplitProblem too_long(Work& work, std::size_t at) const {
        const std::size_t end = next_code_point(work.text, at);
        const std::size_t count = count_alone(work, at, end);
        return "the character '" + std::string(work.text.substr(at, end - at)) + "' at byte " +
               std::to_string(at) + " alone makes " + std::to_string(count) +
               " tokens, more than the " + std::to_string(limit_) +
               " that a chunk may have besides special tokens";
    }

    std::shared_ptr<const Tokenizer> tokenizer_;
    std::size_t limit_;  // without special tokens
    std::size_t overlap_;
    GraphemeBoundaries graphemes_;
};

}  // namespace

SplitterPtr make_model_token_splitter(std::shared_ptr<const Tokenizer> tokenizer, std::size_t limit,
                                      double overlap_rate) {
    return std::make_unique<ModelTokenSplitter>(std::move(tokenizer), limit, overlap_rate);
}

}  // namespace penstock::text
