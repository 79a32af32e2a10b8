#include "tools/serve/json_body.h"

#include "engine/document/json_writer.h"
#include "engine/pipeline/definition.h"
#include "tools/serve/api_error.h"
#include "tools/serve/node_json.h"
#include "tools/serve/response_format.h"

namespace penstock::serve {

using document::Value;

boost::asio::awaitable<void> JsonBody::read(const Request& request) {
    std::string text = co_await request.body->read_all();
    if (text.empty()) {
        const std::string* source = request.query.find("source");
        if (source != nullptr) text = *source;
    }
    if (is_yaml(request) && !text.empty()) text = yaml_to_json(text);
    parse(std::move(text));
}

void JsonBody::parse(std::string text) {
    text_ = std::move(text);
    empty_ = text_.find_first_not_of(" \t\r\n") == std::string::npos;
    if (empty_) {
        root_ = Value::object(arena_.make<document::Object>());
        return;
    }
    document::JsonParser parser;
    document::JsonError error;
    document::JsonOptions options;
    options.borrow_text = true;
    if (!parser.parse(text_, arena_, root_, error, options))
        throw ApiError(400, "x_content_parse_exception", error.text());
    if (!root_.is_object()) throw parsing_error("the body must be a JSON object");
}

const Value* JsonBody::find(std::string_view name) const {
    return member(root_.as_object(), name);
}

const Value* member(const document::Object& object, std::string_view name) {
    const Value* found = object.get(name);
    return found == nullptr || found->is_null() ? nullptr : found;
}

std::string json_text(Value value) {
    std::string out;
    document::write_json(value, out);
    return out;
}

std::string content_of(Value value) {
    return value.is_string() ? std::string(value.as_string()) : json_text(value);
}

std::optional<Value> parse_stored(std::string_view source, document::Arena& arena) {
    document::JsonError error;
    document::JsonOptions options;
    options.allow_duplicate_keys = true;
    options.borrow_text = true;
    Value value;
    if (!document::JsonParser().parse(source, arena, value, error, options)) return std::nullopt;
    return value;
}

std::string needed_body(std::string body) {
    if (body.find_first_not_of(" \t\r\n") == std::string::npos)
        throw ApiError(400, "parse_exception", "request body is required");
    return body;
}

std::string yaml_to_json(std::string_view yaml) {
    pipeline::Diagnostics diagnostics;
    const auto node = pipeline::parse_node(yaml, "", diagnostics);
    if (!node || diagnostics.has_errors())
        throw ApiError(400, "x_content_parse_exception", diagnostics.text());
    return to_json(*node);
}

}  // namespace penstock::serve
