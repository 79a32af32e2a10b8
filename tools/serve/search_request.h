// A search as its body and parameters ask for it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index_snapshot.h"
#include "tools/serve/aggregations.h"
#include "tools/serve/highlight.h"
#include "tools/serve/http_message.h"
#include "tools/serve/source_filter.h"
#include "tools/serve/value_format.h"

namespace penstock::serve {

/// A JSON text and the values that point into it. Not copied, not moved.
class SearchBody {
  public:
    /// Empty text is an empty object. Throws ApiError 400.
    explicit SearchBody(std::string text);
    SearchBody(const SearchBody&) = delete;
    SearchBody& operator=(const SearchBody&) = delete;
    const document::Object& root() const { return root_.as_object(); }
    std::string_view text() const { return text_; }

  private:
    std::string text_;
    document::Arena arena_;
    document::Value root_;
};

/// A text that a query wants as a vector.
struct EmbeddingWanted {
    std::string model;
    std::string text;
    std::vector<float> vector;  ///< once it is known
};

/// All `query_vector_builder.text_embedding` of a body.
std::vector<EmbeddingWanted> embeddings_wanted(const document::Object& body);

/// A ranking, or several that are joined by reciprocal rank fusion.
struct Retriever {
    io::DocumentSearch search;
    std::vector<Retriever> children;
    std::size_t rank_constant = 60;
    std::size_t window = 0;  ///< how much of each child counts; 0: as much as is asked for
};

/// Of `fields` and `docvalue_fields`.
struct ShownField {
    std::string pattern;
    std::shared_ptr<const ValueFormat> format;  ///< null: as the source has it
};

/// One of so many parts of what is found.
struct SearchSlice {
    std::size_t id = 0;
    std::size_t max = 2;
};

struct SearchRequest {
    static constexpr std::int64_t kCountAll = -1;

    Retriever retriever;
    std::size_t from = 0;
    std::size_t size = 10;
    std::int64_t track_total_hits = 10'000;  ///< up to so many; kCountAll; 0: not at all
    bool total_is_given = false;             ///< the client has said so
    bool total_as_number = false;
    bool track_scores = false;
    bool with_version = false;
    bool with_seq_no = false;
    bool with_vectors = true;
    bool with_source = true;
    bool with_id = true;
    SourceFilter source;
    std::vector<ShownField> fields;
    std::vector<std::shared_ptr<const ValueFormat>> sort_formats;  ///< of the sort keys; null: none
    std::size_t docvalue_fields = 0;  ///< how many of `fields` were asked for as these
    std::optional<HighlightRequest> highlight;
    std::shared_ptr<const io::Query> query;  ///< what highlighting marks
    std::vector<AggregationRequest> aggregations;
    bool typed_keys = false;
    bool cached = false;  ///< asked to be; nothing is
    std::string pit;      ///< id of a point in time; empty: none
    std::optional<std::chrono::milliseconds> pit_keep_alive;
    std::optional<std::chrono::milliseconds> scroll;
    std::optional<std::chrono::milliseconds> timeout;  ///< then what is found by then is the answer
    bool with_name_scores = false;  ///< matched_queries are shown with their scores
    std::vector<std::pair<std::string, double>> indices_boost;  ///< the first that fits counts
    std::optional<SearchSlice> slice;
    bool tie_break = false;  ///< a point in time's own last sort value is added

    bool is_fused() const { return !retriever.children.empty(); }
};

/// Throws ApiError and io::QueryError for what is wrong or not supported. `embeddings` are those of
/// the body, with their vectors.
SearchRequest parse_search(const SearchBody& body, const Parameters& parameters,
                           const std::vector<EmbeddingWanted>& embeddings, std::int64_t now_millis,
                           const io::TermsLoader& load_terms);
/// The query alone, of _count.
std::shared_ptr<const io::Query> parse_query_only(const SearchBody& body,
                                                  const Parameters& parameters,
                                                  const std::vector<EmbeddingWanted>& embeddings,
                                                  std::int64_t now_millis,
                                                  const io::TermsLoader& load_terms);
/// What `sort` of a body says: names, objects of names and options, or a list of these. Throws
/// ApiError 400.
std::vector<io::SortKey> parse_sort(document::Value value);
/// The same of a query string: "field:desc,other".
std::vector<io::SortKey> parse_sort_parameter(const std::string& text);
/// A query's error in the API's shape.
[[noreturn]] void throw_api_error(const io::QueryError& error);

}  // namespace penstock::serve
