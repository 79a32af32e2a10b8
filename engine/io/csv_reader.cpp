#include <algorithm>
#include <set>
#include <vector>

#include "engine/io/json_text.h"
#include "engine/io/record_reader.h"

namespace penstock::io {
namespace {

/// RFC 4180 with a header row; every row becomes a JSON object of strings. Quotes count only at the
/// beginning of a cell, so `5" disk` is text. Rows may end in LF or CRLF, quoted cells may hold
/// line ends. Empty lines are skipped.
class CsvReader final : public RecordReader {
  public:
    CsvReader(ByteInput& input, std::size_t max_record_bytes, char delimiter)
        : RecordReader(input, max_record_bytes), delimiter_(delimiter) {}

    std::string begin() override {
        if (std::string problem = RecordReader::begin(); !problem.empty()) return problem;
        const char* problem = nullptr;
        do {
            if (window_.view().empty() && !window_.fill()) return {};  // an empty file has no rows
            problem = row();
        } while (problem == nullptr && blank());
        if (problem != nullptr && window_.woken()) return {};
        if (problem != nullptr) return std::string("the header row cannot be read: ") + problem;
        return take_header();
    }

    bool next(std::string& buffer, Record& record) override {
        while (!window_.view().empty() || window_.fill()) {
            start(record, buffer);
            const char* problem = row();
            if (problem == nullptr && blank()) continue;
            ++state_.ordinal;
            if (!fits_) {
                buffer.append(raw_, 0, kKeptOfTooLong);
                fail(record, buffer, too_long());
            } else if (const std::size_t bad = bad_cell();
                       problem == nullptr && ends_.size() == keys_.size() && bad < ends_.size()) {
                buffer.append(raw_);
                fail(record, buffer,
                     "column " + std::to_string(bad + 1) + ", " + name_of(bad) + ", " + kNotUtf8);
            } else if (problem != nullptr || ends_.size() != keys_.size()) {
                buffer.append(raw_);
                fail(record, buffer,
                     problem != nullptr
                         ? problem
                         : "the row has " + std::to_string(ends_.size()) +
                               " columns, the header has " + std::to_string(keys_.size()));
            } else {
                write_object(buffer);
                record.size = buffer.size() - record.begin;
            }
            return true;
        }
        return false;
    }

  private:
    enum class State { cell_start, plain, quoted, after_quote };

    bool blank() const { return ends_.size() == 1 && cells_.empty() && raw_.empty(); }

    static constexpr const char* kNotUtf8 =
        "is not UTF-8; convert the file first: iconv -f WINDOWS-1252 -t UTF-8";

    /// The first cell that is not UTF-8, or how many cells there are.
    std::size_t bad_cell() const {
        std::size_t i = 0;
        while (i < ends_.size() && is_valid_utf8(cell(i)))
            ++i;
        return i;
    }

    std::string name_of(std::size_t column) const {
        const std::string_view json = keys_[column];
        return unescape(json.substr(1, json.size() - 2));
    }

    std::string take_header() {
        if (const std::size_t bad = bad_cell(); bad < ends_.size())
            return "column " + std::to_string(bad + 1) + " of the header " + kNotUtf8;
        std::set<std::string_view> names;
        for (std::size_t i = 0; i < ends_.size(); ++i) {
            const std::string_view name = cell(i);
            if (name.empty())
                return "column " + std::to_string(i + 1) + " of the header has no name";
            if (!names.insert(name).second)
                return "the header names the column [" + std::string(name) + "] twice";
            append_json_string(keys_.emplace_back(), name);
        }
        return {};
    }

    void write_object(std::string& buffer) const {
        buffer.push_back('{');
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            if (i > 0) buffer.push_back(',');
            buffer += keys_[i];
            buffer.push_back(':');
            append_json_string(buffer, cell(i));
        }
        buffer.push_back('}');
    }

    std::string_view cell(std::size_t i) const {
        const std::size_t from = i == 0 ? 0 : ends_[i - 1];
        return std::string_view(cells_).substr(from, ends_[i] - from);
    }

    /// Reads one row into cells_ and raw_ (the bytes without the line end). Returns what is wrong,
    /// or null.
    const char* row() {
        cells_.clear();
        ends_.clear();
        raw_.clear();
        fits_ = true;
        state_machine_ = State::cell_start;
        problem_ = nullptr;
        while (!window_.view().empty() || window_.fill()) {
            const std::string_view view = window_.view();
            for (std::size_t i = 0; i < view.size(); ++i) {
                if (view[i] == '\n' && state_.line > 0) ++state_.line;
                if (!advance(view[i])) continue;
                keep(view.substr(0, i));
                window_.consume(i + 1);
                finish();
                return problem_;
            }
            keep(view);
            window_.consume(view.size());
        }
        if (!fault().empty() || window_.woken()) return "the input breaks off inside this row";
        if (state_machine_ == State::quoted)
            return "a quoted cell is not closed before the end of the file";
        finish();
        return problem_;
    }

    void keep(std::string_view piece) {
        if (!fits_) return;
        if (raw_.size() + piece.size() > max_record_bytes_) {
            fits_ = false;
            raw_.append(piece.substr(0, kKeptOfTooLong));
            cells_.clear();
            ends_.clear();
        } else {
            raw_.append(piece);
        }
    }

    void put(char c) {
        if (fits_) cells_.push_back(c);
    }
    void end_cell() {
        if (fits_) ends_.push_back(cells_.size());
        state_machine_ = State::cell_start;
    }

    /// True at the end of the row.
    bool advance(char c) {
        switch (state_machine_) {
            case State::cell_start:
                if (c == '"') {
                    state_machine_ = State::quoted;
                    return false;
                }
                state_machine_ = State::plain;
                [[fallthrough]];
            case State::plain:
                if (c == '\n') return true;
                if (c == delimiter_) {
                    end_cell();
                } else {
                    put(c);
                }
                return false;
            case State::quoted:
                if (c == '"') {
                    state_machine_ = State::after_quote;
                } else {
                    put(c);
                }
                return false;
            case State::after_quote:
                if (c == '"') {
                    put(c);
                    state_machine_ = State::quoted;
                } else if (c == delimiter_) {
                    end_cell();
                } else if (c == '\n') {
                    return true;
                } else if (c != '\r') {
                    problem_ = "text after the closing quote of a cell";
                }
                return false;
        }
        return false;
    }

    void finish() {
        if (state_machine_ == State::plain && !cells_.empty() && cells_.back() == '\r' &&
            cells_.size() > (ends_.empty() ? 0 : ends_.back())) {
            cells_.pop_back();
        }
        end_cell();
        if (!raw_.empty() && raw_.back() == '\r') raw_.pop_back();
    }

    char delimiter_;
    std::vector<std::string> keys_;  // as JSON strings
    std::string cells_;
    std::vector<std::size_t> ends_;
    std::string raw_;
    State state_machine_ = State::cell_start;
    const char* problem_ = nullptr;
    bool fits_ = true;
};

}  // namespace

std::unique_ptr<RecordReader> make_csv_reader(ByteInput& input, std::size_t max_record_bytes,
                                              char delimiter) {
    return std::make_unique<CsvReader>(input, max_record_bytes, delimiter);
}

}  // namespace penstock::io
