#include "engine/text/added_tokens.h"

#include <unicode/uchar.h>

namespace penstock::text {
namespace {

bool is_word_character(char32_t code) {
    return u_isalnum(static_cast<UChar32>(code)) != 0 || code == '_' ||
           (U_GET_GC_MASK(static_cast<UChar32>(code)) & (U_GC_M_MASK | U_GC_PC_MASK)) != 0;
}

Trie make_trie(const std::vector<AddedToken>& tokens) {
    std::vector<Trie::Entry> entries;
    for (std::size_t index = 0; index < tokens.size(); ++index) {
        entries.push_back({tokens[index].content, static_cast<std::int32_t>(index)});
    }
    return Trie(std::move(entries));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), trie_(make_trie(tokens_)) {}

AddedTokens::Match AddedTokens::match_at(SymbolSpan text, std::size_t at, std::size_t done) const {
    Match match;
    match.next = at + 1;
    std::int32_t found = -1;
    std::size_t end = at;
    Trie::Node node = Trie::kRoot;
    for (std::size_t index = at; index < text.size(); ++index) {
        const Trie::Label label = trie_.label(text[index].code);
        if (label == Trie::kUnknown) break;
        node = trie_.step(node, label);
        if (node == Trie::kNone) break;
        if (trie_.value(node) < 0) continue;
        found = trie_.value(node);
        end = index + 1;
    }
    if (found < 0) return match;

    const AddedToken& token = tokens_[static_cast<std::size_t>(found)];
    match.begin = at;
    match.next = end;
    if (token.single_word) {
        const bool touched = (at > 0 && is_word_character(text[at - 1].code)) ||
                             (end < text.size() && is_word_character(text[end].code));
        if (touched) return match;
    }
    match.token = &token;
    if (token.left_strip) {
        while (match.begin > done && is_blank(text[match.begin - 1].code))
            --match.begin;
    }
    if (token.right_strip) {
        while (match.next < text.size() && is_blank(text[match.next].code))
            ++match.next;
    }
    return match;
}

}  // namespace penstock::text
