// Templates for indices: composable ones, their components, and legacy ones.
#include <algorithm>

#include "engine/document/json_writer.h"
#include "tools/serve/api_error.h"
#include "tools/serve/index_routes.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/json_tree.h"

namespace penstock::serve {

namespace {

using document::JsonWriter;

template <TemplateKind kind>
Response put_template(Node& node, const Request& request, const std::string& body) {
    if (body.empty()) throw parsing_error("request body is required");
    node.indices->templates().put(kind, request.part("name"), body,
                                  request.query.flag("create", false));
    return with_warnings(acknowledged(), node, JsonTree::parse(body));
}

/// A template with what clients may write in several ways brought into one form.
JsonTree shown_template(const JsonTree& body, bool flat) {
    JsonTree shown = body;
    if (const JsonTree* patterns = body.find("index_patterns"); patterns != nullptr) {
        std::string list;
        if (!patterns->json().starts_with('[')) {
            for (const std::string& pattern : split_list(patterns->content()))
                list += (list.empty() ? "" : ",") + JsonTree::text(pattern).json();
            shown.set("index_patterns", JsonTree::leaf("[" + list + "]"));
        }
    }
    if (const JsonTree* settings = body.find("settings"))
        shown.set("settings", shown_settings(flatten_settings(*settings), flat));
    if (const JsonTree* aliases = body.find("aliases")) {
        JsonTree normal;
        for (const auto& [name, alias] : aliases->members())
            normal.set(name, normalise_alias(name, alias));
        shown.set("aliases", std::move(normal));
    }
    if (const JsonTree* mappings = body.find("mappings"))
        shown.set("mappings", normalise_mappings(*mappings));
    if (const JsonTree* content = body.find("template"))
        shown.set("template", shown_template(*content, flat));
    return shown;
}

std::vector<StoredTemplate> find_templates(Node& node, const Request& request, TemplateKind kind) {
    std::vector<StoredTemplate> found;
    const std::vector<std::string> patterns = split_list(request.part("name"));
    if (patterns.empty()) return node.indices->templates().match(kind, "");
    for (const std::string& pattern : patterns) {
        for (StoredTemplate& one : node.indices->templates().match(kind, pattern))
            found.push_back(std::move(one));
    }
    return found;
}

/// What is asked for by its name and is not among the `found`; nothing when all templates are
/// meant.
std::vector<std::string> missing_templates(const Request& request,
                                           const std::vector<StoredTemplate>& found) {
    std::vector<std::string> missing;
    for (const std::string& name : split_list(request.part("name"))) {
        const auto is_it = [&](const StoredTemplate& one) { return one.name == name; };
        if (!is_pattern(name) && std::none_of(found.begin(), found.end(), is_it))
            missing.push_back(name);
    }
    return missing;
}

/// Of a list: patterns that fit nothing are 404 too, with what there is: nothing.
int status_of(const Request& request, const std::vector<StoredTemplate>& found) {
    return found.empty() && !request.part("name").empty() ? 404 : 200;
}

template <TemplateKind kind>
Response get_templates(Node& node, const Request& request, const std::string&) {
    constexpr bool composable = kind == TemplateKind::composable;
    const std::vector<StoredTemplate> found = find_templates(node, request, kind);
    if (const auto missing = missing_templates(request, found); !missing.empty())
        throw resource_not_found(
            (composable ? "index template matching [" : "component template matching [") +
            missing.front() + "] not found");
    const bool flat = request.query.flag("flat_settings");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array(composable ? "index_templates" : "component_templates", [&] {
            for (const StoredTemplate& one : found) {
                json.object([&] {
                    json.member("name", one.name);
                    json.member_raw(composable ? "index_template" : "component_template",
                                    shown_template(JsonTree::parse(one.json), flat).json());
                });
            }
        });
    });
    return Response::json(std::move(out), status_of(request, found));
}

Response get_legacy_templates(Node& node, const Request& request, const std::string&) {
    const std::vector<StoredTemplate> found = find_templates(node, request, TemplateKind::legacy);
    const bool flat = request.query.flag("flat_settings");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const StoredTemplate& one : found) {
            JsonTree whole = JsonTree::parse(R"({"order":0})");
            whole.merge(JsonTree::parse(one.json));
            for (const char* part : {"settings", "mappings", "aliases"})
                whole.at(part);
            json.member_raw(one.name, shown_template(whole, flat).json());
        }
    });
    return Response::json(std::move(out), status_of(request, found));
}

template <TemplateKind kind>
Response template_exists(Node& node, const Request& request, const std::string&) {
    return Response::text("", find_templates(node, request, kind).empty() ? 404 : 200);
}

template <TemplateKind kind>
Response delete_template(Node& node, const Request& request, const std::string&) {
    const std::vector<StoredTemplate> found = find_templates(node, request, kind);
    if (const auto missing = missing_templates(request, found); !missing.empty()) {
        const std::string& name = missing.front();
        throw kind == TemplateKind::component
            ? resource_not_found("component_template [" + name + "] missing")
            : ApiError(404, "index_template_missing_exception",
                       "index_template [" + name + "] missing");
    }
    for (const StoredTemplate& one : found)
        node.indices->templates().remove(kind, one.name);
    return acknowledged();
}

template <TemplateKind kind>
void add_templates(IndexRoutes& routes, const std::string& path, IndexWork get) {
    routes.add("PUT POST", path + "/{name}", put_template<kind>, {"create", "cause", "order"});
    routes.add("GET", path, get);
    routes.add("GET", path + "/{name}", get);
    routes.add("HEAD", path + "/{name}", template_exists<kind>);
    routes.add("DELETE", path + "/{name}", delete_template<kind>);
}

}  // namespace

void add_template_routes(IndexRoutes& routes) {
    add_templates<TemplateKind::composable>(routes, "/_index_template",
                                            get_templates<TemplateKind::composable>);
    add_templates<TemplateKind::component>(routes, "/_component_template",
                                           get_templates<TemplateKind::component>);
    add_templates<TemplateKind::legacy>(routes, "/_template", get_legacy_templates);
}

}  // namespace penstock::serve
