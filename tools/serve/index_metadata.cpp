#include "tools/serve/index_metadata.h"

#include <algorithm>
#include <charconv>

#include "engine/io/date_math.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/random_id.h"
#include "tools/serve/shard_routing.h"

namespace penstock::serve {

namespace {

std::map<std::string, std::string> alias_texts(const JsonTree& aliases) {
    std::map<std::string, std::string> texts;
    for (const auto& [name, alias] : aliases.members())
        texts.emplace(name, alias.json());
    return texts;
}

std::int64_t number_of(const FlatSettings& settings, std::string_view name,
                       std::int64_t otherwise) {
    const std::string text = setting(settings, name);
    std::int64_t number = otherwise;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return std::max<std::int64_t>(number, 1);
}

/// Leaves it as it is where the settings say no such number.
void take_limit(const FlatSettings& settings, std::string_view name, std::size_t& limit) {
    const std::string text = setting(settings, name);
    std::size_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem == std::errc() && end == text.data() + text.size()) limit = number;
}

SearchLimits limits_of(const FlatSettings& settings) {
    SearchLimits limits;
    take_limit(settings, "index.max_result_window", limits.result_window);
    take_limit(settings, "index.max_docvalue_fields_search", limits.docvalue_fields);
    take_limit(settings, "index.max_slices_per_scroll", limits.slices);
    take_limit(settings, "index.max_terms_count", limits.terms);
    return limits;
}

void take_mappings(IndexMetadata& metadata) {
    const JsonTree mappings = JsonTree::parse(metadata.mappings);
    const JsonTree* source = mappings.find("_source");
    const JsonTree* enabled = source == nullptr ? nullptr : source->find("enabled");
    metadata.keeps_source = enabled == nullptr || enabled->content() != "false";
}

IndexMetadata read_metadata(io::IndexStore& store, const std::string& name) {
    const std::map<std::string, std::string> attributes = store.attributes(name);
    const auto text = [&](const char* key) {
        const auto found = attributes.find(key);
        return found == attributes.end() ? std::string() : found->second;
    };
    IndexMetadata metadata;
    metadata.name = name;
    metadata.uuid = text("uuid");
    metadata.settings = text("settings");
    metadata.mappings = text("mappings").empty() ? "{}" : text("mappings");
    metadata.aliases = alias_texts(JsonTree::parse(text("aliases")));
    metadata.closed = text("state") == "close";
    metadata.created_millis = io::parse_date(store.info(name).created).value_or(0);
    if (metadata.uuid.empty() || metadata.settings.empty()) {
        metadata.uuid = random_uuid();
        FlatSettings settings = settings_of(metadata.settings);
        add_defaults(settings, name, metadata.uuid, metadata.created_millis);
        metadata.settings = nest_settings(settings).json();
        store.set_attributes(name, {{"uuid", metadata.uuid}, {"settings", metadata.settings}});
    }
    take_settings(metadata);
    take_mappings(metadata);
    return metadata;
}

}  // namespace

FlatSettings settings_of(const std::string& json) {
    return flatten_settings(JsonTree::parse(json));
}

void take_settings(IndexMetadata& metadata) {
    const FlatSettings settings = settings_of(metadata.settings);
    const auto pipeline = [&](std::string_view name) {
        const std::string id = setting(settings, name);
        return id == "_none" ? std::string() : id;
    };
    metadata.default_pipeline = pipeline("index.default_pipeline");
    metadata.final_pipeline = pipeline("index.final_pipeline");
    metadata.visibility = setting(settings, kRefreshInterval) == "-1" ? io::Visibility::on_refresh
                                                                      : io::Visibility::at_once;
    metadata.shards = number_of(settings, "index.number_of_shards", 1);
    metadata.routing_shards = number_of(settings, "index.number_of_routing_shards",
                                        default_routing_shards(metadata.shards));
    metadata.limits = limits_of(settings);
}

/// An index that another program made has settings too.
void add_defaults(FlatSettings& settings, const std::string& name, const std::string& uuid,
                  std::int64_t created) {
    const auto text = [](std::string_view content) { return JsonTree::text(content).json(); };
    settings.try_emplace("index.number_of_shards", text("1"));
    settings.try_emplace("index.number_of_replicas", text("1"));
    settings["index.provided_name"] = text(name);
    settings["index.uuid"] = text(uuid);
    settings["index.creation_date"] = text(std::to_string(created));
    settings["index.version.created"] = text("8000099");
}

IndexMetadata load_metadata(io::IndexStore& store, const std::string& name) {
    try {
        return read_metadata(store, name);
    } catch (const ApiError& error) {
        throw StorageError("what is kept of index " + name + " is damaged (" + error.what() +
                           "); restore its files from a copy, or delete the index");
    }
}

bool IndexMetadata::finds(const std::string& id, const std::string& stored_routing,
                          const std::string& routing) const {
    if (shards == 1) return true;
    const auto shard = [&](const std::string& given) {
        return shard_of(given.empty() ? id : given, shards, routing_shards);
    };
    return shard(stored_routing) == shard(routing);
}

}  // namespace penstock::serve
