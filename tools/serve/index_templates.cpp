#include "tools/serve/index_templates.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "engine/document/json.h"
#include "engine/io/query.h"
#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

/// Searches through the alias will ask it.
void check_filter(const JsonTree& filter, const std::string& alias) {
    try {
        io::Query::parse(filter.json());
    } catch (const io::QueryError& error) {
        throw illegal_argument("failed to parse filter for alias [" + alias + "]: " + error.what());
    }
}

/// true and false, also as texts.
JsonTree truth(const std::string& name, const JsonTree& value) {
    const std::string text = value.content();
    if (text != "true" && text != "false")
        throw illegal_argument("Failed to parse value [" + text + "] of [" + name +
                               "]: only [true] or [false] are allowed");
    return JsonTree::leaf(text);
}

std::vector<std::string> patterns_of(const JsonTree& body) {
    const JsonTree* patterns = body.find("index_patterns");
    if (patterns == nullptr) return {};
    if (!patterns->json().starts_with('[')) return split_list(patterns->content());
    document::Arena arena;
    document::Value value;
    document::JsonError error;
    document::JsonParser().parse(patterns->json(), arena, value, error);
    std::vector<std::string> all;
    for (const document::Value& pattern : value.as_array()) {
        if (pattern.is_string()) all.emplace_back(pattern.as_string());
    }
    return all;
}

std::vector<std::string> strings_of(const JsonTree* list) {
    JsonTree as_patterns;
    if (list == nullptr) return {};
    as_patterns.set("index_patterns", *list);
    return patterns_of(as_patterns);
}

std::int64_t number_of(const JsonTree& body, std::string_view name) {
    const JsonTree* member = body.find(name);
    std::int64_t number = 0;
    if (member == nullptr) return number;
    const std::string text = member->content();
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

bool applies(const JsonTree& body, const std::string& name) {
    const std::vector<std::string> patterns = patterns_of(body);
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches_wildcard(pattern, name); });
}

}  // namespace

JsonTree normalise_alias(const std::string& alias_name, const JsonTree& body) {
    static const std::set<std::string_view> known{
        "filter", "routing", "index_routing", "search_routing", "is_write_index", "is_hidden"};
    JsonTree alias;
    for (const auto& [name, value] : body.members()) {
        if (!known.contains(name)) throw illegal_argument("Unknown field [" + name + "] in alias");
        if (value.is_null() || name == "routing") continue;
        if (name == "filter") {
            check_filter(value, alias_name);
            alias.set(name, value);
        } else if (name.ends_with("routing")) {
            alias.set(name, JsonTree::text(value.content()));
        } else {
            alias.set(name, truth(name, value));
        }
    }
    const JsonTree* routing = body.find("routing");
    if (routing == nullptr || routing->is_null()) return alias;
    for (const char* name : {"index_routing", "search_routing"}) {
        // What is said of one of them alone goes before what is said of both.
        if (alias.find(name) == nullptr) alias.set(name, JsonTree::text(routing->content()));
    }
    return alias;
}

void Blueprint::add(const JsonTree& body) {
    if (const JsonTree* given = body.find("settings")) {
        for (auto& [name, value] : flatten_settings(*given))
            settings[name] = value;
    }
    if (const JsonTree* given = body.find("mappings"))
        mappings.merge(normalise_mappings(*given, &settings));
    if (const JsonTree* given = body.find("aliases")) {
        for (const auto& [name, alias] : given->members())
            aliases.set(name, normalise_alias(name, alias));
    }
}

IndexTemplates::IndexTemplates(const std::filesystem::path& directory)
    : files_{StateFile(directory / "index_templates.json"),
             StateFile(directory / "legacy_templates.json"),
             StateFile(directory / "component_templates.json")} {}

const StateFile& IndexTemplates::file(TemplateKind kind) const {
    return files_[static_cast<std::size_t>(kind)];
}

Blueprint IndexTemplates::blueprint(const std::string& name) const {
    Blueprint blueprint;
    const JsonTree* best = nullptr;
    std::vector<JsonTree> all;
    for (const auto& [id, json] : file(TemplateKind::composable).read()) {
        JsonTree body = JsonTree::parse(json);
        if (applies(body, name)) all.push_back(std::move(body));
    }
    for (const JsonTree& body : all) {
        if (best == nullptr || number_of(body, "priority") > number_of(*best, "priority"))
            best = &body;
    }
    if (best != nullptr) {
        add_components(*best, blueprint);
        if (const JsonTree* content = best->find("template")) blueprint.add(*content);
        return blueprint;
    }
    for (const auto& [id, json] : file(TemplateKind::legacy).read()) {
        JsonTree body = JsonTree::parse(json);
        if (applies(body, name)) all.push_back(std::move(body));
    }
    std::stable_sort(all.begin(), all.end(), [](const JsonTree& a, const JsonTree& b) {
        return number_of(a, "order") < number_of(b, "order");
    });
    for (const JsonTree& body : all)
        blueprint.add(body);
    return blueprint;
}

void IndexTemplates::add_components(const JsonTree& body, Blueprint& blueprint) const {
    const StateFile::States components = file(TemplateKind::component).read();
    for (const std::string& name : strings_of(body.find("composed_of"))) {
        const auto found = components.find(name);
        if (found == components.end()) continue;
        const JsonTree component = JsonTree::parse(found->second);
        if (const JsonTree* content = component.find("template")) blueprint.add(*content);
    }
}

void IndexTemplates::put(TemplateKind kind, const std::string& name, std::string_view body,
                         bool create) {
    const JsonTree given = JsonTree::parse(body);
    if (kind != TemplateKind::component && patterns_of(given).empty())
        throw action_validation({"index patterns are missing"});
    if (given.find("data_stream") != nullptr)
        throw illegal_argument("data streams are not supported");
    Blueprint checked;
    if (kind == TemplateKind::composable) add_components(given, checked);
    const JsonTree* content = kind == TemplateKind::legacy ? &given : given.find("template");
    if (content != nullptr) checked.add(*content);
    check_settings(checked.settings);
    check_field_limit(checked.mappings, checked.settings);
    // A component's aliases may lead to fields of another one.
    if (kind != TemplateKind::component) check_field_aliases(checked.mappings);
    vector_mappings(checked.mappings);
    const StateFile::States components = file(TemplateKind::component).read();
    for (const std::string& component : strings_of(given.find("composed_of"))) {
        if (!components.contains(component))
            throw ApiError(400, "invalid_index_template_exception",
                           "index_template [" + name + "] invalid, cause [index template [" + name +
                               "] specifies a missing component template [" + component +
                               "] that does not exist]");
    }
    const std::lock_guard one(change_);
    if (create && file(kind).read().contains(name))
        throw illegal_argument("index template [" + name + "] already exists");
    file(kind).put(name, given.json());
}

bool IndexTemplates::remove(TemplateKind kind, const std::string& name) {
    const std::lock_guard one(change_);
    return file(kind).remove(name);
}

std::vector<StoredTemplate> IndexTemplates::match(TemplateKind kind,
                                                  std::string_view pattern) const {
    std::vector<StoredTemplate> found;
    for (const auto& [name, json] : file(kind).read()) {
        if (pattern.empty() || matches_wildcard(pattern, name)) found.push_back({name, json});
    }
    return found;
}

}  // namespace penstock::serve
