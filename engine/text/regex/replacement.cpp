#include "engine/text/regex/replacement.h"

#include "engine/runtime/error.h"

namespace penstock::text::regex {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// `at` is behind the dollar sign; moves behind the reference.
std::uint32_t parse_reference(std::string_view text, std::size_t& at, const Pattern& pattern) {
    if (at == text.size()) throw Error("Illegal group reference: group index is missing");
    if (text[at] == '{') {
        std::size_t end = text.find('}', at);
        if (end == std::string_view::npos)
            throw Error("named capturing group is missing trailing '}'");
        std::string_view name = text.substr(at + 1, end - at - 1);
        std::optional<std::uint32_t> group = pattern.group(name);
        if (!group) throw Error("No group with name {" + std::string(name) + "}");
        at = end + 1;
        return *group;
    }
    if (!is_digit(text[at])) throw Error("Illegal group reference");
    auto group = static_cast<std::uint32_t>(text[at++] - '0');
    if (group > pattern.groups()) throw Error("No group " + std::to_string(group));
    while (at < text.size() && is_digit(text[at])) {
        std::uint32_t longer = group * 10 + static_cast<std::uint32_t>(text[at] - '0');
        if (longer > pattern.groups()) break;
        group = longer;
        ++at;
    }
    return group;
}

}  // namespace

Replacement Replacement::compile(std::string_view java, const Pattern& pattern) {
    Replacement replacement;
    std::string literal;
    for (std::size_t at = 0; at < java.size();) {
        char c = java[at++];
        if (c == '\\') {
            if (at == java.size()) throw Error("character to be escaped is missing");
            literal += java[at++];
        } else if (c == '$') {
            std::uint32_t group = parse_reference(java, at, pattern);
            if (!literal.empty()) replacement.pieces_.push_back({std::move(literal), 0});
            literal.clear();
            replacement.pieces_.push_back({{}, group});
        } else {
            literal += c;
        }
    }
    if (!literal.empty()) replacement.pieces_.push_back({std::move(literal), 0});
    return replacement;
}

void Replacement::expand(const Matcher& match, std::string& out) const {
    for (const Piece& piece : pieces_) {
        if (!piece.literal.empty()) {
            out += piece.literal;
        } else if (std::optional<std::string_view> group = match.group(piece.group)) {
            out += *group;
        }
    }
}

document::Result<bool> replace_all(const Pattern& pattern, const Replacement& replacement,
                                   std::string_view subject, std::string& out) {
    Matcher matcher(pattern, subject);
    std::size_t copied = 0;
    bool any = false;
    while (true) {
        document::Result<bool> found = matcher.find();
        if (!found) return found.error();
        if (!*found) break;
        any = true;
        out += subject.substr(copied, matcher.begin() - copied);
        replacement.expand(matcher, out);
        copied = matcher.end();
    }
    if (any) out += subject.substr(copied);
    return any;
}

document::Result<std::vector<std::string_view>> split(const Pattern& pattern,
                                                      std::string_view subject,
                                                      bool keep_trailing) {
    Matcher matcher(pattern, subject);
    std::vector<std::string_view> pieces;
    std::size_t from = 0;
    while (true) {
        document::Result<bool> found = matcher.find();
        if (!found) return found.error();
        if (!*found) break;
        if (matcher.end() == 0) continue;  // empty, at the start
        pieces.push_back(subject.substr(from, matcher.begin() - from));
        from = matcher.end();
    }
    if (from == 0) return std::vector<std::string_view>{subject};
    pieces.push_back(subject.substr(from));
    while (!keep_trailing && !pieces.empty() && pieces.back().empty())
        pieces.pop_back();
    return pieces;
}

}  // namespace penstock::text::regex
