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
    /// `as_written`: what the text leaves out, it leaves out; it is ISO 8601 already.
    enum class Precision { day, hour, minute, second, milli, as_written };
    struct Exactness {
        Precision precision;
        bool zoned;  ///< its dates say where they are of
    };
    struct Alternative {
        text::dates::DateFormat format;
        Exactness exactness;
    };
    static Exactness of_name(std::string_view name);
    static Exactness of_pattern(std::string_view pattern);
    static std::string cut(std::string date, Precision precision);

    std::vector<Alternative> alternatives_;
};

}  // namespace penstock::serve
