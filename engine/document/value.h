// A JSON value in an arena.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/document/arena.h"

namespace penstock::document {

class Array;
class Object;

enum class Kind : std::uint8_t {
    null,
    boolean,
    integer,   ///< fits std::int64_t
    floating,  ///< a double whose shortest decimal form is the number that was read
    number,    ///< any other JSON number, kept as its source text: 18446744073709551616,
               ///< 0.10000000000000000001
    string,
    array,
    object,
};

/// A handle of 16 bytes: copying it aliases the same array or object, as copying a pointer does.
/// What it points to lives in an arena (or, for strings, in the batch's input or the pipeline's
/// constants) and is not freed one by one. Arrays and objects that belong to a document are changed
/// through Document alone; code that builds a new value fills the Array or Object that it made.
/// `clone` is the deep copy.
class Value {
  public:
    Value() : kind_(Kind::null), size_(0) { as_.integer = 0; }
    static Value null() { return {}; }
    static Value boolean(bool value) {
        Value v(Kind::boolean);
        v.as_.integer = value;
        return v;
    }
    static Value integer(std::int64_t value) {
        Value v(Kind::integer);
        v.as_.integer = value;
        return v;
    }
    static Value floating(double value) {
        Value v(Kind::floating);
        v.as_.floating = value;
        return v;
    }
    /// `text` is borrowed, and is a valid JSON number.
    static Value number(std::string_view text) { return Value(Kind::number, text); }
    /// `text` is borrowed: it must live as long as the value (Arena::copy makes it so).
    static Value string(std::string_view text) { return Value(Kind::string, text); }
    static Value string(std::string_view text, Arena& arena) { return string(arena.copy(text)); }
    static Value array(const Array* value) {
        Value v(Kind::array);
        v.as_.array = value;
        return v;
    }
    static Value object(const Object* value) {
        Value v(Kind::object);
        v.as_.object = value;
        return v;
    }

    Kind kind() const { return kind_; }
    bool is_null() const { return kind_ == Kind::null; }
    bool is_boolean() const { return kind_ == Kind::boolean; }
    bool is_integer() const { return kind_ == Kind::integer; }
    bool is_number() const {
        return kind_ == Kind::integer || kind_ == Kind::floating || kind_ == Kind::number;
    }
    bool is_string() const { return kind_ == Kind::string; }
    bool is_array() const { return kind_ == Kind::array; }
    bool is_object() const { return kind_ == Kind::object; }

    // Reading the wrong kind is a bug of the caller; check the kind first.
    bool as_boolean() const { return as_.integer != 0; }
    std::int64_t as_integer() const { return as_.integer; }
    double as_floating() const { return as_.floating; }
    /// The text of a string or of a `number`.
    std::string_view as_string() const { return {as_.text, size_}; }
    const Array& as_array() const { return *as_.array; }
    const Object& as_object() const { return *as_.object; }
    /// Any of the three number kinds as a double (to the nearest; infinite when out of range).
    double to_double() const;

  private:
    friend class Document;
    explicit Value(Kind kind) : kind_(kind), size_(0) { as_.integer = 0; }
    Value(Kind kind, std::string_view text)
        : kind_(kind), size_(static_cast<std::uint32_t>(text.size())) {
        as_.text = text.data();
    }
    Array& mutable_array() const { return const_cast<Array&>(*as_.array); }
    Object& mutable_object() const { return const_cast<Object&>(*as_.object); }

    Kind kind_;
    std::uint32_t size_;
    union {
        std::int64_t integer;
        double floating;
        const char* text;
        const Array* array;
        const Object* object;
    } as_;
};
static_assert(sizeof(Value) == 16);

/// A list. Growing takes memory from the arena that it was made in.
class Array {
  public:
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const Value& operator[](std::size_t i) const { return items_[i]; }
    const Value* begin() const { return items_; }
    const Value* end() const { return items_ + size_; }

    void reserve(std::size_t count, Arena& arena);
    void push_back(Value value, Arena& arena) {
        if (size_ == capacity_) reserve(size_ + 1, arena);
        items_[size_++] = value;
    }
    void insert(std::size_t at, Value value, Arena& arena);
    void assign(std::size_t at, Value value) { items_[at] = value; }
    void erase(std::size_t at);
    void truncate(std::size_t size) { size_ = static_cast<std::uint32_t>(size); }

  private:
    Value* items_ = nullptr;
    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = 0;
};

/// A field name with its hash, computed once: what the compiler prepares for every path segment.
struct Key {
    explicit Key(std::string_view name) : text(name), hash(hash_of(name)) {}
    Key(std::string_view name, std::uint32_t known_hash) : text(name), hash(known_hash) {}
    static std::uint32_t hash_of(std::string_view name);

    std::string_view text;  ///< borrowed
    std::uint32_t hash;
};

struct Member {
    const char* key_data;
    std::uint32_t key_size;
    std::uint32_t hash;
    Value value;

    std::string_view key() const { return {key_data, key_size}; }
    Key name() const { return {key(), hash}; }
};

/// Members in the order in which they came. Lookup compares hashes along the members; an object of
/// more than `indexed_from` members gets a hash index, so that a hostile one with 100 000 keys
/// stays linear.
class Object {
  public:
    static constexpr std::size_t indexed_from = 24;
    static constexpr std::size_t npos = ~std::size_t{0};

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const Member& operator[](std::size_t i) const { return members_[i]; }
    const Member* begin() const { return members_; }
    const Member* end() const { return members_ + size_; }

    /// The member's position, or npos.
    std::size_t find(const Key& key) const;
    std::size_t find(std::string_view key) const { return find(Key(key)); }
    /// The member's value, or nullptr. Valid until the object changes.
    const Value* get(const Key& key) const {
        std::size_t at = find(key);
        return at == npos ? nullptr : &members_[at].value;
    }
    const Value* get(std::string_view key) const { return get(Key(key)); }

    void reserve(std::size_t count, Arena& arena);
    /// Adds or replaces. `key.text` is borrowed.
    void set(const Key& key, Value value, Arena& arena);
    void set(std::string_view key, Value value, Arena& arena) { set(Key(key), value, arena); }
    /// Adds a member known to be absent.
    void push_back(const Key& key, Value value, Arena& arena);
    void insert(std::size_t at, const Key& key, Value value, Arena& arena);
    void assign(std::size_t at, Value value) { members_[at].value = value; }
    /// Keeps the order of the others.
    void erase(std::size_t at);

  private:
    void build_index(Arena& arena);
    void index_put(std::uint32_t at);

    Member* members_ = nullptr;
    std::uint32_t* index_ = nullptr;  // open addressing; member position + 1, 0 is free
    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = 0;
    std::uint32_t index_mask_ = 0;
};

/// A deep copy into `arena`, strings included. Iterative: any depth.
Value clone(Value value, Arena& arena);
/// Equality as Java's Map/List/String/Number `equals` on parsed JSON has it, except that 1 and 1.0
/// differ as there.
bool equal(Value a, Value b);
/// The name that Elasticsearch's messages use for the value's type: "java.lang.String",
/// "java.util.ArrayList", ...
std::string_view java_type_name(Value value);
/// As Java's String.valueOf of the value: "null", "1", "1.0", "text", "[a, b]", "{a=1}".
void append_java_string(Value value, std::string& out);

}  // namespace penstock::document
