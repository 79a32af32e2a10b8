// Vectors in memory: nearest neighbours exactly (BLAS) and through a graph (HNSW). Private to
// engine/io.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/io/index.h"

namespace penstock::io {

struct Neighbour {
    std::int64_t key = 0;
    float score = 0;  ///< as Similarity describes
};

/// Up to where the owner's vectors and deletions are in a saved graph.
struct GraphMark {
    std::int64_t last_key = -1;
    std::int64_t last_log = 0;
};

/// Vectors by key. Those in the graph are searched approximately; the newer ones beside it exactly.
/// Not thread-safe against changes: the owner lets searches run together and changes alone.
class VectorSet {
  public:
    VectorSet(std::size_t dims, Similarity similarity);
    ~VectorSet();
    VectorSet(VectorSet&&) noexcept;
    VectorSet& operator=(VectorSet&&) noexcept;

    /// Keys are new. `vector` has `dims` numbers.
    void add(std::int64_t key, std::span<const float> vector);
    void remove(std::int64_t key);
    std::size_t size() const;
    std::size_t in_graph() const;

    /// The best `count` by score, best first; ties by key. Approximate for the part in the graph
    /// unless `exact`.
    std::vector<Neighbour> nearest(std::span<const float> query, std::size_t count,
                                   std::size_t candidates, bool exact) const;

    /// Moves everything into the graph, which is made new when half of it is deleted.
    void build_graph();
    /// The graph as a file, with a hash over it and the owner's mark. Throws penstock::Error.
    void save_graph(const std::string& path, const GraphMark& mark) const;
    /// Nothing when there is none or it does not fit (damaged, other dims): then nothing has
    /// changed.
    std::optional<GraphMark> load_graph(const std::string& path);
    /// How many vectors the graph saved at `path` holds, without loading it.
    static std::size_t saved_graph_size(const std::string& path);

  private:
    struct Graph;

    std::vector<float> prepared(std::span<const float> vector) const;
    float score(float raw) const;
    void exact_rows(std::span<const float> query, std::vector<Neighbour>& out) const;
    void search_graph(std::span<const float> query, std::size_t count, std::size_t candidates,
                      bool exact, std::vector<Neighbour>& out) const;

    std::size_t dims_;
    Similarity similarity_;
    std::vector<float> rows_;  // row-major; unit length for cosine
    std::vector<float> squares_;
    std::vector<std::int64_t> keys_;
    std::unordered_map<std::int64_t, std::size_t> row_of_;
    std::unique_ptr<Graph> graph_;
};

}  // namespace penstock::io
