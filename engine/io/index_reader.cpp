// Reading what is stored: fields, documents, and whole indices as a source.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "engine/io/index_impl.h"
#include "engine/io/json_text.h"
#include "engine/io/query_node.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

/// Puts the vectors back where they were cut out.
std::string complete(Database& db, const std::vector<Field>& fields, std::int64_t seq_no,
                     std::string_view stripped) {
    struct Piece {
        std::int64_t cut;
        std::size_t at;
        std::string text;
    };
    std::vector<Piece> pieces;
    for (const Field& field : fields) {
        if (field.type != FieldType::vector) continue;
        Statement query = db.query("SELECT cut, cut_at, style, prefix, suffix, data FROM " +
                                   field.table() + " WHERE key BETWEEN ? AND ? AND cut_at >= 0");
        query.bind(row_key(seq_no, 0)).bind(row_key(seq_no + 1, 0) - 1);
        while (query.step()) {
            const std::string_view data = query.text(5);
            std::vector<float> values(data.size() / sizeof(float));
            std::memcpy(values.data(), data.data(), values.size() * sizeof(float));
            std::string text(query.text(3));
            text += render_vector(values, static_cast<int>(query.integer(2)));
            text += query.text(4);
            pieces.push_back(
                {query.integer(0), static_cast<std::size_t>(query.integer(1)), std::move(text)});
        }
    }
    std::sort(pieces.begin(), pieces.end(),
              [](const Piece& a, const Piece& b) { return a.cut < b.cut; });
    std::string source;
    std::size_t copied = 0;
    for (const Piece& piece : pieces) {
        source.append(stripped.substr(copied, piece.at - copied));
        source += piece.text;
        copied = piece.at;
    }
    source.append(stripped.substr(copied));
    return source;
}

/// Columns: seq_no, id, version, routing, cuts, source. `source` is that text with its vectors, or
/// as it is stored.
StoredDocument to_document(const Statement& row, std::string source) {
    StoredDocument document;
    document.seq_no = row.integer(0);
    document.id = row.text(1);
    document.version = row.integer(2);
    document.routing = row.text(3);
    document.source = std::move(source);
    return document;
}

bool has_cuts(const Statement& row) {
    return row.integer(4) > 0;
}

StoredDocument to_document(Database& db, const Statement& row, bool with_vectors) {
    return to_document(row, with_vectors && has_cuts(row)
                                ? complete(db, read_fields(db), row.integer(0), row.text(5))
                                : std::string(row.text(5)));
}

class IndexSource final : public Source {
  public:
    /// The first reading takes the snapshot; until take_slice() there is nothing to read.
    explicit IndexSource(std::shared_ptr<Index> index)
        : index_(std::move(index)),
          db_(index_->file(), index_->name(), Database::Mode::read),
          snapshot_(db_, Transaction::Kind::read),
          created_(read_text(db_, "created")),
          fields_(read_fields(db_)) {}

    /// The numbers of the documents that match: 8 bytes each.
    std::shared_ptr<const DocumentList> select(const Query& query) {
        const FieldTypes types(read_fields(db_),
                               read_text(db_, std::string(kAttribute) + "mappings"),
                               read_number(db_, "all_fields") == 1);
        const Preparation preparation{db_, types, *index_,
                                      static_cast<std::uint64_t>(read_number(db_, "docs")), false};
        return std::make_shared<const DocumentList>(
            matching(*query.root().prepare(preparation), db_));
    }

    /// Of the documents in `selected`, or of all when it is null.
    void take_slice(std::size_t slice, std::size_t count,
                    std::shared_ptr<const DocumentList> selected) {
        selected_ = std::move(selected);
        const std::int64_t end = read_number(db_, "next_seq_no");
        const auto bound = [&](std::size_t i) {
            return static_cast<std::int64_t>(static_cast<__int128>(end) *
                                             static_cast<std::int64_t>(i) /
                                             static_cast<std::int64_t>(count)) -
                   1;
        };
        after_ = bound(slice);
        until_ = slice + 1 < count ? bound(slice + 1) : INT64_MAX;
        total_ = count_rows();
    }

    bool read(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) override {
        out.clear();
        out.origins.push_back("index:" + index_->name());
        if (selected_) {
            read_selected(out, std::max<std::size_t>(max_records, 1), max_bytes);
        } else {
            read_all(out, max_records, max_bytes);
        }
        done_ += out.records.size();
        out.end_position = position();
        return !out.records.empty();
    }

    std::string position() const override {
        std::string json = "{";
        append_member(json, "kind", "index");
        append_member(json, "index", index_->name());
        append_member(json, "created", created_);
        append_member(json, "after", after_);
        append_member(json, "until", until_);
        append_member(json, "records", static_cast<std::int64_t>(done_));
        finish_object(json);
        return json;
    }

    void seek(std::string_view position) override {
        const auto saved = parse_flat(position);
        const auto member = [&](const char* name) {
            return saved && saved->contains(name) ? saved->at(name) : "";
        };
        if (member("kind") != "index" || member("index") != index_->name()) {
            throw Error("cannot resume: the saved position does not belong to index " +
                        index_->name());
        }
        if (member("created") != created_) {
            throw Error("cannot resume: index " + index_->name() +
                        " was deleted and made again; start anew");
        }
        const auto number = [&](const char* name) {
            const std::string digits = member(name);
            std::int64_t value = 0;
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
            return value;
        };
        after_ = number("after");
        until_ = number("until");
        done_ = static_cast<std::uint64_t>(number("records"));
        total_ = done_ + count_rows();
    }

    Progress progress() const override {
        Progress progress;
        progress.records_read = done_;
        progress.records_total = total_;
        return progress;
    }

  private:
    void read_selected(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) {
        auto next = std::upper_bound(selected_->begin(), selected_->end(), after_);
        for (; next != selected_->end() && *next <= until_ && out.records.size() < max_records &&
               (out.records.empty() || out.buffer.size() < max_bytes);
             ++next) {
            Statement query = db_.query(
                "SELECT seq_no, id, version, routing, cuts, source FROM docs WHERE seq_no = ?");
            query.bind(*next);
            if (query.step()) append(query, out);
        }
    }

    void read_all(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) {
        Statement query = db_.query(
            "SELECT seq_no, id, version, routing, cuts, source FROM docs WHERE seq_no > ? AND "
            "seq_no <= ? "
            "ORDER BY seq_no LIMIT ?");
        query.bind(after_).bind(until_).bind(
            static_cast<std::int64_t>(std::max<std::size_t>(max_records, 1)));
        while ((out.records.empty() || out.buffer.size() < max_bytes) && query.step()) {
            append(query, out);
        }
    }

    void append(const Statement& row, RecordBatch& out) {
        StoredDocument document =
            to_document(row, has_cuts(row) ? complete(db_, fields_, row.integer(0), row.text(5))
                                           : std::string(row.text(5)));
        Record& record = out.records.emplace_back();
        record.begin = out.buffer.size();
        record.size = document.source.size();
        record.offset = static_cast<std::uint64_t>(document.seq_no);
        record.version = document.version;
        record.id = std::move(document.id);
        record.index = index_->name();
        record.routing = std::move(document.routing);
        out.buffer += document.source;
        after_ = document.seq_no;
    }

    std::uint64_t count_rows() {
        if (selected_) {
            const auto after = std::upper_bound(selected_->begin(), selected_->end(), after_);
            const auto until = std::upper_bound(after, selected_->end(), until_);
            return static_cast<std::uint64_t>(until - after);
        }
        // The index on ids is small; the table itself holds the sources.
        Statement query = db_.query(
            "SELECT count(*) FROM docs INDEXED BY docs_id WHERE id >= '' AND seq_no > ? AND seq_no "
            "<= ?");
        query.bind(after_).bind(until_).step();
        return static_cast<std::uint64_t>(query.integer(0));
    }

    std::shared_ptr<Index> index_;
    std::shared_ptr<const DocumentList> selected_;
    Database db_;
    Transaction snapshot_;
    std::string created_;
    std::vector<Field> fields_;
    std::int64_t after_ = -1;
    std::int64_t until_ = -1;
    std::uint64_t done_ = 0;
    std::uint64_t total_ = 0;
};

/// As IndexWriter writes them; a date is a text.
constexpr std::array<std::pair<std::string_view, FieldType>, 5> kTypes = {{
    {"text", FieldType::text},
    {"dense_vector", FieldType::vector},
    {"long", FieldType::long_number},
    {"float", FieldType::float_number},
    {"boolean", FieldType::boolean},
}};

void read_type(std::string_view name, Field& field) {
    field.is_date = name == "date";
    if (field.is_date) field.type = FieldType::text;
    for (const auto& [known, type] : kTypes) {
        if (known == name) field.type = type;
    }
}

}  // namespace

std::string_view Field::type_name() const {
    if (is_date) return "date";
    for (const auto& [name, known] : kTypes) {
        if (known == type) return name;
    }
    return "text";
}

std::map<std::string, std::string> read_attributes(Database& db) {
    std::map<std::string, std::string> attributes;
    const std::string_view prefix = kAttribute;
    Statement query = db.query("SELECT key, value FROM meta WHERE key GLOB 'attribute.*'");
    while (query.step())
        attributes.emplace(query.text(0).substr(prefix.size()), query.text(1));
    return attributes;
}

std::vector<Field> read_fields(Database& db) {
    std::vector<Field> fields;
    Statement query =
        db.query("SELECT id, path, type, dims, similarity, rows FROM fields ORDER BY id");
    while (query.step()) {
        Field& field = fields.emplace_back();
        field.id = query.integer(0);
        field.path = query.text(1);
        read_type(query.text(2), field);
        field.dims = static_cast<std::size_t>(query.integer(3));
        field.similarity = similarity_from_name(query.text(4)).value_or(Similarity::cosine);
        field.rows = query.integer(5);
    }
    return fields;
}

std::int64_t read_number(Database& db, std::string_view key) {
    Statement query = db.query("SELECT value FROM meta WHERE key = ?");
    query.bind(key);
    return query.step() ? query.integer(0) : 0;
}

std::string read_text(Database& db, std::string_view key) {
    Statement query = db.query("SELECT value FROM meta WHERE key = ?");
    query.bind(key);
    return query.step() ? std::string(query.text(0)) : std::string();
}

std::optional<StoredDocument> read_document(Database& db, std::string_view id, bool with_vectors) {
    Statement query =
        db.query("SELECT seq_no, id, version, routing, cuts, source FROM docs WHERE id = ?");
    query.bind(id);
    if (!query.step()) return std::nullopt;
    return to_document(db, query, with_vectors);
}

std::optional<StoredDocument> read_document(Database& db, std::int64_t seq_no, bool with_vectors) {
    Statement query =
        db.query("SELECT seq_no, id, version, routing, cuts, source FROM docs WHERE seq_no = ?");
    query.bind(seq_no);
    if (!query.step()) return std::nullopt;
    return to_document(db, query, with_vectors);
}

std::vector<std::unique_ptr<Source>> make_index_sources(const std::shared_ptr<Index>& index,
                                                        std::size_t count,
                                                        const std::shared_ptr<const Query>& query) {
    std::vector<std::unique_ptr<IndexSource>> slices;
    {
        // A write between two openings would move a document from a range that is still to be
        // opened to one that is open already, or the other way round.
        std::optional<Index::WriteGate> gate;
        if (count > 1) gate.emplace(*index);
        while (slices.size() < count)
            slices.push_back(std::make_unique<IndexSource>(index));
    }
    const auto selected = query ? slices.front()->select(*query) : nullptr;
    for (std::size_t i = 0; i < count; ++i)
        slices[i]->take_slice(i, count, selected);
    return {std::make_move_iterator(slices.begin()), std::make_move_iterator(slices.end())};
}

}  // namespace penstock::io
