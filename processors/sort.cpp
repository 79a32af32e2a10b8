#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "processors/builtin.h"

namespace penstock::processors {

using document::Array;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;

namespace {

/// Wide enough to hold every long and every double exactly, so that mixed lists have one order.
long double as_number(Value value) {
    return value.is_integer() ? static_cast<long double>(value.as_integer())
                              : static_cast<long double>(value.to_double());
}

/// Java compares strings by UTF-16 unit. UTF-8 bytes give the same order but for U+E000 to U+FFFF
/// (lead bytes EE and EF), which are above the surrogates that stand for what is beyond U+FFFF
/// (lead bytes F0 to F4).
bool java_less(std::string_view a, std::string_view b) {
    auto [at, other] = std::mismatch(
        a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())),
        b.begin());
    if (at == a.end() || other == b.end()) return a.size() < b.size();
    auto rank = [](char c) {
        auto byte = static_cast<unsigned char>(c);
        return byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte;
    };
    return rank(*at) < rank(*other);
}

enum class Order { numbers, booleans, text };

class Sort final : public pipeline::Processor {
  public:
    Sort(FieldPath field, FieldPath target, bool descending)
        : field_(std::move(field)), target_(std::move(target)), descending_(descending) {}

    Outcome run(Document& document) const override {
        auto value = document.get(field_);
        if (!value) return value.error();
        if (value->is_null())
            return document::failure("field [" + field_.text() + "] is null, cannot sort.");
        if (!value->is_array()) {
            return document::failure("field [" + field_.text() + "] of type [" +
                                     std::string(document::java_type_name(*value)) +
                                     "] cannot be cast to [java.util.List]");
        }
        const Array& list = value->as_array();
        for (Value item : list) {
            if (item.is_null() || item.is_array() || item.is_object()) return not_sortable(item);
        }
        return document.set(target_, sorted(list, document.arena()));
    }

  private:
    static Order order_of(const Array& list) {
        if (std::all_of(list.begin(), list.end(), [](Value item) { return item.is_number(); }))
            return Order::numbers;
        if (std::all_of(list.begin(), list.end(), [](Value item) { return item.is_boolean(); }))
            return Order::booleans;
        return Order::text;
    }

    Outcome not_sortable(Value item) const {
        return document::failure("field [" + field_.text() + "] holds an element of type [" +
                                 std::string(document::java_type_name(item)) +
                                 "], which cannot be sorted.");
    }

    template <class Less>
    void sort(std::vector<Value>& items, Less less) const {
        if (descending_) {
            std::stable_sort(items.begin(), items.end(),
                             [&](const Value& a, const Value& b) { return less(b, a); });
        } else {
            std::stable_sort(items.begin(), items.end(), less);
        }
    }

    Value sorted(const Array& list, document::Arena& arena) const {
        std::vector<Value> items(list.begin(), list.end());
        switch (order_of(list)) {
            case Order::numbers:
                sort(items,
                     [](const Value& a, const Value& b) { return as_number(a) < as_number(b); });
                break;
            case Order::booleans:
                sort(items, [](const Value& a, const Value& b) {
                    return a.as_boolean() < b.as_boolean();
                });
                break;
            case Order::text:
                sort_as_text(items);
                break;
        }
        auto* result = arena.make<Array>();
        result->reserve(items.size(), arena);
        for (Value item : items)
            result->push_back(item, arena);
        return Value::array(result);
    }

    void sort_as_text(std::vector<Value>& items) const {
        std::vector<std::pair<std::string, Value>> named;
        named.reserve(items.size());
        for (Value item : items) {
            std::string text;
            document::append_java_string(item, text);
            named.emplace_back(std::move(text), item);
        }
        std::stable_sort(named.begin(), named.end(), [&](const auto& a, const auto& b) {
            return descending_ ? java_less(b.first, a.first) : java_less(a.first, b.first);
        });
        for (std::size_t i = 0; i < items.size(); ++i)
            items[i] = named[i].second;
    }

    FieldPath field_, target_;
    bool descending_;
};

}  // namespace

pipeline::ProcessorSpec sort() {
    return {
        .name = "sort",
        .summary = "Sorts the elements of a list.",
        .description =
            "Numbers are sorted by value, strings as Java sorts them (by UTF-16 code unit, "
            "capitals before small "
            "letters), false before true. A list of several kinds is sorted by the elements' text, "
            "as Elasticsearch's "
            "reference has it; its code fails for such a list. Equal elements keep their order. A "
            "list that holds "
            "null, lists or objects fails.",
        .options = {pipeline::field_option("The list."),
                    {.name = "order",
                     .type = pipeline::OptionType::enumeration,
                     .doc = "Ascending or descending.",
                     .default_value = "asc",
                     .values = {"asc", "desc"}},
                    pipeline::target_field_option()},
        .examples =
            {{.options = "{field: ports}",
              .in = R"({"ports":[443,80,8080]})",
              .out = R"({"ports":[80,443,8080]})"},
             {.options = "{field: names, order: desc, target_field: sorted}",
              .in = R"({"names":["b","C","a"]})",
              .out = R"({"names":["b","C","a"],"sorted":["b","a","C"]})"},
             {.options = "{field: ports}",
              .in = R"({"ports":443})",
              .fails =
                  "field [ports] of type [java.lang.Integer] cannot be cast to [java.util.List]"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            return std::make_unique<Sort>(config.path("field"),
                                          config.path_or("target_field", config.string("field")),
                                          config.string("order") == "desc");
        },
    };
}

}  // namespace penstock::processors
