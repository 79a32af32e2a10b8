#include "tools/serve/source_filter.h"

#include <algorithm>

#include "engine/document/json.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_body.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using document::Arena;
using document::Array;
using document::Object;
using document::Value;

/// `a` takes `a.b` with it, and `*.b` takes any `x.b`.
bool covers(const std::string& pattern, std::string_view path) {
    return matches_wildcard(pattern, path) || matches_wildcard(pattern + ".*", path);
}

/// Something below `path` may be covered.
bool may_cover_below(const std::string& pattern, std::string_view path) {
    if (pattern.starts_with(std::string(path) + ".")) return true;
    const std::size_t star = pattern.find('*');
    if (star == std::string::npos) return false;
    const std::string below = std::string(path) + ".";
    const std::size_t shared = std::min(star, below.size());
    return std::string_view(pattern).substr(0, shared) == std::string_view(below).substr(0, shared);
}

class Filtering {
  public:
    Filtering(const SourceFilter& filter, Arena& arena) : filter_(filter), arena_(arena) {}

    /// `inside`: an include covers this already. False when nothing is left.
    bool run(Value value, const std::string& path, bool inside, Value& out) {
        if (value.is_object()) return object(value.as_object(), path, inside, out);
        if (value.is_array()) return array(value.as_array(), path, inside, out);
        out = value;
        return inside;
    }

  private:
    bool array(const Array& from, const std::string& path, bool inside, Value& out) {
        auto* to = arena_.make<Array>();
        for (const Value& element : from) {
            Value part;
            if (run(element, path, inside, part)) to->push_back(part, arena_);
        }
        out = Value::array(to);
        return inside || to->size() > 0;
    }

    bool object(const Object& from, const std::string& path, bool inside, Value& out) {
        auto* to = arena_.make<Object>();
        for (const auto& member : from) {
            const std::string name =
                path.empty() ? std::string(member.key()) : path + "." + std::string(member.key());
            const auto covering = [&](const std::string& pattern) { return covers(pattern, name); };
            const auto below = [&](const std::string& pattern) {
                return may_cover_below(pattern, name);
            };
            if (std::any_of(filter_.excludes.begin(), filter_.excludes.end(), covering)) continue;
            const bool now =
                inside || std::any_of(filter_.includes.begin(), filter_.includes.end(), covering);
            if (!now && std::none_of(filter_.includes.begin(), filter_.includes.end(), below))
                continue;
            Value part;
            if (run(member.value, name, now, part)) to->push_back(member.name(), part, arena_);
        }
        out = Value::object(to);
        return inside || to->size() > 0;
    }

    const SourceFilter& filter_;
    Arena& arena_;
};

std::vector<std::string> names_of(const Value& value) {
    std::vector<std::string> names;
    if (value.is_string()) names.emplace_back(value.as_string());
    if (value.is_array()) {
        for (const Value& one : value.as_array()) {
            if (!one.is_string()) throw parsing_error("[_source] must be a list of names");
            names.emplace_back(one.as_string());
        }
    }
    return names;
}

}  // namespace

SourceFilter SourceFilter::from(const Parameters& query) {
    SourceFilter filter;
    if (const std::string* source = query.find("_source")) {
        if (*source == "false") {
            filter.fetch = false;
        } else if (*source != "true" && !source->empty()) {
            filter.includes = split_list(*source);
        }
    }
    for (const char* name : {"_source_includes", "_source_include"}) {
        for (std::string& one : query.list(name))
            filter.includes.push_back(std::move(one));
    }
    for (const char* name : {"_source_excludes", "_source_exclude"}) {
        for (std::string& one : query.list(name))
            filter.excludes.push_back(std::move(one));
    }
    return filter;
}

SourceFilter SourceFilter::from(Value value) {
    SourceFilter filter;
    if (value.is_boolean()) {
        filter.fetch = value.as_boolean();
    } else if (value.is_string() || value.is_array()) {
        filter.includes = names_of(value);
    } else if (value.is_object()) {
        for (const auto& member : value.as_object()) {
            const std::string_view key = member.key();
            if (key == "includes" || key == "include") {
                filter.includes = names_of(member.value);
            } else if (key == "excludes" || key == "exclude") {
                filter.excludes = names_of(member.value);
            } else {
                throw parsing_error("Unknown key for a VALUE in [" + std::string(key) + "].");
            }
        }
    } else if (!value.is_null()) {
        throw parsing_error("[_source] must be a boolean, a name, a list of names or an object");
    }
    return filter;
}

std::string SourceFilter::apply(std::string source) const {
    if (keeps_all()) return source;
    Arena arena;
    const auto value = parse_stored(source, arena);
    if (!value) return "{}";  // what cannot be filtered is not shown
    Value kept;
    Filtering(*this, arena).run(*value, "", includes.empty(), kept);
    std::string out;
    document::write_json(kept, out);
    return out;
}

}  // namespace penstock::serve
