#include "tools/penstock/diff.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace penstock::tools {

namespace {

constexpr std::size_t context = 2;
// Beyond this many pairs of lines the exact comparison would take too long; then all between the
// common ends changed.
constexpr std::size_t table_limit = 4'000'000;

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        std::size_t end = text.find('\n');
        lines.push_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return lines;
}

struct Edit {
    char kind;  // ' ', '-' or '+'
    std::string_view line;
};

/// Longest common subsequence of the two ranges.
void compare(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b,
             std::size_t a_begin, std::size_t a_end, std::size_t b_begin, std::size_t b_end,
             std::vector<Edit>& edits) {
    std::size_t n = a_end - a_begin;
    std::size_t m = b_end - b_begin;
    if (n * m > table_limit) {
        for (std::size_t i = a_begin; i < a_end; ++i)
            edits.push_back({'-', a[i]});
        for (std::size_t j = b_begin; j < b_end; ++j)
            edits.push_back({'+', b[j]});
        return;
    }
    std::vector<std::uint32_t> length((n + 1) * (m + 1), 0);
    auto at = [&](std::size_t i, std::size_t j) -> std::uint32_t& {
        return length[i * (m + 1) + j];
    };
    for (std::size_t i = n; i-- > 0;) {
        for (std::size_t j = m; j-- > 0;) {
            at(i, j) = a[a_begin + i] == b[b_begin + j] ? at(i + 1, j + 1) + 1
                                                        : std::max(at(i + 1, j), at(i, j + 1));
        }
    }
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < n || j < m) {
        if (i < n && j < m && a[a_begin + i] == b[b_begin + j]) {
            edits.push_back({' ', a[a_begin + i]});
            ++i;
            ++j;
        } else if (j == m || (i < n && at(i + 1, j) >= at(i, j + 1))) {
            edits.push_back({'-', a[a_begin + i++]});
        } else {
            edits.push_back({'+', b[b_begin + j++]});
        }
    }
}

}  // namespace

std::string diff_lines(std::string_view before, std::string_view after, bool colour) {
    auto a = split(before);
    auto b = split(after);
    std::size_t head = 0;
    while (head < a.size() && head < b.size() && a[head] == b[head])
        ++head;
    std::size_t tail = 0;
    while (tail < a.size() - head && tail < b.size() - head &&
           a[a.size() - 1 - tail] == b[b.size() - 1 - tail])
        ++tail;
    std::vector<Edit> edits;
    for (std::size_t i = 0; i < head; ++i)
        edits.push_back({' ', a[i]});
    compare(a, b, head, a.size() - tail, head, b.size() - tail, edits);
    for (std::size_t i = a.size() - tail; i < a.size(); ++i)
        edits.push_back({' ', a[i]});

    std::vector<bool> shown(edits.size(), false);
    for (std::size_t i = 0; i < edits.size(); ++i) {
        if (edits[i].kind == ' ') continue;
        for (std::size_t k = i < context ? 0 : i - context;
             k < std::min(edits.size(), i + context + 1); ++k)
            shown[k] = true;
    }
    std::string out;
    for (std::size_t i = 0; i < edits.size(); ++i) {
        if (!shown[i]) {
            if (i > 0 && shown[i - 1] &&
                std::find(shown.begin() + static_cast<std::ptrdiff_t>(i), shown.end(), true) !=
                    shown.end()) {
                out += "  ...\n";
            }
            continue;
        }
        const Edit& edit = edits[i];
        if (colour && edit.kind != ' ') out += edit.kind == '-' ? "\x1b[31m" : "\x1b[32m";
        out += edit.kind;
        out += ' ';
        out += edit.line;
        if (colour && edit.kind != ' ') out += "\x1b[0m";
        out += '\n';
    }
    return out;
}

}  // namespace penstock::tools
