#include "tools/serve/api_error.h"

#include <algorithm>

#include "engine/document/json.h"

namespace penstock::serve {

namespace {

std::string quoted(std::string_view text) {
    std::string out;
    document::write_json_string(text, out);
    return out;
}

}  // namespace

ApiError& ApiError::with_text(std::string name, const std::string& text) & {
    members_.emplace_back(std::move(name), quoted(text));
    return *this;
}

ApiError&& ApiError::with_text(std::string name, const std::string& text) && {
    members_.emplace_back(std::move(name), quoted(text));
    return std::move(*this);
}

std::string ApiError::object(bool root_cause) const {
    std::string members = "\"type\":" + quoted(type_) + ",\"reason\":" + quoted(reason_);
    for (const auto& [name, json] : members_)
        members += "," + quoted(name) + ":" + json;
    // A failed phase of a search names its own causes.
    const bool has_causes = std::any_of(members_.begin(), members_.end(), [](const auto& member) {
        return member.first == "root_cause";
    });
    if (!root_cause || has_causes) return "{" + members + "}";
    return "{\"root_cause\":[{" + members + "}]," + members + "}";
}

std::string ApiError::body() const {
    return "{\"error\":" + (plain_ ? quoted(reason_) : object(true)) +
           ",\"status\":" + std::to_string(status_) + "}";
}

ApiError illegal_argument(std::string reason) {
    return {400, "illegal_argument_exception", std::move(reason)};
}

ApiError action_validation(const std::vector<std::string>& problems) {
    std::string reason = "Validation Failed: ";
    for (std::size_t i = 0; i < problems.size(); ++i)
        reason += std::to_string(i + 1) + ": " + problems[i] + ";";
    return {400, "action_request_validation_exception", std::move(reason)};
}

ApiError parsing_error(std::string reason) {
    return {400, "parsing_exception", std::move(reason)};
}

ApiError resource_not_found(std::string reason) {
    return {404, "resource_not_found_exception", std::move(reason)};
}

ApiError index_not_found(const std::string& index) {
    return ApiError(404, "index_not_found_exception", "no such index [" + index + "]")
        .with_text("resource.type", "index_or_alias")
        .with_text("resource.id", index)
        .with_text("index_uuid", "_na_")
        .with_text("index", index);
}

ApiError index_closed(const std::string& index) {
    return ApiError(400, "index_closed_exception", "closed")
        .with_text("index_uuid", "_na_")
        .with_text("index", index);
}

}  // namespace penstock::serve
