#include "engine/text/dates/date_format.h"

#include <unicode/timezone.h>
#include <unicode/tzfmt.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "engine/runtime/error.h"
#include "engine/text/dates/program.h"
#include "engine/text/dates/zone_region.h"

namespace penstock::text::dates {
namespace {

constexpr std::int64_t kLeastSecond = -31'557'014'167'219'200;  // of java.time.Instant
constexpr std::int64_t kGreatestSecond = 31'556'889'864'403'199;

std::string_view trimmed(std::string_view text) {
    const auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    return text;
}

/// What Elasticsearch makes of the fields that a format has read (DateFormatters.from, and for
/// texts without a year the date processor).
class Completion {
  public:
    Completion(const Fields& fields, const Program& program, const DateDefaults& defaults)
        : fields_(fields), program_(program), defaults_(defaults) {}

    std::optional<ZonedTime> run() const {
        if (defaults_.year && !has_year() && !fields_.has(Field::instant)) return this_year();
        if (fields_.has(Field::instant)) {
            return moment(fields_.get(Field::instant), fields_.find(Field::nano).value_or(0),
                          zone());
        }
        const auto day = date();
        if (!day) return std::nullopt;
        return local(*day, fields_.nano_of_day.value_or(0), std::nullopt, zone());
    }

  private:
    bool has_year() const {
        return fields_.epoch_day || fields_.has(Field::year) || fields_.has(Field::year_of_era) ||
               fields_.has(Field::week_based_year);
    }

    Zone zone() const {
        if (fields_.zone) return *fields_.zone;
        if (const auto offset = fields_.find(Field::offset))
            return Zone::of_offset(static_cast<std::int32_t>(*offset));
        return program_.utc_by_default ? Zone() : defaults_.zone;
    }

    static std::optional<ZonedTime> moment(std::int64_t second, std::int64_t nano,
                                           const Zone& zone) {
        if (second < kLeastSecond || second > kGreatestSecond) return std::nullopt;
        return ZonedTime{second, static_cast<std::int32_t>(nano), zone};
    }

    static std::optional<ZonedTime> local(std::int64_t day, std::int64_t nano_of_day,
                                          std::optional<std::int32_t> preferred, const Zone& zone) {
        const std::int64_t second = day * kSecondsOfDay + nano_of_day / kNanosOfSecond;
        return moment(zone.instant_of(second, preferred), nano_of_day % kNanosOfSecond, zone);
    }

    std::int64_t year() const {
        if (const auto year = fields_.find(Field::year)) return *year;
        return fields_.find(Field::year_of_era).value_or(1970);
    }

    /// The date, or the first day of what is known of it; nothing when there is no such day.
    std::optional<std::int64_t> date() const {
        if (fields_.epoch_day) return fields_.epoch_day;
        const std::int64_t in_year = year();
        if (in_year < kLeastYear || in_year > kGreatestYear) return std::nullopt;
        const auto month = fields_.find(Field::month);
        if (month && !range_of(Field::month).has(*month)) return std::nullopt;
        const bool some_year = fields_.has(Field::year) || fields_.has(Field::year_of_era);
        if (some_year && month && fields_.has(Field::day)) return day_of(in_year, *month);
        if (some_year && fields_.has(Field::day_of_year)) return ordinal(in_year);
        if (const auto week_year = fields_.find(Field::week_based_year)) return week(*week_year);
        if (month) {
            if (fields_.has(Field::day)) return day_of(in_year, *month);
            return epoch_day_of(in_year, static_cast<int>(*month), 1);
        }
        // A time with a year alone is on the first of January 1970, a year alone in that year.
        if (fields_.nano_of_day) return 0;
        if (some_year) return epoch_day_of(in_year, 1, 1);
        return std::nullopt;
    }

    std::optional<std::int64_t> day_of(std::int64_t in_year, std::int64_t month) const {
        const std::int64_t day = fields_.get(Field::day);
        if (day < 1 || day > days_in_month(in_year, static_cast<int>(month))) return std::nullopt;
        return epoch_day_of(in_year, static_cast<int>(month), static_cast<int>(day));
    }

    std::optional<std::int64_t> ordinal(std::int64_t in_year) const {
        const std::int64_t day = fields_.get(Field::day_of_year);
        if (day < 1 || day > (is_leap(in_year) ? 366 : 365)) return std::nullopt;
        return epoch_day_of(in_year, 1, 1) + day - 1;
    }

    std::optional<std::int64_t> week(std::int64_t week_year) const {
        const std::int64_t week = fields_.find(Field::week).value_or(1);
        if (!range_of(Field::week_based_year).has(week_year) || !range_of(Field::week).has(week))
            return std::nullopt;
        return program_.weeks.first_week(week_year) + (week - 1) * 7;
    }

    /// The parts that are known, in this year, from 1 January 00:00 on.
    std::optional<ZonedTime> this_year() const {
        const std::int64_t in_year = *defaults_.year;
        std::int64_t nanos = fields_.nano_of_day.value_or(0);
        if (!fields_.nano_of_day) {
            nanos = fields_.find(Field::nano).value_or(0) +
                    fields_.find(Field::hour).value_or(0) * 3600 * kNanosOfSecond;
        }
        const std::int64_t month = fields_.find(Field::month).value_or(1);
        std::int64_t day = fields_.find(Field::day).value_or(1);
        if (!range_of(Field::month).has(month) || !range_of(Field::day).has(day))
            return std::nullopt;
        // The day was set while the month was January still.
        day = std::min<std::int64_t>(day, days_in_month(in_year, static_cast<int>(month)));
        return local(epoch_day_of(in_year, static_cast<int>(month), static_cast<int>(day)), nanos,
                     0, defaults_.zone);
    }

    const Fields& fields_;
    const Program& program_;
    const DateDefaults& defaults_;
};

}  // namespace

// ---- zones' names

struct ZoneNames::Impl {
    icu::Locale locale;
    std::unique_ptr<icu::TimeZoneFormat> format;

    /// A long name that ICU knows in the locale.
    std::optional<Zone> match(std::string_view text, std::size_t& length) const {
        if (format == nullptr) return std::nullopt;
        const auto unicode = icu::UnicodeString::fromUTF8(
            icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
        constexpr std::int32_t shortest = 5;
        for (const auto style : {UTZFMT_STYLE_SPECIFIC_LONG, UTZFMT_STYLE_GENERIC_LONG}) {
            icu::ParsePosition at(0);
            const std::unique_ptr<icu::TimeZone> found(format->parse(style, unicode, at));
            // ICU takes "utc" and the like as well, where Java's names have their capitals.
            if (found == nullptr || at.getIndex() < shortest) continue;
            icu::UnicodeString id;
            std::string name;
            found->getID(id).toUTF8String(name);
            auto zone = Zone::find_region(name);
            if (!zone) continue;
            std::string matched;
            unicode.tempSubString(0, at.getIndex()).toUTF8String(matched);
            length = matched.size();
            return zone;
        }
        return std::nullopt;
    }
};

ZoneNames::ZoneNames(const std::string& locale) {
    UErrorCode status = U_ZERO_ERROR;
    auto impl = std::make_unique<Impl>();
    impl->locale = icu::Locale(locale.c_str());
    impl->format.reset(icu::TimeZoneFormat::createInstance(impl->locale, status));
    if (U_FAILURE(status)) impl->format.reset();
    impl_ = std::move(impl);
}

ZoneNames::~ZoneNames() = default;

std::optional<Zone> ZoneNames::match(std::string_view text, bool full, std::size_t& length) const {
    std::size_t region_length = 0;
    std::size_t name_length = 0;
    const auto region = Zone::match_region(text, region_length);
    const auto name = full ? std::nullopt : Zone::match_abbreviation(text, name_length);
    length = std::max(region_length, name_length);
    // A longer name may begin so ("Eastern Standard Time"); a region that ends here is one.
    const bool ends = length > 0 && (length == text.size() || text[length] == ' ');
    if (full && !ends) {
        std::size_t long_length = 0;
        const auto known = impl_->match(text, long_length);
        if (known && long_length > length) {
            length = long_length;
            return known;
        }
    }
    return region_length >= name_length ? region : name;
}

void ZoneNames::append(const Zone& zone, std::int64_t epoch_second, bool full,
                       std::string& out) const {
    if (zone.region() == nullptr && !(full && zone.id() == "UTC")) {
        out += zone.id();
        return;
    }
    const std::unique_ptr<icu::TimeZone> utc(
        zone.region() == nullptr ? icu::TimeZone::createTimeZone("UTC") : nullptr);
    const icu::TimeZone& rules =
        utc != nullptr ? *utc : static_cast<const icu::TimeZone&>(zone.region()->rules());
    UErrorCode status = U_ZERO_ERROR;
    std::int32_t raw = 0;
    std::int32_t saving = 0;
    rules.getOffset(static_cast<UDate>(epoch_second) * 1000, false, raw, saving, status);
    icu::UnicodeString name;
    rules.getDisplayName(saving != 0, full ? icu::TimeZone::LONG : icu::TimeZone::SHORT,
                         impl_->locale, name);
    name.toUTF8String(out);
}

// ---- formats

ZonedTime ZonedTime::of_millis(std::int64_t epoch_milli, const Zone& zone) {
    return {floor_div(epoch_milli, 1000),
            static_cast<std::int32_t>(floor_mod(epoch_milli, 1000) * 1'000'000), zone};
}

std::int64_t ZonedTime::epoch_milli() const {
    // What lies beyond all milliseconds is the last one, or the first.
    std::int64_t millis = 0;
    if (!__builtin_mul_overflow(epoch_second, std::int64_t{1000}, &millis) &&
        !__builtin_add_overflow(millis, std::int64_t{nano / 1'000'000}, &millis))
        return millis;
    return epoch_second < 0 ? std::numeric_limits<std::int64_t>::min()
                            : std::numeric_limits<std::int64_t>::max();
}

struct DateFormat::Alternatives {
    Program printer;
    std::vector<Program> readers;
};

DateFormat::DateFormat(std::shared_ptr<const Alternatives> alternatives)
    : alternatives_(std::move(alternatives)) {}

DateFormat DateFormat::compile(std::string_view format, const DateLocale& locale) {
    if (format.empty()) throw Error("No date pattern provided");
    // Elasticsearch 6 marked java.time's patterns so.
    std::string_view rest = format.starts_with('8') ? format.substr(1) : format;
    auto made = std::make_shared<Alternatives>();
    for (bool last = false; !last;) {
        const std::size_t bars = rest.find("||");
        last = bars == std::string_view::npos;
        const std::string_view given = rest.substr(0, bars);
        if (given.empty()) {
            throw Error("Cannot have empty element in multi date format pattern: " +
                        std::string(format));
        }
        if (!last) rest.remove_prefix(bars + 2);
        const std::string_view pattern = trimmed(given);
        if (pattern.empty()) throw Error("No date pattern provided");
        const bool first = made->readers.empty();
        if (auto named = named_format(pattern)) {
            if (first) made->printer = std::move(named->printer);
            std::move(named->readers.begin(), named->readers.end(),
                      std::back_inserter(made->readers));
            continue;
        }
        try {
            made->readers.push_back(compile_pattern(pattern, locale));
        } catch (const Error& error) {
            throw Error("Invalid format: [" + std::string(pattern) + "]: " + error.what());
        }
        if (first) made->printer = made->readers.front();
    }
    return DateFormat(std::move(made));
}

std::optional<ZonedTime> DateFormat::parse(std::string_view text,
                                           const DateDefaults& defaults) const {
    for (const Program& program : alternatives_->readers) {
        Fields fields;
        if (!read(program, text, fields) || !fields.resolve(program.resolver, program.weeks))
            continue;
        // The first that reads the text decides, also when the result is no date.
        return Completion(fields, program, defaults).run();
    }
    return std::nullopt;
}

void DateFormat::print(const ZonedTime& time, std::string& out) const {
    if (time.epoch_second < kLeastSecond || time.epoch_second > kGreatestSecond)
        throw Error("the date lies beyond the years that can be printed");
    const std::int32_t offset = time.zone.offset_at(time.epoch_second);
    const std::int64_t local = time.epoch_second + offset;
    const std::size_t size = out.size();
    try {
        dates::print(
            alternatives_->printer,
            {time.epoch_second, floor_div(local, kSecondsOfDay),
             floor_mod(local, kSecondsOfDay) * kNanosOfSecond + time.nano, offset, time.zone},
            out);
    } catch (const Error&) {
        out.resize(size);
        throw;
    }
}

std::string DateFormat::print(const ZonedTime& time) const {
    std::string out;
    print(time, out);
    return out;
}

}  // namespace penstock::text::dates
