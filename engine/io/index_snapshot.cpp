#include "engine/io/index_snapshot.h"

#include <algorithm>
#include <array>
#include <limits>
#include <mutex>
#include <set>
#include <utility>

#include "engine/io/query_node.h"

namespace penstock::io {

struct IndexSnapshot::Impl {
    explicit Impl(std::shared_ptr<Index> the_index)
        : index(std::move(the_index)),
          reader(*index),
          transaction(reader.db(), Transaction::Kind::read),
          docs(static_cast<std::uint64_t>(read_number(reader.db(), "docs"))),
          next_seq_no(read_number(reader.db(), "next_seq_no")),
          types(read_fields(reader.db()),
                read_text(reader.db(), std::string(kAttribute) + "mappings"),
                read_number(reader.db(), "all_fields") == 1) {}

    Database& db() { return reader.db(); }
    Preparation preparation(bool scoring, const std::shared_ptr<const Query>& filter) {
        return {db(), types, *index, docs, scoring, filter ? &filter->root() : nullptr};
    }

    std::mutex mutex;
    std::shared_ptr<Index> index;
    Index::Reader reader;
    Transaction transaction;
    std::uint64_t docs;
    std::int64_t next_seq_no;
    FieldTypes types;
};

IndexSnapshot::IndexSnapshot(std::shared_ptr<Index> index)
    : impl_(std::make_unique<Impl>(std::move(index))) {}
IndexSnapshot::~IndexSnapshot() = default;

const std::string& IndexSnapshot::index() const {
    return impl_->index->name();
}
std::uint64_t IndexSnapshot::docs() const {
    return impl_->docs;
}
std::int64_t IndexSnapshot::max_seq_no() const {
    return impl_->next_seq_no - 1;
}

std::optional<StoredDocument> IndexSnapshot::document(std::int64_t seq_no, bool with_vectors) {
    const std::lock_guard lock(impl_->mutex);
    return read_document(impl_->db(), seq_no, with_vectors);
}

std::optional<StoredDocument> IndexSnapshot::document(std::string_view id, bool with_vectors) {
    const std::lock_guard lock(impl_->mutex);
    return read_document(impl_->db(), id, with_vectors);
}

IndexSnapshot::FieldUse IndexSnapshot::field(std::string_view name) const {
    const FieldRef ref = impl_->types.resolve(name);
    return {ref.path, ref.type, !impl_->types.absent(name)};
}

std::vector<std::string> IndexSnapshot::text_fields(std::string_view pattern) const {
    std::vector<std::string> names = impl_->types.names(ValueType::text);
    std::erase_if(names, [&](const std::string& name) { return !matches_pattern(pattern, name); });
    return names;
}

std::vector<std::string> IndexSnapshot::highlight(const Query& query, std::int64_t seq_no,
                                                  std::string_view field, bool any_field,
                                                  std::string_view before,
                                                  std::string_view behind) {
    std::vector<TextCondition> conditions;
    query.root().text_conditions(impl_->types, conditions);
    const FieldRef ref = impl_->types.resolve(field);
    std::string expression;
    for (const TextCondition& condition : conditions) {
        if (condition.field != ref.path && !any_field) continue;
        expression += (expression.empty() ? "" : " OR ") + condition.expression;
    }
    std::vector<std::string> texts;
    if (expression.empty() || ref.stored == nullptr || ref.stored->type != FieldType::text)
        return texts;
    const std::lock_guard lock(impl_->mutex);
    const std::string table = ref.stored->table();
    Statement rows = impl_->db().query("SELECT highlight(" + table + ", 0, ?, ?) FROM " + table +
                                       " WHERE " + table + " MATCH ? AND rowid BETWEEN ? AND ?");
    rows.bind(before).bind(behind).bind(expression);
    rows.bind(row_key(seq_no, 0)).bind(row_key(seq_no + 1, 0) - 1);
    while (rows.step())
        texts.emplace_back(rows.text(0));
    return texts;
}

struct NamedConditions::Impl {
    explicit Impl(IndexSnapshot& the_snapshot)
        : snapshot(the_snapshot.impl()), document(snapshot.db()) {}

    IndexSnapshot::Impl& snapshot;
    DocumentView document;
    std::vector<MatcherPtr> conditions;
};

NamedConditions::NamedConditions(IndexSnapshot& snapshot, std::span<const NamedNode> conditions,
                                 const std::shared_ptr<const Query>& visible)
    : impl_(std::make_unique<Impl>(snapshot)) {
    const std::lock_guard lock(impl_->snapshot.mutex);
    const Preparation preparation = impl_->snapshot.preparation(true, visible);
    for (const NamedNode& named : conditions)
        impl_->conditions.push_back(named.node->prepare(preparation));
}
NamedConditions::~NamedConditions() = default;

std::vector<NamedConditions::Held> NamedConditions::of(std::int64_t seq_no) {
    std::vector<Held> held;
    const std::lock_guard lock(impl_->snapshot.mutex);
    impl_->document.move_to(seq_no);
    for (std::size_t i = 0; i < impl_->conditions.size(); ++i) {
        double score = 0;
        if (impl_->conditions[i]->match(impl_->document, score)) held.push_back({i, score});
    }
    return held;
}

namespace {

/// What has so few documents left to be found that the rest need not be looked at.
bool stops_early(const DocumentSearch& search, const Matcher& matcher) {
    return matcher.is_constant() && search.terminate_after == 0 && search.sort.empty() &&
           !search.after && !search.collector && !search.min_score && !search.post_filter;
}

bool goes_before_neighbour(const Neighbours::Document& a, const Neighbours::Document& b) {
    return std::pair(a.part, a.seq_no) < std::pair(b.part, b.seq_no);
}

class DocumentSearcher {
  public:
    DocumentSearcher(std::span<const SearchPart> parts, const DocumentSearch& search)
        : parts_(parts), search_(search), keys_(search.sort) {
        if (keys_.empty()) keys_.push_back({.kind = SortKey::Kind::score, .descending = true});
        by_score_ = search.sort.empty();
        in_order_ = !search.sort_values && !search.after && keys_.size() == 1 &&
                    keys_.front().kind == SortKey::Kind::document && !keys_.front().descending;
        scores_wanted_ = search.scores;
        for (const SortKey& key : keys_)
            scores_wanted_ = scores_wanted_ || key.kind == SortKey::Kind::score;
    }

    FoundDocuments run() {
        find_neighbours();
        for (std::size_t i = 0; i < parts_.size() && !answer_.timed_out; ++i)
            in_part(i, [&] { search_part(i); });
        answer_.spoiled = spoiled_;
        std::sort_heap(best_.begin(), best_.end(), goes_before());
        answer_.hits = std::move(best_);
        return std::move(answer_);
    }

  private:
    /// How a part has the fields that are sorted by.
    struct PartKeys {
        std::vector<IndexSnapshot::FieldUse> fields;
        std::vector<SortValue> missing;
        std::optional<std::vector<SortValue>> after;
    };
    static constexpr std::uint64_t kBetweenLooks = 256;        ///< documents, at the clock
    static constexpr std::size_t kBetweenReports = 1U << 20U;  ///< bytes

    /// Says of what is wrong which index it is wrong for; notes it where that is enough.
    template <class Work>
    void in_part(std::size_t part, const Work& work) {
        if (!parts_[part].snapshot || failed_.contains(part)) return;
        begun_ = false;
        try {
            work();
        } catch (QueryError& error) {
            error.set_index(parts_[part].snapshot->index());
            note_failure(part);
        } catch (const StorageError&) {
            note_failure(part);
        }
    }

    /// While an exception is handled.
    void note_failure(std::size_t part) {
        if (!search_.partial) throw;
        failed_.insert(part);
        spoiled_ = spoiled_ || begun_;
        answer_.failures.push_back({part, std::current_exception()});
    }

    std::function<bool(const FoundDocument&, const FoundDocument&)> goes_before() const {
        return [this](const FoundDocument& a, const FoundDocument& b) { return before(a, b); };
    }

    /// The k nearest of all parts together count, not those of each.
    void find_neighbours() {
        for (const auto& query : search_.knn) {
            const auto& node = dynamic_cast<const KnnNode&>(query->root());
            std::vector<std::pair<std::size_t, Scored>> all;
            for (std::size_t part = 0; part < parts_.size(); ++part) {
                in_part(part, [&] {
                    IndexSnapshot::Impl& impl = parts_[part].snapshot->impl();
                    const std::lock_guard lock(impl.mutex);
                    for (const Scored& one :
                         node.nearest(impl.preparation(true, parts_[part].filter)))
                        all.emplace_back(part, one);
                });
            }
            std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
                return a.second.score > b.second.score;
            });
            if (all.size() > node.k()) all.resize(node.k());
            auto& lists = neighbours_.emplace_back(parts_.size());
            for (const auto& [part, one] : all)
                lists[part].push_back(one);
            if (!query->named().empty()) keep_neighbours(query, all);
        }
    }

    void keep_neighbours(const std::shared_ptr<const Query>& query,
                         const std::vector<std::pair<std::size_t, Scored>>& nearest) {
        Neighbours& kept = answer_.neighbours.emplace_back(Neighbours{query, {}});
        kept.documents.reserve(nearest.size());
        for (const auto& [part, one] : nearest)
            kept.documents.push_back({part, one.seq_no, one.score});
        std::sort(kept.documents.begin(), kept.documents.end(), goes_before_neighbour);
    }

    MatcherPtr prepare(std::size_t part, const Preparation& preparation) {
        MatcherPtr matcher;
        if (neighbours_.empty()) {
            matcher = search_.query ? search_.query->root().prepare(preparation)
                                    : make_all()->prepare(preparation);
        } else {
            std::vector<MatcherPtr> any;
            if (search_.query) any.push_back(search_.query->root().prepare(preparation));
            for (auto& lists : neighbours_)
                any.push_back(make_list(std::move(lists[part])));
            matcher = make_any(std::move(any));
        }
        return matcher;
    }

    void search_part(std::size_t part) {
        IndexSnapshot::Impl& impl = parts_[part].snapshot->impl();
        const std::lock_guard lock(impl.mutex);
        const bool scoring = scores_wanted_ || search_.min_score;
        const Preparation preparation = impl.preparation(scoring, parts_[part].filter);
        const MatcherPtr matcher = prepare(part, preparation);
        const MatcherPtr filter =
            parts_[part].filter
                ? parts_[part].filter->root().prepare(impl.preparation(false, nullptr))
                : nullptr;
        const MatcherPtr post = search_.post_filter
                                    ? search_.post_filter->root().prepare(preparation.unscored())
                                    : nullptr;
        const PartKeys keys = keys_of(*parts_[part].snapshot);
        if (search_.collector != nullptr) search_.collector->begin(*parts_[part].snapshot);
        DocumentView document(impl.db());
        left_ = search_.terminate_after;
        const auto visit = [&](std::int64_t seq_no) {
            begun_ = true;
            document.move_to(seq_no);
            double score = 0;
            if (!matcher->match(document, score)) return;
            double unused = 0;
            if (filter && !filter->match(document, unused)) return;
            const auto& in_slice = parts_[part].in_slice;
            if (in_slice && !in_slice(document.id(), document.routing())) return;
            score *= parts_[part].boost;
            if (search_.min_score && score < *search_.min_score) return;
            if (search_.terminate_after > 0 && left_-- == 0) {
                answer_.terminated_early = true;
                return;
            }
            if (search_.collector != nullptr)
                search_.collector->collect(document.source(), document.id());
            if (post && !post->match(document, unused)) return;
            ++answer_.total;
            if (scores_wanted_)
                answer_.max_score = std::max(answer_.max_score.value_or(score), score);
            offer(part, document, score, keys);
        };
        if (!filter && !parts_[part].in_slice && stops_early(search_, *matcher)) {
            first_ones(impl, *matcher, visit);
        } else if (const DocumentList* candidates = matcher->candidates()) {
            auto next =
                std::upper_bound(candidates->begin(), candidates->end(), parts_[part].after);
            for (; next != candidates->end() && goes_on(); ++next)
                visit(*next);
        } else {
            Statement all =
                impl.db().query("SELECT seq_no FROM docs WHERE seq_no > ? ORDER BY seq_no");
            all.bind(parts_[part].after);
            while (goes_on() && all.step())
                visit(all.integer(0));
        }
    }

    /// In the part that is searched.
    bool goes_on() {
        if (search_.terminate_after > 0 && left_ > search_.terminate_after) return false;
        if (search_.deadline && looks_++ % kBetweenLooks == 0)
            answer_.timed_out = std::chrono::steady_clock::now() >= *search_.deadline;
        return !answer_.timed_out;
    }

    /// All have the same score, so that the first ones are the best ones, and the total is known.
    template <class Visit>
    void first_ones(IndexSnapshot::Impl& impl, const Matcher& matcher, const Visit& visit) {
        const DocumentList* candidates = matcher.candidates();
        const std::uint64_t total =
            answer_.total + (candidates != nullptr ? candidates->size() : impl.docs);
        // One at least, for the score.
        std::size_t left = std::max<std::size_t>(search_.size, 1);
        if (candidates != nullptr) {
            for (std::size_t i = 0; i < std::min(left, candidates->size()); ++i)
                visit((*candidates)[i]);
        } else {
            Statement all = impl.db().query("SELECT seq_no FROM docs ORDER BY seq_no");
            for (; left > 0 && all.step(); --left)
                visit(all.integer(0));
        }
        answer_.total = total;
    }

    PartKeys keys_of(const IndexSnapshot& snapshot) const {
        PartKeys keys{fields_of(snapshot), {}, std::nullopt};
        if (search_.after) keys.after.emplace();
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            const ValueType type = keys.fields[i].type;
            keys.missing.push_back(keys_[i].missing
                                       ? as_type(*keys_[i].missing, type, "missing", keys_[i])
                                       : SortValue());
            if (search_.after)
                keys.after->push_back(as_type((*search_.after)[i], type, "search_after", keys_[i]));
        }
        return keys;
    }

    /// Null stays null.
    static SortValue as_type(const SortValue& value, ValueType type, std::string_view option,
                             const SortKey& key) {
        SortValue made = sort_value(value, type);
        if (std::holds_alternative<std::monostate>(made) &&
            !std::holds_alternative<std::monostate>(value))
            throw QueryError("illegal_argument_exception",
                             "Failed to parse " + std::string(option) + " value for field [" +
                                 name_of(key) + "].");
        return made;
    }

    static std::string name_of(const SortKey& key) {
        if (key.kind == SortKey::Kind::score) return "_score";
        return key.kind == SortKey::Kind::document ? "_doc" : key.field;
    }

    /// Scores, orders of documents and names have types too.
    static ValueType type_without_field(const SortKey& key) {
        if (key.kind == SortKey::Kind::score) return ValueType::float_number;
        return key.kind == SortKey::Kind::document ? ValueType::long_number : ValueType::keyword;
    }

    std::vector<IndexSnapshot::FieldUse> fields_of(const IndexSnapshot& snapshot) const {
        std::vector<IndexSnapshot::FieldUse> fields;
        for (const SortKey& key : keys_) {
            IndexSnapshot::FieldUse& use = fields.emplace_back();
            if (key.kind != SortKey::Kind::field || key.field == "_id") {
                use.type = type_without_field(key);
                continue;
            }
            use = snapshot.field(key.field);
            if (!use.known && key.if_unmapped) {
                use.type = *key.if_unmapped;
            } else if (!use.known && snapshot.docs() > 0) {
                throw QueryError("query_shard_exception",
                                 "No mapping found for [" + key.field + "] in order to sort on");
            }
            if (use.type == ValueType::text)
                throw QueryError(
                    "illegal_argument_exception",
                    "Fielddata is disabled on [" + key.field + "] in [" + snapshot.index() +
                        "]. Text fields are not optimised for operations that require "
                        "per-document field data like aggregations and sorting, so these "
                        "operations are disabled by default. Please use a keyword field instead. "
                        "Alternatively, set fielddata=true on [" +
                        key.field +
                        "] in order to load field data by uninverting the inverted "
                        "index. Note that this can use significant memory.");
        }
        return fields;
    }

    /// Sum, average or median of a document's numbers; missing when it has none.
    static SortValue combined(DocumentView& document, const IndexSnapshot::FieldUse& use,
                              SortMode mode) {
        std::vector<SortValue> values;
        visit_values(document.source(), use.path, [&](document::Value leaf) {
            SortValue value = sort_value(leaf, use.type);
            if (std::holds_alternative<std::int64_t>(value) ||
                std::holds_alternative<double>(value))
                values.push_back(std::move(value));
            return false;
        });
        return combined_value(std::move(values), mode);
    }

    SortValue value_of(const SortKey& key, const IndexSnapshot::FieldUse& use, std::size_t part,
                       DocumentView& document, double score) const {
        if (key.kind == SortKey::Kind::score) return score;
        if (key.kind == SortKey::Kind::document)
            return static_cast<std::int64_t>(part << kPartShift) + document.seq_no();
        if (key.field == "_id") return document.id();
        const SortMode mode =
            key.mode.value_or(key.descending ? SortMode::largest : SortMode::least);
        if (mode != SortMode::least && mode != SortMode::largest)
            return combined(document, use, mode);
        const bool largest = mode == SortMode::largest;
        SortValue chosen;
        visit_values(document.source(), use.path, [&](document::Value leaf) {
            SortValue value = sort_value(leaf, use.type);
            if (std::holds_alternative<std::monostate>(value)) return false;
            const bool first = std::holds_alternative<std::monostate>(chosen);
            const auto order = compare(value, chosen);
            if (first || (largest ? std::is_gt(order) : std::is_lt(order)))
                chosen = std::move(value);
            return false;
        });
        return chosen;
    }

    /// Negative: `a` goes before `b`.
    int order(const std::vector<SortValue>& a, const std::vector<SortValue>& b) const {
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            const bool no_a = std::holds_alternative<std::monostate>(a[i]);
            const bool no_b = std::holds_alternative<std::monostate>(b[i]);
            if (no_a && no_b) continue;
            if (no_a || no_b) return no_a == keys_[i].missing_first ? -1 : 1;
            const auto one = compare(a[i], b[i]);
            if (std::is_neq(one)) return std::is_lt(one) != keys_[i].descending ? -1 : 1;
        }
        return 0;
    }

    bool before(const FoundDocument& a, const FoundDocument& b) const {
        if (by_score_) {
            if (a.score != b.score) return a.score > b.score;
        } else if (!in_order_) {
            const int first = order(a.sort, b.sort);
            if (first != 0) return first < 0;
        }
        return a.part != b.part ? a.part < b.part : a.seq_no < b.seq_no;
    }

    void offer(std::size_t part, DocumentView& document, double score, const PartKeys& keys) {
        if (search_.size == 0) return;
        FoundDocument found{part, document.seq_no(), score, {}};
        if (!by_score_ && !in_order_) {
            found.sort.reserve(keys_.size());
            for (std::size_t i = 0; i < keys_.size(); ++i) {
                SortValue value = value_of(keys_[i], keys.fields[i], part, document, score);
                const bool missing = std::holds_alternative<std::monostate>(value);
                found.sort.push_back(missing ? keys.missing[i] : std::move(value));
            }
            if (keys.after && order(found.sort, *keys.after) <= 0) return;
        }
        if (best_.size() == search_.size) {
            if (!before(found, best_.front())) return;
            std::pop_heap(best_.begin(), best_.end(), goes_before());
            bytes_ -= bytes_of(best_.back());
            best_.pop_back();
        }
        bytes_ += bytes_of(found);
        best_.push_back(std::move(found));
        std::push_heap(best_.begin(), best_.end(), goes_before());
        if (search_.on_memory && bytes_ >= reported_ + kBetweenReports)
            search_.on_memory(reported_ = bytes_);
    }

    std::span<const SearchPart> parts_;
    const DocumentSearch& search_;
    std::vector<SortKey> keys_;
    bool by_score_ = true;
    bool in_order_ = false;  ///< of the documents, which needs no values to compare
    bool scores_wanted_ = false;
    std::vector<std::vector<std::vector<Scored>>> neighbours_;  ///< by knn clause, by part
    std::vector<FoundDocument> best_;                           ///< a heap, the worst in front
    std::size_t bytes_ = 0;                                     ///< of `best_`
    std::size_t reported_ = 0;
    std::uint64_t looks_ = 0;
    std::size_t left_ = 0;  ///< to be found until `terminate_after`; wraps when it is passed
    std::set<std::size_t> failed_;  ///< parts
    bool begun_ = false;            ///< documents of the part were looked at
    bool spoiled_ = false;
    FoundDocuments answer_;
};

}  // namespace

const Neighbours::Document* Neighbours::find(std::size_t part, std::int64_t seq_no) const {
    const Document wanted{part, seq_no};
    const auto at =
        std::lower_bound(documents.begin(), documents.end(), wanted, goes_before_neighbour);
    const bool found = at != documents.end() && at->part == part && at->seq_no == seq_no;
    return found ? &*at : nullptr;
}

std::size_t bytes_of(const FoundDocument& document) {
    std::size_t bytes = sizeof(document) + document.sort.capacity() * sizeof(SortValue);
    for (const SortValue& value : document.sort) {
        if (const auto* text = std::get_if<std::string>(&value)) bytes += text->capacity();
    }
    return bytes;
}

FoundDocuments search_documents(std::span<const SearchPart> parts, const DocumentSearch& search) {
    return DocumentSearcher(parts, search).run();
}

}  // namespace penstock::io
