// Where records come from. The interface blocks: it is called on a pool for blocking input and
// output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/byte_input.h"

namespace penstock::io {

class IndexStore;

enum class RecordKind {
    document,    ///< the bytes are to be a JSON object (the document parser has the last word)
    bad_record,  ///< one record could not be cut out; the bytes are the original ones, as far as
                 ///< they were kept
    bad_source,  ///< the rest of a file could not be read (missing, corrupt, cut off); there are no
                 ///< bytes
};

/// One record of a batch. The bytes lie in RecordBatch::buffer.
struct Record {
    std::size_t begin = 0;
    std::size_t size = 0;
    RecordKind kind = RecordKind::document;
    std::uint32_t origin = 0;  ///< index in RecordBatch::origins
    std::uint64_t line =
        0;  ///< line number from 1; 0 when unknown (a slice that begins inside a file)
    std::uint64_t offset = 0;   ///< decompressed byte offset in its file
    std::int64_t version = -1;  ///< as the source knows it (index), else -1
    std::string id;             ///< as the source gives it (index, dead letter), else empty
    std::string index;          ///< likewise
    std::string routing;        ///< likewise
    std::string reason;         ///< why it is not a document
};

/// Records in the order of the source, with the bytes of all of them in one buffer. Reuse one
/// object for many reads.
struct RecordBatch {
    std::string buffer;
    std::vector<Record> records;
    std::vector<std::string> origins;  ///< file names, or "index:NAME"
    /// What stable_id takes for each origin; when empty, the origins themselves.
    std::vector<std::string> id_names;
    std::string end_position;  ///< see Source::seek

    std::string_view text(const Record& record) const {
        return std::string_view(buffer).substr(record.begin, record.size);
    }
    /// For people: "data/file.ndjson:123", or "data/file.ndjson@4096" (byte) where the line is not
    /// known.
    std::string location(const Record& record) const;
    /// An id of 22 URL-safe characters that depends on the file's name as it was given (normalised:
    /// `./a` is `a`) and on the record's byte offset in the decompressed file, and on nothing else:
    /// not on the directory one stands in, on slices, on batch sizes or on the content. Reading a
    /// file again gives the same ids. A pipe has no name that stands for its content, so each
    /// reading of one gives ids of its own.
    std::string stable_id(const Record& record) const;
    void clear();
};

/// How far a source is. Totals are known for files (raw bytes) and for an index (documents), not
/// for a pipe.
struct Progress {
    std::uint64_t bytes_read = 0;
    std::optional<std::uint64_t> bytes_total;
    std::uint64_t records_read = 0;
    std::optional<std::uint64_t> records_total;
    std::uint64_t retries = 0;  ///< requests made again because the other side was busy
};

/// A stream of records with a resumable position. One thread at a time; different sources are
/// independent.
class Source {
  public:
    virtual ~Source() = default;

    /// Replaces `out` by the next records: at most `max_records` (at least one), and no further
    /// record once `max_bytes` are reached. False, with an empty batch, at the end (a file that
    /// grows afterwards can be read on). A fault in the data is a record, not an exception: records
    /// before it are delivered, then one of kind bad_source, then the next file. Throws
    /// penstock::Error only when the source as a whole cannot be read.
    virtual bool read(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) = 0;

    /// Goes to a position that this kind of source gave for the same location (JSON text, opaque).
    /// The next read continues exactly behind the batch whose end_position it was. Throws
    /// penstock::Error when what was read before has changed since (another file list, other bytes,
    /// a shorter file) or when the source cannot seek (a pipe).
    virtual void seek(std::string_view position) = 0;

    /// Where the next read begins.
    virtual std::string position() const = 0;

    virtual Progress progress() const = 0;

    /// From any thread: a pipe that is being waited for, now or later, is taken to have ended.
    /// Files and an index do not wait and need nothing.
    virtual void interrupt() {}

    /// No more is read: gives up what it holds elsewhere, such as a remote cluster's scroll.
    /// Blocks; does not throw. Sources that hold nothing need nothing.
    virtual void close() {}
};

enum class Format { ndjson, json, csv, tsv, dead_letter };

/// "ndjson", "jsonl", "json", "csv", "tsv", "dead_letter"; nothing for any other name.
std::optional<Format> format_from_name(std::string_view name);

struct SourceOptions {
    /// A file, a directory (searched recursively, hidden files left out), a glob, `-` for standard
    /// input, or `index:NAME`. Several files are read in the order of their names' bytes.
    std::string location;
    /// Else told by the extension: .ndjson .jsonl .json .csv .tsv, each also with .gz or .zst; a
    /// name that ends in .dead-letter.ndjson is a dead letter file, whose documents are unwrapped.
    /// Pipes are NDJSON.
    std::optional<Format> format;
    std::optional<Compression> compression;  ///< else told by the first bytes
    /// A longer record becomes a failed one, of which the first 4096 bytes are kept.
    std::size_t max_record_bytes = 128UL << 20;
    std::shared_ptr<IndexStore> store;  ///< for index:NAME; shared with the sink and the commands
};

/// Opens a source. Throws penstock::Error when there is nothing to read at `location` or the format
/// is unknown.
std::unique_ptr<Source> open_source(const SourceOptions& options);

/// Opens `count` sources that together read everything once: an index by ranges of sequence
/// numbers, files by equal shares of their bytes (plain NDJSON is divided inside a file, at line
/// ends; other files stay whole). A slice may be empty. The division depends on `count` and the
/// sizes of the files, so positions of slices are refused once these have changed. Throws for more
/// than one slice of standard input.
std::vector<std::unique_ptr<Source>> open_slices(const SourceOptions& options, std::size_t count);

}  // namespace penstock::io
