#include <algorithm>
#include <vector>

#include "engine/io/record_reader.h"

namespace penstock::io {
namespace {

/// One object, concatenated objects, or arrays of objects, without holding more than one record.
/// Commas and white space between records are both accepted. What is no object becomes a failed
/// record that ends at the next place where a record can begin, so that one mistake does not
/// swallow the rest of the file.
class JsonReader final : public RecordReader {
  public:
    using RecordReader::RecordReader;

    bool next(std::string& buffer, Record& record) override {
        if (!to_value()) {
            if (state_.in_array && fault().empty() && !window_.woken()) incomplete_ = true;
            return false;
        }
        start(record, buffer);
        ++state_.ordinal;
        kept_ = 0;
        fits_ = true;
        const char first = window_.view().front();
        const bool bracket = first == '{' || first == '[' || first == '"';
        const char* problem = bracket ? value(buffer) : word(buffer);
        record.size = buffer.size() - record.begin;
        if (!fits_) {
            buffer.resize(record.begin + std::min(record.size, kKeptOfTooLong));
            fail(record, buffer, too_long());
        } else if (problem != nullptr) {
            fail(record, buffer, problem);
        } else if (first != '{') {
            fail(record, buffer, "a document must be a JSON object");
        }
        return true;
    }

    /// The end of some object lies behind the beginning of the next value. Values may share a line,
    /// and a line may end where the next value is still to come.
    bool ready() const override {
        const std::string_view view = window_.view();
        const std::size_t begin = view.find_first_not_of(" \t\r\n,[]");
        return (begin != std::string_view::npos &&
                view.find('}', begin) != std::string_view::npos) ||
               window_.input_ready();
    }

    std::string own_fault() const override {
        return incomplete_ ? "the JSON array is not closed: the file is incomplete" : "";
    }

  private:
    /// Consumes everything between records.
    bool to_value() {
        while (!window_.view().empty() || window_.fill()) {
            const char c = window_.view().front();
            const bool opens = c == '[' && !state_.in_array;
            const bool closes = c == ']' && state_.in_array;
            const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
            if (!opens && !closes && !space) return true;
            if (opens || closes) state_.in_array = opens;
            if (c == '\n') ++state_.line;
            window_.consume(1);
        }
        return false;
    }

    void take(std::string& buffer, std::size_t size) {
        if (fits_) {
            const std::size_t room = max_record_bytes_ - kept_;
            buffer.append(window_.view().substr(0, std::min(size, room)));
            fits_ = size <= room;
            kept_ += std::min(size, room);
        }
        window_.consume(size);
    }

    /// A number, a literal or garbage: to the next separator.
    const char* word(std::string& buffer) {
        for (bool first = true; !window_.view().empty() || window_.fill(); first = false) {
            const char c = window_.view().front();
            const bool end = c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
                             c == '[' || c == '{' || c == ']';
            if (end && !first) break;
            take(buffer, 1);
        }
        return "a document must be a JSON object";
    }

    /// From an opening bracket or quote to its end. Returns what is wrong, or null.
    const char* value(std::string& buffer) {
        open_.clear();
        in_string_ = escaped_ = false;
        while (!window_.view().empty() || window_.fill()) {
            const std::string_view view = window_.view();
            for (std::size_t i = 0; i < view.size(); ++i) {
                const Step step = advance(view[i]);
                if (step == Step::more) continue;
                take(buffer, step == Step::broken_string ? i : i + 1);
                if (step == Step::broken_string) return "a line ends inside a string";
                return step == Step::end ? nullptr : "the brackets of this value do not match";
            }
            take(buffer, view.size());
        }
        return fault().empty() && !window_.woken() ? "the file ends inside this value"
                                                   : "the input breaks off inside this value";
    }

    enum class Step { more, end, mismatch, broken_string };

    Step advance(char c) {
        if (in_string_) {
            if (escaped_) {
                escaped_ = false;
            } else if (c == '\\') {
                escaped_ = true;
            } else if (c == '"') {
                in_string_ = false;
                return open_.empty() ? Step::end : Step::more;
            }
            return c == '\n' ? Step::broken_string : Step::more;
        }
        switch (c) {
            case '"':
                in_string_ = true;
                return Step::more;
            case '{':
            case '[':
                if (open_.size() >= kMaxBrackets) return Step::mismatch;
                open_.push_back(c == '{');
                return Step::more;
            case '}':
            case ']':
                if (open_.empty() || open_.back() != (c == '}')) return Step::mismatch;
                open_.pop_back();
                return open_.empty() ? Step::end : Step::more;
            case '\n':
                ++state_.line;
                return Step::more;
            default:
                return Step::more;
        }
    }

    static constexpr std::size_t kMaxBrackets =
        64UL << 20;  // bounds memory on input that is all brackets

    std::vector<bool> open_;  // true: an object
    bool in_string_ = false;
    bool escaped_ = false;
    bool fits_ = true;
    std::size_t kept_ = 0;
    bool incomplete_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> make_json_reader(ByteInput& input, std::size_t max_record_bytes) {
    return std::make_unique<JsonReader>(input, max_record_bytes);
}

}  // namespace penstock::io
