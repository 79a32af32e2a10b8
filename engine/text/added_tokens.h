// Tokens that are found in a text as they stand, before the token model sees the rest: "[MASK]",
// "<s>".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/text/symbols.h"
#include "engine/text/trie.h"

namespace penstock::text {

/// One entry of `added_tokens` in a `tokenizer.json`.
struct AddedToken {
    std::int32_t id = 0;
    std::u32string content;  ///< as it is looked for: normalised already where `normalized` is set
    bool single_word = false;  ///< only where no word character touches it
    bool left_strip = false;   ///< takes the blanks before it
    bool right_strip = false;  ///< takes the blanks after it
    bool normalized = false;   ///< looked for in the normalised text, not in the original
};

/// Finds tokens, leftmost and longest first. Immutable and safe to use from any thread.
class AddedTokens {
  public:
    explicit AddedTokens(std::vector<AddedToken> tokens);

    bool empty() const { return tokens_.empty(); }

    /// Cuts `text` into the tokens found and what lies between, in order: calls `plain(SymbolSpan)`
    /// for each text that is not empty and `token(id, SymbolSpan)` for each token.
    template <typename Plain, typename Token>
    void split(SymbolSpan text, Plain plain, Token token) const {
        std::size_t done = 0;
        for (std::size_t at = 0; at < text.size();) {
            if (!trie_.has_first(text[at].code)) {
                ++at;
                continue;
            }
            const Match match = match_at(text, at, done);
            if (match.token == nullptr) {
                at = match.next;
                continue;
            }
            if (match.begin > done) plain(text.subspan(done, match.begin - done));
            token(match.token->id, text.subspan(match.begin, match.next - match.begin));
            at = done = match.next;
        }
        if (done < text.size()) plain(text.subspan(done));
    }

  private:
    struct Match {
        const AddedToken* token = nullptr;
        std::size_t begin = 0;
        std::size_t next = 0;  // where the search goes on
    };

    /// The token at `at`, if any; `done` is where the token before ended.
    Match match_at(SymbolSpan text, std::size_t at, std::size_t done) const;

    std::vector<AddedToken> tokens_;
    Trie trie_;  // values are indices of tokens_
};

}  // namespace penstock::text
