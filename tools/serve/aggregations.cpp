#include "tools/serve/aggregations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"
#include "tools/serve/json_body.h"

namespace penstock::serve {

namespace {

using document::JsonWriter;
using document::Member;
using document::Object;
using document::Value;
using io::SortValue;
using io::ValueType;

constexpr std::size_t kMaxBuckets = 65'536;    ///< shown, in one response
constexpr std::size_t kMaxGroups = 1'000'000;  ///< and different values, kept for one request
constexpr int kMaxDepth = 10;

constexpr std::array<std::pair<std::string_view, AggregationKind>, 11> kKinds = {{
    {"value_count", AggregationKind::value_count},
    {"min", AggregationKind::min},
    {"max", AggregationKind::max},
    {"avg", AggregationKind::avg},
    {"sum", AggregationKind::sum},
    {"stats", AggregationKind::stats},
    {"cardinality", AggregationKind::cardinality},
    {"missing", AggregationKind::missing},
    {"terms", AggregationKind::terms},
    {"histogram", AggregationKind::histogram},
    {"date_histogram", AggregationKind::date_histogram},
}};

std::string text_of(Value value) {
    return value.is_string() ? std::string(value.as_string()) : json_text(value);
}

char calendar_unit(const std::string& text) {
    static constexpr std::array<std::pair<std::string_view, char>, 14> units = {{
        {"minute", 'm'},
        {"1m", 'm'},
        {"hour", 'h'},
        {"1h", 'h'},
        {"day", 'd'},
        {"1d", 'd'},
        {"week", 'w'},
        {"1w", 'w'},
        {"month", 'M'},
        {"1M", 'M'},
        {"year", 'y'},
        {"1y", 'y'},
        {"second", 's'},
        {"1s", 's'},
    }};
    for (const auto& [name, unit] : units) {
        if (name == text) return unit;
    }
    return 0;
}

class Parser {
  public:
    std::vector<AggregationRequest> all(Value value) {
        if (!value.is_object()) throw parsing_error("[aggregations] must be an object");
        if (++depth_ > kMaxDepth) throw illegal_argument("aggregations are nested too deeply");
        std::vector<AggregationRequest> requests;
        for (const Member& member : value.as_object()) {
            if (!member.value.is_object())
                throw parsing_error("Aggregation definition for [" + std::string(member.key()) +
                                    "] starts with a VALUE, expected a START_OBJECT.");
            requests.push_back(one(std::string(member.key()), member.value.as_object()));
        }
        --depth_;
        return requests;
    }

  private:
    AggregationRequest one(std::string name, const Object& definition) {
        AggregationRequest request;
        request.name = std::move(name);
        const Member* kind = nullptr;
        for (const Member& member : definition) {
            if (member.key() == "aggs" || member.key() == "aggregations") {
                request.children = all(member.value);
            } else if (kind != nullptr) {
                throw parsing_error("Found two aggregation type definitions in [" + request.name +
                                    "]: [" + std::string(kind->key()) + "] and [" +
                                    std::string(member.key()) + "]");
            } else {
                kind = &member;
            }
        }
        if (kind == nullptr)
            throw parsing_error("Missing definition for aggregation [" + request.name + "]");
        const auto known = std::find_if(kKinds.begin(), kKinds.end(),
                                        [&](const auto& one) { return one.first == kind->key(); });
        if (known == kKinds.end())
            throw parsing_error("aggregation type [" + std::string(kind->key()) + "] of [" +
                                request.name +
                                "] is unknown or not supported by the embedded "
                                "index");
        request.kind = known->second;
        if (request.kind >= AggregationKind::histogram) request.min_doc_count = 0;
        if (!request.children.empty() && request.kind < AggregationKind::missing)
            throw ApiError(400, "aggregation_initialization_exception",
                           "Aggregator [" + request.name + "] of type [" +
                               std::string(kind->key()) + "] cannot accept sub-aggregations");
        if (!kind->value.is_object())
            throw parsing_error("[" + std::string(kind->key()) + "] must be an object");
        for (const Member& option : kind->value.as_object())
            read_option(*kind, option, request);
        finish(request);
        return request;
    }

    static void read_option(const Member& kind, const Member& option, AggregationRequest& request) {
        const std::string_view name = option.key();
        const bool terms = request.kind == AggregationKind::terms;
        const bool dates = request.kind == AggregationKind::date_histogram;
        const bool grouped = terms || dates || request.kind == AggregationKind::histogram;
        if (name == "field") {
            request.field = text_of(option.value);
        } else if (name == "missing") {
            if (option.value.is_array() || option.value.is_object() || option.value.is_null())
                throw parsing_error("[" + std::string(kind.key()) +
                                    "] [missing] must be a value: a text, a number or a boolean");
            request.missing = io::sort_value(option.value, ValueType::unknown);
        } else if (name == "size" && terms && option.value.is_integer() &&
                   option.value.as_integer() > 0) {
            request.size = static_cast<std::size_t>(option.value.as_integer());
        } else if (name == "min_doc_count" && grouped && option.value.is_integer()) {
            request.min_doc_count =
                static_cast<std::uint64_t>(std::max<std::int64_t>(option.value.as_integer(), 0));
        } else if (name == "order" && terms) {
            read_order(option, request);
        } else if (name == "interval" && !dates && option.value.is_number()) {
            request.interval = option.value.to_double();
        } else if (dates && (name == "calendar_interval" || name == "fixed_interval" ||
                             name == "interval")) {
            read_interval(option, request);
        } else if (!harmless(name, option.value, terms)) {
            throw parsing_error("[" + std::string(kind.key()) + "] unknown or unsupported field [" +
                                std::string(name) + "]");
        }
    }

    static bool harmless(std::string_view name, Value value, bool terms) {
        return name == "shard_size" || name == "execution_hint" || name == "collect_mode" ||
               name == "precision_threshold" || (terms && name == "show_term_doc_count_error") ||
               (name == "format" && text_of(value) == "strict_date_optional_time") ||
               (name == "time_zone" && (text_of(value) == "UTC" || text_of(value) == "Z"));
    }

    static void read_order(const Member& option, AggregationRequest& request) {
        Value order = option.value;
        if (order.is_array() && !order.as_array().empty()) order = order.as_array()[0];
        if (!order.is_object() || order.as_object().size() != 1)
            throw parsing_error("Must specify at least one field for [order]");
        const Member& by = order.as_object()[0];
        if (by.key() != "_count" && by.key() != "_key" && by.key() != "_term")
            throw illegal_argument("[terms] supports the order by [_count] and [_key], not by [" +
                                   std::string(by.key()) + "]");
        request.by_key = by.key() != "_count";
        request.descending = text_of(by.value) == "desc";
    }

    static void read_interval(const Member& option, AggregationRequest& request) {
        const std::string text = text_of(option.value);
        request.calendar_unit = option.key() == "fixed_interval" ? char{0} : calendar_unit(text);
        if (request.calendar_unit != 0) return;
        const auto time = parse_time(text);
        if (!time || time->count() <= 0 || option.key() == "calendar_interval")
            throw illegal_argument(
                "The supplied interval [" + text + "] could not be parsed as a " +
                (option.key() == "calendar_interval" ? "calendar" : "fixed") + " interval.");
        request.interval = static_cast<double>(time->count());
    }

    static void finish(AggregationRequest& request) {
        const bool histogram = request.kind == AggregationKind::histogram ||
                               request.kind == AggregationKind::date_histogram;
        if (request.field.empty())
            throw illegal_argument(
                "Required one of fields [field, script], but none were "
                "specified. ");
        const bool fits = request.interval > 0 && std::isnormal(request.interval);
        if (histogram && !fits && request.calendar_unit == 0)
            throw illegal_argument("[interval] must be >0 for histogram aggregation [" +
                                   request.name + "]");
    }

    int depth_ = 0;
};

struct LessValue {
    bool operator()(const SortValue& a, const SortValue& b) const {
        return std::is_lt(io::compare(a, b));
    }
};

double as_double(const SortValue& value) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
    if (const auto* number = std::get_if<double>(&value)) return *number;
    return std::numeric_limits<double>::quiet_NaN();
}

[[noreturn]] void too_many(std::size_t limit) {
    throw ApiError(400, "too_many_buckets_exception",
                   "Trying to create too many buckets. Must be less than or equal to: [" +
                       std::to_string(limit) + "].")
        .with("max_buckets", std::to_string(limit));
}

/// What is no number is null.
void write_number(JsonWriter& json, std::string_view name, double number) {
    json.key(name);
    if (std::isfinite(number)) {
        json.value(number);
    } else {
        json.null();
    }
}

std::string_view kind_name(AggregationKind kind) {
    const auto* const found = std::find_if(kKinds.begin(), kKinds.end(),
                                           [&](const auto& one) { return one.second == kind; });
    return found->first;
}

bool is_missing(const SortValue& value) {
    return std::holds_alternative<std::monostate>(value);
}

}  // namespace

std::vector<AggregationRequest> parse_aggregations(Value value) {
    return Parser().all(value);
}

/// One aggregation at one place: of all documents, or of one group of another.
class AggregationState {
  public:
    AggregationState(const AggregationRequest& request, AggregationCounts& counts)
        : request_(request), counts_(counts) {}

    void begin(const io::IndexSnapshot& snapshot) {
        const io::IndexSnapshot::FieldUse use = snapshot.field(request_.field);
        path_ = use.path;
        if (use.known || type_ == ValueType::unknown) type_ = use.type;
        check_type(snapshot);
        if (request_.missing) missing_ = value_for_missing();
        for (auto& [key, bucket] : buckets_)
            bucket.begin(snapshot);
        prototype_ = &snapshot;
    }

    void collect(Value source, const std::string& id) {
        std::vector<SortValue> values = values_of(source, id);
        if (values.empty() && missing_) values.push_back(*missing_);
        if (request_.kind == AggregationKind::missing) {
            if (values.empty()) add(SortValue(), source, id);
            return;
        }
        if (request_.kind >= AggregationKind::terms) {
            std::set<SortValue, LessValue> keys;
            for (const SortValue& value : values)
                keys.insert(key_of(value));
            for (const SortValue& key : keys) {
                if (!is_missing(key)) add(key, source, id);
            }
            return;
        }
        for (SortValue& value : values)
            measure(value);
    }

    std::string typed_name() const {
        std::string kind(kind_name(request_.kind));
        if (request_.kind == AggregationKind::terms)
            kind = type_ == ValueType::float_number ? "dterms" : is_number() ? "lterms" : "sterms";
        return kind + "#" + request_.name;
    }
    const std::string& name() const { return request_.name; }

    void write(JsonWriter& json, bool typed) const {
        json.object([&] {
            switch (request_.kind) {
                case AggregationKind::value_count:
                    json.member("value", count_);
                    break;
                case AggregationKind::cardinality:
                    json.member("value", distinct_.size());
                    break;
                case AggregationKind::min:
                    write_figure(json, "value", least_);
                    break;
                case AggregationKind::max:
                    write_figure(json, "value", most_);
                    break;
                case AggregationKind::sum:
                    write_number(json, "value", sum_);
                    break;
                case AggregationKind::avg:
                    write_figure(json, "value", sum_ / static_cast<double>(count_));
                    break;
                case AggregationKind::stats:
                    json.member("count", count_);
                    write_figure(json, "min", least_);
                    write_figure(json, "max", most_);
                    write_figure(json, "avg", sum_ / static_cast<double>(count_));
                    write_number(json, "sum", sum_);
                    break;
                case AggregationKind::missing:
                    write_single(json, typed);
                    break;
                case AggregationKind::terms:
                    write_terms(json, typed);
                    break;
                default:
                    write_histogram(json, typed);
            }
        });
    }

  private:
    struct Bucket {
        std::uint64_t count = 0;
        std::vector<std::unique_ptr<AggregationState>> children;

        void begin(const io::IndexSnapshot& snapshot) {
            for (auto& child : children)
                child->begin(snapshot);
        }
    };

    bool wants_numbers() const {
        switch (request_.kind) {
            case AggregationKind::min:
            case AggregationKind::max:
            case AggregationKind::avg:
            case AggregationKind::sum:
            case AggregationKind::stats:
            case AggregationKind::histogram:
            case AggregationKind::date_histogram:
                return true;
            default:
                return false;
        }
    }

    void check_type(const io::IndexSnapshot& snapshot) const {
        if (type_ == ValueType::text && request_.kind != AggregationKind::missing)
            throw io::QueryError(
                "illegal_argument_exception",
                "Fielddata is disabled on [" + request_.field + "] in [" + snapshot.index() +
                    "]. Text fields are not optimised for operations that require per-document "
                    "field data like aggregations and sorting, so these operations are disabled by "
                    "default. Please use a keyword field instead.");
        if (!wants_numbers()) return;
        const std::string_view type = request_.field == "_id"       ? "_id"
                                      : type_ == ValueType::keyword ? "keyword"
                                      : type_ == ValueType::vector  ? "dense_vector"
                                      : type_ == ValueType::object  ? "object"
                                                                    : "";
        if (!type.empty())
            throw io::QueryError("illegal_argument_exception",
                                 "Field [" + request_.field + "] of type [" + std::string(type) +
                                     "] is not supported for aggregation [" +
                                     std::string(kind_name(request_.kind)) + "]");
    }

    /// As the field's values are.
    SortValue value_for_missing() const {
        ValueType type = type_;
        if (type == ValueType::unknown && wants_numbers())
            type = request_.kind == AggregationKind::date_histogram ? ValueType::date
                                                                    : ValueType::float_number;
        SortValue value = io::sort_value(*request_.missing, type);
        if (is_missing(value))
            throw io::QueryError("illegal_argument_exception",
                                 "Failed to parse [missing] of aggregation [" + request_.name +
                                     "] as a value of field [" + request_.field + "]");
        return value;
    }

    bool is_number() const {
        return type_ == ValueType::long_number || type_ == ValueType::float_number ||
               type_ == ValueType::date || type_ == ValueType::boolean;
    }

    std::vector<SortValue> values_of(Value source, const std::string& id) const {
        if (request_.field == "_id") return {id};
        std::vector<SortValue> values;
        const bool any_kind = request_.kind == AggregationKind::missing;
        io::visit_values(source, path_, [&](Value leaf) {
            SortValue value = any_kind && !leaf.is_null() ? SortValue(std::int64_t{1})
                                                          : io::sort_value(leaf, type_);
            if (!is_missing(value)) values.push_back(std::move(value));
            return false;
        });
        return values;
    }

    SortValue key_of(const SortValue& value) const {
        if (request_.kind == AggregationKind::terms) return value;
        const double number = as_double(value);
        if (std::isnan(number)) return {};
        if (request_.calendar_unit != 0)
            return io::round_date(static_cast<std::int64_t>(number), request_.calendar_unit);
        const double key = std::floor(number / request_.interval) * request_.interval;
        if (!std::isfinite(key))
            throw io::QueryError("illegal_argument_exception",
                                 "[interval] of aggregation [" + request_.name +
                                     "] is too small for the values of field [" + request_.field +
                                     "]");
        if (request_.kind == AggregationKind::date_histogram) return static_cast<std::int64_t>(key);
        return key;
    }

    void measure(SortValue& value) {
        const double number = as_double(value);
        if (std::isnan(number) && wants_numbers()) return;
        ++count_;
        if (!std::isnan(number)) {
            sum_ += number;
            least_ = std::isnan(least_) ? number : std::min(least_, number);
            most_ = std::isnan(most_) ? number : std::max(most_, number);
        }
        if (request_.kind != AggregationKind::cardinality) return;
        if (distinct_.insert(std::move(value)).second) keep(1);
    }

    void keep(std::size_t groups) {
        counts_.kept += groups;
        if (counts_.kept > kMaxGroups) too_many(kMaxGroups);
    }

    void open(Bucket& bucket) const {
        for (const AggregationRequest& child : request_.children) {
            bucket.children.push_back(std::make_unique<AggregationState>(child, counts_));
            bucket.children.back()->begin(*prototype_);
        }
    }

    void add(const SortValue& key, Value source, const std::string& id) {
        const auto [found, fresh] = buckets_.try_emplace(key);
        if (fresh) {
            keep(1 + request_.children.size());
            open(found->second);
        }
        ++found->second.count;
        for (auto& child : found->second.children)
            child->collect(source, id);
    }

    void write_figure(JsonWriter& json, std::string_view name, double figure) const {
        write_number(json, name, figure);
        if (type_ == ValueType::date && std::isfinite(figure))
            json.member(std::string(name) + "_as_string",
                        io::format_date(static_cast<std::int64_t>(figure)));
    }

    static void write_children(JsonWriter& json, const Bucket& bucket, bool typed) {
        for (const auto& child : bucket.children) {
            json.key(typed ? child->typed_name() : child->name());
            child->write(json, typed);
        }
    }

    void write_single(JsonWriter& json, bool typed) const {
        const auto found = buckets_.find(SortValue());
        json.member("doc_count", found == buckets_.end() ? 0 : found->second.count);
        if (found != buckets_.end()) write_children(json, found->second, typed);
    }

    void write_key(JsonWriter& json, const SortValue& key) const {
        json.key("key");
        if (const auto* text = std::get_if<std::string>(&key)) {
            json.value(*text);
            return;
        }
        if (const auto* number = std::get_if<double>(&key)) {
            json.value(*number);
            return;
        }
        const std::int64_t whole = std::get<std::int64_t>(key);
        json.value(whole);
        if (type_ == ValueType::date || request_.kind == AggregationKind::date_histogram)
            json.member("key_as_string", io::format_date(whole));
        if (type_ == ValueType::boolean)
            json.member("key_as_string", whole != 0 ? "true" : "false");
    }

    void write_bucket(JsonWriter& json, const SortValue& key, const Bucket& bucket,
                      bool typed) const {
        if (++counts_.shown > kMaxBuckets) too_many(kMaxBuckets);
        json.object([&] {
            write_key(json, key);
            json.member("doc_count", bucket.count);
            write_children(json, bucket, typed);
        });
    }

    void write_terms(JsonWriter& json, bool typed) const {
        using Entry = const std::pair<const SortValue, Bucket>*;
        std::vector<Entry> entries;
        std::uint64_t sum = 0;
        for (const auto& entry : buckets_) {
            sum += entry.second.count;
            if (entry.second.count >= request_.min_doc_count) entries.push_back(&entry);
        }
        std::stable_sort(entries.begin(), entries.end(), [&](Entry a, Entry b) {
            if (request_.by_key) {
                const auto order = io::compare(a->first, b->first);
                return request_.descending ? std::is_gt(order) : std::is_lt(order);
            }
            return request_.descending ? a->second.count > b->second.count
                                       : a->second.count < b->second.count;
        });
        if (entries.size() > request_.size) entries.resize(request_.size);
        for (const Entry entry : entries)
            sum -= entry->second.count;
        json.member("doc_count_error_upper_bound", 0);
        json.member("sum_other_doc_count", sum);
        json.member_array("buckets", [&] {
            for (const Entry entry : entries)
                write_bucket(json, entry->first, entry->second, typed);
        });
    }

    double next_key(double key) const {
        // By its number: steps of 0.1 would not meet the keys that documents have.
        if (request_.calendar_unit == 0)
            return (std::round(key / request_.interval) + 1) * request_.interval;
        return static_cast<double>(
            io::add_date(static_cast<std::int64_t>(key), 1, request_.calendar_unit));
    }

    /// With min_doc_count 0, groups without documents between others are shown too.
    void write_histogram(JsonWriter& json, bool typed) const {
        const bool dates = request_.kind == AggregationKind::date_histogram;
        json.member_array("buckets", [&] {
            Bucket gap;
            if (!buckets_.empty()) open(gap);
            std::optional<double> expected;
            for (const auto& [key, bucket] : buckets_) {
                const double number = as_double(key);
                while (request_.min_doc_count == 0 && expected && *expected < number) {
                    const SortValue empty = dates ? SortValue(static_cast<std::int64_t>(*expected))
                                                  : SortValue(*expected);
                    write_bucket(json, empty, gap, typed);
                    expected = next_key(*expected);
                }
                expected = next_key(number);
                if (bucket.count < request_.min_doc_count) continue;
                write_bucket(json, key, bucket, typed);
            }
        });
    }

    const AggregationRequest& request_;
    AggregationCounts& counts_;
    const io::IndexSnapshot* prototype_ = nullptr;  ///< of the documents that come now
    std::string path_;
    ValueType type_ = ValueType::unknown;
    std::optional<SortValue> missing_;  ///< taken for a document without the field
    std::uint64_t count_ = 0;
    double sum_ = 0;
    double least_ = std::numeric_limits<double>::quiet_NaN();
    double most_ = std::numeric_limits<double>::quiet_NaN();
    std::set<SortValue, LessValue> distinct_;
    std::map<SortValue, Bucket, LessValue> buckets_;
};

Aggregations::Aggregations(const std::vector<AggregationRequest>& requests) {
    for (const AggregationRequest& request : requests)
        states_.push_back(std::make_unique<AggregationState>(request, counts_));
}

Aggregations::~Aggregations() = default;

void Aggregations::begin(const io::IndexSnapshot& snapshot) {
    for (const auto& state : states_)
        state->begin(snapshot);
}

void Aggregations::collect(Value source, const std::string& id) {
    for (const auto& state : states_)
        state->collect(source, id);
}

void Aggregations::write(JsonWriter& json, bool typed) {
    counts_.shown = 0;
    json.member_object("aggregations", [&] {
        for (const auto& state : states_) {
            json.key(typed ? state->typed_name() : state->name());
            state->write(json, typed);
        }
    });
}

}  // namespace penstock::serve
