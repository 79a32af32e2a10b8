// What every request may ask of its response: filter_path, pretty, human, error_trace, format=yaml.
#pragma once

#include <string_view>

#include "tools/serve/compat.h"
#include "tools/serve/http_message.h"

namespace penstock::serve {

/// Applies `human`, `error_trace`, `filter_path`, `pretty` and `format` (or Accept:
/// application/yaml) to a JSON response. Throws ApiError 406 for CBOR and SMILE, which nothing here
/// speaks, and 400 for what is none.
void format_response(const Request& request, Response& response);
/// The same check before the handler runs, and of the body's Content-Type: JSON, NDJSON, YAML,
/// plain text (as the shippers of old send); 406 with words for everything else.
void check_media_types(const Request& request);
/// The values of the parameters that every request may have, before the handler runs: what is
/// refused is not done. Throws ApiError 400.
void check_common_parameters(const Request& request);
/// Adds a `Warning` header as Elasticsearch writes it.
void add_warning(Response& response, const Compat& compat, std::string_view text);
/// The body is YAML.
bool is_yaml(const Request& request);

}  // namespace penstock::serve
