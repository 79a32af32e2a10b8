#include "engine/io/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "engine/io/ideograph_tokenizer.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

constexpr int kBusyMilliseconds = 30'000;

[[noreturn]] void fail(sqlite3* db, const std::string& name) {
    const std::string message = db != nullptr ? sqlite3_errmsg(db) : "out of memory";
    switch (db != nullptr ? sqlite3_errcode(db) & 0xFF : SQLITE_NOMEM) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            throw StorageError(
                "index " + name + " is being written by another process for more than " +
                std::to_string(kBusyMilliseconds / 1000) + " seconds; wait for it or stop it");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            throw StorageError(
                "the files of index " + name + " are damaged (" + message +
                "); restore them from a copy, or delete the index and build it again");
        case SQLITE_FULL:
            throw StorageError("no space is left on the disk for index " + name);
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
            throw StorageError("the files of index " + name + " cannot be opened (" + message +
                               "); check the permissions");
        case SQLITE_IOERR:
        case SQLITE_NOMEM:
            throw StorageError("index " + name + " cannot be read or written: " + message);
        default:
            throw Error("index " + name + ": " + message);
    }
}

}  // namespace

Statement::Statement(sqlite3* db, sqlite3_stmt* statement, const std::string& name)
    : db_(db), statement_(statement), name_(name) {}

Statement::~Statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

Statement& Statement::bind(std::int64_t value) {
    if (sqlite3_bind_int64(statement_, next_++, value) != SQLITE_OK) fail(db_, name_);
    return *this;
}

Statement& Statement::bind(std::string_view text) {
    const char* data = text.data() == nullptr ? "" : text.data();
    if (sqlite3_bind_text64(statement_, next_++, data, text.size(), SQLITE_STATIC, SQLITE_UTF8) !=
        SQLITE_OK) {
        fail(db_, name_);
    }
    return *this;
}

Statement& Statement::bind_blob(std::string_view bytes) {
    const char* data = bytes.data() == nullptr ? "" : bytes.data();
    if (sqlite3_bind_blob64(statement_, next_++, data, bytes.size(), SQLITE_STATIC) != SQLITE_OK)
        fail(db_, name_);
    return *this;
}

Statement& Statement::bind_null() {
    sqlite3_bind_null(statement_, next_++);
    return *this;
}

bool Statement::step() {
    const int rc = sqlite3_step(statement_);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) fail(db_, name_);
    return rc == SQLITE_ROW;
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}
double Statement::real(int column) const {
    return sqlite3_column_double(statement_, column);
}
bool Statement::null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::string_view Statement::text(int column) const {
    const void* data = sqlite3_column_blob(statement_, column);
    const int size = sqlite3_column_bytes(statement_, column);
    return data == nullptr
               ? std::string_view()
               : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

Database::Database(const std::string& path, std::string name, Mode mode) : name_(std::move(name)) {
    // A reader of a WAL database writes to its shared memory, so it opens for writing too and is
    // held back below.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                      (mode == Mode::create ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(path.c_str(), &db_, flags, nullptr) != SQLITE_OK) {
        try {
            fail(db_, name_);
        } catch (...) {
            sqlite3_close(db_);
            throw;
        }
    }
    sqlite3_busy_timeout(db_, kBusyMilliseconds);
    sqlite3_extended_result_codes(db_, 0);
    try {
        // Takes effect only in a database that is being made.
        if (mode == Mode::create) execute("PRAGMA page_size=16384; PRAGMA journal_mode=WAL");
        if (!add_ideograph_tokenizer(db_)) throw Error("this SQLite has no full text (FTS5)");
        execute("PRAGMA temp_store=MEMORY; PRAGMA mmap_size=1073741824");
        // Readers see the mapped file; there are many of them, and one writer.
        execute(mode == Mode::read ? "PRAGMA cache_size=-8192; PRAGMA query_only=1"
                                   : "PRAGMA cache_size=-65536");
    } catch (...) {
        sqlite3_close(db_);
        throw;
    }
}

Database::~Database() {
    for (const auto& [sql, statement] : statements_)
        sqlite3_finalize(statement);
    sqlite3_close(db_);
}

void Database::execute(const std::string& sql) {
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(db_, name_);
}

Statement Database::query(std::string_view sql) {
    auto found = statements_.find(sql);
    if (found == statements_.end()) {
        sqlite3_stmt* statement = nullptr;
        if (sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                               SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
            fail(db_, name_);
        }
        found = statements_.emplace(std::string(sql), statement).first;
    }
    return {db_, found->second, name_};
}

std::int64_t Database::changes() const {
    return sqlite3_changes64(db_);
}

Transaction::Transaction(Database& db, Kind kind) : db_(db) {
    db_.execute(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
    if (!open_) return;
    try {
        db_.execute("ROLLBACK");
    } catch (const Error&) {
        // A failed COMMIT may have rolled back already.
    }
}

void Transaction::commit() {
    db_.execute("COMMIT");
    open_ = false;
}

}  // namespace penstock::io
