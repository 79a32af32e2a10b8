// The embedded index: documents, full text and vectors in SQLite, nothing to install.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/sink.h"
#include "engine/io/source.h"

namespace penstock::io {

class Index;
class IndexSnapshot;
class Query;

/// As Elasticsearch's dense_vector. Scores: cosine and dot_product (1 + x) / 2, l2_norm 1 / (1 +
/// d^2), max_inner_product 1 / (1 - x) below zero and x + 1 above.
enum class Similarity { cosine, dot_product, l2_norm, max_inner_product };

/// "cosine" and so on; nothing for another name.
std::optional<Similarity> similarity_from_name(std::string_view name);
std::string_view similarity_name(Similarity similarity);

/// A field that is to hold vectors although they would not be recognised (shorter than 128), or
/// with another similarity than cosine. `dims` 0: as the first vector that arrives.
struct VectorMapping {
    std::string field;  ///< dotted, without array indices: "chunks.embedding"
    std::size_t dims = 0;
    Similarity similarity = Similarity::cosine;
};

struct IndexSettings {
    std::vector<VectorMapping> vectors;
    /// "standard": Unicode words, case and diacritics folded, ideographs each a word. "english":
    /// these, stemmed (Porter).
    std::string analyzer = "standard";
    /// See IndexStore::attributes.
    std::map<std::string, std::string> attributes;
};

/// What is known of a field from the documents that brought it.
struct FieldInfo {
    std::string path;
    std::string type;  ///< "text", "date", "long", "float", "boolean", "dense_vector"
};

struct VectorFieldInfo {
    std::string field;
    std::size_t dims = 0;
    Similarity similarity = Similarity::cosine;
    std::uint64_t vectors = 0;
    std::uint64_t in_graph =
        0;  ///< of these, so many are in a saved graph (see IndexStore::optimize)
};

struct IndexInfo {
    std::string name;
    std::uint64_t docs = 0;
    std::uint64_t bytes = 0;  ///< of all its files
    std::int64_t max_seq_no = -1;
    std::string created;  ///< ISO 8601
    std::string analyzer;
    std::vector<std::string> text_fields;
    std::vector<VectorFieldInfo> vector_fields;
    std::vector<FieldInfo> fields;  ///< all of them, in the order in which they came
};

struct StoredDocument {
    std::string id;
    std::string routing;
    std::int64_t seq_no = -1;
    std::int64_t version = -1;
    std::string source;
};

struct TextQuery {
    std::string text;
    std::vector<std::string> fields;  ///< empty: all text fields
    bool all_words = false;           ///< every word must occur in one field; else any of them
};

struct VectorQuery {
    std::string field;  ///< may be empty when the index has exactly one vector field
    std::vector<float> vector;
    /// How many vectors a graph search looks at (more: better and slower); at least 100.
    std::size_t num_candidates = 100;
    bool exact = false;  ///< compare with every vector even when there is a graph
};

/// With both queries the two rankings are joined by reciprocal rank fusion.
struct SearchRequest {
    std::optional<TextQuery> text;
    std::optional<VectorQuery> vector;
    std::size_t size = 10;
    std::size_t from = 0;
    std::size_t rank_constant = 60;
    std::size_t rank_window_size =
        0;  ///< how much of each ranking counts; 0: the larger of from + size and 50
    bool vectors_in_source = false;
};

/// The part of a document that matched.
struct Passage {
    std::string field;  ///< where the match was: "chunks.embedding", "text"
    std::string
        pointer;  ///< JSON pointer of the array element that holds it ("/chunks/3"), or empty
    std::int64_t index = -1;  ///< the element's number in its array, or -1
    std::string text;         ///< the element's own text, or an excerpt around the words
    std::string object;       ///< the element as JSON without its vectors, or empty
};

struct Hit {
    StoredDocument document;
    double score = 0;
    Passage passage;
    std::size_t text_rank = 0;    ///< from 1; 0: not found by the text query
    std::size_t vector_rank = 0;  ///< likewise
};

struct IndexStoreOptions {
    /// True: a write that returned survives power loss (one fsync for each bulk). False: it
    /// survives the death of the process, kill -9 included, but the last bulks before a power
    /// failure may be missing; nothing is corrupted.
    bool survive_power_loss = true;
    /// optimize() builds a graph for fields with more vectors than this; below, every search is
    /// exact.
    std::size_t exact_limit = 50'000;
    /// An index with Visibility::on_refresh is refreshed by itself when the log of its files has so
    /// many bytes: until then it cannot be emptied.
    std::size_t most_unrefreshed = std::size_t{512} << 20U;
};

/// When searches see what is written.
enum class Visibility {
    at_once,
    on_refresh,  ///< not before IndexStore::refresh
};

/// All indices below one data directory, each in a directory of its own (`indices/NAME/`), so that
/// a long reading of one never holds up the log of another and deleting is removing files. All
/// functions are thread-safe and block. Several processes may use one data directory: readers never
/// wait, writers wait for each other (30 seconds). Throws penstock::Error for what is wrong with an
/// index as a whole, penstock::StorageError when that is its files (damaged, no space, locked);
/// refusals of single documents are results.
///
/// Fields. Every string goes to the full text of its dotted path; so do numbers and truth values of
/// a path that is mapped as text, or holds text and is not mapped. An array of 128 to 4096 numbers
/// that is a member of an object, at any depth and inside arrays of objects too, makes its path a
/// vector field (Elasticsearch's dynamic mapping, up to its largest vector). Later vectors of that
/// path must have the same length, else the item is refused.
///
/// Stored sources are kept without vectors where the text of the vector can be rebuilt exactly from
/// its 32-bit floats (most writers' number formats); whoever asks for vectors gets the original
/// text back, byte by byte.
class IndexStore {
  public:
    static std::shared_ptr<IndexStore> open(const std::string& data_dir,
                                            IndexStoreOptions options = {});
    ~IndexStore();

    /// Refuses a name that exists. Writing to an index that does not exist creates it with default
    /// settings.
    void create(const std::string& name, const IndexSettings& settings = {});
    bool exists(const std::string& name) const;
    /// False when there was none.
    bool remove(const std::string& name);
    std::vector<std::string> names() const;
    /// What open() was given.
    std::string data_directory() const;
    IndexInfo info(const std::string& name);

    /// One transaction for each index concerned; durable when it returns. Items with an index of
    /// their own go there.
    void bulk(const std::string& name, std::span<const WriteItem> items,
              std::vector<ItemResult>& results);

    std::optional<StoredDocument> get(const std::string& name, std::string_view id,
                                      bool vectors_in_source = false);
    /// In the order of the ids; missing ones are empty.
    std::vector<std::optional<StoredDocument>> mget(const std::string& name,
                                                    std::span<const std::string> ids,
                                                    bool vectors_in_source = false);
    std::uint64_t count(const std::string& name);

    /// Best first. Documents with several matching chunks appear once, with the best one.
    std::vector<Hit> search(const std::string& name, const SearchRequest& request);

    /// All documents in the order of their last change, sources complete with vectors, as they were
    /// when the scan was opened (a read transaction stays open until the source dies; the
    /// write-ahead log grows meanwhile). A position stays good after changes: documents changed
    /// since come again at the end.
    std::unique_ptr<Source> scan(const std::string& name);
    /// Parts of one scan: all of them see the same state, so that together they give every document
    /// exactly once. Writers wait while the slices are opened, and so does this for them.
    std::vector<std::unique_ptr<Source>> scan_slices(const std::string& name, std::size_t count);
    /// The same for the documents that match; null is all. Throws QueryError when the query cannot
    /// be asked of this index.
    std::vector<std::unique_ptr<Source>> scan_slices(const std::string& name, std::size_t count,
                                                     std::shared_ptr<const Query> query);
    std::unique_ptr<Source> scan(const std::string& name, std::shared_ptr<const Query> query);

    /// The index as it is now, for searches that must all see the same state.
    std::shared_ptr<IndexSnapshot> snapshot(const std::string& name);
    /// The index as searches are to see it: as it is now, or as it was at its last refresh; four
    /// searches of that state can go on at a time.
    std::shared_ptr<IndexSnapshot> searchable(const std::string& name);
    /// Of this process and until the index is closed with it; all that was written before is
    /// visible. Asking for what there is changes nothing.
    void set_visibility(const std::string& name, Visibility visibility);
    /// Searches see what is written by now.
    void refresh(const std::string& name);

    /// Texts that whoever made the index keeps with it, by name. They change in one transaction,
    /// durable as writes are, and go with the index. "mappings", as Elasticsearch's JSON, tells
    /// queries the types of fields.
    std::map<std::string, std::string> attributes(const std::string& name);
    void set_attributes(const std::string& name,
                        const std::map<std::string, std::string>& attributes);
    /// Makes a field hold vectors. Refuses one that holds text, or vectors of other dimensions.
    void add_vector_field(const std::string& name, const VectorMapping& mapping);

    /// Merges the full text and builds or extends the graphs (HNSW) of large vector fields, which
    /// takes minutes for some hundred thousand vectors. Searches go on meanwhile; newer vectors are
    /// searched exactly beside the graph.
    void optimize(const std::string& name);

  private:
    IndexStore(std::string directory, IndexStoreOptions options);
    std::shared_ptr<Index> find(const std::string& name) const;
    std::shared_ptr<Index> need(const std::string& name) const;
    std::shared_ptr<Index> need_or_create(const std::string& name);
    std::string path(const std::string& name) const;
    void bound_log(const std::string& name);
    void forget_refreshed(const std::string& name);

    /// What searches of an index with Visibility::on_refresh see: one state, several times, so that
    /// they need not wait for each other.
    struct Refreshed {
        std::shared_ptr<Index> index;
        std::vector<std::shared_ptr<IndexSnapshot>> snapshots;
        std::size_t next = 0;
    };
    void replace_refreshed(const std::string& name);

    std::string directory_;
    IndexStoreOptions options_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, std::shared_ptr<Index>> open_;
    std::mutex refreshing_;       ///< one refresh at a time; before the other two
    std::mutex refreshed_mutex_;  ///< held for a look alone
    std::map<std::string, Refreshed, std::less<>> refreshed_;
};

/// Elasticsearch's rules: lower case, none of \ / * ? " < > | space , # :, not beginning with - _
/// +, at most 255 bytes. Throws penstock::Error that says which one is broken.
void check_index_name(std::string_view name);

}  // namespace penstock::io
