// A processor in C++: replaces a value by what a table says.
//
//   - lookup: {field: country, table: {DE: Germany, FR: France}, target_field: country_name}
#include <penstock_plugin.hpp>
#include <string>
#include <unordered_map>

namespace {

using namespace penstock_sdk;

class Lookup {
  public:
    static Spec spec() {
        return Spec("lookup", "Replaces a value by what a table says.")
            .description(
                "Text is looked up as it is, whole numbers and booleans as JSON writes them.")
            .since("0.1.0")
            .option(field_option("field", "The field to look up.").required())
            .option(object_option("table", "From each value to what replaces it.").required())
            .option(field_option("target_field", "Where to write; `field` itself by default."))
            .option(flag_option("ignore_missing", "Pass documents on that lack the field.", false))
            .option(flag_option("ignore_unknown", "Pass on values that the table lacks.", false))
            .example(R"({"field": "c", "table": {"DE": "Germany"}})", R"({"c": "DE"})",
                     R"({"c": "Germany"})")
            .example(R"({"field": "n", "table": {"1": "one"}, "target_field": "word"})",
                     R"({"n": 1})", R"({"n": 1, "word": "one"})");
    }

    explicit Lookup(const Options& options)
        : field_(options.path("field")),
          target_(options.has("target_field") ? options.path("target_field") : field_),
          ignore_missing_(options.flag("ignore_missing")),
          ignore_unknown_(options.flag("ignore_unknown")) {
        for (const auto& [key, value] : *options.json("table")->object())
            table_.emplace(key, value);
        if (table_.empty()) options.error("table", "has no rows");
    }

    Outcome run(Document& doc) const {
        const auto value = doc.get(field_);
        if (!value && ignore_missing_) return Outcome::ok();
        if (!value) return doc.fail("field [" + field_.text() + "] is absent");
        const std::string key =
            value->string() ? std::string(*value->string()) : value->json().dump();
        const auto row = table_.find(key);
        if (row != table_.end()) return doc.set(target_, row->second);
        if (ignore_unknown_) return Outcome::ok();
        return doc.fail("the table has no row for [" + key + "] of field [" + field_.text() + "]");
    }

  private:
    Path field_, target_;
    bool ignore_missing_, ignore_unknown_;
    std::unordered_map<std::string, Json> table_;
};

}  // namespace

PENSTOCK_PLUGIN("lookup", "1.0.0", processor<Lookup>());
