/*
 * The optional C++ layer over penstock_plugin.h: C++17, header only, no other dependency.
 *
 * A processor is a class with `static Spec spec()`, a constructor from Options and
 * `Outcome run(Document&)`; a backend is a model class with a nested Session. PENSTOCK_PLUGIN puts
 * them into a library. Whatever their functions throw is caught here and becomes the failure's
 * reason, so that no exception crosses into the host. See README.md and the samples.
 */
#ifndef PENSTOCK_PLUGIN_HPP
#define PENSTOCK_PLUGIN_HPP

#if __cplusplus < 201703L
#error "penstock_plugin.hpp needs C++17 or later (-std=c++17); penstock_plugin.h does not"
#endif

#include <penstock_plugin.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "penstock_json.hpp"

namespace penstock_sdk {

inline penstock_str to_str(std::string_view text) {
    return penstock_str{text.data(), text.size()};
}
inline std::string_view to_view(penstock_str text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}

// ---- what a processor is

/// One option of a processor. `type` is one of the engine's option types (README.md lists them).
class Option {
  public:
    Option(std::string name, std::string type, std::string doc) {
        json_.set("name", std::move(name));
        json_.set("type", std::move(type));
        json_.set("doc", std::move(doc));
    }
    Option& required() { return with("required", true); }
    Option& default_value(Json value) { return with("default", std::move(value)); }
    /// Template tags are allowed: for fields and strings, read with Options::path and
    /// Options::text.
    Option& templated() { return with("templated", true); }
    /// The only values allowed, of an enumeration.
    Option& values(Json::Array allowed) { return with("values", std::move(allowed)); }
    Option& minimum(double least) { return with("minimum", least); }
    Option& maximum(double most) { return with("maximum", most); }
    const Json& json() const { return json_; }

  private:
    Option& with(std::string_view key, Json value) {
        json_.set(key, std::move(value));
        return *this;
    }
    Json json_;
};

inline Option field_option(std::string name, std::string doc) {
    return Option(std::move(name), "field", std::move(doc));
}
inline Option string_option(std::string name, std::string doc) {
    return Option(std::move(name), "string", std::move(doc));
}
inline Option flag_option(std::string name, std::string doc, bool otherwise) {
    return Option(std::move(name), "boolean", std::move(doc)).default_value(otherwise);
}
inline Option integer_option(std::string name, std::string doc) {
    return Option(std::move(name), "integer", std::move(doc));
}
inline Option number_option(std::string name, std::string doc) {
    return Option(std::move(name), "number", std::move(doc));
}
inline Option object_option(std::string name, std::string doc) {
    return Option(std::move(name), "object", std::move(doc));
}
inline Option enumeration_option(std::string name, std::string doc, Json::Array allowed) {
    return Option(std::move(name), "enumeration", std::move(doc)).values(std::move(allowed));
}
inline Option strings_option(std::string name, std::string doc) {
    return Option(std::move(name), "strings", std::move(doc));
}

/// A processor's specification: from it come checks, `penstock inspect`, the reference page and
/// tests.
class Spec {
  public:
    Spec(std::string name, std::string summary) {
        json_.set("name", std::move(name));
        json_.set("summary", std::move(summary));
        json_.set("options", Json::Array());
        json_.set("examples", Json::Array());
    }
    Spec& description(std::string text) { return with("description", std::move(text)); }
    Spec& since(std::string version) { return with("since", std::move(version)); }
    Spec& option(const Option& option) {
        options_.push_back(option.json());
        return with("options", options_);
    }
    /// Options and a document before and after, each as JSON text; run as a test by the host.
    Spec& example(std::string_view options, std::string_view in, std::string_view out) {
        return add_example(options, in, "out", Json::parse(out));
    }
    /// One that fails, with the reason that the document then gets.
    Spec& failing_example(std::string_view options, std::string_view in, std::string_view reason) {
        return add_example(options, in, "fails", reason);
    }
    const Json& json() const { return json_; }

  private:
    Spec& with(std::string_view key, Json value) {
        json_.set(key, std::move(value));
        return *this;
    }
    Spec& add_example(std::string_view options, std::string_view in, std::string_view key,
                      Json value) {
        Json example;
        example.set("options", Json::parse(options));
        example.set("in", Json::parse(in));
        example.set(key, std::move(value));
        examples_.push_back(std::move(example));
        return with("examples", examples_);
    }
    Json json_;
    Json::Array options_;
    Json::Array examples_;
};

/// A field path that the host has split. Copy it freely within its processor; empty when its option
/// was not given.
class Path {
  public:
    Path() = default;
    Path(const penstock_path* handle, std::string text) : handle_(handle), text_(std::move(text)) {}
    explicit operator bool() const { return handle_ != nullptr; }
    const penstock_path* handle() const { return handle_; }
    const std::string& text() const { return text_; }

  private:
    const penstock_path* handle_ = nullptr;
    std::string text_;
};

/// A text that may hold template tags, compiled by the host; Document::render gives it for one
/// document.
class Text {
  public:
    Text() = default;
    explicit Text(const penstock_text* handle) : handle_(handle) {}
    explicit operator bool() const { return handle_ != nullptr; }
    const penstock_text* handle() const { return handle_; }

  private:
    const penstock_text* handle_ = nullptr;
};

/// What is wrong with an option; throw it from a constructor.
class OptionError : public std::runtime_error {
  public:
    OptionError(std::string option, const std::string& message)
        : std::runtime_error(message), option_(std::move(option)) {}
    const std::string& option() const { return option_; }

  private:
    std::string option_;
};

/// A processor's options while it is constructed: defaults filled in, types checked by the host
/// against the Spec. An absent optional one reads as empty, 0 or false; `has` tells. Reading one as
/// another type than declared throws.
class Options {
  public:
    Options(const penstock_host* host, penstock_load* load, std::string_view text)
        : host_(host), load_(load), json_(Json::parse(text)) {}

    bool has(std::string_view name) const { return json_.find(name) != nullptr; }
    Path path(std::string_view name) const {
        const std::string* text = as_string(name);
        if (!text) return Path();
        const penstock_path* handle = host_->path(load_, to_str(name), to_str(*text));
        if (!handle) failed_ = true;
        return Path(handle, *text);
    }
    Text text(std::string_view name) const {
        const std::string* source = as_string(name);
        if (!source) return Text();
        const penstock_text* handle = host_->text(load_, to_str(name), to_str(*source));
        if (!handle) failed_ = true;
        return Text(handle);
    }
    std::string string(std::string_view name) const {
        const std::string* text = as_string(name);
        return text ? *text : std::string();
    }
    bool flag(std::string_view name) const {
        const Json* value = json_.find(name);
        if (!value) return false;
        return *checked(name, value->boolean(), "a boolean");
    }
    std::int64_t integer(std::string_view name) const {
        const Json* value = json_.find(name);
        if (!value) return 0;
        return *checked(name, value->integer(), "an integer");
    }
    double number(std::string_view name) const {
        const Json* value = json_.find(name);
        if (!value) return 0;
        if (const std::int64_t* whole = value->integer()) return static_cast<double>(*whole);
        return *checked(name, value->real(), "a number");
    }
    std::vector<std::string> strings(std::string_view name) const {
        std::vector<std::string> out;
        const Json* value = json_.find(name);
        if (!value) return out;
        for (const Json& element : *checked(name, value->array(), "a list of strings")) {
            out.push_back(*checked(name, element.string(), "a list of strings"));
        }
        return out;
    }
    /// Any option as JSON; null when absent. Lives as long as this object.
    const Json* json(std::string_view name) const { return json_.find(name); }

    /// Reports a mistake; the processor is then not made. May be called several times.
    void error(std::string_view option, std::string_view message) const {
        failed_ = true;
        host_->load_error(load_, to_str(option), to_str(message));
    }
    bool failed() const { return failed_; }

  private:
    const std::string* as_string(std::string_view name) const {
        const Json* value = json_.find(name);
        return value ? checked(name, value->string(), "a string") : nullptr;
    }
    template <class T>
    static const T* checked(std::string_view name, const T* value, const char* type) {
        if (!value) throw OptionError(std::string(name), std::string("is not ") + type);
        return value;
    }

    const penstock_host* host_;
    penstock_load* load_;
    Json json_;
    mutable bool failed_ = false;
};

// ---- what a processor does

/// Thrown by Document::get, has and render when the host failed and gave the document its reason
/// already. Let it pass out of run, and that reason stays.
class HostFailure : public std::runtime_error {
  public:
    HostFailure() : std::runtime_error("the host gave the reason") {}
};

/// What became of the document. A failed one must be passed on, or ignored on purpose.
class [[nodiscard]] Outcome {
  public:
    static Outcome ok() { return Outcome(PENSTOCK_OK); }
    /// Leave the document out, without error.
    static Outcome drop() { return Outcome(PENSTOCK_DROP); }
    explicit Outcome(penstock_status status) : status_(status) {}
    explicit operator bool() const { return status_ == PENSTOCK_OK; }
    penstock_status status() const { return status_; }

  private:
    penstock_status status_;
};

/// A field's value, borrowed until the next call with the same document.
class Value {
  public:
    explicit Value(const penstock_value& raw) : raw_(raw) {}
    bool is_null() const { return raw_.kind == PENSTOCK_NULL; }
    std::optional<bool> boolean() const {
        return raw_.kind == PENSTOCK_BOOL ? std::optional<bool>(raw_.as.boolean != 0)
                                          : std::nullopt;
    }
    std::optional<std::int64_t> integer() const {
        return raw_.kind == PENSTOCK_INT ? std::optional<std::int64_t>(raw_.as.integer)
                                         : std::nullopt;
    }
    /// An integer too.
    std::optional<double> number() const {
        if (raw_.kind == PENSTOCK_DOUBLE) return raw_.as.number;
        if (raw_.kind == PENSTOCK_INT) return static_cast<double>(raw_.as.integer);
        return std::nullopt;
    }
    std::optional<std::string_view> string() const {
        return raw_.kind == PENSTOCK_STRING ? std::optional<std::string_view>(to_view(raw_.as.text))
                                            : std::nullopt;
    }
    /// The JSON text of an object, a list or a number beyond int64 and double.
    std::optional<std::string_view> json_text() const {
        return raw_.kind == PENSTOCK_JSON ? std::optional<std::string_view>(to_view(raw_.as.text))
                                          : std::nullopt;
    }
    /// Any value as JSON, copied.
    Json json() const {
        switch (raw_.kind) {
            case PENSTOCK_BOOL:
                return Json(raw_.as.boolean != 0);
            case PENSTOCK_INT:
                return Json(raw_.as.integer);
            case PENSTOCK_DOUBLE:
                return Json(raw_.as.number);
            case PENSTOCK_STRING:
                return Json(to_view(raw_.as.text));
            case PENSTOCK_JSON:
                return Json::parse(to_view(raw_.as.text));
            default:
                return Json();
        }
    }
    const penstock_value& raw() const { return raw_; }

  private:
    penstock_value raw_;
};

/// The document, during one run. A Path or Text of an option that was not given throws
/// std::logic_error: test it before.
class Document {
  public:
    Document(const penstock_host* host, penstock_doc* doc) : host_(host), doc_(doc) {}

    /// The field, or nothing when it is absent. Throws HostFailure when a templated path is no path
    /// for this document.
    std::optional<Value> get(const Path& path) const {
        penstock_value value = {};
        const penstock_status status = host_->get(doc_, given(path), &value);
        if (status == PENSTOCK_MISSING) return std::nullopt;
        if (status != PENSTOCK_OK) throw HostFailure();
        return Value(value);
    }
    bool has(const Path& path) const { return get(path).has_value(); }

    /// Writes null, a bool, an integer, a floating-point number, text or Json, making parent
    /// objects.
    template <class T>
    Outcome set(const Path& path, const T& value) {
        penstock_value raw = {};
        std::string text;
        if constexpr (std::is_same_v<T, std::nullptr_t>) {
            raw.kind = PENSTOCK_NULL;
        } else if constexpr (std::is_same_v<T, bool>) {
            raw.kind = PENSTOCK_BOOL;
            raw.as.boolean = value ? 1 : 0;
        } else if constexpr (std::is_integral_v<T>) {
            static_assert(std::is_signed_v<T> || sizeof(T) < sizeof(std::int64_t),
                          "wider than int64: pass Json(value)");
            raw.kind = PENSTOCK_INT;
            raw.as.integer = value;
        } else if constexpr (std::is_floating_point_v<T>) {
            raw.kind = PENSTOCK_DOUBLE;
            raw.as.number = value;
        } else if constexpr (std::is_same_v<T, Json>) {
            text = value.dump();
            raw.kind = PENSTOCK_JSON;
            raw.as.text = to_str(text);
        } else {
            raw.kind = PENSTOCK_STRING;
            raw.as.text = to_str(std::string_view(value));
        }
        return Outcome(host_->set(doc_, given(path), &raw));
    }

    /// Removes the field. Fails when it cannot be removed; absent is ok.
    Outcome remove(const Path& path) {
        const penstock_status status = host_->remove(doc_, given(path));
        return status == PENSTOCK_MISSING ? Outcome::ok() : Outcome(status);
    }

    /// The text for this document, borrowed until the next call. Throws HostFailure.
    std::string_view render(const Text& text) const {
        penstock_str out = {nullptr, 0};
        if (host_->render(doc_, given(text), &out) != PENSTOCK_OK) throw HostFailure();
        return to_view(out);
    }

    /// A failure with its reason: `return doc.fail("...")`.
    Outcome fail(std::string_view reason) {
        host_->fail(doc_, to_str(reason));
        return Outcome(PENSTOCK_FAIL);
    }

  private:
    template <class Compiled>
    static auto given(const Compiled& compiled) -> decltype(compiled.handle()) {
        if (!compiled) throw std::logic_error("the path or text of an option that was not given");
        return compiled.handle();
    }

    const penstock_host* host_;
    penstock_doc* doc_;
};

// ---- backends

/// A packed batch, borrowed during one run: sequence i has `length(i)` tokens at `ids(i)`.
class Batch {
  public:
    explicit Batch(const penstock_batch& raw) : raw_(raw) {}
    std::size_t size() const { return raw_.sequences; }
    std::size_t length(std::size_t i) const {
        return static_cast<std::size_t>(raw_.offsets[i + 1] - raw_.offsets[i]);
    }
    const std::int32_t* ids(std::size_t i) const { return raw_.ids + raw_.offsets[i]; }
    /// Null when all are 0.
    const std::int32_t* type_ids(std::size_t i) const {
        return raw_.type_ids ? raw_.type_ids + raw_.offsets[i] : nullptr;
    }

  private:
    const penstock_batch& raw_;
};

/// A session's output, reused from run to run: append one sequence after the other.
class Result {
  public:
    void clear(std::int64_t width) {
        width_ = width;
        data_.clear();
        offsets_.clear();
        rows_.clear();
    }
    /// Room for the next sequence's `rows` x width floats, zeroed; valid until the next call.
    float* append(std::int64_t rows = 1) {
        const std::size_t begin = data_.size();
        data_.resize(begin + static_cast<std::size_t>(rows * width_));
        offsets_.push_back(static_cast<std::int64_t>(begin));
        rows_.push_back(rows);
        return data_.data() + begin;
    }
    std::size_t size() const { return rows_.size(); }
    void write(penstock_result& out) const {
        out.data = data_.data();
        out.offsets = offsets_.data();
        out.rows = rows_.data();
        out.width = width_;
    }

  private:
    std::int64_t width_ = 0;
    std::vector<float> data_;
    std::vector<std::int64_t> offsets_;
    std::vector<std::int64_t> rows_;
};

struct ModelInfo {
    std::uint64_t weight_bytes = 0;
    std::int64_t max_tokens = 0;
    std::int64_t output_width = 0;
};

// ---- the boundary

/// One thing that a plugin adds; made by processor<T>() and backend<T>(name).
struct Part {
    std::string spec_or_name;
    penstock_processor processor = {};
    penstock_backend backend = {};
    bool is_backend = false;
};

namespace detail {

/// Runs `body`; what it throws goes to `report` as text. Returns whether nothing was thrown.
template <class Body, class Report>
bool guard(Body&& body, Report&& report) noexcept {
    try {
        body();
        return true;
    } catch (const std::exception& e) {
        report(std::string_view(e.what()));
    } catch (...) {
        report(std::string_view("an exception that is not a std::exception"));
    }
    return false;
}

template <class P, class = void>
struct is_single_threaded : std::false_type {};
template <class P>
struct is_single_threaded<P, std::void_t<decltype(P::single_threaded)>>
    : std::bool_constant<P::single_threaded> {};

template <class P>
struct ProcessorEntry {
    struct Instance {
        Instance(const penstock_host* h, const Options& options) : host(h), processor(options) {}
        const penstock_host* host;
        P processor;
    };

    static void* create(const penstock_host* host, penstock_load* load,
                        penstock_str text) noexcept {
        std::unique_ptr<Instance> made;
        const auto report = [&](std::string_view option, std::string_view message) {
            host->load_error(load, to_str(option), to_str(message));
        };
        const bool good = guard(
            [&] {
                try {
                    const Options options(host, load, to_view(text));
                    auto instance = std::make_unique<Instance>(host, options);
                    if (!options.failed()) made = std::move(instance);
                } catch (const OptionError& e) {
                    report(e.option(), e.what());
                }
            },
            [&](std::string_view message) { report({}, message); });
        return good ? made.release() : nullptr;
    }
    static void destroy(void* self) noexcept { delete static_cast<Instance*>(self); }
    static penstock_status run(void* self, penstock_doc* raw) noexcept {
        auto& instance = *static_cast<Instance*>(self);
        Document doc(instance.host, raw);
        penstock_status status = PENSTOCK_FAIL;
        guard(
            [&] {
                try {
                    status = instance.processor.run(doc).status();
                } catch (const HostFailure&) {
                    status = PENSTOCK_FAIL;  // the document has its reason
                }
            },
            [&](std::string_view message) { instance.host->fail(raw, to_str(message)); });
        return status;
    }
};

template <class M>
struct BackendEntry {
    struct Model {
        Model(const penstock_backend_host* h, std::string_view directory, const Json& config)
            : host(h), model(directory, config) {}
        const penstock_backend_host* host;
        M model;
    };
    struct Session {
        Session(Model& owner, int threads) : host(owner.host), session(owner.model, threads) {}
        const penstock_backend_host* host;
        typename M::Session session;
        Result result;
    };

    static void* open(const penstock_backend_host* host, penstock_model_error* error,
                      penstock_str directory, penstock_str config) noexcept {
        Model* made = nullptr;
        guard([&] { made = new Model(host, to_view(directory), Json::parse(to_view(config))); },
              [&](std::string_view message) { host->error(error, to_str(message)); });
        return made;
    }
    static penstock_status info(void* model, penstock_model_info* out) noexcept {
        const bool good = guard(
            [&] {
                const ModelInfo info = static_cast<Model*>(model)->model.info();
                out->weight_bytes = info.weight_bytes;
                out->max_tokens = info.max_tokens;
                out->output_width = info.output_width;
            },
            [](std::string_view) {});
        return good ? PENSTOCK_OK : PENSTOCK_FAIL;
    }
    static void close(void* model) noexcept { delete static_cast<Model*>(model); }
    static void* session_open(void* raw, penstock_model_error* error,
                              std::int32_t threads) noexcept {
        auto& model = *static_cast<Model*>(raw);
        Session* made = nullptr;
        guard([&] { made = new Session(model, threads); },
              [&](std::string_view message) { model.host->error(error, to_str(message)); });
        return made;
    }
    static void session_close(void* session) noexcept { delete static_cast<Session*>(session); }
    static penstock_status run(void* raw, penstock_model_error* error, const penstock_batch* batch,
                               penstock_result* out) noexcept {
        auto& session = *static_cast<Session*>(raw);
        const bool good = guard(
            [&] {
                session.session.run(Batch(*batch), session.result);
                if (session.result.size() != batch->sequences) {
                    throw std::logic_error("the session returned " +
                                           std::to_string(session.result.size()) + " results for " +
                                           std::to_string(batch->sequences) + " sequences");
                }
                session.result.write(*out);
            },
            [&](std::string_view message) { session.host->error(error, to_str(message)); });
        return good ? PENSTOCK_OK : PENSTOCK_FAIL;
    }
};

/// The oldest minor version that has all that this layer uses.
inline constexpr std::uint32_t required_minor = 0;

/// A plugin's tables with the text they point to. Made once and never freed: they live as long as
/// the library, which is as long as the process, and threads may still read them while it exits.
struct Tables {
    penstock_plugin plugin = {};
    std::vector<Part> parts;
    std::vector<const penstock_processor*> processors;
    std::vector<const penstock_backend*> backends;
};

template <class MakeParts>
const penstock_plugin* make_plugin(std::string_view name, std::string_view version,
                                   MakeParts&& make_parts) noexcept {
    Tables* tables = nullptr;
    guard(
        [&] {
            auto made = std::make_unique<Tables>();
            made->parts = make_parts();
            for (Part& part : made->parts) {
                if (part.is_backend) {
                    part.backend.name = to_str(part.spec_or_name);
                    made->backends.push_back(&part.backend);
                } else {
                    part.processor.spec = to_str(part.spec_or_name);
                    made->processors.push_back(&part.processor);
                }
            }
            penstock_plugin& plugin = made->plugin;
            plugin.size = sizeof plugin;
            plugin.abi_minor = PENSTOCK_ABI_MINOR;
            plugin.required_minor = required_minor;
            plugin.name = to_str(name);
            plugin.version = to_str(version);
            plugin.processor_count = made->processors.size();
            plugin.processors = made->processors.data();
            plugin.backend_count = made->backends.size();
            plugin.backends = made->backends.data();
            tables = made.release();
        },
        [](std::string_view) {});
    return tables ? &tables->plugin : nullptr;
}

}  // namespace detail

/// Makes a processor of class P, which has
///   static Spec spec();
///   explicit P(const Options&);          // throws OptionError, or calls Options::error
///   Outcome run(Document&) [const];      // on several threads at once, unless
///   static constexpr bool single_threaded = true;   // optional
template <class P>
Part processor() {
    using Entry = detail::ProcessorEntry<P>;
    Part part;
    part.spec_or_name = P::spec().json().dump();
    part.processor.size = sizeof part.processor;
    part.processor.flags = detail::is_single_threaded<P>::value ? PENSTOCK_SINGLE_THREADED : 0;
    part.processor.create = Entry::create;
    part.processor.destroy = Entry::destroy;
    part.processor.run = Entry::run;
    return part;
}

/// Makes a backend of model class M, which has
///   M(std::string_view directory, const Json& config);
///   ModelInfo info() const;                  // on any thread
///   struct Session {                         // one allocation; sessions of a model run at the
///   same time
///       Session(M&, int threads);
///       void run(const Batch&, Result&);     // clear(width), then append() once for each sequence
///   };
template <class M>
Part backend(std::string name) {
    using Entry = detail::BackendEntry<M>;
    Part part;
    part.is_backend = true;
    part.spec_or_name = std::move(name);
    part.backend.size = sizeof part.backend;
    part.backend.open = Entry::open;
    part.backend.info = Entry::info;
    part.backend.close = Entry::close;
    part.backend.session_open = Entry::session_open;
    part.backend.session_close = Entry::session_close;
    part.backend.run = Entry::run;
    return part;
}

}  // namespace penstock_sdk

/// Defines the library's entry: PENSTOCK_PLUGIN("name", "1.0.0", processor<A>(), backend<B>("b")),
/// at namespace scope, once in a library. Name and version are string literals.
#define PENSTOCK_PLUGIN(plugin_name, plugin_version, ...)                                     \
    extern "C" const penstock_plugin* penstock_plugin_v1(void) {                              \
        using namespace penstock_sdk;                                                         \
        static const penstock_plugin* const table =                                           \
            detail::make_plugin(plugin_name, plugin_version,                                  \
                                [] { return std::vector<penstock_sdk::Part>{__VA_ARGS__}; }); \
        return table;                                                                         \
    }                                                                                         \
    static_assert(true, "")

#endif
