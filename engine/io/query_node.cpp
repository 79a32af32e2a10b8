// Conditions on single documents and their combinations.
#include "engine/io/query_node.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

namespace penstock::io {
namespace {

class AllMatcher final : public Matcher {
  public:
    explicit AllMatcher(double score) : score_(score) {}
    bool match(DocumentView&, double& score) const override {
        score = score_;
        return true;
    }
    bool is_constant() const override { return true; }

  private:
    double score_;
};

class ListMatcher final : public Matcher {
  public:
    /// Sorted; `scores` empty: one.
    ListMatcher(DocumentList documents, std::vector<double> scores, double constant)
        : documents_(std::move(documents)), scores_(std::move(scores)), constant_(constant) {}

    bool match(DocumentView& document, double& score) const override {
        const auto found =
            std::lower_bound(documents_.begin(), documents_.end(), document.seq_no());
        if (found == documents_.end() || *found != document.seq_no()) return false;
        score = scores_.empty() ? constant_
                                : scores_[static_cast<std::size_t>(found - documents_.begin())];
        return true;
    }
    const DocumentList* candidates() const override { return &documents_; }
    bool is_constant() const override { return scores_.empty(); }

  private:
    DocumentList documents_;
    std::vector<double> scores_;
    double constant_;
};

MatcherPtr nothing() {
    return std::make_unique<ListMatcher>(DocumentList{}, std::vector<double>{}, 0.0);
}

using Condition = std::function<bool(document::Value)>;

/// A condition that one of a field's values must meet.
class ValueMatcher final : public Matcher {
  public:
    ValueMatcher(std::string path, Condition condition, double score,
                 std::optional<DocumentList> candidates = std::nullopt)
        : path_(std::move(path)),
          condition_(std::move(condition)),
          score_(score),
          candidates_(std::move(candidates)) {}

    bool match(DocumentView& document, double& score) const override {
        if (candidates_ &&
            !std::binary_search(candidates_->begin(), candidates_->end(), document.seq_no()))
            return false;
        score = score_;
        return visit_values(document.source(), path_, condition_);
    }
    const DocumentList* candidates() const override {
        return candidates_ ? &*candidates_ : nullptr;
    }
    bool needs_document() const override { return true; }

  private:
    std::string path_;
    Condition condition_;
    double score_;
    std::optional<DocumentList> candidates_;
};

/// A condition on what a document is called.
class MetaMatcher final : public Matcher {
  public:
    MetaMatcher(std::function<bool(DocumentView&)> condition, double score)
        : condition_(std::move(condition)), score_(score) {}
    bool match(DocumentView& document, double& score) const override {
        score = score_;
        return condition_(document);
    }
    bool needs_document() const override { return true; }

  private:
    std::function<bool(DocumentView&)> condition_;
    double score_;
};

class ScoreMatcher final : public Matcher {
  public:
    ScoreMatcher(MatcherPtr child, double score) : child_(std::move(child)), score_(score) {}
    bool match(DocumentView& document, double& score) const override {
        if (!child_->match(document, score)) return false;
        score = score_;
        return true;
    }
    const DocumentList* candidates() const override { return child_->candidates(); }
    bool needs_document() const override { return child_->needs_document(); }
    bool is_constant() const override { return child_->is_constant(); }

  private:
    MatcherPtr child_;
    double score_;
};

DocumentList union_of(const std::vector<MatcherPtr>& children) {
    DocumentList all;
    for (const MatcherPtr& child : children)
        all.insert(all.end(), child->candidates()->begin(), child->candidates()->end());
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

bool all_have_candidates(const std::vector<MatcherPtr>& children) {
    return std::all_of(children.begin(), children.end(),
                       [](const MatcherPtr& child) { return child->candidates() != nullptr; });
}

bool any_needs_document(const std::vector<MatcherPtr>& children) {
    return std::any_of(children.begin(), children.end(),
                       [](const MatcherPtr& child) { return child->needs_document(); });
}

/// What asks for the document comes last.
void cheap_first(std::vector<MatcherPtr>& children) {
    std::stable_partition(children.begin(), children.end(),
                          [](const MatcherPtr& child) { return !child->needs_document(); });
}

/// The best child counts, and the others by `tie_breaker` (1: their sum).
class AnyMatcher final : public Matcher {
  public:
    AnyMatcher(std::vector<MatcherPtr> children, double tie_breaker, double boost)
        : children_(std::move(children)), tie_breaker_(tie_breaker), boost_(boost) {
        if (all_have_candidates(children_)) candidates_ = union_of(children_);
    }
    bool match(DocumentView& document, double& score) const override {
        bool any = false;
        double best = 0;
        double sum = 0;
        for (const MatcherPtr& child : children_) {
            double one = 0;
            if (!child->match(document, one)) continue;
            any = true;
            best = std::max(best, one);
            sum += one;
        }
        score = boost_ * (best + tie_breaker_ * (sum - best));
        return any;
    }
    const DocumentList* candidates() const override {
        return candidates_ ? &*candidates_ : nullptr;
    }
    bool needs_document() const override { return any_needs_document(children_); }

  private:
    std::vector<MatcherPtr> children_;
    double tie_breaker_;
    double boost_;
    std::optional<DocumentList> candidates_;
};

class BoolMatcher final : public Matcher {
  public:
    std::vector<MatcherPtr> must;
    std::vector<MatcherPtr> filter;
    std::vector<MatcherPtr> should;
    std::vector<MatcherPtr> must_not;
    std::size_t required = 0;
    double boost = 1;

    void finish() {
        for (auto* children : {&must, &filter, &should, &must_not})
            cheap_first(*children);
        for (const auto* children : {&must, &filter}) {
            for (const MatcherPtr& child : *children) {
                const DocumentList* list = child->candidates();
                if (list != nullptr && (best_ == nullptr || list->size() < best_->size()))
                    best_ = list;
            }
        }
        if (best_ != nullptr || required == 0 || !all_have_candidates(should)) return;
        union_ = union_of(should);
        best_ = &union_;
    }

    bool match(DocumentView& document, double& score) const override {
        double sum = 0;
        double one = 0;
        for (const MatcherPtr& child : filter) {
            if (!child->match(document, one)) return false;
        }
        for (const MatcherPtr& child : must) {
            if (!child->match(document, one)) return false;
            sum += one;
        }
        for (const MatcherPtr& child : must_not) {
            if (child->match(document, one)) return false;
        }
        std::size_t matched = 0;
        for (const MatcherPtr& child : should) {
            if (!child->match(document, one)) continue;
            ++matched;
            sum += one;
        }
        score = sum * boost;
        return matched >= required;
    }
    const DocumentList* candidates() const override { return best_; }
    bool needs_document() const override {
        return any_needs_document(must) || any_needs_document(filter) ||
               any_needs_document(should) || any_needs_document(must_not);
    }

  private:
    const DocumentList* best_ = nullptr;
    DocumentList union_;
};

class AllNode final : public QueryNode {
  public:
    explicit AllNode(double boost) : boost_(boost) {}
    MatcherPtr prepare(const Preparation&) const override {
        return std::make_unique<AllMatcher>(boost_);
    }

  private:
    double boost_;
};

class NoneNode final : public QueryNode {
  public:
    MatcherPtr prepare(const Preparation&) const override { return nothing(); }
};

std::optional<std::int64_t> find_id(Database& db, std::string_view id) {
    Statement query = db.query("SELECT seq_no FROM docs WHERE id = ?");
    query.bind(id);
    return query.step() ? std::optional(query.integer(0)) : std::nullopt;
}

DocumentList find_ids(Database& db, const std::vector<std::string>& ids) {
    DocumentList found;
    for (const std::string& id : ids) {
        if (const auto number = find_id(db, id)) found.push_back(*number);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

class IdsNode final : public QueryNode {
  public:
    IdsNode(std::vector<std::string> ids, double boost) : ids_(std::move(ids)), boost_(boost) {}
    MatcherPtr prepare(const Preparation& preparation) const override {
        return std::make_unique<ListMatcher>(find_ids(preparation.db, ids_), std::vector<double>{},
                                             boost_);
    }

  private:
    std::vector<std::string> ids_;
    double boost_;
};

std::vector<MatcherPtr> prepare_all(const std::vector<NodePtr>& nodes,
                                    const Preparation& preparation) {
    std::vector<MatcherPtr> matchers;
    matchers.reserve(nodes.size());
    for (const NodePtr& node : nodes)
        matchers.push_back(node->prepare(preparation));
    return matchers;
}

void conditions_of(const std::vector<NodePtr>& nodes, const FieldTypes& types,
                   std::vector<TextCondition>& out) {
    for (const NodePtr& node : nodes)
        node->text_conditions(types, out);
}

class BoolNode final : public QueryNode {
  public:
    explicit BoolNode(BoolClauses clauses) : clauses_(std::move(clauses)) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        auto matcher = std::make_unique<BoolMatcher>();
        matcher->must = prepare_all(clauses_.must, preparation);
        matcher->filter = prepare_all(clauses_.filter, preparation.unscored());
        matcher->should = prepare_all(clauses_.should, preparation);
        matcher->must_not = prepare_all(clauses_.must_not, preparation.unscored());
        const bool only_should = clauses_.must.empty() && clauses_.filter.empty();
        const std::size_t count = clauses_.should.size();
        matcher->required = clauses_.minimum_should_match.empty()
                                ? (only_should && count > 0 ? 1 : 0)
                                : required_matches(clauses_.minimum_should_match, count);
        matcher->boost = clauses_.boost;
        matcher->finish();
        return matcher;
    }

    void text_conditions(const FieldTypes& types, std::vector<TextCondition>& out) const override {
        conditions_of(clauses_.must, types, out);
        conditions_of(clauses_.filter, types, out);
        conditions_of(clauses_.should, types, out);
    }

  private:
    BoolClauses clauses_;
};

class ConstantScoreNode final : public QueryNode {
  public:
    ConstantScoreNode(NodePtr child, double boost) : child_(std::move(child)), boost_(boost) {}
    MatcherPtr prepare(const Preparation& preparation) const override {
        return std::make_unique<ScoreMatcher>(child_->prepare(preparation.unscored()), boost_);
    }
    void text_conditions(const FieldTypes& types, std::vector<TextCondition>& out) const override {
        child_->text_conditions(types, out);
    }

  private:
    NodePtr child_;
    double boost_;
};

class DisMaxNode final : public QueryNode {
  public:
    DisMaxNode(std::vector<NodePtr> children, double tie_breaker, double boost)
        : children_(std::move(children)), tie_breaker_(tie_breaker), boost_(boost) {}
    MatcherPtr prepare(const Preparation& preparation) const override {
        return std::make_unique<AnyMatcher>(prepare_all(children_, preparation), tie_breaker_,
                                            boost_);
    }
    void text_conditions(const FieldTypes& types, std::vector<TextCondition>& out) const override {
        conditions_of(children_, types, out);
    }

  private:
    std::vector<NodePtr> children_;
    double tie_breaker_;
    double boost_;
};

class ExistsNode final : public QueryNode {
  public:
    ExistsNode(std::string field, double boost) : field_(std::move(field)), boost_(boost) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        if (field_ == "_source")
            throw QueryError("query_shard_exception",
                             "failed to create query: The _source field is not searchable");
        if (field_ == "_id" || field_ == "_index" || field_ == "_seq_no" || field_ == "_version")
            return std::make_unique<AllMatcher>(boost_);
        if (field_ == "_routing") {
            return std::make_unique<MetaMatcher>(
                [](DocumentView& document) { return !document.routing().empty(); }, boost_);
        }
        if (preparation.types.absent(field_)) return nothing();
        const FieldRef ref = preparation.types.resolve(field_);
        if (ref.stored != nullptr && ref.type == ValueType::vector)
            return on_vectors(preparation, *ref.stored);
        return std::make_unique<ValueMatcher>(ref.path, is_there, boost_);
    }

  private:
    /// An object is there when something in it is.
    static bool is_there(document::Value value) {
        if (value.is_array()) {
            return std::any_of(value.as_array().begin(), value.as_array().end(), is_there);
        }
        if (!value.is_object()) return !value.is_null();
        return std::any_of(value.as_object().begin(), value.as_object().end(),
                           [](const document::Member& member) { return is_there(member.value); });
    }

    /// Vectors lie beside their documents, not in them.
    MatcherPtr on_vectors(const Preparation& preparation, const Field& field) const {
        DocumentList documents;
        std::vector<ScoredElement> elements;
        Statement query =
            preparation.db.query("SELECT key, at FROM " + field.table() + " ORDER BY key");
        while (query.step()) {
            const std::int64_t seq_no = seq_no_of(query.integer(0));
            if (!preparation.nested.empty())
                elements.push_back(
                    {seq_no, std::string(element_of(query.text(1), preparation.nested)), boost_});
            if (documents.empty() || documents.back() != seq_no) documents.push_back(seq_no);
        }
        if (preparation.nested.empty())
            return std::make_unique<ListMatcher>(std::move(documents), std::vector<double>{},
                                                 boost_);
        return lies_below(field.path, preparation.nested) ? make_element_list(std::move(elements))
                                                          : nothing();
    }

    std::string field_;
    double boost_;
};

class RangeNode final : public QueryNode {
  public:
    explicit RangeNode(RangeClause clause) : clause_(std::move(clause)) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        if (preparation.types.absent(clause_.field)) return nothing();
        const FieldRef ref = preparation.types.resolve(clause_.field);
        check(ref);
        if (ref.type == ValueType::text) {
            return std::make_unique<ValueMatcher>(
                ref.path, [this](document::Value leaf) { return has_word_inside(leaf); },
                clause_.boost);
        }
        return std::make_unique<ValueMatcher>(
            ref.path, [this, type = ref.type](document::Value leaf) { return inside(leaf, type); },
            clause_.boost);
    }

  private:
    void check(const FieldRef& ref) const {
        for (const auto* bound : {&clause_.lower, &clause_.upper}) {
            if (!*bound) continue;
            const bool number =
                ref.type == ValueType::long_number || ref.type == ValueType::float_number;
            if (number && !(*bound)->is_number())
                throw QueryError("number_format_exception",
                                 "For input string: \"" + (*bound)->text() + "\"");
            if (ref.type == ValueType::date && !(*bound)->is_date())
                throw QueryError("parse_exception",
                                 "failed to parse date field [" + (*bound)->text() +
                                     "] with format [strict_date_optional_time||epoch_millis]");
        }
    }

    /// "gt" and "lte" take the end of what a date names, "gte" and "lt" its beginning.
    bool inside(document::Value leaf, ValueType type) const {
        if (clause_.lower) {
            const DateEdge edge = clause_.include_lower ? DateEdge::begin : DateEdge::end;
            const auto order = clause_.lower->order(leaf, type, edge);
            if (!order || std::is_lt(*order) || (std::is_eq(*order) && !clause_.include_lower))
                return false;
        }
        if (clause_.upper) {
            const DateEdge edge = clause_.include_upper ? DateEdge::end : DateEdge::begin;
            const auto order = clause_.upper->order(leaf, type, edge);
            if (!order || std::is_gt(*order) || (std::is_eq(*order) && !clause_.include_upper))
                return false;
        }
        return !leaf.is_null() && !leaf.is_object();
    }

    bool has_word_inside(document::Value leaf) const {
        if (!leaf.is_string()) return inside(leaf, ValueType::unknown);
        for (const std::string& word : words_of(leaf.as_string())) {
            if (inside(document::Value::string(word), ValueType::keyword)) return true;
        }
        return false;
    }

    RangeClause clause_;
};

/// Percent of `count`, or a number; negative ones are what may be missing.
std::int64_t one_requirement(std::string_view text, std::int64_t count) {
    const bool percent = text.ends_with('%');
    if (percent) text.remove_suffix(1);
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size() || std::abs(number) > 1'000'000)
        throw QueryError("number_format_exception",
                         "For input string: \"" + std::string(text) + "\"");
    if (!percent) return number < 0 ? count + number : number;
    const std::int64_t part = count * std::abs(number) / 100;
    return number < 0 ? count - part : part;
}

}  // namespace

std::size_t required_matches(std::string_view text, std::size_t count) {
    const auto all = static_cast<std::int64_t>(count);
    std::int64_t required = all;
    if (text.find('<') == std::string_view::npos) {
        required = one_requirement(text, all);
    } else {
        // "2<75% 9<-3": all up to two, 75% up to nine, then all but three.
        while (!text.empty()) {
            const std::size_t end = std::min(text.find(' '), text.size());
            const std::string_view rule = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            const std::size_t sign = rule.find('<');
            if (sign == std::string_view::npos) continue;
            if (all <= one_requirement(rule.substr(0, sign), all)) break;
            required = one_requirement(rule.substr(sign + 1), all);
        }
    }
    return static_cast<std::size_t>(std::clamp<std::int64_t>(required, 0, all + 1));
}

void DocumentView::move_to(std::int64_t seq_no) {
    if (seq_no == seq_no_) return;
    seq_no_ = seq_no;
    loaded_ = false;
    parsed_ = false;
}

void DocumentView::load() {
    if (std::exchange(loaded_, true)) return;
    Statement query = db_.query("SELECT id, routing, version, source FROM docs WHERE seq_no = ?");
    query.bind(seq_no_);
    const bool found = query.step();
    id_ = found ? query.text(0) : std::string_view();
    routing_ = found ? query.text(1) : std::string_view();
    version_ = found ? query.integer(2) : 0;
    text_ = found ? query.text(3) : std::string_view();
}

const std::string& DocumentView::id() {
    load();
    return id_;
}
const std::string& DocumentView::routing() {
    load();
    return routing_;
}
std::int64_t DocumentView::version() {
    load();
    return version_;
}

document::Value DocumentView::whole() {
    load();
    if (std::exchange(parsed_, true)) return source_;
    static const document::Object kEmpty;
    arena_.reset();
    source_ = document::Value::object(&kEmpty);
    document::JsonError error;
    document::JsonOptions options;
    options.borrow_text = true;
    options.allow_duplicate_keys = true;
    parser_.parse(text_, arena_, source_, error, options);
    return source_;
}

std::optional<std::int64_t> DocumentView::number_of(std::string_view id) {
    return find_id(db_, id);
}

MatcherPtr make_list(std::vector<Scored> documents) {
    std::sort(documents.begin(), documents.end(),
              [](const Scored& a, const Scored& b) { return a.seq_no < b.seq_no; });
    DocumentList numbers;
    std::vector<double> scores;
    for (const Scored& one : documents) {
        numbers.push_back(one.seq_no);
        scores.push_back(one.score);
    }
    return std::make_unique<ListMatcher>(std::move(numbers), std::move(scores), 0);
}

MatcherPtr make_any(std::vector<MatcherPtr> children, double tie_breaker) {
    return std::make_unique<AnyMatcher>(std::move(children), tie_breaker, 1);
}

void visit_matching(const Matcher& matcher, Database& db,
                    const std::function<void(DocumentView& document, double score)>& visit) {
    DocumentView document(db);
    const auto look_at = [&](std::int64_t seq_no) {
        double score = 0;
        document.move_to(seq_no);
        if (matcher.match(document, score)) visit(document, score);
    };
    if (const DocumentList* candidates = matcher.candidates()) {
        std::for_each(candidates->begin(), candidates->end(), look_at);
        return;
    }
    Statement all = db.query("SELECT seq_no FROM docs ORDER BY seq_no");
    while (all.step())
        look_at(all.integer(0));
}

DocumentList matching(const Matcher& matcher, Database& db) {
    DocumentList found;
    visit_matching(matcher, db,
                   [&](DocumentView& document, double) { found.push_back(document.seq_no()); });
    return found;
}

NodePtr make_all(double boost) {
    return std::make_shared<AllNode>(boost);
}
NodePtr make_none() {
    return std::make_shared<NoneNode>();
}
NodePtr make_ids(std::vector<std::string> ids, double boost) {
    return std::make_shared<IdsNode>(std::move(ids), boost);
}
NodePtr make_bool(BoolClauses clauses) {
    return std::make_shared<BoolNode>(std::move(clauses));
}
NodePtr make_constant_score(NodePtr child, double boost) {
    return std::make_shared<ConstantScoreNode>(std::move(child), boost);
}
NodePtr make_dis_max(std::vector<NodePtr> children, double tie_breaker, double boost) {
    return std::make_shared<DisMaxNode>(std::move(children), tie_breaker, boost);
}
NodePtr make_exists(std::string field, double boost) {
    return std::make_shared<ExistsNode>(std::move(field), boost);
}
NodePtr make_range(RangeClause clause) {
    return std::make_shared<RangeNode>(std::move(clause));
}

}  // namespace penstock::io
