// SQLite with C++ lifetimes. Private to engine/io; sqlite3.h stays in sqlite.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace penstock::io {

/// A statement in use; goes back to its connection's cache, reset, when it dies. Text and blobs
/// that are bound must outlive the steps. Columns are valid until the next step.
class Statement {
  public:
    Statement(sqlite3* db, sqlite3_stmt* statement, const std::string& name);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    Statement& bind(std::int64_t value);
    Statement& bind(std::string_view text);
    Statement& bind_blob(std::string_view bytes);
    Statement& bind_null();

    /// True when there is a row. Throws penstock::Error.
    bool step();
    /// For statements without rows.
    void run() { step(); }

    std::int64_t integer(int column) const;
    double real(int column) const;
    std::string_view text(int column) const;  // blobs too
    bool null(int column) const;

  private:
    sqlite3* db_;
    sqlite3_stmt* statement_;
    const std::string& name_;
    int next_ = 1;
};

/// One connection. One thread at a time. A statement text must not be in use twice at once.
class Database {
  public:
    enum class Mode { create, write, read };

    /// `name` is for messages: what the user calls this database. Throws penstock::StorageError for
    /// what is wrong with the files, penstock::Error for what is wrong with a statement.
    Database(const std::string& path, std::string name, Mode mode);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    void execute(const std::string& sql);
    Statement query(std::string_view sql);
    std::int64_t changes() const;

  private:
    sqlite3* db_ = nullptr;
    std::string name_;
    std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

/// Rolls back unless committed.
class Transaction {
  public:
    enum class Kind { read, write };
    Transaction(Database& db, Kind kind);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

  private:
    Database& db_;
    bool open_ = true;
};

}  // namespace penstock::io
