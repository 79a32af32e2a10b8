// What queries take fields for: mappings, and what documents brought. Private to engine/io.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index_impl.h"
#include "engine/io/values.h"

namespace penstock::io {

/// A field as a query names it ("title.keyword"), resolved.
struct FieldRef {
    std::string path;  ///< of its values in the source: "title"
    ValueType type = ValueType::unknown;
    const Field* stored = nullptr;  ///< what the index keeps of `path`, if anything
};

/// "a.b" lies below "a".
bool lies_below(std::string_view path, std::string_view parent);

class FieldTypes {
  public:
    /// `mappings`: as Elasticsearch's JSON; `complete`: every field that a document brought is
    /// among `known`.
    FieldTypes(std::vector<Field> known, std::string_view mappings, bool complete);

    /// Of an alias, what it stands for; an alias of an alias is unknown.
    FieldRef resolve(std::string_view name) const;
    /// Neither mapped nor brought by any document, nor the parent of one that is.
    bool absent(std::string_view name) const;
    const std::vector<Field>& known() const { return known_; }
    /// Paths of all fields that are searched as words, and those taken as a whole.
    std::vector<std::string> names(ValueType type) const;

  private:
    struct Mapped {
        ValueType type = ValueType::unknown;
        std::string path;
        bool is_alias = false;
    };
    FieldRef resolve_directly(std::string_view name) const;
    void read_properties(const document::Object& properties, const std::string& prefix);
    void read_field(const document::Object& field, const std::string& path,
                    const std::string& source);
    const Field* find(std::string_view path) const;

    std::vector<Field> known_;
    std::map<std::string, const Field*, std::less<>> by_path_;
    std::map<std::string, Mapped, std::less<>> mapped_;
    bool complete_;
};

}  // namespace penstock::io
