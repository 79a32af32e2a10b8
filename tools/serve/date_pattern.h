// Dates that a query writes by a format of its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/dates/date_format.h"

namespace penstock::serve {

/// A format of dates with `||` between its alternatives, and how exact a date of each is.
class DatePattern {
  public:
    /// Throws penstock::Error for what is no format, or longer than those of values may be.
    explicit DatePattern(std::string_view format);
    /// ISO 8601 as far as the format goes ("2024-05-31" of "31/05/2024"), so that what it leaves
    /// out can be rounded; nothing when the text is no such date.
    std::optional<std::string> iso(std::string_view text) const;

  private:
    enum class Precision { day, hour, minute, second, milli };
    struct Alternative {
        text::dates::DateFormat format;
        Precision precision;
        bool zoned;
    };
    static Precision precision_of(std::string_view format);

    std::vector<Alternative> alternatives_;
};

}  // namespace penstock::serve
