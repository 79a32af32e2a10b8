// Names of indices and aliases: which may be given, and which indices an expression reaches.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/index_metadata.h"

namespace penstock::io {
class IndexStore;
}

namespace penstock::serve {

class Parameters;

/// The index of the results of tasks.
inline constexpr std::string_view kTasksIndex = ".tasks";

/// Which indices patterns reach.
enum class Reach { open, closed, all };

struct ExpandOptions {
    bool ignore_unavailable = false;
    bool allow_no_indices = true;
    /// Any pattern reaches names that begin with a dot, not only one that does so itself.
    bool hidden = false;
    /// Patterns reach open indices, and closed ones. Neither: patterns are taken for names.
    bool open = true;
    bool closed = true;
    /// Throws ApiError 400 for a closed index that is named, or with `ignore_unavailable` passes
    /// over it.
    bool forbid_closed = false;
    /// Names and patterns may be those of aliases.
    bool aliases = true;

    /// `ignore_unavailable`, `allow_no_indices` and `expand_wildcards` of a request; `reach`: of
    /// patterns where the request does not say. Throws ApiError 400.
    static ExpandOptions from(const Parameters& parameters, bool none_allowed = true,
                              Reach reach = Reach::open);
    /// For whoever reads documents: patterns reach open indices, and none may be closed.
    static ExpandOptions for_documents();
    static ExpandOptions for_documents(const Parameters& parameters);
};

/// Of any names: with a `*`, or "_all".
bool is_pattern(std::string_view text);
/// "_all" fits every name.
bool fits_pattern(std::string_view pattern, std::string_view name);

/// Of an index that the server itself keeps: requests read and delete it, but do not change it.
bool is_system_index(std::string_view name);
/// Whether a name, or a pattern without `hidden`, may reach such an index.
bool names_system_index(std::string_view name_or_pattern);
/// Throws ApiError 403 for an index that the server itself keeps.
void check_changeable(std::string_view index);

/// Throws ApiError 400 (invalid_index_name_exception).
void check_new_index_name(const std::string& name);
/// Throws ApiError 400 (invalid_alias_name_exception). `going`: indices that are removed together
/// with the alias's coming.
void check_alias_name(const std::string& alias, const io::IndexStore& store,
                      const std::set<std::string>& going = {});

/// Throws ApiError 400 for an expression that would take long to look up: more than 16 KiB of
/// patterns, or 1 MiB in all.
void check_expression(std::string_view expression);

/// Reads the metadata of all indices.
using ReadAll = std::function<std::vector<std::shared_ptr<const IndexMetadata>>()>;

using IsClosed = std::function<bool(const std::string& index)>;

/// What IndexRegistry::expand() answers. `names`: of all indices, sorted; `all` is called when
/// aliases are asked for, at most once.
std::vector<std::string> expand_names(std::string_view expression, const ExpandOptions& options,
                                      std::vector<std::string> names, ReadAll all,
                                      IsClosed is_closed);

}  // namespace penstock::serve
