// The tree behind Query, and its prepared form over one snapshot. Private to engine/io.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/document/json.h"
#include "engine/io/field_types.h"
#include "engine/io/index_impl.h"
#include "engine/io/query.h"

namespace penstock::io {

/// One document under a query: read and parsed only when somebody asks, and then once.
class DocumentView {
  public:
    explicit DocumentView(Database& db) : db_(db) {}
    void move_to(std::int64_t seq_no);

    std::int64_t seq_no() const { return seq_no_; }
    const std::string& id();
    const std::string& routing();
    std::int64_t version();
    /// Without its vectors. An empty object when it cannot be parsed. While the view is narrowed
    /// to an object of a nested field, that object alone.
    document::Value source() { return element_ != nullptr ? element_->source : whole(); }
    document::Value whole();
    /// Of another document; nothing when there is none of that id.
    std::optional<std::int64_t> number_of(std::string_view id);

    /// One object of a nested field.
    struct Element {
        std::string pointer;     ///< JSON pointer of the nearest array element; empty: none
        document::Value source;  ///< the object under the field's path, as in the document
    };
    /// Borrowed; null: the whole document again.
    void narrow_to(const Element* element) { element_ = element; }
    const Element* element() const { return element_; }

  private:
    void load();

    Database& db_;
    std::int64_t seq_no_ = -1;
    bool loaded_ = false;
    bool parsed_ = false;
    std::string id_;
    std::string routing_;
    std::int64_t version_ = 0;
    std::string text_;
    document::Arena arena_;
    document::JsonParser parser_;
    document::Value source_;
    const Element* element_ = nullptr;
};

/// Documents in the order of their sequence numbers.
using DocumentList = std::vector<std::int64_t>;

/// A query node prepared for one snapshot. match() touches no database but through the document.
class Matcher {
  public:
    virtual ~Matcher() = default;
    /// Sets the score when it matches.
    virtual bool match(DocumentView& document, double& score) const = 0;
    /// Every document that matches is among these; null: any may match.
    virtual const DocumentList* candidates() const { return nullptr; }
    /// match() needs the document itself, not its number alone.
    virtual bool needs_document() const { return false; }
    /// All candidates match (all documents when there are none), with one and the same score.
    virtual bool is_constant() const { return false; }
};

using MatcherPtr = std::unique_ptr<const Matcher>;

class QueryNode;

/// What nodes are prepared with.
struct Preparation {
    Database& db;
    const FieldTypes& types;
    Index& index;
    std::uint64_t docs = 0;
    bool scoring = true;
    /// What the alias lets through: no other document is a neighbour. Null: all.
    const QueryNode* visible = nullptr;
    /// Path of the objects that meet conditions each by itself. Empty: documents do.
    std::string_view nested{};

    Preparation unscored() const {
        Preparation copy = *this;
        copy.scoring = false;
        return copy;
    }
};

/// Text to be marked: where a full-text condition looked, and for what.
struct TextCondition {
    std::string field;       ///< path of a text field
    std::string expression;  ///< of FTS5
};

class QueryNode {
  public:
    virtual ~QueryNode() = default;
    /// Throws QueryError when the index cannot be asked this.
    virtual MatcherPtr prepare(const Preparation& preparation) const = 0;
    virtual void text_conditions(const FieldTypes&, std::vector<TextCondition>&) const {}
};

using NodePtr = std::shared_ptr<const QueryNode>;

struct Scored {
    std::int64_t seq_no = 0;
    double score = 0;
};

/// Those documents, with these scores.
MatcherPtr make_list(std::vector<Scored> documents);
/// One of the children must match. The best score counts, and the others by `tie_breaker` (1: their
/// sum).
MatcherPtr make_any(std::vector<MatcherPtr> children, double tie_breaker = 1);
/// Calls `visit` for every document that matches, in the order of their numbers.
void visit_matching(const Matcher& matcher, Database& db,
                    const std::function<void(DocumentView& document, double score)>& visit);
/// The numbers of all documents that match.
DocumentList matching(const Matcher& matcher, Database& db);

/// An object of a nested field, as rows of the index name it.
struct ScoredElement {
    std::int64_t seq_no = 0;
    std::string pointer;  ///< as DocumentView::Element has it
    double score = 0;
};
/// Those objects, with these scores.
MatcherPtr make_element_list(std::vector<ScoredElement> elements);
/// The object of the nested field `path` that the place of a row (the JSON pointer of the nearest
/// array element) lies in.
std::string_view element_of(std::string_view place, std::string_view path);

// ---- Nodes, as the parser makes them.

NodePtr make_all(double boost = 1);
NodePtr make_none();
NodePtr make_ids(std::vector<std::string> ids, double boost);

struct BoolClauses {
    std::vector<NodePtr> must;
    std::vector<NodePtr> filter;
    std::vector<NodePtr> should;
    std::vector<NodePtr> must_not;
    /// "2", "-1", "75%", "2<75%"; empty: one if nothing else is asked for, else none.
    std::string minimum_should_match;
    double boost = 1;
};
NodePtr make_bool(BoolClauses clauses);
NodePtr make_constant_score(NodePtr child, double boost);
NodePtr make_dis_max(std::vector<NodePtr> children, double tie_breaker, double boost);

/// How the scores of a document's nested objects, or of its children, become its own.
enum class ScoreMode { average, sum, largest, least, none };

/// The scores of what matched, together.
class ScoreSummary {
  public:
    void add(double score) {
        sum_ += score;
        least_ = count_ == 0 ? score : std::min(least_, score);
        largest_ = count_ == 0 ? score : std::max(largest_, score);
        ++count_;
    }
    std::size_t count() const { return count_; }
    /// Of one at least; without a mode, `none`.
    double score(ScoreMode mode, double none) const {
        switch (mode) {
            case ScoreMode::average:
                return sum_ / static_cast<double>(count_);
            case ScoreMode::sum:
                return sum_;
            case ScoreMode::largest:
                return largest_;
            case ScoreMode::least:
                return least_;
            case ScoreMode::none:
                break;
        }
        return none;
    }

  private:
    std::size_t count_ = 0;
    double sum_ = 0;
    double least_ = 0;
    double largest_ = 0;
};

NodePtr make_nested(std::string path, NodePtr child, ScoreMode mode, double boost);

/// Children of that type whose parent has that id.
struct ParentIdClause {
    std::string type;
    std::string id;
    bool ignore_unmapped = false;  ///< an index without that relation has no such documents
    double boost = 1;
};
NodePtr make_parent_id(ParentIdClause clause);

/// Children of the documents that the query finds among those of that type.
struct HasParentClause {
    std::string parent_type;
    NodePtr query;
    bool score = false;  ///< the parent's counts; else 1
    bool ignore_unmapped = false;
    double boost = 1;
};
NodePtr make_has_parent(HasParentClause clause);

/// Parents of so many documents that the query finds among those of that type.
struct HasChildClause {
    std::string type;
    NodePtr query;
    ScoreMode mode = ScoreMode::none;  ///< none: 1
    std::size_t min_children = 1;
    std::size_t max_children = SIZE_MAX;
    bool ignore_unmapped = false;
    double boost = 1;
};
NodePtr make_has_child(HasChildClause clause);

enum class TextMode { words, phrase, phrase_prefix, prefix };

struct TextClause {
    std::string field;  ///< with `*`: all such; empty: all that hold text
    Operand value;
    TextMode mode = TextMode::words;
    bool all_words = false;
    std::string minimum_should_match;
    bool zero_terms_all = false;
    bool lenient = false;  ///< a field of another kind than the text is just no match
    double boost = 1;
};
NodePtr make_text(TextClause clause);

/// A field to look in, and how much it counts there.
struct FieldWeight {
    std::string field;  ///< with `*`: all such; empty: all
    double boost = 1;
};
/// "title^2". Throws QueryError.
FieldWeight weighted_field(std::string_view text);
/// The clause in the best of the fields. Without fields, in all.
NodePtr make_text_over(TextClause clause, const std::vector<FieldWeight>& fields,
                       double tie_breaker);

/// What the languages of query_string and simple_query_string share.
struct SyntaxOptions {
    std::vector<FieldWeight> fields;  ///< where no field is named; empty: all
    bool all_words = false;
    bool lenient = false;
    double tie_breaker = 0;
    DateOptions dates;
};
/// Lucene's syntax. Throws QueryError.
NodePtr parse_lucene(std::string_view text, const SyntaxOptions& options);

/// Operators of simple_query_string, as bits of a mask.
namespace simple_syntax {
constexpr unsigned kAnd = 1;
constexpr unsigned kNot = 2;
constexpr unsigned kOr = 4;
constexpr unsigned kPrefix = 8;
constexpr unsigned kPhrase = 16;
constexpr unsigned kPrecedence = 32;
constexpr unsigned kEscape = 64;
constexpr unsigned kWhitespace = 128;
constexpr unsigned kFuzzy = 256;
constexpr unsigned kNear = 512;
constexpr unsigned kAll = 1023;
}  // namespace simple_syntax
/// The syntax of simple_query_string: + | - "a phrase" prefix* ( ). What is malformed is text. How
/// much words (~1) and phrases (~2) may differ is read, but only what is equal is found.
NodePtr parse_simple(std::string_view text, const SyntaxOptions& options,
                     unsigned operators = simple_syntax::kAll);

NodePtr make_terms(std::string field, std::vector<Operand> values, bool fold, double boost);
NodePtr make_exists(std::string field, double boost);

enum class Pattern { prefix, wildcard };
NodePtr make_pattern(std::string field, std::string pattern, Pattern kind, bool fold, double boost);

struct RangeClause {
    std::string field;
    std::optional<Operand> lower;
    std::optional<Operand> upper;
    bool include_lower = false;
    bool include_upper = false;
    double boost = 1;
};
NodePtr make_range(RangeClause clause);

struct KnnClause {
    std::string field;
    std::vector<float> vector;
    std::size_t k = 10;
    std::size_t num_candidates = 0;
    std::optional<double> similarity;  ///< that a neighbour needs: a cosine, a distance, ...
    NodePtr filter;
    double boost = 1;
};

class KnnNode : public QueryNode {
  public:
    explicit KnnNode(KnnClause clause) : clause_(std::move(clause)) {}
    MatcherPtr prepare(const Preparation& preparation) const override;
    /// Best first, at most k documents.
    std::vector<Scored> nearest(const Preparation& preparation) const;
    std::size_t k() const { return clause_.k; }

  private:
    KnnClause clause_;
};

/// How many of `count` optional clauses must match.
std::size_t required_matches(std::string_view minimum_should_match, std::size_t count);

}  // namespace penstock::io
