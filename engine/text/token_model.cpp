#include "engine/text/token_model.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include "engine/runtime/error.h"

namespace penstock::text {
namespace {

// SentencePiece's kUnkPenalty: how much less an unknown character scores than the least likely
// piece.
constexpr double kUnknownPenalty = 10.0;

using ByteIds = std::array<std::int32_t, 256>;

std::optional<ByteIds> find_byte_ids(const UnigramOptions& options) {
    if (!options.byte_fallback) return std::nullopt;
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::unordered_map<std::string_view, std::int32_t> ids;
    for (std::size_t id = 0; id < options.pieces.size(); ++id) {
        ids[options.pieces[id].first] = static_cast<std::int32_t>(id);
    }
    ByteIds found{};
    for (std::size_t byte = 0; byte < found.size(); ++byte) {
        const std::string piece = {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
        const auto entry = ids.find(piece);
        found[byte] = entry == ids.end() ? -1 : entry->second;
    }
    return found;
}

class Unigram final : public TokenModel {
  public:
    explicit Unigram(const UnigramOptions& options)
        : byte_ids_(find_byte_ids(options)),
          unknown_id_(options.unknown_id),
          tensorflow_js_(options.tensorflow_js) {
        if (unknown_id_ < 0 || static_cast<std::size_t>(unknown_id_) >= options.pieces.size()) {
            throw Error("the model's 'unk_id' " + std::to_string(unknown_id_) +
                        " is not in its vocabulary");
        }
        double least = 0;
        std::vector<Trie::Entry> entries;
        for (std::size_t id = 0; id < options.pieces.size(); ++id) {
            const auto& [piece, score] = options.pieces[id];
            scores_.push_back(score);
            least = id == 0 ? score : std::min(least, score);
            if (id >= options.reserved)
                entries.push_back({to_code_points(piece), static_cast<std::int32_t>(id)});
        }
        unknown_score_ = least - kUnknownPenalty;
        trie_ = Trie(std::move(entries));
    }

    void encode(SymbolSpan word, ModelSpace& space, Tokens& out) const override {
        space.labels.resize(word.size());
        std::transform(word.begin(), word.end(), space.labels.begin(),
                       [this](const Symbol& symbol) { return trie_.label(symbol.code); });
        if (tensorflow_js_) {
            search<TensorflowJs>(space);
        } else {
            search<SentencePiece>(space);
        }
        append_best(word, space, out);
    }

    std::string_view type() const override { return "unigram"; }

  private:
    using Cell = ModelSpace::Cell;

    // Every cell is reached: from each position there is a piece of one code point, known or
    // unknown.
    struct SentencePiece {
        static constexpr double kStart = -std::numeric_limits<double>::infinity();
        static bool better(double candidate, double best) { return candidate > best; }
        static bool needs_unknown(bool, bool any_of_length_one) { return !any_of_length_one; }
        static double unknown_score(const Unigram& model) { return model.unknown_score_; }
    };
    struct TensorflowJs {
        static constexpr double kStart = 0;
        static bool better(double candidate, double best) { return best == 0 || candidate >= best; }
        static bool needs_unknown(bool any, bool) { return !any; }
        static double unknown_score(const Unigram&) { return 0; }
    };

    /// Fills `space.cells`: cell i tells the best last piece of a text that ends before symbol i.
    template <typename Rules>
    void search(ModelSpace& space) const {
        const std::size_t length = space.labels.size();
        space.cells.resize(length + 1);
        for (std::size_t at = 0; at <= length; ++at) {
            space.cells[at] = {Rules::kStart, static_cast<std::uint32_t>(at == 0 ? 0 : at - 1),
                               unknown_id_};
        }
        space.cells[0].score = 0;
        for (std::size_t start = 0; start < length; ++start)
            extend<Rules>(space, start, length);
    }

    template <typename Rules>
    void extend(ModelSpace& space, std::size_t start, std::size_t length) const {
        const double score = space.cells[start].score;
        const auto offer = [&](std::size_t end, double candidate, std::int32_t id) {
            Cell& cell = space.cells[end];
            if (Rules::better(candidate, cell.score))
                cell = {candidate, static_cast<std::uint32_t>(start), id};
        };
        bool any = false;
        bool any_of_length_one = false;
        Trie::Node node = Trie::kRoot;
        for (std::size_t at = start; at < length && space.labels[at] != Trie::kUnknown; ++at) {
            node = trie_.step(node, space.labels[at]);
            if (node == Trie::kNone) break;
            const std::int32_t id = trie_.value(node);
            if (id < 0) continue;
            any = true;
            any_of_length_one = any_of_length_one || at == start;
            offer(at + 1, score + scores_[static_cast<std::size_t>(id)], id);
        }
        if (Rules::needs_unknown(any, any_of_length_one)) {
            offer(start + 1, score + Rules::unknown_score(*this), unknown_id_);
        }
    }

    /// Walks the best cut from its end, and turns what it appended round.
    void append_best(SymbolSpan word, const ModelSpace& space, Tokens& out) const {
        const std::size_t first = out.size();
        for (std::size_t end = word.size(); end > 0;) {
            const std::int32_t id = space.cells[end].id;
            std::size_t start = space.cells[end].start;
            if (id == unknown_id_) {
                while (start > 0 && space.cells[start].id == unknown_id_)
                    start = space.cells[start].start;
                append_unknown(word.subspan(start, end - start), out);
            } else {
                append_token(id, word.subspan(start, end - start), out);
            }
            end = start;
        }
        const auto from = static_cast<std::ptrdiff_t>(first);
        std::reverse(out.ids.begin() + from, out.ids.end());
        std::reverse(out.begin.begin() + from, out.begin.end());
        std::reverse(out.end.begin() + from, out.end.end());
    }

    /// Appends the tokens of unknown characters, last byte first.
    void append_unknown(SymbolSpan run, Tokens& out) const {
        if (!byte_ids_) {
            append_token(unknown_id_, run, out);
            return;
        }
        const std::size_t first = out.size();
        std::string bytes;
        for (std::size_t at = run.size(); at-- > 0;) {
            bytes.clear();
            append_utf8(run[at].code, bytes);
            for (std::size_t index = bytes.size(); index-- > 0;) {
                append_token((*byte_ids_)[static_cast<std::uint8_t>(bytes[index])],
                             run.subspan(at, 1), out);
            }
        }
        const auto from = static_cast<std::ptrdiff_t>(first);
        if (std::find(out.ids.begin() + from, out.ids.end(), -1) == out.ids.end()) return;
        out.ids.resize(first);
        out.begin.resize(first);
        out.end.resize(first);
        append_token(unknown_id_, run, out);
    }

    Trie trie_;
    std::vector<double> scores_;
    std::optional<ByteIds> byte_ids_;
    std::int32_t unknown_id_;
    double unknown_score_ = 0;
    bool tensorflow_js_;
};

Trie make_vocabulary_trie(const std::vector<std::string>& tokens) {
    std::vector<Trie::Entry> entries;
    entries.reserve(tokens.size());
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        entries.push_back({to_code_points(tokens[id]), static_cast<std::int32_t>(id)});
    }
    return Trie(std::move(entries));
}

class WordPiece final : public TokenModel {
  public:
    explicit WordPiece(const WordPieceOptions& options)
        : trie_(make_vocabulary_trie(options.tokens)),
          continuing_(trie_.walk(Trie::kRoot, to_code_points(options.continuing_prefix))),
          unknown_id_(options.unknown_id),
          max_word_length_(options.max_word_length) {}

    void encode(SymbolSpan word, ModelSpace&, Tokens& out) const override {
        const std::size_t first = out.size();
        if (word.size() <= max_word_length_ && append_pieces(word, out)) return;
        out.ids.resize(first);
        out.begin.resize(first);
        out.end.resize(first);
        append_token(unknown_id_, word, out);
    }

    std::string_view type() const override { return "wordpiece"; }

  private:
    bool append_pieces(SymbolSpan word, Tokens& out) const {
        for (std::size_t start = 0; start < word.size();) {
            std::int32_t id = -1;
            std::size_t end = start;
            Trie::Node node = start == 0 ? Trie::kRoot : continuing_;
            for (std::size_t at = start; at < word.size() && node != Trie::kNone; ++at) {
                const Trie::Label label = trie_.label(word[at].code);
                node = label == Trie::kUnknown ? Trie::kNone : trie_.step(node, label);
                if (node == Trie::kNone || trie_.value(node) < 0) continue;
                id = trie_.value(node);
                end = at + 1;
            }
            if (id < 0) return false;
            append_token(id, word.subspan(start, end - start), out);
            start = end;
        }
        return true;
    }

    Trie trie_;
    Trie::Node continuing_;  // where pieces that continue a word begin
    std::int32_t unknown_id_;
    std::size_t max_word_length_;
};

class WordLevel final : public TokenModel {
  public:
    WordLevel(const std::vector<std::string>& tokens, std::int32_t unknown_id)
        : trie_(make_vocabulary_trie(tokens)), unknown_id_(unknown_id) {}

    void encode(SymbolSpan word, ModelSpace&, Tokens& out) const override {
        Trie::Node node = Trie::kRoot;
        for (std::size_t at = 0; at < word.size() && node != Trie::kNone; ++at) {
            const Trie::Label label = trie_.label(word[at].code);
            node = label == Trie::kUnknown ? Trie::kNone : trie_.step(node, label);
        }
        const std::int32_t id = node == Trie::kNone ? -1 : trie_.value(node);
        append_token(id < 0 ? unknown_id_ : id, word, out);
    }

    std::string_view type() const override { return "wordlevel"; }

  private:
    Trie trie_;
    std::int32_t unknown_id_;
};

}  // namespace

TokenModelPtr make_unigram(const UnigramOptions& options) {
    return std::make_unique<Unigram>(options);
}

TokenModelPtr make_word_piece(const WordPieceOptions& options) {
    return std::make_unique<WordPiece>(options);
}

TokenModelPtr make_word_level(const std::vector<std::string>& tokens, std::int32_t unknown_id) {
    return std::make_unique<WordLevel>(tokens, unknown_id);
}

}  // namespace penstock::text
