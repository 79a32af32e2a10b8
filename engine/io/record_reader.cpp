#include "engine/io/record_reader.h"

#include <algorithm>
#include <utility>

#include "engine/runtime/error.h"

namespace penstock::io {
namespace {
constexpr std::size_t kBlock = 256 * 1024;
}

bool Window::fill() {
    if (!fault_.empty()) return false;
    data_.erase(0, pos_);
    pos_ = 0;
    const std::size_t old = data_.size();
    data_.resize(old + kBlock);
    std::size_t got = 0;
    try {
        got = input_.read(data_.data() + old, kBlock);
    } catch (const Error& error) {
        fault_ = error.what();
    }
    data_.resize(old + got);
    return got > 0;
}

bool Window::require(std::size_t size) {
    while (view().size() < size) {
        if (!fill()) return false;
    }
    return true;
}

void Window::consume(std::size_t size) {
    pos_ += size;
    offset_ += size;
}

void Window::skip_to(std::uint64_t offset) {
    if (offset < offset_) return;
    const std::uint64_t distance = offset - offset_;
    if (distance <= view().size()) {
        consume(static_cast<std::size_t>(distance));
        return;
    }
    data_.clear();
    pos_ = 0;
    offset_ = offset;
    try {
        if (!input_.skip_to(offset)) {
            fault_ = "the file ends before byte " + std::to_string(offset) +
                     ", up to which it was read before";
        }
    } catch (const Error& error) {
        fault_ = error.what();
    }
}

std::string RecordReader::begin() {
    window_.require(3);
    const std::string_view head = window_.view().substr(0, 3);
    if (head == "\xEF\xBB\xBF") {
        window_.consume(3);
    } else if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF")) {
        return "the file is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8";
    }
    return {};
}

void RecordReader::resume(const ReaderState& state) {
    window_.skip_to(state.offset);
    state_ = state;
}

void RecordReader::resume_at_line_after(std::uint64_t offset) {
    if (offset <= window_.offset()) return;
    // One byte before: when that is a line end, the line at `offset` belongs to this range.
    window_.skip_to(offset - 1);
    state_.line = 0;
    for (bool ended = false; !ended && (!window_.view().empty() || window_.fill());) {
        const std::size_t end = window_.view().find('\n');
        ended = end != std::string_view::npos;
        window_.consume(ended ? end + 1 : window_.view().size());
    }
}

ReaderState RecordReader::state() const {
    ReaderState state = state_;
    state.offset = window_.offset();
    return state;
}

void RecordReader::start(Record& record, const std::string& buffer) const {
    record = Record{};
    record.begin = buffer.size();
    record.line = state_.line;
    record.offset = window_.offset();
}

void RecordReader::fail(Record& record, const std::string& buffer, std::string reason) {
    record.kind = RecordKind::bad_record;
    record.reason = std::move(reason);
    record.size = buffer.size() - record.begin;
}

std::string RecordReader::too_long() const {
    return "the record is longer than " + std::to_string(max_record_bytes_) +
           " bytes; its first bytes are kept (raise the limit to read it)";
}

}  // namespace penstock::io
