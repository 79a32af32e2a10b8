#include "engine/text/dates/zone.h"

#include <unicode/strenum.h>
#include <unicode/timezone.h>

#include <algorithm>
#include <array>
#include <deque>
#include <vector>

#include "engine/runtime/error.h"
#include "engine/text/dates/zone_region.h"

namespace penstock::text::dates {
namespace {

// Old three-letter names that ICU knows and java.time has as abbreviations at most.
constexpr std::array<std::string_view, 32> kNoRegions = {
    "ACT", "AET", "AGT", "ART", "AST", "BET", "BST", "CAT", "CNT", "CST", "CTT",
    "EAT", "ECT", "EST", "HST", "IET", "IST", "JST", "MIT", "MST", "NET", "NST",
    "PLT", "PNT", "PRT", "PST", "ROC", "SST", "VST", "UTC", "GMT", "UT"};

bool is_java_region(std::string_view id) {
    if (id.starts_with("Etc/Unknown") || id == "Factory") return false;
    // The three of the last row are regions of java.time too, but read before the others.
    const auto end = kNoRegions.end() - 3;
    return std::find(kNoRegions.begin(), end, id) == end;
}

std::deque<ZoneRegion> load_regions() {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::StringEnumeration> all(
        icu::TimeZone::createTimeZoneIDEnumeration(UCAL_ZONE_TYPE_ANY, nullptr, nullptr, status));
    if (U_FAILURE(status) || all == nullptr) {
        throw Error(std::string("cannot load ICU's time zones (") + u_errorName(status) +
                    "); is the ICU data library installed?");
    }
    std::vector<std::string> ids;
    while (const char* id = all->next(nullptr, status)) {
        if (is_java_region(id)) ids.emplace_back(id);
    }
    std::sort(ids.begin(), ids.end());
    std::deque<ZoneRegion> regions;
    for (std::string& id : ids)
        regions.emplace_back(std::move(id));
    return regions;
}

/// All regions by id. Filled once, and constant from then on.
const std::deque<ZoneRegion>& regions() {
    static const std::deque<ZoneRegion> all = load_regions();
    return all;
}

const ZoneRegion* region_by_id(std::string_view id) {
    const auto& all = regions();
    const auto found = std::lower_bound(all.begin(), all.end(), id,
                                        [](const ZoneRegion& region, std::string_view key) {
                                            return std::string_view(region.id()) < key;
                                        });
    return found != all.end() && found->id() == id ? &*found : nullptr;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// java.time.ZoneOffset.of
std::int32_t parse_offset(std::string_view id) {
    const auto invalid = [&]() -> Error {
        return Error("Invalid ID for ZoneOffset, invalid format: " + std::string(id));
    };
    std::string_view rest = id.substr(1);
    const bool colons = rest.find(':') != std::string_view::npos;
    std::array<int, 3> parts{};
    std::size_t count = 0;
    if (rest.size() == 1 && is_digit(rest[0])) {
        parts[0] = rest[0] - '0';
        rest = {};
    }
    while (!rest.empty()) {
        if (count > 0 && colons) {
            if (rest.front() != ':') throw invalid();
            rest.remove_prefix(1);
        }
        if (count == parts.size() || rest.size() < 2 || !is_digit(rest[0]) || !is_digit(rest[1]))
            throw invalid();
        parts[count++] = (rest[0] - '0') * 10 + rest[1] - '0';
        rest.remove_prefix(2);
    }
    if (id.size() < 2) throw invalid();
    const std::int32_t offset = parts[0] * 3600 + parts[1] * 60 + parts[2];
    if (parts[1] > 59 || parts[2] > 59 || offset > Zone::kGreatestOffset)
        throw Error("Zone offset not in valid range: -18:00 to +18:00");
    return id.front() == '-' ? -offset : offset;
}

bool is_region_name(std::string_view id) {
    if (id.size() < 2) return false;
    for (std::size_t i = 0; i < id.size(); ++i) {
        const bool letter = (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z');
        const bool later =
            is_digit(id[i]) || std::string_view("/._~+-").find(id[i]) != std::string_view::npos;
        if (!letter && !(i > 0 && later)) return false;
    }
    return true;
}

void append_two(std::string& out, std::int32_t value) {
    out.push_back(static_cast<char>('0' + value / 10));
    out.push_back(static_cast<char>('0' + value % 10));
}

}  // namespace

const icu::BasicTimeZone& ZoneRegion::rules() const {
    std::call_once(loaded_, [this] {
        std::unique_ptr<icu::TimeZone> made(
            icu::TimeZone::createTimeZone(icu::UnicodeString::fromUTF8(id_)));
        auto* basic = dynamic_cast<icu::BasicTimeZone*>(made.get());
        if (basic == nullptr) throw Error("ICU has no rules for the time zone " + id_);
        (void)made.release();
        rules_.reset(basic);
    });
    return *rules_;
}

Zone Zone::with_prefix(std::string_view prefix, std::int32_t offset) {
    Zone zone;
    zone.prefix_ = prefix == "UTC" ? "UTC" : prefix == "GMT" ? "GMT" : "UT";
    zone.offset_ = offset;
    return zone;
}

std::optional<Zone> Zone::find_region(std::string_view id) {
    if (id == "UTC" || id == "GMT" || id == "UT") return with_prefix(id, 0);
    const ZoneRegion* region = region_by_id(id);
    if (region == nullptr) return std::nullopt;
    Zone zone;
    zone.region_ = region;
    return zone;
}

std::optional<Zone> Zone::match_region(std::string_view text, std::size_t& length) {
    const auto& all = regions();
    auto begin = all.begin();
    auto end = all.end();
    const ZoneRegion* longest = nullptr;
    for (std::size_t i = 0; i < text.size() && begin != end; ++i) {
        // What is left shares the first i characters; those that end there come first.
        const auto at = [i](const ZoneRegion& region) {
            return region.id().size() > i ? static_cast<unsigned char>(region.id()[i]) : -1;
        };
        const int wanted = static_cast<unsigned char>(text[i]);
        begin = std::partition_point(begin, end,
                                     [&](const ZoneRegion& region) { return at(region) < wanted; });
        end = std::partition_point(begin, end,
                                   [&](const ZoneRegion& region) { return at(region) <= wanted; });
        if (begin != end && begin->id().size() == i + 1) longest = &*begin;
    }
    if (longest == nullptr) return std::nullopt;
    length = longest->id().size();
    return find_region(longest->id());
}

Zone Zone::parse(std::string_view id) {
    if (id == "Z") return {};
    if (id.size() < 2) {
        throw Error(id.empty() ? "Invalid ID for region-based ZoneId, invalid format: "
                               : "Invalid zone: " + std::string(id));
    }
    if (id.front() == '+' || id.front() == '-') return of_offset(parse_offset(id));
    for (const std::string_view prefix : {"UTC", "GMT", "UT"}) {
        if (!id.starts_with(prefix)) continue;
        if (id == prefix) return with_prefix(prefix, 0);
        if (id[prefix.size()] == '+' || id[prefix.size()] == '-')
            return with_prefix(prefix, parse_offset(id.substr(prefix.size())));
    }
    if (!is_region_name(id)) {
        throw Error("Invalid ID for region-based ZoneId, invalid format: " + std::string(id));
    }
    const auto region = find_region(id);
    if (!region) throw Error("Unknown time-zone ID: " + std::string(id));
    return *region;
}

std::string offset_id(std::int32_t seconds) {
    if (seconds == 0) return "Z";
    std::string id(1, seconds < 0 ? '-' : '+');
    const std::int32_t all = seconds < 0 ? -seconds : seconds;
    append_two(id, all / 3600);
    id.push_back(':');
    append_two(id, all / 60 % 60);
    if (all % 60 != 0) {
        id.push_back(':');
        append_two(id, all % 60);
    }
    return id;
}

std::string Zone::id() const {
    if (region_ != nullptr) return region_->id();
    if (prefix_.empty()) return offset_id(offset_);
    return std::string(prefix_) + (offset_ == 0 ? "" : offset_id(offset_));
}

std::int32_t Zone::offset_at(std::int64_t epoch_second) const {
    if (region_ == nullptr) return offset_;
    UErrorCode status = U_ZERO_ERROR;
    std::int32_t raw = 0;
    std::int32_t saving = 0;
    region_->rules().getOffset(static_cast<UDate>(epoch_second) * 1000, false, raw, saving, status);
    return (raw + saving) / 1000;
}

std::int64_t Zone::instant_of(std::int64_t local_second,
                              std::optional<std::int32_t> preferred) const {
    if (region_ == nullptr) return local_second - offset_;
    const auto offset = [&](UTimeZoneLocalOption option) {
        UErrorCode status = U_ZERO_ERROR;
        std::int32_t raw = 0;
        std::int32_t saving = 0;
        region_->rules().getOffsetFromLocal(static_cast<UDate>(local_second) * 1000, option, option,
                                            raw, saving, status);
        return (raw + saving) / 1000;
    };
    const std::int32_t earlier = offset(UCAL_TZ_LOCAL_FORMER);
    if (preferred && *preferred != earlier && *preferred == offset(UCAL_TZ_LOCAL_LATTER) &&
        offset_at(local_second - *preferred) == *preferred)
        return local_second - *preferred;
    return local_second - earlier;
}

}  // namespace penstock::text::dates
