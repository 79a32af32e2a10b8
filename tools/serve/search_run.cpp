#include "tools/serve/search_run.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>

#include "engine/document/json_writer.h"
#include "engine/io/index_snapshot.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/shown_fields.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

namespace {

using document::JsonWriter;
using io::FoundDocument;
using io::SortKey;
using io::SortValue;

/// A score is a 32-bit float in Elasticsearch, and shown as one.
double shown_score(double score) {
    std::array<char, 32> text{};
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(score)).ptr;
    double shown = 0;
    std::from_chars(text.data(), end, shown);
    return shown;
}

bool shows_scores(const SearchRequest& request) {
    const auto& sort = request.retriever.search.sort;
    return sort.empty() || request.track_scores ||
           std::any_of(sort.begin(), sort.end(),
                       [](const SortKey& key) { return key.kind == SortKey::Kind::score; });
}

/// What a response shows of its hits.
struct Page {
    std::uint64_t total = 0;
    std::optional<double> max_score;
    std::vector<FoundDocument> hits;
    std::span<const io::Neighbours> neighbours;  ///< of what has a name
    std::string scroll_id;
    Aggregations* aggregations = nullptr;
    bool timed_out = false;
    std::optional<bool> terminated_early;  ///< nothing: there was no limit
};

void write_total(JsonWriter& json, const SearchRequest& request, std::uint64_t total) {
    if (request.total_as_number) {
        json.key("total");
        if (request.track_total_hits == 0) {
            json.value(-1);
        } else {
            json.value(total);
        }
        return;
    }
    if (request.track_total_hits == 0) return;
    const bool more = request.track_total_hits > 0 &&
                      total > static_cast<std::uint64_t>(request.track_total_hits);
    json.member_object("total", [&] {
        json.member("value", more ? static_cast<std::uint64_t>(request.track_total_hits) : total);
        json.member("relation", more ? "gte" : "eq");
    });
}

/// Of dates alone; null: none.
const ValueFormat* sort_format(const SearchRequest& request, const io::IndexSnapshot& snapshot,
                               std::size_t key) {
    if (key >= request.sort_formats.size() || !request.sort_formats[key]) return nullptr;
    const std::string& field = request.retriever.search.sort[key].field;
    return snapshot.field(field).type == io::ValueType::date ? request.sort_formats[key].get()
                                                             : nullptr;
}

void write_sort_value(JsonWriter& json, const SortValue& value, const ValueFormat* format) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) {
        if (format != nullptr) return json.value(format->date(*whole));
        json.value(*whole);
    } else if (const auto* number = std::get_if<double>(&value)) {
        json.value(shown_score(*number) == *number ? shown_score(*number) : *number);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
        json.value(*text);
    } else {
        json.null();
    }
}

using Names = std::map<std::string_view, double>;  ///< with their scores
using Deadline = std::optional<std::chrono::steady_clock::time_point>;

/// Whether a name is that of a member of `knn` itself, which the search has looked for already.
bool is_of_whole(const io::NamedNode& named, const io::Query& knn) {
    return named.node == knn.share();
}

/// What has names in a request, but for the members of `knn` as they are.
void gather_conditions(const Retriever& retriever, std::vector<io::NamedNode>& out) {
    for (const auto& query : {retriever.search.query, retriever.search.post_filter}) {
        if (query) out.insert(out.end(), query->named().begin(), query->named().end());
    }
    for (const auto& query : retriever.search.knn) {
        for (const io::NamedNode& named : query->named()) {
            if (!is_of_whole(named, *query)) out.push_back(named);
        }
    }
    for (const Retriever& child : retriever.children)
        gather_conditions(child, out);
}

/// The names of what holds for each hit of a page.
class NamesOfHits {
  public:
    /// Hits that are come to after the deadline have no names.
    NamesOfHits(const SearchTargets& targets, const SearchRequest& request, const Page& page,
                Deadline deadline, const OnMemory& on_memory)
        : page_(page), deadline_(deadline), on_memory_(on_memory) {
        gather_conditions(request.retriever, conditions_);
        if (conditions_.empty()) return;
        held_.resize(page.hits.size());
        std::map<std::size_t, std::vector<std::size_t>> by_part;
        for (std::size_t i = 0; i < page.hits.size(); ++i)
            by_part[page.hits[i].part].push_back(i);
        for (const auto& [part, places] : by_part)
            find_in(targets.parts[part], places);
    }

    Names of(std::size_t hit) const {
        Names names;
        if (!conditions_.empty()) {
            for (const auto& [condition, score] : held_[hit])
                names[conditions_[condition].name] = score;
        }
        for (const io::Neighbours& one : page_.neighbours)
            add_neighbour(one, page_.hits[hit], names);
        return names;
    }
    bool timed_out() const { return timed_out_; }
    std::size_t bytes() const { return bytes_; }

  private:
    using Held = std::vector<io::NamedConditions::Held>;

    /// One part after the other: the conditions of an index may be lists of its documents.
    void find_in(const io::SearchPart& part, const std::vector<std::size_t>& places) {
        if (is_late()) return;
        io::NamedConditions conditions(*part.snapshot, conditions_, part.filter);
        for (const std::size_t place : places) {
            if (is_late()) return;
            Held& held = held_[place] = conditions.of(page_.hits[place].seq_no);
            bytes_ += sizeof(held) + held.capacity() * sizeof(Held::value_type);
            on_memory_(bytes_);
        }
    }

    bool is_late() {
        timed_out_ = timed_out_ || (deadline_ && std::chrono::steady_clock::now() >= *deadline_);
        return timed_out_;
    }

    static void add_neighbour(const io::Neighbours& one, const FoundDocument& hit, Names& names) {
        const auto* found = one.find(hit.part, hit.seq_no);
        if (found == nullptr) return;
        for (const io::NamedNode& named : one.query->named()) {
            if (is_of_whole(named, *one.query)) names[named.name] = found->score;
        }
    }

    const Page& page_;
    Deadline deadline_;
    const OnMemory& on_memory_;
    std::vector<io::NamedNode> conditions_;
    std::vector<Held> held_;  ///< of the hits
    std::size_t bytes_ = 0;
    bool timed_out_ = false;
};

void write_names(JsonWriter& json, const Names& names, bool with_scores) {
    if (names.empty()) return;
    if (with_scores) {
        json.member_object("matched_queries", [&] {
            for (const auto& [name, score] : names)
                json.member(name, shown_score(score));
        });
        return;
    }
    json.member_array("matched_queries", [&] {
        for (const auto& [name, score] : names)
            json.value(name);
    });
}

/// What all hits of a response are shown with.
struct Shown {
    const Node& node;
    const SearchRequest& request;
    OnMemory on_memory;
    bool scores = false;
};

/// `names`: of what holds for it.
void write_hit(JsonWriter& json, const Shown& shown, io::IndexSnapshot& snapshot,
               const FoundDocument& hit, const Names& names) {
    const auto& [node, request, on_memory, scores] = shown;
    const auto document = snapshot.document(hit.seq_no, request.with_vectors);
    if (!document) return;
    json.object([&] {
        json.member("_index", snapshot.index());
        if (node.compat.is_elasticsearch() && node.compat.major < 8) json.member("_type", "_doc");
        if (request.with_id) json.member("_id", document->id);
        if (request.with_version) json.member("_version", document->version);
        if (request.with_seq_no) {
            json.member("_seq_no", document->seq_no);
            json.member("_primary_term", 1);
        }
        json.key("_score");
        if (scores) {
            json.value(shown_score(hit.score));
        } else {
            json.null();
        }
        if (!document->routing.empty()) json.member("_routing", document->routing);
        if (request.with_source) json.member_raw("_source", request.source.apply(document->source));
        if (!request.fields.empty())
            write_fields(json, request.fields, snapshot, document->source, on_memory);
        if (request.highlight)
            write_highlight(json, *request.highlight, request.query.get(), snapshot, hit.seq_no,
                            document->source);
        if (!hit.sort.empty()) {
            json.member_array("sort", [&] {
                for (std::size_t i = 0; i < hit.sort.size(); ++i)
                    write_sort_value(json, hit.sort[i], sort_format(request, snapshot, i));
            });
        }
        write_names(json, names, request.with_name_scores);
    });
}

// ---- memory

void take_memory(MemoryLease& lease, std::size_t bytes, const MemoryBudget& budget,
                 const std::string& what, const std::string& remedy) {
    if (lease.grow_to(bytes)) return;
    const std::string wanted = std::to_string(budget.used() + bytes - lease.bytes());
    throw ApiError(429, "circuit_breaking_exception",
                   "[request] Data too large, data for [<" + what + ">] would be [" + wanted +
                       "b], which is larger than the limit of [" + std::to_string(budget.limit()) +
                       "b]; " + remedy)
        .with("bytes_wanted", wanted)
        .with("bytes_limit", std::to_string(budget.limit()))
        .with_text("durability", "TRANSIENT")
        .retry_after(1);
}

void take_scroll_memory(MemoryLease& lease, std::size_t bytes, const MemoryBudget& budget) {
    take_memory(lease, bytes, budget, "scroll",
                "use search_after with a point in time, or a query that finds less");
}

// ---- indices that could not answer

void write_failures(JsonWriter& json, const Node& node, const SearchTargets& targets) {
    json.array([&] {
        for (const IndexFailure& failure : targets.failures) {
            json.object([&] {
                json.member("shard", 0);
                json.member("index", failure.index);
                json.member("node", node.id);
                json.member_raw("reason", failure.error.object());
            });
        }
    });
}

std::string shards_json(const Node& node, const SearchTargets& targets) {
    if (targets.failures.empty()) return serve::shards_json(targets.total);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("total", targets.total);
        json.member("successful", targets.total - targets.failures.size());
        json.member("skipped", 0);
        json.member("failed", targets.failures.size());
        json.key("failures");
        write_failures(json, node, targets);
    });
    return out;
}

/// The failed search: as bad as the first of its failures, or as the last that is the server's
/// fault.
ApiError phase_failed(const Node& node, const SearchTargets& targets, const char* reason) {
    int status = targets.failures.front().error.status();
    std::string causes;
    std::string shards;
    for (const IndexFailure& failure : targets.failures) {
        if (failure.error.status() >= 500) status = failure.error.status();
        causes += (causes.empty() ? "[" : ",") + failure.error.object();
    }
    JsonWriter json(shards);
    write_failures(json, node, targets);
    return ApiError(status, "search_phase_execution_exception", reason)
        .with("root_cause", causes + "]")
        .with_text("phase", "query")
        .with("grouped", "true")
        .with("failed_shards", shards)
        .retry_after(status == 503 ? 1 : 0);
}

/// Throws when nothing is left to answer, or not enough.
void check_failures(const Node& node, const SearchTargets& targets) {
    if (targets.failures.empty()) return;
    if (targets.failures.size() == targets.total)
        throw phase_failed(node, targets, "all shards failed");
    if (!targets.partial_allowed) throw phase_failed(node, targets, "Partial shards failure");
}

ApiError error_of(const std::exception_ptr& problem, const std::string& index) {
    try {
        std::rethrow_exception(problem);
    } catch (const io::QueryError& error) {
        ApiError refused(400, error.type(), error.what());
        if (error.line() > 0) {
            refused.with("line", std::to_string(error.line()));
            refused.with("col", std::to_string(error.column()));
        }
        refused.with_text("index", index);
        return refused;
    } catch (const StorageError& error) {
        return ApiError(503, "no_shard_available_action_exception", error.what())
            .with_text("index", index);
    }
}

/// Those indices are asked no more. Throws as check_failures.
void take_failures(const Node& node, SearchTargets& targets,
                   const std::vector<io::PartFailure>& failures) {
    for (const io::PartFailure& failure : failures) {
        std::shared_ptr<io::IndexSnapshot>& snapshot = targets.parts[failure.part].snapshot;
        if (!snapshot) continue;
        const std::string index = snapshot->index();
        targets.failures.push_back({index, error_of(failure.problem, index)});
        snapshot.reset();
    }
    check_failures(node, targets);
}

/// What the indices that can answer have.
io::FoundDocuments search_targets(const Node& node, SearchTargets& targets,
                                  io::DocumentSearch& search,
                                  const std::vector<AggregationRequest>& requests,
                                  std::optional<Aggregations>& aggregations) {
    search.partial = true;
    for (;;) {
        if (!requests.empty()) search.collector = &aggregations.emplace(requests);
        io::FoundDocuments found = io::search_documents(targets.parts, search);
        take_failures(node, targets, found.failures);
        if (!found.spoiled) return found;
    }
}

Deadline deadline_of(const SearchRequest& request, std::chrono::steady_clock::time_point begin) {
    constexpr std::chrono::hours kLongest{24 * 365};
    if (!request.timeout) return std::nullopt;
    return begin + std::min<std::chrono::milliseconds>(*request.timeout, kLongest);
}

std::string write_page(const Node& node, const SearchTargets& targets, const SearchRequest& request,
                       const Page& page, std::chrono::steady_clock::time_point begin) {
    MemoryLease memory(*node.budget);
    std::string hits;
    std::size_t names_bytes = 0;
    const OnMemory on_memory = [&](std::size_t bytes) {
        // The hits are copied once more, into the whole.
        take_memory(memory, 2 * hits.size() + names_bytes + bytes, *node.budget, "search response",
                    "ask for fewer documents by [size], or for less of them by [_source]");
    };
    const Shown shown{node, request, on_memory, shows_scores(request)};
    const NamesOfHits names(targets, request, page, deadline_of(request, begin), on_memory);
    names_bytes = names.bytes();
    const auto& sort = request.retriever.search.sort;
    const bool best_first =
        sort.empty() || (sort.front().kind == SortKey::Kind::score && sort.front().descending);
    const bool max_score = best_first || request.track_scores;
    JsonWriter hits_json(hits);
    hits_json.array([&] {
        for (std::size_t i = 0; i < page.hits.size(); ++i) {
            const FoundDocument& hit = page.hits[i];
            write_hit(hits_json, shown, *targets.parts[hit.part].snapshot, hit, names.of(i));
            on_memory(0);
        }
    });
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begin);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        if (!page.scroll_id.empty()) json.member("_scroll_id", page.scroll_id);
        if (!request.pit.empty()) json.member("pit_id", request.pit);
        json.member("took", took.count());
        json.member("timed_out", page.timed_out || names.timed_out());
        if (page.terminated_early) json.member("terminated_early", *page.terminated_early);
        json.member_raw("_shards", shards_json(node, targets));
        json.member_object("hits", [&] {
            write_total(json, request, page.total);
            json.key("max_score");
            if (max_score && page.max_score && request.size > 0) {
                json.value(shown_score(*page.max_score));
            } else {
                json.null();
            }
            json.member_raw("hits", hits);
        });
        if (page.aggregations != nullptr) page.aggregations->write(json, request.typed_keys);
    });
    return out;
}

/// Makes the rankings of retrievers.
class Ranker {
  public:
    Ranker(const std::vector<io::SearchPart>& parts, Deadline deadline, const OnMemory& on_memory)
        : parts_(parts), deadline_(deadline), on_memory_(on_memory) {}

    /// The best of one retriever, at most `window`.
    std::vector<FoundDocument> rank(const Retriever& retriever, std::size_t window) {
        return retriever.children.empty() ? found(retriever, window) : joined(retriever, window);
    }
    bool timed_out() const { return timed_out_; }
    const std::vector<io::PartFailure>& failures() const { return failures_; }
    std::vector<io::Neighbours> take_neighbours() { return std::move(neighbours_); }

  private:
    static constexpr std::size_t kBytesOfPoints = 64;

    std::vector<FoundDocument> found(const Retriever& retriever, std::size_t window) {
        io::DocumentSearch search = retriever.search;
        search.size = window;
        search.deadline = deadline_;
        search.partial = true;
        search.on_memory = [this](std::size_t bytes) { on_memory_(held_ + bytes); };
        io::FoundDocuments found = io::search_documents(parts_, search);
        timed_out_ = timed_out_ || found.timed_out;
        failures_.insert(failures_.end(), found.failures.begin(), found.failures.end());
        std::move(found.neighbours.begin(), found.neighbours.end(),
                  std::back_inserter(neighbours_));
        return std::move(found.hits);
    }

    std::vector<FoundDocument> joined(const Retriever& retriever, std::size_t window) {
        const std::size_t counted = retriever.window > 0 ? retriever.window : window;
        std::map<std::pair<std::size_t, std::int64_t>, double> points;
        const std::size_t held = held_;
        for (const Retriever& child : retriever.children) {
            const std::vector<FoundDocument> ranking = rank(child, counted);
            for (std::size_t i = 0; i < ranking.size(); ++i)
                points[{ranking[i].part, ranking[i].seq_no}] +=
                    1.0 / static_cast<double>(retriever.rank_constant + i + 1);
            on_memory_(held_ = held + points.size() * kBytesOfPoints);
        }
        held_ = held;
        std::vector<FoundDocument> all;
        all.reserve(points.size());
        for (const auto& [place, score] : points)
            all.push_back({place.first, place.second, score, {}});
        std::stable_sort(
            all.begin(), all.end(),
            [](const FoundDocument& a, const FoundDocument& b) { return a.score > b.score; });
        return all;
    }

    const std::vector<io::SearchPart>& parts_;
    Deadline deadline_;
    const OnMemory& on_memory_;
    std::size_t held_ = 0;  ///< bytes of rankings that are not yet joined
    bool timed_out_ = false;
    std::vector<io::PartFailure> failures_;
    std::vector<io::Neighbours> neighbours_;
};

/// The joined ranking of the indices that can answer, and the neighbours in it.
std::vector<io::Neighbours> search_fused(const Node& node, SearchTargets& targets,
                                         const SearchRequest& request, Deadline deadline,
                                         const OnMemory& on_memory, Page& page) {
    const std::size_t window = std::max<std::size_t>(request.from + request.size, 10);
    std::vector<io::Neighbours> neighbours;
    for (;;) {
        Ranker ranker(targets.parts, deadline, on_memory);
        page.hits = ranker.rank(request.retriever, window);
        page.timed_out = page.timed_out || ranker.timed_out();
        neighbours = ranker.take_neighbours();
        if (ranker.failures().empty()) break;
        take_failures(node, targets, ranker.failures());
    }
    page.total = page.hits.size();
    if (!page.hits.empty()) page.max_score = page.hits.front().score;
    return neighbours;
}

void drop_first(std::vector<FoundDocument>& hits, std::size_t count, std::size_t keep) {
    hits.erase(hits.begin(),
               hits.begin() + static_cast<std::ptrdiff_t>(std::min(count, hits.size())));
    if (hits.size() > keep) hits.resize(keep);
}

}  // namespace

std::string shards_json(std::size_t count) {
    const std::string n = std::to_string(count);
    return R"({"total":)" + n + R"(,"successful":)" + n + R"(,"skipped":0,"failed":0})";
}

SearchTargets SearchTargets::of(std::vector<io::SearchPart> parts, bool partial_allowed) {
    SearchTargets targets;
    targets.total = parts.size();
    targets.parts = std::move(parts);
    targets.partial_allowed = partial_allowed;
    return targets;
}

namespace {

/// An index in its state of now, with what its aliases let through.
io::SearchPart open_part(const Node& node, const std::string& index, std::string_view expression,
                         std::int64_t now_millis) {
    io::SearchPart part;
    part.snapshot = node.store->searchable(index);
    if (const auto metadata = node.indices->readable(index)) {
        part.shards = metadata->shards;
        part.routing_shards = metadata->routing_shards;
    }
    std::vector<std::shared_ptr<const io::Query>> filters;
    for (const std::string& filter : node.indices->filters(expression, index)) {
        io::QueryOptions query_options;
        query_options.now_millis = now_millis;
        filters.push_back(io::Query::parse(filter, query_options));
    }
    if (!filters.empty()) part.filter = io::Query::filtered(nullptr, std::move(filters));
    return part;
}

}  // namespace

SearchTargets open_targets(Node& node, const Request& request, std::string_view given,
                           const ExpandOptions& options, bool partial_allowed,
                           std::int64_t now_millis) {
    SearchTargets targets;
    targets.partial_allowed = partial_allowed;
    targets.expression = authorize_names(node, request, given);
    for (const std::string& index : node.indices->expand(targets.expression, options)) {
        authorize_index(node, request, index, targets.expression);
        ++targets.total;
        try {
            targets.parts.push_back(open_part(node, index, targets.expression, now_millis));
        } catch (const StorageError&) {
            targets.failures.push_back({index, error_of(std::current_exception(), index)});
        }
    }
    check_failures(node, targets);
    return targets;
}

namespace {

/// For the statistics of the indices that it has asked.
void count_search(const Node& node, const SearchTargets& targets,
                  std::chrono::steady_clock::time_point begin) {
    IndexCounts counts;
    counts.searches = 1;
    counts.searching = std::chrono::steady_clock::now() - begin;
    for (const io::SearchPart& part : targets.parts) {
        // Null for an index that could not answer.
        if (part.snapshot) node.indices->activity().add(part.snapshot->index(), counts);
    }
}

}  // namespace

std::string run_search(const Node& node, SearchTargets targets, const SearchRequest& request,
                       std::chrono::steady_clock::time_point begin) {
    Page page;
    std::optional<Aggregations> aggregations;
    std::vector<io::Neighbours> neighbours;
    MemoryLease found_memory(*node.budget);
    const OnMemory on_memory = [&](std::size_t bytes) {
        take_memory(found_memory, bytes, *node.budget, "search hits",
                    "ask for fewer documents by [size]");
    };
    if (request.is_fused()) {
        neighbours =
            search_fused(node, targets, request, deadline_of(request, begin), on_memory, page);
    } else {
        io::DocumentSearch search = request.retriever.search;
        search.size = request.from + request.size;
        search.deadline = deadline_of(request, begin);
        search.on_memory = on_memory;
        io::FoundDocuments found =
            search_targets(node, targets, search, request.aggregations, aggregations);
        if (aggregations) page.aggregations = &*aggregations;
        page.total = found.total;
        page.max_score = found.max_score;
        page.timed_out = found.timed_out;
        if (search.terminate_after > 0) page.terminated_early = found.terminated_early;
        page.hits = std::move(found.hits);
        neighbours = std::move(found.neighbours);
    }
    page.neighbours = neighbours;
    count_search(node, targets, begin);
    drop_first(page.hits, request.from, request.size);
    return write_page(node, targets, request, page, begin);
}

std::string run_count(const Node& node, SearchTargets targets, io::DocumentSearch search) {
    search.size = 0;
    std::optional<Aggregations> none;
    const io::FoundDocuments found = search_targets(node, targets, search, {}, none);
    return "{\"count\":" + std::to_string(found.total) +
           (search.terminate_after == 0 ? ""
            : found.terminated_early    ? ",\"terminated_early\":true"
                                        : ",\"terminated_early\":false") +
           ",\"_shards\":" + shards_json(node, targets) + "}";
}

namespace {

/// Then the values that are sorted by need not be kept.
bool in_document_order(const std::vector<SortKey>& sort) {
    return sort.size() == 1 && sort.front().kind == SortKey::Kind::document;
}

/// What a scroll keeps of what it found.
void keep_entries(SearchContext& context, std::vector<FoundDocument> hits, MemoryBudget& budget) {
    const auto& sort = context.request.retriever.search.sort;
    const bool sorted = !sort.empty() && !in_document_order(sort);
    std::size_t bytes = hits.size() * sizeof(ScrollEntry);
    if (sorted) {
        for (const FoundDocument& hit : hits)
            bytes += io::bytes_of(hit) - sizeof(hit) + sizeof(std::vector<io::SortValue>);
    }
    for (const io::Neighbours& one : context.neighbours)
        bytes += one.documents.size() * sizeof(io::Neighbours::Document);
    take_scroll_memory(context.memory.emplace(budget), bytes, budget);
    context.entries.reserve(hits.size());
    for (FoundDocument& hit : hits) {
        context.entries.push_back({hit.part, hit.seq_no, hit.score});
        if (sorted) context.sort_values.push_back(std::move(hit.sort));
    }
}

/// The entries' next page.
Page take_page(SearchContext& context) {
    Page page;
    page.neighbours = context.neighbours;
    page.total = context.total;
    page.max_score = context.max_score;
    const std::size_t end = std::min(context.next + context.request.size, context.entries.size());
    for (; context.next < end; ++context.next) {
        const ScrollEntry& entry = context.entries[context.next];
        FoundDocument& hit = page.hits.emplace_back();
        hit = {entry.part, entry.seq_no, entry.score, {}};
        if (!context.sort_values.empty()) hit.sort = std::move(context.sort_values[context.next]);
        // The order of the documents themselves: its value need not be kept.
        const auto& sort = context.request.retriever.search.sort;
        if (context.sort_values.empty() && !sort.empty())
            hit.sort = {static_cast<std::int64_t>(entry.part << 44U) + entry.seq_no};
    }
    return page;
}

}  // namespace

std::string open_scroll(const Node& node, SearchContexts& contexts,
                        std::shared_ptr<SearchContext> context, SearchTargets targets,
                        SearchRequest request, std::chrono::steady_clock::time_point begin) {
    std::optional<Aggregations> aggregations;
    io::DocumentSearch search = request.retriever.search;
    search.size = std::numeric_limits<std::size_t>::max();
    search.sort_values = !in_document_order(search.sort);
    search.deadline = deadline_of(request, begin);
    MemoryLease found_memory(*node.budget);
    search.on_memory = [&](std::size_t bytes) {
        take_scroll_memory(found_memory, bytes, *node.budget);
    };
    const std::vector<AggregationRequest> requests = request.aggregations;
    io::FoundDocuments found = search_targets(node, targets, search, requests, aggregations);
    context->is_scroll = true;
    context->total = found.total;
    context->max_score = found.max_score;
    const std::chrono::milliseconds keep_alive = *request.scroll;
    context->request = std::move(request);
    context->neighbours = std::move(found.neighbours);
    keep_entries(*context, std::move(found.hits), *node.budget);
    Page page = take_page(*context);
    page.timed_out = found.timed_out;
    if (aggregations) page.aggregations = &*aggregations;
    page.scroll_id = contexts.add(context, keep_alive);
    return write_page(node, targets, context->request, page, begin);
}

std::string next_page(const Node& node, SearchContext& context, const std::string& scroll_id,
                      std::chrono::steady_clock::time_point begin, bool total_as_number) {
    const std::lock_guard lock(context.mutex);
    context.request.total_as_number = total_as_number;
    Page page = take_page(context);
    page.scroll_id = scroll_id;
    return write_page(node, SearchTargets::of(context.parts, true), context.request, page, begin);
}

}  // namespace penstock::serve
