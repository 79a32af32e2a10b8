// Settings and mappings as clients write them, brought into one form.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_tree.h"

namespace penstock::serve {

/// "index.number_of_shards" and so on, with strings (or arrays of them) as JSON; null resets one.
using FlatSettings = std::map<std::string, std::string, std::less<>>;

constexpr std::string_view kRefreshInterval = "index.refresh_interval";

/// From {"index": {"number_of_shards": 1}}, {"number_of_shards": 1} or {"index.number_of_shards":
/// 1}. Throws ApiError 400 as check_setting_name does.
FlatSettings flatten_settings(const JsonTree& settings);
/// Throws ApiError 400 for a name of so many parts that what they are nested to cannot be read.
void check_setting_name(std::string_view name);
/// {"index": {"number_of_shards": "1"}}.
JsonTree nest_settings(const FlatSettings& settings);
/// Nested, or with `flat` {"index.number_of_shards": "1"}.
JsonTree shown_settings(const FlatSettings& settings, bool flat);
/// The text of a setting; empty when it is not there.
std::string setting(const FlatSettings& settings, std::string_view name);
/// Of a request that changes settings: with or without "settings" around them.
FlatSettings requested_settings(const JsonTree& body);
/// What holds where a setting is not given.
const FlatSettings& default_settings();
/// When an index's setting may be changed.
enum class Change { always, while_closed, never };
Change change_of(std::string_view setting);
/// Throws ApiError 400 for what cannot be: a bad number of shards, a setting of no known kind.
void check_settings(const FlatSettings& settings);

/// `index.mapping.total_fields.limit` (1000), and what is said beyond it.
std::size_t field_limit(const FlatSettings& settings);
ApiError too_many_fields(std::size_t limit);
/// Throws ApiError 400 when mappings have more fields than that.
void check_field_limit(const JsonTree& mappings, const FlatSettings& settings);
/// Throws ApiError 400 (mapper_parsing_exception) for a field alias that leads to no field, to
/// another alias or to itself. `brought`: what documents have brought beside the mappings.
void check_field_aliases(const JsonTree& mappings, const std::vector<io::FieldInfo>& brought = {});
bool has_field_aliases(const JsonTree& mappings);
/// What mappings ask for and do not get, in words; each names an option and its fields.
std::vector<std::string> ignored_options(const JsonTree& mappings);

/// Mappings with the type "_doc" around them, as they were once.
bool is_typed(const JsonTree& mappings);
/// Takes off the type that mappings had around them once, makes objects of dotted names, and checks
/// the fields. Throws ApiError 400: mapper_parsing_exception, and illegal_argument_exception for
/// objects deeper than `index.mapping.depth.limit` (20) of the settings. Without settings that is
/// as deep as it can be.
JsonTree normalise_mappings(const JsonTree& mappings, const FlatSettings* settings = nullptr);
/// Adds fields. Throws ApiError 400 when one would change its type, or what is stored of documents.
void merge_mappings(JsonTree& mappings, const JsonTree& added);
/// The fields of vectors in mappings. Throws ApiError 400 for impossible ones.
std::vector<io::VectorMapping> vector_mappings(const JsonTree& mappings);
/// Adds what documents brought to what is mapped.
void add_dynamic_fields(JsonTree& mappings, const io::IndexInfo& info);

}  // namespace penstock::serve
