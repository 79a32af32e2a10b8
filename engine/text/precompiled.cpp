// SentencePiece's `precompiled_charsmap`: a 32-bit size, a Darts-clone double array of that many
// bytes, and the replacements, each ended by a zero byte, that the array's values point to.
#include <algorithm>
#include <cstring>

#include "engine/runtime/error.h"
#include "engine/text/break_iterators.h"
#include "engine/text/normalizer.h"

namespace penstock::text {
namespace {

constexpr std::size_t kMaxGraphemeBytes = 5;

std::uint32_t read_little_endian(std::string_view bytes) {
    std::uint32_t value = 0;
    for (std::size_t index = 4; index-- > 0;)
        value = value << 8 | static_cast<std::uint8_t>(bytes[index]);
    return value;
}

/// One unit of the array, in Darts-clone's layout.
struct Unit {
    std::uint32_t bits;

    bool has_leaf() const { return (bits >> 8 & 1) != 0; }
    std::uint32_t value() const { return bits & 0x7FFFFFFF; }
    std::uint32_t label() const { return bits & 0x800000FF; }
    std::uint32_t offset() const { return (bits >> 10) << ((bits & (1U << 9)) >> 6); }
};

class PrecompiledNormalizer final : public Normalizer {
  public:
    explicit PrecompiledNormalizer(std::string_view charsmap) {
        const std::size_t size = charsmap.size() < 4 ? 0 : read_little_endian(charsmap);
        if (size == 0 || size % 4 != 0 || size > charsmap.size() - 4) {
            throw Error("'precompiled_charsmap' is truncated or damaged");
        }
        for (std::size_t at = 4; at < 4 + size; at += 4)
            units_.push_back({read_little_endian(charsmap.substr(at))});
        replacements_ = charsmap.substr(4 + size);
        if (replacements_.empty() || replacements_.back() != '\0') {
            throw Error("'precompiled_charsmap' is truncated: its last replacement has no end");
        }
    }

    void apply(Symbols& text, Symbols& spare) const override {
        spare.clear();
        for (std::size_t at = 0; at < text.size();) {
            // An ASCII character before another is a grapheme cluster; anything else is asked of
            // ICU.
            if (stands_alone(text, at)) {
                append_rewritten(SymbolSpan(text).subspan(at, 1), spare);
                ++at;
                continue;
            }
            std::size_t end = at + 1;
            while (end < text.size() && !stands_alone(text, end))
                ++end;
            append_stretch(SymbolSpan(text).subspan(at, end - at), spare);
            at = end;
        }
        text.swap(spare);
    }

  private:
    static bool stands_alone(const Symbols& text, std::size_t at) {
        if (text[at].code >= 0x80 || text[at].code == '\r' || text[at].code == '\n') return false;
        return at + 1 == text.size() || text[at + 1].code < 0x80;
    }

    void append_stretch(SymbolSpan stretch, Symbols& out) const {
        std::string bytes;
        std::vector<std::size_t> symbol_at;  // of every byte, and of the end
        for (std::size_t index = 0; index < stretch.size(); ++index) {
            append_utf8(stretch[index].code, bytes);
            symbol_at.resize(bytes.size(), index);
        }
        symbol_at.push_back(stretch.size());
        BreakIteratorPool::Lease boundaries(graphemes_, bytes);
        std::size_t begin = 0;
        for (std::int32_t at = boundaries->next(); at != icu::BreakIterator::DONE;
             at = boundaries->next()) {
            const std::size_t end = symbol_at[static_cast<std::size_t>(at)];
            append_cluster(stretch.subspan(begin, end - begin), out);
            begin = end;
        }
    }

    void append_cluster(SymbolSpan cluster, Symbols& out) const {
        if (cluster.size() > 1 && cluster.size() <= kMaxGraphemeBytes && try_append(cluster, out))
            return;
        for (std::size_t at = 0; at < cluster.size(); ++at)
            append_rewritten(cluster.subspan(at, 1), out);
    }

    void append_rewritten(SymbolSpan single, Symbols& out) const {
        if (!try_append(single, out)) out.push_back(single.front());
    }

    bool try_append(SymbolSpan source, Symbols& out) const {
        std::string bytes;
        for (const Symbol& symbol : source)
            append_utf8(symbol.code, bytes);
        if (source.size() > 1 && bytes.size() > kMaxGraphemeBytes) return false;
        const std::optional<std::uint32_t> found = shortest_match(bytes);
        if (!found || *found >= replacements_.size()) return false;
        const std::string_view replacement = replacements_.c_str() + *found;
        for (const char32_t code : to_code_points(replacement)) {
            out.push_back({code, source.front().begin, source.back().end});
        }
        return true;
    }

    std::optional<std::uint32_t> shortest_match(std::string_view bytes) const {
        std::size_t at = units_[0].offset();
        for (const char byte : bytes) {
            const auto label = static_cast<std::uint8_t>(byte);
            if (label == 0) return std::nullopt;
            at ^= label;
            if (at >= units_.size() || units_[at].label() != label) return std::nullopt;
            const Unit unit = units_[at];
            at ^= unit.offset();
            if (at >= units_.size()) return std::nullopt;
            if (unit.has_leaf()) return units_[at].value();
        }
        return std::nullopt;
    }

    std::vector<Unit> units_;
    std::string replacements_;
    BreakIteratorPool graphemes_{BreakIteratorPool::Kind::grapheme};
};

}  // namespace

NormalizerPtr make_precompiled_normalizer(std::string_view charsmap) {
    return std::make_unique<PrecompiledNormalizer>(charsmap);
}

}  // namespace penstock::text
