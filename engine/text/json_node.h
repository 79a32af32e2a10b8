// Reading settings out of a JSON file with messages that say where. Included by .cpp files alone.
#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/runtime/error.h"

namespace penstock::text {

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Error(path.string() + ": cannot be opened for reading");
    std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (file.bad()) throw Error(path.string() + ": cannot be read");
    return content;
}

/// One value of a JSON file, with the path that leads to it. Wrong types and missing members throw
/// penstock::Error that names the file and the path. Refers to the document, which must outlive it.
class JsonNode {
  public:
    JsonNode(const boost::json::value& value, const std::string& file, std::string where)
        : value_(&value), file_(&file), where_(std::move(where)) {}

    [[noreturn]] void fail(const std::string& problem) const {
        throw Error(*file_ + ": " + (where_.empty() ? "" : where_ + ": ") + problem);
    }

    /// The member; nothing when it is absent or null.
    std::optional<JsonNode> find(std::string_view key) const {
        if (!value_->is_object()) fail("must be an object");
        const boost::json::value* member = value_->get_object().if_contains(key);
        if (member == nullptr || member->is_null()) return std::nullopt;
        return JsonNode(*member, *file_,
                        where_.empty() ? std::string(key) : where_ + "." + std::string(key));
    }
    JsonNode at(std::string_view key) const {
        std::optional<JsonNode> member = find(key);
        if (!member) fail("'" + std::string(key) + "' is missing");
        return std::move(*member);
    }

    bool is_object() const { return value_->is_object(); }
    const boost::json::object& object() const {
        if (!value_->is_object()) fail("must be an object");
        return value_->get_object();
    }
    const boost::json::array& array() const {
        if (!value_->is_array()) fail("must be a list");
        return value_->get_array();
    }
    JsonNode element(std::size_t index) const {
        if (index >= array().size())
            fail("must have at least " + std::to_string(index + 1) + " elements");
        return JsonNode(array()[index], *file_, where_ + "[" + std::to_string(index) + "]");
    }

    std::string_view string() const {
        if (!value_->is_string()) fail("must be a string");
        return value_->get_string();
    }
    bool boolean() const {
        if (!value_->is_bool()) fail("must be true or false");
        return value_->get_bool();
    }
    double number() const {
        if (value_->is_double()) return value_->get_double();
        if (value_->is_int64()) return static_cast<double>(value_->get_int64());
        if (value_->is_uint64()) return static_cast<double>(value_->get_uint64());
        fail("must be a number");
    }
    /// A token id: a whole number from 0 to 2^24, more than any vocabulary has.
    std::int32_t token_id() const {
        constexpr std::int64_t kMost = 1 << 24;
        if (!value_->is_int64() || value_->get_int64() < 0 || value_->get_int64() > kMost) {
            fail("must be a token id (a whole number from 0 to " + std::to_string(kMost) + ")");
        }
        return static_cast<std::int32_t>(value_->get_int64());
    }

    bool boolean(std::string_view key, bool otherwise) const {
        const std::optional<JsonNode> member = find(key);
        return member ? member->boolean() : otherwise;
    }
    std::string_view string(std::string_view key, std::string_view otherwise) const {
        const std::optional<JsonNode> member = find(key);
        return member ? member->string() : otherwise;
    }

  private:
    const boost::json::value* value_;
    const std::string* file_;
    std::string where_;
};

/// A parsed JSON file.
class JsonFile {
  public:
    explicit JsonFile(const std::filesystem::path& path) : name_(path.string()) {
        const std::string content = read_file(path);
        boost::json::parser parser;
        boost::json::error_code error;
        const std::size_t used = parser.write_some(content, error);
        const bool more = content.find_first_not_of(" \t\r\n", used) != std::string::npos;
        if (!error && more) error = boost::json::error::extra_data;
        if (error) {
            throw Error(name_ + ": not JSON, or cut off: " + error.message() + " near byte " +
                        std::to_string(used));
        }
        value_ = parser.release();
    }

    JsonNode root() const { return JsonNode(value_, name_, ""); }

  private:
    std::string name_;
    boost::json::value value_;
};

}  // namespace penstock::text
