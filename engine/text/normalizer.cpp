#include "engine/text/normalizer.h"

#include <unicode/normalizer2.h>
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>
#include <new>

#include "engine/runtime/error.h"

namespace penstock::text {
namespace {

constexpr std::size_t kMaxNormalizationRun = 256;
constexpr char32_t kCapitalIWithDot = 0x130;
constexpr char32_t kCombiningDotAbove = 0x307;
constexpr char32_t kReplacement = 0xFFFD;

UChar32 icu_code(char32_t code) {
    return static_cast<UChar32>(code);
}

bool has_category(char32_t code, std::uint32_t mask) {
    return (U_GET_GC_MASK(icu_code(code)) & mask) != 0;
}

void require(UErrorCode status, const char* what) {
    if (U_FAILURE(status)) throw Error(std::string(what) + ": " + u_errorName(status));
}

/// Appends the code points of `from`, each with the range of all of `source`.
void append_utf16(const icu::UnicodeString& from, SymbolSpan source, Symbols& out) {
    for (std::int32_t at = 0; at < from.length(); at = from.moveIndex32(at, 1)) {
        out.push_back(
            {static_cast<char32_t>(from.char32At(at)), source.front().begin, source.back().end});
    }
}

class UnicodeNormalizer final : public Normalizer {
  public:
    explicit UnicodeNormalizer(UnicodeForm form) : form_(instance(form)) {}

    void apply(Symbols& text, Symbols& spare) const override {
        const bool ascii = std::all_of(text.begin(), text.end(),
                                       [](const Symbol& symbol) { return symbol.code < 0x80; });
        if (ascii) return;  // every form leaves ASCII as it is
        spare.clear();
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = run_end(text, at);
            append_normalized(SymbolSpan(text).subspan(at, end - at), spare);
            at = end;
        }
        text.swap(spare);
    }

  private:
    static const icu::Normalizer2& instance(UnicodeForm form) {
        UErrorCode status = U_ZERO_ERROR;
        const icu::Normalizer2* found = nullptr;
        switch (form) {
            case UnicodeForm::nfc:
                found = icu::Normalizer2::getNFCInstance(status);
                break;
            case UnicodeForm::nfd:
                found = icu::Normalizer2::getNFDInstance(status);
                break;
            case UnicodeForm::nfkc:
                found = icu::Normalizer2::getNFKCInstance(status);
                break;
            case UnicodeForm::nfkd:
                found = icu::Normalizer2::getNFKDInstance(status);
                break;
        }
        require(status, "cannot load ICU's normalisation data");
        return *found;
    }

    /// The end of the run that begins at `at` and whose normal form does not depend on what
    /// surrounds it.
    std::size_t run_end(const Symbols& text, std::size_t at) const {
        const std::size_t limit = std::min(text.size(), at + kMaxNormalizationRun);
        std::size_t end = at + 1;
        while (end < limit && text[end].code >= 0x80 &&
               !form_.hasBoundaryBefore(icu_code(text[end].code)))
            ++end;
        return end;
    }

    void append_normalized(SymbolSpan run, Symbols& out) const {
        if (run.size() == 1 && run[0].code < 0x80) {
            out.push_back(run[0]);
            return;
        }
        icu::UnicodeString source;
        for (const Symbol& symbol : run)
            source.append(icu_code(symbol.code));
        UErrorCode status = U_ZERO_ERROR;
        if (form_.isNormalized(source, status) && U_SUCCESS(status)) {
            out.insert(out.end(), run.begin(), run.end());
            return;
        }
        status = U_ZERO_ERROR;
        const icu::UnicodeString normal = form_.normalize(source, status);
        if (U_FAILURE(status))
            throw std::bad_alloc();  // code points are valid: nothing else can fail
        append_utf16(normal, run, out);
    }

    const icu::Normalizer2& form_;
};

class LowercaseNormalizer final : public Normalizer {
  public:
    void apply(Symbols& text, Symbols& spare) const override {
        spare.clear();
        for (const Symbol& symbol : text) {
            if (symbol.code < 0x80) {
                const bool upper = symbol.code >= 'A' && symbol.code <= 'Z';
                spare.push_back(
                    {upper ? symbol.code + 0x20 : symbol.code, symbol.begin, symbol.end});
            } else if (symbol.code ==
                       kCapitalIWithDot) {  // the only one whose lower case is two code points
                spare.push_back({U'i', symbol.begin, symbol.end});
                spare.push_back({kCombiningDotAbove, symbol.begin, symbol.end});
            } else {
                spare.push_back({static_cast<char32_t>(u_tolower(icu_code(symbol.code))),
                                 symbol.begin, symbol.end});
            }
        }
        text.swap(spare);
    }
};

/// Removes the code points of some general categories. The range of the code point before grows
/// over one that is removed right behind it, so that a token never ends between a letter and its
/// accent.
class CategoryRemover final : public Normalizer {
  public:
    explicit CategoryRemover(std::uint32_t mask) : mask_(mask) {}

    void apply(Symbols& text, Symbols&) const override {
        std::size_t kept = 0;
        for (const Symbol& symbol : text) {
            if (symbol.code < 0x80 || !has_category(symbol.code, mask_)) {
                text[kept++] = symbol;
            } else if (kept > 0 && text[kept - 1].end == symbol.begin) {
                text[kept - 1].end = symbol.end;
            }
        }
        text.resize(kept);
    }

  private:
    std::uint32_t mask_;
};

class StripNormalizer final : public Normalizer {
  public:
    StripNormalizer(bool left, bool right) : left_(left), right_(right) {}

    void apply(Symbols& text, Symbols&) const override {
        const auto solid = [](const Symbol& symbol) { return !is_blank(symbol.code); };
        if (right_) text.erase(std::find_if(text.rbegin(), text.rend(), solid).base(), text.end());
        if (left_) text.erase(text.begin(), std::find_if(text.begin(), text.end(), solid));
    }

  private:
    bool left_;
    bool right_;
};

class PrependNormalizer final : public Normalizer {
  public:
    explicit PrependNormalizer(std::string_view prefix) : prefix_(to_code_points(prefix)) {}

    void apply(Symbols& text, Symbols& spare) const override {
        if (text.empty()) return;
        const std::uint32_t begin = text.front().begin;
        spare.clear();
        for (const char32_t code : prefix_)
            spare.push_back({code, begin, begin});
        spare.insert(spare.end(), text.begin(), text.end());
        text.swap(spare);
    }

  private:
    std::u32string prefix_;
};

void append_replacement(const std::u32string& content, SymbolSpan source, Symbols& out) {
    for (const char32_t code : content)
        out.push_back({code, source.front().begin, source.back().end});
}

class ReplaceNormalizer final : public Normalizer {
  public:
    ReplaceNormalizer(std::string_view pattern, std::string_view content)
        : pattern_(to_code_points(pattern)), content_(to_code_points(content)) {}

    void apply(Symbols& text, Symbols& spare) const override {
        const auto same = [](const Symbol& symbol, char32_t code) { return symbol.code == code; };
        spare.clear();
        auto at = text.begin();
        while (true) {
            const auto found = std::search(at, text.end(), pattern_.begin(), pattern_.end(), same);
            spare.insert(spare.end(), at, found);
            if (found == text.end()) break;
            at = found + static_cast<std::ptrdiff_t>(pattern_.size());
            append_replacement(content_, SymbolSpan(found, at), spare);
        }
        text.swap(spare);
    }

  private:
    std::u32string pattern_;
    std::u32string content_;
};

class RegexReplaceNormalizer final : public Normalizer {
  public:
    RegexReplaceNormalizer(std::string_view pattern, std::string_view content)
        : content_(to_code_points(content)) {
        const std::string quoted =
            "the regular expression '" + std::string(pattern) + "' cannot be compiled";
        UErrorCode status = U_ZERO_ERROR;
        UParseError place;
        pattern_.reset(icu::RegexPattern::compile(
            icu::UnicodeString::fromUTF8(std::string(pattern)), place, status));
        require(status, quoted.c_str());
    }

    void apply(Symbols& text, Symbols& spare) const override {
        icu::UnicodeString source;
        std::vector<std::size_t> symbol_at;  // of every UTF-16 unit, and of the end
        for (std::size_t index = 0; index < text.size(); ++index) {
            source.append(icu_code(text[index].code));
            symbol_at.resize(static_cast<std::size_t>(source.length()), index);
        }
        symbol_at.push_back(text.size());

        UErrorCode status = U_ZERO_ERROR;
        const std::unique_ptr<icu::RegexMatcher> matcher(pattern_->matcher(source, status));
        if (U_FAILURE(status)) throw std::bad_alloc();
        matcher->setStackLimit(0, status);  // backtracking is on the heap: memory alone bounds it
        spare.clear();
        std::size_t at = 0;
        while (matcher->find(status)) {
            const std::size_t begin = symbol_at[static_cast<std::size_t>(matcher->start(status))];
            const std::size_t end = symbol_at[static_cast<std::size_t>(matcher->end(status))];
            if (begin == end) continue;  // nothing to replace
            spare.insert(spare.end(), text.begin() + static_cast<std::ptrdiff_t>(at),
                         text.begin() + static_cast<std::ptrdiff_t>(begin));
            append_replacement(content_, SymbolSpan(text).subspan(begin, end - begin), spare);
            at = end;
        }
        if (U_FAILURE(status)) throw std::bad_alloc();
        spare.insert(spare.end(), text.begin() + static_cast<std::ptrdiff_t>(at), text.end());
        text.swap(spare);
    }

  private:
    std::unique_ptr<const icu::RegexPattern> pattern_;
    std::u32string content_;
};

class NmtNormalizer final : public Normalizer {
  public:
    void apply(Symbols& text, Symbols&) const override {
        std::size_t kept = 0;
        for (Symbol symbol : text) {
            if (is_dropped(symbol.code)) continue;
            if (is_blank_for_translation(symbol.code)) symbol.code = U' ';
            text[kept++] = symbol;
        }
        text.resize(kept);
    }

  private:
    static bool is_dropped(char32_t code) {
        return (code >= 0x1 && code <= 0x8) || code == 0xB || (code >= 0xE && code <= 0x1F) ||
               code == 0x7F || code == 0x8F || code == 0x9F;
    }
    static bool is_blank_for_translation(char32_t code) {
        return code == 0x9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
               (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
               code == 0x2581 || code == 0xFEFF || code == kReplacement;
    }
};

/// The blocks of CJK ideographs that BERT makes words of their own. The bounds are those of
/// HuggingFace's tokenizers, which differ from the paper's in the start of extension E (2B920 for
/// 2B820).
bool is_chinese(char32_t code) {
    if (code < 0x3400) return false;
    return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
           (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
           (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
           (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

class BertNormalizer final : public Normalizer {
  public:
    explicit BertNormalizer(const BertNormalizerOptions& options)
        : options_(options), strip_accents_(options.strip_accents.value_or(options.lowercase)) {
        for (char32_t code = 0; code < 0x80; ++code) {
            char32_t to = options.clean_text ? cleaned(code) : code;
            if (options.lowercase && to >= 'A' && to <= 'Z') to += 0x20;
            ascii_[code] = to;
        }
    }

    void apply(Symbols& text, Symbols& spare) const override {
        spare.clear();
        spare.reserve(text.size());
        bool ascii = true;
        for (const Symbol& symbol : text) {
            if (symbol.code < 0x80) {
                const char32_t to = ascii_[symbol.code];
                if (to != kDropped) spare.push_back({to, symbol.begin, symbol.end});
            } else {
                ascii = false;
                append_other(symbol, spare);
            }
        }
        text.swap(spare);
        if (ascii) return;
        if (strip_accents_) {
            nfd_.apply(text, spare);
            accents_.apply(text, spare);
        }
        if (options_.lowercase) lowercase_.apply(text, spare);
    }

  private:
    static constexpr char32_t kDropped = 0xFFFFFFFF;

    static char32_t cleaned(char32_t code) {
        if (code == '\t' || code == '\n' || code == '\r') return U' ';
        if (code == 0 || code == kReplacement || has_category(code, U_GC_C_MASK)) return kDropped;
        return is_blank(code) ? U' ' : code;
    }

    void append_other(const Symbol& symbol, Symbols& out) const {
        const char32_t code = options_.clean_text ? cleaned(symbol.code) : symbol.code;
        if (code == kDropped) return;
        const bool apart = options_.handle_chinese_chars && is_chinese(code);
        if (apart) out.push_back({U' ', symbol.begin, symbol.begin});
        out.push_back({code, symbol.begin, symbol.end});
        if (apart) out.push_back({U' ', symbol.end, symbol.end});
    }

    BertNormalizerOptions options_;
    bool strip_accents_;
    std::array<char32_t, 0x80> ascii_{};
    UnicodeNormalizer nfd_{UnicodeForm::nfd};
    CategoryRemover accents_{U_GC_MN_MASK};
    LowercaseNormalizer lowercase_;
};

}  // namespace

NormalizerPtr make_unicode_normalizer(UnicodeForm form) {
    return std::make_unique<UnicodeNormalizer>(form);
}

NormalizerPtr make_lowercase_normalizer() {
    return std::make_unique<LowercaseNormalizer>();
}

NormalizerPtr make_strip_accents_normalizer() {
    return std::make_unique<CategoryRemover>(U_GC_M_MASK);
}

NormalizerPtr make_strip_normalizer(bool left, bool right) {
    return std::make_unique<StripNormalizer>(left, right);
}

NormalizerPtr make_prepend_normalizer(std::string_view prefix) {
    return std::make_unique<PrependNormalizer>(prefix);
}

NormalizerPtr make_replace_normalizer(std::string_view pattern, std::string_view content) {
    if (pattern.empty()) throw Error("the string to replace is empty");
    return std::make_unique<ReplaceNormalizer>(pattern, content);
}

NormalizerPtr make_regex_replace_normalizer(std::string_view pattern, std::string_view content) {
    return std::make_unique<RegexReplaceNormalizer>(pattern, content);
}

NormalizerPtr make_nmt_normalizer() {
    return std::make_unique<NmtNormalizer>();
}

NormalizerPtr make_bert_normalizer(const BertNormalizerOptions& options) {
    return std::make_unique<BertNormalizer>(options);
}

}  // namespace penstock::text
