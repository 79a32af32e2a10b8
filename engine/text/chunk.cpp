#include "engine/text/chunk.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "engine/runtime/error.h"
#include "engine/text/splitter.h"

namespace penstock::text {
namespace {

constexpr std::int64_t kDefaultChunkLimit = 100;  // OpenSearch's

constexpr std::array<std::pair<std::string_view, ChunkStrategy>, 7> kStrategies = {{
    {"none", ChunkStrategy::none},
    {"word", ChunkStrategy::word},
    {"sentence", ChunkStrategy::sentence},
    {"recursive", ChunkStrategy::recursive},
    {"fixed_token_length", ChunkStrategy::fixed_token_length},
    {"delimiter", ChunkStrategy::delimiter},
    {"fixed_char_length", ChunkStrategy::fixed_char_length},
}};

bool is_opensearch(ChunkStrategy strategy) {
    return strategy == ChunkStrategy::fixed_token_length || strategy == ChunkStrategy::delimiter ||
           strategy == ChunkStrategy::fixed_char_length;
}

std::optional<std::size_t> chunk_limit(const ChunkSettings& settings) {
    const std::int64_t otherwise = is_opensearch(settings.strategy) ? kDefaultChunkLimit : -1;
    const std::int64_t limit = settings.max_chunk_limit.value_or(otherwise);
    if (limit < 0) return std::nullopt;
    return static_cast<std::size_t>(limit);
}

class SettingsCheck {
  public:
    explicit SettingsCheck(const ChunkSettings& settings) : settings_(settings) {}

    std::vector<std::string> run() {
        switch (settings_.strategy) {
            case ChunkStrategy::none:
                break;
            case ChunkStrategy::word:
                check_word();
                break;
            case ChunkStrategy::sentence:
                check_sentence();
                break;
            case ChunkStrategy::recursive:
                check_recursive();
                break;
            case ChunkStrategy::fixed_token_length:
                check_tokens();
                break;
            case ChunkStrategy::delimiter:
                if (settings_.delimiter.empty()) say("delimiter: must not be empty");
                break;
            case ChunkStrategy::fixed_char_length:
                at_least("char_limit", settings_.char_limit, 1);
                check_overlap_rate();
                break;
        }
        const std::int64_t limit = settings_.max_chunk_limit.value_or(-1);
        if (limit < -1 || limit == 0)
            say("max_chunk_limit: must be at least 1, or -1 for no limit, not " +
                std::to_string(limit));
        check_model();
        return std::move(problems_);
    }

  private:
    void say(std::string problem) { problems_.push_back(std::move(problem)); }

    void at_least(const std::string& field, std::int64_t value, std::int64_t least) {
        if (value < least)
            say(field + ": must be at least " + std::to_string(least) + ", not " +
                std::to_string(value));
    }

    void check_word() {
        at_least("max_chunk_size", settings_.max_chunk_size, 10);
        at_least("overlap", settings_.overlap, 0);
        if (settings_.overlap > settings_.max_chunk_size / 2) {
            say("overlap: must be at most half of max_chunk_size (" +
                std::to_string(settings_.max_chunk_size / 2) + "), not " +
                std::to_string(settings_.overlap));
        }
    }

    void check_sentence() {
        at_least("max_chunk_size", settings_.max_chunk_size, 20);
        if (settings_.sentence_overlap != 0 && settings_.sentence_overlap != 1) {
            say("sentence_overlap: must be 0 or 1, not " +
                std::to_string(settings_.sentence_overlap));
        }
    }

    void check_recursive() {
        at_least("max_chunk_size", settings_.max_chunk_size, 10);
        for (const std::string& separator : settings_.separators) {
            if (SplitProblem problem = check_separator(separator)) say(std::move(*problem));
        }
    }

    void check_tokens() {
        at_least("token_limit", settings_.token_limit, 1);
        check_overlap_rate();
        check_room("token_limit", settings_.token_limit);
    }

    void check_overlap_rate() {
        if (!(settings_.overlap_rate >= 0 && settings_.overlap_rate <= 0.5)) {
            say("overlap_rate: must be from 0 to 0.5, not " +
                std::to_string(settings_.overlap_rate));
        }
    }

    void check_model() {
        at_least("max_tokens", settings_.max_tokens, 0);
        if (settings_.max_tokens > 0) check_room("max_tokens", settings_.max_tokens);
        if (settings_.max_tokens > 0 && settings_.tokenizer == nullptr) {
            say("max_tokens: counts a model's tokens, but no tokenizer is given");
        }
    }

    void check_room(const std::string& field, std::int64_t limit) {
        if (settings_.tokenizer == nullptr || limit < 1) return;
        const auto special = static_cast<std::int64_t>(settings_.tokenizer->special_token_count());
        if (limit <= special) {
            say(field + ": " + std::to_string(limit) + " leaves no room beside the model's " +
                std::to_string(special) + " special tokens");
        }
    }

    const ChunkSettings& settings_;
    std::vector<std::string> problems_;
};

SplitterPtr make_token_splitter(const ChunkSettings& settings) {
    if (settings.tokenizer == nullptr) return make_word_token_splitter(settings);
    std::int64_t limit = settings.token_limit;
    if (settings.max_tokens > 0) limit = std::min(limit, settings.max_tokens);
    return make_model_token_splitter(settings.tokenizer, static_cast<std::size_t>(limit),
                                     settings.overlap_rate);
}

SplitterPtr make_splitter(const ChunkSettings& settings) {
    switch (settings.strategy) {
        case ChunkStrategy::none:
            return make_whole_splitter();
        case ChunkStrategy::word:
            return make_word_splitter(settings);
        case ChunkStrategy::sentence:
            return make_sentence_splitter(settings);
        case ChunkStrategy::recursive:
            return make_recursive_splitter(settings);
        case ChunkStrategy::fixed_token_length:
            return make_token_splitter(settings);
        case ChunkStrategy::delimiter:
            return make_delimiter_splitter(settings);
        case ChunkStrategy::fixed_char_length:
            return make_character_splitter(settings);
    }
    throw std::logic_error("not a chunk strategy");
}

/// Counts code points up to positions that never go back.
class CodePointCounter {
  public:
    explicit CodePointCounter(std::string_view text) : text_(text) {}

    std::size_t up_to(std::size_t byte) {
        for (; at_ < byte; ++at_)
            count_ += (static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80 ? 1 : 0;
        return count_;
    }

  private:
    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t count_ = 0;
};

class SettingsChunker final : public Chunker {
  public:
    explicit SettingsChunker(ChunkSettings settings)
        : settings_(std::move(settings)),
          limit_(chunk_limit(settings_)),
          splitter_(make_splitter(settings_)) {
        if (settings_.max_tokens > 0) {
            model_splitter_ = make_model_token_splitter(settings_.tokenizer, model_limit(), 0);
        }
    }

    std::optional<std::string> chunk(std::string_view text,
                                     std::vector<Chunk>& out) const override {
        out.clear();
        if (text.empty()) return std::nullopt;
        if (text.size() > BreakIteratorPool::kMaxBytes) return "the text is longer than 2 GiB";
        std::vector<ByteRange> ranges;
        if (SplitProblem problem = splitter_->split(text, ranges)) return problem;
        if (SplitProblem problem = fit_model(text, ranges)) return problem;
        if (SplitProblem problem = limit_count(text, ranges)) return problem;
        fill(text, ranges, out);
        return std::nullopt;
    }

  private:
    std::size_t model_limit() const { return static_cast<std::size_t>(settings_.max_tokens); }

    bool fits_model(std::string_view text, const ByteRange& range, Tokens& tokens) const {
        settings_.tokenizer->encode(text.substr(range.begin, range.end - range.begin), true,
                                    tokens);
        return tokens.size() <= model_limit();
    }

    /// Cuts chunks that the model could not take as a whole.
    SplitProblem fit_model(std::string_view text, std::vector<ByteRange>& ranges) const {
        // Chunks of so many tokens are within the limit already.
        if (!model_splitter_ || settings_.strategy == ChunkStrategy::fixed_token_length) {
            return std::nullopt;
        }
        Tokens tokens;
        std::vector<ByteRange> fitting;
        for (std::size_t index = 0; index < ranges.size(); ++index) {
            std::vector<ByteRange> parts = {ranges[index]};
            if (!fits_model(text, ranges[index], tokens)) {
                if (SplitProblem problem = cut_further(text, tokens.size(), parts)) return problem;
            }
            const bool last = index + 1 == ranges.size();
            append_new(parts, last ? text.size() : ranges[index + 1].begin, fitting);
        }
        ranges = std::move(fitting);
        return std::nullopt;
    }

    /// Replaces the one range of `parts`, which makes `count` tokens, by several.
    SplitProblem cut_further(std::string_view text, std::size_t count,
                             std::vector<ByteRange>& parts) const {
        if (settings_.strategy == ChunkStrategy::none) {
            return "the text makes " + std::to_string(count) + " tokens, more than the " +
                   std::to_string(model_limit()) +
                   " that the model takes; strategy none does not cut it";
        }
        const ByteRange whole = parts.front();
        parts.clear();
        if (settings_.strategy == ChunkStrategy::sentence ||
            settings_.strategy == ChunkStrategy::recursive) {
            return cut_at_sentences(text, whole, parts);
        }
        return cut_at_tokens(text, whole, parts);
    }

    SplitProblem cut_at_tokens(std::string_view text, const ByteRange& whole,
                               std::vector<ByteRange>& out) const {
        std::vector<ByteRange> parts;
        const std::string_view chunk = text.substr(whole.begin, whole.end - whole.begin);
        if (SplitProblem problem = model_splitter_->split(chunk, parts)) return problem;
        for (const ByteRange& part : parts) {
            out.push_back({whole.begin + part.begin, whole.begin + part.end});
        }
        return std::nullopt;
    }

    /// As many whole sentences as the model takes; a sentence that is too long alone is cut
    /// between tokens.
    SplitProblem cut_at_sentences(std::string_view text, const ByteRange& whole,
                                  std::vector<ByteRange>& out) const {
        BreakIteratorPool::Lease boundaries(sentences_,
                                            text.substr(whole.begin, whole.end - whole.begin));
        Tokens tokens;
        ByteRange fitting = {whole.begin, whole.begin};
        for (std::int32_t at = boundaries->next(); at != icu::BreakIterator::DONE;
             at = boundaries->next()) {
            const std::size_t end = whole.begin + static_cast<std::size_t>(at);
            if (fits_model(text, {fitting.begin, end}, tokens)) {
                fitting.end = end;
                continue;
            }
            if (fitting.end > fitting.begin) out.push_back(fitting);
            const ByteRange sentence = {fitting.end, end};
            fitting = sentence;
            if (fits_model(text, sentence, tokens)) continue;
            if (SplitProblem problem = cut_at_tokens(text, sentence, out)) return problem;
            // What is left of it takes the next sentences along.
            fitting = out.back();
            out.pop_back();
        }
        if (fitting.end > fitting.begin) out.push_back(fitting);
        return std::nullopt;
    }

    /// Appends the parts of a chunk. Where chunks overlap, parts that lie within the next chunk,
    /// which begins at `next`, or within a part of the one before bring nothing new and are left
    /// out.
    static void append_new(const std::vector<ByteRange>& parts, std::size_t next,
                           std::vector<ByteRange>& out) {
        for (const ByteRange& part : parts) {
            const bool seen = !out.empty() && part.end <= out.back().end;
            if (!seen && part.begin < next) out.push_back(part);
        }
    }

    SplitProblem limit_count(std::string_view text, std::vector<ByteRange>& ranges) const {
        if (!limit_ || ranges.size() <= *limit_) return std::nullopt;
        const std::size_t count = ranges.size();
        if (settings_.on_limit == OnChunkLimit::error) {
            return "the text makes " + std::to_string(count) +
                   " chunks, more than max_chunk_limit " + std::to_string(*limit_) +
                   "; raise the limit, make chunks larger, or set on_limit to merge or drop";
        }
        ranges.resize(*limit_);
        if (settings_.on_limit == OnChunkLimit::drop) return std::nullopt;
        ranges.back().end = text.size();
        Tokens tokens;
        if (!model_splitter_ || fits_model(text, ranges.back(), tokens)) return std::nullopt;
        return "the text makes " + std::to_string(count) + " chunks, more than max_chunk_limit " +
               std::to_string(*limit_) + ", and merged into the last one the rest makes " +
               std::to_string(tokens.size()) + " tokens, more than the " +
               std::to_string(model_limit()) + " that the model takes";
    }

    static void fill(std::string_view text, const std::vector<ByteRange>& ranges,
                     std::vector<Chunk>& out) {
        CodePointCounter begins(text);
        CodePointCounter ends(text);
        out.reserve(ranges.size());
        for (const ByteRange& range : ranges) {
            out.push_back(
                {range.begin, range.end, begins.up_to(range.begin), ends.up_to(range.end)});
        }
    }

    ChunkSettings settings_;
    std::optional<std::size_t> limit_;
    SplitterPtr splitter_;
    SplitterPtr model_splitter_;  // none without a model's limit
    BreakIteratorPool sentences_{BreakIteratorPool::Kind::sentence};
};

}  // namespace

std::optional<ChunkStrategy> chunk_strategy(std::string_view name) {
    for (const auto& [known, strategy] : kStrategies) {
        if (known == name) return strategy;
    }
    return std::nullopt;
}

std::string_view chunk_strategy_name(ChunkStrategy strategy) {
    for (const auto& [name, known] : kStrategies) {
        if (known == strategy) return name;
    }
    return {};
}

std::vector<std::string> check_chunk_settings(const ChunkSettings& settings) {
    return SettingsCheck(settings).run();
}

std::unique_ptr<const Chunker> Chunker::make(ChunkSettings settings) {
    std::string message;
    for (const std::string& problem : check_chunk_settings(settings)) {
        message += (message.empty() ? "" : "; ") + problem;
    }
    if (!message.empty()) {
        throw Error("chunking strategy '" + std::string(chunk_strategy_name(settings.strategy)) +
                    "': " + message);
    }
    return std::make_unique<const SettingsChunker>(std::move(settings));
}

}  // namespace penstock::text
