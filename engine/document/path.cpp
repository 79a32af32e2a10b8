#include "engine/document/path.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace penstock::document {

namespace {

constexpr std::array<std::string_view, meta_count> meta_names = {
    "_index",   "_id",        "_routing",         "_version",          "_version_type",
    "_op_type", "_if_seq_no", "_if_primary_term", "_dynamic_templates"};

}  // namespace

std::optional<Meta> meta_named(std::string_view name) {
    if (!name.starts_with('_')) return std::nullopt;
    for (std::size_t i = 0; i < meta_count; ++i) {
        if (meta_names[i] == name) return static_cast<Meta>(i);
    }
    return std::nullopt;
}

std::int32_t list_index(std::string_view key) {
    std::int32_t value = -1;
    auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), value);
    return error == std::errc() && end == key.data() + key.size() && value >= 0 ? value : -1;
}

std::string_view meta_name(Meta meta) {
    return meta_names[static_cast<std::size_t>(meta)];
}

Result<FieldPath> FieldPath::parse(std::string_view text, AccessPattern access) {
    if (text.empty()) return failure("path cannot be null nor empty");
    FieldPath path;
    path.text_ = text;
    path.access_ = access;
    std::size_t begin = 0;
    if (text.starts_with("_ingest.")) {
        path.root_ = Root::ingest;
        begin = 8;
    } else if (text.starts_with("_source.")) {
        begin = 8;
    }
    // As Java's String.split: empty segments count, except at the end.
    std::size_t end = text.size();
    while (end > begin && text[end - 1] == '.')
        --end;
    if (begin == end) return failure("path [" + path.text_ + "] is not valid");
    std::string_view keys = text.substr(begin, end - begin);
    path.segments_.reserve(static_cast<std::size_t>(std::count(keys.begin(), keys.end(), '.')) + 1);
    for (std::size_t at = begin; at <= end;) {
        std::size_t dot = std::min(text.find('.', at), end);
        std::string_view key = text.substr(at, dot - at);
        path.segments_.push_back({static_cast<std::uint32_t>(at),
                                  static_cast<std::uint32_t>(key.size()), Key::hash_of(key),
                                  list_index(key)});
        at = dot + 1;
    }
    std::optional<Meta> meta;
    if (path.root_ == Root::source && begin == 0) meta = meta_named(path.key(0));
    if (meta) {
        path.root_ = Root::meta;
        path.meta_ = *meta;
        path.segments_.erase(path.segments_.begin());
    }
    return path;
}

}  // namespace penstock::document
