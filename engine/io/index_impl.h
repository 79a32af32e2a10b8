// One index: its directory, its connections, its vectors in memory. Private to engine/io.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/extract.h"
#include "engine/io/index.h"
#include "engine/io/mapped_fields.h"
#include "engine/io/mapped_values.h"
#include "engine/io/sqlite.h"
#include "engine/io/vectors.h"

namespace penstock::io {

// Rows of the full text and of the vectors carry their document in the key: seq_no * 2^20 + running
// number. Deleting a document's rows is deleting a range, a chunk knows its document, and newer
// rows have greater keys.
constexpr unsigned kOrdinalBits = 20;
constexpr std::int64_t row_key(std::int64_t seq_no, std::int64_t ordinal) {
    return seq_no * (std::int64_t{1} << kOrdinalBits) + ordinal;
}
constexpr std::int64_t seq_no_of(std::int64_t key) {
    return key >> kOrdinalBits;
}

/// One dotted path that is indexed. Its rows lie in the table `text_<id>` or `vector_<id>`.
struct Field {
    std::int64_t id = 0;
    std::string path;
    FieldType type = FieldType::unknown;
    std::size_t dims = 0;
    Similarity similarity = Similarity::cosine;
    std::int64_t rows = 0;
    bool changed = false;  ///< for the writer: `rows`, `dims` or `is_date` are not stored yet
    bool is_date = false;  ///< all its texts are dates

    bool is_scalar() const { return type != FieldType::text && type != FieldType::vector; }
    std::string_view type_name() const;
    std::string table() const {
        return (type == FieldType::text ? "text_" : "vector_") + std::to_string(id);
    }
};

/// Attributes lie among the settings under this name and their own.
constexpr const char* kAttribute = "attribute.";

std::vector<Field> read_fields(Database& db);
std::map<std::string, std::string> read_attributes(Database& db);
std::int64_t read_number(Database& db, std::string_view key);
std::string read_text(Database& db, std::string_view key);
/// Documents in `db`; nothing when the id is not there.
std::optional<StoredDocument> read_document(Database& db, std::string_view id, bool with_vectors);
std::optional<StoredDocument> read_document(Database& db, std::int64_t seq_no, bool with_vectors);

/// The only writer of one index in this process. Not thread-safe; Index holds the lock.
class IndexWriter {
  public:
    IndexWriter(const std::string& file, const std::string& name, bool survive_power_loss);

    void bulk(std::span<const WriteItem* const> items, std::span<ItemResult* const> results);
    void merge_text();
    /// See Index::log_bytes.
    std::size_t log_bytes();
    void set_attributes(const std::map<std::string, std::string>& attributes);
    void add_vector_field(const VectorMapping& mapping);

    /// Tables and settings of a new index in an empty file.
    static void create(const std::string& file, const std::string& name,
                       const IndexSettings& settings);

  private:
    void load();
    void write_item(const WriteItem& item, ItemResult& result);
    bool refuse_conflict(const WriteItem& item, ItemResult& result);
    bool refuse_source(const Extracted& extracted, ItemResult& result);
    bool refuse_join(const WriteItem& item, ItemResult& result);
    bool refuse_values(const WriteItem& item, ItemResult& result) const;
    bool refuse_vector(const VectorValue& vector, std::map<std::string, std::size_t>& dims,
                       ItemResult& result);
    void find_current(std::string_view id);
    void insert(const WriteItem& item, std::int64_t version, const Extracted& extracted);
    void log_vectors(const Field& field, std::int64_t first, std::int64_t last);
    void erase_current();
    Field& field(const std::string& path, FieldType type, std::size_t dims);
    FieldType type_of(const std::string& path) const;
    bool is_value_as_text(const TextValue& text) const;
    bool becomes_text(const TextValue& text) const;
    void note_date(Field& field, std::string_view text);
    void note_scalars(const Extracted& extracted);

    struct Current {
        bool exists = false;
        std::int64_t seq_no = -1;
        std::int64_t version = -1;
    };

    Database db_;
    bool lists_all_fields_ = false;
    std::int64_t data_version_ = -1;
    std::map<std::string, Field, std::less<>> fields_;
    MappedFields mapped_;
    MappedValues values_;
    std::string analyzer_;
    std::int64_t next_seq_no_ = 0;
    std::int64_t docs_ = 0;
    std::int64_t next_log_ = 0;
    Current current_;
};

/// Vectors of one field, brought up to date from a connection before each search.
class VectorCache {
  public:
    VectorCache(Field field, std::string graph_path);

    std::vector<Neighbour> nearest(Database& db, std::span<const float> query, std::size_t count,
                                   std::size_t candidates, bool exact);
    /// The same for a connection that may stand at an older state than others': nothing when the
    /// vectors in memory are newer than what it sees.
    std::optional<std::vector<Neighbour>> nearest_at(Database& db, std::span<const float> query,
                                                     std::size_t count, std::size_t candidates);
    /// A graph over everything there is now, saved. Searches go on with the old one until it is
    /// ready.
    void build_graph(Database& db);

  private:
    struct State {
        explicit State(const Field& field) : vectors(field.dims, field.similarity) {}
        VectorSet vectors;
        std::int64_t last_key = -1;
        std::int64_t last_log = 0;
        bool started = false;
    };

    bool up_to_date(Database& db, const State& state) const;
    bool ahead(Database& db, const State& state) const;
    void refresh(Database& db, State& state) const;
    void start(Database& db, State& state) const;
    void add_newer(Database& db, State& state) const;

    Field field_;
    std::string graph_path_;
    std::shared_mutex mutex_;
    State state_;
};

class Index : public std::enable_shared_from_this<Index> {
  public:
    Index(std::string directory, std::string name, const IndexStoreOptions& options);

    /// False when the files were deleted or replaced behind our back (by another process).
    bool still_there() const;

    void bulk(std::span<const WriteItem* const> items, std::span<ItemResult* const> results);
    std::vector<std::optional<StoredDocument>> mget(std::span<const std::string_view> ids,
                                                    bool with_vectors);
    std::uint64_t count();
    IndexInfo info();
    std::vector<Hit> search(const SearchRequest& request);
    void optimize();
    std::map<std::string, std::string> attributes();
    void set_attributes(const std::map<std::string, std::string>& attributes);
    void add_vector_field(const VectorMapping& mapping);
    /// Of the write-ahead log, after what nobody reads any more is taken out of it.
    std::size_t log_bytes();
    /// The same state so many times. Writers wait meanwhile.
    std::vector<std::shared_ptr<IndexSnapshot>> snapshots(std::size_t count);

    const std::string& name() const { return name_; }
    std::string file() const { return directory_ + "/index.db"; }

    /// Keeps every writer out, of this process and of others, as long as it lives; readers go on.
    /// Waits for a writer as writers do.
    class WriteGate {
      public:
        explicit WriteGate(Index& index)
            : lock_(index.writer_mutex_),
              db_(index.file(), index.name_, Database::Mode::write),
              transaction_(db_, Transaction::Kind::write) {}

      private:
        std::lock_guard<std::mutex> lock_;
        Database db_;
        Transaction transaction_;
    };

    /// A reading connection, given back to the pool at the end of its life.
    class Reader {
      public:
        explicit Reader(Index& index);
        ~Reader();
        Reader(const Reader&) = delete;
        Reader& operator=(const Reader&) = delete;
        Database& db() { return *db_; }

      private:
        Index& index_;
        std::unique_ptr<Database> db_;
    };

    VectorCache& cache(const Field& field);

  private:
    std::string graph_path(const Field& field) const;

    std::string directory_;
    std::string name_;
    IndexStoreOptions options_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    std::mutex optimize_mutex_;
    std::mutex writer_mutex_;
    std::unique_ptr<IndexWriter> writer_;
    std::mutex readers_mutex_;
    std::vector<std::unique_ptr<Database>> readers_;
    std::mutex caches_mutex_;
    std::map<std::int64_t, std::unique_ptr<VectorCache>> caches_;
};

/// `count` (at least one) equal ranges of sequence numbers, all of the same state of the index. The
/// index stays alive as long as the sources.
std::vector<std::unique_ptr<Source>> make_index_sources(
    const std::shared_ptr<Index>& index, std::size_t count,
    const std::shared_ptr<const Query>& query = nullptr);

/// The searches of one request on one connection.
struct SearchAnswer {
    std::vector<Hit> hits;
    bool stale = false;  ///< another thread moved on to a newer state meanwhile: search again
};
SearchAnswer run_search(Database& db, const SearchRequest& request,
                        const std::function<VectorCache&(const Field&)>& cache,
                        const std::string& index_name);

}  // namespace penstock::io
