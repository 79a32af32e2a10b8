// What mappings say to whoever writes documents. Private to engine/io.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/document/value.h"
#include "engine/io/join_field.h"
#include "engine/io/values.h"

namespace penstock::io {

class MappedFields {
  public:
    MappedFields() = default;
    /// Elasticsearch's JSON. What cannot be read maps nothing.
    explicit MappedFields(std::string_view mappings);

    bool contains(std::string_view path) const { return entries_.contains(path); }
    /// Its values are searched word by word.
    bool is_text(std::string_view path) const;
    /// Some object does not take every field, as `treat` tells.
    bool has_rules() const { return has_rules_; }
    /// What becomes of a field that a document brings: it is indexed, it refuses the document
    /// (`"dynamic": "strict"`), or its value is only kept in the source (`"dynamic": false`, and
    /// what lies in an object that is not `enabled`).
    enum class Treatment { index, refuse, keep_only };
    Treatment treat(std::string_view path) const;
    /// Null: no document is another's parent.
    const JoinField* join() const { return join_ ? &*join_ : nullptr; }

  private:
    struct Entry {
        ValueType type = ValueType::unknown;
        bool has_fields = false;                ///< an object whose members are fields
        Treatment unmapped = Treatment::index;  ///< what becomes of members that are not mapped
    };
    void read_object(const document::Object& object, const std::string& path, Treatment unmapped);
    void read_field(const document::Object& field, const std::string& path, Treatment unmapped);
    bool is_above_some(std::string_view path) const;

    std::map<std::string, Entry, std::less<>> entries_;  ///< by path; the root is ""
    std::optional<JoinField> join_;
    bool has_rules_ = false;
};

}  // namespace penstock::io
