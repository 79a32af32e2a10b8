// What the families of routes about indices share: how their handlers run, and what most of them
// begin and end with.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/json_writer.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/node.h"
#include "tools/serve/router.h"

namespace penstock::serve {

/// What answers a request on the blocking pool; `body` is JSON, also where YAML came.
using IndexWork = Response (*)(Node& node, const Request& request, const std::string& body);

/// Adds routes whose handlers may block. All of them take the parameters that concern clusters of
/// several nodes, and which indices are meant.
class IndexRoutes {
  public:
    IndexRoutes(Router& router, Node& node) : router_(router), node_(node) {}
    void add(std::string_view methods, std::string_view pattern, IndexWork work,
             std::vector<std::string> parameters = {});

  private:
    Router& router_;
    Node& node_;
};

/// {"acknowledged": true}
Response acknowledged();
/// Says what the mappings in `body` (or below `template` in it) ask for in vain.
Response with_warnings(Response response, const Node& node, const JsonTree& body);

/// What the request's path names, as its parameters say; `reach`: of patterns where they do not
/// say. Throws ApiError 404.
std::vector<std::string> indices_of(Node& node, const Request& request, bool none_allowed = true,
                                    Reach reach = Reach::open);
/// The same for what needs open indices. Throws ApiError 404, and 400 for a closed one.
std::vector<std::string> open_indices_of(Node& node, const Request& request);
/// Throws ApiError 404.
IndexMetadata need_metadata(Node& node, const std::string& index);
/// "_shards"
void write_shards(document::JsonWriter& json, std::size_t count, std::size_t failed = 0);

void add_template_routes(IndexRoutes& routes);     ///< _index_template, _template, ...
void add_index_stats_routes(IndexRoutes& routes);  ///< _stats

}  // namespace penstock::serve
