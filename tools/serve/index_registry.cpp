#include "tools/serve/index_registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <set>

#include "engine/document/json.h"
#include "engine/io/date_math.h"
#include "engine/io/query.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/pipeline_registry.h"
#include "tools/serve/shard_routing.h"
#include "tools/serve/state_file.h"

namespace penstock::serve {

namespace {

std::string random_uuid() {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::random_device device;
    std::string uuid;
    for (int i = 0; i < 22; ++i)
        uuid.push_back(alphabet[device() % alphabet.size()]);
    return uuid;
}

bool is_pattern(std::string_view text) {
    return text.find('*') != std::string_view::npos || text == "_all";
}

bool fits(std::string_view pattern, std::string_view name) {
    return pattern == "_all" || matches_wildcard(pattern, name);
}

void check_new_name(const std::string& name) {
    try {
        io::check_index_name(name);
        if (name.front() == '.')
            throw Error("Invalid index name [" + name + "], must not start with '.'");
    } catch (const Error& error) {
        throw ApiError(400, "invalid_index_name_exception", error.what())
            .with_text("index_uuid", "_na_")
            .with_text("index", name);
    }
}

/// `going`: indices that are removed together with the alias's coming.
void check_alias_name(const std::string& alias, const io::IndexStore& store,
                      const std::set<std::string>& going = {}) {
    const auto refuse = [&](const std::string& why) {
        throw ApiError(400, "invalid_alias_name_exception",
                       "Invalid alias name [" + alias + "]: " + why);
    };
    // Aliases may have capital letters; all else is as for indices.
    std::string name = alias;
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    try {
        io::check_index_name(name);
    } catch (const Error& error) {
        const std::string_view what = error.what();
        refuse(std::string(what.substr(what.rfind("], ") + 3)));
    }
    if (name == alias && store.exists(alias) && !going.contains(alias))
        refuse("an index or data stream exists with the same name as the alias");
}

/// Searches through the alias will ask it.
void check_filter(const JsonTree& filter, const std::string& alias) {
    try {
        io::Query::parse(filter.json());
    } catch (const io::QueryError& error) {
        throw illegal_argument("failed to parse filter for alias [" + alias + "]: " + error.what());
    }
}

JsonTree normalise_alias(const std::string& alias_name, const JsonTree& body) {
    static const std::set<std::string_view> known{
        "filter",         "routing",   "index_routing", "search_routing",
        "is_write_index", "is_hidden", "must_exist"};
    JsonTree alias;
    for (const auto& [name, value] : body.members()) {
        if (!known.contains(name)) throw illegal_argument("Unknown field [" + name + "] in alias");
        if (name == "must_exist" || value.is_null()) continue;
        if (name == "filter") check_filter(value, alias_name);
        if (name == "routing") {
            alias.set("index_routing", value);
            alias.set("search_routing", value);
        } else {
            alias.set(name, value);
        }
    }
    return alias;
}

/// What a new index begins with.
struct Blueprint {
    FlatSettings settings;
    JsonTree mappings;
    JsonTree aliases;

    /// Later ones win.
    void add(const JsonTree& body) {
        if (const JsonTree* given = body.find("settings")) {
            for (auto& [name, value] : flatten_settings(*given))
                settings[name] = value;
        }
        if (const JsonTree* given = body.find("mappings"))
            mappings.merge(normalise_mappings(*given));
        if (const JsonTree* given = body.find("aliases")) {
            for (const auto& [name, alias] : given->members())
                aliases.set(name, normalise_alias(name, alias));
        }
    }
};

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

std::map<std::string, std::string> alias_texts(const JsonTree& aliases) {
    std::map<std::string, std::string> texts;
    for (const auto& [name, alias] : aliases.members())
        texts.emplace(name, alias.json());
    return texts;
}

std::string aliases_json(const std::map<std::string, std::string>& aliases) {
    JsonTree tree;
    for (const auto& [name, alias] : aliases)
        tree.set(name, JsonTree::parse(alias));
    return tree.json();
}

bool is_write_index(const std::string& alias, bool otherwise) {
    const JsonTree tree = JsonTree::parse(alias);
    const JsonTree* flag = tree.find("is_write_index");
    return flag == nullptr ? otherwise : flag->content() == "true";
}

}  // namespace

struct IndexRegistry::Impl {
    explicit Impl(const io::IndexStore& store)
        : templates{StateFile(store.data_directory() + "/index_templates.json"),
                    StateFile(store.data_directory() + "/legacy_templates.json"),
                    StateFile(store.data_directory() + "/component_templates.json")} {}

    const StateFile& file(TemplateKind kind) const {
        return templates[static_cast<std::size_t>(kind)];
    }

    /// What templates say of a new index of this name.
    Blueprint blueprint(const std::string& name) const {
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

    void add_components(const JsonTree& body, Blueprint& blueprint) const {
        const StateFile::States components = file(TemplateKind::component).read();
        for (const std::string& name : strings_of(body.find("composed_of"))) {
            const auto found = components.find(name);
            if (found == components.end()) continue;
            const JsonTree component = JsonTree::parse(found->second);
            if (const JsonTree* content = component.find("template")) blueprint.add(*content);
        }
    }

    static bool applies(const JsonTree& body, const std::string& name) {
        const std::vector<std::string> patterns = patterns_of(body);
        return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
            return matches_wildcard(pattern, name);
        });
    }

    void forget(const std::string& index) {
        const std::lock_guard lock(mutex);
        known.erase(index);
        reported.erase(index);
        ++changes;
    }

    /// Shown from now on, all of them at once.
    void publish(const std::vector<std::shared_ptr<const IndexMetadata>>& metadata) {
        const std::lock_guard lock(mutex);
        for (const auto& one : metadata)
            known.insert_or_assign(one->name, one);
        ++changes;
    }

    std::array<StateFile, 3> templates;
    mutable std::mutex mutex;  ///< guards what follows, to `auto_create`
    mutable std::map<std::string, std::shared_ptr<const IndexMetadata>, std::less<>> known;
    std::uint64_t changes = 0;  ///< what was loaded before one is not kept
    mutable std::set<std::string, std::less<>> reported;  ///< as not readable
    std::map<std::string, int, std::less<>> contexts;
    AutoCreate auto_create;
    std::mutex change;  ///< one change of an index's metadata at a time
};

IndexRegistry::IndexRegistry(std::shared_ptr<io::IndexStore> store)
    : store_(std::move(store)), impl_(std::make_unique<Impl>(*store_)) {}

IndexRegistry::~IndexRegistry() = default;

namespace {

std::int64_t number_of(const FlatSettings& settings, std::string_view name,
                       std::int64_t otherwise) {
    const std::string text = setting(settings, name);
    std::int64_t number = otherwise;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return std::max<std::int64_t>(number, 1);
}

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
    metadata.shards = number_of(settings, "index.number_of_shards", 1);
    metadata.routing_shards = number_of(settings, "index.number_of_routing_shards",
                                        default_routing_shards(metadata.shards));
}

void take_mappings(IndexMetadata& metadata) {
    const JsonTree mappings = JsonTree::parse(metadata.mappings);
    const JsonTree* source = mappings.find("_source");
    const JsonTree* enabled = source == nullptr ? nullptr : source->find("enabled");
    metadata.keeps_source = enabled == nullptr || enabled->content() != "false";
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

IndexMetadata load(io::IndexStore& store, const std::string& name) {
    try {
        return read_metadata(store, name);
    } catch (const ApiError& error) {
        throw StorageError("what is kept of index " + name + " is damaged (" + error.what() +
                           "); restore its files from a copy, or delete the index");
    }
}

std::int64_t now_millis() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

void check_creation(const JsonTree& body) {
    for (const auto& [name, value] : body.members()) {
        if (name != "settings" && name != "mappings" && name != "aliases")
            throw parsing_error("unknown key [" + name + "] for create index");
    }
}

}  // namespace

bool IndexMetadata::finds(const std::string& id, const std::string& stored_routing,
                          const std::string& routing) const {
    if (shards == 1) return true;
    const auto shard = [&](const std::string& given) {
        return shard_of(given.empty() ? id : given, shards, routing_shards);
    };
    return shard(stored_routing) == shard(routing);
}

bool IndexRegistry::exists(const std::string& index) const {
    try {
        return store_->exists(index);
    } catch (const Error&) {
        return false;  // no name of an index at all
    }
}

std::shared_ptr<const IndexMetadata> IndexRegistry::metadata(const std::string& index) const {
    if (!exists(index)) {
        impl_->forget(index);
        return nullptr;
    }
    std::uint64_t changes = 0;
    {
        const std::lock_guard lock(impl_->mutex);
        const auto found = impl_->known.find(index);
        if (found != impl_->known.end()) return found->second;
        changes = impl_->changes;
    }
    auto loaded = std::make_shared<const IndexMetadata>(load(*store_, index));
    const std::lock_guard lock(impl_->mutex);
    if (changes == impl_->changes) impl_->known.insert_or_assign(index, loaded);
    return loaded;
}

std::shared_ptr<const IndexMetadata> IndexRegistry::readable(const std::string& index) const {
    try {
        return metadata(index);
    } catch (const Error& error) {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->reported.insert(index).second)
            spdlog::error("index {} is left out of what others are asked: {}", index, error.what());
        return nullptr;
    }
}

/// Of all indices that can be read, sorted by name.
std::vector<std::shared_ptr<const IndexMetadata>> IndexRegistry::all() const {
    std::vector<std::shared_ptr<const IndexMetadata>> all;
    for (const std::string& name : store_->names()) {
        if (auto one = readable(name)) all.push_back(std::move(one));
    }
    // A change of several aliases may have come meanwhile: one look shows all of it or nothing.
    const std::lock_guard lock(impl_->mutex);
    for (auto& one : all) {
        const auto now = impl_->known.find(one->name);
        if (now != impl_->known.end()) one = now->second;
    }
    return all;
}

/// The indices that have an alias.
std::vector<std::shared_ptr<const IndexMetadata>> IndexRegistry::holders(
    const std::string& alias) const {
    auto found = all();
    std::erase_if(found, [&](const auto& one) { return !one->aliases.contains(alias); });
    return found;
}

void IndexRegistry::create(const std::string& name, std::string_view body) {
    check_new_name(name);
    const JsonTree given = JsonTree::parse(body);
    check_creation(given);
    const std::lock_guard one(impl_->change);
    if (const auto known = metadata(name)) {
        throw ApiError(400, "resource_already_exists_exception",
                       "index [" + name + "/" + known->uuid + "] already exists")
            .with_text("index_uuid", known->uuid)
            .with_text("index", name);
    }
    if (!holders(name).empty()) {
        throw ApiError(400, "invalid_index_name_exception",
                       "Invalid index name [" + name + "], already exists as alias")
            .with_text("index_uuid", "_na_")
            .with_text("index", name);
    }
    Blueprint blueprint = impl_->blueprint(name);
    blueprint.add(given);
    check_settings(blueprint.settings);
    check_field_limit(blueprint.mappings, blueprint.settings);
    check_field_aliases(blueprint.mappings);
    for (const auto& [alias, content] : blueprint.aliases.members())
        check_alias_name(alias, *store_);
    io::IndexSettings settings;
    settings.vectors = vector_mappings(blueprint.mappings);
    if (setting(blueprint.settings, "index.analysis.analyzer.default.type") == "english")
        settings.analyzer = "english";
    const std::string uuid = random_uuid();
    std::erase_if(blueprint.settings,
                  [](const auto& one_setting) { return one_setting.second == "null"; });
    add_defaults(blueprint.settings, name, uuid, now_millis());
    settings.attributes = {{"uuid", uuid},
                           {"settings", nest_settings(blueprint.settings).json()},
                           {"mappings", blueprint.mappings.json()},
                           {"aliases", blueprint.aliases.json()}};
    store_->create(name, settings);
    impl_->forget(name);
}

void IndexRegistry::set_auto_create(AutoCreate rules) {
    const std::lock_guard lock(impl_->mutex);
    impl_->auto_create = std::move(rules);
}

void IndexRegistry::create_for_write(const std::string& name) {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->auto_create.check(name);
    }
    try {
        create(name, "");
    } catch (const ApiError& error) {
        if (error.type() != "resource_already_exists_exception") throw;
    }
}

namespace {

constexpr std::size_t kLongestExpression = 16 * 1024;

/// What single parts of an expression reach. Aliases are read when they are asked for, once.
class NameLookup {
  public:
    using Everything = std::function<std::vector<std::shared_ptr<const IndexMetadata>>()>;

    /// `names`: of all indices, sorted.
    NameLookup(std::vector<std::string> names, Everything everything)
        : names_(std::move(names)), everything_(std::move(everything)) {}

    /// Indices of this name or pattern, and with `aliases` those that have such an alias.
    std::vector<std::string> find(const std::string& part, bool aliases) {
        return is_pattern(part) ? by_pattern(part, aliases) : by_name(part, aliases);
    }

  private:
    using Aliases = std::map<std::string, std::vector<std::string>>;

    std::vector<std::string> by_name(const std::string& name, bool with_aliases) {
        if (std::binary_search(names_.begin(), names_.end(), name)) return {name};
        if (!with_aliases) return {};
        const auto found = aliases().find(name);
        return found == aliases().end() ? std::vector<std::string>{} : found->second;
    }

    std::vector<std::string> by_pattern(const std::string& pattern, bool with_aliases) {
        std::vector<std::string> found;
        for (const std::string& name : names_) {
            if (fits(pattern, name)) found.push_back(name);
        }
        if (!with_aliases || found.size() == names_.size()) return found;
        for (const auto& [alias, indices] : aliases()) {
            if (fits(pattern, alias)) found.insert(found.end(), indices.begin(), indices.end());
        }
        return found;
    }

    const Aliases& aliases() {
        if (aliases_) return *aliases_;
        aliases_.emplace();
        for (const auto& index : everything_()) {
            for (const auto& [alias, content] : index->aliases)
                (*aliases_)[alias].push_back(index->name);
        }
        return *aliases_;
    }

    std::vector<std::string> names_;
    Everything everything_;
    std::optional<Aliases> aliases_;
};

}  // namespace

std::vector<std::string> IndexRegistry::expand(std::string_view expression,
                                               const ExpandOptions& options) const {
    if (expression.size() > kLongestExpression)
        throw illegal_argument("the names of indices are too long, must be no longer than " +
                               std::to_string(kLongestExpression) +
                               " bytes but were: " + std::to_string(expression.size()) +
                               "; name them by a pattern or an alias");
    if (expression.empty()) expression = "_all";
    NameLookup lookup(store_->names(), [this] { return all(); });
    std::set<std::string> found;
    std::set<std::string> included;  // parts that would add nothing more
    bool after_pattern = false;
    for (std::string part : split_list(expression)) {
        const bool exclude = after_pattern && part.front() == '-';
        if (exclude) part.erase(0, 1);
        const bool pattern = is_pattern(part);
        after_pattern = after_pattern || pattern;
        if (!exclude && !included.insert(part).second) continue;
        const std::vector<std::string> reached = lookup.find(part, !exclude);
        if (exclude) {
            included.clear();
            for (const std::string& name : reached)
                found.erase(name);
            continue;
        }
        found.insert(reached.begin(), reached.end());
        const bool may_lack = pattern ? options.allow_no_indices : options.ignore_unavailable;
        if (reached.empty() && !may_lack) throw index_not_found(part);
    }
    if (found.empty() && !options.allow_no_indices) throw index_not_found(std::string(expression));
    return {found.begin(), found.end()};
}

std::vector<std::string> IndexRegistry::filters(std::string_view expression,
                                                const std::string& index) const {
    if (expression.empty()) return {};
    const auto known = metadata(index);
    std::vector<std::string> filters;
    for (const std::string& part : split_list(expression)) {
        if (is_pattern(part) ? fits(part, index) : part == index) return {};
        if (!known) continue;
        for (const auto& [name, json] : known->aliases) {
            if (is_pattern(part) ? !fits(part, name) : part != name) continue;
            const JsonTree alias = JsonTree::parse(json);
            const JsonTree* filter = alias.find("filter");
            if (filter == nullptr) return {};  // unrestricted through this one
            filters.push_back(filter->json());
        }
    }
    return filters;
}

WriteTarget IndexRegistry::write_target(const std::string& name, bool require_alias) const {
    WriteTarget target;
    target.index = name;
    auto known = metadata(name);
    if (!known) {
        const auto found = holders(name);
        const bool single = found.size() == 1;
        for (const auto& holder : found) {
            if (is_write_index(holder->aliases.at(name), single)) known = holder;
        }
        target.through_alias = !found.empty();
        if (!found.empty() && !known)
            throw illegal_argument("no write index is defined for alias [" + name +
                                   "]. The write index may be explicitly disabled using "
                                   "is_write_index=false or the alias points to multiple indices "
                                   "without one being designated as a write index");
    }
    if (require_alias && !target.through_alias) {
        throw ApiError(404, "index_not_found_exception",
                       "no such index [" + name +
                           "] and [require_alias] request flag is [true] "
                           "and [" +
                           name + "] is not an alias")
            .with_text("index_uuid", "_na_")
            .with_text("index", name);
    }
    if (known) {
        target.index = known->name;
        target.exists = true;
        target.default_pipeline = known->default_pipeline;
        target.final_pipeline = known->final_pipeline;
        return target;
    }
    check_new_name(name);
    IndexMetadata planned;
    planned.settings = nest_settings(impl_->blueprint(name).settings).json();
    take_settings(planned);
    target.default_pipeline = planned.default_pipeline;
    target.final_pipeline = planned.final_pipeline;
    return target;
}

std::string IndexRegistry::single(const std::string& name) const {
    if (exists(name)) return name;
    ExpandOptions options;
    options.allow_no_indices = false;
    if (is_pattern(name)) throw index_not_found(name);
    const std::vector<std::string> found = expand(name, options);
    if (found.size() > 1) {
        std::string list;
        for (const std::string& index : found)
            list += (list.empty() ? "" : ", ") + index;
        throw illegal_argument("alias [" + name + "] has more than one index associated with it [" +
                               list + "], can't execute a single index op");
    }
    return found.front();
}

void IndexRegistry::remove(const std::string& index) {
    const std::lock_guard one(impl_->change);
    if (!store_->remove(index)) throw index_not_found(index);
    impl_->forget(index);
}

namespace {

const IndexMetadata& need(const std::shared_ptr<const IndexMetadata>& metadata,
                          const std::string& index) {
    if (!metadata) throw index_not_found(index);
    return *metadata;
}

}  // namespace

void IndexRegistry::put_settings(const std::string& index, std::string_view body) {
    const std::lock_guard one(impl_->change);
    const auto known = metadata(index);
    const IndexMetadata& metadata_now = need(known, index);
    FlatSettings settings = settings_of(metadata_now.settings);
    JsonTree given = JsonTree::parse(body);
    if (const JsonTree* inner = given.find("settings"); inner != nullptr && inner->is_object()) {
        const JsonTree copy = *inner;
        given = copy;
    }
    const FlatSettings changes = flatten_settings(given);
    check_settings(changes);
    for (const auto& [name, value] : changes) {
        const bool changed = setting(settings, name) != setting(changes, name);
        if (changed && (name == "index.number_of_shards" || name == "index.uuid" ||
                        name == "index.creation_date" || name == "index.version.created"))
            throw illegal_argument("Can't update non dynamic settings [[" + name +
                                   "]] for open indices [[" + index + "/" + metadata_now.uuid +
                                   "]]");
        if (value == "null") {
            settings.erase(name);
        } else {
            settings[name] = value;
        }
    }
    add_defaults(settings, index, metadata_now.uuid, metadata_now.created_millis);
    store_->set_attributes(index, {{"settings", nest_settings(settings).json()}});
    impl_->forget(index);
}

void IndexRegistry::put_mappings(const std::string& index, std::string_view body) {
    const std::lock_guard one(impl_->change);
    const auto known = metadata(index);
    const IndexMetadata& metadata_now = need(known, index);
    JsonTree mappings = JsonTree::parse(metadata_now.mappings);
    merge_mappings(mappings, normalise_mappings(JsonTree::parse(body)));
    check_field_limit(mappings, settings_of(metadata_now.settings));
    check_field_aliases(mappings, store_->info(index).fields);
    for (const io::VectorMapping& vector : vector_mappings(mappings)) {
        try {
            store_->add_vector_field(index, vector);
        } catch (const StorageError&) {
            throw;
        } catch (const Error& error) {
            throw illegal_argument(error.what());
        }
    }
    store_->set_attributes(index, {{"mappings", mappings.json()}});
    impl_->forget(index);
}

void IndexRegistry::put_alias(const std::string& index, const std::string& alias,
                              const std::string& body) {
    change_aliases({{AliasChange::Kind::add, index, alias, body}});
}

namespace {

using Metadata = std::shared_ptr<const IndexMetadata>;

void write_aliases(io::IndexStore& store, const IndexMetadata& metadata) {
    store.set_attributes(metadata.name, {{"aliases", aliases_json(metadata.aliases)}});
}

/// Aliases of several indices, each in its own file: what was written before one that cannot be is
/// taken back.
void write_aliases(io::IndexStore& store, const std::vector<Metadata>& before,
                   const std::vector<Metadata>& after) {
    std::size_t written = 0;
    try {
        for (; written < after.size(); ++written)
            write_aliases(store, *after[written]);
    } catch (...) {
        while (written > 0) {
            const IndexMetadata& old = *before[--written];
            try {
                write_aliases(store, old);
            } catch (const Error& error) {
                spdlog::error("the aliases of index {} are left half changed: {}", old.name,
                              error.what());
            }
        }
        throw;
    }
}

}  // namespace

void IndexRegistry::change_aliases(const std::vector<AliasChange>& changes) {
    std::set<std::string> going;
    for (const AliasChange& change : changes) {
        if (change.kind == AliasChange::Kind::remove_index) going.insert(change.index);
    }
    const std::lock_guard one(impl_->change);
    std::map<std::string, Metadata> known;
    std::map<std::string, std::map<std::string, std::string>> aliases;
    for (const AliasChange& change : changes) {
        Metadata& index = known[change.index];
        if (going.contains(change.index)) {
            if (!exists(change.index)) throw index_not_found(change.index);
            continue;
        }
        if (!index) {
            index = metadata(change.index);
            aliases[change.index] = need(index, change.index).aliases;
        }
        if (change.kind == AliasChange::Kind::remove) {
            aliases[change.index].erase(change.alias);
            continue;
        }
        check_alias_name(change.alias, *store_, going);
        const JsonTree content = normalise_alias(change.alias, JsonTree::parse(change.content));
        aliases[change.index].insert_or_assign(change.alias, content.json());
    }
    std::vector<Metadata> before;
    std::vector<Metadata> after;
    for (auto& [name, changed] : aliases) {
        if (changed == known[name]->aliases) continue;
        auto made = std::make_shared<IndexMetadata>(*known[name]);
        made->aliases = std::move(changed);
        before.push_back(known[name]);
        after.push_back(std::move(made));
    }
    impl_->publish(before);  // so that nobody reads the files while they change
    write_aliases(*store_, before, after);
    impl_->publish(after);
    bool removed = false;
    try {
        for (const std::string& index : going) {
            if (!store_->remove(index)) throw index_not_found(index);
            impl_->forget(index);
            removed = true;
        }
    } catch (const StorageError&) {
        if (removed) throw;  // what is deleted does not come back
        write_aliases(*store_, after, before);
        impl_->publish(before);
        throw;
    }
}

void IndexRegistry::count_context(const std::string& index, int change) {
    const std::lock_guard lock(impl_->mutex);
    if ((impl_->contexts[index] += change) == 0) impl_->contexts.erase(index);
}

int IndexRegistry::open_contexts(const std::string& index) const {
    const std::lock_guard lock(impl_->mutex);
    const auto found = impl_->contexts.find(index);
    return found == impl_->contexts.end() ? 0 : found->second;
}

std::string IndexRegistry::effective_mappings(const std::string& index) const {
    JsonTree mappings = JsonTree::parse(need(metadata(index), index).mappings);
    add_dynamic_fields(mappings, store_->info(index));
    return mappings.json();
}

void IndexRegistry::put_template(TemplateKind kind, const std::string& name, std::string_view body,
                                 bool create) {
    const JsonTree given = JsonTree::parse(body);
    if (kind != TemplateKind::component && patterns_of(given).empty())
        throw action_validation({"index patterns are missing"});
    if (given.find("data_stream") != nullptr)
        throw illegal_argument("data streams are not supported");
    Blueprint checked;
    if (kind == TemplateKind::composable) impl_->add_components(given, checked);
    const JsonTree* content = kind == TemplateKind::legacy ? &given : given.find("template");
    if (content != nullptr) checked.add(*content);
    check_settings(checked.settings);
    check_field_limit(checked.mappings, checked.settings);
    // A component's aliases may lead to fields of another one.
    if (kind != TemplateKind::component) check_field_aliases(checked.mappings);
    vector_mappings(checked.mappings);
    const StateFile::States components = impl_->file(TemplateKind::component).read();
    for (const std::string& component : strings_of(given.find("composed_of"))) {
        if (!components.contains(component))
            throw ApiError(400, "invalid_index_template_exception",
                           "index_template [" + name + "] invalid, cause [index template [" + name +
                               "] specifies a missing component template [" + component +
                               "] that does not exist]");
    }
    const std::lock_guard one(impl_->change);
    if (create && impl_->file(kind).read().contains(name))
        throw illegal_argument("index template [" + name + "] already exists");
    impl_->file(kind).put(name, given.json());
}

bool IndexRegistry::remove_template(TemplateKind kind, const std::string& name) {
    const std::lock_guard one(impl_->change);
    return impl_->file(kind).remove(name);
}

std::vector<StoredTemplate> IndexRegistry::templates(TemplateKind kind,
                                                     std::string_view pattern) const {
    std::vector<StoredTemplate> found;
    for (const auto& [name, json] : impl_->file(kind).read()) {
        if (pattern.empty() || matches_wildcard(pattern, name)) found.push_back({name, json});
    }
    return found;
}

}  // namespace penstock::serve
