// Lucene's query syntax, as `q=` and query_string have it.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

class LuceneParser {
  public:
    LuceneParser(std::string_view text, const SyntaxOptions& options)
        : whole_(text), text_(text), options_(options), all_words_(options.all_words) {}

    NodePtr run() {
        NodePtr node = group(options_.fields.empty() ? Fields(1) : options_.fields);
        if (!text_.empty()) fail();
        return node;
    }

  private:
    using Fields = std::vector<FieldWeight>;  ///< at least one
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
    NodePtr group(const Fields& fields) {
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
            clauses.push_back({clause(fields), occur});
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

    NodePtr clause(const Fields& fields) {
        const std::size_t name = field_name();
        if (name == 0) return on_fields(fields);
        std::string field = unescaped(text_.substr(0, name));
        if (field == "*") field.clear();
        text_.remove_prefix(name + 1);
        skip_blanks();
        return on_fields({{std::move(field), 1}});
    }

    NodePtr on_fields(const Fields& fields) {
        if (text_.empty()) fail();
        NodePtr node;
        if (take("(")) {
            node = group(fields);
            if (!take(")")) fail();
        } else if (text_.front() == '"') {
            node = phrase(fields);
        } else if (text_.front() == '[' || text_.front() == '{') {
            node = range(fields);
        } else if (text_.front() == '>' || text_.front() == '<') {
            node = comparison(fields);
        } else {
            node = term(fields);
        }
        return boosted(std::move(node));
    }

    /// The best of what `make` makes for each field.
    template <class Make>
    NodePtr best_of(const Fields& fields, const Make& make) const {
        std::vector<NodePtr> nodes;
        for (const FieldWeight& field : fields)
            nodes.push_back(make(field));
        return nodes.size() == 1 ? std::move(nodes.front())
                                 : make_dis_max(std::move(nodes), options_.tie_breaker, 1);
    }

    static bool is_pattern(const FieldWeight& field) {
        return field.field.empty() || field.field.find('*') != std::string::npos;
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

    NodePtr text_node(const Fields& fields, std::string text, TextMode mode) const {
        TextClause clause;
        clause.value = Operand(std::move(text), options_.dates);
        clause.mode = mode;
        clause.all_words = all_words_;
        clause.lenient = options_.lenient;
        return make_text_over(std::move(clause), fields, options_.tie_breaker);
    }

    NodePtr phrase(const Fields& fields) {
        text_.remove_prefix(1);
        std::size_t end = 0;
        while (end < text_.size() && text_[end] != '"')
            end += text_[end] == '\\' ? 2 : 1;
        if (end >= text_.size()) fail();
        std::string content = unescaped(text_.substr(0, end));
        text_.remove_prefix(end + 1);
        return text_node(fields, std::move(content), TextMode::phrase);
    }

    NodePtr term(const Fields& fields) {
        const std::string_view word = raw_word();
        if (word.empty()) fail();
        if (fields.front().field == "_exists_") return make_exists(unescaped(word), 1);
        const std::size_t wild = word.find_first_of("*?");
        const bool escaped = wild != std::string_view::npos && wild > 0 && word[wild - 1] == '\\';
        if (wild == std::string_view::npos || escaped)
            return text_node(fields, unescaped(word), TextMode::words);
        return best_of(fields, [&](const FieldWeight& field) { return wildcard(field, word); });
    }

    NodePtr wildcard(const FieldWeight& field, std::string_view word) const {
        if (word == "*")
            return is_pattern(field) ? make_all(field.boost)
                                     : make_exists(field.field, field.boost);
        if (!is_pattern(field))
            return make_pattern(field.field, std::string(word), Pattern::wildcard, true,
                                field.boost);
        if (word.find_first_of("*?") + 1 != word.size() || word.back() != '*')
            throw QueryError("query_shard_exception",
                             "wildcards inside a word need a field: [" + std::string(word) + "]");
        word.remove_suffix(1);
        return text_node({field}, unescaped(word), TextMode::prefix);
    }

    NodePtr comparison(const Fields& fields) {
        RangeClause clause;
        const bool lower = take(">");
        if (!lower) take("<");
        const bool include = take("=");
        skip_blanks();
        Operand bound(unescaped(raw_word()), options_.dates);
        (lower ? clause.lower : clause.upper) = std::move(bound);
        clause.include_lower = clause.include_upper = include;
        return ranged(clause, fields);
    }

    NodePtr range(const Fields& fields) {
        RangeClause clause;
        clause.include_lower = text_.front() == '[';
        const std::size_t end = text_.find_first_of("]}");
        if (end == std::string_view::npos) fail();
        clause.include_upper = text_[end] == ']';
        const std::string_view inside = text_.substr(1, end - 1);
        const std::size_t to = inside.find(" TO ");
        if (to == std::string_view::npos) fail();
        text_.remove_prefix(end + 1);
        const auto bound = [this](std::string_view text) -> std::optional<Operand> {
            while (!text.empty() && blank(text.front()))
                text.remove_prefix(1);
            while (!text.empty() && blank(text.back()))
                text.remove_suffix(1);
            if (text.size() > 1 && text.front() == '"' && text.back() == '"')
                text = text.substr(1, text.size() - 2);
            if (text == "*") return std::nullopt;
            return Operand(unescaped(text), options_.dates);
        };
        clause.lower = bound(inside.substr(0, to));
        clause.upper = bound(inside.substr(to + 4));
        return ranged(clause, fields);
    }

    NodePtr ranged(const RangeClause& clause, const Fields& fields) const {
        return best_of(fields, [&](const FieldWeight& field) {
            if (is_pattern(field)) fail();
            RangeClause one = clause;
            one.field = field.field;
            one.boost = field.boost;
            return make_range(std::move(one));
        });
    }

    std::string_view whole_;
    std::string_view text_;
    const SyntaxOptions& options_;
    bool all_words_;
    int depth_ = 0;
};

}  // namespace

NodePtr parse_lucene(std::string_view text, const SyntaxOptions& options) {
    return LuceneParser(text, options).run();
}

std::shared_ptr<const Query> Query::from_text(std::string_view text, const QueryTextOptions& how) {
    SyntaxOptions options;
    if (!how.default_field.empty()) options.fields = {weighted_field(how.default_field)};
    options.all_words = how.all_words;
    options.lenient = how.lenient;
    options.dates.now_millis = std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count();
    return std::make_shared<Query>(parse_lucene(text, options));
}

}  // namespace penstock::io
