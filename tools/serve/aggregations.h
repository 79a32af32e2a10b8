// Figures and groups over all documents that match.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/document/json_writer.h"
#include "engine/io/index_snapshot.h"

namespace penstock::serve {

enum class AggregationKind {
    value_count,
    min,
    max,
    avg,
    sum,
    stats,
    cardinality,
    missing,
    terms,
    histogram,
    date_histogram
};

struct AggregationRequest {
    std::string name;
    AggregationKind kind = AggregationKind::value_count;
    std::string field;
    std::size_t size = 10;  ///< of terms
    std::uint64_t min_doc_count = 1;
    bool by_key = false;  ///< order of terms; else by count
    bool descending = true;
    double interval = 0;     ///< of histograms; milliseconds for dates
    char calendar_unit = 0;  ///< y M w d h m s; 0: `interval`
    std::optional<io::SortValue> missing;
    std::vector<AggregationRequest> children;
};

/// From the `aggs` member of a search. Throws ApiError 400 for what is wrong or not supported.
std::vector<AggregationRequest> parse_aggregations(document::Value value);

class AggregationState;

/// How much all aggregations of a request hold and show together.
struct AggregationCounts {
    std::size_t kept = 0;
    std::size_t shown = 0;
};

/// Gathers them in one pass.
class Aggregations final : public io::Collector {
  public:
    explicit Aggregations(const std::vector<AggregationRequest>& requests);
    ~Aggregations() override;
    /// Throws io::QueryError when an aggregation cannot do with the index's fields.
    void begin(const io::IndexSnapshot& snapshot) override;
    /// Throws ApiError 400 when there are too many groups, io::QueryError.
    void collect(document::Value source, const std::string& id) override;
    /// The `aggregations` member. With `typed`, names tell their kind: "sterms#genres". Throws
    /// ApiError 400 when there are too many groups.
    void write(document::JsonWriter& json, bool typed);

  private:
    AggregationCounts counts_;
    std::vector<std::unique_ptr<AggregationState>> states_;
};

}  // namespace penstock::serve
