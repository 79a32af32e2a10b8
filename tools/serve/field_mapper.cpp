#include "tools/serve/field_mapper.h"

#include "tools/serve/json_body.h"

namespace penstock::serve {

void FieldMapper::map(const std::string& index, std::string_view id, std::string_view source,
                      const TemplateNames& names) {
    const DynamicTemplates* templates = templates_of(index, !names.empty());
    if (templates == nullptr) return;
    document::Arena arena;
    const auto document = parse_stored(source, arena);
    if (!document) return;  // which the index says
    const auto added = templates->additions(*document, id, names);
    if (!added) return;
    indices_.put_mappings(index, added->json());
    templates_.erase(index);
}

const DynamicTemplates* FieldMapper::templates_of(const std::string& index, bool named) {
    const auto known = templates_.find(index);
    if (known != templates_.end() && (known->second || !named)) return known->second.get();
    std::unique_ptr<const DynamicTemplates> made;
    const auto metadata = indices_.metadata(index);
    if (metadata && (named || DynamicTemplates::are_in(metadata->mappings)))
        made = std::make_unique<const DynamicTemplates>(
            JsonTree::parse(metadata->mappings), indices_.store().info(index).fields,
            field_limit(settings_of(metadata->settings)));
    return templates_.insert_or_assign(index, std::move(made)).first->second.get();
}

}  // namespace penstock::serve
