// Templates for indices: composable ones, their components, and legacy ones.
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

bool names_one(const Request& request) {
    const std::string& name = request.part("name");
    return !name.empty() && name.find('*') == std::string::npos;
}

template <TemplateKind kind>
Response get_templates(Node& node, const Request& request, const std::string&) {
    constexpr bool composable = kind == TemplateKind::composable;
    const std::vector<StoredTemplate> found = find_templates(node, request, kind);
    if (found.empty() && names_one(request))
        throw resource_not_found(
            (composable ? "index template matching [" : "component template matching [") +
            request.part("name") + "] not found");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array(composable ? "index_templates" : "component_templates", [&] {
            for (const StoredTemplate& one : found) {
                json.object([&] {
                    json.member("name", one.name);
                    json.member_raw(composable ? "index_template" : "component_template", one.json);
                });
            }
        });
    });
    return Response::json(std::move(out));
}

Response get_legacy_templates(Node& node, const Request& request, const std::string&) {
    const std::vector<StoredTemplate> found = find_templates(node, request, TemplateKind::legacy);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const StoredTemplate& one : found) {
            JsonTree shown = JsonTree::parse(R"({"order":0})");
            shown.merge(JsonTree::parse(one.json));
            for (const char* part : {"settings", "mappings", "aliases"})
                shown.at(part);
            shown.set("settings", nest_settings(flatten_settings(*shown.find("settings"))));
            json.member_raw(one.name, shown.json());
        }
    });
    return Response::json(std::move(out), found.empty() && names_one(request) ? 404 : 200);
}

template <TemplateKind kind>
Response template_exists(Node& node, const Request& request, const std::string&) {
    return Response::text("", find_templates(node, request, kind).empty() ? 404 : 200);
}

template <TemplateKind kind>
Response delete_template(Node& node, const Request& request, const std::string&) {
    const std::vector<StoredTemplate> found = find_templates(node, request, kind);
    if (found.empty() && names_one(request)) {
        const std::string& name = request.part("name");
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
