#include <cstring>
#include <utility>

#include "engine/io/index_impl.h"

namespace penstock::io {
namespace {

std::int64_t last_log(Database& db) {
    Statement query = db.query("SELECT coalesce(max(n), 0) FROM vector_log");
    query.step();
    return query.integer(0);
}

bool log_reaches_back(Database& db, std::int64_t seen) {
    Statement query = db.query("SELECT coalesce(min(n), 0) FROM vector_log");
    query.step();
    return query.integer(0) <= seen + 1;
}

}  // namespace

VectorCache::VectorCache(Field field, std::string graph_path)
    : field_(std::move(field)), graph_path_(std::move(graph_path)), state_(field_) {}

bool VectorCache::up_to_date(Database& db, const State& state) const {
    if (!state.started || last_log(db) > state.last_log) return false;
    Statement query = db.query("SELECT coalesce(max(key), -1) FROM " + field_.table());
    query.step();
    return query.integer(0) <= state.last_key;
}

void VectorCache::start(Database& db, State& state) const {
    state = State(field_);
    state.started = true;
    const std::optional<GraphMark> mark = state.vectors.load_graph(graph_path_);
    if (mark && log_reaches_back(db, mark->last_log)) {
        state.last_key = mark->last_key;
        state.last_log = mark->last_log;
    } else {
        state.vectors = VectorSet(field_.dims, field_.similarity);
        state.last_log = last_log(db);  // what is deleted by now will not be read below
    }
}

void VectorCache::refresh(Database& db, State& state) const {
    if (!state.started || !log_reaches_back(db, state.last_log)) start(db, state);
    {
        Statement query = db.query("SELECT n, field, key FROM vector_log WHERE n > ? ORDER BY n");
        query.bind(state.last_log);
        while (query.step()) {
            state.last_log = query.integer(0);
            if (query.integer(1) == field_.id) state.vectors.remove(query.integer(2));
        }
    }
    add_newer(db, state);
}

void VectorCache::add_newer(Database& db, State& state) const {
    std::vector<float> vector(field_.dims);
    Statement query =
        db.query("SELECT key, data FROM " + field_.table() + " WHERE key > ? ORDER BY key");
    query.bind(state.last_key);
    while (query.step()) {
        const std::string_view data = query.text(1);
        state.last_key = query.integer(0);
        if (data.size() != vector.size() * sizeof(float))
            continue;  // damaged: a search cannot use it
        std::memcpy(vector.data(), data.data(), data.size());
        state.vectors.add(state.last_key, vector);
    }
}

std::vector<Neighbour> VectorCache::nearest(Database& db, std::span<const float> query,
                                            std::size_t count, std::size_t candidates, bool exact) {
    {
        const std::shared_lock lock(mutex_);
        if (up_to_date(db, state_)) return state_.vectors.nearest(query, count, candidates, exact);
    }
    {
        const std::unique_lock lock(mutex_);
        if (!up_to_date(db, state_)) refresh(db, state_);
    }
    const std::shared_lock lock(mutex_);
    return state_.vectors.nearest(query, count, candidates, exact);
}

bool VectorCache::ahead(Database& db, const State& state) const {
    return state.last_log > last_log(db) ||
           (state.last_key >= 0 && seq_no_of(state.last_key) >= read_number(db, "next_seq_no"));
}

std::optional<std::vector<Neighbour>> VectorCache::nearest_at(Database& db,
                                                              std::span<const float> query,
                                                              std::size_t count,
                                                              std::size_t candidates) {
    {
        const std::unique_lock lock(mutex_);
        if (state_.started && ahead(db, state_)) return std::nullopt;
        if (!up_to_date(db, state_)) refresh(db, state_);
    }
    const std::shared_lock lock(mutex_);
    if (ahead(db, state_)) return std::nullopt;
    return state_.vectors.nearest(query, count, candidates, false);
}

void VectorCache::build_graph(Database& db) {
    State fresh(field_);
    refresh(db, fresh);
    if (fresh.vectors.in_graph() == fresh.vectors.size()) return;
    fresh.vectors.build_graph();
    fresh.vectors.save_graph(graph_path_, {fresh.last_key, fresh.last_log});
    const std::unique_lock lock(mutex_);
    state_ = std::move(fresh);
}

}  // namespace penstock::io
