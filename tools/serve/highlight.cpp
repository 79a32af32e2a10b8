#include "tools/serve/highlight.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "engine/document/json.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_body.h"

namespace penstock::serve {

namespace {

using document::Member;
using document::Value;

constexpr char kOpen = '\1';
constexpr char kClose = '\2';

std::string first_text(const Member& option) {
    if (option.value.is_array() && option.value.as_array().empty())
        throw illegal_argument("pre_tags or post_tags must not be empty");
    if (option.value.is_string()) return std::string(option.value.as_string());
    if (option.value.is_array() && !option.value.as_array().empty() &&
        option.value.as_array()[0].is_string())
        return std::string(option.value.as_array()[0].as_string());
    throw parsing_error("[highlight] [" + std::string(option.key()) + "] must be an array of tags");
}

std::size_t number(const Member& option) {
    if (!option.value.is_integer() || option.value.as_integer() < 0)
        throw parsing_error("[highlight] [" + std::string(option.key()) +
                            "] must be a number of at least zero");
    return static_cast<std::size_t>(option.value.as_integer());
}

/// A number, or one in a string; -1 is what the index allows.
std::size_t analyzed_offset(const Member& option) {
    const std::string text =
        option.value.is_string() ? std::string(option.value.as_string()) : json_text(option.value);
    if (text == "-1") return SIZE_MAX;
    std::size_t offset = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), offset);
    if (problem != std::errc() || end != text.data() + text.size() || offset == 0)
        throw illegal_argument("[max_analyzed_offset] must be a positive integer, or -1");
    return offset;
}

bool encodes_html(const Member& option) {
    const std::string name =
        option.value.is_string() ? std::string(option.value.as_string()) : json_text(option.value);
    if (name != "html" && name != "default")
        throw illegal_argument("[highlight] [encoder] is [default] or [html], not [" + name + "]");
    return name == "html";
}

bool read_option(const Member& option, HighlightField& field, const io::QueryOptions& options) {
    const std::string_view name = option.key();
    if (name == "pre_tags") {
        field.before = first_text(option);
    } else if (name == "post_tags") {
        field.behind = first_text(option);
    } else if (name == "fragment_size") {
        field.fragment_size = number(option);
    } else if (name == "number_of_fragments") {
        field.fragments = number(option);
    } else if (name == "no_match_size") {
        field.no_match_size = number(option);
    } else if (name == "require_field_match") {
        field.require_field_match = !option.value.is_boolean() || option.value.as_boolean();
    } else if (name == "highlight_query") {
        field.query = io::Query::parse(option.value, options);
    } else if (name == "max_analyzed_offset") {
        field.max_offset = analyzed_offset(option);
    } else if (name == "encoder") {
        field.as_html = encodes_html(option);
    } else {
        // What only says how to find the same words, or where to cut.
        static constexpr std::array<std::string_view, 7> harmless{
            "type",       "order",       "boundary_scanner", "boundary_chars", "boundary_max_scan",
            "fragmenter", "phrase_limit"};
        return std::find(harmless.begin(), harmless.end(), name) != harmless.end();
    }
    return true;
}

void read_field(const std::string& name, Value options, const HighlightField& common,
                const io::QueryOptions& query_options, HighlightRequest& request) {
    HighlightField field = common;
    field.pattern = name;
    if (options.is_object()) {
        for (const Member& option : options.as_object()) {
            if (!read_option(option, field, query_options))
                throw parsing_error("[highlight_field] unknown field [" +
                                    std::string(option.key()) + "]");
        }
    }
    request.fields.push_back(std::move(field));
}

struct Mark {
    std::size_t begin;
    std::size_t end;
};

bool ends_sentence(std::string_view text, std::size_t at) {
    if (text[at] == '\n') return true;
    const bool stop = text[at] == '.' || text[at] == '!' || text[at] == '?';
    return stop && (at + 1 == text.size() || text[at + 1] == ' ' || text[at + 1] == '\n');
}

bool is_blank(char c) {
    return c == ' ' || c == '\n';
}

/// The beginning of a character at or behind `at`.
std::size_t whole_character(std::string_view text, std::size_t at) {
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U)
        ++at;
    return at;
}

// What follows looks no further than `least` or `most`: a search through long sentences again and
// again would take a time that grows with the square of the text.

/// Behind the sentence that holds `at`; nothing when it ends behind `most`.
std::optional<std::size_t> sentence_end(std::string_view text, std::size_t at, std::size_t most) {
    for (; at < most; ++at) {
        if (ends_sentence(text, at)) return at + 1;
    }
    return most == text.size() ? std::optional(most) : std::nullopt;
}

/// Nothing when it begins before `least`.
std::optional<std::size_t> sentence_begin(std::string_view text, std::size_t at,
                                          std::size_t least) {
    const std::size_t mark = at;
    while (at > least && !ends_sentence(text, at - 1))
        --at;
    if (at > 0 && !ends_sentence(text, at - 1)) return std::nullopt;
    while (at < mark && text[at] == ' ')
        ++at;
    return at;
}

/// The end of the word at or behind `at`, or of what fits of it.
std::size_t word_end(std::string_view text, std::size_t at, std::size_t most) {
    while (at < most && !is_blank(text[at]))
        ++at;
    return whole_character(text, at);
}

std::size_t word_begin(std::string_view text, std::size_t at, std::size_t least) {
    while (at > least && !is_blank(text[at - 1]))
        --at;
    return whole_character(text, at);
}

/// The text around a mark, begun no earlier than where the last fragment ended.
Mark surroundings(std::string_view text, const Mark& mark, std::size_t last_end, std::size_t size) {
    const auto back = [&](std::size_t from, std::size_t bytes) {
        return from - std::min(from - last_end, bytes);
    };
    const auto forward = [&](std::size_t from, std::size_t bytes) {
        return from + std::min(text.size() - from, bytes);
    };
    Mark found{0, 0};
    const auto sentence = sentence_begin(text, mark.begin, back(mark.begin, size));
    if (sentence && mark.end - *sentence <= size) {
        found.begin = *sentence;
    } else {
        const std::size_t half = back(mark.begin, size / 2);
        found.begin = word_begin(text, half, back(half, size));
    }
    while (found.begin < mark.begin && is_blank(text[found.begin]))
        ++found.begin;
    const std::size_t most = std::max(mark.end, forward(found.begin, size));
    const auto end = sentence_end(text, mark.end, most);
    found.end = end ? *end : word_end(text, most, forward(most, size));
    for (auto next = end; next && *next < text.size(); found.end = *next) {
        next = sentence_end(text, *next + 1, most);
        if (!next) break;
    }
    return found;
}

/// The text as it stands, or as HTML shows it.
void append_text(std::string_view text, bool as_html, std::string& out) {
    if (!as_html) {
        out += text;
        return;
    }
    static constexpr std::array<std::pair<char, std::string_view>, 6> escapes{{{'&', "&amp;"},
                                                                               {'<', "&lt;"},
                                                                               {'>', "&gt;"},
                                                                               {'"', "&quot;"},
                                                                               {'\'', "&#x27;"},
                                                                               {'/', "&#x2F;"}}};
    for (const char c : text) {
        const auto* const escape = std::find_if(escapes.begin(), escapes.end(),
                                                [&](const auto& one) { return one.first == c; });
        if (escape == escapes.end()) {
            out.push_back(c);
        } else {
            out += escape->second;
        }
    }
}

/// The beginning of the field's first text, for a document without marks.
std::vector<std::string> beginning(std::string_view source, std::string_view path,
                                   const HighlightField& field) {
    std::vector<std::string> fragments;
    document::Arena arena;
    Value root;
    document::JsonError error;
    document::JsonOptions options;
    options.allow_duplicate_keys = true;
    if (!document::JsonParser().parse(source, arena, root, error, options)) return fragments;
    io::visit_values(root, path, [&](Value leaf) {
        if (!leaf.is_string()) return false;
        const std::string_view text = leaf.as_string();
        std::size_t end = std::min(text.size(), field.no_match_size);
        if (end < text.size()) {
            const std::size_t word = word_begin(text, end, 0);
            end = word > 0 ? word : whole_character(text, end);
        }
        while (end > 0 && is_blank(text[end - 1]))
            --end;
        append_text(text.substr(0, end), field.as_html, fragments.emplace_back());
        return true;
    });
    return fragments;
}

}  // namespace

HighlightRequest parse_highlight(Value value, const io::QueryOptions& query_options) {
    if (!value.is_object()) throw parsing_error("[highlight] must be an object");
    HighlightField common;
    const Value* fields = nullptr;
    for (const Member& option : value.as_object()) {
        if (option.key() == "fields") {
            fields = &option.value;
        } else if (option.key() == "tags_schema") {
            common.before = "<em class=\"hlt1\">";
        } else if (!read_option(option, common, query_options)) {
            throw parsing_error("[highlight] unknown field [" + std::string(option.key()) + "]");
        }
    }
    HighlightRequest request;
    if (fields == nullptr) return request;
    if (fields->is_object()) {
        for (const Member& field : fields->as_object())
            read_field(std::string(field.key()), field.value, common, query_options, request);
    } else if (fields->is_array()) {
        for (const Value& element : fields->as_array()) {
            if (!element.is_object()) throw parsing_error("[highlight] [fields] must hold objects");
            for (const Member& field : element.as_object())
                read_field(std::string(field.key()), field.value, common, query_options, request);
        }
    }
    return request;
}

std::vector<std::string> fragments_of(std::string_view marked, const HighlightField& field) {
    std::string text;
    std::vector<Mark> marks;
    for (const char c : marked) {
        if (c == kOpen) {
            marks.push_back({text.size(), text.size()});
        } else if (c == kClose && !marks.empty()) {
            marks.back().end = text.size();
        } else {
            text.push_back(c);
        }
    }
    std::erase_if(marks, [&](const Mark& mark) { return mark.end > field.max_offset; });
    std::vector<std::string> fragments;
    std::size_t last_end = 0;
    for (std::size_t i = 0; i < marks.size();) {
        Mark piece{0, text.size()};
        if (field.fragments > 0) {
            if (fragments.size() == field.fragments) break;
            piece = surroundings(text, marks[i], last_end, field.fragment_size);
        }
        std::string fragment;
        const auto append = [&](std::size_t begin, std::size_t end) {
            append_text(std::string_view(text).substr(begin, end - begin), field.as_html, fragment);
        };
        std::size_t copied = piece.begin;
        for (; i < marks.size() && marks[i].begin < piece.end; ++i) {
            piece.end = std::max(piece.end, marks[i].end);
            append(copied, marks[i].begin);
            fragment += field.before;
            append(marks[i].begin, marks[i].end);
            fragment += field.behind;
            copied = marks[i].end;
        }
        append(copied, piece.end);
        while (!fragment.empty() && is_blank(fragment.back()))
            fragment.pop_back();
        fragments.push_back(std::move(fragment));
        last_end = piece.end;
    }
    return fragments;
}

void write_highlight(document::JsonWriter& json, const HighlightRequest& request,
                     const io::Query* query, io::IndexSnapshot& snapshot, std::int64_t seq_no,
                     std::string_view source) {
    std::vector<std::pair<std::string, std::vector<std::string>>> found;
    for (const HighlightField& field : request.fields) {
        std::vector<std::string> names{field.pattern};
        if (field.pattern.find('*') != std::string::npos)
            names = snapshot.text_fields(field.pattern);
        for (const std::string& name : names) {
            std::vector<std::string> fragments;
            const io::Query* wanted = field.query ? field.query.get() : query;
            const std::vector<std::string> texts =
                wanted == nullptr ? std::vector<std::string>()
                                  : snapshot.highlight(*wanted, seq_no, name,
                                                       !field.require_field_match, "\1", "\2");
            for (const std::string& text : texts) {
                for (std::string& fragment : fragments_of(text, field)) {
                    if (field.fragments == 0 || fragments.size() < field.fragments)
                        fragments.push_back(std::move(fragment));
                }
            }
            if (fragments.empty() && field.no_match_size > 0)
                fragments = beginning(source, snapshot.field(name).path, field);
            if (!fragments.empty()) found.emplace_back(name, std::move(fragments));
        }
    }
    if (found.empty()) return;
    json.member_object("highlight", [&] {
        for (const auto& [name, fragments] : found) {
            json.member_array(name, [&json, &fragments = fragments] {
                for (const std::string& fragment : fragments)
                    json.value(fragment);
            });
        }
    });
}

}  // namespace penstock::serve
