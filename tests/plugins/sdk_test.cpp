// The C++ layer of the SDK against a host made of this test's own tables.
#include <gtest/gtest.h>
#include <penstock_plugin.hpp>

#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

using namespace penstock_sdk;

// The host's side of the opaque types: a document of flat fields.
struct penstock_path {
    std::string text;
};
struct penstock_text {
    std::string text;
};
struct penstock_doc {
    std::map<std::string, Json> fields;
    std::string failure;
    std::string rendered;
};
struct penstock_load {
    std::vector<std::string> errors;
    std::vector<std::unique_ptr<penstock_path>> paths;
    std::vector<std::unique_ptr<penstock_text>> texts;
};
struct penstock_model_error {
    std::string reason;
};

namespace {

penstock_value raw_of(const Json& value, std::string& rendered) {
    penstock_value raw = {};
    if (const bool* flag = value.boolean()) {
        raw.kind = PENSTOCK_BOOL;
        raw.as.boolean = *flag ? 1 : 0;
    } else if (const std::int64_t* whole = value.integer()) {
        raw.kind = PENSTOCK_INT;
        raw.as.integer = *whole;
    } else if (const double* number = value.real()) {
        raw.kind = PENSTOCK_DOUBLE;
        raw.as.number = *number;
    } else if (const std::string* text = value.string()) {
        raw.kind = PENSTOCK_STRING;
        raw.as.text = to_str(*text);
    } else if (!value.is_null()) {
        rendered = value.dump();
        raw.kind = PENSTOCK_JSON;
        raw.as.text = to_str(rendered);
    }
    return raw;
}

const penstock_host host = {
    sizeof(penstock_host),
    PENSTOCK_ABI_MINOR,
    [](penstock_load* load, penstock_str option, penstock_str text) -> const penstock_path* {
        if (to_view(text).empty()) {
            load->errors.push_back(std::string(to_view(option)) + ": no path");
            return nullptr;
        }
        load->paths.push_back(
            std::make_unique<penstock_path>(penstock_path{std::string(to_view(text))}));
        return load->paths.back().get();
    },
    [](penstock_load* load, penstock_str, penstock_str text) -> const penstock_text* {
        load->texts.push_back(
            std::make_unique<penstock_text>(penstock_text{std::string(to_view(text))}));
        return load->texts.back().get();
    },
    [](penstock_load* load, penstock_str option, penstock_str message) {
        load->errors.push_back(std::string(to_view(option)) + ": " + std::string(to_view(message)));
    },
    [](penstock_load*, penstock_str, penstock_value*) -> penstock_status {
        return PENSTOCK_MISSING;
    },
    [](penstock_doc* doc, const penstock_path* path, penstock_value* out) -> penstock_status {
        if (path->text == "no_path") {
            doc->failure = "no path for this document";
            return PENSTOCK_FAIL;
        }
        const auto field = doc->fields.find(path->text);
        if (field == doc->fields.end()) return PENSTOCK_MISSING;
        *out = raw_of(field->second, doc->rendered);
        return PENSTOCK_OK;
    },
    [](penstock_doc* doc, const penstock_path* path, const penstock_value* raw) -> penstock_status {
        if (path->text == "read_only") {
            doc->failure = "read only";
            return PENSTOCK_FAIL;
        }
        doc->fields[path->text] = Value(*raw).json();
        return PENSTOCK_OK;
    },
    [](penstock_doc* doc, const penstock_path* path) -> penstock_status {
        return doc->fields.erase(path->text) ? PENSTOCK_OK : PENSTOCK_MISSING;
    },
    [](penstock_doc* doc, const penstock_text* text, penstock_str* out) -> penstock_status {
        if (doc->fields.count("no_text")) {
            doc->failure = "no text for this document";
            return PENSTOCK_FAIL;
        }
        doc->rendered = "<" + text->text + ">";
        *out = to_str(doc->rendered);
        return PENSTOCK_OK;
    },
    [](penstock_doc* doc, penstock_str message) { doc->failure = std::string(to_view(message)); },
    [](std::int32_t, penstock_str) {},
};

/// Does what its option `act` says.
class Actor {
  public:
    static constexpr bool single_threaded = true;
    static Spec spec() {
        return Spec("actor", "Does what it is told.")
            .option(string_option("act", "What to do.").required())
            .option(field_option("field", "Where.").templated())
            .option(integer_option("count", "How often.").default_value(3).minimum(1))
            .example(R"({"act": "ok"})", R"({"a": 1})", R"({"a": 1})")
            .failing_example(R"({"act": "fail"})", "{}", "told to fail");
    }
    explicit Actor(const Options& options)
        : act_(options.string("act")),
          field_(options.path("field")),
          text_(options.text("act")),
          count_(options.integer("count")),
          share_(options.number("share")),
          words_(options.strings("words")) {
        if (act_ == "throw while made") throw std::runtime_error("thrown while made");
        if (act_ == "throw a number while made") throw 1;
        if (act_ == "refuse") options.error("act", "is refused");
        if (act_ == "refuse by exception") throw OptionError("act", "is refused by exception");
    }
    Outcome run(Document& doc) {
        if (act_ == "throw") throw std::runtime_error("thrown while run");
        if (act_ == "throw a number") throw 1;
        if (act_ == "fail") return doc.fail("told to fail");
        if (act_ == "drop") return Outcome::drop();
        if (act_ == "remove") return doc.remove(field_);
        if (act_ == "get") return doc.set(field_, doc.has(field_));
        if (act_ == "render nothing") return doc.set(field_, doc.render(Text()));
        if (act_ == "render") return doc.set(field_, doc.render(text_));
        if (act_ == "write all") return write_all(doc);
        return doc.set(field_, count_);
    }

  private:
    Outcome write_all(Document& doc) {
        Json list;
        for (const std::string& word : words_)
            list.push_back(word);
        for (const Json& value : {Json(nullptr), Json(true), Json(7), Json(0.5), Json("t"), list}) {
            if (auto outcome = doc.set(field_, value); !outcome) return outcome;
            const auto read = doc.get(field_);
            if (!read || read->json().dump() != value.dump())
                return doc.fail("differs: " + value.dump());
        }
        if (auto outcome = doc.set(field_, true); !outcome) return outcome;
        if (doc.get(field_)->boolean() != true) return doc.fail("true became another type");
        if (auto outcome = doc.set(field_, "text"); !outcome) return outcome;
        if (doc.get(field_)->string() != "text") return doc.fail("a literal became another type");
        return doc.set(field_, share_);
    }

    std::string act_;
    Path field_;
    Text text_;
    std::int64_t count_;
    double share_;
    std::vector<std::string> words_;
};

/// Made from options, run on a document, freed.
struct Ran {
    bool made = false;
    std::vector<std::string> errors;
    penstock_status status = -1;
    penstock_doc doc;
};

Ran run_actor(const std::string& options, const std::string& field = "") {
    const Part part = processor<Actor>();
    penstock_load load;
    Ran out;
    void* self = part.processor.create(&host, &load, to_str(options));
    out.errors = load.errors;
    out.made = self != nullptr;
    if (!self) return out;
    if (!field.empty()) out.doc.fields[field] = Json("old");
    out.status = part.processor.run(self, &out.doc);
    part.processor.destroy(self);
    return out;
}

TEST(SdkProcessor, spec_is_the_json_that_the_host_reads) {
    const Part part = processor<Actor>();
    EXPECT_EQ(part.processor.size, sizeof(penstock_processor));
    EXPECT_EQ(part.processor.flags, PENSTOCK_SINGLE_THREADED);
    const Json spec = Json::parse(part.spec_or_name);
    EXPECT_EQ(*spec.find("name")->string(), "actor");
    const Json& count = spec.find("options")->array()->at(2);
    EXPECT_EQ(count.dump(),
              R"({"name":"count","type":"integer","doc":"How often.","default":3,"minimum":1.0})");
    EXPECT_EQ(spec.find("examples")->array()->at(1).dump(),
              R"({"options":{"act":"fail"},"in":{},"fails":"told to fail"})");
}

TEST(SdkProcessor, options_are_read_by_type) {
    const Ran ran = run_actor(R"({"act": "set", "field": "f", "count": 3})");
    EXPECT_EQ(ran.status, PENSTOCK_OK);
    EXPECT_EQ(ran.doc.fields.at("f").dump(), "3");
}

TEST(SdkProcessor, every_kind_of_value_crosses_and_comes_back) {
    const Ran ran =
        run_actor(R"({"act": "write all", "field": "f", "share": 2, "words": ["a", "b"]})");
    EXPECT_EQ(ran.status, PENSTOCK_OK) << ran.doc.failure;
    EXPECT_EQ(ran.doc.fields.at("f").dump(), "2.0");
}

TEST(SdkProcessor, outcomes) {
    EXPECT_EQ(run_actor(R"({"act": "drop"})").status, PENSTOCK_DROP);
    const Ran failed = run_actor(R"({"act": "fail"})");
    EXPECT_EQ(failed.status, PENSTOCK_FAIL);
    EXPECT_EQ(failed.doc.failure, "told to fail");
    const Ran read_only = run_actor(R"({"act": "set", "field": "read_only"})");
    EXPECT_EQ(read_only.status, PENSTOCK_FAIL);
    EXPECT_EQ(read_only.doc.failure, "read only");
    const Ran removed = run_actor(R"({"act": "remove", "field": "f"})", "f");
    EXPECT_EQ(removed.status, PENSTOCK_OK);
    EXPECT_TRUE(removed.doc.fields.empty());
    EXPECT_EQ(run_actor(R"({"act": "remove", "field": "absent"})").status, PENSTOCK_OK);
    EXPECT_EQ(run_actor(R"({"act": "render", "field": "f"})").doc.fields.at("f").dump(),
              R"("<render>")");
}

TEST(SdkProcessor, what_run_throws_becomes_the_reason) {
    const Ran thrown = run_actor(R"({"act": "throw"})");
    EXPECT_EQ(thrown.status, PENSTOCK_FAIL);
    EXPECT_EQ(thrown.doc.failure, "thrown while run");
    const Ran number = run_actor(R"({"act": "throw a number"})");
    EXPECT_EQ(number.status, PENSTOCK_FAIL);
    EXPECT_EQ(number.doc.failure, "an exception that is not a std::exception");
}

TEST(SdkProcessor, the_reason_that_the_host_gave_stays) {
    const Ran read = run_actor(R"({"act": "get", "field": "no_path"})");
    EXPECT_EQ(read.status, PENSTOCK_FAIL) << "not the same as absent";
    EXPECT_EQ(read.doc.failure, "no path for this document");
    const Ran rendered = run_actor(R"({"act": "render", "field": "f"})", "no_text");
    EXPECT_EQ(rendered.status, PENSTOCK_FAIL);
    EXPECT_EQ(rendered.doc.failure, "no text for this document");
    EXPECT_EQ(run_actor(R"({"act": "get", "field": "f"})").doc.fields.at("f").dump(), "false");
}

TEST(SdkProcessor, an_option_that_was_not_given_cannot_be_used_as_a_path_or_text) {
    for (const char* options : {R"({"act": "get"})", R"({"act": "set"})", R"({"act": "remove"})",
                                R"({"act": "render nothing", "field": "f"})"}) {
        const Ran ran = run_actor(options);
        EXPECT_EQ(ran.status, PENSTOCK_FAIL) << options;
        EXPECT_EQ(ran.doc.failure, "the path or text of an option that was not given") << options;
    }
}

TEST(SdkProcessor, what_the_constructor_refuses_is_reported_under_its_option) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"act": "throw while made"})", ": thrown while made"},
        {R"({"act": "throw a number while made"})", ": an exception that is not a std::exception"},
        {R"({"act": "refuse"})", "act: is refused"},
        {R"({"act": "refuse by exception"})", "act: is refused by exception"},
        {R"({"act": "set", "field": ""})", "field: no path"},
        {R"({"act": 1})", "act: is not a string"},
        {R"({"act": "", "count": "1"})", "count: is not an integer"},
        {R"({"act": "", "words": ["a", 1]})", "words: is not a list of strings"},
        {R"({"act")", ": not JSON: expected ':' at byte 6"},
    };
    for (const auto& [options, error] : cases) {
        const Ran ran = run_actor(options);
        EXPECT_FALSE(ran.made) << options;
        ASSERT_EQ(ran.errors.size(), 1u) << options;
        EXPECT_EQ(ran.errors.front(), error) << options;
    }
}

// ---- backends

/// Counts tokens; every function throws when told.
struct CountingModel {
    CountingModel(std::string_view directory, const Json& config) : directory_(directory) {
        if (const Json* told = config.find("throw_in")) throw_in = *told->string();
        if (throw_in == "open") throw std::runtime_error("open threw");
    }
    ModelInfo info() const {
        if (throw_in == "info") throw std::runtime_error("info threw");
        return ModelInfo{100, 16, 1};
    }
    struct Session {
        Session(CountingModel& owner, int) : model(owner) {
            if (model.throw_in == "session") throw std::runtime_error("session threw");
        }
        void run(const Batch& batch, Result& result) const {
            if (model.throw_in == "run") throw std::runtime_error("run threw");
            result.clear(1);
            for (std::size_t i = 0; i < batch.size(); ++i) {
                if (model.throw_in != "nothing, but forget one" || i > 0) {
                    *result.append() = static_cast<float>(batch.length(i));
                }
            }
        }
        CountingModel& model;
    };
    std::string directory_;
    std::string throw_in;
};

const penstock_backend_host backend_host = {sizeof(penstock_backend_host), PENSTOCK_ABI_MINOR,
                                            [](penstock_model_error* error, penstock_str message) {
                                                error->reason = std::string(to_view(message));
                                            },
                                            [](std::int32_t, penstock_str) {}};

/// The reason with which a model fails that is told to throw in `where`; empty when all goes well.
std::string failure_in(const std::string& where) {
    const Part part = backend<CountingModel>("counting");
    const penstock_backend& table = part.backend;
    penstock_model_error error;
    const std::string config = R"({"throw_in": ")" + where + "\"}";
    void* model = table.open(&backend_host, &error, to_str("dir"), to_str(config));
    if (!model) return error.reason;
    penstock_model_info info = {};
    info.size = sizeof info;
    if (table.info(model, &info) != PENSTOCK_OK) error.reason = "no info";
    void* session = table.session_open(model, &error, 1);
    if (session) {
        const std::int64_t offsets[] = {0, 2, 5};
        const std::int32_t ids[] = {1, 2, 3, 4, 5};
        const penstock_batch batch = {sizeof(penstock_batch), 0, 2, offsets, ids, nullptr};
        penstock_result result = {};
        result.size = sizeof result;
        if (table.run(session, &error, &batch, &result) == PENSTOCK_OK) {
            EXPECT_EQ(result.width, 1);
            EXPECT_EQ(result.data[result.offsets[0]], 2.0f);
            EXPECT_EQ(result.data[result.offsets[1]], 3.0f);
        }
        table.session_close(session);
    }
    table.close(model);
    return error.reason;
}

TEST(SdkBackend, runs_a_packed_batch) {
    EXPECT_EQ(failure_in(""), "");
}

TEST(SdkBackend, what_it_throws_becomes_the_reason) {
    EXPECT_EQ(failure_in("open"), "open threw");
    EXPECT_EQ(failure_in("info"), "no info");
    EXPECT_EQ(failure_in("session"), "session threw");
    EXPECT_EQ(failure_in("run"), "run threw");
    EXPECT_EQ(failure_in("nothing, but forget one"),
              "the session returned 1 results for 2 sequences");
}

}  // namespace

// ---- the entry

PENSTOCK_PLUGIN("both", "2.1", processor<Actor>(), backend<CountingModel>("counting"));

namespace {

TEST(SdkPlugin, tables_list_what_it_has) {
    const penstock_plugin* plugin = penstock_plugin_v1();
    ASSERT_NE(plugin, nullptr);
    EXPECT_EQ(plugin, penstock_plugin_v1());
    EXPECT_EQ(to_view(plugin->name), "both");
    EXPECT_EQ(to_view(plugin->version), "2.1");
    ASSERT_EQ(plugin->processor_count, 1u);
    ASSERT_EQ(plugin->backend_count, 1u);
    EXPECT_EQ(to_view(plugin->processors[0]->spec), processor<Actor>().spec_or_name);
    EXPECT_EQ(to_view(plugin->backends[0]->name), "counting");
}

TEST(SdkPlugin, a_spec_that_throws_gives_no_table) {
    EXPECT_EQ(detail::make_plugin("bad", "1",
                                  []() -> std::vector<Part> { throw std::runtime_error("no"); }),
              nullptr);
}

// ---- JSON

TEST(SdkJson, reads_and_writes_back) {
    const std::pair<const char*, const char*> cases[] = {
        {" null ", "null"},
        {"true", "true"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"18446744073709551616", "18446744073709551616"},
        {"1e999", "1e999"},
        {"-0", "-0.0"},
        {"1.50", "1.5"},
        {"1E2", "100.0"},
        {R"("\u00e9\ud83d\ude00\n\"\\\/")", "\"\xC3\xA9\xF0\x9F\x98\x80\\u000a\\\"\\\\/\""},
        {R"({"b": [1, {}, []], "a": {"x": null}})", R"({"b":[1,{},[]],"a":{"x":null}})"},
    };
    for (const auto& [text, expected] : cases)
        EXPECT_EQ(Json::parse(text).dump(), expected) << text;
}

TEST(SdkJson, refuses_what_is_not_json) {
    const char* cases[] = {
        "",           " ",         "nul",         "01",          "1.",
        "-",          "+1",        ".5",          "1e",          "\"",
        "\"\\x\"",    "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
        "\"\x01\"",   "[1,]",      "[1 2]",       "{\"a\"}",     "{a:1}",
        "{\"a\":1,}", "[",         "{",           "1 2",         "NaN",
        "Infinity",   "'a'"};
    for (const char* text : cases)
        EXPECT_THROW(Json::parse(text), std::invalid_argument) << text;
    EXPECT_THROW(Json::parse(std::string(100'000, '[')), std::invalid_argument);
    EXPECT_THROW(Json(std::nan("")).dump(), std::invalid_argument);
}

TEST(SdkJson, every_prefix_of_a_text_is_refused) {
    const std::string text = R"({"a":[1.5e3,true,"\ud83d\ude00"],"b":{"c":null}})";
    EXPECT_NO_THROW(Json::parse(text));
    for (std::size_t size = 0; size < text.size(); ++size) {
        EXPECT_THROW(Json::parse(text.substr(0, size)), std::invalid_argument) << size;
    }
}

TEST(SdkJson, objects_keep_order_and_replace) {
    Json object;
    object.set("z", 1);
    object.set("a", "x");
    object.set("z", Json::Array{1, 2});
    EXPECT_EQ(object.dump(), R"({"z":[1,2],"a":"x"})");
    EXPECT_EQ(object.find("missing"), nullptr);
    EXPECT_EQ(*Json::parse(R"({"a":1,"a":2})").find("a")->integer(), 2);
}

}  // namespace
