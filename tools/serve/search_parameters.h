// What the query string of a search says, and whether all of it goes together.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/serve/http_message.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

/// Of `track_total_hits`: true, false or a number. Throws ApiError 400.
std::int64_t total_to_track(const std::string& text);
/// What a hit shows when `stored_fields` names these. Throws ApiError 400.
void show_stored_fields(const std::vector<std::string>& names, SearchRequest& request);
/// `size`, if it is there. Throws ApiError 400.
std::optional<std::size_t> size_parameter(const Parameters& parameters);
/// `terminate_after`, if it is there; 0: no limit. Throws ApiError 400.
std::optional<std::size_t> terminate_after_parameter(const Parameters& parameters);
/// All of them, on top of what the body says. Throws ApiError 400.
void read_search_parameters(const Parameters& parameters, SearchRequest& request);
/// `q`; null when it is not there. Throws io::QueryError.
std::shared_ptr<const io::Query> query_parameter(const Parameters& parameters);
/// Throws ApiError 400 for what cannot be asked together, and brings the rest into its form.
void check_search(SearchRequest& request);

}  // namespace penstock::serve
