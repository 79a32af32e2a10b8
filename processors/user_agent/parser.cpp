#include "processors/user_agent/parser.h"

#include <array>
#include <deque>
#include <fstream>
#include <sstream>
#include <vector>

#include "engine/pipeline/definition.h"
#include "engine/runtime/error.h"
#include "engine/text/regex/pattern.h"
#include "processors/user_agent/literal_filter.h"

namespace penstock::processors {

// Made of processors/user-agent-regexes/regexes.yaml when the program is configured.
extern const std::string_view kUserAgentRegexes;

namespace fs = std::filesystem;
using document::Result;
using pipeline::Node;
using text::regex::Matcher;
using text::regex::Pattern;

namespace {

/// A name and the parts of a version.
constexpr std::size_t part_count = 5;

/// One list of the file: its key, and the keys of what replaces the parts.
struct ListFormat {
    std::string_view key;
    std::array<std::string_view, part_count> replacements;
};
constexpr std::array<ListFormat, 3> formats{{
    {"user_agent_parsers",
     {"family_replacement", "v1_replacement", "v2_replacement", "v3_replacement",
      "v4_replacement"}},
    {"os_parsers",
     {"os_replacement", "os_v1_replacement", "os_v2_replacement", "os_v3_replacement",
      "os_v4_replacement"}},
    {"device_parsers", {"device_replacement", "", "", "", ""}},
}};

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(' ');
    if (begin == text.npos) return {};
    return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

/// A replacement with $1 to $9 filled in.
std::string filled(const std::string& replacement, const Matcher& match) {
    std::string out;
    for (std::size_t i = 0; i < replacement.size(); ++i) {
        const bool group = replacement[i] == '$' && i + 1 < replacement.size() &&
                           replacement[i + 1] >= '1' && replacement[i + 1] <= '9';
        if (!group) {
            out += replacement[i];
            continue;
        }
        out += match.group(static_cast<std::uint32_t>(replacement[++i] - '0')).value_or("");
    }
    return std::string(trimmed(out));
}

/// One expression and what it says.
class Rule {
  public:
    Rule(const Node& node, const ListFormat& format, const std::string& file) {
        const Node* regex = node.find("regex");
        if (regex == nullptr || regex->text.empty()) {
            throw Error(file + ":" + std::to_string(node.position.line) + ": an entry of [" +
                        std::string(format.key) + "] has no [regex]");
        }
        const Node* flag = node.find("regex_flag");
        regex_ = (flag != nullptr && flag->text == "i" ? "(?i)" : "") + regex->text;
        for (std::size_t i = 0; i < part_count; ++i) {
            const Node* replacement = node.find(format.replacements[i]);
            if (replacement != nullptr && !replacement->is_null())
                replacements_[i] = replacement->text;
        }
    }

    const std::string& regex() const { return regex_; }
    /// Throws penstock::Error when it is no regular expression.
    const Pattern& pattern() const {
        std::call_once(once_, [this] { pattern_ = Pattern::compile(regex_); });
        return *pattern_;
    }

    /// Nothing when it does not match, or matches without a name.
    Result<std::optional<NamedVersion>> match(std::string_view text, bool with_version) const {
        Matcher matcher(pattern(), text);
        const Result<bool> found = matcher.find();
        if (!found) return found.error();
        if (!*found) return std::optional<NamedVersion>();
        std::optional<std::string> name = part(0, matcher);
        if (!name) return std::optional<NamedVersion>();
        NamedVersion result{std::move(*name), std::nullopt};
        for (std::size_t i = 1; with_version && i < part_count; ++i) {
            const std::optional<std::string> number = part(i, matcher);
            if (!number || number->empty()) break;
            result.version = result.version ? *result.version + "." + *number : *number;
        }
        return std::optional<NamedVersion>(std::move(result));
    }

  private:
    /// What replaces it, or the group of its place.
    std::optional<std::string> part(std::size_t number, const Matcher& match) const {
        if (replacements_[number]) return filled(*replacements_[number], match);
        const auto group = match.group(static_cast<std::uint32_t>(number) + 1);
        if (!group) return std::nullopt;
        return std::string(*group);
    }

    std::string regex_;
    std::array<std::optional<std::string>, part_count> replacements_;
    mutable std::once_flag once_;
    mutable std::optional<Pattern> pattern_;
};

void read_list(const Node& root, const ListFormat& format, const std::string& file,
               std::deque<Rule>& rules) {
    const Node* list = root.find(format.key);
    if (list == nullptr) return;
    if (!list->is_list()) {
        throw Error(file + ":" + std::to_string(list->position.line) + ": [" +
                    std::string(format.key) + "] expects a list, found " + list->describe());
    }
    for (const Node& node : list->items) {
        if (!node.is_map()) {
            throw Error(file + ":" + std::to_string(node.position.line) + ": [" +
                        std::string(format.key) + "] expects maps, found " + node.describe());
        }
        rules.emplace_back(node, format, file);
    }
}

LiteralFilter make_filter(const std::deque<Rule>& rules) {
    std::vector<std::vector<std::string>> literals;
    literals.reserve(rules.size());
    for (const Rule& rule : rules)
        literals.push_back(required_literals(rule.regex()));
    return LiteralFilter(literals);
}

}  // namespace

/// All expressions, the three lists behind each other.
struct UserAgentParser::Rules {
    Rules(const Node& root, const std::string& file)
        : all(read(root, file)), filter(make_filter(all)) {}

    std::deque<Rule> read(const Node& root, const std::string& file) {
        std::deque<Rule> rules;
        for (std::size_t i = 0; i < formats.size(); ++i) {
            read_list(root, formats[i], file, rules);
            ends[i] = rules.size();
        }
        if (rules.empty()) throw Error(file + ": not a valid regular expression file");
        return rules;
    }

    /// The first of a list that matches.
    Result<std::optional<NamedVersion>> find(std::size_t list, std::string_view text,
                                             const LiteralFilter::Set& candidates) const {
        for (std::size_t i = list == 0 ? 0 : ends[list - 1]; i < ends[list]; ++i) {
            if (!LiteralFilter::has(candidates, i)) continue;
            auto found = all[i].match(text, list < 2);
            if (!found || *found) return found;
        }
        return std::optional<NamedVersion>();
    }

    std::array<std::size_t, formats.size()> ends{};
    std::deque<Rule> all;
    LiteralFilter filter;
};

UserAgentParser::UserAgentParser(std::string_view yaml, const std::string& file, bool compile_now,
                                 std::size_t cache_entries)
    : cache_(cache_entries) {
    pipeline::Diagnostics diagnostics;
    const std::optional<Node> root = pipeline::parse_node(yaml, file, diagnostics);
    if (!root || diagnostics.has_errors()) throw Error(diagnostics.text());
    rules_ = std::make_unique<const Rules>(*root, file);
    if (!compile_now) return;
    for (const Rule& rule : rules_->all) {
        try {
            rule.pattern();
        } catch (const Error& error) {
            throw Error(file + ": the regular expression [" + rule.regex() +
                        "] is not valid: " + error.what());
        }
    }
}

UserAgentParser::~UserAgentParser() = default;

Result<UserAgentPtr> UserAgentParser::parse(std::string_view text) const {
    if (UserAgentPtr known = cache_.find(text)) return known;
    const LiteralFilter::Set candidates = rules_->filter.candidates(text);
    auto agent = std::make_shared<UserAgent>();
    std::optional<NamedVersion>* parts[] = {&agent->browser, &agent->system, &agent->device};
    for (std::size_t i = 0; i < formats.size(); ++i) {
        auto found = rules_->find(i, text, candidates);
        if (!found) return found.error();
        *parts[i] = std::move(*found);
    }
    cache_.insert(text, agent);
    return UserAgentPtr(std::move(agent));
}

UserAgentParsers::UserAgentParsers(fs::path directory, std::size_t cache_entries)
    : directory_(std::move(directory)), cache_entries_(cache_entries) {}

std::shared_ptr<const UserAgentParser> UserAgentParsers::find(const std::string& file) const {
    const std::string name = file.empty() ? std::string(built_in) : file;
    const std::lock_guard lock(mutex_);
    const auto known = parsers_.find(name);
    if (known != parsers_.end()) return known->second;
    auto parser = load(name);
    if (parser) parsers_.emplace(name, parser);
    return parser;
}

std::shared_ptr<const UserAgentParser> UserAgentParsers::load(const std::string& file) const {
    if (file == built_in) {
        // The tests see to it that they all compile.
        return std::make_shared<UserAgentParser>(kUserAgentRegexes, "regexes.yaml", false,
                                                 cache_entries_);
    }
    // A name, and nothing that leads out of the directory.
    const fs::path name(file);
    if (directory_.empty() || name.filename() != name || name.extension() != ".yml") return nullptr;
    const fs::path path = directory_ / name;
    std::error_code problem;
    if (!fs::is_regular_file(path, problem)) return nullptr;
    std::ifstream in(path, std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    if (!in) throw Error("cannot read " + path.string());
    return std::make_shared<UserAgentParser>(content.str(), path.string(), true, cache_entries_);
}

}  // namespace penstock::processors
