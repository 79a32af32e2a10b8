// Lucene's query syntax, as `q=` and query_string have it.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

class LuceneParser {
  public:
    LuceneParser(std::string_view text, bool all_words)
        : whole_(text), text_(text), all_words_(all_words) {}

    NodePtr run(const std::string& field) {
        NodePtr node = group(field);
        if (!text_.empty()) fail();
        return node;
    }

  private:
    enum class Occur { must, should, must_not };
    struct Clause {
        NodePtr node;
        Occur occur;
    };
    static constexpr int kMaxDepth = 50;

    [[noreturn]] void fail() const {
        throw QueryError("query_shard_exception",
                         "Failed to parse query [" + std::string(whole_) + "]");
    }

    static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
    void skip_blanks() {
        while (!text_.empty() && blank(text_.front()))
            text_.remove_prefix(1);
    }
    bool take(std::string_view token) {
        if (!text_.starts_with(token)) return false;
        text_.remove_prefix(token.size());
        return true;
    }
    bool take_word(std::string_view word) {
        if (!text_.starts_with(word)) return false;
        const bool whole =
            text_.size() == word.size() || blank(text_[word.size()]) || text_[word.size()] == '(';
        return whole && take(word);
    }

    /// Up to a closing parenthesis or the end.
    NodePtr group(const std::string& field) {
        if (++depth_ > kMaxDepth) fail();
        std::vector<Clause> clauses;
        for (skip_blanks(); !text_.empty() && text_.front() != ')'; skip_blanks()) {
            const bool is_and = take_word("AND") || take("&&");
            const bool is_or = !is_and && (take_word("OR") || take("||"));
            skip_blanks();
            Occur occur = all_words_ && !is_or ? Occur::must : Occur::should;
            if (is_and) {
                occur = Occur::must;
                if (!clauses.empty() && clauses.back().occur == Occur::should)
                    clauses.back().occur = Occur::must;
            } else if (is_or && !clauses.empty() && clauses.back().occur == Occur::must &&
                       all_words_) {
                clauses.back().occur = Occur::should;
            }
            if (take_word("NOT") || take("-") || take("!")) {
                occur = Occur::must_not;
            } else if (take("+")) {
                occur = Occur::must;
            }
            skip_blanks();
            clauses.push_back({clause(field), occur});
        }
        --depth_;
        return join(clauses);
    }

    static NodePtr join(std::vector<Clause>& clauses) {
        if (clauses.empty()) return make_none();
        if (clauses.size() == 1 && clauses.front().occur != Occur::must_not)
            return clauses.front().node;
        BoolClauses all;
        for (Clause& clause : clauses) {
            auto& list = clause.occur == Occur::must     ? all.must
                         : clause.occur == Occur::should ? all.should
                                                         : all.must_not;
            list.push_back(std::move(clause.node));
        }
        return make_bool(std::move(all));
    }

    NodePtr clause(const std::string& default_field) {
        std::string field = default_field;
        const std::size_t name = field_name();
        if (name > 0) {
            field = unescaped(text_.substr(0, name));
            text_.remove_prefix(name + 1);
            skip_blanks();
        }
        if (text_.empty()) fail();
        NodePtr node;
        if (take("(")) {
            node = group(field);
            if (!take(")")) fail();
        } else if (text_.front() == '"') {
            node = phrase(field);
        } else if (text_.front() == '[' || text_.front() == '{') {
            node = range(field);
        } else if (text_.front() == '>' || text_.front() == '<') {
            node = comparison(field);
        } else {
            node = term(field);
        }
        return boosted(std::move(node));
    }

    /// Length of `name` in "name:..."; 0 when there is none.
    std::size_t field_name() const {
        for (std::size_t i = 0; i < text_.size(); ++i) {
            const char c = text_[i];
            if (c == '\\') {
                ++i;
            } else if (c == ':') {
                return i;
            } else if (blank(c) ||
                       std::string_view("()\"[]{}<>").find(c) != std::string_view::npos) {
                return 0;
            }
        }
        return 0;
    }

    static std::string unescaped(std::string_view text) {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\\' && i + 1 < text.size()) ++i;
            out.push_back(text[i]);
        }
        return out;
    }

    NodePtr boosted(NodePtr node) {
        if (text_.starts_with('~'))
            throw QueryError("query_shard_exception",
                             "fuzzy and proximity search (~) is not supported by the embedded "
                             "index: [" +
                                 std::string(whole_) + "]");
        if (!take("^")) return node;
        const Operand factor{std::string(raw_word())};
        if (!factor.is_number() || factor.number() < 0) fail();
        return make_dis_max({std::move(node)}, 0, factor.number());
    }

    std::string_view raw_word() {
        std::size_t end = 0;
        while (end < text_.size() && !blank(text_[end]) && text_[end] != ')' && text_[end] != '^' &&
               text_[end] != '~')
            end += text_[end] == '\\' ? 2 : 1;
        end = std::min(end, text_.size());
        const std::string_view word = text_.substr(0, end);
        text_.remove_prefix(end);
        return word;
    }

    NodePtr text_node(const std::string& field, std::string text, TextMode mode) const {
        TextClause clause;
        clause.field = field;
        clause.value = Operand(std::move(text), now());
        clause.mode = mode;
        clause.all_words = all_words_;
        clause.lenient = field.empty();
        return make_text(std::move(clause));
    }

    static DateOptions now() {
        DateOptions options;
        options.now_millis = std::chrono::duration_cast<std::chrono::milliseconds>(
                                 std::chrono::system_clock::now().time_since_epoch())
                                 .count();
        return options;
    }

    NodePtr phrase(const std::string& field) {
        text_.remove_prefix(1);
        std::size_t end = 0;
        while (end < text_.size() && text_[end] != '"')
            end += text_[end] == '\\' ? 2 : 1;
        if (end >= text_.size()) fail();
        std::string content = unescaped(text_.substr(0, end));
        text_.remove_prefix(end + 1);
        return text_node(field, std::move(content), TextMode::phrase);
    }

    NodePtr term(const std::string& field) {
        const std::string_view word = raw_word();
        if (word.empty()) fail();
        if (field == "_exists_") return make_exists(unescaped(word), 1);
        if (word == "*") return field.empty() || field == "*" ? make_all() : make_exists(field, 1);
        const std::size_t wild = word.find_first_of("*?");
        const bool escaped = wild != std::string_view::npos && wild > 0 && word[wild - 1] == '\\';
        if (wild == std::string_view::npos || escaped)
            return text_node(field, unescaped(word), TextMode::words);
        if (!field.empty())
            return make_pattern(field, std::string(word), Pattern::wildcard, true, 1);
        if (wild + 1 != word.size() || word[wild] != '*')
            throw QueryError("query_shard_exception",
                             "wildcards inside a word need a field: [" + std::string(word) + "]");
        return text_node(field, unescaped(word.substr(0, wild)), TextMode::prefix);
    }

    NodePtr comparison(const std::string& field) {
        RangeClause clause;
        clause.field = field;
        const bool lower = take(">");
        if (!lower) take("<");
        const bool include = take("=");
        skip_blanks();
        Operand bound(unescaped(raw_word()), now());
        (lower ? clause.lower : clause.upper) = std::move(bound);
        clause.include_lower = clause.include_upper = include;
        return ranged(std::move(clause));
    }

    NodePtr range(const std::string& field) {
        RangeClause clause;
        clause.field = field;
        clause.include_lower = text_.front() == '[';
        const std::size_t end = text_.find_first_of("]}");
        if (end == std::string_view::npos) fail();
        clause.include_upper = text_[end] == ']';
        const std::string_view inside = text_.substr(1, end - 1);
        const std::size_t to = inside.find(" TO ");
        if (to == std::string_view::npos) fail();
        text_.remove_prefix(end + 1);
        const auto bound = [](std::string_view text) -> std::optional<Operand> {
            while (!text.empty() && blank(text.front()))
                text.remove_prefix(1);
            while (!text.empty() && blank(text.back()))
                text.remove_suffix(1);
            if (text.size() > 1 && text.front() == '"' && text.back() == '"')
                text = text.substr(1, text.size() - 2);
            if (text == "*") return std::nullopt;
            return Operand(unescaped(text), now());
        };
        clause.lower = bound(inside.substr(0, to));
        clause.upper = bound(inside.substr(to + 4));
        return ranged(std::move(clause));
    }

    NodePtr ranged(RangeClause clause) const {
        if (clause.field.empty()) fail();
        return make_range(std::move(clause));
    }

    std::string_view whole_;
    std::string_view text_;
    bool all_words_;
    int depth_ = 0;
};

}  // namespace

std::shared_ptr<const Query> Query::from_text(std::string_view text, std::string_view default_field,
                                              bool all_words) {
    return std::make_shared<Query>(LuceneParser(text, all_words).run(std::string(default_field)));
}

}  // namespace penstock::io
