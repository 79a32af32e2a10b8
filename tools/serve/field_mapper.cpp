#include "tools/serve/field_mapper.h"

#include <optional>

#include "tools/serve/json_body.h"

namespace penstock::serve {

void FieldMapper::map(const std::string& index, std::string_view id, std::string_view source,
                      const TemplateNames& names) {
    document::Arena arena;
    std::optional<document::Value> document;
    for (bool again = false;; again = true) {
        const DynamicTemplates* templates = templates_of(index, !names.empty());
        if (templates == nullptr) return;
        if (!document) document = parse_stored(source, arena);
        if (!document) return;  // which the index says
        const auto added = templates->additions(*document, id, names);
        if (!added) return;
        templates_.erase(index);
        try {
            return indices_.put_mappings(index, added->json());
        } catch (const ApiError&) {
            if (again) throw;  // else somebody may have mapped the field otherwise meanwhile
        }
    }
}

const DynamicTemplates* FieldMapper::templates_of(const std::string& index, bool named) {
    const auto known = templates_.find(index);
    if (known != templates_.end() && (known->second || !named)) return known->second.get();
    std::unique_ptr<const DynamicTemplates> made;
    const auto metadata = indices_.metadata(index);
    if (metadata && (named || DynamicTemplates::are_in(metadata->mappings))) {
        JsonTree mappings = JsonTree::parse(metadata->mappings);
        try {
            check_dynamic_templates(mappings);
        } catch (const ApiError&) {
            mappings.remove("dynamic_templates");  // earlier versions kept whatever there was
        }
        made = std::make_unique<const DynamicTemplates>(
            std::move(mappings), indices_.store().info(index).fields,
            field_limit(settings_of(metadata->settings)));
    }
    return templates_.insert_or_assign(index, std::move(made)).first->second.get();
}

}  // namespace penstock::serve
