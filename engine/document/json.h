// JSON text to values and back.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/document/value.h"

namespace penstock::document {

struct JsonOptions {
    bool allow_duplicate_keys =
        false;  ///< the last one wins; otherwise "Duplicate field 'x'" as in Elasticsearch
    bool allow_trailing =
        false;  ///< stop after the first value instead of refusing what follows it
    /// Strings without escapes point into the text, which must then outlive the values; otherwise
    /// all is copied.
    bool borrow_text = false;
    std::uint32_t max_depth = 1000;  ///< levels of arrays and objects; Elasticsearch's own limit
};

struct JsonError {
    std::string message;     ///< complete but for the place: "Duplicate field 'a'"
    std::size_t offset = 0;  ///< bytes from the start
    std::size_t line = 1;
    std::size_t column = 1;    ///< bytes from the start of the line, from 1
    std::string text() const;  ///< with the place: "Duplicate field 'a' at line 1, column 12"
};

/// Strict RFC 8259 JSON: valid UTF-8, no lone surrogates, no NaN. Reusable; keeps its buffers. Not
/// thread-safe.
class JsonParser {
  public:
    JsonParser();
    ~JsonParser();
    JsonParser(JsonParser&&) noexcept;
    JsonParser& operator=(JsonParser&&) noexcept;

    /// False with `error` set when the text is not JSON; then `out` is untouched. `consumed`, when
    /// asked for, is the number of bytes read (the whole text unless allow_trailing).
    bool parse(std::string_view text, Arena& arena, Value& out, JsonError& error,
               const JsonOptions& options = {}, std::size_t* consumed = nullptr);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Compact JSON appended to `out`; doubles as Elasticsearch writes them (871.995, 1.0E10).
void write_json(Value value, std::string& out);
/// Indented by two blanks.
void write_pretty_json(Value value, std::string& out);
void write_json_string(std::string_view text, std::string& out);
/// As Java's Double.toString (JDK 19 and later: the shortest form that reads back as the same
/// double).
void append_double(double value, std::string& out);

}  // namespace penstock::document
