// Queries as Elasticsearch's and OpenSearch's query DSL has them, over the embedded index.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/value.h"
#include "engine/runtime/error.h"

namespace penstock::io {

class QueryNode;

/// A query that is wrong, or that this index cannot answer. `type` is Elasticsearch's name of the
/// error; `line` and `column` (from 1) are 0 where the place is not known.
class QueryError : public Error {
  public:
    QueryError(std::string type, const std::string& reason, std::size_t line = 0,
               std::size_t column = 0)
        : Error(reason), type_(std::move(type)), line_(line), column_(column) {}
    const std::string& type() const { return type_; }
    std::size_t line() const { return line_; }
    std::size_t column() const { return column_; }
    /// The index that could not answer; empty: the query is wrong for any.
    const std::string& index() const { return index_; }
    void set_index(std::string index) { index_ = std::move(index); }

  private:
    std::string type_;
    std::string index_;
    std::size_t line_;
    std::size_t column_;
};

/// The vector of a text, for `query_vector_builder.text_embedding`.
using TextEmbedder =
    std::function<std::vector<float>(std::string_view model_id, std::string_view text)>;

/// How a query in Lucene's syntax is read.
struct QueryTextOptions {
    std::string default_field;  ///< where none is named; empty: all
    bool all_words = false;     ///< words without an operator must all be there
    bool lenient = false;       ///< a value that a field cannot have is just no match
};

/// Where a terms query finds its values: what a document has at a path.
struct TermsLookup {
    std::string index;
    std::string id;
    std::string path;
    std::string routing;
};
/// Calls `take` for each value; for none when there is no such document.
using TermsLoader = std::function<void(const TermsLookup& lookup,
                                       const std::function<void(document::Value)>& take)>;

/// A date of some format as ISO 8601, as exact as it was written; nothing when it is none.
using DateReader = std::function<std::optional<std::string>(std::string_view date)>;
/// The reader of a format. Throws penstock::Error for what is none.
using DateReaders = std::function<DateReader(std::string_view format)>;

struct QueryOptions {
    std::string_view text;         ///< that the values were parsed from, to tell places by
    std::int64_t now_millis = -1;  ///< what `now` means; -1: the system's clock
    std::size_t size = 10;         ///< of the search, which a knn without `k` goes by
    TextEmbedder embed;            ///< without it, a query_vector_builder is refused
    DateReaders date_reader;       ///< without it, a range has the usual formats alone
    TermsLoader load_terms;        ///< without it, a terms lookup is refused
};

/// A part of a query that has a `_name`.
struct NamedNode {
    std::string name;
    std::shared_ptr<const QueryNode> node;
};

/// A query, ready for any index; immutable. What it knows: match_all, match_none, match,
/// match_phrase, match_phrase_prefix, multi_match, query_string, simple_query_string, term, terms,
/// range, exists, ids, prefix, wildcard, bool, dis_max, constant_score, nested, joins and knn.
class Query {
  public:
    /// {"match": {...}}. Throws QueryError.
    static std::shared_ptr<const Query> parse(document::Value value,
                                              const QueryOptions& options = {});
    /// The same for JSON text.
    static std::shared_ptr<const Query> parse(std::string_view json, QueryOptions options = {});
    static std::shared_ptr<const Query> match_all();
    /// A member of the search's own `knn`: {"field", "query_vector", "k", ...}.
    static std::shared_ptr<const Query> knn(document::Value value,
                                            const QueryOptions& options = {});
    /// Documents that match `query` and one of the `filters`, scored by the query alone.
    static std::shared_ptr<const Query> filtered(std::shared_ptr<const Query> query,
                                                 std::vector<std::shared_ptr<const Query>> filters);
    /// Lucene's syntax as far as `q=` needs it: words, "phrases", field:value, field:(a b),
    /// prefix*, wild?card, ranges [a TO b] and >=, + - AND OR NOT, parentheses.
    static std::shared_ptr<const Query> from_text(std::string_view text,
                                                  const QueryTextOptions& how = {});

    explicit Query(std::shared_ptr<const QueryNode> root, std::vector<NamedNode> named = {},
                   std::size_t most_terms = 0);
    ~Query();
    const QueryNode& root() const { return *root_; }
    /// Conditions on the documents themselves, not on objects in them or on their relatives.
    const std::vector<NamedNode>& named() const { return named_; }
    /// How many values the terms query has that has most of them.
    std::size_t most_terms() const { return most_terms_; }
    std::shared_ptr<const QueryNode> share() const { return root_; }

  private:
    std::shared_ptr<const QueryNode> root_;
    std::vector<NamedNode> named_;
    std::size_t most_terms_;
};

}  // namespace penstock::io
