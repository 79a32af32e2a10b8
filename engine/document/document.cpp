#include "engine/document/document.h"

#include <charconv>

namespace penstock::document {

namespace {

constexpr std::uint32_t source_root = 0;
constexpr std::uint32_t ingest_root = 1;
constexpr std::uint32_t first_meta_root = 2;

std::string part_of(const FieldPath& path) {
    return " as part of path [" + path.text() + "]";
}

std::string bracket(std::string_view text) {
    std::string out = "[";
    out += text;
    out += ']';
    return out;
}

Key key_at(const FieldPath& path, std::size_t i) {
    return {path.key(i), path.segment(i).hash};
}

/// Segments `from`..`last` as one dotted key: they are neighbours in the path's text.
std::string_view joined(const FieldPath& path, std::size_t from, std::size_t last) {
    const auto& first_segment = path.segment(from);
    const auto& last_segment = path.segment(last);
    return std::string_view(path.text())
        .substr(first_segment.begin, last_segment.begin + last_segment.size - first_segment.begin);
}

Failure bad_index(const FieldPath& path, std::string_view key, const Array& list) {
    int parsed = 0;
    auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), parsed);
    if (key.empty() || error != std::errc() || end != key.data() + key.size()) {
        return failure(bracket(key) + " is not an integer, cannot be used as an index" +
                       part_of(path));
    }
    return failure(bracket(key) + " is out of bounds for array with length [" +
                   std::to_string(list.size()) + "]" + part_of(path));
}

/// Why `key` cannot be read below `parent`.
Failure unresolved(const FieldPath& path, std::string_view key, const Value* parent) {
    if (parent == nullptr || parent->is_null()) {
        return failure("cannot resolve " + bracket(key) + " from null" + part_of(path));
    }
    if (parent->is_object())
        return failure("field " + bracket(key) + " not present" + part_of(path));
    if (parent->is_array()) return bad_index(path, key, parent->as_array());
    return failure("cannot resolve " + bracket(key) + " from object of type " +
                   bracket(java_type_name(*parent)) + part_of(path));
}

Failure unsettable(const FieldPath& path, std::string_view key, const Value& parent) {
    if (parent.is_null())
        return failure("cannot set " + bracket(key) + " with null parent" + part_of(path));
    if (parent.is_array()) return bad_index(path, key, parent.as_array());
    return failure("cannot set " + bracket(key) + " with parent object of type " +
                   bracket(java_type_name(parent)) + part_of(path));
}

Failure unremovable(const FieldPath& path, std::string_view key, const Value& parent) {
    if (parent.is_null())
        return failure("cannot remove " + bracket(key) + " from null" + part_of(path));
    if (parent.is_object())
        return failure("field " + bracket(key) + " not present" + part_of(path));
    if (parent.is_array()) return bad_index(path, key, parent.as_array());
    return failure("cannot remove " + bracket(key) + " from object of type " +
                   bracket(java_type_name(parent)) + part_of(path));
}

const Value* child(const Value& parent, const Key& key, std::int32_t index) {
    if (parent.is_object()) return parent.as_object().get(key);
    if (parent.is_array() && index >= 0 &&
        static_cast<std::size_t>(index) < parent.as_array().size()) {
        return &parent.as_array()[static_cast<std::size_t>(index)];
    }
    return nullptr;
}

/// The flexible pattern: among the dotted keys that the rest of the path may begin with, the
/// longest that leads to the end. `parent` and `key` tell where the search ended, for Document's
/// other operations.
struct Found {
    const Value* value = nullptr;
    const Value* parent = nullptr;
    std::string_view key;
    std::int32_t index = -1;
};

Found find_flexible(const FieldPath& path, std::size_t from, const Value& parent) {
    if (parent.is_object()) {
        for (std::size_t last = path.size(); last-- > from;) {
            std::string_view key = joined(path, from, last);
            const Value* value = parent.as_object().get(key);
            if (value == nullptr) continue;
            if (last + 1 == path.size()) return {value, &parent, key, -1};
            Found found = find_flexible(path, last + 1, *value);
            if (found.value != nullptr) return found;
        }
        return {};
    }
    const Value* value = child(parent, key_at(path, from), path.segment(from).index);
    if (value == nullptr) return {};
    if (from + 1 == path.size()) return {value, &parent, path.key(from), path.segment(from).index};
    return find_flexible(path, from + 1, *value);
}

const void* container_of(const Value& value) {
    if (value.is_array()) return &value.as_array();
    if (value.is_object()) return &value.as_object();
    return nullptr;
}

/// Whether `container` is `value` or anywhere below it.
bool holds(Value value, const void* container) {
    std::vector<Value> pending{value};
    while (!pending.empty()) {
        Value next = pending.back();
        pending.pop_back();
        const void* here = container_of(next);
        if (here == nullptr) continue;
        if (here == container) return true;
        if (next.is_array()) {
            for (const Value& item : next.as_array())
                pending.push_back(item);
        } else {
            for (const Member& member : next.as_object())
                pending.push_back(member.value);
        }
    }
    return false;
}

/// What a metadata field may hold; Elasticsearch checks the same when a processor or script assigns
/// one.
bool fits(Meta meta, Value value) {
    switch (meta) {
        case Meta::version:
        case Meta::if_seq_no:
        case Meta::if_primary_term:
            return value.is_number() || value.is_null();
        case Meta::dynamic_templates:
            return value.is_object() || value.is_null();
        default:
            return value.is_string() || value.is_null();
    }
}

std::string_view meta_java_type(Meta meta) {
    if (meta == Meta::dynamic_templates) return "java.util.Map";
    if (meta == Meta::version || meta == Meta::if_seq_no || meta == Meta::if_primary_term)
        return "java.lang.Number";
    return "java.lang.String";
}

}  // namespace

Document::Document(Arena& arena) : arena_(&arena), source_(Value::object(arena.make<Object>())) {}

std::uint32_t Document::root_number(const FieldPath& path) const {
    if (path.root() == FieldPath::Root::source) return source_root;
    if (path.root() == FieldPath::Root::ingest) return ingest_root;
    return first_meta_root + static_cast<std::uint32_t>(path.meta());
}

Value& Document::root_at(std::uint32_t number) {
    if (number == source_root) return source_;
    if (number == ingest_root) return ingest_;
    return meta_[number - first_meta_root];
}

Value& Document::root(const FieldPath& path) {
    return root_at(root_number(path));
}

// ---- reading

const Value* Document::find(const FieldPath& path) const {
    const Value* at = &root(path);
    if (path.size() == 0) return at->is_null() ? nullptr : at;
    if (path.access() == AccessPattern::flexible) return find_flexible(path, 0, *at).value;
    for (std::size_t i = 0; i < path.size(); ++i) {
        at = child(*at, key_at(path, i), path.segment(i).index);
        if (at == nullptr) return nullptr;
    }
    return at;
}

Result<Value> Document::get(const FieldPath& path) const {
    if (const Value* value = find(path)) return *value;
    if (path.size() == 0)
        return failure("field " + bracket(path.text()) + " not present" + part_of(path));
    const Value* at = &root(path);
    for (std::size_t i = 0; i < path.size(); ++i) {
        const Value* next = child(*at, key_at(path, i), path.segment(i).index);
        if (next == nullptr) {
            if (at->is_null() && i == 0)
                return failure("field " + bracket(path.key(0)) + " not present" + part_of(path));
            return unresolved(path, path.key(i), at);
        }
        at = next;
    }
    // The flexible pattern found nothing although the plain walk did: only when a longer key
    // shadows it.
    return failure("field " + bracket(path.text()) + " not present" + part_of(path));
}

// ---- changing

Outcome Document::set(const FieldPath& path, Value value) {
    if (path.size() == 0) return set_root(path, value);
    if (path.root() != FieldPath::Root::source && root(path).is_null()) {
        Value parent = Value::object(arena_->make<Object>());
        if (path.root() == FieldPath::Root::meta && !fits(path.meta(), parent))
            return set_root(path, parent);  // which says what the field may hold
        change_root(root_number(path), parent);
    }
    return path.access() == AccessPattern::flexible ? set_flexible(path, value)
                                                    : set_classic(path, value);
}

Outcome Document::set_root(const FieldPath& path, Value value) {
    Meta which = path.meta();
    if (!fits(which, value)) {
        std::string text;
        append_java_string(value, text);
        return failure(std::string(meta_name(which)) + " [" + text +
                       "] is wrong type, expected assignable to [" +
                       std::string(meta_java_type(which)) + "], not type [" +
                       std::string(java_type_name(value)) + "]");
    }
    change_root(root_number(path), value);
    return Outcome::ok();
}

Outcome Document::set_classic(const FieldPath& path, Value value) {
    Value at = root(path);
    std::size_t last = path.size() - 1;
    for (std::size_t i = 0; i < last; ++i) {
        Key key = key_at(path, i);
        const Value* next = child(at, key, path.segment(i).index);
        if (next == nullptr) {
            if (!at.is_object()) return unresolved(path, path.key(i), &at);
            change_member(at.mutable_object(), key, nest(path, i + 1, value));
            return Outcome::ok();
        }
        at = *next;
    }
    return set_in(path, path.key(last), path.segment(last).index, at, key_at(path, last), value);
}

Outcome Document::set_flexible(const FieldPath& path, Value value) {
    Value at = root(path);
    std::size_t from = 0;
    while (true) {
        if (!at.is_object()) {
            // Only lists are entered by one segment; anything else cannot have children.
            const Value* next = child(at, key_at(path, from), path.segment(from).index);
            if (from + 1 == path.size()) {
                return set_in(path, path.key(from), path.segment(from).index, at,
                              key_at(path, from), value);
            }
            if (next == nullptr) return unresolved(path, path.key(from), &at);
            at = *next;
            ++from;
            continue;
        }
        Key whole(joined(path, from, path.size() - 1));
        const Value* next = nullptr;
        if (at.as_object().find(whole) == Object::npos) {
            for (std::size_t last = path.size() - 1; last-- > from && next == nullptr;) {
                const Value* candidate = at.as_object().get(joined(path, from, last));
                if (candidate == nullptr || !(candidate->is_object() || candidate->is_array()))
                    continue;
                next = candidate;
                from = last + 1;
            }
        }
        if (next == nullptr) {
            change_member(at.mutable_object(), whole, value);
            return Outcome::ok();
        }
        at = *next;
    }
}

Outcome Document::set_in(const FieldPath& path, std::string_view leaf, std::int32_t index,
                         Value parent, const Key& key, Value value) {
    if (parent.is_object()) {
        change_member(parent.mutable_object(), key, value);
        return Outcome::ok();
    }
    if (parent.is_array() && index >= 0 &&
        static_cast<std::size_t>(index) < parent.as_array().size()) {
        change_item(parent.mutable_array(), static_cast<std::size_t>(index), value);
        return Outcome::ok();
    }
    return unsettable(path, leaf, parent);
}

Value Document::nest(const FieldPath& path, std::size_t from, Value value) {
    for (std::size_t i = path.size(); i-- > from;) {
        Object* parent = arena_->make<Object>();
        parent->push_back(own(key_at(path, i)), value, *arena_);
        value = Value::object(parent);
    }
    return value;
}

Outcome Document::append(const FieldPath& path, Value value, bool allow_duplicates) {
    const Value* there = find(path);
    auto add = [&](Array& list, Value item) {
        if (!allow_duplicates) {
            for (const Value& old : list) {
                if (equal(old, item)) return;
            }
        }
        list.push_back(item, *arena_);
    };
    auto add_all = [&](Array& list) {
        if (!value.is_array()) return add(list, value);
        for (const Value& item : value.as_array())
            add(list, item);
    };
    if (there != nullptr && there->is_array()) {
        Array& list = there->mutable_array();
        Undo undo{Undo::What::items_added,
                  static_cast<std::uint32_t>(list.size()),
                  nullptr,
                  &list,
                  Key(std::string_view()),
                  {}};
        journal_.push_back(undo);
        add_all(list);
        return Outcome::ok();
    }
    Array* list = arena_->make<Array>();
    if (there != nullptr) list->push_back(*there, *arena_);
    std::size_t before = list->size();
    add_all(*list);
    if (there != nullptr && list->size() == before)
        return Outcome::ok();  // nothing new: the scalar stays one
    return set(path, Value::array(list));
}

Outcome Document::remove(const FieldPath& path) {
    if (path.size() == 0) {
        if (root(path).is_null())
            return failure("field " + bracket(path.text()) + " not present" + part_of(path));
        if (path.meta() == Meta::index || path.meta() == Meta::version) {
            return failure(path.text() + " cannot be removed");
        }
        change_root(root_number(path), Value::null());
        return Outcome::ok();
    }
    Value parent;
    std::string_view leaf = path.key(path.size() - 1);
    std::int32_t index = path.segment(path.size() - 1).index;
    if (path.access() == AccessPattern::flexible) {
        Found found = find_flexible(path, 0, root(path));
        if (found.value == nullptr) return get(path).error();
        parent = *found.parent;
        leaf = found.key;
        index = found.index;
    } else {
        const Value* at = &root(path);
        for (std::size_t i = 0; i + 1 < path.size(); ++i) {
            const Value* next = child(*at, key_at(path, i), path.segment(i).index);
            if (next == nullptr) return unresolved(path, path.key(i), at);
            at = next;
        }
        parent = *at;
    }
    if (parent.is_object()) {
        std::size_t at = parent.as_object().find(leaf);
        if (at == Object::npos) return unremovable(path, leaf, parent);
        erase_member(parent.mutable_object(), at);
        return Outcome::ok();
    }
    if (parent.is_array() && index >= 0 &&
        static_cast<std::size_t>(index) < parent.as_array().size()) {
        erase_item(parent.mutable_array(), static_cast<std::size_t>(index));
        return Outcome::ok();
    }
    return unremovable(path, leaf, parent);
}

Outcome Document::move(const FieldPath& from, const FieldPath& to, bool override_target) {
    const Value* there = find(from);
    if (there == nullptr) return failure("field " + bracket(from.text()) + " doesn't exist");
    if (!override_target && has(to))
        return failure("field " + bracket(to.text()) + " already exists");
    Value value = *there;
    std::size_t before = mark();
    Outcome outcome = remove(from);
    if (outcome.is_ok()) outcome = set(to, value);
    // A value below itself would be a circle. It can be where foreach has made `_ingest._value` a
    // second handle on an element, or a step has put that handle somewhere else.
    if (outcome.is_ok() && container_of(value) != nullptr && holds(value, last_changed())) {
        outcome = failure("field " + bracket(from.text()) + " cannot be moved into itself: " +
                          bracket(to.text()) + " is a part of it");
    }
    if (outcome.is_failure()) roll_back(before);
    return outcome;
}

void Document::set_source(Value object) {
    change_root(source_root, object);
}

void Document::set_meta(Meta which, Value value) {
    change_root(first_meta_root + static_cast<std::uint32_t>(which), value);
}

void Document::set_ingest(std::string_view key, Value value) {
    if (ingest_.is_null()) change_root(ingest_root, Value::object(arena_->make<Object>()));
    change_member(ingest_.mutable_object(), Key(key), value);
}

void Document::remove_ingest(std::string_view key) {
    if (ingest_.is_null()) return;
    std::size_t at = ingest_.as_object().find(key);
    if (at != Object::npos) erase_member(ingest_.mutable_object(), at);
}

// ---- undo

/// The list or object that the last change went into; none when it was a root.
const void* Document::last_changed() const {
    const Undo& last = journal_.back();
    return last.object != nullptr ? static_cast<const void*>(last.object) : last.array;
}

Key Document::own(const Key& key) {
    // A path may be rendered from a template and die before the document: its keys move to the
    // arena.
    Key copy = key;
    copy.text = arena_->copy(key.text);
    return copy;
}

void Document::change_member(Object& object, const Key& key, Value value) {
    std::size_t at = object.find(key);
    if (at == Object::npos) {
        journal_.push_back({Undo::What::member_added,
                            static_cast<std::uint32_t>(object.size()),
                            &object,
                            nullptr,
                            key,
                            {}});
        object.push_back(own(key), value, *arena_);
    } else {
        journal_.push_back({Undo::What::member_assigned, static_cast<std::uint32_t>(at), &object,
                            nullptr, key, object[at].value});
        object.assign(at, value);
    }
}

void Document::erase_member(Object& object, std::size_t at) {
    Key key = object[at].name();
    journal_.push_back({Undo::What::member_erased, static_cast<std::uint32_t>(at), &object, nullptr,
                        key, object[at].value});
    object.erase(at);
}

void Document::change_item(Array& array, std::size_t at, Value value) {
    journal_.push_back({Undo::What::item_assigned, static_cast<std::uint32_t>(at), nullptr, &array,
                        Key(std::string_view()), array[at]});
    array.assign(at, value);
}

void Document::erase_item(Array& array, std::size_t at) {
    journal_.push_back({Undo::What::item_erased, static_cast<std::uint32_t>(at), nullptr, &array,
                        Key(std::string_view()), array[at]});
    array.erase(at);
}

void Document::change_root(std::uint32_t number, Value value) {
    Value& there = root_at(number);
    journal_.push_back(
        {Undo::What::root_assigned, number, nullptr, nullptr, Key(std::string_view()), there});
    there = value;
}

void Document::roll_back(std::size_t mark) {
    while (journal_.size() > mark) {
        const Undo& undo = journal_.back();
        switch (undo.what) {
            case Undo::What::member_added:
                undo.object->erase(undo.at);
                break;
            case Undo::What::member_assigned:
                undo.object->assign(undo.at, undo.old);
                break;
            case Undo::What::member_erased:
                undo.object->insert(undo.at, undo.key, undo.old, *arena_);
                break;
            case Undo::What::item_assigned:
                undo.array->assign(undo.at, undo.old);
                break;
            case Undo::What::item_erased:
                undo.array->insert(undo.at, undo.old, *arena_);
                break;
            case Undo::What::items_added:
                undo.array->truncate(undo.at);
                break;
            case Undo::What::root_assigned:
                root_at(undo.at) = undo.old;
                break;
        }
        journal_.pop_back();
    }
}

}  // namespace penstock::document
