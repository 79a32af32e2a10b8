// The tables of _cat: columns that can be chosen, sorted and shown as text or JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/serve/http_message.h"

namespace penstock::serve {

struct TextColumn {
    std::string name;
    std::vector<std::string> aliases;
    std::string description;
    bool right = false;  ///< aligned so, as the reference does with numbers
    bool shown = true;   ///< without being asked for
};

/// One value. Bytes and times are shown in the unit that the request asks for.
class TextCell {
  public:
    TextCell(std::string text) : text_(std::move(text)) {}
    TextCell(const char* text) : text_(text) {}
    static TextCell number(std::int64_t value);
    static TextCell number(double value, int decimals);
    static TextCell bytes(std::uint64_t value);
    static TextCell milliseconds(std::int64_t value);

    std::string text(const Request& request) const;
    /// Numbers by their value and before all texts.
    bool operator<(const TextCell& other) const;

  private:
    enum class Kind { text, number, bytes, time };

    Kind kind_ = Kind::text;
    std::string text_;
    double value_ = 0;
};

class TextTable {
  public:
    explicit TextTable(std::vector<TextColumn> columns) : columns_(std::move(columns)) {}

    /// As many cells as there are columns.
    void add(std::vector<TextCell> row) { rows_.push_back(std::move(row)); }
    /// By `help`, `h`, `s`, `v`, `bytes`, `time` and `format`. Throws ApiError 400 for what these
    /// do not allow.
    Response respond(const Request& request) const;

  private:
    struct Shown {
        std::string header;  ///< as the request names it
        std::size_t column = 0;
    };

    std::vector<Shown> shown(const Request& request) const;
    std::vector<std::size_t> order(const Request& request) const;
    std::string help() const;
    std::string text(const Request& request) const;
    std::string json(const Request& request) const;

    std::vector<TextColumn> columns_;
    std::vector<std::vector<TextCell>> rows_;
};

/// The parameters that respond() takes, and the ones that every _cat request may have besides.
std::vector<std::string> table_parameters(std::vector<std::string> more = {});

}  // namespace penstock::serve
