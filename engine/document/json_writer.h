// JSON written straight into text, without building values first.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/document/json.h"

namespace penstock::document {

/// Appends to a string that it borrows. The caller keeps to the grammar: in an object, key() before
/// every value. Doubles come out as Elasticsearch writes them.
///
///     JsonWriter json(out);
///     json.object([&] { json.member("took", 3); json.member("errors", false); });
class JsonWriter {
  public:
    explicit JsonWriter(std::string& out) : out_(out) {}

    template <class Body>
    void object(Body&& body) {
        begin('{');
        body();
        end('}');
    }
    template <class Body>
    void array(Body&& body) {
        begin('[');
        body();
        end(']');
    }
    JsonWriter& key(std::string_view name) {
        separate();
        write_json_string(name, out_);
        out_.push_back(':');
        comma_ = false;
        return *this;
    }

    void value(std::string_view text) {
        separate();
        write_json_string(text, out_);
    }
    void value(const char* text) { value(std::string_view(text)); }
    void value(const std::string& text) { value(std::string_view(text)); }
    void value(std::same_as<bool> auto flag) { raw(flag ? "true" : "false"); }
    void value(std::integral auto number)
        requires(!std::same_as<decltype(number), bool>)
    {
        raw(std::to_string(number));
    }
    /// JSON has no infinity; null stands for what is not finite.
    void value(double number) {
        if (!std::isfinite(number)) return null();
        separate();
        append_double(number, out_);
    }
    void null() { raw("null"); }
    /// JSON text as it stands.
    void raw(std::string_view json) {
        separate();
        out_.append(json);
    }

    template <class T>
    void member(std::string_view name, const T& content) {
        key(name).value(content);
    }
    void member_raw(std::string_view name, std::string_view json) { key(name).raw(json); }
    template <class Body>
    void member_object(std::string_view name, Body&& body) {
        key(name).object(std::forward<Body>(body));
    }
    template <class Body>
    void member_array(std::string_view name, Body&& body) {
        key(name).array(std::forward<Body>(body));
    }

  private:
    void separate() {
        if (comma_) out_.push_back(',');
        comma_ = true;
    }
    void begin(char bracket) {
        separate();
        out_.push_back(bracket);
        comma_ = false;
    }
    void end(char bracket) {
        out_.push_back(bracket);
        comma_ = true;
    }

    std::string& out_;
    bool comma_ = false;
};

}  // namespace penstock::document
