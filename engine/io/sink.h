// Where documents go. The interface blocks: it is called on a pool for blocking input and output.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::io {

class IndexStore;

enum class WriteOp { index, create, remove };
enum class VersionType { internal, external, external_gte };

/// One document to write. All views must stay valid during Sink::write.
struct WriteItem {
    WriteOp op = WriteOp::index;
    std::string_view index;  ///< empty: the sink's own
    std::string_view id;     ///< empty: the sink makes a random one
    std::string_view routing;
    std::int64_t version = -1;  ///< for the external version types
    VersionType version_type = VersionType::internal;
    std::int64_t if_seq_no = -1;        ///< -1: no condition
    std::int64_t if_primary_term = -1;  ///< the embedded index has always primary term 1
    std::string_view source;            ///< one JSON object
};

/// What became of one item, in the words of Elasticsearch's bulk answer.
struct ItemResult {
    int status = 0;           ///< 200, 201, 404, 400, 409, 429, 503 ...
    const char* result = "";  ///< created, updated, deleted, not_found; empty after an error
    std::string id;
    std::int64_t seq_no = -1;
    std::int64_t version = -1;
    std::string error_type;  ///< such as version_conflict_engine_exception
    std::string error_reason;
    std::string cause_type;  ///< of an error behind that one; empty: there is none
    std::string cause_reason;

    bool ok() const { return status >= 200 && status < 300; }
};

/// A destination. One thread at a time unless an implementation says more.
class Sink {
  public:
    virtual ~Sink() = default;

    /// Writes the items in order and replaces `results` by one result for each. A refusal of one
    /// item is its result; penstock::Error is thrown when the destination as a whole fails, and
    /// then it is not known which items are in.
    virtual void write(std::span<const WriteItem> items, std::vector<ItemResult>& results) = 0;

    /// At the end: returns when everything written is on the disk, or as far as the destination
    /// takes it.
    virtual void flush() = 0;

    /// What restore() needs to continue behind everything written so far (which by then survives
    /// the death of this process). Opaque JSON text.
    virtual std::string checkpoint() = 0;

    /// Before the first write: takes back what was written after that checkpoint, where writing it
    /// again would double it (files are cut; an index needs nothing, because ids replace). Throws
    /// penstock::Error when it cannot.
    virtual void restore(std::string_view checkpoint) = 0;
};

struct SinkOptions {
    /// `index:NAME`, a file name (NDJSON), or `-` for standard output.
    std::string location;
    /// Replace a file that has content. Otherwise such a file is refused, unless restore()
    /// continues it.
    bool overwrite = false;
    std::shared_ptr<IndexStore> store;  ///< for index:NAME
};

/// Opens a destination. A file is not touched before the first write (or restore). Throws
/// penstock::Error.
///
/// Files hold one source per line with `_id` as its first member, unless the source has an `_id` of
/// its own, so that they can be read again. Versions, conditions and `create` mean nothing there;
/// every write is 201 created, and `remove` is refused with 400.
std::unique_ptr<Sink> open_sink(const SinkOptions& options);

}  // namespace penstock::io
