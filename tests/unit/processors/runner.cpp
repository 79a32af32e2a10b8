#include "tests/unit/processors/runner.h"

#include <gtest/gtest.h>

#include "engine/document/json.h"
#include "engine/pipeline/definition.h"
#include "processors/builtin.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::Value;
using pipeline::Node;

namespace {

std::string json_text(Value value) {
    std::string text;
    document::write_json(value, text);
    return text;
}

DocumentText text_of(Document& document) {
    Arena arena;
    auto* meta = arena.make<document::Object>();
    for (std::size_t i = 0; i < document::meta_count; ++i) {
        auto which = static_cast<document::Meta>(i);
        if (document.meta(which).is_null()) continue;
        meta->set(document::meta_name(which), document.meta(which), arena);
    }
    return {json_text(document.source()), json_text(Value::object(meta))};
}

void set_meta(Document& document, const Node& meta) {
    for (const Node::Entry& entry : meta.entries) {
        bool known = false;
        for (std::size_t i = 0; i < document::meta_count; ++i) {
            auto which = static_cast<document::Meta>(i);
            if (document::meta_name(which) != entry.key) continue;
            document.set_meta(which, entry.value.to_value(document.arena()));
            known = true;
        }
        if (!known) ADD_FAILURE() << entry.key << " is no metadata field";
    }
}

std::vector<pipeline::PipelineDefinition> definitions(const std::vector<PipelineNodes>& pipelines,
                                                      const std::string& file,
                                                      pipeline::Diagnostics& diagnostics) {
    std::vector<pipeline::PipelineDefinition> all;
    for (const PipelineNodes& nodes : pipelines) {
        pipeline::PipelineDefinition definition;
        definition.id = nodes.id;
        definition.file = file;
        for (const Node& node : nodes.processors) {
            auto processor = pipeline::parse_processor(node, file, nodes.id, diagnostics);
            if (processor) definition.processors.push_back(std::move(*processor));
        }
        all.push_back(std::move(definition));
    }
    return all;
}

}  // namespace

Node processor_node(const std::string& name, const Node& options) {
    Node node;
    node.kind = Node::Kind::map;
    node.position = options.position;
    node.entries.push_back({name, options.position, options});
    return node;
}

RunResult run(const std::vector<PipelineNodes>& pipelines, const std::string& file,
              const Node& source, const Node& meta) {
    RunResult result;
    pipeline::Diagnostics diagnostics;
    auto all = definitions(pipelines, file, diagnostics);
    std::shared_ptr<const pipeline::PipelineSet> set;
    if (!diagnostics.has_errors())
        set = pipeline::PipelineSet::compile(std::move(all), builtin(), diagnostics);
    result.diagnostics = diagnostics.text();
    result.compiled = set != nullptr;
    if (!result.compiled) return result;

    Arena arena;
    Document document(arena);
    document.set_source(source.to_value(arena));
    set_meta(document, meta);
    document.commit();
    result.before = text_of(document);
    pipeline::Executor executor(set, *set->find(pipelines.front().id));
    executor.set_timestamp("2026-01-02T03:04:05.678Z");
    Document* documents[] = {&document};
    std::vector<pipeline::ExecutionResult> results;
    executor.run_sync(documents, results);
    result.execution = std::move(results.at(0));
    result.after = text_of(document);
    result.ingest = json_text(document.ingest());
    return result;
}

Node parse(std::string_view text, const std::string& file) {
    pipeline::Diagnostics diagnostics;
    std::optional<Node> node = pipeline::parse_node(text, file, diagnostics);
    if (node && !diagnostics.has_errors()) return std::move(*node);
    ADD_FAILURE() << file << ": " << diagnostics.text() << "\nin: " << text;
    return {};
}

const pipeline::Catalog& builtin() {
    static const pipeline::Catalog catalog = [] {
        pipeline::Catalog all;
        add_builtin(all);
        return all;
    }();
    return catalog;
}

std::string to_json(const Node& node) {
    Arena arena;
    return json_text(node.to_value(arena));
}

}  // namespace penstock::processors
