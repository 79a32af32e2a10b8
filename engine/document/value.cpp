#include "engine/document/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/document/json.h"

namespace penstock::document {

double Value::to_double() const {
    if (kind_ == Kind::integer) return static_cast<double>(as_.integer);
    if (kind_ == Kind::floating) return as_.floating;
    if (kind_ != Kind::number) return std::numeric_limits<double>::quiet_NaN();
    double value = 0;
    auto [end, error] = std::from_chars(as_.text, as_.text + size_, value);
    if (error == std::errc::result_out_of_range) {
        // from_chars leaves the value alone: tell overflow from underflow by strtod, which needs a
        // terminator.
        return std::strtod(std::string(as_.text, size_).c_str(), nullptr);
    }
    return value;
}

void Array::reserve(std::size_t count, Arena& arena) {
    if (count <= capacity_) return;
    std::size_t capacity = std::max<std::size_t>({count, capacity_ * 2ul, 4});
    Value* items = arena.allocate_array<Value>(capacity);
    std::copy(items_, items_ + size_, items);
    items_ = items;
    capacity_ = static_cast<std::uint32_t>(capacity);
}

void Array::insert(std::size_t at, Value value, Arena& arena) {
    push_back(value, arena);
    std::rotate(items_ + at, items_ + size_ - 1, items_ + size_);
}

void Array::erase(std::size_t at) {
    std::copy(items_ + at + 1, items_ + size_, items_ + at);
    --size_;
}

std::uint32_t Key::hash_of(std::string_view name) {
    // FNV-1a in 8-byte strides: keys are short, and the hash only has to tell the members of one
    // object apart. The final multiplication spreads the high bits for the index of large objects.
    std::uint64_t hash = 0xcbf29ce484222325u ^ name.size();
    const char* at = name.data();
    std::size_t left = name.size();
    for (; left >= 8; at += 8, left -= 8) {
        std::uint64_t word;
        std::memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    if (left > 0) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, left);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return static_cast<std::uint32_t>(hash * 0xff51afd7ed558ccdu >> 32);
}

std::size_t Object::find(const Key& key) const {
    auto matches = [&](const Member& member) {
        return member.hash == key.hash && member.key_size == key.text.size() &&
               (key.text.empty() ||
                std::memcmp(member.key_data, key.text.data(), key.text.size()) == 0);
    };
    if (index_ == nullptr) {
        for (std::uint32_t i = 0; i < size_; ++i) {
            if (matches(members_[i])) return i;
        }
        return npos;
    }
    for (std::uint32_t slot = key.hash & index_mask_; index_[slot] != 0;
         slot = (slot + 1) & index_mask_) {
        if (matches(members_[index_[slot] - 1])) return index_[slot] - 1;
    }
    return npos;
}

void Object::reserve(std::size_t count, Arena& arena) {
    if (count <= capacity_) return;
    std::size_t capacity = std::max<std::size_t>({count, capacity_ * 2ul, 4});
    Member* members = arena.allocate_array<Member>(capacity);
    std::copy(members_, members_ + size_, members);
    members_ = members;
    capacity_ = static_cast<std::uint32_t>(capacity);
    if (capacity_ > indexed_from) build_index(arena);
}

void Object::build_index(Arena& arena) {
    std::uint32_t slots = 64;
    while (slots < capacity_ * 2u)
        slots *= 2;
    index_ = arena.allocate_array<std::uint32_t>(slots);
    index_mask_ = slots - 1;
    std::fill(index_, index_ + slots, 0);
    for (std::uint32_t i = 0; i < size_; ++i)
        index_put(i);
}

void Object::index_put(std::uint32_t at) {
    std::uint32_t slot = members_[at].hash & index_mask_;
    while (index_[slot] != 0)
        slot = (slot + 1) & index_mask_;
    index_[slot] = at + 1;
}

void Object::set(const Key& key, Value value, Arena& arena) {
    std::size_t at = find(key);
    if (at != npos) {
        members_[at].value = value;
    } else {
        push_back(key, value, arena);
    }
}

void Object::push_back(const Key& key, Value value, Arena& arena) {
    if (size_ == capacity_) reserve(size_ + 1, arena);
    members_[size_] = {key.text.data(), static_cast<std::uint32_t>(key.text.size()), key.hash,
                       value};
    ++size_;
    if (index_ != nullptr) index_put(size_ - 1);
}

void Object::insert(std::size_t at, const Key& key, Value value, Arena& arena) {
    push_back(key, value, arena);
    if (at + 1 == size_) return;
    std::rotate(members_ + at, members_ + size_ - 1, members_ + size_);
    if (index_ != nullptr) {
        std::fill(index_, index_ + index_mask_ + 1, 0);
        for (std::uint32_t i = 0; i < size_; ++i)
            index_put(i);
    }
}

void Object::erase(std::size_t at) {
    std::copy(members_ + at + 1, members_ + size_, members_ + at);
    --size_;
    if (index_ != nullptr) {
        std::fill(index_, index_ + index_mask_ + 1, 0);
        for (std::uint32_t i = 0; i < size_; ++i)
            index_put(i);
    }
}

namespace {

Value clone_scalar(Value value, Arena& arena) {
    if (value.is_string()) return Value::string(value.as_string(), arena);
    if (value.kind() == Kind::number) return Value::number(arena.copy(value.as_string()));
    return value;
}

}  // namespace

Value clone(Value root, Arena& arena) {
    // A work list instead of recursion: documents come from outside and may be as deep as the
    // parser allows.
    struct Pending {
        Value from;
        Array* array;
        Object* object;
    };
    std::vector<Pending> pending;
    auto copy = [&](Value from) {
        if (from.is_array()) {
            Array* array = arena.make<Array>();
            array->reserve(from.as_array().size(), arena);
            pending.push_back({from, array, nullptr});
            return Value::array(array);
        }
        if (from.is_object()) {
            Object* object = arena.make<Object>();
            object->reserve(from.as_object().size(), arena);
            pending.push_back({from, nullptr, object});
            return Value::object(object);
        }
        return clone_scalar(from, arena);
    };
    Value result = copy(root);
    while (!pending.empty()) {
        Pending next = pending.back();
        pending.pop_back();
        if (next.array != nullptr) {
            for (const Value& item : next.from.as_array())
                next.array->push_back(copy(item), arena);
        } else {
            for (const Member& member : next.from.as_object()) {
                Key key(arena.copy(member.key()), member.hash);
                next.object->push_back(key, copy(member.value), arena);
            }
        }
    }
    return result;
}

namespace {

/// Of one kind, neither list nor object.
bool equal_scalars(Value a, Value b) {
    switch (a.kind()) {
        case Kind::boolean:
        case Kind::integer:
            return a.as_integer() == b.as_integer();
        case Kind::floating:
            return a.as_floating() == b.as_floating();
        case Kind::number:
        case Kind::string:
            return a.as_string() == b.as_string();
        default:
            return true;
    }
}

bool is_container(Value value) {
    return value.is_array() || value.is_object();
}

}  // namespace

bool equal(Value a, Value b) {
    if (a.kind() != b.kind()) return false;
    if (!is_container(a)) return equal_scalars(a, b);
    std::vector<std::pair<Value, Value>> pending{{a, b}};
    while (!pending.empty()) {
        auto [left, right] = pending.back();
        pending.pop_back();
        if (left.kind() != right.kind()) return false;
        if (left.is_array()) {
            if (left.as_array().size() != right.as_array().size()) return false;
            for (std::size_t i = 0; i < left.as_array().size(); ++i)
                pending.emplace_back(left.as_array()[i], right.as_array()[i]);
        } else if (left.is_object()) {
            if (left.as_object().size() != right.as_object().size()) return false;
            for (const Member& member : left.as_object()) {
                const Value* other = right.as_object().get(member.name());
                if (other == nullptr) return false;
                pending.emplace_back(member.value, *other);
            }
        } else if (!equal_scalars(left, right)) {
            return false;
        }
    }
    return true;
}

std::string_view java_type_name(Value value) {
    switch (value.kind()) {
        case Kind::null:
            return "null";
        case Kind::boolean:
            return "java.lang.Boolean";
        case Kind::integer:
            return value.as_integer() >= std::numeric_limits<std::int32_t>::min() &&
                           value.as_integer() <= std::numeric_limits<std::int32_t>::max()
                       ? "java.lang.Integer"
                       : "java.lang.Long";
        case Kind::floating:
            return "java.lang.Double";
        case Kind::number:
            return value.as_string().find_first_of(".eE") == std::string_view::npos
                       ? "java.math.BigInteger"
                       : "java.lang.Double";
        case Kind::string:
            return "java.lang.String";
        case Kind::array:
            return "java.util.ArrayList";
        case Kind::object:
            return "java.util.HashMap";
    }
    return "null";
}

namespace {

void append_scalar(Value value, std::string& out) {
    switch (value.kind()) {
        case Kind::boolean:
            out += value.as_boolean() ? "true" : "false";
            break;
        case Kind::integer: {
            char text[24];
            out.append(text, std::to_chars(text, text + sizeof text, value.as_integer()).ptr);
            break;
        }
        case Kind::floating:
            append_double(value.as_floating(), out);
            break;
        case Kind::number:
        case Kind::string:
            out += value.as_string();
            break;
        default:
            out += "null";
    }
}

}  // namespace

void append_java_string(Value root, std::string& out) {
    if (!is_container(root)) return append_scalar(root, out);
    // Either a value to write or, when `literal` is set, text between values.
    struct Piece {
        Value value;
        std::string_view literal;
    };
    std::vector<Piece> pending{{root, {}}};
    while (!pending.empty()) {
        Piece piece = pending.back();
        pending.pop_back();
        Value value = piece.value;
        if (piece.literal.data() != nullptr) {
            out += piece.literal;
        } else if (value.is_array()) {
            const Array& array = value.as_array();
            pending.push_back({{}, "]"});
            for (std::size_t i = array.size(); i-- > 0;) {
                pending.push_back({array[i], {}});
                if (i > 0) pending.push_back({{}, ", "});
            }
            pending.push_back({{}, "["});
        } else if (value.is_object()) {
            const Object& object = value.as_object();
            pending.push_back({{}, "}"});
            for (std::size_t i = object.size(); i-- > 0;) {
                pending.push_back({object[i].value, {}});
                pending.push_back({{}, "="});
                if (object[i].key_size > 0) pending.push_back({{}, object[i].key()});
                if (i > 0) pending.push_back({{}, ", "});
            }
            pending.push_back({{}, "{"});
        } else {
            append_scalar(value, out);
        }
    }
}

}  // namespace penstock::document
