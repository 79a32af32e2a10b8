#include "tools/serve/index_registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>

#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/date_math_name.h"
#include "tools/serve/dynamic_templates.h"
#include "tools/serve/http_message.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/random_id.h"

namespace penstock::serve {

namespace {

/// As it is kept. Throws ApiError 400 for what could not be read again.
std::string kept(const JsonTree& tree) {
    std::string json = tree.json();
    JsonTree::parse(json);
    return json;
}

std::string aliases_json(const std::map<std::string, std::string>& aliases) {
    JsonTree tree;
    for (const auto& [name, alias] : aliases)
        tree.set(name, JsonTree::parse(alias));
    return kept(tree);
}

bool is_write_index(const std::string& alias, bool otherwise) {
    const JsonTree tree = JsonTree::parse(alias);
    const JsonTree* flag = tree.find("is_write_index");
    return flag == nullptr ? otherwise : flag->content() == "true";
}

}  // namespace

struct IndexRegistry::Impl {
    explicit Impl(const io::IndexStore& store) : templates(store.data_directory()) {}

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

    IndexTemplates templates;
    IndexActivity activity;
    mutable std::mutex mutex;  ///< guards what follows, to `names_to_delete`
    mutable std::map<std::string, std::shared_ptr<const IndexMetadata>, std::less<>> known;
    std::uint64_t changes = 0;  ///< what was loaded before one is not kept
    mutable std::set<std::string, std::less<>> reported;  ///< as not readable
    std::map<std::string, int, std::less<>> contexts;
    AutoCreate auto_create;
    std::optional<bool> names_to_delete;
    std::mutex change;      ///< one change of an index's metadata at a time
    std::mutex visibility;  ///< one change of what searches see at a time
};

IndexRegistry::IndexRegistry(std::shared_ptr<io::IndexStore> store)
    : store_(std::move(store)), impl_(std::make_unique<Impl>(*store_)) {}

IndexRegistry::~IndexRegistry() = default;

namespace {

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
    auto loaded = std::make_shared<const IndexMetadata>(load_metadata(*store_, index));
    {
        const std::lock_guard lock(impl_->mutex);
        if (changes == impl_->changes) impl_->known.insert_or_assign(index, loaded);
    }
    apply_visibility(index);
    return loaded;
}

/// By what is known now, which may be newer than what the caller has loaded.
void IndexRegistry::apply_visibility(const std::string& index) const {
    const std::lock_guard one(impl_->visibility);
    std::shared_ptr<const IndexMetadata> now;
    {
        const std::lock_guard lock(impl_->mutex);
        const auto found = impl_->known.find(index);
        if (found == impl_->known.end()) return;  // whoever loads it does this
        now = found->second;
    }
    store_->set_visibility(index, now->visibility);
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
    check_new_index_name(name);
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
    if (const JsonTree* mappings = given.find("mappings")) check_dynamic_templates(*mappings);
    Blueprint blueprint = impl_->templates.blueprint(name);
    blueprint.add(given);
    JsonTree aliases;
    for (const auto& [alias, content] : blueprint.aliases.members())
        aliases.set(resolve_names(alias), content);
    blueprint.aliases = std::move(aliases);
    make(name, std::move(blueprint));
}

void IndexRegistry::create_system(const std::string& name, std::string_view body) {
    const std::lock_guard one(impl_->change);
    if (exists(name)) return;
    Blueprint blueprint;
    blueprint.add(JsonTree::parse(body));
    make(name, std::move(blueprint));
}

/// While no other change is under way.
void IndexRegistry::make(const std::string& name, Blueprint blueprint) {
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
                           {"settings", kept(nest_settings(blueprint.settings))},
                           {"mappings", kept(blueprint.mappings)},
                           {"aliases", kept(blueprint.aliases)}};
    store_->create(name, settings);
    impl_->forget(name);
    metadata(name);  // before the first document: with it begins what searches see
}

void IndexRegistry::set_auto_create(AutoCreate rules) {
    const std::lock_guard lock(impl_->mutex);
    impl_->auto_create = std::move(rules);
}

void IndexRegistry::set_names_to_delete(std::optional<bool> required) {
    const std::lock_guard lock(impl_->mutex);
    impl_->names_to_delete = required;
}

std::optional<bool> IndexRegistry::names_to_delete() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->names_to_delete;
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

void IndexRegistry::set_clock(std::function<std::chrono::system_clock::time_point()> now) {
    now_ = std::move(now);
}

std::string IndexRegistry::resolve_names(std::string_view names) const {
    if (names.find('<') == std::string_view::npos) return std::string(names);
    std::string resolved;
    for (const std::string& name : split_list(names)) {
        if (!resolved.empty()) resolved.push_back(',');
        const std::string_view excluded = name.starts_with("-<") ? "-" : "";
        resolved.append(excluded).append(resolve_date_math(name.substr(excluded.size()), now_()));
    }
    return resolved;
}

std::vector<std::string> IndexRegistry::expand(std::string_view expression,
                                               const ExpandOptions& options) const {
    std::vector<std::string> names = store_->names();
    if (std::string tasks(kTasksIndex); exists(tasks))
        names.insert(std::lower_bound(names.begin(), names.end(), tasks), std::move(tasks));
    return expand_names(
        resolve_names(expression), options, std::move(names), [this] { return all(); },
        [this](const std::string& index) { return is_closed(index); });
}

std::vector<KnownName> IndexRegistry::known_names(bool aliases) const {
    std::map<std::string, KnownName> known;
    for (const std::string& name : store_->names())
        known[name].name = name;
    if (std::string tasks(kTasksIndex); exists(tasks)) known[tasks].name = tasks;
    for (const auto& index : all()) {
        known[index->name].closed = index->closed;
        if (!aliases) continue;
        for (const auto& [alias, content] : index->aliases) {
            KnownName& one = known[alias];
            one.closed = index->closed && (one.closed || one.indices.empty());
            one.name = alias;
            one.indices.push_back(index->name);
        }
    }
    std::vector<KnownName> names;
    names.reserve(known.size());
    for (auto& [name, one] : known) {
        if (!one.name.empty()) names.push_back(std::move(one));
    }
    return names;
}

std::vector<std::string> IndexRegistry::filters(std::string_view expression,
                                                const std::string& index) const {
    if (expression.empty()) return {};
    const auto known = metadata(index);
    std::vector<std::string> filters;
    bool restricted = true;  // not reached by its own name, or through an alias without a filter
    bool after_pattern = false;
    for (const std::string& part : split_list(expression)) {
        const auto fits = [&](std::string_view name, std::string_view pattern) {
            return is_pattern(pattern) ? fits_pattern(pattern, name) : pattern == name;
        };
        if (after_pattern && part.front() == '-') {
            if (!fits(index, std::string_view(part).substr(1))) continue;
            filters.clear();  // reached by what comes behind alone
            restricted = true;
            continue;
        }
        after_pattern = after_pattern || is_pattern(part);
        restricted = restricted && !fits(index, part);
        if (!known) continue;
        for (const auto& [name, json] : known->aliases) {
            if (!fits(name, part)) continue;
            const JsonTree alias = JsonTree::parse(json);
            const JsonTree* filter = alias.find("filter");
            if (filter == nullptr) {
                restricted = false;
            } else {
                filters.push_back(filter->json());
            }
        }
    }
    return restricted ? filters : std::vector<std::string>();
}

WriteTarget IndexRegistry::write_target(const std::string& given, bool require_alias) const {
    const std::string name = resolve_date_math(given, now_());
    check_changeable(name);
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
        if (known->closed) throw index_closed(known->name);
        target.index = known->name;
        target.exists = true;
        target.default_pipeline = known->default_pipeline;
        target.final_pipeline = known->final_pipeline;
        return target;
    }
    check_new_index_name(name);
    IndexMetadata planned;
    planned.settings = nest_settings(impl_->templates.blueprint(name).settings).json();
    take_settings(planned);
    target.default_pipeline = planned.default_pipeline;
    target.final_pipeline = planned.final_pipeline;
    return target;
}

std::string IndexRegistry::single(const std::string& name) const {
    if (exists(name)) {
        if (is_closed(name)) throw index_closed(name);
        return name;
    }
    ExpandOptions options = ExpandOptions::for_documents();
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

/// Of an index that is there. One that cannot be read is not closed: whoever reads it is told.
bool IndexRegistry::is_closed(const std::string& index) const {
    {
        const std::lock_guard lock(impl_->mutex);
        const auto found = impl_->known.find(index);
        if (found != impl_->known.end()) return found->second->closed;
    }
    const auto loaded = readable(index);
    return loaded != nullptr && loaded->closed;
}

void IndexRegistry::set_closed(const std::string& index, bool closed) {
    check_changeable(index);
    const std::lock_guard one(impl_->change);
    if (!metadata(index)) throw index_not_found(index);
    store_->set_attributes(index, {{"state", closed ? "close" : "open"}});
    impl_->forget(index);
}

void IndexRegistry::remove(const std::string& index) {
    const std::lock_guard one(impl_->change);
    if (!store_->remove(index)) throw index_not_found(index);
    impl_->forget(index);
    impl_->activity.forget(index);
}

namespace {

const IndexMetadata& need(const std::shared_ptr<const IndexMetadata>& metadata,
                          const std::string& index) {
    if (!metadata) throw index_not_found(index);
    return *metadata;
}

}  // namespace

namespace {

void check_change(const IndexMetadata& index, const std::string& setting, bool reopen) {
    const Change change = change_of(setting);
    if (change == Change::always) return;
    if (!index.closed && !reopen)
        throw illegal_argument("Can't update non dynamic settings [[" + setting +
                               "]] for open indices [[" + index.name + "/" + index.uuid + "]]");
    if (change == Change::never)
        throw illegal_argument("final " + index.name + " setting [" + setting +
                               "], not updateable");
}

}  // namespace

void IndexRegistry::put_settings(const std::string& index, std::string_view body, bool reopen) {
    check_changeable(index);
    const std::lock_guard one(impl_->change);
    const auto known = metadata(index);
    const IndexMetadata& metadata_now = need(known, index);
    FlatSettings settings = settings_of(metadata_now.settings);
    const FlatSettings changes = requested_settings(JsonTree::parse(body));
    check_settings(changes);
    for (const auto& [name, value] : changes) {
        const bool changed = setting(settings, name) != setting(changes, name);
        if (changed) check_change(metadata_now, name, reopen);
        if (value == "null") {
            settings.erase(name);
        } else {
            settings[name] = value;
        }
    }
    add_defaults(settings, index, metadata_now.uuid, metadata_now.created_millis);
    store_->set_attributes(index, {{"settings", kept(nest_settings(settings))}});
    impl_->forget(index);
    metadata(index);  // what searches see may be another from now on
}

void IndexRegistry::put_mappings(const std::string& index, std::string_view body) {
    check_changeable(index);
    const std::lock_guard one(impl_->change);
    const auto known = metadata(index);
    const IndexMetadata& metadata_now = need(known, index);
    JsonTree mappings = JsonTree::parse(metadata_now.mappings);
    const FlatSettings settings = settings_of(metadata_now.settings);
    const JsonTree added = normalise_mappings(JsonTree::parse(body), &settings);
    check_dynamic_templates(added);
    merge_mappings(mappings, added);
    check_field_limit(mappings, settings);
    // One that leads nowhere since an earlier version refuses no other field.
    if (has_field_aliases(added)) check_field_aliases(mappings, store_->info(index).fields);
    const std::string json = kept(mappings);
    for (const io::VectorMapping& vector : vector_mappings(mappings)) {
        try {
            store_->add_vector_field(index, vector);
        } catch (const StorageError&) {
            throw;
        } catch (const Error& error) {
            throw illegal_argument(error.what());
        }
    }
    store_->set_attributes(index, {{"mappings", json}});
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
        check_changeable(change.index);
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

IndexActivity& IndexRegistry::activity() const {
    return impl_->activity;
}

IndexTemplates& IndexRegistry::templates() const {
    return impl_->templates;
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

}  // namespace penstock::serve
