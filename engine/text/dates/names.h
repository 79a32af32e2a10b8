// Languages: names of months, days, eras, and how weeks are counted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/dates/calendar.h"

namespace penstock::text::dates {

/// What has names instead of numbers.
enum class Named : std::uint8_t { month, day_of_week, am_pm, era, quarter };
enum class NameStyle : std::uint8_t { full, abbreviated, narrow };

/// The names of one kind in one style.
struct NameTable {
    struct Name {
        std::string text;
        std::int64_t value;
    };
    std::vector<Name> longest_first;  ///< each text once: of equal ones the last value counts
    std::vector<Name> by_value;       ///< for printing

    const std::string* find(std::int64_t value) const;
};

/// A language and region, as far as dates depend on them. A cheap value; constant, thread-safe.
class DateLocale {
  public:
    /// Names in English, weeks as ISO 8601 has them: what Elasticsearch takes where nothing is
    /// said.
    DateLocale();
    /// "en", "en-US", "de_CH", "ROOT", as Elasticsearch's `locale` option has it. Throws
    /// penstock::Error ("Unknown language: xx").
    static DateLocale parse(std::string_view text);
    /// An IETF language tag ("zh-Hans-CN"), as `date_index_name` has it. Throws penstock::Error.
    static DateLocale parse_tag(std::string_view tag);

    /// The names; the stand-alone form is what a language uses for "June" where it says "of June"
    /// within a date.
    NameTable names(Named kind, NameStyle style, bool stand_alone) const;
    const WeekRules& weeks() const { return weeks_; }
    /// ICU's name for it.
    const std::string& id() const { return id_; }

  private:
    explicit DateLocale(std::string id);

    std::string id_ = "en";
    WeekRules weeks_;
};

}  // namespace penstock::text::dates
