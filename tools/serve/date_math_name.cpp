#include "tools/serve/date_math_name.h"

#include <charconv>

#include "engine/io/date_math.h"
#include "engine/runtime/error.h"
#include "engine/text/dates/date_format.h"
#include "tools/serve/api_error.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

using text::dates::DateDefaults;
using text::dates::DateFormat;
using text::dates::Zone;
using text::dates::ZonedTime;

namespace {

constexpr std::string_view kDefaultFormat = "uuuu.MM.dd";

ApiError parse_failure(std::string reason) {
    return {400, "parse_exception", std::move(reason)};
}

/// What stands between the braces of one placeholder: an expression, its format and its zone.
class Placeholder {
  public:
    explicit Placeholder(std::string_view text) {
        const std::size_t brace = text.find('{');
        expression_ = text.substr(0, brace);
        std::string_view format = kDefaultFormat;
        if (brace != std::string_view::npos) {
            format = text.substr(brace + 1, text.size() - brace - 2);
            const std::size_t bar = format.find('|');
            if (bar != std::string_view::npos) {
                zone_ = parsed_zone(format.substr(bar + 1));
                format = format.substr(0, bar);
            }
        }
        format_text_ = format;
        try {
            format_ = DateFormat::compile(format);
        } catch (const Error& error) {
            throw illegal_argument(error.what());
        }
    }

    std::string at(std::int64_t now_millis) const {
        try {
            return format_->print(ZonedTime::of_millis(millis(now_millis), zone_));
        } catch (const Error& error) {
            throw illegal_argument(error.what());
        }
    }

  private:
    static Zone parsed_zone(std::string_view id) {
        try {
            return Zone::parse(id);
        } catch (const Error& error) {
            throw illegal_argument(error.what());
        }
    }

    std::int64_t millis(std::int64_t now_millis) const {
        std::string_view math = expression_;
        if (math.starts_with("now")) return apply(now_millis, math.substr(3));
        const std::size_t bars = math.find("||");
        const std::string_view date = math.substr(0, bars);
        math = bars == std::string_view::npos ? std::string_view() : math.substr(bars + 2);
        const auto time = format_->parse(date, DateDefaults{zone_, std::nullopt});
        if (!time) {
            throw parse_failure("failed to parse date field [" + std::string(date) +
                                "] with format [" + format_text_ + "]");
        }
        return apply(time->epoch_milli(), math);
    }

    /// Runs `+1d/M` and the like in the zone's local time.
    std::int64_t apply(std::int64_t millis, std::string_view math) const {
        const std::string whole(math);
        while (!math.empty()) {
            const char operation = math.front();
            math.remove_prefix(1);
            if (operation != '+' && operation != '-' && operation != '/')
                throw parse_failure("operator not supported for date math [" + whole + "]");
            std::int64_t count = 1;
            const auto [end, problem] =
                std::from_chars(math.data(), math.data() + math.size(), count);
            const auto digits = static_cast<std::size_t>(end - math.data());
            if (problem == std::errc() && count >= 0) math.remove_prefix(digits);
            if (math.empty() || (problem != std::errc() && digits > 0))
                throw parse_failure("truncated date math [" + whole + "]");
            if (operation == '/' && count != 1) {
                throw parse_failure("rounding `/` can only be used on single unit types [" + whole +
                                    "]");
            }
            const char unit = math.front() == 'H' ? 'h' : math.front();
            if (std::string_view("yMwdhms").find(unit) == std::string_view::npos) {
                throw parse_failure("unit [" + std::string(1, unit) +
                                    "] not supported for date math [" + whole + "]");
            }
            math.remove_prefix(1);
            millis = step(millis, operation, count, unit);
        }
        return millis;
    }

    std::int64_t step(std::int64_t millis, char operation, std::int64_t count, char unit) const {
        // Hours and less pass as they do, whatever the clocks show.
        const bool calendar =
            operation == '/' || std::string_view("yMwd").find(unit) != std::string_view::npos;
        const std::int64_t second = io::round_date(millis, 's') / 1000;
        const std::int64_t offset = std::int64_t{zone_.offset_at(second)} * 1000;
        const std::int64_t local = calendar ? millis + offset : millis;
        std::int64_t moved = operation == '/'
                                 ? io::round_date(local, unit)
                                 : io::add_date(local, operation == '+' ? count : -count, unit);
        if (!calendar) return moved;
        const std::int64_t moved_second = io::round_date(moved, 's') / 1000;
        return zone_.instant_of(moved_second) * 1000 + (moved - moved_second * 1000);
    }

    std::string_view expression_;
    std::string format_text_;
    std::optional<DateFormat> format_;
    Zone zone_;
};

/// Reads the name from its first character on.
class NameReader {
  public:
    NameReader(std::string_view name, std::int64_t now) : name_(name), now_(now) {}

    std::string read() {
        const std::string_view text = name_.substr(1, name_.size() - 2);
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char c = text[i];
            const bool escaped = escape_;
            escape_ = false;
            if (c == '\\') {
                escape_ = !escaped;
                if (escaped) resolved_.push_back(c);
            } else if (inside_) {
                in_placeholder(c, escaped, i + 1);
            } else {
                outside(c, escaped, i + 1);
            }
        }
        if (inside_) throw invalid("date math placeholder is open ended");
        if (resolved_.empty()) throw parse_failure("nothing captured");
        return std::move(resolved_);
    }

  private:
    ApiError invalid(const std::string& why) const {
        return parse_failure("invalid dynamic name expression [" +
                             std::string(name_.substr(1, name_.size() - 2)) + "]. " + why);
    }

    void outside(char c, bool escaped, std::size_t position) {
        if (c == '{' && !escaped) {
            inside_ = true;
            return;
        }
        if (c == '}' && !escaped) {
            throw invalid("invalid character at position [" + std::to_string(position) +
                          "]. `{` and `}` are reserved characters and should be escaped when used "
                          "as part of the index name using `\\` (e.g. `\\{text\\}`)");
        }
        resolved_.push_back(c);
    }

    void in_placeholder(char c, bool escaped, std::size_t position) {
        const bool literal = escaped && in_format_;
        if (c == '{' && !literal) {
            if (in_format_) {
                throw invalid("invalid character in placeholder at position [" +
                              std::to_string(position) + "]");
            }
            in_format_ = true;
        } else if (c == '}' && !literal) {
            if (!in_format_) return finish();
            in_format_ = false;
        }
        placeholder_.push_back(c);
    }

    void finish() {
        const std::size_t brace = placeholder_.find('{');
        if (brace != std::string::npos) {
            if (placeholder_.back() != '}')
                throw invalid("missing closing `}` for date math format");
            if (brace + 2 == placeholder_.size()) throw invalid("missing date format");
        }
        resolved_ += Placeholder(placeholder_).at(now_);
        placeholder_.clear();
        inside_ = false;
    }

    std::string_view name_;
    std::int64_t now_;
    std::string resolved_;
    std::string placeholder_;
    bool inside_ = false;
    bool in_format_ = false;
    bool escape_ = false;
};

}  // namespace

std::string resolve_date_math(std::string_view name, std::chrono::system_clock::time_point now) {
    if (name.size() < 2 || name.front() != '<' || name.back() != '>') return std::string(name);
    return NameReader(name, milliseconds(now)).read();
}

}  // namespace penstock::serve
