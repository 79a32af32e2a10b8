// Reading a text by a program's steps.
#include <array>
#include <cstring>

#include "engine/text/dates/program.h"

namespace penstock::text::dates {
namespace {

constexpr std::size_t kNone = ~std::size_t{0};  // the text does not fit

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

/// Follows the steps along one text. Positions are byte offsets.
class Reader {
  public:
    Reader(const Program& program, std::string_view text, Fields& fields)
        : steps_(program.steps), weeks_(program.weeks), text_(text), fields_(&fields) {}

    std::size_t run(std::size_t from, std::size_t to, std::size_t at) {
        for (std::size_t i = from; i < to && at != kNone; ++i) {
            const Step& step = steps_[i];
            if (step.op == Step::Op::optional) {
                at = optional(i, at);
                i = step.end - 1;
            } else if (step.op == Step::Op::pad) {
                at = padded(step, i, at);
                i = behind(i + 1) - 1;
            } else {
                at = one(step, at);
            }
        }
        return at;
    }

  private:
    /// The step after step `i` and what belongs to it.
    std::size_t behind(std::size_t i) const {
        if (i >= steps_.size()) return i;
        if (steps_[i].op == Step::Op::optional) return steps_[i].end;
        return steps_[i].op == Step::Op::pad ? behind(i + 1) : i + 1;
    }

    std::size_t optional(std::size_t i, std::size_t at) {
        Fields* outer = fields_;
        Fields tried = *outer;
        fields_ = &tried;
        const std::size_t end = run(i + 1, steps_[i].end, at);
        fields_ = outer;
        if (end == kNone) return at;
        *outer = tried;
        return end;
    }

    std::size_t padded(const Step& step, std::size_t i, std::size_t at) {
        const std::size_t end = at + step.min;
        if (end > text_.size()) return kNone;
        while (at < end && text_[at] == ' ')
            ++at;
        const std::string_view whole = text_;
        text_ = text_.substr(0, end);
        const std::size_t reached = run(i + 1, behind(i + 1), at);
        text_ = whole;
        return reached == end ? end : kNone;
    }

    std::size_t one(const Step& step, std::size_t at) {
        switch (step.op) {
            case Step::Op::literal:
                return literal(step, at);
            case Step::Op::number:
            case Step::Op::reduced:
                return number(step, at);
            case Step::Op::fraction:
                return fraction(step, at);
            case Step::Op::name:
                return name(step, at);
            case Step::Op::offset:
                return offset(step.offset, at);
            case Step::Op::localized_offset:
                return localized_offset(step.full, at);
            case Step::Op::zone_id:
            case Step::Op::zone_name:
                return zone(step, at);
            case Step::Op::epoch_seconds:
                return epoch(at, 1, 9);
            case Step::Op::epoch_millis:
                return epoch(at, 1000, 6);
            case Step::Op::optional:
            case Step::Op::pad:
                break;
        }
        return kNone;
    }

    std::size_t put(Field field, std::int64_t value, std::size_t end) {
        return fields_->add(field, value) ? end : kNone;
    }

    std::size_t literal(const Step& step, std::size_t at) const {
        const std::string_view found = text_.substr(at, step.text.size());
        if (found.size() < step.text.size()) return kNone;
        for (std::size_t i = 0; i < found.size(); ++i) {
            const bool same = step.ignore_case ? lower(found[i]) == lower(step.text[i])
                                               : found[i] == step.text[i];
            if (!same) return kNone;
        }
        return at + found.size();
    }

    /// How many digits, at most `most`, stand at a position.
    std::size_t digits(std::size_t at, std::size_t most) const {
        std::size_t count = 0;
        while (count < most && at + count < text_.size() && is_digit(text_[at + count]))
            ++count;
        return count;
    }

    std::int64_t digits_value(std::size_t at, std::size_t count) const {
        std::int64_t value = 0;
        for (std::size_t i = 0; i < count; ++i)
            value = value * 10 + (text_[at + i] - '0');
        return value;
    }

    std::size_t number(const Step& step, std::size_t at) {
        if (at >= text_.size()) return kNone;
        const bool positive = text_[at] == '+';
        const bool negative = text_[at] == '-';
        if (positive && step.sign != Sign::exceeds_pad) return kNone;
        if (negative && step.sign != Sign::exceeds_pad && step.sign != Sign::normal) return kNone;
        if (positive || negative) ++at;
        const std::size_t subsequent = step.subsequent > 0 ? step.subsequent : 0;
        std::size_t count = digits(at, step.max + subsequent);
        if (count < step.min) return kNone;
        if (subsequent > 0) {
            // The digits that follow belong to the next numbers.
            const std::size_t own = count > subsequent ? count - subsequent : 0;
            count = std::max<std::size_t>(step.min, own);
        }
        if (count > 18) count = 18 + (fits_64_bits(at, count) ? 1 : 0);
        std::int64_t value = digits_value(at, count);
        if (negative && value == 0) return kNone;
        if (negative) value = -value;
        if (step.sign == Sign::exceeds_pad && !negative && positive != (count > step.min))
            return kNone;
        if (step.op == Step::Op::reduced) value = from_two_digits(step.field, value);
        return put(step.field, value, at + count);
    }

    /// The first such year from 2000-01-01 on, a day that may be in week-based year 1999.
    std::int64_t from_two_digits(Field field, std::int64_t value) const {
        const bool by_weeks = field == Field::week_based_year;
        const std::int64_t base =
            by_weeks ? weeks_.week_based_year(epoch_day_of(2000, 1, 1)) : 2000;
        const std::int64_t year = base - base % 100 + value;
        return year < base ? year + 100 : year;
    }

    /// Whether the first 19 digits are a number of 64 bits.
    bool fits_64_bits(std::size_t at, std::size_t count) const {
        return count >= 19 && text_.substr(at, 19) <= "9223372036854775807";
    }

    std::size_t fraction(const Step& step, std::size_t at) {
        if (step.point) {
            if (at >= text_.size() || text_[at] != '.') return step.min > 0 ? kNone : at;
            ++at;
        }
        const std::size_t count = digits(at, step.max);
        if (count < step.min) return kNone;
        std::int64_t value = digits_value(at, count);
        for (std::size_t i = count; i < 9; ++i)
            value *= 10;
        return put(Field::nano, value, at + count);
    }

    std::size_t name(const Step& step, std::size_t at) {
        const std::string_view rest = text_.substr(at);
        for (const NameTable::Name& name : step.names->longest_first) {
            if (rest.starts_with(name.text))
                return put(step.field, name.value, at + name.text.size());
        }
        return kNone;
    }

    /// Two digits below 60, after a colon when one is wanted; kNone when they are not there.
    std::size_t two_digits(std::size_t at, bool colon, std::int64_t& value) const {
        if (colon) {
            if (at >= text_.size() || text_[at] != ':') return kNone;
            ++at;
        }
        if (digits(at, 2) < 2) return kNone;
        value = digits_value(at, 2);
        return value <= 59 ? at + 2 : kNone;
    }

    std::size_t offset(const OffsetStyle& style, std::size_t at) {
        if (text_.substr(at).starts_with(style.zero))
            return put(Field::offset, 0, at + style.zero.size());
        std::int64_t seconds = 0;
        const std::size_t end = signed_offset(style, at, seconds);
        return end == kNone ? kNone : put(Field::offset, seconds, end);
    }

    std::size_t signed_offset(const OffsetStyle& style, std::size_t at,
                              std::int64_t& seconds) const {
        using Part = OffsetStyle::Part;
        if (at >= text_.size() || (text_[at] != '+' && text_[at] != '-')) return kNone;
        const bool negative = text_[at] == '-';
        std::int64_t hour = 0;
        std::int64_t minute = 0;
        std::int64_t second = 0;
        at = two_digits(at + 1, false, hour);
        if (at == kNone || hour > 23) return kNone;
        if (style.minutes != Part::none) {
            const std::size_t end = two_digits(at, style.colon, minute);
            if (end == kNone && style.minutes == Part::mandatory) return kNone;
            if (end == kNone) minute = 0;
            if (end != kNone) at = end;
            if (end != kNone && style.seconds != Part::none) {
                const std::size_t after = two_digits(at, style.colon, second);
                if (after == kNone && style.seconds == Part::mandatory) return kNone;
                if (after == kNone) second = 0;
                if (after != kNone) at = after;
            }
        }
        seconds = hour * 3600 + minute * 60 + second;
        if (negative) seconds = -seconds;
        return at;
    }

    std::size_t localized_offset(bool full, std::size_t at) {
        if (!text_.substr(at).starts_with("GMT")) return kNone;
        at += 3;
        if (at >= text_.size() || (text_[at] != '+' && text_[at] != '-'))
            return put(Field::offset, 0, at);
        const bool negative = text_[at] == '-';
        ++at;
        std::int64_t minute = 0;
        std::int64_t second = 0;
        const std::size_t count = digits(at, 2);
        if (count == 0 || (full && count < 2)) return kNone;
        std::int64_t seconds = digits_value(at, count) * 3600;
        at += count;
        const std::size_t minutes_end = two_digits(at, true, minute);
        if (minutes_end == kNone) {
            if (full) return kNone;
        } else {
            seconds += minute * 60;
            at = minutes_end;
            const std::size_t seconds_end = two_digits(at, true, second);
            if (seconds_end != kNone) {
                seconds += second;
                at = seconds_end;
            }
        }
        return put(Field::offset, negative ? -seconds : seconds, at);
    }

    std::size_t zone(const Step& step, std::size_t at) {
        if (at >= text_.size()) return kNone;
        const std::string_view rest = text_.substr(at);
        if (rest[0] == '+' || rest[0] == '-') return offset_zone("", at);
        if (rest.starts_with("GMT0")) return put_zone(*Zone::find_region("GMT0"), at + 4);
        if (rest.starts_with("GMT")) return offset_zone("GMT", at);
        const bool utc = rest.starts_with("UTC");
        if (rest.starts_with("UT") && !utc) return offset_zone("UT", at);
        std::size_t length = 0;
        const std::optional<Zone> found = step.op == Step::Op::zone_name
                                              ? step.zones->match(rest, step.full, length)
                                              : Zone::match_region(rest, length);
        // Names that only begin so go before "UTC" with an offset.
        if (utc && (!found || length <= 3)) return offset_zone("UTC", at);
        if (found) return put_zone(*found, at + length);
        return rest[0] == 'Z' ? put_zone(Zone(), at + 1) : kNone;
    }

    std::size_t put_zone(const Zone& zone, std::size_t end) {
        fields_->zone = zone;
        return end;
    }

    /// An offset behind a prefix, which counts alone where none follows.
    std::size_t offset_zone(std::string_view prefix, std::size_t at) {
        at += prefix.size();
        OffsetStyle style;
        style.colon = true;
        style.seconds = OffsetStyle::Part::optional;
        std::int64_t seconds = 0;
        const std::size_t end = signed_offset(style, at, seconds);
        if (end == kNone)
            return prefix.empty() ? kNone : put_zone(Zone::with_prefix(prefix, 0), at);
        if (seconds < -Zone::kGreatestOffset || seconds > Zone::kGreatestOffset) return kNone;
        const auto offset = static_cast<std::int32_t>(seconds);
        return put_zone(
            prefix.empty() ? Zone::of_offset(offset) : Zone::with_prefix(prefix, offset), end);
    }

    /// A count since 1970 in units of which a second has `units`, and its fraction.
    std::size_t epoch(std::size_t at, std::int64_t units, std::size_t most_digits) {
        const bool negative = at < text_.size() && text_[at] == '-';
        if (negative) ++at;
        const std::size_t count = digits(at, 19);
        if (count == 0 || (count == 19 && !fits_64_bits(at, count))) return kNone;
        const std::int64_t whole = digits_value(at, count);
        at += count;
        std::int64_t nanos = whole % units * (kNanosOfSecond / units);
        if (at < text_.size() && text_[at] == '.') {
            ++at;
            const std::size_t fraction = digits(at, most_digits);
            std::int64_t value = digits_value(at, fraction);
            for (std::size_t i = fraction; i < most_digits; ++i)
                value *= 10;
            nanos += value;
            at += fraction;
        }
        std::int64_t seconds = whole / units;
        if (negative) {
            seconds = -seconds - (nanos > 0 ? 1 : 0);
            nanos = nanos > 0 ? kNanosOfSecond - nanos : 0;
        }
        if (!fields_->add(Field::instant, seconds)) return kNone;
        return put(Field::nano, nanos, at);
    }

    const std::vector<Step>& steps_;
    const WeekRules& weeks_;
    std::string_view text_;
    Fields* fields_;
};

}  // namespace

bool read(const Program& program, std::string_view text, Fields& fields) {
    return Reader(program, text, fields).run(0, program.steps.size(), 0) == text.size();
}

}  // namespace penstock::text::dates
