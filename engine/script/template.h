// Mustache templates, as Elasticsearch's ingest pipelines use them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/document.h"

namespace penstock::script {

/// How `{{x}}` escapes what it inserts; `{{{x}}}` and `{{&x}}` never escape. An option `media_type`
/// of the step chooses.
enum class MediaType : std::uint8_t {
    json,
    plain,
    form
};  // application/json, text/plain, x-www-form-urlencoded

/// A template compiled once: literal text, variables, sections, inverted sections, comments,
/// delimiter changes. Variables are looked up in the document as Elasticsearch's template model has
/// them: fields by dotted path, metadata by name, `_source`, `_ingest`; list elements by index, a
/// list's length as `list.size`; `.` in a section is the current element. A name with dots is tried
/// as one field name first, then part by part, in the innermost section first. A missing variable,
/// or an index out of bounds, renders as nothing.
///
/// Values print as in Elasticsearch, whose engine is mustache.java with Java's toString: 1.0, {a=1,
/// b=[x, y]}, and a list as {0=x, 1=y}. For JSON there is `{{#toJson}}name{{/toJson}}`; further
/// functions are `{{#join}}name{{/join}}` (commas; what is not a list prints the name itself, as
/// there), `{{#join delimiter='; '}}name{{/join}}` and
/// `{{#url}}...{{/url}}`. False, the empty string, the empty list and null are false for sections;
/// 0 and {} are true. Immutable and thread-safe.
class Template {
  public:
    /// Throws penstock::Error with the column of the mistake (unclosed tag or section, unknown tag
    /// kind, partials).
    static Template compile(std::string_view text, MediaType media_type = MediaType::json);

    Template();
    ~Template();
    Template(Template&&) noexcept;
    Template& operator=(Template&&) noexcept;

    /// Whether the text has no tags: then `text()` is the result.
    bool is_constant() const;
    const std::string& text() const;
    /// Appends the rendering for `document` to `out`.
    void render(const document::Document& document, std::string& out) const;

    /// Whether `text` has a tag at all.
    static bool has_tags(std::string_view text) {
        return text.find("{{") != std::string_view::npos;
    }

  private:
    struct Program;
    std::unique_ptr<const Program> program_;
};

/// Any JSON value whose strings may be templates, as the `value` of `set` and `append`: constants
/// are prepared, strings with tags are rendered for each document. Immutable and thread-safe.
class ValueTemplate {
  public:
    /// Copies `value`. Throws as Template::compile does.
    static ValueTemplate compile(document::Value value, MediaType media_type = MediaType::json);

    ValueTemplate();
    ~ValueTemplate();
    ValueTemplate(ValueTemplate&&) noexcept;
    ValueTemplate& operator=(ValueTemplate&&) noexcept;

    bool is_constant() const;
    /// The value for `document`, in its arena: free to be put into it. A constant string is shared,
    /// not copied.
    document::Value resolve(document::Document& document) const;

  private:
    struct Program;
    std::unique_ptr<const Program> program_;
};

/// A field path that may hold template tags: a path prepared once, or rendered and parsed for each
/// document.
class FieldTemplate {
  public:
    /// Throws penstock::Error for a bad template or a bad constant path.
    static FieldTemplate compile(std::string_view text,
                                 document::AccessPattern access = document::AccessPattern::classic);

    FieldTemplate();
    ~FieldTemplate();
    FieldTemplate(FieldTemplate&&) noexcept;
    FieldTemplate& operator=(FieldTemplate&&) noexcept;

    bool is_constant() const { return template_ == nullptr; }
    /// The path of a constant one.
    const document::FieldPath& constant() const { return path_; }
    /// The path for `document`. `scratch` holds it when it had to be rendered. A failure when the
    /// rendered text is not a path.
    document::Result<const document::FieldPath*> resolve(const document::Document& document,
                                                         document::FieldPath& scratch) const;
    /// As written.
    const std::string& text() const { return text_; }

  private:
    std::string text_;
    document::AccessPattern access_ = document::AccessPattern::classic;
    document::FieldPath path_;
    std::unique_ptr<const Template> template_;
};

}  // namespace penstock::script
