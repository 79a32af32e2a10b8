// Cuts one byte stream into records: lines, JSON values, CSV rows. Private to engine/io.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/io/byte_input.h"
#include "engine/io/source.h"

namespace penstock::io {

/// Where a reader stands between two records; all that is needed to go on from there.
struct ReaderState {
    std::uint64_t offset = 0;  ///< decompressed bytes consumed
    std::uint64_t line =
        1;  ///< number of the next line, 0 when the reader began in the middle of a file
    std::uint64_t ordinal = 0;  ///< records so far
    bool in_array = false;      ///< JSON: inside a top-level array
};

/// A window on a ByteInput that remembers where it is. A fault of the input ends the window; it is
/// kept in `fault`.
class Window {
  public:
    explicit Window(ByteInput& input) : input_(input) {}

    /// Unconsumed bytes at hand.
    std::string_view view() const { return std::string_view(data_).substr(pos_); }
    /// Reads more behind what is at hand; false at the end of the input or at its fault.
    bool fill();
    /// Makes sure that at least `size` bytes are at hand; false when the input has no more.
    bool require(std::size_t size);
    void consume(std::size_t size);
    void skip_to(std::uint64_t offset);

    std::uint64_t offset() const { return offset_; }
    const std::string& fault() const { return fault_; }
    /// More could be read without waiting.
    bool input_ready() const { return input_.ready(); }
    /// The end is not that of the data; see ByteInput.
    bool woken() const { return input_.woken(); }

  private:
    ByteInput& input_;
    std::string data_;
    std::size_t pos_ = 0;
    std::uint64_t offset_ = 0;
    std::string fault_;
};

/// One record's bytes are appended to the buffer of the batch by next().
class RecordReader {
  public:
    explicit RecordReader(ByteInput& input, std::size_t max_record_bytes)
        : window_(input), max_record_bytes_(max_record_bytes) {}
    virtual ~RecordReader() = default;

    /// Reads what comes before the first record (byte order mark, CSV header). Call once before
    /// next() or resume(). A header that cannot be used is returned as text, else the text is
    /// empty.
    virtual std::string begin();
    /// Appends the next record to `buffer` and describes it; false at the end (see fault()).
    virtual bool next(std::string& buffer, Record& record) = 0;

    void resume(const ReaderState& state);
    /// Goes to the first line that begins at or behind `offset`; for byte ranges of line formats.
    void resume_at_line_after(std::uint64_t offset);

    ReaderState state() const;
    /// Whether next() would probably not wait for a pipe's other end.
    /// Here: a whole line is at hand, or more could be read.
    virtual bool ready() const {
        return window_.view().find('\n') != std::string_view::npos || window_.input_ready();
    }
    /// A fault of the input, met so far.
    const std::string& fault() const { return window_.fault(); }
    /// At the end: what is wrong with the stream as a whole although every byte could be read.
    virtual std::string own_fault() const { return {}; }

  protected:
    void start(Record& record, const std::string& buffer) const;
    /// Completes a record that cannot be a document.
    void fail(Record& record, const std::string& buffer, std::string reason);
    std::string too_long() const;

    static constexpr std::size_t kKeptOfTooLong = 4096;

    Window window_;
    std::size_t max_record_bytes_;
    ReaderState state_;
};

std::unique_ptr<RecordReader> make_ndjson_reader(ByteInput& input, std::size_t max_record_bytes);
std::unique_ptr<RecordReader> make_json_reader(ByteInput& input, std::size_t max_record_bytes);
std::unique_ptr<RecordReader> make_csv_reader(ByteInput& input, std::size_t max_record_bytes,
                                              char delimiter);

}  // namespace penstock::io
