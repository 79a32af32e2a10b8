// The nearest neighbours of a vector, filtered and in old states too.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>

#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

double similarity(Similarity kind, std::span<const float> a, std::span<const float> b) {
    double dot = 0;
    double square_a = 0;
    double square_b = 0;
    double distance = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double x = a[i];
        const double y = b[i];
        dot += x * y;
        square_a += x * x;
        square_b += y * y;
        distance += (x - y) * (x - y);
    }
    switch (kind) {
        case Similarity::cosine:
            return (1 + dot / std::sqrt(square_a * square_b)) / 2;
        case Similarity::dot_product:
            return (1 + dot) / 2;
        case Similarity::l2_norm:
            return 1 / (1 + distance);
        case Similarity::max_inner_product:
            break;
    }
    return dot < 0 ? 1 / (1 - dot) : dot + 1;
}

/// The least score of a neighbour that is as similar as is asked for.
double least_score(Similarity kind, double wanted) {
    switch (kind) {
        case Similarity::cosine:
        case Similarity::dot_product:
            return (1 + wanted) / 2;
        case Similarity::l2_norm:
            return 1 / (1 + wanted * wanted);
        case Similarity::max_inner_product:
            break;
    }
    return wanted < 0 ? 1 / (1 - wanted) : wanted + 1;
}

bool better(const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.seq_no < b.seq_no;
}

void keep_best(std::vector<Scored>& documents, std::size_t count) {
    std::sort(documents.begin(), documents.end(), better);
    if (documents.size() > count) documents.resize(count);
}

const Field& vector_field(const FieldTypes& types, const std::string& name) {
    const FieldRef ref = types.resolve(name);
    if (ref.stored != nullptr && ref.stored->type == FieldType::vector) return *ref.stored;
    if (ref.type != ValueType::unknown && ref.type != ValueType::vector)
        throw QueryError("query_shard_exception",
                         "failed to create query: [knn] queries are only supported on "
                         "[dense_vector] fields");
    throw QueryError("query_shard_exception",
                     "failed to create query: field [" + name + "] does not exist in the mapping");
}

/// Compares with every vector that the snapshot has, or with those of `only`.
std::vector<Scored> compare_all(Database& db, const Field& field, std::span<const float> wanted,
                                std::size_t count, const DocumentList* only) {
    std::vector<Scored> best;
    std::vector<float> vector(field.dims);
    Statement query = db.query("SELECT key, data FROM " + field.table() + " ORDER BY key");
    while (query.step()) {
        const std::int64_t seq_no = seq_no_of(query.integer(0));
        if (only != nullptr && !std::binary_search(only->begin(), only->end(), seq_no)) continue;
        const std::string_view data = query.text(1);
        if (data.size() != vector.size() * sizeof(float)) continue;
        std::memcpy(vector.data(), data.data(), data.size());
        const double score = similarity(field.similarity, wanted, vector);
        if (!best.empty() && best.back().seq_no == seq_no) {
            best.back().score = std::max(best.back().score, score);
        } else {
            if (best.size() >= 2 * count + 1024) keep_best(best, count);
            best.push_back({seq_no, score});
        }
    }
    keep_best(best, count);
    return best;
}

/// As the index's memory has them, graph included; nothing when that is newer than the snapshot.
std::optional<std::vector<Scored>> look_up(const Preparation& preparation, const Field& field,
                                           std::span<const float> wanted, std::size_t count,
                                           std::size_t candidates) {
    for (std::size_t window = count * 2;; window *= 4) {
        const auto found = preparation.index.cache(field).nearest_at(
            preparation.db, wanted, window, std::max<std::size_t>(candidates, 100));
        if (!found) return std::nullopt;
        std::vector<Scored> best;
        std::set<std::int64_t> seen;
        for (const Neighbour& one : *found) {
            const std::int64_t seq_no = seq_no_of(one.key);
            if (seen.insert(seq_no).second) best.push_back({seq_no, one.score});
        }
        if (found->size() >= window && best.size() < count) continue;
        keep_best(best, count);
        return best;
    }
}

/// What may be a neighbour; nothing: all.
std::optional<DocumentList> allowed(const Preparation& preparation, const QueryNode* filter) {
    Preparation unscored = preparation.unscored();
    unscored.visible = nullptr;
    unscored.nested = {};
    std::optional<DocumentList> documents;
    for (const QueryNode* node : {preparation.visible, filter}) {
        if (node == nullptr) continue;
        DocumentList found = matching(*node->prepare(unscored), preparation.db);
        if (documents) {
            DocumentList both;
            std::set_intersection(documents->begin(), documents->end(), found.begin(), found.end(),
                                  std::back_inserter(both));
            found = std::move(both);
        }
        documents = std::move(found);
    }
    return documents;
}

}  // namespace

std::vector<Scored> KnnNode::nearest(const Preparation& preparation) const {
    if (preparation.types.known().empty() || preparation.docs == 0) return {};
    const Field& field = vector_field(preparation.types, clause_.field);
    if (field.dims == 0) return {};
    if (clause_.vector.size() != field.dims)
        throw QueryError("query_shard_exception",
                         "failed to create query: the query vector has a different dimension [" +
                             std::to_string(clause_.vector.size()) + "] than the index vectors [" +
                             std::to_string(field.dims) + "]");
    const bool zero =
        std::all_of(clause_.vector.begin(), clause_.vector.end(), [](float x) { return x == 0; });
    if (zero && field.similarity == Similarity::cosine)
        throw QueryError("query_shard_exception",
                         "failed to create query: The [cosine] similarity does not support "
                         "vectors with zero magnitude.");
    std::vector<Scored> best;
    if (const auto only = allowed(preparation, clause_.filter.get())) {
        best = compare_all(preparation.db, field, clause_.vector, clause_.k, &*only);
    } else if (auto found =
                   look_up(preparation, field, clause_.vector, clause_.k, clause_.num_candidates)) {
        best = std::move(*found);
    } else {
        best = compare_all(preparation.db, field, clause_.vector, clause_.k, nullptr);
    }
    if (clause_.similarity) {
        // As floats, which is what vectors are made of.
        const auto least = static_cast<float>(least_score(field.similarity, *clause_.similarity));
        std::erase_if(best,
                      [&](const Scored& one) { return static_cast<float>(one.score) < least; });
    }
    for (Scored& one : best)
        one.score *= clause_.boost;
    return best;
}

MatcherPtr KnnNode::prepare(const Preparation& preparation) const {
    return make_list(nearest(preparation));
}

}  // namespace penstock::io
