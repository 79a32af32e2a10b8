// Printing a moment by a program's steps.
#include <charconv>

#include "engine/runtime/error.h"
#include "engine/text/dates/program.h"

namespace penstock::text::dates {
namespace {

/// The digits of a number without its sign.
struct Digits {
    char text[24];
    std::size_t size;

    explicit Digits(std::int64_t value) {
        const auto magnitude =
            value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
        size =
            static_cast<std::size_t>(std::to_chars(text, text + sizeof text, magnitude).ptr - text);
    }
};

class Printer {
  public:
    Printer(const Program& program, const PrintedTime& time, std::string& out)
        : program_(program), time_(time), out_(out) {}

    void run() {
        std::size_t pad_from = 0;
        std::size_t pad_width = 0;
        for (const Step& step : program_.steps) {
            // What may be absent is there: a moment has every field.
            if (step.op == Step::Op::optional) continue;
            if (step.op == Step::Op::pad) {
                pad_from = out_.size();
                pad_width = step.min;
                continue;
            }
            one(step);
            if (pad_width == 0) continue;
            const std::size_t size = out_.size() - pad_from;
            if (size > pad_width)
                throw Error("Cannot print as output of " + std::to_string(size) +
                            " characters exceeds pad width of " + std::to_string(pad_width));
            out_.insert(pad_from, pad_width - size, ' ');
            pad_width = 0;
        }
    }

  private:
    std::int64_t value(Field field) const {
        return *field_of(field, time_.epoch_day, time_.nano_of_day, program_.weeks);
    }

    void one(const Step& step) {
        switch (step.op) {
            case Step::Op::literal:
                out_ += step.text;
                break;
            case Step::Op::number:
                number(step, value(step.field));
                break;
            case Step::Op::reduced: {
                const std::int64_t year = value(step.field);
                two((year < 0 ? -year : year) % 100);
                break;
            }
            case Step::Op::fraction:
                fraction(step);
                break;
            case Step::Op::name:
                name(step);
                break;
            case Step::Op::offset:
                offset(step.offset);
                break;
            case Step::Op::localized_offset:
                localized_offset(step.full);
                break;
            case Step::Op::zone_id:
                out_ += time_.zone.id();
                break;
            case Step::Op::zone_name:
                step.zones->append(time_.zone, time_.epoch_second, step.full, out_);
                break;
            case Step::Op::epoch_seconds:
                epoch(time_.epoch_second, time_.nano_of_day % kNanosOfSecond, 9);
                break;
            case Step::Op::epoch_millis: {
                const std::int64_t nanos = time_.nano_of_day % kNanosOfSecond;
                epoch(time_.epoch_second * 1000 + nanos / 1'000'000, nanos % 1'000'000, 6);
                break;
            }
            case Step::Op::optional:
            case Step::Op::pad:
                break;
        }
    }

    void number(const Step& step, std::int64_t value) {
        const Digits digits(value);
        if (digits.size > step.max) {
            throw Error("the value " + std::to_string(value) +
                        " exceeds the maximum print width of " + std::to_string(step.max));
        }
        if (value >= 0) {
            if (step.sign == Sign::exceeds_pad && step.min < 19 && digits.size > step.min)
                out_.push_back('+');
        } else if (step.sign == Sign::normal || step.sign == Sign::exceeds_pad) {
            out_.push_back('-');
        } else if (step.sign == Sign::not_negative) {
            throw Error("the value " + std::to_string(value) +
                        " cannot be negative according to the format");
        }
        if (digits.size < step.min) out_.append(step.min - digits.size, '0');
        out_.append(digits.text, digits.size);
    }

    void two(std::int64_t value) {
        out_.push_back(static_cast<char>('0' + value / 10));
        out_.push_back(static_cast<char>('0' + value % 10));
    }

    void fraction(const Step& step) {
        fraction(value(Field::nano), step.min, step.max, step.point);
    }

    /// `value` in billionths, without the zeros at the end that are not wanted.
    void fraction(std::int64_t value, std::size_t min, std::size_t max, bool point) {
        char digits[9];
        for (std::size_t i = 9; i-- > 0; value /= 10)
            digits[i] = static_cast<char>('0' + value % 10);
        std::size_t size = max;
        while (size > min && digits[size - 1] == '0')
            --size;
        if (size == 0) return;
        if (point) out_.push_back('.');
        out_.append(digits, size);
    }

    void name(const Step& step) {
        const std::int64_t number = value(step.field);
        const std::string* name = step.names->find(number);
        out_ += name != nullptr ? *name : std::to_string(number);
    }

    void offset(const OffsetStyle& style) {
        using Part = OffsetStyle::Part;
        if (time_.offset == 0) {
            out_ += style.zero;
            return;
        }
        const std::int32_t all = time_.offset < 0 ? -time_.offset : time_.offset;
        const std::int32_t minutes = all / 60 % 60;
        const std::int32_t seconds = all % 60;
        out_.push_back(time_.offset < 0 ? '-' : '+');
        two(all / 3600);
        const bool with_minutes =
            style.minutes == Part::mandatory || (style.minutes == Part::optional && minutes > 0);
        if (!with_minutes) return;
        if (style.colon) out_.push_back(':');
        two(minutes);
        if (style.seconds == Part::none || (style.seconds == Part::optional && seconds == 0))
            return;
        if (style.colon) out_.push_back(':');
        two(seconds);
    }

    void localized_offset(bool full) {
        out_ += "GMT";
        if (time_.offset == 0) return;
        const std::int32_t all = time_.offset < 0 ? -time_.offset : time_.offset;
        out_.push_back(time_.offset < 0 ? '-' : '+');
        if (full || all >= 36'000) {
            two(all / 3600);
        } else {
            out_.push_back(static_cast<char>('0' + all / 3600));
        }
        if (full || all % 3600 != 0) {
            out_.push_back(':');
            two(all / 60 % 60);
            if (all % 60 != 0) {
                out_.push_back(':');
                two(all % 60);
            }
        }
    }

    /// A count since 1970 with a fraction of `digits` digits at most; before 1970 both count
    /// backwards.
    void epoch(std::int64_t whole, std::int64_t rest, std::size_t digits) {
        const std::int64_t one = digits == 9 ? kNanosOfSecond : 1'000'000;
        if (whole < 0 && rest > 0) {
            ++whole;
            rest = one - rest;
            if (whole == 0) out_.push_back('-');
        }
        out_ += std::to_string(whole);
        fraction(digits == 9 ? rest : rest * 1000, 0, digits, true);
    }

    const Program& program_;
    const PrintedTime& time_;
    std::string& out_;
};

}  // namespace

void print(const Program& program, const PrintedTime& time, std::string& out) {
    Printer(program, time, out).run();
}

}  // namespace penstock::text::dates
