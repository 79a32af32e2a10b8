#include "tools/serve/index_names.h"

#include <algorithm>
#include <map>
#include <optional>

#include "engine/io/index.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

bool is_hidden(std::string_view name) {
    return name.starts_with('.');
}

}  // namespace

namespace {

/// `expand_wildcards`
void take_reach(const std::vector<std::string>& kinds, ExpandOptions& options) {
    bool open = false;
    bool closed = false;
    bool none = false;
    for (const std::string& kind : kinds) {
        const bool all = kind == "all";
        open = open || all || kind == "open";
        closed = closed || all || kind == "closed";
        options.hidden = options.hidden || all || kind == "hidden";
        none = none || kind == "none";
        if (!all && kind != "open" && kind != "closed" && kind != "hidden" && kind != "none")
            throw illegal_argument("No valid expand wildcard value [" + kind + "]");
    }
    // "hidden" alone says nothing of open and closed.
    if (!open && !closed && !none) return;
    options.open = open;
    options.closed = closed;
}

}  // namespace

ExpandOptions ExpandOptions::from(const Parameters& parameters, bool none_allowed, Reach reach) {
    ExpandOptions options;
    options.ignore_unavailable = parameters.flag("ignore_unavailable", false);
    options.allow_no_indices = parameters.flag("allow_no_indices", none_allowed);
    options.open = reach != Reach::closed;
    options.closed = reach != Reach::open;
    take_reach(parameters.list("expand_wildcards"), options);
    return options;
}

ExpandOptions ExpandOptions::for_documents() {
    ExpandOptions options;
    options.closed = false;
    options.forbid_closed = true;
    return options;
}

ExpandOptions ExpandOptions::for_documents(const Parameters& parameters) {
    ExpandOptions options = from(parameters);
    options.forbid_closed = true;
    return options;
}

bool is_pattern(std::string_view text) {
    return text.find('*') != std::string_view::npos || text == "_all";
}

bool fits_pattern(std::string_view pattern, std::string_view name) {
    return pattern == "_all" || matches_wildcard(pattern, name);
}

bool is_system_index(std::string_view name) {
    return name == kTasksIndex;
}

bool names_system_index(std::string_view name_or_pattern) {
    return is_hidden(name_or_pattern) && matches_wildcard(name_or_pattern, kTasksIndex);
}

void check_changeable(std::string_view index) {
    if (!is_system_index(index)) return;
    throw ApiError(403, "security_exception",
                   "index [" + std::string(index) +
                       "] is kept by the server itself: it can be read and deleted, but not "
                       "written to or changed");
}

void check_new_index_name(const std::string& name) {
    try {
        io::check_index_name(name);
        if (name.front() == '.')
            throw Error("Invalid index name [" + name + "], must not start with '.'");
    } catch (const Error& error) {
        throw ApiError(400, "invalid_index_name_exception", error.what())
            .with_text("index_uuid", "_na_")
            .with_text("index", name);
    }
}

void check_alias_name(const std::string& alias, const io::IndexStore& store,
                      const std::set<std::string>& going) {
    const auto refuse = [&](const std::string& why) {
        throw ApiError(400, "invalid_alias_name_exception",
                       "Invalid alias name [" + alias + "]: " + why);
    };
    // Aliases may have capital letters; all else is as for indices.
    std::string name = alias;
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    try {
        io::check_index_name(name);
    } catch (const Error& error) {
        const std::string_view what = error.what();
        refuse(std::string(what.substr(what.rfind("], ") + 3)));
    }
    if (is_system_index(alias)) refuse("the server itself keeps an index of this name");
    if (name == alias && store.exists(alias) && !going.contains(alias))
        refuse("an index or data stream exists with the same name as the alias");
}

namespace {

/// Each pattern is compared with all names.
constexpr std::size_t kLongestPatterns = 16 * 1024;
constexpr std::size_t kLongestExpression = 1024 * 1024;

ApiError underscored_name(const std::string& name) {
    return ApiError(400, "invalid_index_name_exception",
                    "Invalid index name [" + name + "], must not start with '_'.")
        .with_text("index_uuid", "_na_")
        .with_text("index", name);
}

/// What single parts of an expression reach. Aliases are read when they are asked for, once.
class NameLookup {
  public:
    /// `names`: of all indices, sorted.
    NameLookup(std::vector<std::string> names, const ExpandOptions& options, ReadAll everything,
               IsClosed is_closed)
        : names_(std::move(names)),
          options_(options),
          everything_(std::move(everything)),
          is_closed_(std::move(is_closed)) {}

    /// Indices of this name or pattern, and with `aliases` those that have such an alias.
    std::vector<std::string> find(const std::string& part, bool aliases) {
        return is_pattern(part) ? by_pattern(part, aliases) : by_name(part, aliases);
    }

    /// Of what a name has reached: throws for what is closed, or takes it away.
    void check_open(std::vector<std::string>& reached) const {
        if (!options_.forbid_closed) return;
        std::erase_if(reached, [&](const std::string& name) {
            if (!is_closed_(name)) return false;
            if (!options_.ignore_unavailable) throw index_closed(name);
            return true;
        });
    }

  private:
    using Aliases = std::map<std::string, std::vector<std::string>>;

    std::vector<std::string> by_name(const std::string& name, bool with_aliases) {
        if (std::binary_search(names_.begin(), names_.end(), name)) return {name};
        if (!with_aliases) return {};
        const auto found = aliases().find(name);
        return found == aliases().end() ? std::vector<std::string>{} : found->second;
    }

    std::vector<std::string> by_pattern(const std::string& pattern, bool with_aliases) {
        const bool hidden = options_.hidden || is_hidden(pattern);
        std::vector<std::string> found;
        std::size_t reachable = 0;
        for (const std::string& name : names_) {
            if (!hidden && is_hidden(name)) continue;
            ++reachable;
            if (fits_pattern(pattern, name)) found.push_back(name);
        }
        if (with_aliases && found.size() < reachable) {
            for (const auto& [alias, indices] : aliases()) {
                if (fits_pattern(pattern, alias))
                    found.insert(found.end(), indices.begin(), indices.end());
            }
        }
        if (options_.open && options_.closed) return found;
        std::erase_if(found, [&](const std::string& name) {
            return is_closed_(name) ? !options_.closed : !options_.open;
        });
        return found;
    }

    const Aliases& aliases() {
        if (aliases_) return *aliases_;
        aliases_.emplace();
        for (const auto& index : everything_()) {
            for (const auto& [alias, content] : index->aliases)
                (*aliases_)[alias].push_back(index->name);
        }
        return *aliases_;
    }

    std::vector<std::string> names_;
    ExpandOptions options_;
    ReadAll everything_;
    IsClosed is_closed_;
    std::optional<Aliases> aliases_;
};

}  // namespace

void check_expression(std::string_view expression) {
    const auto check = [](const char* what, std::size_t size, std::size_t most) {
        if (size > most)
            throw illegal_argument(
                std::string("the ") + what + " of indices are too long, must be no longer than " +
                std::to_string(most) + " bytes but were: " + std::to_string(size) +
                "; name them by a pattern or an alias");
    };
    if (expression.size() <= kLongestPatterns) return;
    check("names", expression.size(), kLongestExpression);
    std::size_t patterns = 0;
    for (const std::string& part : split_list(expression)) {
        if (is_pattern(part) || part.front() == '-') patterns += part.size() + 1;
    }
    check("patterns", patterns, kLongestPatterns);
}

std::vector<std::string> expand_names(std::string_view expression, const ExpandOptions& options,
                                      std::vector<std::string> names, ReadAll all,
                                      IsClosed is_closed) {
    check_expression(expression);
    if (expression.empty()) expression = "_all";
    const bool expands = options.open || options.closed;
    NameLookup lookup(std::move(names), options, std::move(all), std::move(is_closed));
    std::set<std::string> found;
    std::set<std::string> included;  // parts that would add nothing more
    bool after_pattern = false;
    for (std::string part : split_list(expression)) {
        const bool exclude = after_pattern && part.front() == '-';
        if (exclude) part.erase(0, 1);
        const bool pattern = is_pattern(part) && expands;
        if (part.front() == '_' && part != "_all") throw underscored_name(part);
        after_pattern = after_pattern || pattern;
        if (!exclude && !included.insert(part).second) continue;
        std::vector<std::string> reached;
        if (pattern || !is_pattern(part)) reached = lookup.find(part, !exclude && options.aliases);
        if (exclude) {
            included.clear();
            for (const std::string& name : reached)
                found.erase(name);
            continue;
        }
        const bool may_lack = pattern ? options.allow_no_indices : options.ignore_unavailable;
        if (reached.empty() && !may_lack) throw index_not_found(part);
        if (!pattern) lookup.check_open(reached);
        found.insert(reached.begin(), reached.end());
    }
    if (found.empty() && !options.allow_no_indices) throw index_not_found(std::string(expression));
    return {found.begin(), found.end()};
}

}  // namespace penstock::serve
