// One region's rules. Private to engine/text/dates.
#pragma once

#include <unicode/basictz.h>

#include <memory>
#include <mutex>
#include <string>

namespace penstock::text::dates {

class ZoneRegion {
  public:
    explicit ZoneRegion(std::string id) : id_(std::move(id)) {}

    const std::string& id() const { return id_; }
    /// Loaded when it is asked for first.
    const icu::BasicTimeZone& rules() const;

  private:
    std::string id_;
    mutable std::once_flag loaded_;
    mutable std::unique_ptr<const icu::BasicTimeZone> rules_;
};

}  // namespace penstock::text::dates
