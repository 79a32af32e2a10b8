// Mappings for the new fields of documents, by the templates of their indices.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tools/serve/dynamic_templates.h"
#include "tools/serve/index_registry.h"

namespace penstock::serve {

/// Used before documents are written; keeps what it has learned about indices. Not thread-safe; its
/// functions block.
class FieldMapper {
  public:
    /// `indices` outlives it.
    explicit FieldMapper(IndexRegistry& indices) : indices_(indices) {}

    /// Puts the mappings that the document's new fields are to have. Throws ApiError for a document
    /// that cannot be written because of them, and penstock::Error as the store does.
    void map(const std::string& index, std::string_view id, std::string_view source,
             const TemplateNames& names = {});

  private:
    const DynamicTemplates* templates_of(const std::string& index, bool named);

    IndexRegistry& indices_;
    /// By index; null: its mappings have none.
    std::map<std::string, std::unique_ptr<const DynamicTemplates>> templates_;
};

}  // namespace penstock::serve
