#include "plugins/torch/json_file.h"

#include <boost/json/parse.hpp>

#include "plugins/torch/error.h"
#include "plugins/torch/mapped_file.h"

namespace penstock::plugins::torch {

namespace {

boost::json::value parse(std::string_view content, std::string_view origin) {
    boost::json::error_code error;
    auto value = boost::json::parse({content.data(), content.size()}, error);
    if (error) throw ModelError(text(origin, ": not valid JSON: ", error.message()));
    return value;
}

boost::json::object as_object(boost::json::value value, std::string_view origin) {
    if (!value.is_object()) throw ModelError(text(origin, ": a JSON object is expected"));
    return std::move(value.get_object());
}

}  // namespace

boost::json::object parse_object(std::string_view content, std::string_view origin) {
    return as_object(parse(content, origin), origin);
}

boost::json::value read_json(const std::filesystem::path& path) {
    const MappedFile file(path);
    const auto bytes = file.bytes();
    return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

boost::json::object read_object(const std::filesystem::path& path) {
    return as_object(read_json(path), path.string());
}

}  // namespace penstock::plugins::torch
