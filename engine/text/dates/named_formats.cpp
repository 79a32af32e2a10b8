// The formats that Elasticsearch knows by name, in a notation of our own:
//   {y4-10E}  a number of 4 to 10 digits; {y4} exactly 4, {y} any. After the width a sign style:
//             E a plus when it has more digits than its least width, N minus, V none; else none
//   {.1-9}    a fraction of a second with its point, {f1-9} without
//   {Z}       a zone or offset; {+HHmm} {+HH:MM} an offset, or Z
//   [...]     may be absent; everything else stands for itself
// What each accepts is as in Elasticsearch's DateFormatters (8.x).
#include <array>
#include <functional>
#include <string>

#include "engine/text/dates/program.h"

namespace penstock::text::dates {
namespace {

constexpr std::string_view kFieldLetters = "yaMdDYweHms";
constexpr std::array<Field, 11> kFieldsByLetter = {
    Field::year,        Field::year_of_era,     Field::month, Field::day,
    Field::day_of_year, Field::week_based_year, Field::week,  Field::day_of_week,
    Field::hour,        Field::minute,          Field::second};

/// Reads the notation above, which is a constant of this file.
class Notation {
  public:
    Notation(std::string_view text, const DateLocale& locale) : text_(text), builder_(locale) {}

    Program compile(ResolverStyle resolver, bool ignore_case) {
        if (ignore_case) builder_.ignore_case();
        while (!text_.empty())
            next();
        return builder_.finish(resolver);
    }

  private:
    void next() {
        const char c = text_.front();
        if (c == '[') {
            builder_.optional_start();
        } else if (c == ']') {
            builder_.optional_end();
        } else if (c == '{') {
            const std::size_t end = text_.find('}');
            element(text_.substr(1, end - 1));
            text_.remove_prefix(end);
        } else {
            builder_.literal(text_.substr(0, 1));
        }
        text_.remove_prefix(1);
    }

    void element(std::string_view what) {
        using Part = OffsetStyle::Part;
        if (what == "Z") return builder_.zone_id();
        if (what == "+HHmm") return builder_.offset({false, Part::optional, Part::none, "Z"});
        if (what == "+HH:MM") return builder_.offset({true, Part::mandatory, Part::none, "Z"});
        if (what == "s.f") return builder_.epoch(Step::Op::epoch_seconds);
        if (what == "ms.f") return builder_.epoch(Step::Op::epoch_millis);
        const char letter = what.front();
        what.remove_prefix(1);
        if (letter == '.' || letter == 'f') {
            const int min = number(what);
            what.remove_prefix(1);
            return builder_.fraction(min, number(what), letter == '.');
        }
        const Field field = kFieldsByLetter[kFieldLetters.find(letter)];
        if (what.empty()) return builder_.value(field);
        const int min = number(what);
        if (what.empty()) return builder_.value(field, min);
        what.remove_prefix(1);
        const int max = number(what);
        Sign sign = Sign::not_negative;
        if (what == "E") sign = Sign::exceeds_pad;
        if (what == "N") sign = Sign::normal;
        if (what == "V") sign = Sign::never;
        builder_.value(field, min, max, sign);
    }

    static int number(std::string_view& text) {
        int value = 0;
        for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1))
            value = value * 10 + text.front() - '0';
        return value;
    }

    std::string_view text_;
    ProgramBuilder builder_;
};

/// A format's notations. Readers that are empty mean: the printer's.
struct Notations {
    std::string printer;
    std::vector<std::string> readers;
    ResolverStyle resolver = ResolverStyle::strict;
    bool ignore_case = false;
    bool utc = false;
};

/// One that may end with an offset in any of the usual ways.
Notations with_zone(const std::string& printer, const std::string& reader) {
    return {printer + "{+HH:MM}", {reader + "{Z}", reader + "{+HHmm}"}};
}

Notations smart(const std::string& notation) {
    return {notation, {}, ResolverStyle::smart};
}

// Dates and times of which the formats are made. Strict ones want every digit.
const std::string strict_date = "{y4-4E}[-{M2}[-{d2}]]";
const std::string strict_date_printer = "{y4-9E}[-{M2}[-{d2}]]";
const std::string iso_local_date = "{y4-10E}-{M2}-{d2}";
const std::string pattern_date = "{y4-19E}-{M2}-{d2}";
const std::string date = "{y1-9N}[-{M1-2}[-{d1-2}]]";
const std::string strict_time = "{H2}:{m2}:{s2}";
const std::string time = "{H1-2}:{m1-2}:{s1-2}";
const std::string basic_time = "{H2}{m2}{s2}";
const std::string basic_date = "{y4-4N}{M2}{d2}";
const std::string basic_date_printer = "{y4-10N}{M2}{d2}";
const std::string optional_time_printer =
    strict_date_printer + "T[{H2}[:{m2}[:{s2}[{.3-9}]][{+HH:MM}]]]";
const std::string basic_week = "{Y}W{w1-2V}{e}";
const std::string strict_basic_week = "{Y4}W{w1-2V}{e}";
const std::string basic_week_printer = "{Y4-10N}W{w2-2V}{e}";
const std::string strict_week = "{Y4-10E}-W{w2}-{e1}";
const std::string week = "{Y4-10E}-W{w1-2}-{e1}";
const std::string strict_ordinal = "{y4-4E}-{D3}";
const std::string ordinal = "{y4-10E}-{D1-3}";

std::optional<Notations> optional_time_formats(std::string_view name) {
    if (name == "iso8601") {
        return Notations{optional_time_printer,
                         {strict_date + "[T[{H2}[:{m2}[:{s2}[{.1-9}][,{f1-9}]]]][{Z}][{+HHmm}]]"}};
    }
    if (name == "strict_date_optional_time") {
        return Notations{optional_time_printer,
                         {strict_date + "[T[{H2}[:{m2}[:{s2}[{.1-9}][,{f1-9}]]][{Z}][{+HHmm}]]]"}};
    }
    if (name == "strict_date_optional_time_nanos") {
        return Notations{optional_time_printer,
                         {strict_date + "[T" + strict_time + "[{.1-9}][,{f1-9}][{Z}][{+HHmm}]]"}};
    }
    if (name == "date_optional_time") {
        return Notations{optional_time_printer,
                         {date + "[T[{H1-2}[:{m1-2}[:{s1-2}][{.1-9}][,{f1-9}][{Z}][{+HHmm}]]]]"}};
    }
    if (name == "epoch_second") return Notations{"{s.f}", {}};
    if (name == "epoch_millis") return Notations{"{ms.f}", {}};
    return std::nullopt;
}

std::optional<Notations> basic_formats(std::string_view name) {
    const std::string millis = basic_time + "{.3-3}";
    const std::string any_millis = basic_time + "{.1-9}";
    if (name == "basic_date")
        return Notations{
            basic_date_printer, {"{y1-4N}{M1-2}{d1-2}"}, ResolverStyle::strict, false, true};
    if (name == "basic_date_time")
        return with_zone(basic_date_printer + "T" + millis, basic_date + "T" + any_millis);
    if (name == "basic_date_time_no_millis")
        return with_zone(basic_date_printer + "T" + basic_time, basic_date + "T" + basic_time);
    if (name == "basic_ordinal_date") return smart("{y4-19E}{D3}");
    if (name == "basic_ordinal_date_time")
        return with_zone("{a4-19E}{D3}T" + millis, "{a4-19E}{D3}T" + any_millis);
    if (name == "basic_ordinal_date_time_no_millis")
        return with_zone("{y4-19E}{D3}T" + basic_time, "{y4-19E}{D3}T" + basic_time);
    if (name == "basic_time") return with_zone(millis, any_millis);
    if (name == "basic_time_no_millis") return with_zone(basic_time, basic_time);
    if (name == "basic_t_time") return with_zone("T" + millis, "T" + any_millis);
    if (name == "basic_t_time_no_millis") return with_zone("T" + basic_time, "T" + basic_time);
    if (name == "basic_week_date") return Notations{basic_week_printer, {basic_week}};
    if (name == "strict_basic_week_date") return Notations{basic_week_printer, {strict_basic_week}};
    const bool strict = name.starts_with("strict_");
    if (name.ends_with("basic_week_date_time")) {
        Notations made =
            with_zone("", (strict ? strict_basic_week : basic_week) + "T" + any_millis);
        made.printer = basic_week_printer + "T" + basic_time + ".{f3-3}{+HHmm}";
        return made;
    }
    if (name == "basic_week_date_time_no_millis") {
        Notations made = with_zone("", basic_week + "T" + basic_time);
        made.printer = basic_week_printer + "T" + basic_time + "{+HHmm}";
        return made;
    }
    if (name == "strict_basic_week_date_time_no_millis") {
        return with_zone(basic_week_printer + "T" + basic_time,
                         basic_week_printer + "T" + basic_time);
    }
    return std::nullopt;
}

std::optional<Notations> strict_formats(std::string_view name) {
    const std::string millis = strict_time + "{.3-3}";
    const std::string any_millis = strict_time + "{.1-9}";
    if (name == "date") return Notations{iso_local_date, {}, ResolverStyle::lenient};
    if (name == "date_hour") return smart(pattern_date + "T{H2}");
    if (name == "date_hour_minute") return smart(pattern_date + "T{H2}:{m2}");
    if (name == "date_hour_minute_second") return smart(pattern_date + "T" + strict_time);
    if (name == "date_hour_minute_second_fraction" || name == "date_hour_minute_second_millis")
        return Notations{strict_date + "T" + millis, {strict_date + "T" + any_millis}};
    if (name == "date_time")
        return with_zone(strict_date + "T" + strict_time + "{.3-9}",
                         strict_date + "T" + strict_time + "[{.1-9}]");
    if (name == "date_time_no_millis")
        return with_zone(strict_date + "T" + strict_time, strict_date + "T" + strict_time);
    if (name == "hour") return smart("{H2}");
    if (name == "hour_minute") return smart("{H2}:{m2}");
    if (name == "hour_minute_second") return Notations{strict_time, {}};
    if (name == "hour_minute_second_fraction" || name == "hour_minute_second_millis")
        return Notations{millis, {any_millis}};
    if (name == "ordinal_date") return Notations{strict_ordinal, {}};
    if (name == "ordinal_date_time")
        return with_zone(strict_ordinal + "T{H2}:{m2}[:{s2}{.3-9}]",
                         strict_ordinal + "T{H2}:{m2}[:{s2}{.1-9}]");
    if (name == "ordinal_date_time_no_millis")
        return with_zone(strict_ordinal + "T" + strict_time, strict_ordinal + "T" + strict_time);
    if (name == "time") return with_zone(millis, any_millis);
    if (name == "time_no_millis") return with_zone(strict_time, strict_time);
    if (name == "t_time") return with_zone("T" + millis, "T" + any_millis);
    if (name == "t_time_no_millis") return with_zone("T" + strict_time, "T" + strict_time);
    if (name == "week_date") return Notations{strict_week, {}, ResolverStyle::strict, true};
    if (name == "week_date_time")
        return with_zone(strict_week + "T" + millis, strict_week + "T" + any_millis);
    if (name == "week_date_time_no_millis")
        return with_zone(strict_week + "T" + strict_time, strict_week + "T" + strict_time);
    if (name == "weekyear") return Notations{"{Y4-10E}", {}};
    if (name == "weekyear_week") return Notations{"{Y4-10E}-W{w2}", {}};
    if (name == "weekyear_week_day") return Notations{"{Y4-10E}-W{w2}-{e}", {}};
    if (name == "year") return Notations{"{y4-4E}", {}};
    if (name == "year_month") return Notations{"{y4-4E}-{M2}", {}};
    if (name == "year_month_day") return Notations{strict_date, {}};
    return std::nullopt;
}

std::optional<Notations> lenient_formats(std::string_view name) {
    const std::string millis = strict_time + "{.3-3}";
    const std::string any_millis = time + "{.1-9}";
    if (name == "date") return Notations{iso_local_date, {date}};
    if (name == "date_hour") return Notations{pattern_date + "T{H2}", {date + "T{H1-2}"}};
    if (name == "date_hour_minute")
        return Notations{pattern_date + "T{H2}:{m2}", {date + "T{H1-2}:{m1-2}"}};
    if (name == "date_hour_minute_second")
        return Notations{pattern_date + "T" + strict_time, {date + "T" + time}};
    if (name == "date_hour_minute_second_fraction")
        return Notations{strict_date + "T" + millis, {date + "T" + any_millis}};
    if (name == "date_hour_minute_second_millis")
        return Notations{strict_date + "T" + millis, {date + "T" + time + "{.1-3}"}};
    if (name == "date_time") {
        const std::string reader = date + "T{H1-2}:{m1-2}[:{s1-2}{.1-9}]";
        return Notations{optional_time_printer, {reader + "{+HH:MM}", reader + "{+HHmm}"}};
    }
    if (name == "date_time_no_millis") {
        const std::string reader = date + "T{H1-2}:{m1-2}[:{s1-2}]";
        return Notations{
            iso_local_date + "T" + strict_time + "{Z}",
            {reader + "{+HH:MM}", reader + "{+HHmm}", reader + "[{Z}]", reader + "[{+HHmm}]"}};
    }
    if (name == "hour") return Notations{"{H2}", {"{H1-2}"}};
    if (name == "hour_minute") return Notations{"{H2}:{m2}", {"{H1-2}:{m1-2}"}};
    if (name == "hour_minute_second") return Notations{strict_time, {time}};
    if (name == "hour_minute_second_fraction") return Notations{millis, {any_millis}};
    if (name == "hour_minute_second_millis") return Notations{millis, {time + "{.1-3}"}};
    if (name == "ordinal_date") return Notations{"{y4-10E}-{D3}", {ordinal}};
    if (name == "ordinal_date_time")
        return with_zone(strict_ordinal + "T{H2}:{m2}[:{s2}{.3-9}]",
                         ordinal + "T{H1-2}:{m1-2}[:{s1-2}{.1-9}]");
    if (name == "ordinal_date_time_no_millis")
        return with_zone(strict_ordinal + "T" + strict_time, ordinal + "T" + time);
    if (name == "time") return with_zone(millis, any_millis);
    if (name == "time_no_millis") return with_zone(strict_time, time);
    if (name == "t_time") return with_zone("T" + millis, "T" + any_millis);
    if (name == "t_time_no_millis") return with_zone("T" + strict_time, "T" + time);
    if (name == "week_date") return Notations{strict_week, {week}};
    if (name == "week_date_time")
        return with_zone(strict_week + "T" + millis, week + "T" + any_millis);
    if (name == "week_date_time_no_millis")
        return with_zone(strict_week + "T" + strict_time, week + "T" + time);
    if (name == "weekyear") return Notations{"{Y}", {}};
    if (name == "weekyear_week") return Notations{"{Y4-10E}-W{w2}", {"{Y}-W{w}"}};
    if (name == "weekyear_week_day") return Notations{"{Y4-10E}-W{w2}-{e}", {"{Y}-W{w}-{e}"}};
    if (name == "year") return Notations{"{y}", {}};
    if (name == "year_month") return Notations{"{y4-10E}-{M2}", {"{y}-{M}"}};
    if (name == "year_month_day") return Notations{strict_date, {"{y}-{M}-{d}"}};
    return std::nullopt;
}

std::optional<Notations> notations_of(std::string_view name) {
    if (auto found = optional_time_formats(name)) return found;
    if (auto found = basic_formats(name)) return found;
    if (name.starts_with("strict_")) return strict_formats(name.substr(7));
    return lenient_formats(name);
}

}  // namespace

std::optional<NamedFormat> named_format(std::string_view name) {
    const auto notations = notations_of(name);
    if (!notations) return std::nullopt;
    const DateLocale iso;
    const auto compile = [&](const std::string& notation) {
        Program program =
            Notation(notation, iso).compile(notations->resolver, notations->ignore_case);
        program.utc_by_default = notations->utc;
        return program;
    };
    NamedFormat format;
    format.printer = compile(notations->printer);
    for (const std::string& reader : notations->readers)
        format.readers.push_back(compile(reader));
    if (format.readers.empty()) format.readers.push_back(format.printer);
    return format;
}

}  // namespace penstock::text::dates
