#include "tools/serve/node_json.h"

#include "engine/document/json_writer.h"

namespace penstock::serve {

using pipeline::Node;

namespace {

void write_node(const Node& node, document::JsonWriter& json) {
    switch (node.kind) {
        case Node::Kind::map:
            json.object([&] {
                for (const Node::Entry& entry : node.entries) {
                    json.key(entry.key);
                    write_node(entry.value, json);
                }
            });
            return;
        case Node::Kind::list:
            json.array([&] {
                for (const Node& item : node.items)
                    write_node(item, json);
            });
            return;
        case Node::Kind::string:
            json.value(node.text);
            return;
        case Node::Kind::null:
            json.null();
            return;
        default:
            json.raw(node.text);
    }
}

}  // namespace

std::string to_json(const Node& node) {
    std::string out;
    document::JsonWriter json(out);
    write_node(node, json);
    return out;
}

}  // namespace penstock::serve
