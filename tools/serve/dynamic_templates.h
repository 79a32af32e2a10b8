// What `dynamic_templates` of mappings make of fields that only documents bring.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/value.h"
#include "engine/io/index.h"
#include "tools/serve/json_tree.h"

namespace penstock::serve {

/// The path of a new field to the name of the template that a write wants for it.
using TemplateNames = std::map<std::string, std::string, std::less<>>;

/// Throws ApiError 400 (mapper_parsing_exception) for templates that cannot be read.
void check_dynamic_templates(const JsonTree& mappings);

class DynamicTemplates {
  public:
    /// Of an index's mappings; `brought` are the fields that its documents have already, which stay
    /// as they are. There are at most `most_fields` in an index. Throws ApiError 400 for a template
    /// that cannot be read.
    DynamicTemplates(JsonTree mappings, const std::vector<io::FieldInfo>& brought,
                     std::size_t most_fields);

    /// Mappings that may have templates for new fields.
    static bool are_in(std::string_view mappings);

    /// {"properties": {...}}: the mappings that the document's new fields are to have before it is
    /// written; nothing when there is none. Throws ApiError 400 for a field that may only come with
    /// a template and has none, for one that is an object where its template is none, and for too
    /// many fields.
    std::optional<JsonTree> additions(document::Value source, std::string_view id,
                                      const TemplateNames& names) const;

  private:
    struct Template {
        std::string name;
        std::vector<std::string> match, unmatch;  ///< patterns of the field's own name
        bool is_regex = false;                    ///< these two are regular expressions
        std::vector<std::string> path_match, path_unmatch;
        std::vector<std::string> types, other_types;
        JsonTree mapping;

        bool is_chosen_by_name_alone() const {
            return match.empty() && path_match.empty() && types.empty();
        }
        bool fits(std::string_view path, std::string_view field, std::string_view type) const;
        bool matches(const std::vector<std::string>& patterns, std::string_view field) const;
    };
    /// What becomes of new fields in an object.
    enum class Dynamic { yes, no, with_template, with_template_or_refused };
    class Walk;

    static Template read(const std::string& name, const JsonTree& body);
    static Dynamic dynamic_of(const JsonTree& object, Dynamic around);
    std::string type_of(document::Value value) const;
    const Template* find(std::string_view path, std::string_view field, std::string_view type,
                         const TemplateNames& names) const;

    JsonTree mappings_;
    std::size_t most_fields_;
    std::vector<Template> templates_;
    std::vector<std::string> brought_;  ///< sorted paths
    bool detects_dates_ = true;
    bool detects_numbers_ = false;
};

}  // namespace penstock::serve
