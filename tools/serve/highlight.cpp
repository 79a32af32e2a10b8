#include "tools/serve/highlight.h"

#include <algorithm>
#include <array>

#include "tools/serve/api_error.h"
#include "tools/serve/json_body.h"

namespace penstock::serve {

namespace {

using document::Member;
using document::Value;

constexpr char kOpen = '\1';
constexpr char kClose = '\2';

std::string first_text(const Member& option) {
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

bool read_option(const Member& option, HighlightField& field) {
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
    } else {
        // What only says how to find the same words, or where to cut.
        static constexpr std::array<std::string_view, 9> harmless{"type",
                                                                  "order",
                                                                  "boundary_scanner",
                                                                  "boundary_chars",
                                                                  "boundary_max_scan",
                                                                  "fragmenter",
                                                                  "phrase_limit",
                                                                  "encoder",
                                                                  "max_analyzed_offset"};
        return std::find(harmless.begin(), harmless.end(), name) != harmless.end();
    }
    return true;
}

void read_field(const std::string& name, Value options, const HighlightField& common,
                HighlightRequest& request) {
    HighlightField field = common;
    field.pattern = name;
    if (options.is_object()) {
        for (const Member& option : options.as_object()) {
            if (!read_option(option, field))
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

/// Behind the sentence that holds `at`.
std::size_t sentence_end(std::string_view text, std::size_t at) {
    while (at < text.size() && !ends_sentence(text, at))
        ++at;
    return std::min(at + 1, text.size());
}

std::size_t sentence_begin(std::string_view text, std::size_t at) {
    while (at > 0 && !ends_sentence(text, at - 1))
        --at;
    while (at < text.size() && text[at] == ' ')
        ++at;
    return at;
}

/// The end of the word at or behind `at`.
std::size_t word_end(std::string_view text, std::size_t at) {
    while (at < text.size() && text[at] != ' ' && text[at] != '\n')
        ++at;
    return at;
}

std::size_t word_begin(std::string_view text, std::size_t at) {
    while (at > 0 && text[at - 1] != ' ' && text[at - 1] != '\n')
        --at;
    return at;
}

}  // namespace

HighlightRequest parse_highlight(Value value) {
    if (!value.is_object()) throw parsing_error("[highlight] must be an object");
    HighlightField common;
    const Value* fields = nullptr;
    for (const Member& option : value.as_object()) {
        if (option.key() == "fields") {
            fields = &option.value;
        } else if (option.key() == "tags_schema") {
            common.before = "<em class=\"hlt1\">";
        } else if (!read_option(option, common)) {
            throw parsing_error("[highlight] unknown field [" + std::string(option.key()) + "]");
        }
    }
    HighlightRequest request;
    if (fields == nullptr) return request;
    if (fields->is_object()) {
        for (const Member& field : fields->as_object())
            read_field(std::string(field.key()), field.value, common, request);
    } else if (fields->is_array()) {
        for (const Value& element : fields->as_array()) {
            if (!element.is_object()) throw parsing_error("[highlight] [fields] must hold objects");
            for (const Member& field : element.as_object())
                read_field(std::string(field.key()), field.value, common, request);
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
    std::vector<std::string> fragments;
    for (std::size_t i = 0; i < marks.size();) {
        std::size_t begin = 0;
        std::size_t end = text.size();
        if (field.fragments > 0) {
            if (fragments.size() == field.fragments) break;
            begin = sentence_begin(text, marks[i].begin);
            if (marks[i].end - begin > field.fragment_size)
                begin = word_begin(
                    text, marks[i].begin - std::min(marks[i].begin, field.fragment_size / 2));
            end = sentence_end(text, marks[i].end);
            while (end < text.size() && sentence_end(text, end + 1) - begin <= field.fragment_size)
                end = sentence_end(text, end + 1);
            if (end - begin > field.fragment_size)
                end = word_end(text, std::max(marks[i].end, begin + field.fragment_size));
        }
        std::string fragment;
        std::size_t copied = begin;
        for (; i < marks.size() && marks[i].begin < end; ++i) {
            end = std::max(end, marks[i].end);
            fragment.append(text, copied, marks[i].begin - copied);
            fragment += field.before;
            fragment.append(text, marks[i].begin, marks[i].end - marks[i].begin);
            fragment += field.behind;
            copied = marks[i].end;
        }
        fragment.append(text, copied, end - copied);
        while (!fragment.empty() && (fragment.back() == ' ' || fragment.back() == '\n'))
            fragment.pop_back();
        fragments.push_back(std::move(fragment));
    }
    return fragments;
}

void write_highlight(document::JsonWriter& json, const HighlightRequest& request,
                     const io::Query& query, io::IndexSnapshot& snapshot, std::int64_t seq_no) {
    std::vector<std::pair<std::string, std::vector<std::string>>> found;
    for (const HighlightField& field : request.fields) {
        std::vector<std::string> names{field.pattern};
        if (field.pattern.find('*') != std::string::npos)
            names = snapshot.text_fields(field.pattern);
        for (const std::string& name : names) {
            std::vector<std::string> fragments;
            for (const std::string& text :
                 snapshot.highlight(query, seq_no, name, !field.require_field_match, "\1", "\2")) {
                for (std::string& fragment : fragments_of(text, field)) {
                    if (field.fragments == 0 || fragments.size() < field.fragments)
                        fragments.push_back(std::move(fragment));
                }
            }
            if (!fragments.empty()) found.emplace_back(name, std::move(fragments));
        }
    }
    if (found.empty()) return;
    json.member_object("highlight", [&] {
        for (const auto& [name, fragments] : found) {
            json.member_array(name, [&] {
                for (const std::string& fragment : fragments)
                    json.value(fragment);
            });
        }
    });
}

}  // namespace penstock::serve
