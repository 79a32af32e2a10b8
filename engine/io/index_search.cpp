#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <set>
#include <unordered_map>
#include <utility>

#include "engine/io/index_impl.h"
#include "engine/io/json_text.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

constexpr std::size_t kMinWindow = 50;
constexpr std::size_t kMaxWords = 500;
constexpr std::size_t kExcerptBytes = 300;

/// A document in one ranking, with the row that brought it there.
struct Ranked {
    std::int64_t seq_no = 0;
    double score = 0;
    const Field* field = nullptr;
    std::int64_t key = 0;
};

using Ranking = std::vector<Ranked>;

void order(Ranking& ranking, std::size_t window) {
    std::sort(ranking.begin(), ranking.end(), [](const Ranked& a, const Ranked& b) {
        return a.score != b.score ? a.score > b.score : a.seq_no < b.seq_no;
    });
    if (ranking.size() > window) ranking.resize(window);
}

/// The words of a text as an FTS5 expression. Everything is quoted, so no character has a meaning
/// in it.
std::string match_expression(const TextQuery& query) {
    std::string expression;
    std::set<std::string> seen;
    std::string word;
    const auto finish = [&] {
        if (!word.empty() && seen.size() < kMaxWords && seen.insert(word).second) {
            if (!expression.empty()) expression += query.all_words ? " AND " : " OR ";
            expression += '"' + word + '"';
        }
        word.clear();
    };
    for (const char c : query.text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x80 || std::isalnum(byte) != 0) {
            word.push_back(c);
        } else {
            finish();
        }
    }
    finish();
    return expression;
}

class Search {
  public:
    Search(Database& db, const SearchRequest& request,
           const std::function<VectorCache&(const Field&)>& cache, const std::string& index)
        : db_(db),
          request_(request),
          cache_(cache),
          index_(index),
          fields_(read_fields(db)),
          window_(std::max({request.rank_window_size, request.from + request.size,
                            request.rank_window_size == 0 ? kMinWindow : 0})) {}

    SearchAnswer run() {
        Ranking text;
        Ranking vector;
        if (request_.text) text = text_ranking(*request_.text);
        if (request_.vector) vector = vector_ranking(*request_.vector);
        join(text, vector);
        std::sort(joined_.begin(), joined_.end(), [](const Joined& a, const Joined& b) {
            return a.hit.score != b.hit.score ? a.hit.score > b.hit.score : a.seq_no < b.seq_no;
        });
        SearchAnswer answer;
        for (std::size_t i = request_.from;
             i < joined_.size() && answer.hits.size() < request_.size; ++i) {
            auto document = read_document(db_, joined_[i].seq_no, request_.vectors_in_source);
            if (!document) {
                answer.stale = true;
                continue;
            }
            Hit hit = std::move(joined_[i].hit);
            hit.document = std::move(*document);
            hit.passage = joined_[i].vector.field != nullptr
                              ? vector_passage(joined_[i].vector, hit.document)
                              : text_passage(joined_[i].text, hit.document);
            answer.hits.push_back(std::move(hit));
        }
        return answer;
    }

  private:
    struct Joined {
        std::int64_t seq_no = 0;
        Hit hit;
        Ranked text;
        Ranked vector;
    };

    void join(const Ranking& text, const Ranking& vector) {
        const bool fuse = request_.text && request_.vector;
        std::unordered_map<std::int64_t, std::size_t> place;
        const auto entry = [&](std::int64_t seq_no) -> Joined& {
            const auto [found, added] = place.try_emplace(seq_no, joined_.size());
            if (added) joined_.emplace_back().seq_no = seq_no;
            return joined_[found->second];
        };
        const auto points = [&](const Ranked& ranked, std::size_t rank) {
            return fuse ? 1.0 / static_cast<double>(request_.rank_constant + rank) : ranked.score;
        };
        for (std::size_t i = 0; i < text.size(); ++i) {
            Joined& joined = entry(text[i].seq_no);
            joined.text = text[i];
            joined.hit.text_rank = i + 1;
            joined.hit.score += points(text[i], i + 1);
        }
        for (std::size_t i = 0; i < vector.size(); ++i) {
            Joined& joined = entry(vector[i].seq_no);
            joined.vector = vector[i];
            joined.hit.vector_rank = i + 1;
            joined.hit.score += points(vector[i], i + 1);
        }
    }

    /// A document's score is that of its best field (as multi_match with best_fields), a field's
    /// that of its best row.
    Ranking text_ranking(const TextQuery& query) {
        expression_ = match_expression(query);
        if (expression_.empty()) return {};
        for (const std::string& wanted : query.fields) {
            const bool known = std::any_of(fields_.begin(), fields_.end(), [&](const Field& field) {
                return field.path == wanted;
            });
            if (!known) throw Error("index " + index_ + " has no text field [" + wanted + "]");
        }
        std::unordered_map<std::int64_t, Ranked> best;
        for (const Field& field : fields_) {
            const bool wanted = query.fields.empty() ||
                                std::find(query.fields.begin(), query.fields.end(), field.path) !=
                                    query.fields.end();
            if (wanted && field.type == FieldType::text && field.rows > 0)
                best_of_field(field, best);
        }
        Ranking ranking;
        ranking.reserve(best.size());
        for (const auto& [seq_no, ranked] : best)
            ranking.push_back(ranked);
        order(ranking, window_);
        return ranking;
    }

    void best_of_field(const Field& field, std::unordered_map<std::int64_t, Ranked>& best) {
        // Several rows of one document may crowd the first answer; then ask for more.
        for (std::size_t limit = window_ * 2;; limit *= 4) {
            Statement query = db_.query("SELECT rowid, rank FROM " + field.table() + " WHERE " +
                                        field.table() + " MATCH ? ORDER BY rank LIMIT ?");
            query.bind(expression_).bind(static_cast<std::int64_t>(limit));
            std::set<std::int64_t> documents;
            std::size_t rows = 0;
            for (; query.step(); ++rows) {
                const std::int64_t key = query.integer(0);
                const Ranked ranked{seq_no_of(key), -query.real(1), &field, key};
                documents.insert(ranked.seq_no);
                const auto [found, added] = best.try_emplace(ranked.seq_no, ranked);
                if (!added && ranked.score > found->second.score) found->second = ranked;
            }
            if (rows < limit || documents.size() >= window_) return;
        }
    }

    const Field& vector_field(const VectorQuery& query) {
        const Field* found = nullptr;
        std::string names;
        for (const Field& field : fields_) {
            if (field.type != FieldType::vector) continue;
            names += (names.empty() ? "" : ", ") + field.path;
            if (field.path == query.field) return field;
            if (query.field.empty() && found != nullptr) found = &ambiguous_;
            if (query.field.empty() && found == nullptr) found = &field;
        }
        if (names.empty()) throw Error("index " + index_ + " holds no vectors");
        if (!query.field.empty()) {
            throw Error("index " + index_ + " has no vector field [" + query.field +
                        "]; it has: " + names);
        }
        if (found == &ambiguous_)
            throw Error("index " + index_ + " has several vector fields; name one of: " + names);
        return *found;
    }

    Ranking vector_ranking(const VectorQuery& query) {
        const Field& field = vector_field(query);
        if (field.dims == 0) return {};  // mapped, but nothing there yet
        if (query.vector.size() != field.dims) {
            throw Error("the query vector has " + std::to_string(query.vector.size()) +
                        " dimensions, but the field [" + field.path + "] of index " + index_ +
                        " has " + std::to_string(field.dims) + "; was another model used?");
        }
        const bool zero =
            std::all_of(query.vector.begin(), query.vector.end(), [](float x) { return x == 0; });
        const bool finite = std::all_of(query.vector.begin(), query.vector.end(),
                                        [](float x) { return std::isfinite(x); });
        if (!finite || (zero && field.similarity == Similarity::cosine)) {
            throw Error("the query vector for field [" + field.path + "] is " +
                        (finite ? "zero, which has no direction" : "not finite"));
        }
        VectorCache& cache = cache_(field);
        Ranking ranking;
        for (std::size_t count = window_ * 2;; count *= 4) {
            const std::vector<Neighbour> found =
                cache.nearest(db_, query.vector, count,
                              std::max<std::size_t>(query.num_candidates, 100), query.exact);
            ranking.clear();
            std::set<std::int64_t> seen;
            for (const Neighbour& one : found) {
                const std::int64_t seq_no = seq_no_of(one.key);
                if (seen.insert(seq_no).second)
                    ranking.push_back({seq_no, one.score, &field, one.key});
            }
            if (found.size() < count || ranking.size() >= window_) break;
        }
        order(ranking, window_);
        return ranking;
    }

    static void place(Passage& passage, const std::string& source) {
        const std::size_t slash = passage.pointer.rfind('/');
        if (slash == std::string::npos) return;
        const char* end = passage.pointer.data() + passage.pointer.size();
        std::from_chars(passage.pointer.data() + slash + 1, end, passage.index);
        passage.object = at_pointer(source, passage.pointer);
    }

    Passage vector_passage(const Ranked& ranked, const StoredDocument& document) {
        Passage passage;
        passage.field = ranked.field->path;
        {
            Statement query =
                db_.query("SELECT at FROM " + ranked.field->table() + " WHERE key = ?");
            query.bind(ranked.key);
            if (query.step()) passage.pointer = query.text(0);
        }
        place(passage, document.source);
        passage.text = best_text(passage.pointer.empty() ? document.source : passage.object);
        if (passage.pointer.empty() && passage.text.size() > kExcerptBytes) {
            std::size_t end = kExcerptBytes;
            while (end > 0 && (static_cast<unsigned char>(passage.text[end]) & 0xC0U) == 0x80U)
                --end;
            passage.text.resize(end);
            passage.text += "…";
        }
        return passage;
    }

    Passage text_passage(const Ranked& ranked, const StoredDocument& document) {
        Passage passage;
        passage.field = ranked.field->path;
        {
            const std::string& table = ranked.field->table();
            Statement query =
                db_.query("SELECT snippet(" + table + ", 0, '', '', '…', 40), at FROM " + table +
                          " WHERE " + table + " MATCH ? AND rowid = ?");
            query.bind(expression_).bind(ranked.key);
            if (query.step()) {
                passage.text = query.text(0);
                passage.pointer = query.text(1);
            }
        }
        place(passage, document.source);
        return passage;
    }

    Database& db_;
    const SearchRequest& request_;
    const std::function<VectorCache&(const Field&)>& cache_;
    const std::string& index_;
    std::vector<Field> fields_;
    std::size_t window_;
    std::string expression_;
    std::vector<Joined> joined_;
    Field ambiguous_;
};

}  // namespace

SearchAnswer run_search(Database& db, const SearchRequest& request,
                        const std::function<VectorCache&(const Field&)>& cache,
                        const std::string& index_name) {
    const Transaction snapshot(db, Transaction::Kind::read);
    return Search(db, request, cache, index_name).run();
}

}  // namespace penstock::io
