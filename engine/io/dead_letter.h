// The file of documents that could not be processed or written.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace penstock::io {

class AppendFile;
struct Record;

/// One failure. Views must stay valid during DeadLetter::write; empty ones are left out of the
/// file.
struct DeadDocument {
    std::string_view id;
    std::string_view index;
    std::string_view routing;
    std::string_view source;    ///< the original as JSON object, when it could be parsed
    std::string_view raw;       ///< else its original bytes
    std::string_view location;  ///< RecordBatch::location
    std::string_view type;      ///< such as illegal_argument_exception
    std::string_view message;
    std::string_view pipeline;
    std::string_view processor_type;
    std::string_view processor_tag;
};

/// An NDJSON file in the form of Elasticsearch's failure store:
///   {"@timestamp":..,"document":{"id","index","routing","source":{..}},"error":{"type","message","pipeline",
///    "processor_type","processor_tag"},"location":..}
/// Bytes that were no JSON object are "raw" (text) or "raw_base64" (not UTF-8) instead of "source".
/// The file is appended to. Read back as Format::dead_letter it gives the original documents, ids
/// included. Not thread-safe.
class DeadLetter {
  public:
    /// The file is made at the first write. Throws penstock::Error, here and below.
    explicit DeadLetter(const std::string& path);
    ~DeadLetter();

    void write(const DeadDocument& dead);
    void flush();
    std::string checkpoint();
    /// Cuts the file back to a checkpoint, so that a resumed job does not write a failure twice.
    void restore(std::string_view checkpoint);

  private:
    std::unique_ptr<AppendFile> file_;
    std::string line_;
};

/// Replaces a dead letter's line, the last record in `buffer`, by the document inside it. A line
/// that is no dead letter becomes a failed record.
void unwrap_dead_letter(std::string& buffer, Record& record);

}  // namespace penstock::io
