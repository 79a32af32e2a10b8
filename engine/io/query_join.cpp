// Documents that are found by what their parents or children are. Both lie in the same index, and
// which is whose says the join field of its mappings.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "engine/io/join_field.h"
#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

std::optional<JoinField> join_field(const Preparation& preparation) {
    return JoinField::from(read_text(preparation.db, std::string(kAttribute) + "mappings"));
}

MatcherPtr unmapped(const Preparation& preparation, bool ignore, const std::string& reason) {
    if (!ignore) throw QueryError("query_shard_exception", reason);
    return make_none()->prepare(preparation);
}

/// Documents that may have one of the values in a member of the join field; nothing: any may.
std::optional<DocumentList> candidates_with(const Preparation& preparation, const JoinField& join,
                                            const char* member,
                                            const std::vector<std::string>& values) {
    std::vector<Operand> operands(values.begin(), values.end());
    const std::string path = join.name() + "." + member + ".keyword";
    // The full text has strings only, and parents may be numbers.
    if (preparation.types.resolve(path).type != ValueType::keyword) return std::nullopt;
    const NodePtr node = make_terms(path, std::move(operands), false, 1);
    const MatcherPtr matcher = node->prepare(preparation.unscored());
    return matcher->candidates() == nullptr ? std::nullopt : std::optional(*matcher->candidates());
}

/// Documents whose value in the join field is such.
class JoinMatcher final : public Matcher {
  public:
    /// Gives the score of a document that matches.
    using Condition =
        std::function<std::optional<double>(DocumentView& document, const JoinValue& value)>;

    JoinMatcher(JoinField join, Condition condition, std::optional<DocumentList> candidates)
        : join_(std::move(join)),
          condition_(std::move(condition)),
          candidates_(std::move(candidates)) {}

    bool match(DocumentView& document, double& score) const override {
        if (candidates_ &&
            !std::binary_search(candidates_->begin(), candidates_->end(), document.seq_no()))
            return false;
        const auto value = join_.value(document.whole());
        const auto found = value ? condition_(document, *value) : std::nullopt;
        score = found.value_or(0);
        return found.has_value();
    }
    const DocumentList* candidates() const override {
        return candidates_ ? &*candidates_ : nullptr;
    }
    bool needs_document() const override { return true; }

  private:
    JoinField join_;
    Condition condition_;
    std::optional<DocumentList> candidates_;
};

/// Documents of one relation.
class RelationNode final : public QueryNode {
  public:
    RelationNode(const JoinField& join, std::string relation)
        : join_(join), relation_(std::move(relation)) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        const auto is_one = [relation = relation_](DocumentView&, const JoinValue& value) {
            return value.name == relation ? std::optional(1.0) : std::nullopt;
        };
        // Without a parent, the relation may stand in the field itself.
        auto candidates = join_.is_child(relation_)
                              ? candidates_with(preparation, join_, "name", {relation_})
                              : std::nullopt;
        return std::make_unique<JoinMatcher>(join_, is_one, std::move(candidates));
    }

  private:
    JoinField join_;
    std::string relation_;
};

/// Calls `visit` for the documents of a relation that the query finds. What an alias hides is not
/// found, as if it were not there.
void visit_related(const Preparation& preparation, const JoinField& join,
                   const std::string& relation, const NodePtr& query, bool scoring,
                   const std::function<void(DocumentView& document, double score)>& visit) {
    BoolClauses both;
    both.must.push_back(query);
    both.filter.push_back(std::make_shared<RelationNode>(join, relation));
    const NodePtr node = make_bool(std::move(both));
    Preparation inside = preparation;
    inside.scoring = preparation.scoring && scoring;
    inside.nested = {};
    const MatcherPtr matcher = node->prepare(inside);
    inside.scoring = false;
    inside.visible = nullptr;
    const MatcherPtr visible =
        preparation.visible != nullptr ? preparation.visible->prepare(inside) : nullptr;
    visit_matching(*matcher, preparation.db, [&](DocumentView& document, double score) {
        double unused = 0;
        if (!visible || visible->match(document, unused)) visit(document, score);
    });
}

class ParentIdNode final : public QueryNode {
  public:
    explicit ParentIdNode(ParentIdClause clause) : clause_(std::move(clause)) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        const auto join = join_field(preparation);
        if (!join)
            return unmapped(
                preparation, clause_.ignore_unmapped,
                "[parent_id] no join field found for index [" + preparation.index.name() + "]");
        if (!join->is_child(clause_.type))
            return unmapped(preparation, clause_.ignore_unmapped,
                            "[parent_id] no relation found for child [" + clause_.type + "]");
        const auto is_child = [clause = clause_](DocumentView&, const JoinValue& value) {
            const bool found = value.name == clause.type && value.parent == clause.id;
            return found ? std::optional(clause.boost) : std::nullopt;
        };
        return std::make_unique<JoinMatcher>(
            *join, is_child, candidates_with(preparation, *join, "name", {clause_.type}));
    }

  private:
    ParentIdClause clause_;
};

class HasParentNode final : public QueryNode {
  public:
    explicit HasParentNode(HasParentClause clause) : clause_(std::move(clause)) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        const auto join = join_field(preparation);
        const std::string& type = clause_.parent_type;
        if (!join)
            return unmapped(preparation, clause_.ignore_unmapped,
                            "[has_parent] no join field has been configured");
        if (!join->is_parent(type))
            return unmapped(preparation, clause_.ignore_unmapped,
                            "[has_parent] join field [" + join->name() + "] doesn't hold [" + type +
                                "] as a parent");
        std::vector<Scored> parents;
        visit_related(
            preparation, *join, type, clause_.query, clause_.score,
            [&](DocumentView& parent, double score) {
                parents.push_back({parent.seq_no(), clause_.boost * (clause_.score ? score : 1)});
            });
        if (parents.empty()) return make_none()->prepare(preparation);
        const auto is_child = [field = *join, type, parents = std::move(parents)](
                                  DocumentView& document, const JoinValue& value) {
            return field.parent_of(value.name) == type && value.parent
                       ? score_of(parents, document.number_of(*value.parent))
                       : std::nullopt;
        };
        return std::make_unique<JoinMatcher>(
            *join, is_child, candidates_with(preparation, *join, "name", join->children_of(type)));
    }

  private:
    /// `parents`: in the order of their numbers.
    static std::optional<double> score_of(const std::vector<Scored>& parents,
                                          std::optional<std::int64_t> seq_no) {
        if (!seq_no) return std::nullopt;
        const auto found = std::lower_bound(
            parents.begin(), parents.end(), *seq_no,
            [](const Scored& parent, std::int64_t wanted) { return parent.seq_no < wanted; });
        const bool is_there = found != parents.end() && found->seq_no == *seq_no;
        return is_there ? std::optional(found->score) : std::nullopt;
    }

    HasParentClause clause_;
};

class HasChildNode final : public QueryNode {
  public:
    explicit HasChildNode(HasChildClause clause) : clause_(std::move(clause)) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        const auto join = join_field(preparation);
        if (!join)
            return unmapped(preparation, clause_.ignore_unmapped,
                            "[has_child] no join field has been configured");
        if (!join->is_child(clause_.type))
            return unmapped(preparation, clause_.ignore_unmapped,
                            "[has_child] join field [" + join->name() + "] doesn't hold [" +
                                clause_.type + "] as a child");
        return make_list(parents(preparation, *join));
    }

  private:
    std::vector<Scored> parents(const Preparation& preparation, const JoinField& join) const {
        std::unordered_map<std::int64_t, ScoreSummary> by_parent;
        visit_related(preparation, join, clause_.type, clause_.query,
                      clause_.mode != ScoreMode::none, [&](DocumentView& child, double score) {
                          const auto value = join.value(child.whole());
                          if (!value || !value->parent) return;
                          if (const auto parent = child.number_of(*value->parent))
                              by_parent[*parent].add(score);
                      });
        const std::string_view relation = join.parent_of(clause_.type);
        DocumentView document(preparation.db);
        std::vector<Scored> parents;
        for (const auto& [seq_no, children] : by_parent) {
            if (children.count() < clause_.min_children || children.count() > clause_.max_children)
                continue;
            document.move_to(seq_no);
            const auto value = join.value(document.whole());
            if (value && value->name == relation)
                parents.push_back({seq_no, clause_.boost * children.score(clause_.mode, 1)});
        }
        return parents;
    }

    HasChildClause clause_;
};

}  // namespace

NodePtr make_parent_id(ParentIdClause clause) {
    return std::make_shared<ParentIdNode>(std::move(clause));
}
NodePtr make_has_parent(HasParentClause clause) {
    return std::make_shared<HasParentNode>(std::move(clause));
}
NodePtr make_has_child(HasChildClause clause) {
    return std::make_shared<HasChildNode>(std::move(clause));
}

}  // namespace penstock::io
