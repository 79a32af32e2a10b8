// Searching one state of one or several indices.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index.h"
#include "engine/io/query.h"
#include "engine/io/values.h"

namespace penstock::io {

/// One index at one moment: a read transaction that stays open as long as this lives, and while it
/// does the index's log grows. Thread-safe; one search at a time, further ones wait. Blocks.
class IndexSnapshot {
  public:
    explicit IndexSnapshot(std::shared_ptr<Index> index);
    ~IndexSnapshot();

    const std::string& index() const;
    std::uint64_t docs() const;
    std::int64_t max_seq_no() const;
    /// Nothing when that document is not in this state.
    std::optional<StoredDocument> document(std::int64_t seq_no, bool with_vectors);
    std::optional<StoredDocument> document(std::string_view id, bool with_vectors);
    /// How values of a field compare, and where they lie in the source ("title" of
    /// "title.keyword").
    struct FieldUse {
        std::string path;
        ValueType type = ValueType::unknown;
        bool known = false;  ///< mapped, or brought by some document
    };
    FieldUse field(std::string_view name) const;
    /// Text fields that a pattern with `*` fits.
    std::vector<std::string> text_fields(std::string_view pattern) const;
    /// The texts of a field in which the query's words occur, with these marks around them. With
    /// `any_field`, what the query wants of other fields is marked too.
    std::vector<std::string> highlight(const Query& query, std::int64_t seq_no,
                                       std::string_view field, bool any_field,
                                       std::string_view before, std::string_view behind);

    struct Impl;
    Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

/// Conditions of queries that have names, prepared once for one snapshot. It and what the names are
/// of must outlive this. Blocks.
class NamedConditions {
  public:
    /// `visible`: what the alias lets through; null: all. Throws QueryError.
    NamedConditions(IndexSnapshot& snapshot, std::span<const NamedNode> conditions,
                    const std::shared_ptr<const Query>& visible);
    ~NamedConditions();

    /// One that holds, by its place among the conditions.
    struct Held {
        std::size_t condition = 0;
        double score = 0;
    };
    /// Those that hold for a document.
    std::vector<Held> of(std::int64_t seq_no);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// What to sort by.
struct SortKey {
    enum class Kind { score, document, field };
    Kind kind = Kind::score;
    std::string field;
    bool descending = false;
    bool missing_first = false;
    std::optional<SortValue> missing;  ///< taken for a document without the field, as its type
    std::optional<SortMode>
        mode;            ///< of several values; else the least or largest, as the order suits
    std::string format;  ///< of dates, for whoever shows them
    std::optional<ValueType> if_unmapped;  ///< else a field that nobody knows is an error
};

/// Sorting by the order of documents goes by part and sequence number: part << kPartShift + seq_no.
constexpr unsigned kPartShift = 44;

struct SearchPart {
    std::shared_ptr<IndexSnapshot> snapshot;  ///< null: left out of the search
    std::shared_ptr<const Query> filter;      ///< of the alias; null: none
    std::int64_t after = -1;                  ///< documents up to this one are not looked at
    double boost = 1;                         ///< by which its scores count more or less
    /// Of the index's settings when it was opened, for whoever slices; the index may be gone since.
    std::int64_t shards = 1;
    std::int64_t routing_shards = 1;
    /// Whether a document is of the slice that is asked for; null: all are.
    std::function<bool(const std::string& id, const std::string& routing)> in_slice;
};

/// Sees every document that matches, in no particular order.
class Collector {
  public:
    virtual ~Collector() = default;
    /// Before the documents of a part.
    virtual void begin(const IndexSnapshot& snapshot) = 0;
    virtual void collect(document::Value source, const std::string& id) = 0;
};

struct FoundDocument {
    std::size_t part = 0;
    std::int64_t seq_no = 0;
    double score = 0;
    std::vector<SortValue> sort;
};

struct DocumentSearch {
    std::shared_ptr<const Query> query;             ///< null: all, or, with `knn`, none beside it
    std::shared_ptr<const Query> post_filter;       ///< for hits, not for the collector
    std::vector<std::shared_ptr<const Query>> knn;  ///< Query::knn; the nearest of all parts
    std::vector<SortKey> sort;                      ///< empty: by score
    std::optional<std::vector<SortValue>> after;    ///< one for each key, taken as its type
    bool sort_values = true;  ///< false: hits in the documents' own order come without theirs
    std::size_t size = 10;    ///< the best so many
    std::optional<double> min_score;
    /// Ends when so many documents of a part were found; 0: no limit.
    std::size_t terminate_after = 0;
    bool scores = false;  ///< wanted although no key sorts by them
    Collector* collector = nullptr;
    /// Goes on with the other parts when one cannot answer; see FoundDocuments::failures.
    bool partial = false;
    /// When to give up, with what is found by then.
    std::optional<std::chrono::steady_clock::time_point> deadline;
    /// Told how many bytes the hits take as they grow; ends the search by throwing.
    std::function<void(std::size_t bytes)> on_memory;
};

/// A part that could not answer: a QueryError or a StorageError.
struct PartFailure {
    std::size_t part = 0;
    std::exception_ptr problem;
};

/// What a member of `knn` has found: its nearest of all parts together.
struct Neighbours {
    struct Document {
        std::size_t part = 0;
        std::int64_t seq_no = 0;
        double score = 0;
    };
    std::shared_ptr<const Query> query;
    std::vector<Document> documents;  ///< sorted by part and number

    /// Null for one that is not among them.
    const Document* find(std::size_t part, std::int64_t seq_no) const;
};

struct FoundDocuments {
    std::uint64_t total = 0;
    std::optional<double> max_score;
    std::vector<FoundDocument> hits;
    std::vector<Neighbours> neighbours;  ///< of those `knn` that have names
    bool timed_out = false;              ///< at the deadline, before the last document
    bool terminated_early = false;       ///< by `terminate_after`
    /// Of a `partial` search. What was found is of the other parts, unless it is `spoiled`: then a
    /// part failed after some of its documents were found or collected, and the search is to be
    /// made again without those that failed.
    std::vector<PartFailure> failures;
    bool spoiled = false;
};

/// What a hit takes in memory.
std::size_t bytes_of(const FoundDocument& document);

/// Throws QueryError with the index that could not answer, penstock::Error; a `partial` search does
/// not throw these for a single part. Keeps `size` documents
/// in memory, and the numbers of those that conditions on words find.
FoundDocuments search_documents(std::span<const SearchPart> parts, const DocumentSearch& search);

}  // namespace penstock::io
