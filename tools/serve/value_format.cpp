#include "tools/serve/value_format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "engine/runtime/error.h"
#include "engine/text/dates/date_format.h"
#include "tools/serve/api_error.h"

namespace penstock::serve {

namespace {

using text::dates::DateFormat;
using text::dates::Zone;
using text::dates::ZonedTime;

constexpr std::size_t kMostDigits = 340;  ///< of Java's

/// "#,##0.00 kg": what goes before and behind a number, and how many digits it has.
struct DecimalFormat {
    std::string before;
    std::string behind;
    std::size_t least_whole = 0;
    std::size_t least_fraction = 0;
    std::size_t most_fraction = 0;
    std::size_t group = 0;  ///< digits between commas; 0: no commas
    bool percent = false;

    static std::optional<DecimalFormat> parse(std::string_view pattern);
    std::string print(double value) const;
    std::string print(std::int64_t value) const;

  private:
    /// `digits`: without a sign, and with as many of the fraction as there may be.
    std::string print_digits(bool negative, std::string_view digits) const;
    bool read_digits(std::string_view digits);
    void append_whole(std::string whole, std::string& out) const;
};

bool DecimalFormat::read_digits(std::string_view digits) {
    bool in_fraction = false;
    bool grouped = false;
    for (const char c : digits) {
        if (c == '.') {
            if (in_fraction) return false;
            in_fraction = true;
        } else if (c == ',') {
            if (in_fraction) return false;
            grouped = true;
            group = 0;
        } else if (in_fraction) {
            ++most_fraction;
            if (c == '0') least_fraction = most_fraction;
        } else {
            if (c == '0') ++least_whole;
            if (grouped) ++group;
        }
    }
    return most_fraction <= kMostDigits && least_whole <= kMostDigits;
}

std::optional<DecimalFormat> DecimalFormat::parse(std::string_view pattern) {
    constexpr std::string_view digits = "#0.,";
    const std::size_t begin = pattern.find_first_of("#0.");
    if (begin == std::string_view::npos) return std::nullopt;
    const std::size_t end = std::min(pattern.find_first_not_of(digits, begin), pattern.size());
    const std::string_view number = pattern.substr(begin, end - begin);
    // Exponents, quotes and patterns for negative numbers are not read.
    if (pattern.find_first_of("';E") != std::string_view::npos ||
        pattern.find_first_of("#0", end) != std::string_view::npos ||
        number.find_first_of("#0") == std::string_view::npos)
        return std::nullopt;
    DecimalFormat format;
    format.before = pattern.substr(0, begin);
    format.behind = pattern.substr(end);
    format.percent = pattern.find('%') != std::string_view::npos;
    if (!format.read_digits(number)) return std::nullopt;
    return format;
}

void DecimalFormat::append_whole(std::string whole, std::string& out) const {
    if (whole == "0") whole.clear();
    if (whole.size() < least_whole) whole.insert(0, least_whole - whole.size(), '0');
    for (std::size_t i = 0; i < whole.size(); ++i) {
        if (i > 0 && group > 0 && (whole.size() - i) % group == 0) out.push_back(',');
        out.push_back(whole[i]);
    }
}

std::string DecimalFormat::print(double value) const {
    if (!std::isfinite(value))
        return before + (std::isnan(value) ? "NaN" : "\xE2\x88\x9E") + behind;
    std::array<char, 1024> text{};
    const int size =
        std::snprintf(text.data(), text.size(), "%.*f", static_cast<int>(most_fraction),
                      std::abs(percent ? value * 100 : value));
    return print_digits(std::signbit(value),
                        std::string_view(text.data(), static_cast<std::size_t>(size)));
}

std::string DecimalFormat::print(std::int64_t value) const {
    std::string digits = std::to_string(value);
    if (value < 0) digits.erase(0, 1);
    if (percent) digits += "00";
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
    return print_digits(value < 0, digits + "." + std::string(least_fraction, '0'));
}

std::string DecimalFormat::print_digits(bool negative, std::string_view digits) const {
    const std::size_t point = std::min(digits.find('.'), digits.size());
    std::string_view fraction = digits.substr(std::min(point + 1, digits.size()));
    while (fraction.size() > least_fraction && fraction.back() == '0')
        fraction.remove_suffix(1);
    const bool zero = digits.find_first_not_of("0.") == std::string_view::npos;
    std::string out = negative && !zero ? "-" + before : before;
    const std::size_t begin = out.size();
    append_whole(std::string(digits.substr(0, point)), out);
    if (out.size() == begin && fraction.empty()) out.push_back('0');
    if (!fraction.empty()) out.append(".").append(fraction);
    return out + behind;
}

class CompiledFormat final : public ValueFormat {
  public:
    CompiledFormat(const std::string& text, std::optional<DateFormat> dates,
                   std::optional<DecimalFormat> numbers)
        : ValueFormat(text), dates_(std::move(dates)), numbers_(std::move(numbers)) {}

    std::string date(std::int64_t millis) const override {
        if (!dates_) throw illegal_argument("[" + text() + "] is no format of dates");
        try {
            return dates_->print(ZonedTime::of_millis(millis, Zone()));
        } catch (const Error& problem) {
            throw illegal_argument(problem.what());
        }
    }
    std::string number(double value) const override {
        if (!numbers_) throw illegal_argument("[" + text() + "] is no format of numbers");
        return numbers_->print(value);
    }
    std::string number(std::int64_t value) const override {
        if (!numbers_) throw illegal_argument("[" + text() + "] is no format of numbers");
        return numbers_->print(value);
    }
    std::optional<std::int64_t> parse_date(std::string_view date) const override {
        if (!dates_) return std::nullopt;
        const auto time = dates_->parse(date);
        return time ? std::optional(time->epoch_milli()) : std::nullopt;
    }

  private:
    std::optional<DateFormat> dates_;
    std::optional<DecimalFormat> numbers_;
};

}  // namespace

std::shared_ptr<const ValueFormat> ValueFormat::compile(const std::string& text) {
    if (text == "use_field_mapping") return nullptr;
    if (text.size() > kMaxBytes)
        throw illegal_argument("a format has at most [" + std::to_string(kMaxBytes) +
                               "] bytes, not [" + std::to_string(text.size()) + "]");
    std::optional<DecimalFormat> numbers = DecimalFormat::parse(text);
    try {
        return std::make_shared<CompiledFormat>(text, DateFormat::compile(text), numbers);
    } catch (const Error& problem) {
        if (!numbers) throw illegal_argument(problem.what());
        return std::make_shared<CompiledFormat>(text, std::nullopt, numbers);
    }
}

}  // namespace penstock::serve
