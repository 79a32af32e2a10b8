// Elasticsearch's query language as JSON, made into query nodes; private to engine/io.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/document/arena.h"
#include "engine/document/value.h"
#include "engine/io/query.h"
#include "engine/io/query_node.h"

namespace penstock::io {

/// Reads one query. Throws QueryError with the place, when the options' text is the query's own.
class QueryParser {
  public:
    /// `options` must outlive it.
    explicit QueryParser(const QueryOptions& options);
    NodePtr node(document::Value value);
    /// The content of a `knn` section.
    NodePtr knn(document::Value value);
    /// Of the terms query that has most of them.
    std::size_t most_terms() const { return most_terms_; }
    /// Of what was read, the parts with a `_name`.
    std::vector<NamedNode> take_named() { return std::exchange(named_, {}); }

  private:
    using Member = document::Member;
    using Object = document::Object;
    using Value = document::Value;

    using Method = NodePtr (QueryParser::*)(const Member&);
    NodePtr by_name(const Member& member);
    NodePtr named(const Member& member, Method method);
    /// The same without a `_name`, which may stand among the options or among those of the field.
    Member without_name(const Member& member, std::optional<std::string>& name);

    // ---- Errors

    [[noreturn]] void fail(const std::string& reason, std::string_view at) const;
    [[noreturn]] void fail(const std::string& reason, const Member& at) const;
    [[noreturn]] void fail(const std::string& reason, Value at) const;
    [[noreturn]] void unsupported(std::string_view query, const Member& option) const;

    // ---- Reading options

    double number(const Member& member) const;
    double boost(const Member& member) const;
    bool flag(const Member& member) const;
    bool all_words(const Member& member) const;
    static std::vector<std::string> strings(Value value);
    /// Options that change nothing here, or whose value is what happens anyway.
    static bool harmless(const Member& option);
    std::vector<NodePtr> nodes(Value value);
    /// Field and content of {"field": content}; `boost` may stand beside it.
    const Member& field_of(const Member& query, double* boost_beside = nullptr);

    // ---- Queries

    NodePtr match_all(const Member& query);
    NodePtr match_none(const Member& query);
    NodePtr match(const Member& query);
    NodePtr match_phrase(const Member& query);
    NodePtr match_phrase_prefix(const Member& query);
    NodePtr match_bool_prefix(const Member& query);
    NodePtr text_query(const Member& query, TextMode mode);
    void text_option(const Member& query, const Member& option, TextClause& clause);
    NodePtr multi_match(const Member& query);

    /// What query_string and simple_query_string are asked for alike.
    struct SyntaxQuery {
        std::optional<std::string> text;
        SyntaxOptions options;
        double boost = 1;
    };
    /// False for an option that only one of them may know. Words of wildcards are always taken as
    /// the field has them, so that `analyze_wildcard` changes nothing.
    bool syntax_option(const Member& option, SyntaxQuery& out) const;
    NodePtr finish_syntax(const Member& query, const SyntaxQuery& syntax, NodePtr node) const;
    NodePtr query_string(const Member& query);
    NodePtr simple_query_string(const Member& query);
    /// "OR|AND|PREFIX", or the mask itself.
    unsigned simple_flags(const Member& option) const;
    NodePtr term(const Member& query);
    NodePtr terms(const Member& query);
    std::vector<Operand> listed_terms(const Member& field) const;
    std::vector<Operand> looked_up_terms(const Member& field);
    NodePtr range(const Member& query);
    /// `reader`: of a format that is no usual one.
    DateOptions range_dates(const Object& options, DateReader& reader) const;
    DateReader date_reader(const Member& option) const;
    Operand bound(const Member& option, const DateOptions& dates, const DateReader& reader) const;
    NodePtr exists(const Member& query);
    NodePtr ids(const Member& query);
    NodePtr prefix(const Member& query);
    NodePtr wildcard(const Member& query);
    NodePtr pattern(const Member& query, Pattern kind);
    NodePtr boolean(const Member& query);
    NodePtr dis_max(const Member& query);
    NodePtr constant_score(const Member& query);
    NodePtr nested(const Member& query);
    ScoreMode score_mode(const Member& option) const;
    NodePtr parent_id(const Member& query);
    NodePtr has_parent(const Member& query);
    NodePtr has_child(const Member& query);
    /// Relations are of documents, and what is met by objects is none.
    void check_join_place(const Member& query) const;
    std::size_t children(const Member& option) const;
    NodePtr knn_member(const Member& query);
    std::size_t default_k(std::size_t num_candidates, bool section) const;
    NodePtr knn_of(const Object& options, std::string_view name, bool section);
    std::size_t count(const Member& option) const;
    std::vector<float> vector(const Member& option) const;
    std::vector<float> built_vector(const Member& option) const;

    const QueryOptions& options_;
    DateOptions dates_;
    document::Arena arena_;  ///< of what is read without its name
    std::vector<NamedNode> named_;
    std::size_t most_terms_ = 0;
    std::size_t looked_up_ = 0;  ///< terms of all lookups together
    std::size_t depth_ = 0;
    bool in_nested_ = false;  ///< conditions are met by objects, not by documents
};

/// A value's text as Java prints it: strings without quotes, all else as JSON.
std::string query_text_of(document::Value value);

}  // namespace penstock::io
