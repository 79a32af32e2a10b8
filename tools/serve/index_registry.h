// Names of indices: aliases, wildcards, settings and mappings beside the embedded index.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index.h"
#include "tools/serve/auto_create.h"
#include "tools/serve/index_activity.h"
#include "tools/serve/index_metadata.h"
#include "tools/serve/index_names.h"
#include "tools/serve/index_templates.h"

namespace penstock::serve {

/// Where one write goes.
struct WriteTarget {
    std::string index;  ///< concrete
    bool exists = false;
    bool through_alias = false;
    std::string default_pipeline;  ///< empty: none ("_none" is taken as none)
    std::string final_pipeline;
};

/// One step of a change of aliases, for one concrete index.
struct AliasChange {
    enum class Kind { add, remove, remove_index };
    Kind kind = Kind::add;
    std::string index;
    std::string alias;    ///< not of remove_index
    std::string content;  ///< of add, as JSON: {"filter", "routing", "is_write_index", ...}
};

/// An index or an alias, by its own name.
struct KnownName {
    std::string name;
    bool closed = false;               ///< of an alias: all its indices are
    std::vector<std::string> indices;  ///< of an alias
};

/// Thread-safe; blocks for files. Settings, mappings and aliases lie in the index itself, so that
/// they are changed as safely as documents and go with it; templates in files beside the indices.
/// Whoever asks for an index whose files are damaged gets a StorageError; questions about names
/// pass over its aliases.
class IndexRegistry {
  public:
    explicit IndexRegistry(std::shared_ptr<io::IndexStore> store);
    ~IndexRegistry();

    /// `body`: {"settings", "mappings", "aliases"}, or empty. Throws ApiError 400
    /// (resource_already_exists_exception, invalid_index_name_exception, ...).
    void create(const std::string& name, std::string_view body);
    /// An index that the server itself keeps, if it is not there. Templates say nothing of it.
    void create_system(const std::string& name, std::string_view body);
    /// For a write to an index that is not there: creates it, if that is allowed, with what
    /// templates say. One that somebody else has made meanwhile is well. Throws ApiError.
    void create_for_write(const std::string& name);
    void set_auto_create(AutoCreate rules);
    /// Whether indices are deleted only by their names, never by patterns; the product's own way
    /// where nobody has said so.
    void set_names_to_delete(std::optional<bool> required);
    std::optional<bool> names_to_delete() const;
    /// What names with date mathematics take for now, where it is not the system's time. Before the
    /// first request.
    void set_clock(std::function<std::chrono::system_clock::time_point()> now);
    /// The name that one with date mathematics (`<logs-{now/d}>`) stands for, or a list of names
    /// with commas; others as they are. `write_target` and `expand` take such names too. Throws
    /// ApiError 400.
    std::string resolve_names(std::string_view names) const;
    /// Concrete names, sorted, for "a,b*,-bc,alias", "_all" and "". Patterns reach the server's own
    /// indices when they begin with a dot, or the options say so. Throws ApiError 404
    /// index_not_found_exception as the options say, and 400 for more than 16 KiB of names.
    std::vector<std::string> expand(std::string_view expression,
                                    const ExpandOptions& options = {}) const;
    /// The names of all indices, hidden and closed ones too, and with `aliases` of all aliases.
    std::vector<KnownName> known_names(bool aliases) const;
    /// Of one index that a search of `expression` reaches through aliases alone: their filters, one
    /// of which must hold. Empty: no restriction.
    std::vector<std::string> filters(std::string_view expression, const std::string& index) const;
    /// For one name of an index or alias. Throws ApiError 400 when an alias has several indices and
    /// none to write to or the index is closed, 404 when `require_alias` is set and it is none, and
    /// 403 for the server's own indices.
    WriteTarget write_target(const std::string& given, bool require_alias = false) const;
    /// The index that a get of `name` reads. Throws ApiError 404, or 400 when there are several or
    /// it is closed.
    std::string single(const std::string& name) const;
    /// A closed index keeps its documents, and nobody reads or writes them.
    void set_closed(const std::string& index, bool closed);
    /// Deletes index and metadata.
    void remove(const std::string& index);

    /// There is an index of this name, be its files good or bad.
    bool exists(const std::string& index) const;
    /// Null when there is no such index.
    std::shared_ptr<const IndexMetadata> metadata(const std::string& index) const;
    /// Null also when it cannot be read, which the log says once.
    std::shared_ptr<const IndexMetadata> readable(const std::string& index) const;
    /// `reopen`: also what can be changed of closed indices alone. Throws ApiError 400.
    void put_settings(const std::string& index, std::string_view body, bool reopen = false);
    void put_mappings(const std::string& index, std::string_view body);
    void put_alias(const std::string& index, const std::string& alias, const std::string& body);
    /// All of them, in their order, or none; whoever looks at names meanwhile sees them all or
    /// none. Indices are removed last. Throws ApiError for what cannot be.
    void change_aliases(const std::vector<AliasChange>& changes);

    /// How much is done with each index.
    IndexActivity& activity() const;
    /// Scrolls and points in time that read an index, for its statistics.
    void count_context(const std::string& index, int change);
    int open_contexts(const std::string& index) const;

    /// What was put, with what documents have brought beside it.
    std::string effective_mappings(const std::string& index) const;

    /// What new indices begin with.
    IndexTemplates& templates() const;

    io::IndexStore& store() const { return *store_; }

  private:
    struct Impl;
    void make(const std::string& name, Blueprint blueprint);
    void apply_visibility(const std::string& index) const;
    std::vector<std::shared_ptr<const IndexMetadata>> all() const;
    std::vector<std::shared_ptr<const IndexMetadata>> holders(const std::string& alias) const;
    bool is_closed(const std::string& index) const;

    std::shared_ptr<io::IndexStore> store_;
    std::unique_ptr<Impl> impl_;
    std::function<std::chrono::system_clock::time_point()> now_ = std::chrono::system_clock::now;
};

}  // namespace penstock::serve
