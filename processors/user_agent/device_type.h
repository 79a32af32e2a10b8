// What kind of device a user agent runs on.
#pragma once

#include <string_view>

#include "processors/user_agent/parser.h"

namespace penstock::processors {

/// "Robot", "Tablet", "Phone", "Desktop" or "Other", from the text and from what was found in it.
/// The names and their order are those that Elasticsearch 8 goes by.
std::string_view device_type(std::string_view text, const UserAgent& agent);

}  // namespace penstock::processors
