// How dates and numbers are shown where a search asks for a format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace penstock::serve {

/// A format of dates (a java.time pattern, or a name of Elasticsearch's) or of numbers (a pattern
/// of java.text.DecimalFormat: "#,##0.00"); which of them it is, the field tells. Immutable.
class ValueFormat {
  public:
    static constexpr std::size_t kMaxBytes = 1024;

    /// Null for "use_field_mapping", which is no format. Throws ApiError 400 for what is neither,
    /// or longer than 1 KiB.
    static std::shared_ptr<const ValueFormat> compile(const std::string& text);
    virtual ~ValueFormat() = default;

    const std::string& text() const { return text_; }
    /// Throws ApiError 400 when it is no format of dates, as `number` when it is none of numbers.
    virtual std::string date(std::int64_t millis) const = 0;
    virtual std::string number(double value) const = 0;
    /// Exactly, also where a double is not.
    virtual std::string number(std::int64_t value) const = 0;
    /// Milliseconds; nothing when the text is no date of this format.
    virtual std::optional<std::int64_t> parse_date(std::string_view text) const = 0;

  protected:
    explicit ValueFormat(std::string text) : text_(std::move(text)) {}

  private:
    std::string text_;
};

}  // namespace penstock::serve
