#include "engine/text/dates/names.h"

#include <unicode/calendar.h>
#include <unicode/dtfmtsym.h>
#include <unicode/locid.h>

#include <algorithm>
#include <cstring>

#include "engine/runtime/error.h"

namespace penstock::text::dates {
namespace {

using Symbols = icu::DateFormatSymbols;

/// Throws where ICU's data are not there.
void check(UErrorCode status) {
    if (U_FAILURE(status)) {
        throw Error(std::string("cannot load ICU's names of dates (") + u_errorName(status) +
                    "); is the ICU data library installed?");
    }
}

bool listed(const char* const* all, std::string_view wanted) {
    for (; *all != nullptr; ++all) {
        if (wanted == *all) return true;
    }
    return false;
}

/// ICU's weekdays begin with Sunday at 1; months, halves of the day, eras and quarters at 0.
NameTable table(Named kind, const icu::UnicodeString* texts, std::int32_t count) {
    NameTable table;
    for (std::int32_t i = kind == Named::day_of_week ? 1 : 0; i < count; ++i) {
        std::int64_t value = i;
        if (kind == Named::month || kind == Named::quarter) value = i + 1;
        if (kind == Named::day_of_week) value = i == 1 ? 7 : i - 1;
        // Beyond noon and midnight languages have further parts of the day, which are no halves.
        if (kind == Named::am_pm && i > 1) break;
        std::string text;
        texts[i].toUTF8String(text);
        if (text.empty()) continue;
        table.by_value.push_back({text, value});
    }
    std::sort(table.by_value.begin(), table.by_value.end(),
              [](const auto& a, const auto& b) { return a.value < b.value; });
    for (const NameTable::Name& name : table.by_value) {
        std::erase_if(table.longest_first,
                      [&](const NameTable::Name& other) { return other.text == name.text; });
        table.longest_first.push_back(name);
    }
    std::stable_sort(table.longest_first.begin(), table.longest_first.end(),
                     [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
    return table;
}

}  // namespace

const std::string* NameTable::find(std::int64_t value) const {
    for (const Name& name : by_value) {
        if (name.value == value) return &name.text;
    }
    return nullptr;
}

DateLocale::DateLocale() = default;

DateLocale::DateLocale(std::string id) : id_(std::move(id)) {
    const icu::Locale locale(id_.c_str());
    if (*locale.getCountry() == '\0') {
        // Java has no weeks for a language alone.
        weeks_ = {7, 1};
        return;
    }
    UErrorCode status = U_ZERO_ERROR;
    const std::unique_ptr<icu::Calendar> calendar(icu::Calendar::createInstance(locale, status));
    check(status);
    const int first = calendar->getFirstDayOfWeek(status);  // 1 is Sunday
    check(status);
    weeks_.first_day = first == UCAL_SUNDAY ? 7 : first - 1;
    weeks_.minimal_days = calendar->getMinimalDaysInFirstWeek();
}

DateLocale DateLocale::parse(std::string_view text) {
    const std::size_t separator = text.find_first_of("-_");
    const char mark = separator == std::string_view::npos ? '-' : text[separator];
    std::vector<std::string> parts;
    for (std::string_view rest = text;;) {
        const std::size_t at = rest.find(mark);
        parts.emplace_back(rest.substr(0, at));
        if (at == std::string_view::npos) break;
        rest.remove_prefix(at + 1);
    }
    if (parts.size() > 3) {
        std::string list;
        for (const std::string& part : parts)
            list += (list.empty() ? "" : ", ") + part;
        throw Error("Locales can have at most 3 parts but got " + std::to_string(parts.size()) +
                    ": [" + list + "]");
    }
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c | 0x20) : c; };
    const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? char(c & ~0x20) : c; };
    std::transform(parts[0].begin(), parts[0].end(), parts[0].begin(), lower);
    if (parts[0] == "root" || parts[0].empty()) return {};
    if (!listed(icu::Locale::getISOLanguages(), parts[0]))
        throw Error("Unknown language: " + parts[0]);
    if (parts.size() > 1) {
        std::transform(parts[1].begin(), parts[1].end(), parts[1].begin(), upper);
        if (!parts[1].empty() && !listed(icu::Locale::getISOCountries(), parts[1]))
            throw Error("Unknown country: " + parts[1]);
    }
    const icu::Locale locale(parts[0].c_str(), parts.size() > 1 ? parts[1].c_str() : nullptr,
                             parts.size() > 2 ? parts[2].c_str() : nullptr);
    return DateLocale(std::string(locale.getName()));
}

DateLocale DateLocale::parse_tag(std::string_view tag) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Locale locale = icu::Locale::forLanguageTag(
        icu::StringPiece(tag.data(), static_cast<std::int32_t>(tag.size())), status);
    if (U_FAILURE(status) || locale.isBogus() || (!tag.empty() && *locale.getName() == '\0'))
        throw Error("Invalid language tag specified: " + std::string(tag));
    return tag.empty() ? DateLocale() : DateLocale(std::string(locale.getName()));
}

NameTable DateLocale::names(Named kind, NameStyle style, bool stand_alone) const {
    UErrorCode status = U_ZERO_ERROR;
    const Symbols symbols(icu::Locale(id_.c_str()), status);
    check(status);
    const auto width = style == NameStyle::full     ? Symbols::WIDE
                       : style == NameStyle::narrow ? Symbols::NARROW
                                                    : Symbols::ABBREVIATED;
    const auto context = stand_alone ? Symbols::STANDALONE : Symbols::FORMAT;
    std::int32_t count = 0;
    const icu::UnicodeString* texts = nullptr;
    switch (kind) {
        case Named::month:
            texts = symbols.getMonths(count, context, width);
            break;
        case Named::day_of_week:
            texts = symbols.getWeekdays(count, context, width);
            break;
        case Named::quarter:
            texts = symbols.getQuarters(count, context, width);
            break;
        case Named::am_pm:
            texts = symbols.getAmPmStrings(count);
            break;
        case Named::era:
            texts = style == NameStyle::full     ? symbols.getEraNames(count)
                    : style == NameStyle::narrow ? symbols.getNarrowEras(count)
                                                 : symbols.getEras(count);
            break;
    }
    return table(kind, texts, count);
}

}  // namespace penstock::text::dates
