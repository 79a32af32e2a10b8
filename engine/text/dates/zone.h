// Time zones as java.time has them: offsets, and the regions of the IANA database.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::text::dates {

class ZoneRegion;  // a region's rules, held by the program for good

/// A fixed offset ("+02:00", "UTC+2") or a region ("Europe/Amsterdam"). A small value: copying it
/// copies no rules. Thread-safe.
class Zone {
  public:
    static constexpr std::int32_t kGreatestOffset = 18 * 3600;

    Zone() = default;  ///< UTC, whose id is "Z"
    static Zone of_offset(std::int32_t seconds) {
        Zone zone;
        zone.offset_ = seconds;
        return zone;
    }
    /// As java.time.ZoneId.of reads it. Throws penstock::Error that says what is wrong with it in
    /// Java's words.
    static Zone parse(std::string_view id);
    /// A region by its exact id.
    static std::optional<Zone> find_region(std::string_view id);
    /// The region with the longest id that `text` begins with, and that id's length.
    static std::optional<Zone> match_region(std::string_view text, std::size_t& length);
    /// The same for abbreviations ("PST", "CEST").
    static std::optional<Zone> match_abbreviation(std::string_view text, std::size_t& length);

    /// Whether this is the offset zero itself, and no region that happens to have it.
    bool is_utc() const { return region_ == nullptr && prefix_.empty() && offset_ == 0; }
    /// "Z", "+02:00", "UTC+02:00", "Europe/Amsterdam"
    std::string id() const;
    /// Seconds east of Greenwich at an instant.
    std::int32_t offset_at(std::int64_t epoch_second) const;
    /// The instant of a local time. One that the clocks skip is taken with the offset before the
    /// gap, one that they show twice with the earlier offset, or with `preferred` when that is one
    /// of the two.
    std::int64_t instant_of(std::int64_t local_second,
                            std::optional<std::int32_t> preferred = std::nullopt) const;
    /// Its rules; null for fixed offsets.
    const ZoneRegion* region() const { return region_; }

    /// The same zone with "UTC", "GMT" or "UT" before its offset.
    static Zone with_prefix(std::string_view prefix, std::int32_t offset);

    bool operator==(const Zone&) const = default;

  private:
    const ZoneRegion* region_ = nullptr;
    std::string_view prefix_;  // a literal
    std::int32_t offset_ = 0;
};

/// "+02:00", "Z"
std::string offset_id(std::int32_t seconds);

}  // namespace penstock::text::dates
