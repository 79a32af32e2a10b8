// A request's body as JSON values.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "engine/document/json.h"
#include "tools/serve/http_message.h"

namespace penstock::serve {

/// The text and the values that point into it. Not copied, not moved.
class JsonBody {
  public:
    JsonBody() = default;
    JsonBody(const JsonBody&) = delete;
    JsonBody& operator=(const JsonBody&) = delete;

    /// Reads the whole body, JSON or (by its Content-Type) YAML. Throws ApiError 400 when it is
    /// neither, or no object. Without a body the root is an empty object and `empty()` is true.
    boost::asio::awaitable<void> read(const Request& request);
    /// The same for text. Throws ApiError 400.
    void parse(std::string text);

    bool empty() const { return empty_; }
    const document::Object& root() const { return root_.as_object(); }
    document::Arena& arena() { return arena_; }

    /// A member, or null when absent or null itself.
    const document::Value* find(std::string_view name) const;

  private:
    std::string text_;
    document::Arena arena_;
    document::Value root_;
    bool empty_ = true;
};

/// A member of an object, or null when absent or null itself.
const document::Value* member(const document::Object& object, std::string_view name);
/// `value` as JSON text.
std::string json_text(document::Value value);
/// A string's content; anything else as JSON text.
std::string content_of(document::Value value);
/// The source of a stored document, whose strings point into `source`; nothing when it is no JSON.
/// Of members of one name, which earlier versions let in, the last counts.
std::optional<document::Value> parse_stored(std::string_view source, document::Arena& arena);
/// The body itself. Throws ApiError 400 when there is nothing in it.
std::string needed_body(std::string body);
/// YAML as JSON text, compact and in its own order. Throws ApiError 400.
std::string yaml_to_json(std::string_view yaml);

}  // namespace penstock::serve
