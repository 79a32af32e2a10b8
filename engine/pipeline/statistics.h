// How often, how long, how many failed: per pipeline and per processor.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace penstock::pipeline {

/// Names and meaning as in Elasticsearch's `ingest` node statistics.
struct StepStatistics {
    std::string type;  ///< "rename"
    std::string tag;
    std::uint64_t count = 0;          ///< runs, one for each element in a foreach
    std::uint64_t time_in_nanos = 0;  ///< an estimate: every 16th document is timed
    std::uint64_t failed = 0;         ///< runs that failed, ignored and handled ones included
    std::uint64_t current = 0;        ///< documents that wait in it now

    std::string key() const;  ///< "rename" or "rename:tag", its name in the reference's answer
};

struct PipelineStatistics {
    std::string id;
    std::uint64_t count = 0;  ///< documents, from callers too
    std::uint64_t time_in_nanos = 0;
    std::uint64_t failed = 0;  ///< documents whose failure nothing in it handled
    std::uint64_t current = 0;
    std::vector<StepStatistics>
        processors;  ///< in the order of the definition, handlers and nested ones included
};

/// One set of counters for all workers. A worker adds its batch's sums at once, so that the shared
/// cache lines are touched once a batch and not once a document.
class Counters {
  public:
    struct Cell {
        std::atomic<std::uint64_t> count{0};
        std::atomic<std::uint64_t> nanos{0};
        std::atomic<std::uint64_t> failed{0};
        std::atomic<std::int64_t> current{0};
    };
    explicit Counters(std::size_t size) : cells_(std::make_unique<Cell[]>(size)), size_(size) {}
    Cell& operator[](std::size_t i) { return cells_[i]; }
    std::size_t size() const { return size_; }

  private:
    std::unique_ptr<Cell[]> cells_;
    std::size_t size_;
};

}  // namespace penstock::pipeline
