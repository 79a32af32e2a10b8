#include "tools/serve/index_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <functional>
#include <limits>

#include "engine/io/values.h"
#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"

namespace penstock::serve {

namespace {

constexpr std::size_t kLargestVector = 4096;
// What is kept is JSON of at most 1000 levels: objects of mappings take two, a setting's name one
// for each part.
constexpr std::size_t kDeepestMapping = 400;
constexpr std::size_t kDeepestSetting = 900;
constexpr std::array<std::string_view, 26> kOtherTypes = {"alias",
                                                          "binary",
                                                          "completion",
                                                          "date_range",
                                                          "double_range",
                                                          "float_range",
                                                          "geo_point",
                                                          "geo_shape",
                                                          "histogram",
                                                          "integer_range",
                                                          "ip_range",
                                                          "join",
                                                          "long_range",
                                                          "murmur3",
                                                          "percolator",
                                                          "point",
                                                          "rank_features",
                                                          "shape",
                                                          "sparse_vector",
                                                          "annotated_text",
                                                          "passthrough",
                                                          "counted_keyword",
                                                          "flat_object",
                                                          "rank_vectors",
                                                          "icu_collation_keyword",
                                                          "aggregate_metric_double"};
constexpr std::array<std::string_view, 16> kRootParameters = {"properties",
                                                              "dynamic",
                                                              "dynamic_templates",
                                                              "_source",
                                                              "_routing",
                                                              "_meta",
                                                              "date_detection",
                                                              "numeric_detection",
                                                              "dynamic_date_formats",
                                                              "runtime",
                                                              "_size",
                                                              "_field_names",
                                                              "_data_stream_timestamp",
                                                              "_all",
                                                              "subobjects",
                                                              "_doc_count"};

void flatten(const JsonTree& tree, const std::string& prefix, FlatSettings& out) {
    for (const auto& [name, value] : tree.members()) {
        const std::string path = prefix.empty() ? name : prefix + "." + name;
        if (value.is_object()) {
            flatten(value, path, out);
        } else if (value.is_null() || value.json().starts_with('[')) {
            out[path] = value.json();
        } else {
            out[path] = JsonTree::text(value.content()).json();
        }
    }
}

void check_number(const FlatSettings& settings, std::string_view name, int least, int most) {
    const std::string text = setting(settings, name);
    if (text.empty()) return;
    int number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string called = "[" + std::string(name) + "]";
    if (problem != std::errc() || end != text.data() + text.size())
        throw illegal_argument("Failed to parse value [" + text + "] for setting " + called);
    if (number < least)
        throw illegal_argument("Failed to parse value [" + text + "] for setting " + called +
                               " must be >= " + std::to_string(least));
    if (number > most)
        throw illegal_argument("Failed to parse value [" + text + "] for setting " + called +
                               " must be <= " + std::to_string(most));
}

ApiError mapping_error(const std::string& reason) {
    return {400, "mapper_parsing_exception", reason};
}

std::string type_of(const JsonTree& field) {
    const JsonTree* type = field.find("type");
    return type == nullptr ? "" : type->content();
}

bool has_subobjects(const JsonTree& object) {
    const JsonTree* subobjects = object.find("subobjects");
    return subobjects == nullptr || subobjects->content() != "false";
}

/// Of fields that lie in so many objects, the mappings themselves being the first.
struct Depth {
    std::size_t objects = 1;
    std::size_t limit = kDeepestMapping;
    bool dots_nest = true;

    /// Of a field of this name, or of what lies in it when it is an object.
    Depth of(std::string_view name, const JsonTree& field) const {
        const auto dots = static_cast<std::size_t>(std::count(name.begin(), name.end(), '.'));
        const std::string type = type_of(field);
        const bool is_object = type.empty() || type == "object" || type == "nested";
        Depth inner = *this;
        inner.objects += (dots_nest ? dots : 0) + (is_object ? 1 : 0);
        inner.dots_nest = has_subobjects(field);
        return inner;
    }
    void check(const std::string& path) const {
        if (objects <= limit) return;
        std::size_t end = path.find('.');
        for (std::size_t parts = 1; parts < limit && end != std::string::npos; ++parts)
            end = path.find('.', end + 1);
        throw illegal_argument("Limit of mapping depth [" + std::to_string(limit) +
                               "] has been exceeded due to object field [" + path.substr(0, end) +
                               "]");
    }
};

void check_properties(const JsonTree& properties, const std::string& prefix, const Depth& depth);

void check_field(const JsonTree& field, const std::string& path, const Depth& depth) {
    if (!field.is_object())
        throw mapping_error("Failed to parse mapping: Expected map for property [" + path + "]");
    const std::string type = type_of(field);
    const bool known = io::value_type_from_name(type) != io::ValueType::unknown ||
                       std::find(kOtherTypes.begin(), kOtherTypes.end(), type) != kOtherTypes.end();
    if (!type.empty() && !known)
        throw mapping_error("Failed to parse mapping: No handler for type [" + type +
                            "] declared on field [" + path + "]");
    if (type.empty() && field.find("properties") == nullptr && !field.empty() &&
        field.find("dynamic") == nullptr && field.find("enabled") == nullptr)
        throw mapping_error("Failed to parse mapping: No type specified for field [" + path + "]");
    if (type == "alias" && field.find("path") == nullptr)
        throw mapping_error(
            "Failed to parse mapping: The [path] property must be specified for "
            "field [" +
            path + "].");
    const JsonTree* element = field.find("element_type");
    if (element != nullptr && element->content() == "bit")
        throw mapping_error("Failed to parse mapping: The [element_type] [bit] of field [" + path +
                            "] is not supported; known: float, byte");
    if (const JsonTree* properties = field.find("properties"))
        check_properties(*properties, path + ".", depth);
    if (const JsonTree* fields = field.find("fields")) check_properties(*fields, path + ".", depth);
}

/// Every field of mappings with its path, objects before what is in them.
void visit_fields(
    const JsonTree& mappings, const std::string& prefix,
    const std::function<void(const JsonTree& field, const std::string& path)>& visit) {
    for (const char* group : {"properties", "fields"}) {
        const JsonTree* fields = mappings.find(group);
        if (fields == nullptr) continue;
        for (const auto& [name, field] : fields->members()) {
            visit(field, prefix + name);
            visit_fields(field, prefix + name + ".", visit);
        }
    }
}

/// There is one join field, and it is no part of another field.
void check_join_field(const JsonTree& mappings) {
    std::string names;
    std::size_t count = 0;
    visit_fields(mappings, "", [&](const JsonTree& field, const std::string& path) {
        if (type_of(field) != "join") return;
        if (path.find('.') != std::string::npos)
            throw mapping_error("Failed to parse mapping: join field [" + path +
                                "] cannot be added inside an object or in a multi-field");
        names += (count++ == 0 ? "" : ", ") + path;
    });
    if (count > 1)
        throw mapping_error(
            "Failed to parse mapping: Only one [parent-join] field can be defined per index, got "
            "[" +
            names + "]");
}

/// Each name between the dots of a field's name must be one.
void check_field_name(std::string_view name) {
    constexpr std::string_view kBlanks = " \t\n\r";
    for (std::size_t from = 0; from <= name.size();) {
        const std::size_t end = std::min(name.find('.', from), name.size());
        const std::string_view part = name.substr(from, end - from);
        if (part.find_first_not_of(kBlanks) == std::string_view::npos) {
            const std::string why = name.empty() ? "name cannot be empty string"
                                                 : "field name cannot contain only whitespace: [" +
                                                       std::string(name) + "]";
            throw ApiError(400, "mapper_parsing_exception", "Failed to parse mapping: " + why)
                .with("caused_by", illegal_argument(why).object());
        }
        from = end + 1;
    }
}

void check_properties(const JsonTree& properties, const std::string& prefix, const Depth& depth) {
    if (!properties.is_object())
        throw mapping_error("Failed to parse mapping: Expected map for property [properties]");
    for (const auto& [name, field] : properties.members()) {
        check_field_name(name);
        const Depth inner = depth.of(name, field);
        inner.check(prefix + name);
        check_field(field, prefix + name, inner);
    }
}

/// Puts a field where the dots of its name lead.
void place_field(JsonTree& properties, std::string_view name, const JsonTree& field) {
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) {
        properties.at(name).merge(field);
        return;
    }
    JsonTree& parent = properties.at(name.substr(0, dot));
    const std::string type = type_of(parent);
    if (!type.empty() && type != "object" && type != "nested")
        throw illegal_argument("can't merge a non object mapping [" +
                               std::string(name.substr(0, dot)) + "] with an object mapping");
    place_field(parent.at("properties"), name.substr(dot + 1), field);
}

/// "a.b" is the field "b" of the object "a", unless the object that has it keeps no objects.
void nest_dotted_names(JsonTree& object) {
    const JsonTree* given = object.find("properties");
    if (given == nullptr || !has_subobjects(object)) return;
    JsonTree nested;
    for (const auto& [name, field] : given->members()) {
        JsonTree whole = field;
        nest_dotted_names(whole);
        place_field(nested, name, whole);
    }
    object.set("properties", std::move(nested));
}

/// `index.mapping.depth.limit`.
std::size_t depth_limit(const FlatSettings& settings) {
    constexpr std::string_view kLimit = "index.mapping.depth.limit";
    check_number(settings, kLimit, 1, std::numeric_limits<int>::max());
    const std::string text = setting(settings, kLimit);
    std::size_t limit = 20;
    std::from_chars(text.data(), text.data() + text.size(), limit);
    return std::min(limit, kDeepestMapping);
}

/// What is stored of documents is settled with the first of them.
void check_source_kept(const JsonTree& before, const JsonTree& added) {
    const auto text = [](const JsonTree& mappings, std::string_view name, const char* otherwise) {
        const JsonTree* source = mappings.find("_source");
        const JsonTree* value = source == nullptr ? nullptr : source->find(name);
        return value == nullptr ? std::string(otherwise) : value->content();
    };
    const auto refuse = [](const std::string& name, const std::string& was, const std::string& is) {
        throw illegal_argument(
            "Mapper for [_source] conflicts with existing mapper:\n\tCannot update parameter [" +
            name + "] from [" + was + "] to [" + is + "]");
    };
    if (added.find("_source") == nullptr) return;
    const std::string mode = text(before, "mode", "stored");
    const std::string new_mode = text(added, "mode", mode.c_str());
    if (mode != new_mode && mode == "synthetic") refuse("mode", mode, new_mode);
    const std::string enabled = text(before, "enabled", "true");
    const std::string new_enabled = text(added, "enabled", enabled.c_str());
    if (enabled != new_enabled) refuse("enabled", enabled, new_enabled);
}

io::Similarity similarity_of(const JsonTree& field, bool opensearch) {
    std::string name;
    if (const JsonTree* given = field.find("similarity")) name = given->content();
    if (const JsonTree* given = field.find("space_type")) name = given->content();
    const JsonTree* method = field.find("method");
    if (method != nullptr && method->find("space_type") != nullptr)
        name = method->find("space_type")->content();
    if (name.empty()) return opensearch ? io::Similarity::l2_norm : io::Similarity::cosine;
    if (name == "cosinesimil") return io::Similarity::cosine;
    if (name == "l2") return io::Similarity::l2_norm;
    if (name == "innerproduct") return io::Similarity::max_inner_product;
    if (const auto known = io::similarity_from_name(name)) return *known;
    throw mapping_error("Failed to parse mapping: The [similarity] value [" + name +
                        "] is not supported; known: cosine, dot_product, l2_norm, "
                        "max_inner_product");
}

void find_vectors(const JsonTree& properties, const std::string& prefix,
                  std::vector<io::VectorMapping>& out) {
    for (const auto& [name, field] : properties.members()) {
        const std::string path = prefix + name;
        if (const JsonTree* inner = field.find("properties")) find_vectors(*inner, path + ".", out);
        const std::string type = type_of(field);
        if (type != "dense_vector" && type != "knn_vector") continue;
        io::VectorMapping& mapping = out.emplace_back();
        mapping.field = path;
        mapping.similarity = similarity_of(field, type == "knn_vector");
        const JsonTree* dims = field.find(type == "knn_vector" ? "dimension" : "dims");
        if (dims == nullptr) continue;
        const std::string text = dims->content();
        long number = 0;
        std::from_chars(text.data(), text.data() + text.size(), number);
        if (number < 1 || number > static_cast<long>(kLargestVector))
            throw mapping_error(
                "Failed to parse mapping: The number of dimensions should be in the range [1, "
                "4096] but was [" +
                text + "]");
        mapping.dims = static_cast<std::size_t>(number);
    }
}

JsonTree dynamic_field(const io::FieldInfo& field, const io::IndexInfo& info) {
    JsonTree tree;
    tree.set("type", JsonTree::text(field.type));
    if (field.type == "text") {
        JsonTree& keyword = tree.at("fields").at("keyword");
        keyword.set("type", JsonTree::text("keyword"));
        keyword.set("ignore_above", JsonTree::leaf("256"));
    }
    for (const io::VectorFieldInfo& vector : info.vector_fields) {
        if (vector.field != field.path) continue;
        if (vector.dims > 0) tree.set("dims", JsonTree::leaf(std::to_string(vector.dims)));
        tree.set("index", JsonTree::leaf("true"));
        tree.set("similarity", JsonTree::text(io::similarity_name(vector.similarity)));
    }
    return tree;
}

/// Below "properties" along the path; stops where a mapped field has its own idea of it.
void add_field(JsonTree& properties, std::string_view path, const JsonTree& field) {
    if (properties.find(path) != nullptr) return;
    const std::size_t dot = path.find('.');
    if (dot == std::string_view::npos || dot == 0 || dot + 1 == path.size()) {
        properties.set(path, field);
        return;
    }
    JsonTree& parent = properties.at(path.substr(0, dot));
    if (!type_of(parent).empty() && parent.find("properties") == nullptr &&
        type_of(parent) != "object" && type_of(parent) != "nested")
        return;
    add_field(parent.at("properties"), path.substr(dot + 1), field);
}

void merge_properties(JsonTree& into, const JsonTree& added, const std::string& prefix) {
    for (const auto& [name, field] : added.members()) {
        const std::string path = prefix + name;
        const bool fresh = into.find(name) == nullptr;
        JsonTree& mine = into.at(name);
        if (fresh) {
            mine = field;
            continue;
        }
        const std::string was = type_of(mine).empty() ? "object" : type_of(mine);
        const std::string is = type_of(field).empty() ? "object" : type_of(field);
        if (was != is)
            throw illegal_argument("mapper [" + path + "] cannot be changed from type [" + was +
                                   "] to [" + is + "]");
        const JsonTree* inner = field.find("properties");
        JsonTree rest = field;
        rest.remove("properties");
        if (field.find("meta") != nullptr) mine.remove("meta");  // replaced whole
        mine.merge(rest);
        if (inner != nullptr) merge_properties(mine.at("properties"), *inner, path + ".");
    }
}

bool is_field(std::string_view type) {
    return !type.empty() && type != "object" && type != "nested";
}

/// Members of a flattened object are fields that no mapping lists.
bool lies_in_flattened(const std::map<std::string, std::string, std::less<>>& types,
                       std::string_view path) {
    for (std::size_t dot = path.rfind('.'); dot != std::string_view::npos;
         dot = path.substr(0, dot).rfind('.')) {
        const auto around = types.find(path.substr(0, dot));
        if (around != types.end() &&
            (around->second == "flattened" || around->second == "flat_object"))
            return true;
    }
    return false;
}

/// Formats of dates that are read here whatever the mapping says.
bool reads_date_format(std::string_view format) {
    constexpr std::array<std::string_view, 14> kRead = {"date_optional_time",
                                                        "strict_date_optional_time",
                                                        "strict_date_optional_time_nanos",
                                                        "epoch_millis",
                                                        "iso8601",
                                                        "date",
                                                        "strict_date",
                                                        "date_time",
                                                        "strict_date_time",
                                                        "date_time_no_millis",
                                                        "strict_date_time_no_millis",
                                                        "yyyy-MM-dd",
                                                        "yyyy/MM/dd",
                                                        "yyyy/MM/dd HH:mm:ss"};
    while (!format.empty()) {
        const std::size_t end = std::min(format.find("||"), format.size());
        const std::string_view one = format.substr(0, end);
        if (std::find(kRead.begin(), kRead.end(), one) == kRead.end()) return false;
        format.remove_prefix(std::min(end + 2, format.size()));
    }
    return true;
}

/// What a field's option says that is not done, as a warning names it; empty when all is well.
std::string ignored(const std::string& option, const std::string& value) {
    constexpr std::array<std::string_view, 4> kUnknown = {"copy_to", "null_value", "normalizer",
                                                          "ignore_above"};
    constexpr std::array<std::string_view, 3> kAnalyzers = {"analyzer", "search_analyzer",
                                                            "search_quote_analyzer"};
    const std::string with_value = option + ": " + value;
    const auto is_in = [&](const auto& names) {
        return std::find(names.begin(), names.end(), option) != names.end();
    };
    if (is_in(kUnknown)) return option;
    if (is_in(kAnalyzers)) return value == "standard" || value == "default" ? "" : with_value;
    if (option == "format") return reads_date_format(value) ? "" : with_value;
    return option == "element_type" && value == "byte" ? with_value : "";
}

void note_ignored(const JsonTree& field, const std::string& path,
                  std::map<std::string, std::vector<std::string>>& fields) {
    for (const auto& [option, value] : field.members()) {
        if (value.is_null() || value.is_object()) continue;
        const std::string what = ignored(option, value.content());
        if (!what.empty()) fields[what].push_back(path);
    }
}

std::string shortened(const std::vector<std::string>& paths) {
    constexpr std::size_t kShown = 10;
    std::string list;
    for (std::size_t i = 0; i < std::min(paths.size(), kShown); ++i)
        list += (i > 0 ? ", " : "") + paths[i];
    if (paths.size() > kShown) list += " and " + std::to_string(paths.size() - kShown) + " more";
    return list;
}

}  // namespace

FlatSettings flatten_settings(const JsonTree& settings) {
    FlatSettings raw;
    flatten(settings, "", raw);
    FlatSettings out;
    for (auto& [name, value] : raw)
        out[name.starts_with("index.") ? name : "index." + name] = value;
    for (const auto& [name, value] : out)
        check_setting_name(name);
    return out;
}

void check_setting_name(std::string_view name) {
    const auto parts = static_cast<std::size_t>(std::count(name.begin(), name.end(), '.')) + 1;
    if (parts > kDeepestSetting)
        throw illegal_argument("the name of a setting has [" + std::to_string(parts) +
                               "] parts, of which there may be [" +
                               std::to_string(kDeepestSetting) + "]");
}

JsonTree nest_settings(const FlatSettings& settings) {
    JsonTree tree;
    for (const auto& [name, value] : settings) {
        JsonTree* at = &tree;
        std::string_view rest = name;
        for (std::size_t dot = rest.find('.'); dot != std::string_view::npos;
             dot = rest.find('.')) {
            const JsonTree* next = at->find(rest.substr(0, dot));
            if (next != nullptr && !next->is_object()) break;
            at = &at->at(rest.substr(0, dot));
            rest.remove_prefix(dot + 1);
        }
        at->set(rest, JsonTree::leaf(value));
    }
    return tree;
}

JsonTree shown_settings(const FlatSettings& settings, bool flat) {
    if (!flat) return nest_settings(settings);
    JsonTree tree;
    for (const auto& [name, value] : settings)
        tree.set(name, JsonTree::leaf(value));
    return tree;
}

FlatSettings requested_settings(const JsonTree& body) {
    const JsonTree* inner = body.find("settings");
    return flatten_settings(inner != nullptr && inner->is_object() ? *inner : body);
}

const FlatSettings& default_settings() {
    static const FlatSettings defaults{{"index.default_pipeline", R"("_none")"},
                                       {"index.final_pipeline", R"("_none")"},
                                       {"index.mapping.total_fields.limit", R"("1000")"},
                                       {"index.max_result_window", R"("10000")"},
                                       {"index.refresh_interval", R"("1s")"}};
    return defaults;
}

Change change_of(std::string_view setting) {
    constexpr std::array<std::string_view, 9> kNever = {
        "index.creation_date",        "index.mode",
        "index.number_of_shards",     "index.number_of_routing_shards",
        "index.provided_name",        "index.routing_partition_size",
        "index.soft_deletes.enabled", "index.uuid",
        "index.version.created"};
    constexpr std::array<std::string_view, 6> kWhileClosed = {
        "index.codec",
        "index.load_fixed_bitset_filters_eagerly",
        "index.query_string.lenient",
        "index.shard.check_on_startup",
        "index.store.preload",
        "index.store.type"};
    const auto is_in = [&](const auto& names) {
        return std::find(names.begin(), names.end(), setting) != names.end();
    };
    if (is_in(kNever) || setting.starts_with("index.sort.")) return Change::never;
    const bool by_group =
        setting.starts_with("index.analysis.") || setting.starts_with("index.similarity.");
    return is_in(kWhileClosed) || by_group ? Change::while_closed : Change::always;
}

std::string setting(const FlatSettings& settings, std::string_view name) {
    const auto found = settings.find(name);
    return found == settings.end() || found->second == "null"
               ? std::string()
               : JsonTree::leaf(found->second).content();
}

void check_settings(const FlatSettings& settings) {
    check_number(settings, "index.number_of_shards", 1, 1024);
    check_number(settings, "index.number_of_replicas", 0, 1'000'000);
    check_number(settings, "index.max_result_window", 1, 1'000'000'000);
    const std::string interval = setting(settings, kRefreshInterval);
    if (!interval.empty() && !parse_time(interval))
        throw illegal_argument("failed to parse setting [index.refresh_interval] with value [" +
                               interval + "] as a time value: unit is missing or unrecognized");
}

std::size_t field_limit(const FlatSettings& settings) {
    constexpr std::string_view kLimit = "index.mapping.total_fields.limit";
    check_number(settings, kLimit, 0, std::numeric_limits<int>::max());
    const std::string text = setting(settings, kLimit);
    std::size_t limit = 1000;
    std::from_chars(text.data(), text.data() + text.size(), limit);
    return limit;
}

ApiError too_many_fields(std::size_t limit) {
    return illegal_argument("Limit of total fields [" + std::to_string(limit) +
                            "] has been exceeded");
}

void check_field_limit(const JsonTree& mappings, const FlatSettings& settings) {
    const std::size_t limit = field_limit(settings);
    std::size_t count = 0;
    visit_fields(mappings, "", [&](const JsonTree&, const std::string&) { ++count; });
    if (count > limit) throw too_many_fields(limit);
}

void check_field_aliases(const JsonTree& mappings, const std::vector<io::FieldInfo>& brought) {
    std::map<std::string, std::string, std::less<>> types;
    for (const io::FieldInfo& field : brought) {
        types[field.path] = field.type;
        if (field.type == "text") types[field.path + ".keyword"] = "keyword";
    }
    visit_fields(mappings, "", [&](const JsonTree& field, const std::string& path) {
        types[path] = type_of(field);
    });
    visit_fields(mappings, "", [&](const JsonTree& field, const std::string& path) {
        const JsonTree* given = type_of(field) == "alias" ? field.find("path") : nullptr;
        if (given == nullptr) return;
        const std::string target = given->content();
        const auto refuse = [&](const std::string& why) {
            throw mapping_error("Invalid [path] value [" + target + "] for field alias [" + path +
                                "]: " + why);
        };
        if (target == path) refuse("an alias cannot refer to itself.");
        const auto found = types.find(target);
        const std::string type = found == types.end() ? "" : found->second;
        if (type == "alias") refuse("an alias cannot refer to another alias.");
        if (is_field(type) || lies_in_flattened(types, target)) return;
        refuse("an alias must refer to an existing field in the mappings.");
    });
}

bool has_field_aliases(const JsonTree& mappings) {
    bool found = false;
    visit_fields(mappings, "", [&](const JsonTree& field, const std::string&) {
        found = found || type_of(field) == "alias";
    });
    return found;
}

std::vector<std::string> ignored_options(const JsonTree& mappings) {
    std::map<std::string, std::vector<std::string>> fields;
    note_ignored(mappings, "_doc", fields);
    visit_fields(mappings, "", [&](const JsonTree& field, const std::string& path) {
        note_ignored(field, path, fields);
    });
    std::vector<std::string> texts;
    texts.reserve(fields.size());
    for (const auto& [option, paths] : fields)
        texts.push_back("the mapping option [" + option + "] has no effect here; it is set for [" +
                        shortened(paths) + "]");
    return texts;
}

JsonTree normalise_mappings(const JsonTree& mappings, const FlatSettings* settings) {
    if (!mappings.is_object()) throw mapping_error("Failed to parse mapping: expected an object");
    const JsonTree* root = &mappings;
    if (mappings.members().size() == 1) {
        const auto& [name, inner] = mappings.members().front();
        const bool known = std::find(kRootParameters.begin(), kRootParameters.end(), name) !=
                           kRootParameters.end();
        if (!known && inner.is_object()) root = &inner;
    }
    for (const auto& [name, value] : root->members()) {
        if (std::find(kRootParameters.begin(), kRootParameters.end(), name) ==
            kRootParameters.end())
            throw mapping_error(
                "Failed to parse mapping: Root mapping definition has unsupported "
                "parameters:  [" +
                name + " : " + value.json() + "]");
    }
    Depth depth;
    depth.dots_nest = has_subobjects(*root);
    if (settings != nullptr) depth.limit = depth_limit(*settings);
    if (const JsonTree* properties = root->find("properties"))
        check_properties(*properties, "", depth);
    JsonTree normal = *root;
    nest_dotted_names(normal);
    check_join_field(normal);
    return normal;
}

bool is_typed(const JsonTree& mappings) {
    return mappings.members().size() == 1 && mappings.members().front().first == "_doc" &&
           mappings.members().front().second.is_object();
}

void merge_mappings(JsonTree& mappings, const JsonTree& added) {
    check_source_kept(mappings, added);
    JsonTree rest = added;
    rest.remove("properties");
    mappings.merge(rest);
    if (const JsonTree* properties = added.find("properties"))
        merge_properties(mappings.at("properties"), *properties, "");
    check_join_field(mappings);
}

std::vector<io::VectorMapping> vector_mappings(const JsonTree& mappings) {
    std::vector<io::VectorMapping> found;
    if (const JsonTree* properties = mappings.find("properties"))
        find_vectors(*properties, "", found);
    return found;
}

void add_dynamic_fields(JsonTree& mappings, const io::IndexInfo& info) {
    for (const io::FieldInfo& field : info.fields)
        add_field(mappings.at("properties"), field.path, dynamic_field(field, info));
}

}  // namespace penstock::serve
