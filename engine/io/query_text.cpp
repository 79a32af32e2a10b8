// Conditions on words and whole values, answered from the full text where that is possible.
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

constexpr std::size_t kMaxWords = 1024;

bool is_number(ValueType type) {
    return type == ValueType::long_number || type == ValueType::float_number;
}

bool has_full_text(const FieldRef& ref) {
    return ref.stored != nullptr && ref.stored->type == FieldType::text;
}

/// How much rarer words count for more, as Lucene has it.
double rarity(double documents, double with_it) {
    return std::log(1 + (documents - with_it + 0.5) / (with_it + 0.5));
}

/// Lucene's BM25 out of SQLite's: that one takes another measure of rarity, which even vanishes for
/// words that half of the rows have.
double lucene_scale(double rows, double with_it) {
    const double theirs = std::log((rows - with_it + 0.5) / (with_it + 0.5));
    return rarity(std::max(rows, with_it), with_it) / (theirs > 0 ? theirs : 1e-6);
}

struct Row {
    std::int64_t key;
    double score;
    std::string place;
};

/// `places`: with the rows' places.
std::vector<Row> find_rows(Database& db, const Field& field, const std::string& expression,
                           bool scoring, bool places = false) {
    std::vector<Row> rows;
    const std::string table = field.table();
    Statement query =
        db.query("SELECT rowid, " + (scoring ? "bm25(" + table + ")" : "0.0") +
                 (places ? ", at" : "") + " FROM " + table + " WHERE " + table + " MATCH ?");
    query.bind(expression);
    while (query.step()) {
        Row& row = rows.emplace_back(Row{query.integer(0), -query.real(1), {}});
        if (places) row.place = query.text(2);
    }
    return rows;
}

double scale_of(const Field& field, const std::vector<Row>& rows, bool scoring) {
    return scoring ? lucene_scale(static_cast<double>(field.rows), static_cast<double>(rows.size()))
                   : 0;
}

/// Documents with the expression; of several rows of a document the best one counts.
std::vector<Scored> find_documents(Database& db, const Field& field, const std::string& expression,
                                   bool scoring) {
    const std::vector<Row> rows = find_rows(db, field, expression, scoring);
    const double scale = scale_of(field, rows, scoring);
    std::vector<Scored> documents;
    for (const Row& row : rows) {
        const Scored one{seq_no_of(row.key), row.score * scale};
        if (documents.empty() || documents.back().seq_no != one.seq_no) {
            documents.push_back(one);
        } else if (one.score > documents.back().score) {
            documents.back() = one;
        }
    }
    return documents;
}

/// Documents in which at least `required` of the expressions occur, with the sum of their scores.
std::vector<Scored> find_several(Database& db, const Field& field,
                                 const std::vector<std::string>& expressions, std::size_t required,
                                 bool scoring, double boost) {
    std::vector<Scored> all;
    for (const std::string& expression : expressions) {
        const std::vector<Scored> found = find_documents(db, field, expression, scoring);
        all.insert(all.end(), found.begin(), found.end());
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Scored& a, const Scored& b) { return a.seq_no < b.seq_no; });
    std::vector<Scored> documents;
    for (std::size_t i = 0; i < all.size();) {
        Scored sum{all[i].seq_no, 0};
        std::size_t matched = 0;
        for (; i < all.size() && all[i].seq_no == sum.seq_no; ++i, ++matched)
            sum.score += all[i].score * boost;
        if (matched >= required) documents.push_back(sum);
    }
    return documents;
}

/// The same for the objects of a nested field.
std::vector<ScoredElement> find_elements(const Preparation& preparation, const Field& field,
                                         const std::vector<std::string>& expressions,
                                         std::size_t required, bool scoring, double boost) {
    using Key = std::pair<std::int64_t, std::string>;
    struct Sum {
        std::size_t matched = 0;
        double score = 0;
    };
    std::map<Key, Sum> all;
    for (const std::string& expression : expressions) {
        const std::vector<Row> rows = find_rows(preparation.db, field, expression, scoring, true);
        std::map<Key, double> best;
        for (const Row& row : rows) {
            Key key{seq_no_of(row.key), element_of(row.place, preparation.nested)};
            const auto [found, fresh] = best.try_emplace(std::move(key), row.score);
            if (!fresh) found->second = std::max(found->second, row.score);
        }
        const double scale = scale_of(field, rows, scoring);
        for (const auto& [key, score] : best) {
            Sum& sum = all[key];
            ++sum.matched;
            sum.score += score * scale * boost;
        }
    }
    std::vector<ScoredElement> elements;
    for (const auto& [key, sum] : all) {
        if (sum.matched >= required) elements.push_back({key.first, key.second, sum.score});
    }
    return elements;
}

/// Those documents, or, inside of `nested`, those objects. `constant`: the score of each.
MatcherPtr with_words(const Preparation& preparation, const Field& field,
                      const std::vector<std::string>& expressions, std::size_t required,
                      bool scoring, double boost, std::optional<double> constant = std::nullopt) {
    if (preparation.nested.empty()) {
        auto found = find_several(preparation.db, field, expressions, required, scoring, boost);
        for (Scored& one : found)
            one.score = constant.value_or(one.score);
        return make_list(std::move(found));
    }
    if (!lies_below(field.path, preparation.nested)) return make_none()->prepare(preparation);
    auto found = find_elements(preparation, field, expressions, required, scoring, boost);
    for (ScoredElement& one : found)
        one.score = constant.value_or(one.score);
    return make_element_list(std::move(found));
}

std::string quoted(const std::string& words) {
    return '"' + words + '"';
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : " ") + word;
    return text;
}

/// FTS5 expressions that stand for a text; nothing in a text has a meaning in them.
std::vector<std::string> expressions_of(std::string_view text, TextMode mode) {
    std::vector<std::string> words = words_of(text);
    if (words.empty()) return {};
    if (words.size() > kMaxWords)
        throw QueryError("too_many_clauses", "maxClauseCount is set to 1024");
    if (mode == TextMode::phrase) return {quoted(joined(words))};
    if (mode == TextMode::phrase_prefix) return {quoted(joined(words)) + " *"};
    std::vector<std::string> expressions;
    expressions.reserve(words.size());
    for (std::string& word : words)
        expressions.push_back(quoted(word));
    if (mode == TextMode::prefix) expressions.back() += " *";
    return expressions;
}

/// Documents whose text has all words of `value` in their order: more than have exactly this value,
/// but far fewer than all.
std::optional<DocumentList> documents_with_words(const Preparation& preparation,
                                                 const FieldRef& ref,
                                                 const std::vector<Operand>& values) {
    // A day names moments too, which are written otherwise.
    if (!has_full_text(ref) || ref.type == ValueType::date) return std::nullopt;
    DocumentList documents;
    for (const Operand& value : values) {
        // A number may stand in the document as one, which the full text does not have.
        if (value.is_number() || value.is_boolean()) return std::nullopt;
        const auto expressions = expressions_of(value.text(), TextMode::phrase);
        if (expressions.empty()) return std::nullopt;
        for (const Scored& one :
             find_documents(preparation.db, *ref.stored, expressions.front(), false))
            documents.push_back(one.seq_no);
    }
    std::sort(documents.begin(), documents.end());
    documents.erase(std::unique(documents.begin(), documents.end()), documents.end());
    return documents;
}

bool equal_folded(std::string_view a, std::string_view b) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

/// One of a field's values is one of these.
class TermsMatcher final : public Matcher {
  public:
    /// `fold`: letters of any case are equal, which is looked at value by value.
    TermsMatcher(FieldRef ref, const std::vector<Operand>& values, bool fold, double score,
                 std::optional<DocumentList> candidates)
        : ref_(std::move(ref)),
          values_(values),
          set_(values, ref_.type),
          fold_(fold),
          score_(score),
          candidates_(std::move(candidates)) {}

    bool match(DocumentView& document, double& score) const override {
        if (candidates_ &&
            !std::binary_search(candidates_->begin(), candidates_->end(), document.seq_no()))
            return false;
        score = score_;
        return visit_values(document.source(), ref_.path,
                            [&](document::Value leaf) { return is_one(leaf); });
    }
    const DocumentList* candidates() const override {
        return candidates_ ? &*candidates_ : nullptr;
    }
    bool needs_document() const override { return true; }

  private:
    bool is_one(document::Value leaf) const {
        if (set_.contains(leaf)) return true;
        return fold_ && leaf.is_string() &&
               std::any_of(values_.begin(), values_.end(), [&](const Operand& value) {
                   return equal_folded(leaf.as_string(), value.text());
               });
    }

    FieldRef ref_;
    const std::vector<Operand>& values_;
    OperandSet set_;
    bool fold_;
    double score_;
    std::optional<DocumentList> candidates_;
};

/// A condition on the document's name.
class NameMatcher final : public Matcher {
  public:
    explicit NameMatcher(std::function<bool(DocumentView&)> condition)
        : condition_(std::move(condition)) {}
    bool match(DocumentView& document, double& score) const override {
        score = 1;
        return condition_(document);
    }
    bool needs_document() const override { return true; }

  private:
    std::function<bool(DocumentView&)> condition_;
};

MatcherPtr nothing(const Preparation& preparation) {
    return make_none()->prepare(preparation);
}

void check_values(const FieldRef& ref, const std::vector<Operand>& values) {
    for (const Operand& value : values) {
        if (is_number(ref.type) && !value.is_number())
            throw QueryError("query_shard_exception",
                             "failed to create query: For input string: \"" + value.text() + "\"");
        if (ref.type == ValueType::date && !value.is_date())
            throw QueryError("query_shard_exception",
                             "failed to create query: failed to parse date field [" + value.text() +
                                 "] with format [strict_date_optional_time||epoch_millis]");
        if (ref.type == ValueType::boolean && !value.is_boolean())
            throw QueryError("query_shard_exception",
                             "failed to create query: Can't parse boolean value [" + value.text() +
                                 "], expected [true] or [false]");
    }
    if (ref.type == ValueType::vector)
        throw QueryError("query_shard_exception",
                         "failed to create query: Field [" + ref.path +
                             "] of type [dense_vector] doesn't support term queries");
}

class TermsNode final : public QueryNode {
  public:
    TermsNode(std::string field, std::vector<Operand> values, bool fold, double boost)
        : field_(std::move(field)), values_(std::move(values)), fold_(fold), boost_(boost) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        if (field_.starts_with('_')) {
            if (MatcherPtr matcher = on_name(preparation)) return matcher;
        }
        if (values_.empty() || preparation.types.absent(field_)) return nothing(preparation);
        const FieldRef ref = preparation.types.resolve(field_);
        check_values(ref, values_);
        if (ref.type == ValueType::text) return on_words(preparation, ref);
        auto candidates = documents_with_words(preparation, ref, values_);
        double score = boost_;
        if (candidates && values_.size() == 1)
            score *= rarity(static_cast<double>(preparation.docs),
                            static_cast<double>(candidates->size()));
        return std::make_unique<TermsMatcher>(ref, values_, fold_, score, std::move(candidates));
    }

    void text_conditions(const FieldTypes& types, std::vector<TextCondition>& out) const override {
        const FieldRef ref = types.resolve(field_);
        if (!has_full_text(ref)) return;
        for (const Operand& value : values_) {
            for (std::string& expression : expressions_of(value.text(), TextMode::phrase))
                out.push_back({ref.path, std::move(expression)});
        }
    }

  private:
    MatcherPtr on_name(const Preparation& preparation) const {
        std::vector<std::string> names;
        for (const Operand& value : values_)
            names.push_back(value.text());
        if (field_ == "_id") return make_ids(std::move(names), boost_)->prepare(preparation);
        std::sort(names.begin(), names.end());
        const auto is_one = [names](const std::string& name) {
            return std::binary_search(names.begin(), names.end(), name);
        };
        if (field_ == "_index") {
            return is_one(preparation.index.name()) ? make_all(boost_)->prepare(preparation)
                                                    : nothing(preparation);
        }
        if (field_ != "_routing") return nullptr;
        return std::make_unique<NameMatcher>(
            [is_one](DocumentView& document) { return is_one(document.routing()); });
    }

    /// A text field has words, and a term is one of them as it stands: in lower case.
    MatcherPtr on_words(const Preparation& preparation, const FieldRef& ref) const {
        std::vector<std::string> expressions;
        for (const Operand& value : values_) {
            const std::vector<std::string> words = words_of(value.text());
            const bool fits = words.size() == 1 && (fold_ || words.front() == value.text());
            if (fits) expressions.push_back(quoted(words.front()));
        }
        if (!has_full_text(ref) || expressions.empty()) return nothing(preparation);
        const bool scored = preparation.scoring && values_.size() == 1;
        return with_words(preparation, *ref.stored, expressions, 1, scored, boost_,
                          scored ? std::nullopt : std::optional(boost_));
    }

    std::string field_;
    std::vector<Operand> values_;
    bool fold_;
    double boost_;
};

class TextNode final : public QueryNode {
  public:
    explicit TextNode(TextClause clause)
        : clause_(std::move(clause)),
          expressions_(expressions_of(clause_.value.text(), clause_.mode)) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        if (!is_pattern()) return on_field(preparation, clause_.field, clause_.lenient);
        std::vector<MatcherPtr> fields;
        for (const ValueType type :
             {ValueType::text, ValueType::keyword, ValueType::long_number, ValueType::float_number,
              ValueType::boolean, ValueType::date}) {
            for (const std::string& name : names(preparation.types, type))
                fields.push_back(on_field(preparation, name, true));
        }
        return make_best(std::move(fields), preparation);
    }

    void text_conditions(const FieldTypes& types, std::vector<TextCondition>& out) const override {
        const std::vector<std::string> fields =
            is_pattern() ? names(types, ValueType::text) : std::vector{clause_.field};
        for (const std::string& name : fields) {
            const FieldRef ref = types.resolve(name);
            if (!has_full_text(ref)) continue;
            for (const std::string& expression : expressions_)
                out.push_back({ref.path, expression});
        }
    }

  private:
    bool is_pattern() const {
        return clause_.field.empty() || clause_.field.find('*') != std::string::npos;
    }

    /// Fields of that type that the pattern fits.
    std::vector<std::string> names(const FieldTypes& types, ValueType type) const {
        std::vector<std::string> all = types.names(type);
        if (!clause_.field.empty())
            std::erase_if(all, [&](const std::string& name) {
                return !matches_pattern(clause_.field, name);
            });
        return all;
    }

    static MatcherPtr make_best(std::vector<MatcherPtr> children, const Preparation& preparation) {
        if (children.empty()) return nothing(preparation);
        std::map<std::int64_t, double> best;
        std::vector<MatcherPtr> rest;
        DocumentView unused(preparation.db);
        for (MatcherPtr& child : children) {
            if (child->needs_document() || child->candidates() == nullptr) {
                rest.push_back(std::move(child));
                continue;
            }
            for (const std::int64_t seq_no : *child->candidates()) {
                double score = 0;
                unused.move_to(seq_no);
                if (child->match(unused, score)) best[seq_no] = std::max(best[seq_no], score);
            }
        }
        std::vector<Scored> list;
        list.reserve(best.size());
        for (const auto& [seq_no, score] : best)
            list.push_back({seq_no, score});
        rest.push_back(make_list(std::move(list)));
        return rest.size() == 1 ? std::move(rest.front()) : make_any(std::move(rest), 0);
    }

    MatcherPtr on_field(const Preparation& preparation, const std::string& name,
                        bool lenient) const {
        if (name.starts_with('_') || preparation.types.absent(name))
            return on_value(preparation, name);
        const FieldRef ref = preparation.types.resolve(name);
        if (ref.type != ValueType::text) {
            const bool fits = fits_type(ref.type);
            if (!fits && lenient) return nothing(preparation);
            return on_value(preparation, name);
        }
        if (expressions_.empty()) {
            return clause_.zero_terms_all ? make_all(clause_.boost)->prepare(preparation)
                                          : nothing(preparation);
        }
        if (!has_full_text(ref)) return nothing(preparation);
        return with_words(preparation, *ref.stored, expressions_, required(), preparation.scoring,
                          clause_.boost);
    }

    bool fits_type(ValueType type) const {
        if (is_number(type)) return clause_.value.is_number();
        if (type == ValueType::date) return clause_.value.is_date();
        if (type == ValueType::boolean) return clause_.value.is_boolean();
        return type != ValueType::vector && type != ValueType::object;
    }

    /// Where there are no words, the text is a value of the field's kind.
    MatcherPtr on_value(const Preparation& preparation, const std::string& name) const {
        const bool prefix =
            clause_.mode == TextMode::phrase_prefix || clause_.mode == TextMode::prefix;
        NodePtr node =
            prefix ? make_pattern(name, clause_.value.text(), Pattern::prefix, false, clause_.boost)
                   : make_terms(name, {clause_.value}, false, clause_.boost);
        MatcherPtr matcher = node->prepare(preparation);
        return std::make_unique<KeepingMatcher>(std::move(node), std::move(matcher));
    }

    /// Keeps the node that its matcher borrows from.
    class KeepingMatcher final : public Matcher {
      public:
        KeepingMatcher(NodePtr node, MatcherPtr matcher)
            : node_(std::move(node)), matcher_(std::move(matcher)) {}
        bool match(DocumentView& document, double& score) const override {
            return matcher_->match(document, score);
        }
        const DocumentList* candidates() const override { return matcher_->candidates(); }
        bool needs_document() const override { return matcher_->needs_document(); }
        bool is_constant() const override { return matcher_->is_constant(); }

      private:
        NodePtr node_;
        MatcherPtr matcher_;
    };

    std::size_t required() const {
        if (clause_.all_words) return expressions_.size();
        if (clause_.minimum_should_match.empty()) return 1;
        return std::max<std::size_t>(
            required_matches(clause_.minimum_should_match, expressions_.size()), 1);
    }

    TextClause clause_;
    std::vector<std::string> expressions_;
};

class PatternNode final : public QueryNode {
  public:
    PatternNode(std::string field, std::string pattern, Pattern kind, bool fold, double boost)
        : field_(std::move(field)),
          pattern_(std::move(pattern)),
          lower_pattern_(lower_case(pattern_)),
          kind_(kind),
          fold_(fold),
          boost_(boost) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        if (field_ == "_id") {
            return std::make_unique<NameMatcher>(
                [this](DocumentView& document) { return fits(document.id(), pattern_); });
        }
        if (field_ == "_index") {
            return fits(preparation.index.name(), pattern_) ? make_all(boost_)->prepare(preparation)
                                                            : nothing(preparation);
        }
        if (preparation.types.absent(field_)) return nothing(preparation);
        const FieldRef ref = preparation.types.resolve(field_);
        const bool words = ref.type == ValueType::text;
        if (words && !has_full_text(ref)) return nothing(preparation);
        if (!words && ref.type != ValueType::keyword && ref.type != ValueType::unknown)
            throw QueryError("query_shard_exception",
                             "Can only use prefix and wildcard queries on keyword, text and "
                             "wildcard fields - not on [" +
                                 field_ + "]");
        return std::make_unique<PatternMatcher>(*this, ref.path, words,
                                                candidates(preparation, ref));
    }

    void text_conditions(const FieldTypes& types, std::vector<TextCondition>& out) const override {
        const FieldRef ref = types.resolve(field_);
        const std::string beginning = literal_beginning();
        if (!has_full_text(ref) || words_of(beginning).size() != 1) return;
        out.push_back({ref.path, expressions_of(beginning, TextMode::prefix).front()});
    }

  private:
    class PatternMatcher final : public Matcher {
      public:
        PatternMatcher(const PatternNode& node, std::string path, bool words,
                       std::optional<DocumentList> candidates)
            : node_(node),
              path_(std::move(path)),
              words_(words),
              candidates_(std::move(candidates)) {}

        bool match(DocumentView& document, double& score) const override {
            if (candidates_ &&
                !std::binary_search(candidates_->begin(), candidates_->end(), document.seq_no()))
                return false;
            score = node_.boost_;
            return visit_values(document.source(), path_,
                                [&](document::Value leaf) { return fits(leaf); });
        }
        const DocumentList* candidates() const override {
            return candidates_ ? &*candidates_ : nullptr;
        }
        bool needs_document() const override { return true; }

      private:
        bool fits(document::Value leaf) const {
            if (leaf.is_null() || leaf.is_object()) return false;
            std::string text;
            if (leaf.is_string()) {
                text = leaf.as_string();
            } else {
                document::write_json(leaf, text);
            }
            if (!words_) return node_.fits(text, node_.pattern_);
            // Words are in lower case.
            const std::string& pattern = node_.fold_ ? node_.lower_pattern_ : node_.pattern_;
            const std::vector<std::string> words = words_of(text);
            return std::any_of(words.begin(), words.end(),
                               [&](const std::string& word) { return node_.fits(word, pattern); });
        }

        const PatternNode& node_;
        std::string path_;
        bool words_;
        std::optional<DocumentList> candidates_;
    };

    bool fits(std::string_view text, std::string_view pattern) const {
        if (kind_ == Pattern::wildcard) return matches_pattern(pattern, text, fold_);
        if (text.size() < pattern.size()) return false;
        const std::string_view beginning = text.substr(0, pattern.size());
        return fold_ ? equal_folded(beginning, pattern) : beginning == pattern;
    }

    std::string literal_beginning() const {
        if (kind_ == Pattern::prefix) return pattern_;
        return pattern_.substr(0, pattern_.find_first_of("*?\\"));
    }

    /// The full text knows which words begin so. Stemmed words do not.
    std::optional<DocumentList> candidates(const Preparation& preparation,
                                           const FieldRef& ref) const {
        const std::string beginning = literal_beginning();
        const bool numeric = Operand(beginning).is_number() ||
                             std::string_view("truefalse").find(beginning) != std::string::npos;
        if (!has_full_text(ref) || numeric || words_of(beginning).empty() ||
            read_text(preparation.db, "analyzer") != "standard")
            return std::nullopt;
        DocumentList documents;
        for (const Scored& one :
             find_documents(preparation.db, *ref.stored,
                            expressions_of(beginning, TextMode::phrase_prefix).front(), false))
            documents.push_back(one.seq_no);
        return documents;
    }

    std::string field_;
    std::string pattern_;
    std::string lower_pattern_;
    Pattern kind_;
    bool fold_;
    double boost_;
};

}  // namespace

FieldWeight weighted_field(std::string_view text) {
    const std::size_t caret = text.find('^');
    FieldWeight weight{std::string(text.substr(0, caret)), 1};
    if (weight.field == "*") weight.field.clear();
    if (caret == std::string_view::npos) return weight;
    const Operand boost{std::string(text.substr(caret + 1))};
    if (!boost.is_number())
        throw QueryError("number_format_exception", "For input string: \"" + boost.text() + "\"");
    weight.boost = boost.number();
    if (weight.boost < 0)
        throw QueryError("illegal_argument_exception",
                         "negative [boost] are not allowed in [" + std::string(text) +
                             "], use a value between 0 and 1 to deboost");
    return weight;
}

NodePtr make_text_over(TextClause clause, const std::vector<FieldWeight>& fields,
                       double tie_breaker) {
    const double factor = std::exchange(clause.boost, 1);
    clause.lenient = clause.lenient || fields.size() != 1;
    std::vector<NodePtr> children;
    for (const FieldWeight& field : fields) {
        TextClause one = clause;
        one.field = field.field;
        one.boost = field.boost;
        children.push_back(make_text(std::move(one)));
    }
    if (fields.empty()) children.push_back(make_text(std::move(clause)));
    return make_dis_max(std::move(children), tie_breaker, factor);
}

NodePtr make_text(TextClause clause) {
    return std::make_shared<TextNode>(std::move(clause));
}

NodePtr make_terms(std::string field, std::vector<Operand> values, bool fold, double boost) {
    return std::make_shared<TermsNode>(std::move(field), std::move(values), fold, boost);
}

NodePtr make_pattern(std::string field, std::string pattern, Pattern kind, bool fold,
                     double boost) {
    return std::make_shared<PatternNode>(std::move(field), std::move(pattern), kind, fold, boost);
}

}  // namespace penstock::io
