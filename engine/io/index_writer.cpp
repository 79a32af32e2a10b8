#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <random>
#include <utility>

#include "engine/io/date_math.h"
#include "engine/io/index_impl.h"
#include "engine/io/json_text.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

/// 1: ideographs are not words of their own. Else the same.
constexpr std::int64_t kOldestFormat = 1;
constexpr std::int64_t kFormat = 2;
constexpr std::size_t kMaxIdBytes = 512;
constexpr std::size_t kMaxFields = 1000;
constexpr std::int64_t kKeptLog = 200'000;
constexpr std::int64_t kPrimaryTerm = 1;

constexpr const char* kTables = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE docs(seq_no INTEGER PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL, routing TEXT,
                  cuts INTEGER NOT NULL, source BLOB NOT NULL);
CREATE UNIQUE INDEX docs_id ON docs(id);
CREATE TABLE fields(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, type TEXT NOT NULL, dims INTEGER NOT NULL,
                    similarity TEXT NOT NULL, rows INTEGER NOT NULL);
CREATE TABLE vector_log(n INTEGER PRIMARY KEY, field INTEGER NOT NULL, key INTEGER NOT NULL);
)sql";

/// All fields of an index have the same words, those of the format it was made with.
std::string tokenizer_of(std::string_view analyzer, std::int64_t format) {
    std::string tokenizer = format == kOldestFormat ? "" : "ideographs ";
    if (analyzer == "english") tokenizer += "porter ";
    return tokenizer + "unicode61 remove_diacritics 2";
}

void create_table(Database& db, const Field& field, std::string_view analyzer) {
    if (field.is_scalar()) return;
    if (field.type == FieldType::text) {
        db.execute("CREATE VIRTUAL TABLE " + field.table() +
                   " USING fts5(body, at UNINDEXED, tokenize='" +
                   tokenizer_of(analyzer, read_number(db, "format")) + "')");
    } else {
        db.execute("CREATE TABLE " + field.table() +
                   "(key INTEGER PRIMARY KEY, at TEXT NOT NULL, cut INTEGER NOT NULL, cut_at "
                   "INTEGER NOT NULL, "
                   "style INTEGER NOT NULL, prefix TEXT NOT NULL, suffix TEXT NOT NULL, data BLOB "
                   "NOT NULL)");
    }
}

/// Makes the field known, with its table; replaces what was known of it.
void create_field(Database& db, const Field& field, std::string_view analyzer) {
    create_table(db, field, analyzer);
    db.query(
          "INSERT OR REPLACE INTO fields(id, path, type, dims, similarity, rows) VALUES(?, ?, ?, "
          "?, ?, 0)")
        .bind(field.id)
        .bind(field.path)
        .bind(field.type_name())
        .bind(static_cast<std::int64_t>(field.dims))
        .bind(similarity_name(field.similarity))
        .run();
}

void set_number(Database& db, std::string_view key, std::int64_t value) {
    db.query("INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)").bind(key).bind(value).run();
}

void set_text(Database& db, std::string_view key, std::string_view value) {
    db.query("INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)").bind(key).bind(value).run();
}

std::string random_id() {
    std::random_device device;
    std::array<std::uint32_t, 4> words{};
    for (std::uint32_t& word : words)
        word = device();
    return base64({reinterpret_cast<const char*>(words.data()), sizeof words}, true);
}

bool refuse(ItemResult& result, int status, const char* type, std::string reason) {
    result.status = status;
    result.error_type = type;
    result.error_reason = std::move(reason);
    return true;
}

bool refuse_document(ItemResult& result, std::string reason) {
    return refuse(result, 400, "document_parsing_exception", std::move(reason));
}

bool refuse_version(ItemResult& result, const std::string& reason) {
    return refuse(result, 409, "version_conflict_engine_exception",
                  "[" + result.id + "]: version conflict, " + reason);
}

}  // namespace

void IndexWriter::create(const std::string& file, const std::string& name,
                         const IndexSettings& settings) {
    if (settings.analyzer != "standard" && settings.analyzer != "english") {
        throw Error("index " + name + ": unknown analyzer [" + settings.analyzer +
                    "]; known: standard, english");
    }
    Database db(file, name, Database::Mode::create);
    Transaction transaction(db, Transaction::Kind::write);
    db.execute(kTables);
    set_number(db, "format", kFormat);
    set_number(db, "next_seq_no", 0);
    set_number(db, "docs", 0);
    set_text(db, "created", timestamp_now());
    set_text(db, "analyzer", settings.analyzer);
    set_number(db, "all_fields", 1);
    std::int64_t id = 0;
    for (const VectorMapping& mapping : settings.vectors) {
        if (mapping.field.empty() || mapping.dims > kMaxDims) {
            throw Error("index " + name + ": the vector field [" + mapping.field +
                        "] must have a name and at most " + std::to_string(kMaxDims) +
                        " dimensions, not " + std::to_string(mapping.dims));
        }
        create_field(db, {++id, mapping.field, FieldType::vector, mapping.dims, mapping.similarity},
                     "");
    }
    for (const auto& [key, value] : settings.attributes)
        set_text(db, kAttribute + key, value);
    transaction.commit();
}

namespace {

/// A file that was cut short is an empty database.
void check_tables(Database& db, const std::string& name) {
    Statement query = db.query("SELECT 1 FROM sqlite_master WHERE name = 'meta'");
    if (!query.step())
        throw StorageError("the files of index " + name +
                           " are damaged (they hold nothing); restore them from a copy, or delete "
                           "the index and build it again");
}

}  // namespace

IndexWriter::IndexWriter(const std::string& file, const std::string& name, bool survive_power_loss)
    : db_(file, name, Database::Mode::write) {
    check_tables(db_, name);
    db_.execute(survive_power_loss ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    const std::int64_t format = read_number(db_, "format");
    if (format < kOldestFormat || format > kFormat) {
        throw StorageError("index " + name + " has the format " + std::to_string(format) +
                           ", this program knows " + std::to_string(kOldestFormat) + " to " +
                           std::to_string(kFormat) +
                           "; use the program that made it, or index again");
    }
}

/// What this object remembers is good as long as no other process has written.
void IndexWriter::load() {
    std::int64_t version = 0;
    {
        Statement query = db_.query("PRAGMA data_version");
        query.step();
        version = query.integer(0);
    }
    if (version == data_version_) return;
    fields_.clear();
    for (Field& field : read_fields(db_))
        fields_.emplace(field.path, field);
    const std::string mappings = read_text(db_, std::string(kAttribute) + "mappings");
    mapped_ = MappedFields(mappings);
    values_ = MappedValues(mappings, read_text(db_, std::string(kAttribute) + "settings"));
    analyzer_ = read_text(db_, "analyzer");
    next_seq_no_ = read_number(db_, "next_seq_no");
    docs_ = read_number(db_, "docs");
    lists_all_fields_ = read_number(db_, "all_fields") == 1;
    Statement log = db_.query("SELECT coalesce(max(n), 0) + 1 FROM vector_log");
    log.step();
    next_log_ = log.integer(0);
    data_version_ = version;
}

void IndexWriter::bulk(std::span<const WriteItem* const> items,
                       std::span<ItemResult* const> results) {
    try {
        Transaction transaction(db_, Transaction::Kind::write);
        load();
        for (std::size_t i = 0; i < items.size(); ++i) {
            *results[i] = ItemResult{};
            write_item(*items[i], *results[i]);
        }
        set_number(db_, "next_seq_no", next_seq_no_);
        set_number(db_, "docs", docs_);
        for (auto& [path, field] : fields_) {
            if (!std::exchange(field.changed, false)) continue;
            db_.query("UPDATE fields SET type = ?, rows = ?, dims = ? WHERE id = ?")
                .bind(field.type_name())
                .bind(field.rows)
                .bind(static_cast<std::int64_t>(field.dims))
                .bind(field.id)
                .run();
        }
        db_.query("DELETE FROM vector_log WHERE n < ?").bind(next_log_ - kKeptLog).run();
        transaction.commit();
    } catch (...) {
        data_version_ = -1;  // rolled back: read everything again
        throw;
    }
}

void IndexWriter::merge_text() {
    Transaction transaction(db_, Transaction::Kind::write);
    load();
    for (const auto& [path, field] : fields_) {
        if (field.type != FieldType::text) continue;
        db_.execute("INSERT INTO " + field.table() + "(" + field.table() + ") VALUES('optimize')");
    }
    transaction.commit();
    db_.execute("PRAGMA optimize; PRAGMA wal_checkpoint(PASSIVE)");
}

std::size_t IndexWriter::log_bytes() {
    // Busy or not, frames in the log, and how many of them are in the file.
    Statement checkpoint = db_.query("PRAGMA wal_checkpoint(PASSIVE)");
    if (!checkpoint.step()) return 0;
    constexpr std::int64_t frame = 16'384 + 24;
    return static_cast<std::size_t>(std::max<std::int64_t>(checkpoint.integer(1), 0) * frame);
}

void IndexWriter::set_attributes(const std::map<std::string, std::string>& attributes) {
    Transaction transaction(db_, Transaction::Kind::write);
    for (const auto& [key, value] : attributes)
        set_text(db_, kAttribute + key, value);
    transaction.commit();
    data_version_ = -1;  // there may be new mappings among them
}

void IndexWriter::add_vector_field(const VectorMapping& mapping) {
    if (mapping.field.empty() || mapping.dims > kMaxDims)
        throw Error("the vector field [" + mapping.field + "] must have at most " +
                    std::to_string(kMaxDims) + " dimensions");
    try {
        Transaction transaction(db_, Transaction::Kind::write);
        load();
        const auto known = fields_.find(mapping.field);
        if (known != fields_.end() && !known->second.is_scalar()) {
            const Field& field = known->second;
            const bool same = field.type == FieldType::vector &&
                              (field.dims == mapping.dims || mapping.dims == 0) &&
                              field.similarity == mapping.similarity;
            if (same) return;
            throw Error("mapper [" + mapping.field +
                        "] cannot be changed: it holds other vectors, or text");
        }
        Field& made = field(mapping.field, FieldType::vector, mapping.dims);
        made.similarity = mapping.similarity;
        db_.query("UPDATE fields SET similarity = ? WHERE id = ?")
            .bind(similarity_name(made.similarity))
            .bind(made.id)
            .run();
        transaction.commit();
    } catch (...) {
        data_version_ = -1;
        throw;
    }
}

void IndexWriter::write_item(const WriteItem& item, ItemResult& result) {
    result.id = item.id.empty() ? random_id() : std::string(item.id);
    if (result.id.size() > kMaxIdBytes) {
        refuse(result, 400, "illegal_argument_exception",
               "id is too long, must be no longer than 512 bytes but was: " +
                   std::to_string(result.id.size()));
        return;
    }
    find_current(result.id);
    if (refuse_conflict(item, result)) return;
    const std::int64_t next_version = current_.exists ? current_.version + 1 : 1;
    const std::int64_t version =
        item.version_type == VersionType::internal ? next_version : item.version;
    if (item.op == WriteOp::remove) {
        result.status = current_.exists ? 200 : 404;
        result.result = current_.exists ? "deleted" : "not_found";
        if (current_.exists) erase_current();
    } else {
        FieldRules rules{[&](const std::string& path) { return type_of(path); }, {}};
        if (mapped_.has_rules())
            rules.treat = [&](const std::string& path) { return mapped_.treat(path); };
        const Extracted extracted = extract(item.source, rules);
        if (refuse_source(extracted, result) || refuse_values(item, result) ||
            refuse_join(item, result))
            return;
        result.status = current_.exists ? 200 : 201;
        result.result = current_.exists ? "updated" : "created";
        if (current_.exists) erase_current();
        WriteItem named = item;
        named.id = result.id;
        insert(named, version, extracted);
    }
    result.version = version;
    result.seq_no = next_seq_no_++;
}

void IndexWriter::find_current(std::string_view id) {
    current_ = {};
    Statement query = db_.query("SELECT seq_no, version FROM docs WHERE id = ?");
    query.bind(id);
    if (!query.step()) return;
    current_ = {true, query.integer(0), query.integer(1)};
}

bool IndexWriter::refuse_conflict(const WriteItem& item, ItemResult& result) {
    const std::string now = std::to_string(current_.version);
    if (item.op == WriteOp::create && current_.exists) {
        return refuse_version(result, "document already exists (current version [" + now + "])");
    }
    if (item.if_seq_no >= 0 || item.if_primary_term >= 0) {
        const std::string wanted = "required seqNo [" + std::to_string(item.if_seq_no) +
                                   "], primary term [" + std::to_string(item.if_primary_term) + "]";
        if (!current_.exists) return refuse_version(result, wanted + ". but no document was found");
        if (item.if_seq_no != current_.seq_no || item.if_primary_term != kPrimaryTerm) {
            return refuse_version(result, wanted + ". current document has seqNo [" +
                                              std::to_string(current_.seq_no) +
                                              "] and primary term [1]");
        }
    }
    if (item.version_type == VersionType::internal) return false;
    const std::string given = std::to_string(item.version);
    if (item.version < 0) {
        return refuse(result, 400, "action_request_validation_exception",
                      "illegal version value [" + given + "]");
    }
    if (!current_.exists) return false;
    if (item.version_type == VersionType::external && item.version <= current_.version) {
        return refuse_version(
            result,
            "current version [" + now + "] is higher or equal to the one provided [" + given + "]");
    }
    if (item.version_type == VersionType::external_gte && item.version < current_.version) {
        return refuse_version(result, "current version [" + now +
                                          "] is higher than the one provided [" + given + "]");
    }
    return false;
}

bool IndexWriter::refuse_source(const Extracted& extracted, ItemResult& result) {
    if (!extracted.error.empty()) return refuse(result, 400, extracted.error_type, extracted.error);
    std::map<std::string, std::size_t> vector_dims;
    for (const VectorValue& vector : extracted.vectors) {
        if (refuse_vector(vector, vector_dims, result)) return true;
    }
    const auto scalars = static_cast<std::size_t>(
        std::count_if(fields_.begin(), fields_.end(),
                      [](const auto& known) { return known.second.is_scalar(); }));
    std::size_t fields = fields_.size() - scalars;
    for (const auto& [field, dims] : vector_dims)
        fields += fields_.contains(field) ? 0 : 1;
    std::map<std::string_view, std::int64_t> rows;
    for (const TextValue& text : extracted.texts) {
        if (vector_dims.contains(text.field)) {
            return refuse_document(result,
                                   "the field [" + text.field + "] holds both vectors and text");
        }
        if (rows[text.field]++ == 0 && becomes_text(text)) ++fields;
    }
    for (const VectorValue& vector : extracted.vectors)
        ++rows[vector.field];
    for (const auto& [field, count] : rows) {
        if (count < (std::int64_t{1} << kOrdinalBits)) continue;
        return refuse(
            result, 400, "illegal_argument_exception",
            "the field [" + std::string(field) + "] has more than 1048575 values in one document");
    }
    if (fields <= kMaxFields) return false;
    return refuse(result, 400, "illegal_argument_exception",
                  "Limit of total fields [" + std::to_string(kMaxFields) + "] has been exceeded");
}

bool IndexWriter::refuse_values(const WriteItem& item, ItemResult& result) const {
    auto problem = values_.problem(item.source, result.id);
    if (!problem) return false;
    result.cause_type = std::move(problem->cause_type);
    result.cause_reason = std::move(problem->cause_reason);
    return refuse_document(result, std::move(problem->reason));
}

bool IndexWriter::refuse_join(const WriteItem& item, ItemResult& result) {
    if (mapped_.join() == nullptr) return false;
    const std::string problem = mapped_.join()->problem(item.source, !item.routing.empty());
    return !problem.empty() && refuse_document(result, "failed to parse: " + problem);
}

/// The text makes a field of words where there was none.
bool IndexWriter::becomes_text(const TextValue& text) const {
    const auto known = fields_.find(text.field);
    return known == fields_.end() || (known->second.is_scalar() && !is_value_as_text(text));
}

bool IndexWriter::refuse_vector(const VectorValue& vector, std::map<std::string, std::size_t>& dims,
                                ItemResult& result) {
    const std::size_t found = vector.values.size();
    const auto known = fields_.find(vector.field);
    const bool mapped = known != fields_.end();
    if (found == 0 || found > kMaxDims) {
        return refuse_document(result, "the vector in field [" + vector.field +
                                           "] must have 1 to " + std::to_string(kMaxDims) +
                                           " dimensions");
    }
    std::size_t& expected = dims.try_emplace(vector.field, found).first->second;
    if (mapped && known->second.dims > 0) expected = known->second.dims;
    if (found != expected) {
        return refuse_document(result, "the vector in field [" + vector.field +
                                           "] has a different number of dimensions [" +
                                           std::to_string(found) + "] than the field [" +
                                           std::to_string(expected) + "]");
    }
    double square = 0;
    for (const float x : vector.values)
        square += static_cast<double>(x) * x;
    const Similarity similarity = mapped ? known->second.similarity : Similarity::cosine;
    if (similarity == Similarity::cosine && square == 0) {
        return refuse_document(
            result, "the vector in field [" + vector.field +
                        "] has zero magnitude, which the similarity [cosine] does not allow");
    }
    if (similarity == Similarity::dot_product && std::abs(square - 1) > 1e-3) {
        return refuse_document(
            result, "the vector in field [" + vector.field +
                        "] does not have unit length, which the similarity [dot_product] needs");
    }
    return false;
}

Field& IndexWriter::field(const std::string& path, FieldType type, std::size_t dims) {
    const auto found = fields_.find(path);
    const bool known = found != fields_.end();
    if (known && !found->second.is_scalar()) {
        if (type == FieldType::vector && found->second.dims == 0) found->second.dims = dims;
        return found->second;
    }
    if (known && Field{.type = type}.is_scalar()) return found->second;
    std::int64_t last = 0;
    for (const auto& [name, field] : fields_)
        last = std::max(last, field.id);
    const Field fresh{known ? found->second.id : last + 1, path, type, dims, Similarity::cosine};
    create_field(db_, fresh, analyzer_);
    return fields_.insert_or_assign(path, fresh).first->second;
}

/// For extract(): what a document may bring there, and how it is taken.
FieldType IndexWriter::type_of(const std::string& path) const {
    const auto known = fields_.find(path);
    const FieldType type = known == fields_.end() ? FieldType::unknown : known->second.type;
    if (type == FieldType::vector) return type;
    if (mapped_.is_text(path)) return FieldType::text;
    const bool whole = type == FieldType::text && (known->second.is_date || mapped_.contains(path));
    return whole ? FieldType::whole_text : type;
}

/// "12" in a field of numbers is one of them, and "true" in a field of truth values. "" is none of
/// either, and no reason to make it a field of words.
bool IndexWriter::is_value_as_text(const TextValue& text) const {
    const auto known = fields_.find(text.field);
    if (known == fields_.end() || !known->second.is_scalar() || mapped_.is_text(text.field))
        return false;
    if (text.text.empty()) return true;
    if (known->second.type == FieldType::boolean)
        return text.text == "true" || text.text == "false";
    double number = 0;
    const char* end = text.text.data() + text.text.size();
    const auto result = std::from_chars(text.text.data(), end, number);
    return result.ec == std::errc() && result.ptr == end;
}

/// A field of strings is one of dates as long as all of them are.
void IndexWriter::note_date(Field& field, std::string_view text) {
    if (field.rows > 0 && !field.is_date) return;
    bool all = !text.empty();
    while (all && !text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        all = looks_like_date(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    field.changed = field.changed || field.is_date != all;
    field.is_date = all;
}

void IndexWriter::note_scalars(const Extracted& extracted) {
    bool unlisted = extracted.has_unlisted;
    for (const ScalarField& scalar : extracted.scalars) {
        if (fields_.size() < 2 * kMaxFields || fields_.contains(scalar.field)) {
            field(scalar.field, scalar.type, 0);
        } else {
            unlisted = true;
        }
    }
    if (!unlisted || !lists_all_fields_) return;
    // Queries must not take a field for absent from now on because it is not listed.
    set_number(db_, "all_fields", 0);
    lists_all_fields_ = false;
}

void IndexWriter::insert(const WriteItem& item, std::int64_t version, const Extracted& extracted) {
    const std::int64_t seq_no = next_seq_no_;
    std::map<std::int64_t, std::int64_t> ordinals;
    const auto next_key = [&](Field& field) {
        ++field.rows;
        field.changed = true;
        return row_key(seq_no, ordinals[field.id]++);
    };
    for (const TextValue& text : extracted.texts) {
        if (is_value_as_text(text)) continue;
        Field& target = field(text.field, FieldType::text, 0);
        note_date(target, text.text);
        db_.query("INSERT INTO " + target.table() + "(rowid, body, at) VALUES(?, ?, ?)")
            .bind(next_key(target))
            .bind(text.text)
            .bind(text.pointer)
            .run();
    }
    note_scalars(extracted);
    std::int64_t cuts = 0;
    for (const VectorValue& vector : extracted.vectors) {
        Field& target = field(vector.field, FieldType::vector, vector.values.size());
        const std::string_view data(reinterpret_cast<const char*>(vector.values.data()),
                                    vector.values.size() * sizeof(float));
        db_.query(
               "INSERT INTO " + target.table() +
               "(key, at, cut, cut_at, style, prefix, suffix, data) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(next_key(target))
            .bind(vector.pointer)
            .bind(cuts)
            .bind(vector.cut.at)
            .bind(vector.cut.style)
            .bind(vector.cut.prefix)
            .bind(vector.cut.suffix)
            .bind_blob(data)
            .run();
        if (vector.cut.at >= 0) ++cuts;
    }
    Statement query = db_.query(
        "INSERT INTO docs(seq_no, id, version, routing, cuts, source) VALUES(?, ?, ?, ?, ?, ?)");
    query.bind(seq_no).bind(item.id).bind(version);
    if (item.routing.empty()) {
        query.bind_null();
    } else {
        query.bind(item.routing);
    }
    query.bind(cuts).bind_blob(extracted.stripped).run();
    ++docs_;
}

/// Whoever keeps vectors in memory, in this process or another, learns from the log which ones are
/// gone.
void IndexWriter::log_vectors(const Field& field, std::int64_t first, std::int64_t last) {
    db_.query(
           "INSERT INTO vector_log(n, field, key) SELECT row_number() OVER (ORDER BY key) - 1 + ?, "
           "?, key FROM " +
           field.table() + " WHERE key BETWEEN ? AND ?")
        .bind(next_log_)
        .bind(field.id)
        .bind(first)
        .bind(last)
        .run();
    next_log_ += db_.changes();
}

void IndexWriter::erase_current() {
    const std::int64_t first = row_key(current_.seq_no, 0);
    const std::int64_t last = row_key(current_.seq_no + 1, 0) - 1;
    for (auto& [path, field] : fields_) {
        if (field.rows == 0) continue;
        const bool is_text = field.type == FieldType::text;
        if (!is_text) log_vectors(field, first, last);
        db_.query("DELETE FROM " + field.table() + " WHERE " + (is_text ? "rowid" : "key") +
                  " BETWEEN ? AND ?")
            .bind(first)
            .bind(last)
            .run();
        const std::int64_t erased = db_.changes();
        field.rows -= erased;
        field.changed = field.changed || erased > 0;
    }
    db_.query("DELETE FROM docs WHERE seq_no = ?").bind(current_.seq_no).run();
    --docs_;
}

}  // namespace penstock::io
