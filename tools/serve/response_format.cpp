#include "tools/serve/response_format.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/document/json.h"
#include "tools/serve/api_error.h"
#include "tools/serve/readable.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using document::Arena;
using document::Array;
using document::Object;
using document::Value;

// ---- filter_path: Elasticsearch's wildcards, `**` for any depth, a leading `-` to leave out

using Pattern = std::vector<std::string>;

/// Where a pattern can stand after one more name: the numbers of its parts that are done.
struct State {
    const Pattern* pattern;
    std::size_t done;

    bool operator==(const State&) const = default;
};

/// True in `whole` when a pattern ends with this name.
std::vector<State> step(const std::vector<State>& states, std::string_view name, bool& whole) {
    std::vector<State> next;
    const auto add = [&](State state) {
        if (state.done == state.pattern->size()) {
            whole = true;
        } else if (std::find(next.begin(), next.end(), state) == next.end()) {
            next.push_back(state);  // once: `**.**.**` leads to each place in many ways
        }
    };
    for (const State& state : states) {
        const std::string& part = (*state.pattern)[state.done];
        if (part == "**") {
            add(state);
            if (state.done + 1 == state.pattern->size()) {
                whole = true;
            } else if (matches_wildcard((*state.pattern)[state.done + 1], name)) {
                add({state.pattern, state.done + 2});
            }
        } else if (matches_wildcard(part, name)) {
            add({state.pattern, state.done + 1});
        }
    }
    return next;
}

std::vector<State> initial(const std::vector<Pattern>& patterns) {
    std::vector<State> states;
    states.reserve(patterns.size());
    for (const Pattern& pattern : patterns)
        states.push_back({&pattern, 0});
    return states;
}

/// `keep`: what matches stays and all else goes; otherwise the other way round. Nothing is left of
/// objects and arrays that become empty.
bool filtered(Value value, const std::vector<State>& states, bool keep, Arena& arena, Value& out) {
    if (value.is_array()) {
        auto* array = arena.make<Array>();
        for (const Value& element : value.as_array()) {
            Value part;
            if (filtered(element, states, keep, arena, part)) array->push_back(part, arena);
        }
        out = Value::array(array);
        return array->size() > 0 || (!keep && value.as_array().size() == 0);
    }
    if (!value.is_object()) {
        out = value;
        return !keep;
    }
    auto* object = arena.make<Object>();
    for (const auto& member : value.as_object()) {
        bool whole = false;
        const std::vector<State> next = step(states, member.key(), whole);
        Value part = member.value;
        if (whole && !keep) continue;
        if (!whole && (next.empty() ? keep : !filtered(member.value, next, keep, arena, part)))
            continue;
        object->push_back(member.name(), part, arena);
    }
    out = Value::object(object);
    return object->size() > 0 || (!keep && value.as_object().size() == 0);
}

Value filter(Value value, const std::string& paths, Arena& arena) {
    std::vector<Pattern> kept;
    std::vector<Pattern> left_out;
    for (const std::string& path : split_list(paths)) {
        const bool out = path.front() == '-';
        Pattern pattern = split_list(std::string_view(path).substr(out), '.');
        if (!pattern.empty()) (out ? left_out : kept).push_back(std::move(pattern));
    }
    const Value nothing = Value::object(arena.make<Object>());
    if (!left_out.empty() && !filtered(value, initial(left_out), false, arena, value))
        return nothing;
    if (!kept.empty() && !filtered(value, initial(kept), true, arena, value)) return nothing;
    return value;
}

// ---- YAML

bool is_plain_yaml(std::string_view text) {
    if (text.empty()) return false;
    const auto is_word = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
    };
    if (!std::all_of(text.begin(), text.end(), is_word)) return false;
    static constexpr std::array<std::string_view, 10> words{"null", "true", "false", "yes", "no",
                                                            "on",   "off",  "y",     "n",   "nan"};
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return std::find(words.begin(), words.end(), lower) == words.end() && lower.front() != '.';
}

void write_yaml(Value value, std::size_t indent, std::string& out) {
    const auto below = [&](Value inner) {
        const bool block = (inner.is_object() && inner.as_object().size() > 0) ||
                           (inner.is_array() && inner.as_array().size() > 0);
        if (!block) {
            out.push_back(' ');
            document::write_json(inner, out);
            out.push_back('\n');
        } else {
            out.push_back('\n');
            write_yaml(inner, indent + 2, out);
        }
    };
    if (value.is_object()) {
        for (const auto& member : value.as_object()) {
            out.append(indent, ' ');
            if (is_plain_yaml(member.key())) {
                out.append(member.key());
            } else {
                document::write_json_string(member.key(), out);
            }
            out.push_back(':');
            below(member.value);
        }
    } else if (value.is_array()) {
        for (const Value& element : value.as_array()) {
            out.append(indent, ' ').push_back('-');
            below(element);
        }
    } else {
        out.append(indent, ' ');
        document::write_json(value, out);
        out.push_back('\n');
    }
}

// ---- media types

std::string lower_media_type(std::string_view header) {
    std::string type(header.substr(0, header.find(';')));
    type.erase(std::remove(type.begin(), type.end(), ' '), type.end());
    std::transform(type.begin(), type.end(), type.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return type;
}

enum class Media { any, json, yaml, binary, unknown };

Media media_of(std::string_view header) {
    const std::string type = lower_media_type(header);
    if (type.empty() || type == "*/*" || type == "application/*" || type == "text/*")
        return Media::any;
    if (type.ends_with("yaml")) return Media::yaml;
    if (type.ends_with("json") || type == "text/plain" || type == "application/x-ndjson" ||
        type == "application/x-www-form-urlencoded")
        return Media::json;
    if (type.ends_with("cbor") || type.ends_with("smile")) return Media::binary;
    return Media::unknown;
}

bool wants_yaml(const Request& request) {
    const std::string format = request.query.text("format");
    if (!format.empty()) return format == "yaml";
    const std::vector<std::string> accepted = split_list(request.header("accept"));
    return !accepted.empty() && media_of(accepted.front()) == Media::yaml;
}

/// A header's text between quotes: what is not plain ASCII as its code, as Elasticsearch writes it.
std::string header_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte > 0x7E || c == '%') {
            constexpr std::string_view kHex = "0123456789ABCDEF";
            out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
            continue;
        }
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
    }
    return out + '"';
}

}  // namespace

void add_warning(Response& response, const Compat& compat, std::string_view text) {
    response.headers.emplace_back(
        "Warning", std::string("299 ") +
                       (compat.is_elasticsearch() ? "Elasticsearch-" : "OpenSearch-") +
                       compat.number() + "-unknown " + header_text(text));
}

bool is_yaml(const Request& request) {
    return media_of(request.header("content-type")) == Media::yaml;
}

void check_media_types(const Request& request) {
    const std::string content = request.header("content-type");
    const Media media = media_of(content);
    if (request.body->present() && (media == Media::binary || media == Media::unknown)) {
        throw ApiError(406, "media_type_header_exception",
                       "Content-Type header [" + content +
                           "] is not supported; send application/json, application/x-ndjson or "
                           "application/yaml");
    }
    const std::vector<std::string> accepted = split_list(request.header("accept"));
    const auto is_binary = [](const std::string& one) { return media_of(one) == Media::binary; };
    const std::string format = request.query.text("format");
    if ((!accepted.empty() && std::all_of(accepted.begin(), accepted.end(), is_binary)) ||
        format == "cbor" || format == "smile") {
        throw ApiError(
            406, "media_type_header_exception",
            "Accept header [" + request.header("accept") + "] is not supported; JSON and YAML are");
    }
}

void check_common_parameters(const Request& request) {
    for (const char* name : {"pretty", "human", "error_trace"})
        request.query.flag(name);
}

void format_response(const Request& request, Response& response) {
    if (!response.content_type.starts_with("application/json") || response.body.empty()) return;
    const std::string* paths = request.query.find("filter_path");
    const bool yaml = wants_yaml(request);
    const bool pretty = request.query.flag("pretty");
    const bool human = request.query.flag("human") && has_readable_values(request.route);
    const bool traces = request.query.flag("error_trace");
    if (paths != nullptr || yaml || pretty || human || traces) {
        Arena arena;
        document::JsonParser parser;
        document::JsonError error;
        Value value;
        document::JsonOptions options;
        options.allow_duplicate_keys = true;
        if (!parser.parse(response.body, arena, value, error, options)) return;
        if (human) value = with_readable_values(value, arena);
        if (traces) value = with_stack_traces(value, arena);
        if (paths != nullptr && !paths->empty()) value = filter(value, *paths, arena);
        std::string out;
        if (yaml) {
            out = "---\n";
            write_yaml(value, 0, out);
        } else if (pretty) {
            document::write_pretty_json(value, out);
            out.push_back('\n');
        } else {
            document::write_json(value, out);
        }
        response.body = std::move(out);
    }
    // Who speaks the versioned media types is answered in them.
    const std::string accept = request.header("accept");
    if (yaml) {
        response.content_type = "application/yaml";
    } else if (const std::size_t at = accept.find("application/vnd.elasticsearch+json");
               at != std::string::npos) {
        response.content_type = accept.substr(at, accept.find(',', at) - at);
    }
}

}  // namespace penstock::serve
