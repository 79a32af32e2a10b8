// The syntax of simple_query_string: what people type into a search box, which is never an error.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

using namespace simple_syntax;

constexpr std::size_t kMaxClauses = 1024;
constexpr int kMaxGroups = 50;

bool blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Conditions joined from left to right: "a | b + c" is "(a | b) + c".
class Chain {
  public:
    enum class Join { none, any, all };

    explicit Chain(Join usual) : usual_(usual) {}

    /// The first operator behind a condition counts.
    void join_next(Join join) {
        if (next_ == Join::none && !members_.empty()) next_ = join;
    }
    void add(NodePtr node) {
        const Join join = std::exchange(next_, Join::none);
        if (!node) return;
        if (!members_.empty()) {
            const Join now = join == Join::none ? usual_ : join;
            if (members_.size() > 1 && now != join_) members_ = {combined()};
            join_ = now;
        }
        members_.push_back(std::move(node));
    }
    /// Null when there is nothing.
    NodePtr combined() {
        if (members_.empty()) return nullptr;
        if (members_.size() == 1) return std::move(members_.front());
        BoolClauses all;
        (join_ == Join::all ? all.must : all.should) = std::exchange(members_, {});
        return make_bool(std::move(all));
    }

  private:
    Join usual_;
    Join join_ = Join::none;
    Join next_ = Join::none;
    std::vector<NodePtr> members_;
};

class SimpleParser {
  public:
    SimpleParser(std::string_view text, const SyntaxOptions& options, unsigned operators)
        : text_(text), options_(options), operators_(operators), closing_(text.size(), 0) {
        if (has(kPrecedence)) find_closings();
    }

    NodePtr run() {
        const std::size_t first = text_.find_first_not_of(" \t\r\n");
        const std::size_t last = text_.find_last_not_of(" \t\r\n");
        if (first != std::string_view::npos && first == last && text_[first] == '*')
            return make_all();
        NodePtr node = group(0, text_.size(), 0);
        return node ? node : make_none();
    }

  private:
    bool has(unsigned operation) const { return (operators_ & operation) != 0; }

    /// For each parenthesis that is closed, where.
    void find_closings() {
        std::vector<std::size_t> open;
        for (std::size_t i = 0; i < text_.size(); ++i) {
            if (text_[i] == '\\' && has(kEscape)) {
                ++i;
            } else if (text_[i] == '(') {
                open.push_back(i);
            } else if (text_[i] == ')' && !open.empty()) {
                closing_[open.back()] = i;
                open.pop_back();
            }
        }
    }

    NodePtr group(std::size_t at, std::size_t end, int depth) {
        Chain chain(options_.all_words ? Chain::Join::all : Chain::Join::any);
        bool negated = false;
        while (at < end) {
            const char c = text_[at];
            if (c == '-' && has(kNot)) {
                negated = !negated;
                ++at;
                continue;
            }
            if (c == '(' && closing_[at] > at && closing_[at] < end && depth < kMaxGroups) {
                chain.add(signed_node(group(at + 1, closing_[at], depth + 1), negated));
                at = closing_[at] + 1;
            } else if (const std::size_t closed = phrase_end(at, end); closed > at) {
                chain.add(signed_node(phrase(at + 1, closed), negated));
                at = skip_distance(closed + 1, end, kNear);
            } else if (c == '+' && has(kAnd)) {
                chain.join_next(Chain::Join::all);
                ++at;
            } else if (c == '|' && has(kOr)) {
                chain.join_next(Chain::Join::any);
                ++at;
            } else if (ends_word(c)) {
                ++at;
            } else {
                chain.add(signed_node(word(at, end), negated));
            }
            negated = false;
        }
        return chain.combined();
    }

    static NodePtr signed_node(NodePtr node, bool negated) {
        if (!node || !negated) return node;
        BoolClauses others;
        others.must_not.push_back(std::move(node));
        others.should.push_back(make_all());
        return make_bool(std::move(others));
    }

    bool ends_word(char c) const {
        return (blank(c) && has(kWhitespace)) || (c == '"' && has(kPhrase)) ||
               (c == '|' && has(kOr)) || (c == '+' && has(kAnd)) ||
               ((c == '(' || c == ')') && has(kPrecedence));
    }

    /// Where the phrase that begins here is closed; `at` itself when none does.
    std::size_t phrase_end(std::size_t at, std::size_t end) const {
        if (text_[at] != '"' || !has(kPhrase)) return at;
        for (std::size_t i = at + 1; i < end; ++i) {
            if (text_[i] == '\\' && has(kEscape)) {
                ++i;
            } else if (text_[i] == '"') {
                return i;
            }
        }
        return at;
    }

    /// Behind "~2".
    std::size_t skip_distance(std::size_t at, std::size_t end, unsigned operation) const {
        if (!has(operation) || at + 1 >= end || text_[at] != '~' || !is_digit(text_[at + 1]))
            return at;
        std::size_t behind = at + 1;
        while (behind < end && is_digit(text_[behind]))
            ++behind;
        return behind == end || ends_word(text_[behind]) ? behind : at;
    }

    std::string unescaped(std::string_view text) const {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\\' && has(kEscape) && ++i == text.size()) break;
            out.push_back(text[i]);
        }
        return out;
    }

    NodePtr phrase(std::size_t begin, std::size_t end) {
        return text_node(unescaped(text_.substr(begin, end - begin)), TextMode::phrase);
    }

    /// Moves `at` behind the word.
    NodePtr word(std::size_t& at, std::size_t end) {
        const std::size_t begin = at;
        std::size_t word_end = 0;  // where "~1" begins
        while (at < end && !ends_word(text_[at])) {
            const std::size_t behind = at > begin ? skip_distance(at, end, kFuzzy) : at;
            if (behind > at) {
                word_end = at;
                at = behind;
                break;
            }
            at += text_[at] == '\\' && has(kEscape) ? 2 : 1;
        }
        at = std::min(at, end);
        std::string_view raw = text_.substr(begin, (word_end > begin ? word_end : at) - begin);
        const bool prefix = has(kPrefix) && raw.size() > 1 && raw.back() == '*' &&
                            !(has(kEscape) && raw[raw.size() - 2] == '\\');
        if (prefix) raw.remove_suffix(1);
        return text_node(unescaped(raw), prefix ? TextMode::prefix : TextMode::words);
    }

    /// Null for what has no words: nothing can be asked of it.
    NodePtr text_node(std::string text, TextMode mode) {
        if (words_of(text).empty()) return nullptr;
        if (++clauses_ > kMaxClauses)
            throw QueryError("too_many_clauses", "maxClauseCount is set to 1024");
        TextClause clause;
        clause.value = Operand(std::move(text), options_.dates);
        clause.mode = mode;
        clause.all_words = options_.all_words;
        clause.lenient = options_.lenient;
        return make_text_over(std::move(clause), options_.fields, options_.tie_breaker);
    }

    std::string_view text_;
    const SyntaxOptions& options_;
    unsigned operators_;
    std::vector<std::size_t> closing_;  ///< by position of the opening parenthesis; 0: none
    std::size_t clauses_ = 0;
};

}  // namespace

NodePtr parse_simple(std::string_view text, const SyntaxOptions& options, unsigned operators) {
    return SimpleParser(text, options, operators).run();
}

}  // namespace penstock::io
