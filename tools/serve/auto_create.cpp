#include "tools/serve/auto_create.h"

#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

ApiError forbidden(const std::string& index, const std::string& why) {
    return ApiError(404, "index_not_found_exception",
                    "no such index [" + index + "] and [action.auto_create_index] " + why)
        .with_text("index_uuid", "_na_")
        .with_text("index", index);
}

}  // namespace

AutoCreate AutoCreate::parse(const std::string& setting) {
    AutoCreate made;
    made.setting_ = setting;
    if (setting == "true" || setting == "false") return made;
    for (const std::string& text : split_list(setting)) {
        const bool marked = text.starts_with('+') || text.starts_with('-');
        Rule rule{text, text.substr(marked ? 1 : 0), !text.starts_with('-')};
        if (rule.pattern.empty()) {
            throw illegal_argument("Can't parse [" + setting +
                                   "] for setting [action.auto_create_index] must contain an "
                                   "index pattern after [" +
                                   text + "]");
        }
        made.rules_.push_back(std::move(rule));
    }
    if (made.rules_.empty()) {
        throw illegal_argument("Can't parse [" + setting +
                               "] for setting [action.auto_create_index] must be either [true, "
                               "false, or a comma separated list of index patterns]");
    }
    return made;
}

void AutoCreate::check(const std::string& index) const {
    if (setting_ == "true") return;
    if (setting_ == "false") throw forbidden(index, "is [false]");
    for (const Rule& rule : rules_) {
        if (!matches_wildcard(rule.pattern, index)) continue;
        if (rule.allows) return;
        throw forbidden(
            index, "contains [" + rule.text + "] which forbids automatic creation of the index");
    }
    throw forbidden(index, "([" + setting_ + "]) doesn't match");
}

}  // namespace penstock::serve
