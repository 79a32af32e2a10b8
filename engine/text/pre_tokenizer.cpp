#include "engine/text/pre_tokenizer.h"

#include <unicode/uchar.h>

namespace penstock::text {
namespace {

bool is_ascii_punctuation(char32_t code) {
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
           (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
}

bool is_punctuation(char32_t code) {
    if (code < 0x80) return is_ascii_punctuation(code);
    return (U_GET_GC_MASK(static_cast<UChar32>(code)) & U_GC_P_MASK) != 0;
}

bool is_numeric(char32_t code) {
    return (U_GET_GC_MASK(static_cast<UChar32>(code)) & U_GC_N_MASK) != 0;
}

/// Unicode's `\w` (UTS #18): letters, marks, decimal digits, connectors and joiners.
bool is_word_character(char32_t code) {
    const auto icu_code = static_cast<UChar32>(code);
    return u_hasBinaryProperty(icu_code, UCHAR_ALPHABETIC) != 0 ||
           (U_GET_GC_MASK(icu_code) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
           u_hasBinaryProperty(icu_code, UCHAR_JOIN_CONTROL) != 0;
}

/// What a code point does to the word around it.
enum class Role { dropped, alone, kind_a, kind_b };

/// Cuts by the roles of single code points: neighbours with the same kind stay together.
template <typename RoleOf>
class RoleSplitter final : public PreTokenizer {
  public:
    explicit RoleSplitter(RoleOf role_of) : role_of_(role_of) {}

    void apply(Words& words) const override {
        words.spare_ranges.clear();
        for (const WordRange& range : words.ranges)
            split(words, range);
        words.ranges.swap(words.spare_ranges);
    }

  private:
    void split(Words& words, const WordRange& range) const {
        std::size_t begin = range.begin;
        Role before = Role::dropped;
        for (std::size_t at = range.begin; at < range.end; ++at) {
            const Role role = role_of_(words.symbols[at].code);
            if (role == before && role != Role::alone && role != Role::dropped) continue;
            if (before != Role::dropped) words.spare_ranges.push_back({begin, at});
            begin = at;
            before = role;
        }
        if (before != Role::dropped) words.spare_ranges.push_back({begin, range.end});
    }

    RoleOf role_of_;
};

template <typename RoleOf>
PreTokenizerPtr make_splitter(RoleOf role_of) {
    return std::make_unique<RoleSplitter<RoleOf>>(role_of);
}

class Metaspace final : public PreTokenizer {
  public:
    Metaspace(char32_t mark, PrependScheme scheme, bool split)
        : mark_(mark), scheme_(scheme), split_(split) {}

    void apply(Words& words) const override {
        words.spare_symbols.clear();
        words.spare_ranges.clear();
        for (const WordRange& range : words.ranges) {
            if (range.begin < range.end) mark(words, range);
        }
        words.symbols.swap(words.spare_symbols);
        words.ranges.swap(words.spare_ranges);
    }

  private:
    void mark(Words& words, const WordRange& range) const {
        Symbols& out = words.spare_symbols;
        std::size_t begin = out.size();
        const Symbol& first = words.symbols[range.begin];
        if (is_prepended(first)) out.push_back({mark_, first.begin, first.begin});
        for (std::size_t at = range.begin; at < range.end; ++at) {
            Symbol symbol = words.symbols[at];
            if (symbol.code == ' ') symbol.code = mark_;
            if (split_ && symbol.code == mark_ && out.size() > begin) {
                words.spare_ranges.push_back({begin, out.size()});
                begin = out.size();
            }
            out.push_back(symbol);
        }
        words.spare_ranges.push_back({begin, out.size()});
    }

    bool is_prepended(const Symbol& first) const {
        const bool marked = first.code == ' ' || first.code == mark_;
        switch (scheme_) {
            case PrependScheme::never:
                return false;
            case PrependScheme::first:
                return !marked && first.begin == 0;
            case PrependScheme::always:
                return !marked;
            case PrependScheme::unconditionally:
                return true;
        }
        return false;
    }

    char32_t mark_;
    PrependScheme scheme_;
    bool split_;
};

}  // namespace

PreTokenizerPtr make_whitespace_split_pre_tokenizer() {
    return make_splitter(
        [](char32_t code) { return is_blank(code) ? Role::dropped : Role::kind_a; });
}

PreTokenizerPtr make_whitespace_pre_tokenizer() {
    return make_splitter([](char32_t code) {
        if (is_word_character(code)) return Role::kind_a;
        return is_blank(code) ? Role::dropped : Role::kind_b;
    });
}

PreTokenizerPtr make_bert_pre_tokenizer() {
    return make_splitter([](char32_t code) {
        if (is_blank(code)) return Role::dropped;
        return is_punctuation(code) ? Role::alone : Role::kind_a;
    });
}

PreTokenizerPtr make_punctuation_pre_tokenizer() {
    return make_splitter(
        [](char32_t code) { return is_punctuation(code) ? Role::alone : Role::kind_a; });
}

PreTokenizerPtr make_digits_pre_tokenizer(bool individual) {
    return make_splitter([individual](char32_t code) {
        if (!is_numeric(code)) return Role::kind_a;
        return individual ? Role::alone : Role::kind_b;
    });
}

PreTokenizerPtr make_metaspace_pre_tokenizer(char32_t mark, PrependScheme scheme, bool split) {
    return std::make_unique<Metaspace>(mark, scheme, split);
}

}  // namespace penstock::text
