// JSON as text with byte positions, what a DOM would lose, and Base64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::io {

/// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 pass as they are.
void append_json_string(std::string& out, std::string_view text);
bool is_valid_utf8(std::string_view text);
/// RFC 4648; `url_safe` uses - and _ and no padding.
std::string base64(std::string_view bytes, bool url_safe);
/// Accepts both alphabets, with or without padding; nothing when it is not Base64.
std::optional<std::string> base64_decode(std::string_view text);
/// Time now as 2026-01-31T10:20:30.123Z.
std::string timestamp_now();
/// The content of a raw JSON string (what lies between the quotes). Lone surrogates become U+FFFD.
std::string unescape(std::string_view raw);

/// A validating walk over one JSON text (RFC 8259, valid UTF-8, at most kMaxDepth levels). Errors
/// stick: after the first one every call returns false or an empty view, so loops end by
/// themselves; ask ok() at the end.
class JsonCursor {
  public:
    enum class Kind { object, array, string, number, boolean, null, none };
    /// `values`: also that every escape is a whole character and every number fits a double, as
    /// document::JsonParser and whoever reads the text with it want them.
    enum class Check { syntax, values };
    static constexpr int kMaxDepth = 1000;

    explicit JsonCursor(std::string_view text, Check check = Check::syntax)
        : text_(text), check_(check) {}

    Kind kind();
    /// enter() consumes the bracket. Then call next_* with the same `first` (initially true) until
    /// it is false; it consumes the closing bracket.
    bool enter();
    bool next_member(bool& first, std::string_view& raw_key);
    bool next_element(bool& first);
    std::string_view string();
    std::string_view number();
    void skip();
    /// True when only white space is left.
    bool finished();

    std::size_t offset() const { return pos_; }
    bool ok() const { return error_.empty(); }
    const std::string& error() const { return error_; }

  private:
    void white_space();
    bool fail(const char* what);
    bool expect(char c, const char* what);
    bool separator(bool& first, char close);
    void literal(std::string_view word);
    void escape();
    unsigned unicode_escape();

    std::string_view text_;
    Check check_;
    std::size_t pos_ = 0;
    int depth_ = 0;
    std::string error_;
};

/// A flat JSON object as text by name: strings unescaped, other values as they are written. Nothing
/// when it is not one.
using FlatObject = std::map<std::string, std::string, std::less<>>;
std::optional<FlatObject> parse_flat(std::string_view text);
/// Appends `"name":"text",` or `"name":number,`; close with finish_object.
void append_member(std::string& out, std::string_view name, std::string_view text);
void append_member(std::string& out, std::string_view name, std::int64_t number);
/// Replaces the last comma by the closing brace.
void finish_object(std::string& out);

}  // namespace penstock::io
