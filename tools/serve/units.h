// Sizes and times for people, as Elasticsearch's ByteSizeValue and TimeValue write them.
#pragma once

#include <string>
#include <string_view>

namespace penstock::serve {

/// "1.5kb": in the largest unit that gives at least 1, with one decimal that is cut and not
/// rounded. With a `unit` (b kb mb gb tb pb): in that, whole and bare. Throws ApiError 400 for
/// another one.
std::string bytes_text(double bytes, std::string_view unit = {});
/// "1.2s", likewise (nanos micros ms s m h d), of milliseconds. Nothing is shown below
/// milliseconds, unless `smallest` says so.
std::string time_text(double milliseconds, std::string_view unit = {},
                      std::string_view smallest = "ms");

}  // namespace penstock::serve
