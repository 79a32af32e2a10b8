// A document: what processors see and change.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/failure.h"
#include "engine/document/path.h"
#include "engine/document/value.h"

namespace penstock::document {

/// The JSON source, its metadata and its ingest metadata. Changed only through the functions here,
/// each of which does all or nothing and notes how to undo it: `mark` and `roll_back` give every
/// step of a pipeline the same promise.
///
/// Values that are put in are kept as they are, not copied: they must live in `arena()`, in the
/// batch's input, or as long as the pipeline (its constants). A constant array or object must be
/// cloned first, since later steps may change it in place. Values that are read stay valid until
/// the document changes.
///
/// Field semantics and error texts are Elasticsearch's (IngestDocument); see path.h for paths. Not
/// thread-safe.
class Document {
  public:
    explicit Document(Arena& arena);
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;
    Document(Document&&) = default;

    Arena& arena() { return *arena_; }

    // ---- reading

    /// The field, or nullptr when any part of the path is absent. Builds no message.
    const Value* find(const FieldPath& path) const;
    bool has(const FieldPath& path) const { return find(path) != nullptr; }
    /// The field, or the failure that says which part of the path is absent.
    Result<Value> get(const FieldPath& path) const;

    Value source() const { return source_; }
    Value ingest() const { return ingest_; }
    Value meta(Meta which) const { return meta_[static_cast<std::size_t>(which)]; }

    // ---- changing

    /// Writes the field, making missing parent objects.
    Outcome set(const FieldPath& path, Value value);
    /// Appends to a list; a scalar becomes a list first, a missing field a new one. An array in
    /// `value` is appended element by element. Without `allow_duplicates` an element that is there
    /// already is left out.
    Outcome append(const FieldPath& path, Value value, bool allow_duplicates = true);
    /// Fails when absent.
    Outcome remove(const FieldPath& path);
    /// Moves a value; fails when `from` is absent or `to` is there (unless `override_target`). The
    /// value itself is not copied.
    Outcome move(const FieldPath& from, const FieldPath& to, bool override_target = false);

    void set_source(Value object);
    void set_meta(Meta which, Value value);
    /// Writes one member of `_ingest`.
    void set_ingest(std::string_view key, Value value);
    void remove_ingest(std::string_view key);

    // ---- undo

    /// The point to which `roll_back` returns.
    std::size_t mark() const { return journal_.size(); }
    /// Undoes every change since `mark`, last first.
    void roll_back(std::size_t mark);
    /// Forgets how to undo what was done so far.
    void commit() { journal_.clear(); }

    // ---- identity in its batch

    /// The document's original text, for the dead letter; empty when there is none.
    std::string_view original;
    /// Where it came from, for people ("speeches.ndjson:12"), and its number in the batch.
    std::string_view location;
    std::uint32_t slot = 0;

  private:
    /// One change and what was there before. Containers live in the arena; roots are told by number
    /// because a Document may move.
    struct Undo {
        enum class What : std::uint8_t {
            member_added,
            member_assigned,
            member_erased,
            item_assigned,
            item_erased,
            items_added,
            root_assigned,
        } what;
        std::uint32_t at;  // position, or the size before, or the root's number
        Object* object;
        Array* array;
        Key key;
        Value old;
    };

    Value& root(const FieldPath& path);
    const Value& root(const FieldPath& path) const {
        return const_cast<Document*>(this)->root(path);  // NOLINT: the same lookup, nothing changes
    }
    std::uint32_t root_number(const FieldPath& path) const;
    Value& root_at(std::uint32_t number);

    const void* last_changed() const;
    Outcome set_classic(const FieldPath& path, Value value);
    Outcome set_flexible(const FieldPath& path, Value value);
    Outcome set_root(const FieldPath& path, Value value);
    Outcome set_in(const FieldPath& path, std::string_view leaf, std::int32_t index, Value parent,
                   const Key& key, Value value);
    Value nest(const FieldPath& path, std::size_t from, Value value);

    void change_member(Object& object, const Key& key, Value value);
    void erase_member(Object& object, std::size_t at);
    void change_item(Array& array, std::size_t at, Value value);
    void erase_item(Array& array, std::size_t at);
    void change_root(std::uint32_t number, Value value);
    Key own(const Key& key);

    Arena* arena_;
    Value source_;
    Value ingest_;
    std::array<Value, meta_count> meta_;
    std::vector<Undo> journal_;
};

}  // namespace penstock::document
