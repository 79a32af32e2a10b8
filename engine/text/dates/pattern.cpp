#include <algorithm>
#include <array>

#include "engine/runtime/error.h"
#include "engine/text/dates/program.h"

namespace penstock::text::dates {

using Part = OffsetStyle::Part;

// ---- the builder

std::size_t ProgramBuilder::add(Step step) {
    last_number_.reset();
    const bool pads = !program_.steps.empty() && program_.steps.back().op == Step::Op::pad;
    program_.steps.push_back(std::move(step));
    if (pads) last_number_.reset();
    return program_.steps.size() - 1;
}

/// Numbers without a separator between them share their digits: what follows with a fixed width
/// takes it from the one before that has none.
void ProgramBuilder::add_number(Step step) {
    if (last_number_) {
        const std::size_t before = *last_number_;
        Step& base = program_.steps[before];
        const bool fixed = step.min == step.max &&
                           (step.op == Step::Op::fraction || step.sign == Sign::not_negative);
        if (fixed) {
            if (base.subsequent >= 0) base.subsequent += step.max;
            step.subsequent = -1;
            add(std::move(step));
            last_number_ = before;
        } else {
            base.subsequent = -1;
            last_number_ = add(std::move(step));
        }
        return;
    }
    const bool pads = !program_.steps.empty() && program_.steps.back().op == Step::Op::pad;
    const std::size_t at = add(std::move(step));
    if (!pads) last_number_ = at;
}

void ProgramBuilder::literal(std::string_view text) {
    if (text.empty()) return;
    Step step;
    step.op = Step::Op::literal;
    step.text = text;
    step.ignore_case = ignore_case_;
    add(std::move(step));
}

void ProgramBuilder::value(Field field) {
    value(field, 1, 19, Sign::normal);
}

void ProgramBuilder::value(Field field, int width) {
    value(field, width, width, Sign::not_negative);
}

void ProgramBuilder::value(Field field, int min, int max, Sign sign) {
    if (min > 19 || max > 19)
        throw Error("The minimum width must be from 1 to 19 inclusive but was " +
                    std::to_string(min));
    Step step;
    step.op = Step::Op::number;
    step.field = field;
    step.min = static_cast<std::uint8_t>(min);
    step.max = static_cast<std::uint8_t>(max);
    step.sign = sign;
    add_number(std::move(step));
}

void ProgramBuilder::reduced(Field field) {
    Step step;
    step.op = Step::Op::reduced;
    step.field = field;
    step.min = step.max = 2;
    step.sign = Sign::not_negative;
    add_number(std::move(step));
}

void ProgramBuilder::fraction(int min, int max, bool point) {
    if (max > 9)
        throw Error("Maximum width must be from 1 to 9 inclusive but was " + std::to_string(max));
    Step step;
    step.op = Step::Op::fraction;
    step.field = Field::nano;
    step.min = static_cast<std::uint8_t>(min);
    step.max = static_cast<std::uint8_t>(max);
    step.point = point;
    if (min == max && !point) {
        add_number(std::move(step));
    } else {
        add(std::move(step));
    }
}

void ProgramBuilder::name(Named kind, Field field, NameStyle style, bool stand_alone) {
    Step step;
    step.op = Step::Op::name;
    step.field = field;
    step.names = std::make_shared<const NameTable>(locale_.names(kind, style, stand_alone));
    add(std::move(step));
}

void ProgramBuilder::offset(OffsetStyle style) {
    Step step;
    step.op = Step::Op::offset;
    step.offset = style;
    add(std::move(step));
}

void ProgramBuilder::localized_offset(bool full) {
    Step step;
    step.op = Step::Op::localized_offset;
    step.full = full;
    add(std::move(step));
}

void ProgramBuilder::zone_id() {
    Step step;
    step.op = Step::Op::zone_id;
    add(std::move(step));
}

void ProgramBuilder::zone_name(bool full) {
    if (!zones_) zones_ = std::make_shared<const ZoneNames>(locale_.id());
    Step step;
    step.op = Step::Op::zone_name;
    step.full = full;
    step.zones = zones_;
    add(std::move(step));
}

void ProgramBuilder::epoch(Step::Op op) {
    Step step;
    step.op = op;
    add(std::move(step));
}

void ProgramBuilder::pad_next(int width) {
    Step step;
    step.op = Step::Op::pad;
    step.min = static_cast<std::uint8_t>(std::min(width, 255));
    add(std::move(step));
}

void ProgramBuilder::optional_start() {
    // Reading goes one call deeper for each.
    constexpr std::size_t most = 32;
    if (open_.size() == most)
        throw Error("Pattern has more than " + std::to_string(most) +
                    " optional sections inside of each other");
    Step step;
    step.op = Step::Op::optional;
    open_.push_back(add(std::move(step)));
}

void ProgramBuilder::optional_end() {
    program_.steps[open_.back()].end = static_cast<std::uint32_t>(program_.steps.size());
    open_.pop_back();
    last_number_.reset();
}

Program ProgramBuilder::finish(ResolverStyle resolver) {
    while (in_optional())
        optional_end();
    program_.resolver = resolver;
    program_.weeks = locale_.weeks();
    return std::move(program_);
}

// ---- patterns

namespace {

bool is_letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

struct Letter {
    char letter;
    Field field;
};
constexpr auto kLetters = std::to_array<Letter>({
    {'u', Field::year},
    {'y', Field::year_of_era},
    {'Y', Field::week_based_year},
    {'M', Field::month},
    {'L', Field::month},
    {'Q', Field::quarter},
    {'q', Field::quarter},
    {'E', Field::day_of_week},
    {'e', Field::local_day_of_week},
    {'c', Field::local_day_of_week},
    {'d', Field::day},
    {'D', Field::day_of_year},
    {'F', Field::aligned_week_of_month},
    {'G', Field::era},
    {'a', Field::am_pm},
    {'h', Field::clock_hour_of_am_pm},
    {'H', Field::hour},
    {'k', Field::clock_hour},
    {'K', Field::hour_of_am_pm},
    {'m', Field::minute},
    {'s', Field::second},
    {'n', Field::nano},
    {'S', Field::nano},
    {'A', Field::milli_of_day},
    {'N', Field::nano_of_day},
    {'g', Field::modified_julian_day},
    {'w', Field::week},
    {'W', Field::week_of_month},
});

/// One pattern, letter by letter, by the rules of DateTimeFormatterBuilder.appendPattern.
class PatternCompiler {
  public:
    PatternCompiler(std::string_view pattern, const DateLocale& locale)
        : pattern_(pattern), builder_(locale) {}

    Program compile() {
        while (at_ < pattern_.size())
            next();
        return builder_.finish(ResolverStyle::strict);
    }

  private:
    void next() {
        const char c = pattern_[at_];
        if (is_letter(c)) {
            letters();
        } else if (c == '\'') {
            quoted();
        } else if (c == '[') {
            builder_.optional_start();
            ++at_;
        } else if (c == ']') {
            if (!builder_.in_optional())
                throw Error("Pattern invalid as it contains ] without previous [");
            builder_.optional_end();
            ++at_;
        } else if (c == '{' || c == '}' || c == '#') {
            throw Error("Pattern includes reserved character: '" + std::string(1, c) + "'");
        } else {
            builder_.literal(pattern_.substr(at_, 1));
            ++at_;
        }
    }

    void quoted() {
        std::string text;
        std::size_t at = at_ + 1;
        for (; at < pattern_.size(); ++at) {
            if (pattern_[at] == '\'') {
                if (at + 1 >= pattern_.size() || pattern_[at + 1] != '\'') break;
                ++at;
            }
            text.push_back(pattern_[at]);
        }
        if (at >= pattern_.size())
            throw Error("Pattern ends with an incomplete string literal: " + std::string(pattern_));
        builder_.literal(at == at_ + 1 ? "'" : text);
        at_ = at + 1;
    }

    int count_letters() {
        const char c = pattern_[at_];
        int count = 0;
        for (; at_ < pattern_.size() && pattern_[at_] == c; ++at_)
            ++count;
        return count;
    }

    void letters() {
        char letter = pattern_[at_];
        int count = count_letters();
        if (letter == 'p') {
            if (at_ >= pattern_.size() || !is_letter(pattern_[at_])) {
                throw Error("Pad letter 'p' must be followed by valid pad pattern: " +
                            std::string(pattern_));
            }
            builder_.pad_next(count);
            letter = pattern_[at_];
            count = count_letters();
        }
        if (zone(letter, count)) return;
        const auto* found = std::find_if(kLetters.begin(), kLetters.end(),
                                         [letter](const Letter& l) { return l.letter == letter; });
        if (found == kLetters.end())
            throw Error("Unknown pattern letter: " + std::string(1, letter));
        field(letter, count, found->field);
    }

    [[noreturn]] static void too_many(char letter) {
        throw Error("Too many pattern letters: " + std::string(1, letter));
    }

    bool zone(char letter, int count) {
        switch (letter) {
            case 'z':
                if (count > 4) too_many(letter);
                builder_.zone_name(count == 4);
                return true;
            case 'v':
                if (count != 1 && count != 4) throw Error("Wrong number of pattern letters: v");
                builder_.zone_name(count == 4);
                return true;
            case 'V':
                if (count != 2) throw Error("Pattern letter count must be 2: V");
                builder_.zone_id();
                return true;
            case 'Z':
                if (count > 5) too_many(letter);
                if (count == 4) {
                    builder_.localized_offset(true);
                } else if (count == 5) {
                    builder_.offset({true, Part::mandatory, Part::optional, "Z"});
                } else {
                    builder_.offset({false, Part::mandatory, Part::none, "+0000"});
                }
                return true;
            case 'O':
                if (count != 1 && count != 4) throw Error("Pattern letter count must be 1 or 4: O");
                builder_.localized_offset(count == 4);
                return true;
            case 'X':
            case 'x':
                iso_offset(letter, count);
                return true;
            default:
                return false;
        }
    }

    void iso_offset(char letter, int count) {
        if (count > 5) too_many(letter);
        OffsetStyle style;
        style.colon = count == 3 || count == 5;
        style.minutes = count == 1 ? Part::optional : Part::mandatory;
        style.seconds = count >= 4 ? Part::optional : Part::none;
        if (letter == 'x') style.zero = count == 1 ? "+00" : style.colon ? "+00:00" : "+0000";
        builder_.offset(style);
    }

    void field(char letter, int count, Field field) {
        switch (letter) {
            case 'u':
            case 'y':
                year(count, field);
                break;
            case 'Y':
                if (count == 2) {
                    builder_.reduced(field);
                } else {
                    builder_.value(field, count, 19, count < 4 ? Sign::normal : Sign::exceeds_pad);
                }
                break;
            case 'w':
                if (count > 2) too_many(letter);
                builder_.value(field, count, 2, Sign::not_negative);
                break;
            case 'W':
                if (count > 1) too_many(letter);
                builder_.value(field, 1);
                break;
            case 'c':
            case 'e':
            case 'E':
            case 'M':
            case 'L':
            case 'Q':
            case 'q':
                name_or_number(letter, count, field);
                break;
            case 'a':
                if (count > 1) too_many(letter);
                builder_.name(Named::am_pm, field, NameStyle::abbreviated, false);
                break;
            case 'G':
                if (count > 5) too_many(letter);
                builder_.name(Named::era, field, name_style(count), false);
                break;
            case 'S':
                builder_.fraction(count, count, false);
                break;
            case 'F':
                if (count > 1) too_many(letter);
                builder_.value(field);
                break;
            case 'D':
                if (count > 3) too_many(letter);
                if (count == 1) {
                    builder_.value(field);
                } else {
                    builder_.value(field, count, 3, Sign::not_negative);
                }
                break;
            case 'g':
                builder_.value(field, count, 19, Sign::normal);
                break;
            case 'A':
            case 'n':
            case 'N':
                builder_.value(field, count, 19, Sign::not_negative);
                break;
            default:
                if (count > 2) too_many(letter);
                if (count == 1) {
                    builder_.value(field);
                } else {
                    builder_.value(field, 2);
                }
        }
    }

    void year(int count, Field field) {
        if (count == 2) {
            builder_.reduced(field);
        } else {
            builder_.value(field, count, 19, count < 4 ? Sign::normal : Sign::exceeds_pad);
        }
    }

    static NameStyle name_style(int count) {
        if (count == 4) return NameStyle::full;
        return count == 5 ? NameStyle::narrow : NameStyle::abbreviated;
    }

    void name_or_number(char letter, int count, Field field) {
        if (letter == 'c' && count == 2) throw Error("Invalid pattern \"cc\"");
        if (count > 5) too_many(letter);
        const bool stand_alone = letter == 'c' || letter == 'L' || letter == 'q';
        if (count <= 2 && letter != 'E') {
            if (letter == 'e' || letter == 'c') {
                builder_.value(field, count);
            } else if (count == 1) {
                builder_.value(field);
            } else {
                builder_.value(field, 2);
            }
            return;
        }
        const bool day = letter == 'c' || letter == 'e' || letter == 'E';
        const Named kind = day                              ? Named::day_of_week
                           : letter == 'M' || letter == 'L' ? Named::month
                                                            : Named::quarter;
        builder_.name(kind, day ? Field::day_of_week : field, name_style(count), stand_alone);
    }

    std::string_view pattern_;
    std::size_t at_ = 0;
    ProgramBuilder builder_;
};

}  // namespace

Program compile_pattern(std::string_view pattern, const DateLocale& locale) {
    return PatternCompiler(pattern, locale).compile();
}

}  // namespace penstock::text::dates
