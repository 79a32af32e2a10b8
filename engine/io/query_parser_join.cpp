// Queries over the relations of a join field.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "engine/io/query_parser.h"

namespace penstock::io {

namespace {

[[noreturn]] void refuse(const std::string& reason) {
    throw QueryError("illegal_argument_exception", reason);
}

}  // namespace

NodePtr QueryParser::parent_id(const Member& query) {
    ParentIdClause clause;
    bool has_id = false;
    check_join_place(query);
    for (const Member& option : query.value.as_object()) {
        const std::string_view name = option.key();
        const bool is_value = !option.value.is_object() && !option.value.is_array();
        if (name == "type" && is_value) {
            clause.type = query_text_of(option.value);
        } else if (name == "id" && is_value) {
            clause.id = query_text_of(option.value);
            has_id = true;
        } else if (name == "ignore_unmapped") {
            clause.ignore_unmapped = flag(option);
        } else if (name == "boost") {
            clause.boost = boost(option);
        } else {
            unsupported("parent_id", option);
        }
    }
    if (clause.type.empty()) refuse("[parent_id] requires 'type' field");
    if (!has_id) refuse("[parent_id] requires 'id' field");
    return make_parent_id(std::move(clause));
}

NodePtr QueryParser::has_parent(const Member& query) {
    HasParentClause clause;
    check_join_place(query);
    for (const Member& option : query.value.as_object()) {
        const std::string_view name = option.key();
        if (name == "query") {
            clause.query = node(option.value);
        } else if (name == "parent_type") {
            clause.parent_type = query_text_of(option.value);
        } else if (name == "score") {
            clause.score = flag(option);
        } else if (name == "ignore_unmapped") {
            clause.ignore_unmapped = flag(option);
        } else if (name == "boost") {
            clause.boost = boost(option);
        } else {
            unsupported("has_parent", option);
        }
    }
    if (clause.parent_type.empty()) refuse("[has_parent] requires 'parent_type' field");
    if (!clause.query) refuse("[has_parent] requires 'query' field");
    return make_has_parent(std::move(clause));
}

NodePtr QueryParser::has_child(const Member& query) {
    HasChildClause clause;
    check_join_place(query);
    for (const Member& option : query.value.as_object()) {
        const std::string_view name = option.key();
        if (name == "query") {
            clause.query = node(option.value);
        } else if (name == "type") {
            clause.type = query_text_of(option.value);
        } else if (name == "score_mode") {
            clause.mode = score_mode(option);
        } else if (name == "min_children") {
            clause.min_children = children(option);
        } else if (name == "max_children") {
            clause.max_children = children(option);
        } else if (name == "ignore_unmapped") {
            clause.ignore_unmapped = flag(option);
        } else if (name == "boost") {
            clause.boost = boost(option);
        } else {
            unsupported("has_child", option);
        }
    }
    if (clause.type.empty()) refuse("[has_child] requires 'type' field");
    if (!clause.query) refuse("[has_child] requires 'query' field");
    if (clause.max_children < clause.min_children)
        refuse("[has_child] 'max_children' is less than 'min_children'");
    return make_has_child(std::move(clause));
}

void QueryParser::check_join_place(const Member& query) const {
    if (in_nested_)
        fail("[" + std::string(query.key()) +
                 "] cannot stand in [nested]: it is documents that are joined, not the objects in "
                 "them. Put both into a [bool] query",
             query);
}

std::size_t QueryParser::children(const Member& option) const {
    const double value = number(option);
    if (!(value >= 1))
        refuse("[has_child] requires positive '" + std::string(option.key()) + "' field");
    return static_cast<std::size_t>(
        std::min<double>(value, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace penstock::io
