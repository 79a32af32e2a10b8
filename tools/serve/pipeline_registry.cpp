#include "tools/serve/pipeline_registry.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/pipeline/definition.h"
#include "engine/runtime/durable_file.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/node_json.h"
#include "tools/serve/timestamp.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace fs = std::filesystem;
using pipeline::Diagnostic;
using pipeline::Diagnostics;
using pipeline::Node;
using pipeline::PipelineDefinition;
using pipeline::PipelineStatistics;

namespace {

constexpr std::string_view kExtension = ".json";
constexpr std::string_view kDeleted = ".deleted";

/// A file's name for any id: letters, digits, `-`, `_` and `.` as they are, all else in
/// hexadecimal.
std::string file_name(std::string_view id) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string name;
    for (const char c : id) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0 || c == '-' || c == '_' || (c == '.' && !name.empty())) {
            name.push_back(c);
        } else {
            (name.push_back('%'), name.push_back(digits[byte >> 4U]),
             name.push_back(digits[byte & 15U]));
        }
    }
    return name + std::string(kExtension);
}

// ---- mistakes

/// The first mistake in Elasticsearch's form, all others in words behind it.
ApiError definition_error(const Diagnostics& diagnostics) {
    const Diagnostic* first = nullptr;
    std::string more;
    for (const Diagnostic& one : diagnostics.all()) {
        if (one.severity != pipeline::Severity::error) continue;
        if (first == nullptr) {
            first = &one;
            continue;
        }
        std::string text;
        document::write_json_string(one.text(), text);
        more += (more.empty() ? "" : ",") + text;
    }
    if (first == nullptr) return {400, "parse_exception", "the pipeline cannot be used"};
    ApiError error(400, "parse_exception", first->message);
    if (!first->processor.empty()) {
        const std::size_t colon = first->processor.find(':');
        error.with_text("processor_type", first->processor.substr(0, colon));
        if (colon != std::string::npos)
            error.with_text("processor_tag", first->processor.substr(colon + 1));
    }
    if (!first->option.empty()) error.with_text("property_name", first->option);
    if (!first->hint.empty()) error.with_text("hint", first->hint);
    error.with("line", std::to_string(first->position.line))
        .with("col", std::to_string(first->position.column));
    if (!more.empty()) error.with("more_mistakes", "[" + more + "]");
    return error;
}

PipelineDefinition parse(std::string_view body, const std::string& id) {
    Diagnostics diagnostics;
    auto definition = pipeline::parse_definition(body, "", id, diagnostics);
    if (!definition || diagnostics.has_errors()) throw definition_error(diagnostics);
    definition->id = id;  // the address names it, whatever the body says
    return std::move(*definition);
}

const pipeline::CompileOptions kOptions{.bad_calls_are_errors = false};

/// Names of the pipelines that it calls; `any` when a template decides.
struct Calls {
    std::set<std::string> names;
    bool any = false;
};

void find_calls(const Node& node, Calls& calls) {
    for (const Node& item : node.items)
        find_calls(item, calls);
    for (const Node::Entry& entry : node.entries) {
        const Node* name = entry.key == "pipeline" ? entry.value.find("name") : nullptr;
        if (name != nullptr && name->is_string()) {
            calls.names.insert(name->text);
            calls.any = calls.any || name->text.find("{{") != std::string::npos;
        }
        find_calls(entry.value, calls);
    }
}

void add(PipelineStatistics& sum, const PipelineStatistics& more) {
    sum.count += more.count;
    sum.time_in_nanos += more.time_in_nanos;
    sum.failed += more.failed;
    if (sum.processors.size() != more.processors.size()) {
        sum.processors = more.processors;
        return;
    }
    for (std::size_t i = 0; i < sum.processors.size(); ++i) {
        sum.processors[i].count += more.processors[i].count;
        sum.processors[i].time_in_nanos += more.processors[i].time_in_nanos;
        sum.processors[i].failed += more.processors[i].failed;
    }
}

}  // namespace

struct PipelineRegistry::Impl {
    struct Entry {
        StoredPipeline stored;
        PipelineDefinition definition;
        Calls calls;
        PipelineStatistics past;  ///< of sets that are gone; at first zeros, see list_processors
        bool listed = false;      ///< its processors are in `past`, or cannot be told
    };

    /// Everything that `id` reaches, as far as it is there.
    std::set<std::string> reach(const std::string& id, const Calls& calls) const {
        std::set<std::string> reached;
        std::vector<const Calls*> open{&calls};
        while (!open.empty()) {
            const Calls* next = open.back();
            open.pop_back();
            const auto visit = [&](const std::string& name) {
                const auto found = entries.find(name);
                if (name == id || found == entries.end() || !reached.insert(name).second) return;
                open.push_back(&found->second.calls);
            };
            if (next->any) {
                for (const auto& [name, entry] : entries)
                    visit(name);
            }
            for (const std::string& name : next->names)
                visit(name);
        }
        return reached;
    }

    CompiledPipeline compile(PipelineDefinition definition, const Calls& calls) const {
        const std::string id = definition.id;
        std::vector<PipelineDefinition> all;
        for (const std::string& name : reach(id, calls))
            all.push_back(entries.at(name).definition);
        all.push_back(std::move(definition));
        Diagnostics diagnostics;
        CompiledPipeline made;
        made.set = pipeline::PipelineSet::compile(std::move(all), catalog, diagnostics, kOptions);
        if (made.set == nullptr) throw definition_error(diagnostics);
        made.pipeline = made.set->find(id);
        return made;
    }

    /// Before a pipeline changes: what contains it, or calls it and has not found it yet, is
    /// compiled anew when it is next used; its numbers stay.
    void retire(const std::string& changed) {
        std::erase_if(compiled, [&](const auto& one) {
            const auto entry = entries.find(one.first);
            const bool calls = entry != entries.end() && may_reach(entry->second.calls, changed);
            if (!calls && one.second.set->find(changed) == nullptr) return false;
            for (const PipelineStatistics& numbers : one.second.set->statistics()) {
                const auto owner = entries.find(numbers.id);
                if (owner != entries.end()) add(owner->second.past, numbers);
            }
            return true;
        });
    }

    bool may_reach(const Calls& calls, const std::string& id) const {
        if (calls.any || calls.names.contains(id)) return true;
        for (const std::string& name : reach("", calls)) {
            const Calls& further = entries.at(name).calls;
            if (further.any || further.names.contains(id)) return true;
        }
        return false;
    }

    void store(Entry entry) {
        const std::string id = entry.stored.id;
        retire(id);
        entries.insert_or_assign(id, std::move(entry));
    }

    void write(const StoredPipeline& stored) const {
        std::string text;
        document::JsonWriter json(text);
        json.object([&] {
            json.member("id", stored.id);
            json.member("created", stored.created);
            json.member("modified", stored.modified);
            json.member_raw("pipeline", stored.config);
        });
        text.push_back('\n');
        replace_file(directory / file_name(stored.id), text);
    }

    void read(const fs::path& file) {
        const std::string text = read_file(file).value_or("");
        Diagnostics diagnostics;
        const auto node = pipeline::parse_node(text, file.native(), diagnostics);
        const Node* id = node ? node->find("id") : nullptr;
        const Node* config = node ? node->find("pipeline") : nullptr;
        if (id == nullptr || config == nullptr) {
            throw Error("the stored pipeline " + file.native() +
                        " is damaged; restore or delete it: " + diagnostics.text());
        }
        const auto text_of = [&](std::string_view name) {
            const Node* member = node->find(name);
            return member != nullptr ? member->text : std::string();
        };
        Entry entry;
        entry.stored = {id->text, to_json(*config), std::nullopt, text_of("created"),
                        text_of("modified")};
        entry.definition = parse(entry.stored.config, id->text);
        entry.stored.version = entry.definition.version;
        find_calls(*config, entry.calls);
        entries.insert_or_assign(entry.stored.id, std::move(entry));
    }

    /// A pipeline that nobody has used has processors too: they are told with zeros.
    void list_processors(Entry& entry) const {
        if (std::exchange(entry.listed, true) || !entry.past.processors.empty()) return;
        try {
            const CompiledPipeline unused = compile(entry.definition, entry.calls);
            for (PipelineStatistics& zeros : unused.set->statistics()) {
                if (zeros.id == entry.stored.id)
                    entry.past.processors = std::move(zeros.processors);
            }
        } catch (const ApiError&) {
            // It cannot be compiled any more: whoever uses it is told.
        }
    }

    /// Says that the pipeline of this id, as its definition file has it, has been deleted.
    fs::path tombstone(const std::string& id) const {
        return directory / (file_name(id) + std::string(kDeleted));
    }

    /// Whether a file's pipeline was deleted and its file has said the same ever since.
    bool is_deleted(const StoredPipeline& shipped) const {
        return read_file(tombstone(shipped.id)) == shipped.config;
    }

    fs::path directory;
    const pipeline::Catalog& catalog;
    /// What definition files bring, by id, as they stood at the start.
    std::map<std::string, std::string, std::less<>> from_files;
    mutable std::mutex mutex;  // guards what follows
    std::map<std::string, Entry, std::less<>> entries;
    std::map<std::string, CompiledPipeline, std::less<>> compiled;
};

PipelineRegistry::PipelineRegistry(fs::path directory, const pipeline::Catalog& catalog,
                                   std::vector<PipelineDefinition> shipped)
    : impl_(new Impl{std::move(directory), catalog, {}, {}, {}, {}}) {
    std::error_code problem;
    fs::create_directories(impl_->directory, problem);
    if (problem) throw Error("cannot make " + impl_->directory.native() + ": " + problem.message());
    const std::string now = timestamp(std::chrono::system_clock::now());
    for (PipelineDefinition& definition : shipped) {
        Impl::Entry entry;
        entry.stored = {definition.id, to_json(definition.root), definition.version, now, now};
        impl_->from_files.insert_or_assign(entry.stored.id, entry.stored.config);
        if (impl_->is_deleted(entry.stored)) continue;
        find_calls(definition.root, entry.calls);
        entry.definition = std::move(definition);
        impl_->entries.insert_or_assign(entry.stored.id, std::move(entry));
    }
    for (const auto& file : fs::directory_iterator(impl_->directory)) {
        if (file.path().extension() == kExtension) impl_->read(file.path());
    }
}

PipelineRegistry::~PipelineRegistry() = default;

namespace {

/// A pipeline is replaced on condition that it has a version, and by another one. `old`: null when
/// there is none.
void check_version(const std::string& id, const StoredPipeline* old, std::int64_t wanted,
                   std::optional<std::int64_t> given) {
    const std::string conflict = "version conflict, required version [" + std::to_string(wanted) +
                                 "] for pipeline [" + id + "] but ";
    if (old == nullptr) throw illegal_argument(conflict + "no pipeline was found");
    if (!old->version) throw illegal_argument(conflict + "no version was found");
    if (*old->version != wanted)
        throw illegal_argument(conflict + "current version is [" + std::to_string(*old->version) +
                               "]");
    if (given == wanted)
        throw illegal_argument("cannot update pipeline [" + id + "] with the same version [" +
                               std::to_string(wanted) + "]");
}

/// The last one stays the last.
std::int64_t next_version(std::int64_t version) {
    return version == std::numeric_limits<std::int64_t>::max() ? version : version + 1;
}

std::string with_version(const std::string& config, std::int64_t version) {
    JsonTree tree = JsonTree::parse(config);
    tree.set("version", JsonTree::leaf(std::to_string(version)));
    return tree.json();
}

}  // namespace

void PipelineRegistry::put(const std::string& id, std::string_view body,
                           std::optional<std::int64_t> if_version) {
    Impl::Entry entry;
    entry.definition = parse(body, id);
    find_calls(entry.definition.root, entry.calls);
    entry.stored.id = id;
    entry.stored.config = to_json(entry.definition.root);
    entry.stored.version = entry.definition.version;
    entry.stored.modified = entry.stored.created = timestamp(std::chrono::system_clock::now());

    std::lock_guard lock(impl_->mutex);
    const auto old = impl_->entries.find(id);
    const bool there = old != impl_->entries.end();
    if (if_version) {
        check_version(id, there ? &old->second.stored : nullptr, *if_version, entry.stored.version);
        if (!entry.stored.version) {
            entry.stored.version = next_version(*if_version);
            entry.stored.config = with_version(entry.stored.config, next_version(*if_version));
        }
    }
    // Alone: what it calls may be put later.
    CompiledPipeline tried = impl_->compile(entry.definition, {});
    if (there) entry.stored.created = old->second.stored.created;
    impl_->write(entry.stored);
    impl_->store(std::move(entry));
}

bool PipelineRegistry::remove(const std::string& id) {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->entries.contains(id)) return false;
    std::error_code problem;
    // First: what was put in its place must not leave the file's one behind.
    if (const auto shipped = impl_->from_files.find(id); shipped != impl_->from_files.end())
        replace_file(impl_->tombstone(id), shipped->second);
    fs::remove(impl_->directory / file_name(id), problem);
    if (problem) throw Error("cannot delete pipeline [" + id + "]: " + problem.message());
    sync_directory(impl_->directory);
    impl_->retire(id);
    impl_->entries.erase(id);
    return true;
}

std::optional<StoredPipeline> PipelineRegistry::get(std::string_view id) const {
    std::lock_guard lock(impl_->mutex);
    const auto found = impl_->entries.find(id);
    if (found == impl_->entries.end()) return std::nullopt;
    return found->second.stored;
}

std::vector<StoredPipeline> PipelineRegistry::match(
    const std::vector<std::string>& patterns) const {
    std::lock_guard lock(impl_->mutex);
    std::vector<StoredPipeline> found;
    for (const auto& [id, entry] : impl_->entries) {
        const auto fits = [&, &name = id](const std::string& pattern) {
            return matches_wildcard(pattern, name);
        };
        if (std::any_of(patterns.begin(), patterns.end(), fits)) found.push_back(entry.stored);
    }
    return found;
}

CompiledPipeline PipelineRegistry::find(const std::string& id) {
    std::lock_guard lock(impl_->mutex);
    if (const auto ready = impl_->compiled.find(id); ready != impl_->compiled.end())
        return ready->second;
    const auto entry = impl_->entries.find(id);
    if (entry == impl_->entries.end()) return {};
    CompiledPipeline made = impl_->compile(entry->second.definition, entry->second.calls);
    impl_->compiled.insert_or_assign(id, made);
    return made;
}

CompiledPipeline PipelineRegistry::compile(std::string_view body, const std::string& id) {
    PipelineDefinition definition = parse(body, id);
    Calls calls;
    find_calls(definition.root, calls);
    std::lock_guard lock(impl_->mutex);
    return impl_->compile(std::move(definition), calls);
}

std::vector<PipelineStatistics> PipelineRegistry::statistics() const {
    std::lock_guard lock(impl_->mutex);
    std::map<std::string, PipelineStatistics> sums;
    for (const auto& [id, entry] : impl_->entries) {
        PipelineStatistics& sum = sums[id] = entry.past;
        sum.id = id;
    }
    for (const auto& [id, one] : impl_->compiled) {
        for (const PipelineStatistics& numbers : one.set->statistics()) {
            const auto sum = sums.find(numbers.id);
            if (sum == sums.end()) continue;
            add(sum->second, numbers);
            sum->second.current += numbers.current;
        }
    }
    std::vector<PipelineStatistics> all;
    for (auto& [id, sum] : sums) {
        if (sum.processors.empty()) {
            impl_->list_processors(impl_->entries.at(id));
            sum.processors = impl_->entries.at(id).past.processors;
        }
        all.push_back(std::move(sum));
    }
    return all;
}

}  // namespace penstock::serve
