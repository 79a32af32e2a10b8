#include "tools/serve/text_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <utility>

#include "engine/document/json_writer.h"
#include "tools/serve/api_error.h"
#include "tools/serve/units.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

bool is_list_name(const TextColumn& column, const std::string& pattern) {
    return matches_wildcard(pattern, column.name) ||
           std::find(column.aliases.begin(), column.aliases.end(), pattern) != column.aliases.end();
}

/// Not bytes: the continuation bytes of UTF-8 take no room.
std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

std::string pad(const std::string& text, std::size_t width, bool right, bool last) {
    const std::string blanks(width - std::min(width, width_of(text)), ' ');
    if (right) return blanks + text;
    return last ? text : text + blanks;
}

/// A line for each row; cells aligned in their columns.
std::string aligned(const std::vector<std::vector<std::string>>& rows,
                    const std::vector<bool>& right, std::string_view gap) {
    std::vector<std::size_t> widths(right.size(), 0);
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string out;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i > 0) out += gap;
            out += pad(row[i], widths[i], right[i], i + 1 == row.size());
        }
        out += '\n';
    }
    return out;
}

}  // namespace

TextCell TextCell::number(std::int64_t value) {
    TextCell cell(std::to_string(value));
    cell.kind_ = Kind::number;
    cell.value_ = static_cast<double>(value);
    return cell;
}

TextCell TextCell::number(double value, int decimals) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
    TextCell cell(text.data());
    cell.kind_ = Kind::number;
    cell.value_ = value;
    return cell;
}

TextCell TextCell::bytes(std::uint64_t value) {
    TextCell cell("");
    cell.kind_ = Kind::bytes;
    cell.value_ = static_cast<double>(value);
    return cell;
}

TextCell TextCell::milliseconds(std::int64_t value) {
    TextCell cell("");
    cell.kind_ = Kind::time;
    cell.value_ = static_cast<double>(value);
    return cell;
}

std::string TextCell::text(const Request& request) const {
    if (kind_ == Kind::bytes) return bytes_text(value_, request.query.text("bytes"));
    if (kind_ == Kind::time) return time_text(value_, request.query.text("time"));
    return text_;
}

bool TextCell::operator<(const TextCell& other) const {
    const bool number = kind_ != Kind::text;
    const bool other_number = other.kind_ != Kind::text;
    if (number != other_number) return number;
    return number ? value_ < other.value_ : text_ < other.text_;
}

std::vector<TextTable::Shown> TextTable::shown(const Request& request) const {
    std::vector<Shown> shown;
    const std::vector<std::string> wanted = request.query.list("h");
    for (std::size_t i = 0; wanted.empty() && i < columns_.size(); ++i) {
        if (columns_[i].shown) shown.push_back({columns_[i].name, i});
    }
    for (const std::string& name : wanted) {
        const bool wildcard = name.find('*') != std::string::npos;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            if (is_list_name(columns_[i], name))
                shown.push_back({wildcard ? columns_[i].name : name, i});
        }
    }
    return shown;
}

std::vector<std::size_t> TextTable::order(const Request& request) const {
    struct Key {
        std::size_t column;
        bool descending;
    };
    std::vector<Key> keys;
    for (const std::string& part : request.query.list("s")) {
        const std::size_t colon = part.find(':');
        const std::string name = part.substr(0, colon);
        const std::string direction = colon == std::string::npos ? "asc" : part.substr(colon + 1);
        const auto column = std::find_if(
            columns_.begin(), columns_.end(),
            [&](const TextColumn& each) { return each.name == name || is_list_name(each, name); });
        if (column == columns_.end() || (direction != "asc" && direction != "desc")) {
            throw ApiError(400, "unsupported_operation_exception",
                           "Unable to sort by unknown sort key `" + part + "`");
        }
        keys.push_back({static_cast<std::size_t>(column - columns_.begin()), direction == "desc"});
    }
    std::vector<std::size_t> order(rows_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        for (const Key& key : keys) {
            const TextCell& left = rows_[key.descending ? b : a][key.column];
            const TextCell& right = rows_[key.descending ? a : b][key.column];
            if (left < right) return true;
            if (right < left) return false;
        }
        return false;
    });
    return order;
}

std::string TextTable::help() const {
    std::vector<std::vector<std::string>> rows;
    for (const TextColumn& column : columns_) {
        std::string aliases;
        for (const std::string& alias : column.aliases)
            aliases += (aliases.empty() ? "" : ",") + alias;
        rows.push_back({column.name, aliases, column.description});
    }
    return aligned(rows, {false, false, false}, " | ");
}

std::string TextTable::text(const Request& request) const {
    const std::vector<Shown> columns = shown(request);
    std::vector<std::vector<std::string>> rows;
    std::vector<bool> right;
    std::vector<std::string> header;
    for (const Shown& column : columns) {
        right.push_back(columns_[column.column].right);
        header.push_back(column.header);
    }
    if (request.query.flag("v")) rows.push_back(std::move(header));
    for (const std::size_t at : order(request)) {
        std::vector<std::string>& row = rows.emplace_back();
        for (const Shown& column : columns)
            row.push_back(rows_[at][column.column].text(request));
    }
    return aligned(rows, right, " ");
}

std::string TextTable::json(const Request& request) const {
    const std::vector<Shown> columns = shown(request);
    std::string out;
    document::JsonWriter json(out);
    json.array([&] {
        for (const std::size_t at : order(request)) {
            json.object([&] {
                for (const Shown& column : columns)
                    json.member(column.header, rows_[at][column.column].text(request));
            });
        }
    });
    return out;
}

Response TextTable::respond(const Request& request) const {
    if (request.query.flag("help")) return Response::text(help());
    const std::string format = request.query.text("format");
    const std::vector<std::string> accepted = split_list(request.header("accept"));
    // Of the types that a client takes the first counts; official clients begin with text/plain.
    const bool structured =
        format.empty() ? !accepted.empty() && (accepted.front().find("json") != std::string::npos ||
                                               accepted.front().find("yaml") != std::string::npos)
                       : format != "text" && format != "txt";
    return structured ? Response::json(json(request)) : Response::text(text(request));
}

std::vector<std::string> table_parameters(std::vector<std::string> more) {
    for (const char* name : {"v", "h", "s", "help", "bytes", "time", "local", "master_timeout",
                             "cluster_manager_timeout", "expand_wildcards"})
        more.emplace_back(name);
    return more;
}

}  // namespace penstock::serve
