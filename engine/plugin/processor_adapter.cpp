#include "engine/plugin/processor_adapter.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>

#include "engine/document/json.h"
#include "engine/plugin/log.h"
#include "engine/plugin/spec_json.h"
#include "engine/runtime/error.h"

namespace document = penstock::document;
namespace pipeline = penstock::pipeline;
namespace script = penstock::script;

// The ABI's opaque types.

struct penstock_path {
    document::FieldPath fixed;
    std::unique_ptr<const script::FieldTemplate>
        templated;  // instead of `fixed` where the option is templated
};

struct penstock_text {
    script::Template text;
};

/// One run on one document.
struct penstock_doc {
    document::Document* document;
    document::Failure failure;      // the last reason that was given
    std::string rendered;           // what the last call returned
    document::FieldPath path = {};  // a rendered path

    penstock_status fail(document::Failure why) {
        failure = std::move(why);
        return PENSTOCK_FAIL;
    }
};

/// The making of one instance.
struct penstock_load {
    const pipeline::Config* config;
    const pipeline::ProcessorSpec* spec;
    document::Value options;        // an object, defaults filled in
    std::deque<std::string> texts;  // what option() returned
    std::vector<std::unique_ptr<penstock_path>> paths;
    std::vector<std::unique_ptr<penstock_text>> templates;
    bool failed = false;

    const pipeline::OptionSpec* find(std::string_view name) const {
        for (const pipeline::OptionSpec& option : spec->options) {
            if (option.name == name) return &option;
        }
        return nullptr;
    }
    void error(std::string_view option, std::string message) {
        failed = true;
        if (!option.empty()) message = "option [" + std::string(option) + "]: " + message;
        if (!find(option)) option = {};
        config->error(option, std::move(message));
    }
};

namespace penstock::plugin {
namespace {

using document::Value;

std::string_view view(penstock_str text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
penstock_str borrow(std::string_view text) {
    return {text.data(), text.size()};
}

bool is_utf8(std::string_view text) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    std::size_t at = 0;
    while (at < text.size()) {
        UChar32 code = 0;
        U8_NEXT(bytes, at, text.size(), code);
        if (code < 0) return false;
    }
    return true;
}

/// A value as the ABI has it. `scratch` keeps the text of objects and lists.
penstock_value to_raw(Value value, std::string& scratch) {
    penstock_value raw{};
    switch (value.kind()) {
        case document::Kind::null:
            raw.kind = PENSTOCK_NULL;
            break;
        case document::Kind::boolean:
            raw.kind = PENSTOCK_BOOL;
            raw.as.boolean = value.as_boolean() ? 1 : 0;
            break;
        case document::Kind::integer:
            raw.kind = PENSTOCK_INT;
            raw.as.integer = value.as_integer();
            break;
        case document::Kind::floating:
            raw.kind = PENSTOCK_DOUBLE;
            raw.as.number = value.as_floating();
            break;
        case document::Kind::string:
            raw.kind = PENSTOCK_STRING;
            raw.as.text = borrow(value.as_string());
            break;
        case document::Kind::number:
            raw.kind = PENSTOCK_JSON;
            raw.as.text = borrow(value.as_string());
            break;
        case document::Kind::array:
        case document::Kind::object:
            scratch.clear();
            document::write_json(value, scratch);
            raw.kind = PENSTOCK_JSON;
            raw.as.text = borrow(scratch);
            break;
    }
    return raw;
}

document::Failure refused(const char* what) {
    return document::failure(std::string("the plugin wrote ") + what);
}

document::Result<Value> text_value(std::string_view text, document::Arena& arena) {
    if (text.size() > std::numeric_limits<std::uint32_t>::max())
        return refused("more than 4 GiB of text");
    if (!is_utf8(text)) return refused("text that is not UTF-8");
    return Value::string(text, arena);
}

document::Result<Value> json_value(std::string_view text, document::Arena& arena) {
    document::JsonParser parser;
    document::JsonError error;
    Value value;
    if (!parser.parse(text, arena, value, error)) {
        return document::failure("the plugin wrote a value that is not JSON: " + error.text());
    }
    return value;
}

/// A plugin's value, copied into the arena.
document::Result<Value> from_raw(const penstock_value& raw, document::Arena& arena) {
    switch (raw.kind) {
        case PENSTOCK_NULL:
            return Value::null();
        case PENSTOCK_BOOL:
            return Value::boolean(raw.as.boolean != 0);
        case PENSTOCK_INT:
            return Value::integer(raw.as.integer);
        case PENSTOCK_DOUBLE:
            if (!std::isfinite(raw.as.number)) return refused("a number that is not finite");
            return Value::floating(raw.as.number);
        case PENSTOCK_STRING:
            return text_value(view(raw.as.text), arena);
        case PENSTOCK_JSON:
            return json_value(view(raw.as.text), arena);
        default:
            return refused("a value of an unknown kind");
    }
}

// ---- the host table: no exception may leave these

template <class Body>
penstock_status guarded(penstock_doc* doc, Body&& body) noexcept {
    try {
        return body();
    } catch (const std::exception& error) {
        doc->failure.type = document::FailureType::internal;
        try {
            doc->failure.reason = error.what();
        } catch (...) {
            doc->failure.reason.clear();
        }
    }
    return PENSTOCK_FAIL;
}

template <class Body>
void guarded(penstock_load* load, Body&& body) noexcept {
    try {
        body();
    } catch (const std::exception& error) {
        load->failed = true;
        try {
            load->config->error({}, error.what());
        } catch (
            ...) {  // NOLINT: out of memory while saying so; `failed` is enough to refuse the step
        }
    }
}

const penstock_path* host_path(penstock_load* load, penstock_str option, penstock_str text) {
    const penstock_path* out = nullptr;
    guarded(load, [&] {
        auto path = std::make_unique<penstock_path>();
        const pipeline::OptionSpec* spec = load->find(view(option));
        if (spec && spec->templated && script::Template::has_tags(view(text))) {
            try {
                path->templated = std::make_unique<script::FieldTemplate>(
                    script::FieldTemplate::compile(view(text), load->config->access()));
            } catch (const Error& error) {
                return load->error(view(option), error.what());
            }
        } else {
            auto fixed = document::FieldPath::parse(view(text), load->config->access());
            if (!fixed) return load->error(view(option), fixed.error().reason);
            path->fixed = *std::move(fixed);
        }
        out = path.get();
        load->paths.push_back(std::move(path));
    });
    return out;
}

const penstock_text* host_text(penstock_load* load, penstock_str option, penstock_str text) {
    const penstock_text* out = nullptr;
    guarded(load, [&] {
        auto made = std::make_unique<penstock_text>();
        try {
            made->text = script::Template::compile(view(text));
        } catch (const Error& error) {
            return load->error(view(option), error.what());
        }
        out = made.get();
        load->templates.push_back(std::move(made));
    });
    return out;
}

void host_load_error(penstock_load* load, penstock_str option, penstock_str message) {
    guarded(load, [&] { load->error(view(option), std::string(view(message))); });
}

penstock_status host_option(penstock_load* load, penstock_str name, penstock_value* out) {
    *out = penstock_value{};
    penstock_status status = PENSTOCK_FAIL;
    guarded(load, [&] {
        const Value* value = load->options.as_object().get(view(name));
        status = value ? PENSTOCK_OK : PENSTOCK_MISSING;
        if (value) *out = to_raw(*value, load->texts.emplace_back());
    });
    return status;
}

/// The path for this document; null with the reason given when a rendered one is none.
const document::FieldPath* resolve(penstock_doc* doc, const penstock_path* path) {
    if (!path) {
        doc->fail(document::failure("the plugin used a path of an option that was not given"));
        return nullptr;
    }
    if (!path->templated) return &path->fixed;
    auto resolved = path->templated->resolve(*doc->document, doc->path);
    if (resolved) return *resolved;
    doc->fail(resolved.error());
    return nullptr;
}

penstock_status host_get(penstock_doc* doc, const penstock_path* path, penstock_value* out) {
    *out = penstock_value{};
    return guarded(doc, [&]() -> penstock_status {
        const document::FieldPath* field = resolve(doc, path);
        if (!field) return PENSTOCK_FAIL;
        const Value* value = doc->document->find(*field);
        if (!value) return PENSTOCK_MISSING;
        *out = to_raw(*value, doc->rendered);
        return PENSTOCK_OK;
    });
}

penstock_status host_set(penstock_doc* doc, const penstock_path* path, const penstock_value* raw) {
    return guarded(doc, [&]() -> penstock_status {
        const document::FieldPath* field = resolve(doc, path);
        if (!field) return PENSTOCK_FAIL;
        auto value = from_raw(*raw, doc->document->arena());
        if (!value) return doc->fail(value.error());
        document::Outcome outcome = doc->document->set(*field, *value);
        return outcome.is_failure() ? doc->fail(std::move(outcome.failure())) : PENSTOCK_OK;
    });
}

penstock_status host_remove(penstock_doc* doc, const penstock_path* path) {
    return guarded(doc, [&]() -> penstock_status {
        const document::FieldPath* field = resolve(doc, path);
        if (!field) return PENSTOCK_FAIL;
        if (!doc->document->has(*field)) return PENSTOCK_MISSING;
        document::Outcome outcome = doc->document->remove(*field);
        return outcome.is_failure() ? doc->fail(std::move(outcome.failure())) : PENSTOCK_OK;
    });
}

penstock_status host_render(penstock_doc* doc, const penstock_text* text, penstock_str* out) {
    *out = penstock_str{nullptr, 0};
    return guarded(doc, [&]() -> penstock_status {
        if (!text) {
            return doc->fail(
                document::failure("the plugin used a text of an option that was not given"));
        }
        doc->rendered.clear();
        text->text.render(*doc->document, doc->rendered);
        *out = borrow(doc->rendered);
        return PENSTOCK_OK;
    });
}

void host_fail(penstock_doc* doc, penstock_str message) {
    guarded(doc, [&] { return doc->fail(document::failure(std::string(view(message)))); });
}

constexpr penstock_host host_table{sizeof(penstock_host), PENSTOCK_ABI_MINOR, host_path, host_text,
                                   host_load_error,       host_option,        host_get,  host_set,
                                   host_remove,           host_render,        host_fail, host_log};

// ---- the processor

/// A processor's table, what it needs to be called by, and the library that must stay.
struct Kind {
    Library library;
    penstock_processor table;
    pipeline::ProcessorSpec spec;  // without compile

    void* create(penstock_load& load, std::string_view options) const {
        const auto lock = library.load_lock();
        return table.create(&host_table, &load, borrow(options));
    }
    void destroy(void* self) const {
        const auto lock = library.load_lock();
        table.destroy(self);
    }
};

class PluginProcessor final : public pipeline::Processor {
  public:
    PluginProcessor(std::shared_ptr<const Kind> kind, void* self, penstock_load& load)
        : kind_(std::move(kind)),
          self_(self),
          paths_(std::move(load.paths)),
          templates_(std::move(load.templates)) {}
    ~PluginProcessor() override { kind_->destroy(self_); }
    PluginProcessor(const PluginProcessor&) = delete;
    PluginProcessor& operator=(const PluginProcessor&) = delete;

    document::Outcome run(document::Document& document) const override {
        penstock_doc doc{&document, {}, {}};
        switch (const penstock_status status = call(doc)) {
            case PENSTOCK_OK:
                return document::Outcome::ok();
            case PENSTOCK_DROP:
                return document::Outcome::drop();
            case PENSTOCK_FAIL:
                if (doc.failure.reason.empty()) doc.failure.reason = "failed, and gives no reason";
                return std::move(doc.failure);
            default:
                return document::failure("plugin [" + std::string(kind_->library.name()) +
                                             "] returned the unknown status " +
                                             std::to_string(status),
                                         document::FailureType::internal);
        }
    }

  private:
    penstock_status call(penstock_doc& doc) const {
        if (!(kind_->table.flags & PENSTOCK_SINGLE_THREADED)) return kind_->table.run(self_, &doc);
        const std::lock_guard lock(mutex_);
        return kind_->table.run(self_, &doc);
    }

    std::shared_ptr<const Kind> kind_;
    void* self_;
    std::vector<std::unique_ptr<penstock_path>> paths_;
    std::vector<std::unique_ptr<penstock_text>> templates_;
    mutable std::mutex mutex_;
};

Value strings_value(const std::vector<std::string>& texts, document::Arena& arena) {
    auto* array = arena.make<document::Array>();
    for (const std::string& text : texts)
        array->push_back(Value::string(text, arena), arena);
    return Value::array(array);
}

/// An option's value or default, of the type that was declared.
Value option_value(const pipeline::OptionSpec& option, const pipeline::Config& config,
                   document::Arena& arena) {
    using pipeline::OptionType;
    switch (option.type) {
        case OptionType::field:
        case OptionType::string:
        case OptionType::enumeration:
        case OptionType::regex:
            return Value::string(config.string(option.name), arena);
        case OptionType::boolean:
            return Value::boolean(config.flag(option.name));
        case OptionType::integer:
            return Value::integer(config.integer(option.name));
        case OptionType::number:
            return Value::floating(config.number(option.name));
        case OptionType::strings:
            return strings_value(config.strings(option.name), arena);
        default:
            return config.node(option.name).to_value(arena);
    }
}

/// All options that are given or have a default.
Value option_values(const Kind& kind, const pipeline::Config& config, document::Arena& arena) {
    auto* object = arena.make<document::Object>();
    for (const pipeline::OptionSpec& option : kind.spec.options) {
        if (!config.has(option.name) && option.default_value.empty()) continue;
        object->set(option.name, option_value(option, config, arena), arena);
    }
    return Value::object(object);
}

pipeline::StepBody compile(const std::shared_ptr<const Kind>& kind,
                           const pipeline::Config& config) {
    document::Arena arena;
    penstock_load load;
    load.config = &config;
    load.spec = &kind->spec;
    load.options = option_values(*kind, config, arena);
    std::string text;
    document::write_json(load.options, text);
    void* self = kind->create(load, text);
    if (!self) {
        if (!load.failed) {
            config.error({}, "plugin [" + std::string(kind->library.name()) +
                                 "] refuses these options, and gives no reason");
        }
        return std::unique_ptr<pipeline::Processor>();
    }
    try {
        return std::unique_ptr<pipeline::Processor>(
            std::make_unique<PluginProcessor>(kind, self, load));
    } catch (...) {
        kind->destroy(self);
        throw;
    }
}

}  // namespace

std::vector<pipeline::ProcessorSpec> processor_specs(const Library& library) {
    std::vector<pipeline::ProcessorSpec> specs;
    for (const penstock_processor& table : library.processors()) {
        pipeline::ProcessorSpec spec =
            parse_spec(view(table.spec), "cannot use plugin " + library.file().string());
        const auto kind = std::make_shared<const Kind>(Kind{library, table, spec});
        spec.compile = [kind](const pipeline::Config& config) { return compile(kind, config); };
        specs.push_back(std::move(spec));
    }
    return specs;
}

void add_processors(pipeline::Catalog& catalog, const std::vector<Library>& libraries) {
    for (const Library& library : libraries) {
        for (pipeline::ProcessorSpec& spec : processor_specs(library)) {
            try {
                catalog.add(std::move(spec));
            } catch (const Error& error) {
                throw Error("cannot use plugin " + library.file().string() + ": " + error.what());
            }
        }
    }
}

}  // namespace penstock::plugin
