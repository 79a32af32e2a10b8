#pragma once

#include <boost/json/value.hpp>
#include <filesystem>
#include <string_view>

namespace penstock::plugins::torch {

/// Parses one JSON object. `origin` names the text in messages. Throws ModelError.
boost::json::object parse_object(std::string_view text, std::string_view origin);

/// Reads a whole file as one JSON value. Throws ModelError.
boost::json::value read_json(const std::filesystem::path& path);

/// Reads a whole file as one JSON object. Throws ModelError.
boost::json::object read_object(const std::filesystem::path& path);

}  // namespace penstock::plugins::torch
