#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "processors/builtin.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Object;
using document::Outcome;
using document::Value;

namespace {

class Remove final : public pipeline::Processor {
  public:
    Remove(std::vector<script::FieldTemplate> fields, bool ignore_missing)
        : fields_(std::move(fields)), ignore_missing_(ignore_missing) {}

    Outcome run(Document& document) const override {
        for (const script::FieldTemplate& field : fields_) {
            FieldPath scratch;
            auto path = field.resolve(document, scratch);
            if (ignore_missing_ && (!path || !document.has(**path))) continue;
            if (!path) return path.error();
            Outcome outcome = document.remove(**path);
            if (!outcome.is_ok()) return outcome;
        }
        return Outcome::ok();
    }

  private:
    std::vector<script::FieldTemplate> fields_;
    bool ignore_missing_;
};

/// Builds the source anew from what is kept; the values themselves are not copied.
class Keep final : public pipeline::Processor {
  public:
    explicit Keep(std::vector<script::FieldTemplate> fields) {
        for (script::FieldTemplate& field : fields) {
            if (field.is_constant()) {
                add(field.constant(), kept_);
            } else {
                templates_.push_back(std::move(field));
            }
        }
    }

    Outcome run(Document& document) const override {
        if (templates_.empty()) return prune(document, kept_);
        std::vector<std::string> kept = kept_;
        for (const script::FieldTemplate& field : templates_) {
            FieldPath scratch;
            auto path = field.resolve(document, scratch);
            if (!path) return path.error();
            add(**path, kept);
        }
        return prune(document, kept);
    }

  private:
    static void add(const FieldPath& path, std::vector<std::string>& kept) {
        if (path.root() == FieldPath::Root::source) kept.push_back(dotted(path));
    }

    static Outcome prune(Document& document, const std::vector<std::string>& kept) {
        std::string name;
        document.set_source(pruned(document.source(), name, kept, document.arena()));
        return Outcome::ok();
    }

    static std::string dotted(const FieldPath& path) {
        std::string name(path.key(0));
        for (std::size_t i = 1; i < path.size(); ++i)
            (name += '.') += path.key(i);
        return name;
    }

    static bool is_below(std::string_view inner, std::string_view outer) {
        return inner.size() > outer.size() && inner[outer.size()] == '.' &&
               inner.starts_with(outer);
    }

    static bool is_kept(std::string_view name, const std::vector<std::string>& kept) {
        for (const std::string& one : kept) {
            if (name == one || is_below(name, one)) return true;
        }
        return false;
    }

    static bool holds_kept(std::string_view name, const std::vector<std::string>& kept) {
        for (const std::string& one : kept) {
            if (is_below(one, name)) return true;
        }
        return false;
    }

    /// `name` is the object's dotted name with a dot behind it; used as scratch. As deep as the
    /// longest kept name.
    static Value pruned(Value object, std::string& name, const std::vector<std::string>& kept,
                        Arena& arena) {
        auto* result = arena.make<Object>();
        std::size_t size = name.size();
        for (const document::Member& member : object.as_object()) {
            name.resize(size);
            name += member.key();
            document::Key key = member.name();
            if (is_kept(name, kept)) {
                result->push_back(key, member.value, arena);
            } else if (holds_kept(name, kept)) {
                Value value = member.value;
                name += '.';
                if (value.is_object()) value = pruned(value, name, kept, arena);
                result->push_back(key, value, arena);
            }
        }
        name.resize(size);
        return Value::object(result);
    }

    std::vector<std::string> kept_;  ///< dotted names known from the start
    std::vector<script::FieldTemplate> templates_;
};

}  // namespace

pipeline::ProcessorSpec remove() {
    return {
        .name = "remove",
        .summary = "Removes fields, or all fields but those named.",
        .description =
            "With `field`, one field after another; all stay when one is missing, unless "
            "`ignore_missing` is set. With "
            "`keep`, everything else goes: what is kept keeps its parents and all that is in it. "
            "Metadata is never "
            "touched by `keep`; `_index` and `_version` cannot be removed.",
        .options = {{.name = "field",
                     .type = pipeline::OptionType::strings,
                     .doc = "The field or fields to remove.",
                     .templated = true},
                    {.name = "keep",
                     .type = pipeline::OptionType::strings,
                     .doc = "The field or fields to keep, instead of `field`.",
                     .templated = true},
                    pipeline::ignore_missing_option()},
        .examples =
            {{.options = "{field: [password, session.token]}",
              .in = R"({"user":"ada","password":"x","session":{"id":1,"token":"y"}})",
              .out = R"({"user":"ada","session":{"id":1}})"},
             {.options = "{keep: [user, session.id]}",
              .in = R"({"user":{"name":"ada"},"password":"x","session":{"id":1,"token":"y"}})",
              .out = R"({"user":{"name":"ada"},"session":{"id":1}})",
              .title = "Keep what is known, drop the rest"},
             {.options = "{field: password}",
              .in = R"({"user":"ada"})",
              .fails = "field [password] not present as part of path [password]"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            std::string_view option = config.has("keep") ? "keep" : "field";
            auto fields = config.fields(option);
            if (fields.empty()) config.error(option, "names no field");
            if (option == "keep") return std::make_unique<Keep>(std::move(fields));
            return std::make_unique<Remove>(std::move(fields), config.flag("ignore_missing"));
        },
        .exactly_one_of = {{"field", "keep"}},
    };
}

}  // namespace penstock::processors
