#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "engine/runtime/error.h"
#include "engine/text/dates/date_format.h"

namespace penstock::text::dates {
namespace {

constexpr std::string_view kAll = "uuuu-MM-dd'T'HH:mm:ss.SSSSSSSSSXXXXX";

/// The date that `text` is by `format`, to the nanosecond; "" when it is none.
std::string read(std::string_view format, std::string_view text, std::string_view zone = "Z",
                 const DateLocale& locale = {}) {
    const DateDefaults defaults{Zone::parse(zone), 2023};
    auto time = DateFormat::compile(format, locale).parse(text, defaults);
    if (!time) return "";
    time->zone = defaults.zone;
    return DateFormat::compile(kAll).print(*time);
}

std::string refusal(std::string_view format) {
    try {
        DateFormat::compile(format);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

struct Reading {
    std::string_view format;
    std::string_view text;
    std::string_view date;
};

void check(const std::vector<Reading>& readings) {
    for (const Reading& reading : readings)
        EXPECT_EQ(read(reading.format, reading.text), reading.date)
            << reading.format << " of " << reading.text;
}

TEST(DateFormat, Patterns) {
    check({
        {"uuuu-MM-dd", "2024-02-29", "2024-02-29T00:00:00.000000000Z"},
        {"uuuu-MM-dd", "2023-02-29", ""},
        {"uuuu-MM-dd", "+12024-02-29", "+12024-02-29T00:00:00.000000000Z"},
        {"uuuu-MM-dd", "+2024-02-29", ""},
        {"uuuuMMdd", "20240229", "2024-02-29T00:00:00.000000000Z"},
        {"uuuuDDDHHmm", "20243661259", "2024-12-31T12:59:00.000000000Z"},
        {"u-M-d H:m:s", "2024-2-9 1:2:3", "2024-02-09T01:02:03.000000000Z"},
        {"h:mm a", "12:07 AM", "2023-01-01T00:07:00.000000000Z"},
        {"h:mm a", "13:07 AM", ""},
        {"K:mm a", "0:07 PM", "2023-01-01T12:07:00.000000000Z"},
        {"k:mm", "24:07", "2023-01-01T00:07:00.000000000Z"},
        {"HH:mm", "24:00", ""},
        {"uuuu-MM-dd A", "2024-01-02 1234", "2024-01-02T00:00:01.234000000Z"},
        {"uuuu-MM-dd N", "2024-01-02 1234", "2024-01-02T00:00:00.000001234Z"},
        {"g", "60310", "2024-01-01T00:00:00.000000000Z"},
        {"uuuu-MM W e", "2024-02 2 3", "2024-02-07T00:00:00.000000000Z"},
        {"QQQ uuuu", "Q2 2024", "2024-01-01T00:00:00.000000000Z"},
        {"uuuu-MM-dd Q", "2024-04-01 1", ""},
        {"G y-MM-dd", "BC 45-03-15", "-0044-03-15T00:00:00.000000000Z"},
        {"YYYY-'W'ww-e", "2020-W53-5", "2021-01-01T00:00:00.000000000Z"},
        {"YYYY-'W'ww-e", "2019-W53-5", ""},
        {"YYYY-ww", "2020-33", "2020-08-10T00:00:00.000000000Z"},
        {"MM/dd/YY", "10/30/23", "2023-01-02T00:00:00.000000000Z"},
        {"MMM dd HH:mm:ss", "Feb 31 10:11:12", "2023-02-28T10:11:12.000000000Z"},
        {"HH:mm:ss", "10:11:12", "2023-01-01T10:11:12.000000000Z"},
        {"yyyy HH", "2024 10", "1970-01-01T10:00:00.000000000Z"},
        {"uuuu-MM-dd[ HH:mm[:ss]]X", "2024-01-02 03:04Z", "2024-01-02T03:04:00.000000000Z"},
        {"uuuu-MM-dd[ HH:mm[:ss]]X", "2024-01-02+0130", "2024-01-01T22:30:00.000000000Z"},
        {"uuuu-MM-dd HH:mm x", "2024-01-02 03:04 +00", "2024-01-02T03:04:00.000000000Z"},
        {"uuuu-MM-dd HH:mm xxx", "2024-01-02 03:04 +01:00", "2024-01-02T02:04:00.000000000Z"},
        {"uuuu-MM-dd HH:mm XXX", "2024-01-02 03:04 +0100", ""},
        {"uuuu-MM-dd HH:mm XXX", "2024-01-02 03:04 +19:00", ""},
        {"uuuu-MM-dd HH:mm O", "2024-01-02 03:04 GMT+5", "2024-01-01T22:04:00.000000000Z"},
        {"uuuu-MM-dd HH:mm OOOO", "2024-01-02 03:04 GMT+5", ""},
        {"uuuu-MM-dd ppH", "2024-01-02  3", "2024-01-02T03:00:00.000000000Z"},
        {"ss.SSSSSSSSS", "12.5", ""},
    });
}

TEST(DateFormat, ZonesInText) {
    constexpr std::string_view format = "uuuu-MM-dd HH:mm z";
    const std::vector<std::pair<std::string_view, std::string_view>> zones = {
        {"UTC", "10"},       {"GMT", "10"},       {"Z", "10"},      {"PST", "18"},
        {"PDT", "18"},       {"CET", "09"},       {"EST", "15"},    {"EST5EDT", "15"},
        {"GMT0", "10"},      {"UTC+02:00", "08"}, {"+02:00", "08"}, {"Europe/Paris", "09"},
        {"US/Pacific", "18"}};
    for (const auto& [zone, hour] : zones) {
        EXPECT_EQ(read(format, "2024-01-02 10:00 " + std::string(zone)),
                  "2024-01-02T" + std::string(hour) + ":00:00.000000000Z")
            << zone;
    }
    for (const std::string_view zone : {"utc", "XYZ", "+0200", "Europe/Nowhere", ""})
        EXPECT_EQ(read(format, "2024-01-02 10:00 " + std::string(zone)), "") << zone;
}

TEST(DateFormat, LongZoneNames) {
    EXPECT_EQ(read("uuuu-MM-dd HH:mm zzzz", "2024-01-02 10:00 Eastern Standard Time"),
              "2024-01-02T15:00:00.000000000Z");
    EXPECT_EQ(read("uuuu-MM-dd HH:mm zzzz", "2024-01-02 10:00 Mitteleuropäische Normalzeit", "Z",
                   DateLocale::parse("de")),
              "2024-01-02T09:00:00.000000000Z");
    EXPECT_EQ(read("uuuu-MM-dd HH:mm zzzz", "2024-01-02 10:00 EDT"), "");
}

TEST(DateFormat, NamedFormats) {
    check({
        {"strict_date_optional_time", "2024", "2024-01-01T00:00:00.000000000Z"},
        {"strict_date_optional_time", "2024-02-03T04:05:06.123456789+01:00",
         "2024-02-03T03:05:06.123456789Z"},
        {"strict_date_optional_time", "2024-2-3", ""},
        {"date_optional_time", "2024-2-3T4:5", "2024-02-03T04:05:00.000000000Z"},
        {"basic_date_time", "20240203T040506.7Z", "2024-02-03T04:05:06.700000000Z"},
        {"basic_date_time", "20240203T040506.7+0100", "2024-02-03T03:05:06.700000000Z"},
        {"basic_ordinal_date", "2024060", "2024-02-29T00:00:00.000000000Z"},
        {"basic_week_date", "2024W061", "2024-02-05T00:00:00.000000000Z"},
        {"strict_date", "2024-02-30", "2024-03-01T00:00:00.000000000Z"},
        {"date", "2024-02-30", ""},
        {"strict_date_hour", "2024-02-28T24", "2024-02-29T00:00:00.000000000Z"},
        {"strict_date_hour_minute", "2024-02-28T24:00", "2024-02-29T00:00:00.000000000Z"},
        {"strict_year_month", "2024-02", "2024-02-01T00:00:00.000000000Z"},
        {"strict_ordinal_date_time", "2024-060T04:05:06.7Z", "2024-02-29T04:05:06.700000000Z"},
        {"strict_week_date", "2024-w06-1", "2024-02-05T00:00:00.000000000Z"},
        {"week_date", "2024-W6-1", "2024-02-05T00:00:00.000000000Z"},
        {"weekyear_week_day", "2024-W6-7", "2024-02-11T00:00:00.000000000Z"},
        {"time_no_millis", "4:5:6Z", "2023-01-01T04:05:06.000000000Z"},
        {"t_time", "T4:5:6.7Z", "2023-01-01T04:05:06.700000000Z"},
        {"epoch_second", "1700000000.5", "2023-11-14T22:13:20.500000000Z"},
        {"epoch_millis", "-1", "1969-12-31T23:59:59.999000000Z"},
        {"epoch_millis", "99999999999999999999", ""},
        {"year_month_day||epoch_millis", "2024-2-3", "2024-02-03T00:00:00.000000000Z"},
    });
}

TEST(DateFormat, Prints) {
    const ZonedTime time = *DateFormat::compile("iso8601").parse("2024-02-03T04:05:06.0789");
    ZonedTime there = time;
    there.zone = Zone::parse("America/New_York");
    const std::vector<std::pair<std::string_view, std::string_view>> printed = {
        {"strict_date_optional_time", "2024-02-02T23:05:06.0789-05:00"},
        {"basic_date_time_no_millis", "20240202T230506-05:00"},
        {"strict_week_date", "2024-W05-5"},
        {"epoch_second", "1706933106.0789"},
        {"yy D DDD", "24 33 033"},
        {"EEEE EEE EEEEE MMMM MMM MMMMM", "Friday Fri F February Feb F"},
        {"h K k H a", "11 11 23 23 PM"},
        {"S SSS SSSSSS n", "0 078 078900 78900000"},
        {"X XX XXX Z ZZZZ ZZZZZ O", "-05 -0500 -05:00 -0500 GMT-05:00 -05:00 GMT-5"},
        {"VV z zzzz", "America/New_York EST Eastern Standard Time"},
        {"YYYY-'W'ww e", "2024-W05 5"},
        {"pppd''", "  2'"},
    };
    for (const auto& [format, text] : printed)
        EXPECT_EQ(DateFormat::compile(format).print(there), text) << format;
}

TEST(DateFormat, Refusals) {
    const std::vector<std::pair<std::string_view, std::string_view>> refused = {
        {"", "No date pattern provided"},
        {"unix", "Invalid format: [unix]: Unknown pattern letter: i"},
        {"yyyy||", "Cannot have empty element in multi date format pattern: yyyy||"},
        {"yyyy'", "Invalid format: [yyyy']: Pattern ends with an incomplete string literal: yyyy'"},
        {"yyyy]", "Invalid format: [yyyy]]: Pattern invalid as it contains ] without previous ["},
        {"yyyy{", "Invalid format: [yyyy{]: Pattern includes reserved character: '{'"},
        {"HHH", "Invalid format: [HHH]: Too many pattern letters: H"},
        {"V", "Invalid format: [V]: Pattern letter count must be 2: V"},
        {"cc", "Invalid format: [cc]: Invalid pattern \"cc\""},
        {"p", "Invalid format: [p]: Pad letter 'p' must be followed by valid pad pattern: p"},
    };
    for (const auto& [format, why] : refused)
        EXPECT_EQ(refusal(format), why);
}

/// Each takes a call of its own when a text is read.
TEST(DateFormat, OptionalSectionsAreInsideOfEachOtherUpToABound) {
    const std::string thirty_two(32, '[');
    EXPECT_EQ(read(thirty_two + "uuuu-MM-dd", "2024-03-03"), "2024-03-03T00:00:00.000000000Z");
    EXPECT_THAT(refusal(std::string(100'000, '[') + "uuuu"),
                testing::HasSubstr("more than 32 optional sections inside of each other"));
    std::string beside = "uuuu-MM-dd";
    for (int i = 0; i < 100; ++i)
        beside += "[ ]";
    EXPECT_EQ(read(beside, "2024-03-03"), "2024-03-03T00:00:00.000000000Z");
}

TEST(DateFormat, TimesBeyondAllMillisecondsAreTheLastOne) {
    const ZonedTime far{std::numeric_limits<std::int64_t>::max() / 2, 0, Zone{}};
    EXPECT_EQ(far.epoch_milli(), std::numeric_limits<std::int64_t>::max());
    const ZonedTime early{std::numeric_limits<std::int64_t>::min() / 2, 0, Zone{}};
    EXPECT_EQ(early.epoch_milli(), std::numeric_limits<std::int64_t>::min());
}

TEST(DateFormat, LanguagesHaveNamesAndWeeks) {
    EXPECT_EQ(read("d MMMM uuuu", "3 März 2024", "Z", DateLocale::parse("de")),
              "2024-03-03T00:00:00.000000000Z");
    EXPECT_EQ(read("YYYY-ww", "2020-33", "Z", DateLocale::parse("en_US")),
              "2020-08-09T00:00:00.000000000Z");
    EXPECT_EQ(read("YYYY-ww", "2020-33", "Z", DateLocale::parse("de-DE")),
              "2020-08-10T00:00:00.000000000Z");
    EXPECT_THROW(DateLocale::parse("xx"), Error);
    EXPECT_THROW(DateLocale::parse("en-XX"), Error);
    EXPECT_THROW(DateLocale::parse("a-b-c-d"), Error);
    EXPECT_THROW(DateLocale::parse_tag("not a tag"), Error);
}

TEST(Zone, Ids) {
    for (const std::string_view id : {"Z", "+02:00", "-11:30", "+01:02:03", "UTC", "GMT",
                                      "UTC+02:00", "Europe/Amsterdam", "CET", "Etc/GMT+5", "GMT0"})
        EXPECT_EQ(Zone::parse(id).id(), id);
    EXPECT_EQ(Zone::parse("+2").id(), "+02:00");
    EXPECT_EQ(Zone::parse("+0230").id(), "+02:30");
    EXPECT_EQ(Zone::parse("GMT+0").id(), "GMT");
    const std::vector<std::pair<std::string_view, std::string_view>> refused = {
        {"invalid_timezone", "Unknown time-zone ID: invalid_timezone"},
        {"PST", "Unknown time-zone ID: PST"},
        {"", "Invalid ID for region-based ZoneId, invalid format: "},
        {"no zone", "Invalid ID for region-based ZoneId, invalid format: no zone"},
        {"+2x", "Invalid ID for ZoneOffset, invalid format: +2x"},
        {"+19:00", "Zone offset not in valid range: -18:00 to +18:00"},
    };
    for (const auto& [id, why] : refused) {
        try {
            Zone::parse(id);
            ADD_FAILURE() << id;
        } catch (const Error& error) {
            EXPECT_EQ(error.what(), std::string(why));
        }
    }
}

TEST(Zone, GapsAndOverlaps) {
    const auto at = [](std::string_view text, std::string_view zone) {
        return read("uuuu-MM-dd HH:mm", text, zone);
    };
    EXPECT_EQ(at("2023-03-26 02:30", "Europe/Amsterdam"), "2023-03-26T03:30:00.000000000+02:00");
    EXPECT_EQ(at("2023-10-29 02:30", "Europe/Amsterdam"), "2023-10-29T02:30:00.000000000+02:00");
    EXPECT_EQ(at("2016-10-16 00:30", "America/Sao_Paulo"), "2016-10-16T01:30:00.000000000-02:00");
    EXPECT_EQ(at("2011-12-30 10:00", "Pacific/Apia"), "2011-12-31T10:00:00.000000000+14:00");
    // Without a year Elasticsearch prefers UTC's offset of the two.
    EXPECT_EQ(read("MMM d HH:mm", "Oct 29 01:30", "Europe/London"),
              "2023-10-29T01:30:00.000000000Z");
}

}  // namespace
}  // namespace penstock::text::dates
