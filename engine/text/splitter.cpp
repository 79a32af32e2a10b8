// The strategies that look at characters alone: none, delimiter, fixed_char_length.
#include "engine/text/splitter.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <cmath>

#include "engine/text/symbols.h"

namespace penstock::text {
namespace {

bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}
bool is_ascii(char byte) {
    return static_cast<unsigned char>(byte) < 0x80;
}

class WholeSplitter final : public Splitter {
  public:
    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        out.push_back({0, text.size()});
        return std::nullopt;
    }
};

class DelimiterSplitter final : public Splitter {
  public:
    explicit DelimiterSplitter(std::string delimiter) : delimiter_(std::move(delimiter)) {}

    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        std::size_t begin = 0;
        while (begin < text.size()) {
            const std::size_t found = text.find(delimiter_, begin);
            const std::size_t end =
                found == std::string_view::npos ? text.size() : found + delimiter_.size();
            out.push_back({begin, end});
            begin = end;
        }
        return std::nullopt;
    }

  private:
    std::string delimiter_;
};

class CharacterSplitter final : public Splitter {
  public:
    CharacterSplitter(std::size_t limit, std::size_t overlap) : limit_(limit), overlap_(overlap) {}

    SplitProblem split(std::string_view text, std::vector<ByteRange>& out) const override {
        std::size_t covered = 0;
        for (std::size_t begin = 0; covered < text.size();) {
            std::size_t end = chunk_end(text, begin);
            // A long cluster behind a repeated part may leave no room for anything new.
            if (end <= covered && begin < covered) end = chunk_end(text, begin = covered);
            out.push_back({begin, end});
            begin = next_begin(text, begin, end);
            covered = end;
        }
        return std::nullopt;
    }

  private:
    std::size_t chunk_end(std::string_view text, std::size_t begin) const {
        std::size_t end = begin;
        for (std::size_t count = 0; count < limit_ && end < text.size(); ++count) {
            end = next_code_point(text, end);
        }
        return graphemes_.floor(text, begin, end);
    }

    /// Where the chunk after `begin`..`end` begins: at most `overlap_` code points before `end`.
    std::size_t next_begin(std::string_view text, std::size_t begin, std::size_t end) const {
        std::size_t next = end;
        for (std::size_t count = 0; count < overlap_ && next > begin; ++count) {
            do
                --next;
            while (next > begin && is_continuation(text[next]));
        }
        next = graphemes_.floor(text, begin, next);
        return next > begin ? next : end;
    }

    std::size_t limit_;
    std::size_t overlap_;
    GraphemeBoundaries graphemes_;
};

}  // namespace

std::size_t next_code_point(std::string_view text, std::size_t at) {
    ++at;
    while (at < text.size() && is_continuation(text[at]))
        ++at;
    return at;
}

bool blank_at(std::string_view text, std::size_t at) {
    if (at >= text.size()) return false;
    if (is_ascii(text[at])) return is_blank(static_cast<char32_t>(text[at]));
    const std::size_t length = std::min<std::size_t>(text.size() - at, 4);
    return is_blank(to_code_points(text.substr(at, length)).front());
}

std::size_t GraphemeBoundaries::floor(std::string_view text, std::size_t lowest,
                                      std::size_t at) const {
    // Bounds the work for clusters of any length; emoji sequences and stacked accents in use are
    // far shorter.
    constexpr std::size_t kBefore = 256;
    constexpr std::size_t kAfter = 32;
    if (at <= lowest || at >= text.size()) return at;
    const bool line_end = text[at - 1] == '\r' && text[at] == '\n';
    if (is_ascii(text[at - 1]) && is_ascii(text[at]) && !line_end) return at;

    std::size_t first = std::max(lowest, at - std::min(at, kBefore));
    while (first > lowest && is_continuation(text[first]))
        --first;
    std::size_t last = std::min(text.size(), at + kAfter);
    while (last < text.size() && is_continuation(text[last]))
        ++last;
    BreakIteratorPool::Lease boundaries(pool_, text.substr(first, last - first));
    const auto place = static_cast<std::int32_t>(at - first);
    if (boundaries->isBoundary(place)) return at;
    const std::int32_t before = boundaries->preceding(place);
    return before > 0 ? first + static_cast<std::size_t>(before) : at;
}

SplitterPtr make_whole_splitter() {
    return std::make_unique<WholeSplitter>();
}

SplitterPtr make_delimiter_splitter(const ChunkSettings& settings) {
    return std::make_unique<DelimiterSplitter>(settings.delimiter);
}

SplitterPtr make_character_splitter(const ChunkSettings& settings) {
    const double overlap =
        std::floor(static_cast<double>(settings.char_limit) * settings.overlap_rate);
    return std::make_unique<CharacterSplitter>(static_cast<std::size_t>(settings.char_limit),
                                               static_cast<std::size_t>(overlap));
}

}  // namespace penstock::text
