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
    /// Some object takes no fields that it does not map (`"dynamic": "strict"`).
    bool is_strict() const { return is_strict_; }
    /// False for a field that such an object does not have.
    bool admits(std::string_view path) const;
    /// Null: no document is another's parent.
    const JoinField* join() const { return join_ ? &*join_ : nullptr; }

  private:
    struct Entry {
        ValueType type = ValueType::unknown;
        bool has_fields = false;  ///< an object whose members are fields
        bool strict = false;
    };
    void read_object(const document::Object& object, const std::string& path, bool strict);
    void read_field(const document::Object& field, const std::string& path, bool strict);

    std::map<std::string, Entry, std::less<>> entries_;  ///< by path; the root is ""
    std::optional<JoinField> join_;
    bool is_strict_ = false;
};

}  // namespace penstock::io
