#include "engine/io/query.h"

#include <algorithm>

#include "engine/document/json.h"
#include "engine/io/query_node.h"
#include "engine/io/query_parser.h"

namespace penstock::io {

using document::Value;

Query::Query(std::shared_ptr<const QueryNode> root, std::vector<NamedNode> named,
             std::size_t most_terms)
    : root_(std::move(root)), named_(std::move(named)), most_terms_(most_terms) {}
Query::~Query() = default;

std::shared_ptr<const Query> Query::parse(Value value, const QueryOptions& options) {
    QueryParser parser(options);
    NodePtr root = parser.node(value);
    return std::make_shared<Query>(std::move(root), parser.take_named(), parser.most_terms());
}

std::shared_ptr<const Query> Query::parse(std::string_view json, QueryOptions options) {
    document::Arena arena;
    Value value;
    document::JsonError error;
    document::JsonOptions borrowing;
    borrowing.borrow_text = true;
    if (!document::JsonParser().parse(json, arena, value, error, borrowing))
        throw QueryError("parsing_exception", error.message, error.line, error.column);
    options.text = json;
    return parse(value, options);
}

std::shared_ptr<const Query> Query::match_all() {
    return std::make_shared<Query>(make_all());
}

std::shared_ptr<const Query> Query::knn(Value value, const QueryOptions& options) {
    QueryParser parser(options);
    NodePtr root = parser.knn(value);
    return std::make_shared<Query>(std::move(root), parser.take_named(), parser.most_terms());
}

std::shared_ptr<const Query> Query::filtered(std::shared_ptr<const Query> query,
                                             std::vector<std::shared_ptr<const Query>> filters) {
    BoolClauses any;
    std::vector<NamedNode> named = query ? query->named() : std::vector<NamedNode>();
    std::size_t most_terms = query ? query->most_terms() : 0;
    for (const auto& filter : filters) {
        most_terms = std::max(most_terms, filter->most_terms());
        any.should.push_back(filter->share());
        named.insert(named.end(), filter->named().begin(), filter->named().end());
    }
    BoolClauses both;
    both.must.push_back(query ? query->share() : make_all());
    both.filter.push_back(make_bool(std::move(any)));
    return std::make_shared<Query>(make_bool(std::move(both)), std::move(named), most_terms);
}

}  // namespace penstock::io
