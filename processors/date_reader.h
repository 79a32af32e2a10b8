// Dates as the processors `date` and `date_index_name` read them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/document/document.h"
#include "engine/text/dates/date_format.h"

namespace penstock::processors {

/// One entry of a list of formats: ISO8601, UNIX, UNIX_MS, TAI64N, or what DateFormat takes.
/// Immutable, thread-safe.
class DateReader {
  public:
    /// Throws penstock::Error with Elasticsearch's reason.
    static DateReader compile(std::string_view format, const text::dates::DateLocale& locale);

    /// The date, seen in the defaults' zone whatever zone the text names; nothing when it does not
    /// fit.
    std::optional<text::dates::ZonedTime> read(std::string_view text,
                                               const text::dates::DateDefaults& defaults) const;

  private:
    using Number = std::optional<text::dates::ZonedTime> (*)(std::string_view text);

    Number number_ = nullptr;  // for the formats that count
    std::optional<text::dates::DateFormat> format_;
};

/// The text that stands for a field's value: a string itself, else as Java prints it. `scratch`
/// holds it where it had to be made.
std::string_view date_text(document::Value value, std::string& scratch);
/// The year of `_ingest.timestamp`, which dates without a year are in.
std::int64_t current_year(const document::Document& document);

}  // namespace penstock::processors
