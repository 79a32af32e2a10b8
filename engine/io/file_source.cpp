#include "engine/io/file_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <random>
#include <utility>

#include "engine/io/dead_letter.h"
#include "engine/io/json_text.h"
#include "engine/io/record_reader.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

std::string hex(XXH128_hash_t hash) {
    static constexpr char kDigits[] = "0123456789abcdef";
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    std::string text;
    for (const unsigned char byte : bytes.digest) {
        text.push_back(kDigits[byte >> 4U]);
        text.push_back(kDigits[byte & 15U]);
    }
    return text;
}

std::string hash_of(std::string_view text) {
    return hex(XXH3_128bits(text.data(), text.size()));
}

/// A hash of the first and the last bytes of the file's first `mark` bytes: enough to see that a
/// file was replaced or edited, without reading it again. Empty when the file is shorter or cannot
/// be read.
std::string fingerprint(const std::string& path, std::uint64_t mark) {
    constexpr std::uint64_t kEdge = 4096;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    const auto edge = static_cast<std::size_t>(std::min(mark, kEdge));
    std::string bytes(2 * edge, '\0');
    const bool read = ::pread(fd, bytes.data(), edge, 0) == static_cast<ssize_t>(edge) &&
                      ::pread(fd, bytes.data() + edge, edge, static_cast<off_t>(mark - edge)) ==
                          static_cast<ssize_t>(edge);
    ::close(fd);
    return read ? hash_of(bytes) : std::string();
}

std::string random_name() {
    std::random_device device;
    std::string name;
    for (int i = 0; i < 4; ++i)
        name += std::to_string(device()) + '.';
    return name;
}

std::uint64_t size_of(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

std::uint64_t number(const FlatObject& object, std::string_view name) {
    const auto found = object.find(name);
    std::uint64_t value = 0;
    if (found == object.end()) return 0;
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
    return value;
}

std::string text(const FlatObject& object, std::string_view name) {
    const auto found = object.find(name);
    return found == object.end() ? std::string() : found->second;
}

class FileSource final : public Source {
  public:
    FileSource(std::vector<FilePart> parts, const SourceOptions& options, std::string plan)
        : parts_(std::move(parts)), options_(options), plan_(std::move(plan)) {
        for (const FilePart& part : parts_) {
            if (!part.file.pipe || wakeup_) continue;
            wakeup_ = std::make_unique<Wakeup>();
            run_ = random_name();
        }
    }

    bool read(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) override {
        out.clear();
        max_records = std::max<std::size_t>(max_records, 1);
        max_bytes = std::max<std::size_t>(max_bytes, 1);
        at_end_ = false;
        while (out.records.size() < max_records && out.buffer.size() < max_bytes && !at_end_ &&
               current_ < parts_.size()) {
            // What a pipe has said goes on its way; nobody waits for a batch to fill.
            if (reader_ && part().file.pipe && !out.records.empty() && !reader_->ready()) break;
            if (!reader_) {
                open_file(out);
            } else {
                read_record(out);
            }
        }
        records_ += out.records.size();
        out.end_position = position();
        return !out.records.empty();
    }

    std::string position() const override {
        std::string json = "{";
        append_member(json, "kind", "files");
        append_member(json, "files_done", static_cast<std::int64_t>(current_));
        append_member(json, "names_done", names_hash(current_));
        append_member(json, "records", static_cast<std::int64_t>(records_));
        if (!plan_.empty()) append_member(json, "plan", plan_);
        if (reader_) append_reader(json);
        finish_object(json);
        return json;
    }

    void seek(std::string_view position) override {
        const std::optional<FlatObject> parsed = parse_flat(position);
        if (!parsed || text(*parsed, "kind") != "files") {
            throw Error("cannot resume: the saved position does not belong to files");
        }
        if (text(*parsed, "plan") != plan_) {
            throw Error(
                "cannot resume: the files, their sizes or the number of slices have changed since; "
                "start anew");
        }
        const auto done = static_cast<std::size_t>(number(*parsed, "files_done"));
        if (done > parts_.size() || text(*parsed, "names_done") != names_hash(done)) {
            throw Error(
                "cannot resume: files before the saved position were added, removed or renamed; "
                "start anew");
        }
        close_file();
        current_ = done;
        records_ = number(*parsed, "records");
        bytes_done_ = 0;
        for (std::size_t i = 0; i < done; ++i)
            bytes_done_ += part_size(parts_[i]);
        const std::string file = text(*parsed, "file");
        if (!file.empty()) reopen(file, *parsed);
    }

    Progress progress() const override {
        Progress progress;
        progress.records_read = records_;
        progress.bytes_read = bytes_done_;
        if (input_)
            progress.bytes_read +=
                input_->raw_bytes() - std::min(input_->raw_bytes(), part().begin);
        std::uint64_t total = 0;
        for (const FilePart& one : parts_) {
            total += part_size(one);
            if (one.file.pipe) return progress;
        }
        progress.bytes_total = total;
        progress.bytes_read = std::min(progress.bytes_read, total);
        return progress;
    }

    void interrupt() override {
        if (wakeup_) wakeup_->wake();
    }

  private:
    const FilePart& part() const { return parts_[current_]; }

    static std::uint64_t part_size(const FilePart& part) {
        return std::min(part.end, part.file.size) - std::min(part.begin, part.file.size);
    }

    std::string names_hash(std::size_t count) const {
        if (count == hashed_count_ && !hashed_.empty()) return hashed_;
        std::string names;
        for (std::size_t i = 0; i < count; ++i)
            (names += parts_[i].file.path).push_back('\0');
        hashed_count_ = count;
        return hashed_ = hash_of(names);
    }

    void append_reader(std::string& json) const {
        const ReaderState state = reader_->state();
        append_member(json, "file", part().file.path);
        append_member(json, "offset", static_cast<std::int64_t>(state.offset));
        append_member(json, "line", static_cast<std::int64_t>(state.line));
        append_member(json, "ordinal", static_cast<std::int64_t>(state.ordinal));
        if (state.in_array) append_member(json, "in_array", 1);
        if (part().file.pipe) return;
        const std::uint64_t mark = input_->seekable() ? state.offset : size_of(part().file.path);
        append_member(json, "mark", static_cast<std::int64_t>(mark));
        append_member(json, "print", fingerprint(part().file.path, mark));
    }

    /// Opens the reader behind what comes before the first record; throws penstock::Error.
    void open_reader() {
        const InputFile& file = part().file;
        input_ = open_input(file.path, options_.compression, wakeup_.get());
        switch (file.format) {
            case Format::ndjson:
            case Format::dead_letter:
                reader_ = make_ndjson_reader(*input_, options_.max_record_bytes);
                break;
            case Format::json:
                reader_ = make_json_reader(*input_, options_.max_record_bytes);
                break;
            case Format::csv:
                reader_ = make_csv_reader(*input_, options_.max_record_bytes, ',');
                break;
            case Format::tsv:
                reader_ = make_csv_reader(*input_, options_.max_record_bytes, '\t');
                break;
        }
        if (const std::string problem = reader_->begin(); !problem.empty()) {
            throw Error(file.path + ": " + problem);
        }
    }

    void open_file(RecordBatch& out) {
        try {
            open_reader();
            reader_->resume_at_line_after(part().begin);
        } catch (const Error& error) {
            add_fault(out, error.what());
            next_file();
        }
    }

    void read_record(RecordBatch& out) {
        Record record;
        const std::size_t size = out.buffer.size();
        if (!reader_->next(out.buffer, record)) {
            end_file(out);
        } else if (record.offset >= part().end) {
            out.buffer.resize(size);
            next_file();
        } else {
            record.origin = origin(out);
            if (part().file.format == Format::dead_letter && record.kind == RecordKind::document) {
                unwrap_dead_letter(out.buffer, record);
            }
            out.records.push_back(std::move(record));
        }
    }

    void end_file(RecordBatch& out) {
        const bool whole = reader_->fault().empty() && reader_->own_fault().empty();
        if (!reader_->fault().empty()) add_fault(out, reader_->fault());
        if (!reader_->own_fault().empty())
            add_fault(out, part().file.path + ": " + reader_->own_fault());
        // The last file stays where it is: what is appended to it later is read from there.
        if (whole && current_ + 1 == parts_.size()) {
            at_end_ = true;
        } else {
            next_file();
        }
    }

    std::uint32_t origin(RecordBatch& out) const {
        if (out.origins.empty() || out.origins.back() != part().file.path) {
            out.origins.push_back(part().file.path);
            out.id_names.push_back(part().file.path);
            if (part().file.pipe) (out.id_names.back() += '\0') += run_;
        }
        return static_cast<std::uint32_t>(out.origins.size() - 1);
    }

    void add_fault(RecordBatch& out, const std::string& reason) const {
        Record record;
        record.begin = out.buffer.size();
        record.kind = RecordKind::bad_source;
        record.origin = origin(out);
        if (reader_) {
            record.line = reader_->state().line;
            record.offset = reader_->state().offset;
        }
        record.reason = reason;
        out.records.push_back(std::move(record));
    }

    void close_file() {
        reader_.reset();
        input_.reset();
    }

    void next_file() {
        bytes_done_ += part_size(part());
        close_file();
        ++current_;
    }

    void reopen(const std::string& file, const FlatObject& saved) {
        if (current_ >= parts_.size() || part().file.path != file) {
            throw Error("cannot resume: the file " + file +
                        ", in which reading stopped, is not there any more");
        }
        if (part().file.pipe) {
            if (number(saved, "offset") == 0) return;
            throw Error("cannot resume: " + std::string(file == "-" ? "standard input" : file) +
                        " is a pipe and cannot be read from the middle; use a file");
        }
        const std::uint64_t mark = number(saved, "mark");
        if (size_of(file) < mark) {
            throw Error("cannot resume: " + file +
                        " has become shorter than the part that was read already");
        }
        if (fingerprint(file, mark) != text(saved, "print")) {
            throw Error("cannot resume: " + file +
                        " has other content than when it was read before; start anew");
        }
        open_reader();
        ReaderState state;
        state.offset = number(saved, "offset");
        state.line = number(saved, "line");
        state.ordinal = number(saved, "ordinal");
        state.in_array = number(saved, "in_array") != 0;
        reader_->resume(state);
    }

    std::vector<FilePart> parts_;
    SourceOptions options_;
    std::string plan_;
    std::unique_ptr<Wakeup> wakeup_;
    std::string run_;  ///< tells the pipes of this source from those of all others
    std::size_t current_ = 0;
    bool at_end_ = false;
    std::uint64_t records_ = 0;
    std::uint64_t bytes_done_ = 0;
    std::unique_ptr<ByteInput> input_;
    std::unique_ptr<RecordReader> reader_;
    mutable std::size_t hashed_count_ = 0;
    mutable std::string hashed_;
};

}  // namespace

std::unique_ptr<Source> make_file_source(std::vector<FilePart> parts, const SourceOptions& options,
                                         std::string plan) {
    return std::make_unique<FileSource>(std::move(parts), options, std::move(plan));
}

}  // namespace penstock::io
