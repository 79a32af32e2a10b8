// Field paths, split once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/failure.h"
#include "engine/document/value.h"

namespace penstock::document {

/// Metadata fields, which a path reaches by name at the root.
enum class Meta : std::uint8_t {
    index,
    id,
    routing,
    version,
    version_type,
    op_type,
    if_seq_no,
    if_primary_term,
    dynamic_templates,
};
inline constexpr std::size_t meta_count = 9;
std::string_view meta_name(Meta meta);  ///< "_index"
/// The metadata field of that name, if it is one.
std::optional<Meta> meta_named(std::string_view name);
/// `key` as a list index; -1 when it is not a non-negative int.
std::int32_t list_index(std::string_view key);

/// What dots mean. classic: always nesting. flexible (Elasticsearch 9.2 and later, a pipeline's
/// `field_access_pattern`): a dotted key that is in the document is found too, the longest match
/// first, and what does not exist yet is written as one dotted key.
enum class AccessPattern : std::uint8_t { classic, flexible };

/// "a.b.0.c", "_id", "_source.a", "_ingest.timestamp": split, with every segment's hash and list
/// index prepared. Immutable and thread-safe; cheap to move, not to copy.
class FieldPath {
  public:
    enum class Root : std::uint8_t { source, meta, ingest };

    struct Segment {
        std::uint32_t begin;  // of the key in text_
        std::uint32_t size;
        std::uint32_t hash;
        std::int32_t index;  // the key as a list index; -1 when it is not a non-negative int
    };

    /// Fails with Elasticsearch's texts: "path cannot be null nor empty", "path [.] is not valid".
    static Result<FieldPath> parse(std::string_view text,
                                   AccessPattern access = AccessPattern::classic);

    /// As written, for messages.
    const std::string& text() const { return text_; }
    Root root() const { return root_; }
    /// Only when root() is meta.
    Meta meta() const { return meta_; }
    AccessPattern access() const { return access_; }
    /// Segments below the root: below the source or _ingest object, or below the metadata field's
    /// value.
    std::size_t size() const { return segments_.size(); }
    const Segment& segment(std::size_t i) const { return segments_[i]; }
    std::string_view key(std::size_t i) const {
        return std::string_view(text_).substr(segments_[i].begin, segments_[i].size);
    }

  private:
    std::string text_;
    std::vector<Segment> segments_;
    Root root_ = Root::source;
    Meta meta_ = Meta::index;
    AccessPattern access_ = AccessPattern::classic;
};

}  // namespace penstock::document
