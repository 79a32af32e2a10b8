// Whether a document's values fit the types that mappings give their fields. Private to engine/io.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/document/value.h"

namespace penstock::io {

/// Why a document cannot be indexed, in Elasticsearch's words.
struct ValueProblem {
    std::string reason;
    std::string
        cause_type;  ///< of what was wrong with the value itself; empty: nothing more to say
    std::string cause_reason;
};

/// What mappings say themselves; fields that only documents brought take any value. Types whose
/// values are not looked at here (geo_point, dense_vector, ...) take any value too, and so do dates
/// of formats that are not read here.
class MappedValues {
  public:
    MappedValues() = default;
    /// Both as Elasticsearch's JSON. What cannot be read maps nothing.
    MappedValues(std::string_view mappings, std::string_view settings);

    /// Of a document that is well-formed JSON.
    std::optional<ValueProblem> problem(std::string_view source, std::string_view id) const;

  private:
    enum class Kind {
        any,
        object,
        nested,
        whole,
        fraction,
        boolean,
        date,
        date_nanos,
        ip,
        text,
        alias
    };
    struct Node {
        Kind kind = Kind::any;
        std::string type;
        std::string format;               ///< of dates
        std::optional<std::string> only;  ///< of a constant_keyword
        bool ignores_malformed = false;
        bool coerces = true;  ///< texts and fractions are made what the type wants
        std::map<std::string, std::unique_ptr<Node>, std::less<>> members;
    };
    class Walk;

    static Kind kind_of(std::string_view type);
    void read_settings(std::string_view settings);
    void read_members(const document::Object& properties, Node& node, int depth) const;
    void read_field(const document::Object& field, Node& node, int depth) const;
    static const Node* find(const Node& node, std::string_view name);

    std::unique_ptr<Node> root_;  ///< null: nothing is mapped
    bool ignores_malformed_ = false;
    bool coerces_ = true;
    std::size_t nested_limit_ = 10'000;
};

}  // namespace penstock::io
