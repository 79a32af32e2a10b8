#include "engine/text/composed_tokenizer.h"

#include <algorithm>

namespace penstock::text {
namespace {

std::vector<AddedToken> select_added(const std::vector<AddedToken>& tokens, bool normalized) {
    std::vector<AddedToken> selected;
    std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(selected),
                 [normalized](const AddedToken& token) { return token.normalized == normalized; });
    return selected;
}

class ComposedTokenizer final : public Tokenizer {
  public:
    explicit ComposedTokenizer(TokenizerParts parts)
        : parts_(std::move(parts)),
          original_tokens_(select_added(parts_.added_tokens, false)),
          normalized_tokens_(select_added(normalized_contents(), true)) {}

    void encode(std::string_view text, bool with_special_tokens, Tokens& out) const override {
        out.clear();
        Space space;
        if (with_special_tokens) append_template(parts_.prefix_ids, 0, out);
        decode(text, space.original);
        original_tokens_.split(
            space.original, [&](SymbolSpan plain) { encode_plain(plain, space, out); },
            [&](std::int32_t id, SymbolSpan source) { append_token(id, source, out); });
        if (with_special_tokens) {
            append_template(parts_.suffix_ids, static_cast<std::uint32_t>(text.size()), out);
        }
    }

    std::size_t special_token_count() const override {
        return parts_.prefix_ids.size() + parts_.suffix_ids.size();
    }
    const std::vector<std::int32_t>& prefix_ids() const override { return parts_.prefix_ids; }
    const std::vector<std::int32_t>& suffix_ids() const override { return parts_.suffix_ids; }
    std::string_view type() const override { return parts_.model->type(); }
    std::size_t vocabulary_size() const override { return parts_.tokens.size(); }
    std::string_view token(std::int32_t id) const override {
        if (id < 0 || static_cast<std::size_t>(id) >= parts_.tokens.size()) return {};
        return parts_.tokens[static_cast<std::size_t>(id)];
    }

  private:
    struct Space {
        Symbols original;
        Symbols normalized;
        Symbols spare;
        Words words;
        ModelSpace model;
    };

    static void append_template(const std::vector<std::int32_t>& ids, std::uint32_t at,
                                Tokens& out) {
        out.ids.insert(out.ids.end(), ids.begin(), ids.end());
        out.begin.insert(out.begin.end(), ids.size(), at);
        out.end.insert(out.end.end(), ids.size(), at);
    }

    void normalize(Space& space) const {
        for (const NormalizerPtr& normalizer : parts_.normalizers)
            normalizer->apply(space.normalized, space.spare);
    }

    /// Added tokens that are looked for in normalised text are normalised themselves.
    std::vector<AddedToken> normalized_contents() const {
        std::vector<AddedToken> tokens = parts_.added_tokens;
        for (AddedToken& token : tokens) {
            if (!token.normalized) continue;
            Space space;
            for (const char32_t code : token.content)
                space.normalized.push_back({code, 0, 0});
            normalize(space);
            token.content.clear();
            for (const Symbol& symbol : space.normalized)
                token.content.push_back(symbol.code);
        }
        return tokens;
    }

    void encode_plain(SymbolSpan plain, Space& space, Tokens& out) const {
        space.normalized.assign(plain.begin(), plain.end());
        normalize(space);
        normalized_tokens_.split(
            space.normalized, [&](SymbolSpan text) { encode_words(text, space, out); },
            [&](std::int32_t id, SymbolSpan source) { append_token(id, source, out); });
    }

    void encode_words(SymbolSpan text, Space& space, Tokens& out) const {
        Words& words = space.words;
        words.symbols.assign(text.begin(), text.end());
        words.ranges.assign(1, {0, text.size()});
        for (const PreTokenizerPtr& pre_tokenizer : parts_.pre_tokenizers)
            pre_tokenizer->apply(words);
        const SymbolSpan symbols = words.symbols;
        for (const WordRange& range : words.ranges) {
            if (range.begin == range.end) continue;
            parts_.model->encode(symbols.subspan(range.begin, range.end - range.begin), space.model,
                                 out);
        }
    }

    TokenizerParts parts_;
    AddedTokens original_tokens_;
    AddedTokens normalized_tokens_;
};

}  // namespace

std::shared_ptr<const Tokenizer> compose_tokenizer(TokenizerParts parts) {
    return std::make_shared<const ComposedTokenizer>(std::move(parts));
}

std::optional<std::int32_t> Tokenizer::id(std::string_view wanted) const {
    const auto size = static_cast<std::int32_t>(vocabulary_size());
    for (std::int32_t id = 0; id < size; ++id) {
        if (token(id) == wanted) return id;
    }
    return std::nullopt;
}

}  // namespace penstock::text
