#include "tools/serve/document_update.h"

#include <array>

#include "engine/pipeline/diagnostic.h"
#include "tools/serve/api_error.h"
#include "tools/serve/document_writer.h"
#include "tools/serve/json_body.h"

namespace penstock::serve {

namespace {

using document::Arena;
using document::Object;
using document::Value;

bool flag_of(const Value& value, std::string_view name) {
    if (value.is_boolean()) return value.as_boolean();
    throw parsing_error("[UpdateRequest] [" + std::string(name) + "] must be true or false");
}

std::string object_of(const Value& value, std::string_view name) {
    if (!value.is_object())
        throw parsing_error("[UpdateRequest] [" + std::string(name) + "] must be an object");
    return json_text(value);
}

ApiError unknown_field(std::string_view name) {
    static constexpr std::array<std::string_view, 9> kKnown = {
        "script",  "scripted_upsert", "upsert",         "doc", "doc_as_upsert", "detect_noop",
        "_source", "if_seq_no",       "if_primary_term"};
    const std::string_view near = pipeline::nearest(name, {kKnown.begin(), kKnown.end()});
    return {400, "x_content_parse_exception",
            "[UpdateRequest] unknown field [" + std::string(name) + "]" +
                (near.empty() ? "" : " did you mean [" + std::string(near) + "]?")};
}

std::int64_t integer_of(const Value& value, std::string_view name) {
    if (value.is_integer()) return value.as_integer();
    throw parsing_error("[UpdateRequest] [" + std::string(name) + "] must be a whole number");
}

void read_member(const document::Member& member, DocumentUpdate& update, WriteRequest& request) {
    const std::string_view name = member.key();
    if (name == "doc") {
        update.doc = object_of(member.value, name);
    } else if (name == "upsert") {
        update.upsert = object_of(member.value, name);
    } else if (name == "doc_as_upsert") {
        update.doc_as_upsert = flag_of(member.value, name);
    } else if (name == "detect_noop") {
        update.detect_noop = flag_of(member.value, name);
    } else if (name == "_source") {
        update.source = SourceFilter::from(member.value);
    } else if (name == "if_seq_no") {
        request.if_seq_no = integer_of(member.value, name);
    } else if (name == "if_primary_term") {
        request.if_primary_term = integer_of(member.value, name);
    } else if (name == "script" || name == "scripted_upsert") {
        throw illegal_argument("updates by script are not available in this version; send [doc]");
    } else {
        throw unknown_field(name);
    }
}

/// Elasticsearch's checks, in its words.
void check(const DocumentUpdate& update, const WriteRequest& request) {
    std::vector<std::string> problems;
    if (update.doc.empty()) problems.emplace_back("script or doc is missing");
    if (update.doc.empty() && update.doc_as_upsert)
        problems.emplace_back("doc must be specified if doc_as_upsert is enabled");
    if (request.if_seq_no >= 0) {
        if (request.retry_on_conflict > 0)
            problems.emplace_back("compare and write operations can not be retried");
        if (update.doc_as_upsert)
            problems.emplace_back("compare and write operations can not be used with upsert");
        if (!update.upsert.empty())
            problems.emplace_back(
                "upsert requests don't support `if_seq_no` and `if_primary_term`");
    }
    if (!problems.empty()) throw action_validation(problems);
}

/// Objects into each other, everything else replaced.
Value merged(Value into, Value from, Arena& arena) {
    if (!into.is_object() || !from.is_object()) return from;
    auto* result = arena.make<Object>();
    result->reserve(into.as_object().size() + from.as_object().size(), arena);
    for (const auto& member : into.as_object())
        result->push_back(member.name(), member.value, arena);
    for (const auto& member : from.as_object()) {
        const Value* there = into.as_object().get(member.name());
        result->set(member.name(),
                    there == nullptr ? member.value : merged(*there, member.value, arena), arena);
    }
    return Value::object(result);
}

}  // namespace

DocumentUpdate DocumentUpdate::parse(WriteRequest& request) {
    JsonBody body;
    body.parse(request.source);
    DocumentUpdate update;
    for (const document::Member& member : body.root())
        read_member(member, update, request);
    check(update, request);
    return update;
}

std::optional<std::string> DocumentUpdate::apply(const std::string& document) const {
    Arena arena;
    const auto old = parse_stored(document, arena);
    const auto changes = parse_stored(doc, arena);
    if (!old || !changes) throw parsing_error("the stored document is no JSON; index it again");
    const Value now = merged(*old, *changes, arena);
    if (detect_noop && document::equal(*old, now)) return std::nullopt;
    return json_text(now);
}

}  // namespace penstock::serve
