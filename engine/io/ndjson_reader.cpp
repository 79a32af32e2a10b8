#include <algorithm>

#include "engine/io/record_reader.h"

namespace penstock::io {
namespace {

class NdjsonReader final : public RecordReader {
  public:
    using RecordReader::RecordReader;

    bool next(std::string& buffer, Record& record) override {
        while (!window_.view().empty() || window_.fill()) {
            start(record, buffer);
            const bool fits = line(buffer, record.begin);
            const bool cut = !ended_ && !fault().empty();
            if (state_.line > 0) ++state_.line;
            if (!cut && buffer.find_first_not_of(" \t\r", record.begin) == std::string::npos) {
                buffer.resize(record.begin);
                continue;
            }
            ++state_.ordinal;
            record.size = buffer.size() - record.begin;
            if (!fits) {
                fail(record, buffer, too_long());
            } else if (cut) {
                fail(record, buffer, "the input breaks off inside this line");
            }
            return true;
        }
        return false;
    }

  private:
    /// Appends the line without its end; false when it is longer than the limit, and then only its
    /// beginning.
    bool line(std::string& buffer, std::size_t begin) {
        bool fits = true;
        ended_ = false;
        while (!ended_ && (!window_.view().empty() || window_.fill())) {
            std::string_view piece = window_.view();
            const std::size_t end = piece.find('\n');
            ended_ = end != std::string_view::npos;
            piece = piece.substr(0, end);
            if (fits) buffer.append(piece);
            if (fits && buffer.size() - begin > max_record_bytes_) {
                fits = false;
                buffer.resize(begin + std::min(max_record_bytes_, kKeptOfTooLong));
                buffer.shrink_to_fit();
            }
            window_.consume(piece.size() + (ended_ ? 1 : 0));
        }
        if (buffer.size() > begin && buffer.back() == '\r') buffer.pop_back();
        return fits;
    }

    bool ended_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> make_ndjson_reader(ByteInput& input, std::size_t max_record_bytes) {
    return std::make_unique<NdjsonReader>(input, max_record_bytes);
}

}  // namespace penstock::io
