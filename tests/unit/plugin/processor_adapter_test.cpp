#include "engine/plugin/processor_adapter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "engine/document/json.h"
#include "engine/pipeline/executor.h"
#include "engine/pipeline/pipeline.h"
#include "engine/runtime/error.h"

namespace penstock::plugin {
namespace {

const std::string samples = std::string(PENSTOCK_BINARY_DIR) + "/plugins";

std::string refusal(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

void expect_contains(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "[" << part << "] is not in: " << text;
}

document::Value parse(std::string_view text, document::Arena& arena) {
    document::JsonParser parser;
    document::JsonError error;
    document::Value value;
    EXPECT_TRUE(parser.parse(text, arena, value, error)) << text << error.text();
    return value;
}

/// Runs one document through a pipeline of these processors: the document afterwards, or "failed:
/// <reason>", or "dropped".
class Pipelines {
  public:
    explicit Pipelines(const std::vector<Library>& libraries) {
        add_processors(catalog_, libraries);
    }

    std::shared_ptr<const pipeline::PipelineSet> compile(const std::string& processors) const {
        pipeline::Diagnostics diagnostics;
        auto definition = pipeline::parse_definition("{\"processors\": " + processors + "}",
                                                     "test.yml", "test", diagnostics);
        if (!definition) throw pipeline::DefinitionError(std::move(diagnostics));
        std::vector<pipeline::PipelineDefinition> definitions;
        definitions.push_back(std::move(*definition));
        return pipeline::PipelineSet::compile(std::move(definitions), catalog_);
    }

    static std::string run(const std::shared_ptr<const pipeline::PipelineSet>& set,
                           const std::string& source) {
        document::Arena arena;
        document::Document document(arena);
        document.set_source(parse(source, arena));
        pipeline::Executor executor(set, *set->find("test"));
        document::Document* documents[] = {&document};
        std::vector<pipeline::ExecutionResult> results;
        executor.run_sync(documents, results);
        if (results.at(0).fate == pipeline::Fate::dropped) return "dropped";
        std::string out;
        document::write_json(document.source(), out);
        if (results[0].fate == pipeline::Fate::failed)
            out = "failed: " + results[0].failure.reason + " " + out;
        return out;
    }

    std::string run(const std::string& processors, const std::string& source) const {
        return run(compile(processors), source);
    }

  private:
    pipeline::Catalog catalog_;
};

std::vector<Library> sample_libraries() {
    return PluginSet({samples}).load();
}

// ---- the samples

TEST(Samples, run_in_a_pipeline) {
    const Pipelines pipelines(sample_libraries());
    const std::string lookup =
        R"({"field": "c", "table": {"DE": "Germany", "1": {"x": [1.5, null]}}})";
    const std::tuple<std::string, std::string, std::string> cases[] = {
        {R"([{"uppercase_words": {"field": "t"}}])", R"({"t": "on über open 3rd"})",
         R"({"t":"ON üBER OPEN 3RD"})"},
        {R"([{"uppercase_words": {"field": "a.t", "min_length": 3}}])",
         R"({"a": {"t": "on open"}})", R"({"a":{"t":"on OPEN"}})"},
        {R"([{"uppercase_words": {"field": "t"}}])", R"({"t": ""})", R"({"t":""})"},
        {R"([{"uppercase_words": {"field": "t"}}])", "{}",
         "failed: the field to write in capitals is absent {}"},
        {R"([{"uppercase_words": {"field": "t"}}])", R"({"t": 1})",
         R"(failed: the field to write in capitals is not text {"t":1})"},
        {R"([{"lookup": )" + lookup + "}]", R"({"c": "DE"})", R"({"c":"Germany"})"},
        {R"([{"lookup": )" + lookup + "}]", R"({"c": 1, "d": 2})",
         R"({"c":{"x":[1.5,null]},"d":2})"},
        {R"([{"lookup": )" + lookup + "}]", R"({"c": "FR"})",
         R"(failed: the table has no row for [FR] of field [c] {"c":"FR"})"},
        {R"([{"lookup": )" + lookup + "}]", "{}", "failed: field [c] is absent {}"},
        {R"([{"lookup": {"field": "c", "table": {"a": 1}, "ignore_missing": true}}])", "{}", "{}"},
        {R"([{"lookup": {"field": "c", "table": {"a": 1}, "ignore_unknown": "true"}}])",
         R"({"c": [2]})", R"({"c":[2]})"},
        {R"([{"lookup": {"field": "c", "table": {"a": 1}, "target_field": "d.e"}}])",
         R"({"c": "a"})", R"({"c":"a","d":{"e":1}})"},
        {R"([{"lookup": {"field": "c", "table": {"a": 1}, "target_field": "c.e"}}])",
         R"({"c": "a"})",
         "failed: cannot set [e] with parent object of type [java.lang.String] as part of path "
         "[c.e] {\"c\":\"a\"}"},
        {R"([{"lookup": {"field": "c", "table": {"a": 1}, "on_failure":
            [{"uppercase_words": {"field": "d"}}]}}])",
         R"({"d": "x"})", R"({"d":"X"})"},
    };
    for (const auto& [processors, in, out] : cases)
        EXPECT_EQ(pipelines.run(processors, in), out) << processors << in;
}

TEST(Samples, mistakes_in_options_are_found_when_a_pipeline_is_compiled) {
    const Pipelines pipelines(sample_libraries());
    const std::pair<const char*, const char*> cases[] = {
        {R"([{"uppercase_words": {}}])", "[field] required property is missing"},
        {R"([{"uppercase_words": {"field": "a", "min_length": 0}}])", "[min_length]"},
        {R"([{"uppercase_words": {"feild": "a", "field": "b"}}])", "did you mean [field]?"},
        {R"([{"uppercase_words": {"field": "."}}])", "path [.] is not valid"},
        {R"([{"lookup": {"field": "a", "table": []}}])", "[table]"},
        {R"([{"lookup": {"field": "a", "table": {}}}])", "[lookup] option [table]: has no rows"},
    };
    for (const auto& [processors, why] : cases) {
        const std::string message = refusal([&, text = processors] { pipelines.compile(text); });
        expect_contains(message, "test.yml:1:");
        expect_contains(message, why);
    }
}

TEST(Samples, examples_of_their_specifications_hold) {
    const auto libraries = sample_libraries();
    const Pipelines pipelines(libraries);
    int examples = 0;
    for (const Library& library : libraries) {
        for (const pipeline::ProcessorSpec& spec : processor_specs(library)) {
            for (const pipeline::Example& example : spec.examples) {
                ++examples;
                EXPECT_EQ(
                    pipelines.run("[{\"" + spec.name + "\": " + example.options + "}]", example.in),
                    example.out);
            }
        }
    }
    EXPECT_EQ(examples, 3);
}

// ---- a processor that does what its option says

penstock_str text(const char* value) {
    return {value, std::strlen(value)};
}

/// Tests put their own functions here; instances point to it.
struct Script {
    std::function<bool(const penstock_host*, penstock_load*, penstock_str)> create =
        [](const penstock_host*, penstock_load*, penstock_str) { return true; };
    std::function<penstock_status(const penstock_host*, penstock_doc*)> run =
        [](const penstock_host*, penstock_doc*) { return PENSTOCK_OK; };
    std::function<void()> destroy = [] {};
    const penstock_host* host = nullptr;
    int instances = 0;
};

Script* script = nullptr;  // of the running test: create() gets no handle to reach it by

void* scripted_create(const penstock_host* host, penstock_load* load, penstock_str options) {
    script->host = host;
    if (!script->create(host, load, options)) return nullptr;
    ++script->instances;
    return script;
}
void scripted_destroy(void* self) {
    auto& given = *static_cast<Script*>(self);
    given.destroy();
    --given.instances;
}
penstock_status scripted_run(void* self, penstock_doc* doc) {
    const auto& given = *static_cast<Script*>(self);
    return given.run(given.host, doc);
}

constexpr char scripted_spec[] =
    R"({"name": "scripted", "summary": "Does what a test says.", "options": [
    {"name": "field", "type": "field", "templated": true},
    {"name": "fixed", "type": "field"},
    {"name": "text", "type": "string", "templated": true, "default": "none"},
    {"name": "flag", "type": "boolean", "default": false},
    {"name": "count", "type": "integer", "default": 5, "maximum": 10},
    {"name": "share", "type": "number"},
    {"name": "mode", "type": "enumeration", "values": ["slow", "fast"], "default": "slow"},
    {"name": "words", "type": "strings"},
    {"name": "list", "type": "list", "default": [1, "a"]},
    {"name": "map", "type": "object"},
    {"name": "anything", "type": "any"},
    {"name": "pattern", "type": "regex"}]})";

class Scripted : public ::testing::Test {
  protected:
    Scripted() {
        script = &given;
        plugin.processors = tables;
    }
    ~Scripted() override {
        EXPECT_EQ(given.instances, 0);
        script = nullptr;
    }

    Library library() const { return Library::adopt(&plugin, "memory"); }
    std::string run(const std::string& options, const std::string& source) const {
        return Pipelines({library()}).run(R"([{"scripted": )" + options + "}]", source);
    }
    std::string compile_refusal(const std::string& options) const {
        return refusal(
            [&] { Pipelines({library()}).compile(R"([{"scripted": )" + options + "}]"); });
    }

    Script given;
    penstock_processor table{sizeof(penstock_processor), 0,
                             text(scripted_spec),        scripted_create,
                             scripted_destroy,           scripted_run};
    const penstock_processor* tables[1] = {&table};
    penstock_plugin plugin{sizeof(penstock_plugin), 0, 0,       0, PENSTOCK_STR("scripted_plugin"),
                           PENSTOCK_STR("1"),       1, nullptr, 0, nullptr};
};

TEST_F(Scripted, gets_its_options_checked_typed_and_with_defaults) {
    std::string seen;
    given.create = [&](const penstock_host*, penstock_load*, penstock_str options) {
        seen.assign(options.data, options.size);
        return true;
    };
    run("{}", "{}");
    EXPECT_EQ(seen, R"({"text":"none","flag":false,"count":5,"mode":"slow","list":[1,"a"]})");
    run(R"({"field": "{{a}}.b", "fixed": "c.d", "text": "{{x}}", "flag": "true", "count": "7", "share": 0.5,
            "mode": "fast", "words": "one", "list": [], "map": {"k": [1]}, "anything": {"z": null}, "pattern": "a+"})",
        "{}");
    EXPECT_EQ(
        seen,
        R"({"field":"{{a}}.b","fixed":"c.d","text":"{{x}}","flag":true,"count":7,"share":0.5,)"
        R"("mode":"fast","words":["one"],"list":[],"map":{"k":[1]},"anything":{"z":null},"pattern":"a+"})");
}

TEST_F(Scripted, reads_options_one_by_one) {
    std::string seen;
    given.create = [&](const penstock_host* host, penstock_load* load, penstock_str) {
        for (const char* name :
             {"text", "flag", "count", "share", "list", "map", "words", "no_such"}) {
            penstock_value value{};
            const penstock_status status = host->option(load, text(name), &value);
            seen += std::to_string(status) + ":" + std::to_string(value.kind);
            if (value.kind == PENSTOCK_INT) seen += "=" + std::to_string(value.as.integer);
            if (value.kind == PENSTOCK_STRING || value.kind == PENSTOCK_JSON) {
                seen += "=" + std::string(value.as.text.data, value.as.text.size);
            }
            seen += " ";
        }
        return true;
    };
    run(R"({"map": {"a": 1}})", "{}");
    EXPECT_EQ(seen, "0:4=none 0:1 0:2=5 3:0 0:5=[1,\"a\"] 0:5={\"a\":1} 3:0 3:0 ");
}

TEST_F(Scripted, mistakes_are_reported_where_they_are) {
    given.create = [](const penstock_host* host, penstock_load* load, penstock_str) {
        host->load_error(load, text("count"), text("must be even"));
        host->load_error(load, text("undeclared"), text("is odd"));
        host->load_error(load, text(""), text("and all of it is wrong"));
        return false;
    };
    const std::string message = compile_refusal("\n{\"count\": 7}");
    expect_contains(message, "test.yml:2:11: error: [scripted] option [count]: must be even");
    expect_contains(message, "[scripted] option [undeclared]: is odd");
    expect_contains(message, "[scripted] and all of it is wrong");

    given.create = [](const penstock_host*, penstock_load*, penstock_str) { return false; };
    expect_contains(compile_refusal("{}"),
                    "plugin [scripted_plugin] refuses these options, and gives no reason");

    given.create = [](const penstock_host* host, penstock_load* load, penstock_str) {
        EXPECT_EQ(host->path(load, text("fixed"), text(".")), nullptr);
        EXPECT_EQ(host->text(load, text("text"), text("{{#open}}")), nullptr);
        return true;  // although it was told: still refused
    };
    const std::string both = compile_refusal("{}");
    expect_contains(both, "[scripted] option [fixed]: path [.] is not valid");
    expect_contains(both, "[scripted] option [text]: ");
}

TEST_F(Scripted, every_kind_of_value_can_be_read_and_written_back) {
    const penstock_path* from = nullptr;
    const penstock_path* to = nullptr;
    given.create = [&](const penstock_host* host, penstock_load* load, penstock_str) {
        from = host->path(load, text("fixed"), text("from"));
        to = host->path(load, text("fixed"), text("to.list.0"));
        return true;
    };
    std::uint32_t kind = 99;
    given.run = [&](const penstock_host* host, penstock_doc* doc) {
        penstock_value value{};
        const penstock_status status = host->get(doc, from, &value);
        kind = value.kind;
        return status == PENSTOCK_OK ? host->set(doc, to, &value) : status;
    };
    const std::pair<const char*, std::uint32_t> cases[] = {
        {"null", PENSTOCK_NULL},   {"true", PENSTOCK_BOOL},
        {"false", PENSTOCK_BOOL},  {"-9223372036854775808", PENSTOCK_INT},
        {"0.1", PENSTOCK_DOUBLE},  {"18446744073709551616", PENSTOCK_JSON},
        {"\"\"", PENSTOCK_STRING}, {"\"\xC3\xA9\\u0000x\"", PENSTOCK_STRING},
        {"[]", PENSTOCK_JSON},     {R"({"a":[{"b":1.5}]})", PENSTOCK_JSON},
    };
    for (const auto& [json, expected] : cases) {
        const std::string source = std::string("{\"from\":") + json + ",\"to\":{\"list\":[0]}}";
        EXPECT_EQ(run("{}", source),
                  std::string("{\"from\":") + json + ",\"to\":{\"list\":[" + json + "]}}");
        EXPECT_EQ(kind, expected) << json;
    }
}

TEST_F(Scripted, values_that_are_none_fail_with_a_reason) {
    const penstock_path* path = nullptr;
    given.create = [&](const penstock_host* host, penstock_load* load, penstock_str) {
        path = host->path(load, text("fixed"), text("f"));
        return true;
    };
    penstock_value value{};
    given.run = [&](const penstock_host* host, penstock_doc* doc) {
        return host->set(doc, path, &value);
    };
    const auto written = [&](std::uint32_t kind, const char* content) {
        value = {};
        value.kind = kind;
        value.as.text = text(content);
        return run("{}", "{}");
    };
    EXPECT_EQ(written(PENSTOCK_STRING, "\xff"),
              "failed: the plugin wrote text that is not UTF-8 {}");
    EXPECT_EQ(written(PENSTOCK_STRING, "cut \xC3"),
              "failed: the plugin wrote text that is not UTF-8 {}");
    EXPECT_EQ(written(PENSTOCK_STRING, "\xED\xA0\x80"),
              "failed: the plugin wrote text that is not UTF-8 {}");
    expect_contains(written(PENSTOCK_JSON, "{\"a\":"),
                    "failed: the plugin wrote a value that is not JSON: ");
    EXPECT_EQ(written(77, ""), "failed: the plugin wrote a value of an unknown kind {}");
    value = {};
    value.kind = PENSTOCK_DOUBLE;
    value.as.number = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(run("{}", "{}"), "failed: the plugin wrote a number that is not finite {}");
}

TEST_F(Scripted, what_a_failing_run_changed_is_undone) {
    const penstock_path* paths[3] = {};
    given.create = [&](const penstock_host* host, penstock_load* load, penstock_str) {
        paths[0] = host->path(load, text("fixed"), text("a"));
        paths[1] = host->path(load, text("fixed"), text("b.c.d"));
        paths[2] = host->path(load, text("fixed"), text("list.1"));
        return true;
    };
    penstock_status end = PENSTOCK_OK;
    given.run = [&](const penstock_host* host, penstock_doc* doc) {
        penstock_value value{};
        value.kind = PENSTOCK_INT;
        value.as.integer = 1;
        EXPECT_EQ(host->remove(doc, paths[0]), PENSTOCK_OK);
        EXPECT_EQ(host->remove(doc, paths[0]), PENSTOCK_MISSING);
        EXPECT_EQ(host->set(doc, paths[1], &value), PENSTOCK_OK);
        EXPECT_EQ(host->remove(doc, paths[2]), PENSTOCK_OK);
        if (end == PENSTOCK_FAIL) host->fail(doc, text("on purpose"));
        return end;
    };
    const std::string before = R"({"x":0,"a":"A","b":{},"list":[1,2,3],"y":0})";
    EXPECT_EQ(run("{}", before), R"({"x":0,"b":{"c":{"d":1}},"list":[1,3],"y":0})");
    end = PENSTOCK_FAIL;
    EXPECT_EQ(run("{}", before), "failed: on purpose " + before);
    end = 99;
    EXPECT_EQ(run("{}", before),
              "failed: plugin [scripted_plugin] returned the unknown status 99 " + before);
    end = PENSTOCK_DROP;
    EXPECT_EQ(run("{}", before), "dropped");
}

TEST_F(Scripted, a_failure_without_a_reason_says_so) {
    given.run = [](const penstock_host*, penstock_doc*) { return PENSTOCK_FAIL; };
    EXPECT_EQ(run("{}", "{}"), "failed: failed, and gives no reason {}");
}

TEST_F(Scripted, the_hosts_own_reason_can_be_passed_on_or_ignored) {
    const penstock_path* path = nullptr;
    given.create = [&](const penstock_host* host, penstock_load* load, penstock_str) {
        path = host->path(load, text("fixed"), text("a.b"));
        return true;
    };
    bool pass_on = true;
    given.run = [&](const penstock_host* host, penstock_doc* doc) -> penstock_status {
        const penstock_value value{};
        const penstock_status status = host->set(doc, path, &value);
        EXPECT_EQ(status, PENSTOCK_FAIL);
        return pass_on ? status : PENSTOCK_OK;
    };
    expect_contains(run("{}", R"({"a": "text"})"),
                    "failed: cannot set [b] with parent object of type");
    pass_on = false;
    EXPECT_EQ(run("{}", R"({"a": "text"})"), R"({"a":"text"})");
}

TEST_F(Scripted, paths_and_texts_are_rendered_for_each_document_where_templated) {
    const penstock_path* path = nullptr;
    const penstock_path* literal = nullptr;
    const penstock_text* message = nullptr;
    given.create = [&](const penstock_host* host, penstock_load* load, penstock_str) {
        path = host->path(load, text("field"), text("{{name}}"));
        literal = host->path(load, text("fixed"), text("{{name}}"));
        message = host->text(load, text("text"), text("<{{{name}}}>"));
        return true;
    };
    given.run = [&](const penstock_host* host, penstock_doc* doc) -> penstock_status {
        penstock_value value{};
        value.kind = PENSTOCK_STRING;
        if (host->render(doc, message, &value.as.text) != PENSTOCK_OK) return PENSTOCK_FAIL;
        if (const penstock_status status = host->set(doc, path, &value)) return status;
        return host->set(doc, literal, &value);
    };
    EXPECT_EQ(run("{}", R"({"name": "x"})"), R"({"name":"x","x":"<x>","{{name}}":"<x>"})");
    EXPECT_EQ(run("{}", R"({"name": "."})"), R"(failed: path [.] is not valid {"name":"."})");
}

TEST_F(Scripted, a_path_or_text_that_is_null_fails_the_document) {
    penstock_value value{};
    given.run = [&](const penstock_host* host, penstock_doc* doc) {
        return host->get(doc, nullptr, &value);
    };
    const std::string no_path = "failed: the plugin used a path of an option that was not given {}";
    EXPECT_EQ(run("{}", "{}"), no_path);
    given.run = [&](const penstock_host* host, penstock_doc* doc) {
        return host->set(doc, nullptr, &value);
    };
    EXPECT_EQ(run("{}", "{}"), no_path);
    given.run = [](const penstock_host* host, penstock_doc* doc) {
        return host->remove(doc, nullptr);
    };
    EXPECT_EQ(run("{}", "{}"), no_path);
    given.run = [&](const penstock_host* host, penstock_doc* doc) {
        return host->render(doc, nullptr, &value.as.text);
    };
    EXPECT_EQ(run("{}", "{}"), "failed: the plugin used a text of an option that was not given {}");
}

TEST_F(Scripted, instances_are_made_and_freed_one_at_a_time) {
    std::atomic<int> inside{0};
    std::atomic<bool> met{false};
    const auto visit = [&] {
        if (++inside > 1) met = true;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        --inside;
    };
    given.create = [&](const penstock_host*, penstock_load*, penstock_str) {
        visit();
        return true;
    };
    given.destroy = visit;
    const Library one = library();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 20; ++round)
                Pipelines({one}).compile(R"([{"scripted": {}}])");
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_FALSE(met);
}

TEST_F(Scripted, one_instance_runs_on_one_thread_at_a_time_when_flagged) {
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    given.run = [&](const penstock_host*, penstock_doc*) {
        const int now = ++inside;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        --inside;
        return PENSTOCK_OK;
    };
    const auto most_at_once = [&] {
        most = 0;
        const auto set = Pipelines({library()}).compile(R"([{"scripted": {}}])");
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                for (int round = 0; round < 50; ++round)
                    EXPECT_EQ(Pipelines::run(set, "{}"), "{}");
            });
        }
        for (std::thread& thread : threads)
            thread.join();
        return most.load();
    };
    EXPECT_GT(most_at_once(), 1);
    table.flags = PENSTOCK_SINGLE_THREADED;
    EXPECT_EQ(most_at_once(), 1);
}

// ---- specifications

TEST_F(Scripted, specifications_that_are_none_are_refused) {
    const std::string start = R"({"name": "p", "summary": "s", )";
    const std::pair<std::string, const char*> cases[] = {
        {"nonsense", "a processor's specification is not JSON: "},
        {"[]", "its specification is not a JSON object"},
        {R"({"summary": "s"})", "its specification's name is []"},
        {R"({"name": "P", "summary": "s"})", "processor [P]: its specification's name is [P]"},
        {R"({"name": "p"})", "its specification has no summary"},
        {R"({"name": 1})", "member [name] of its specification is not a string"},
        {start + R"("options": {}})", "member [options] of its specification is not a list"},
        {start + R"("option": []})", "its specification has an unknown member [option]"},
        {start + R"("options": [1]})", "one of its options is not a JSON object"},
        {start + R"("options": [{"name": "a", "type": "text"}]})",
         "its option [a] has the unknown type [text]"},
        {start + R"("options": [{"name": "a", "type": "processor"}]})",
         "has the unknown type [processor]"},
        {start + R"("options": [{"name": "a", "requird": true}]})",
         "its option [a] has an unknown member [requird]"},
        {start + R"("options": [{"name": "a", "required": 1}]})",
         "member [required] of its specification is not a boolean"},
        {start + R"("options": [{"name": "a", "required": true, "default": "x"}]})",
         "is required and has a default"},
        {start + R"("options": [{"name": "a", "type": "object", "templated": true}]})",
         "its option [a] is templated"},
        {start + R"("options": [{"name": "a", "type": "integer", "default": "x"}]})",
         "the default of"},
        {start + R"("options": [{"name": "a"}, {"name": "a"}]})", "option [a] is declared twice"},
        {start + R"("options": [{"name": "tag"}]})", "option [tag] is declared twice"},
        {start + R"("options": [{"name": "a", "type": "enumeration"}]})", "must list its values"},
        {start + R"("examples": [{"options": {}, "in": {}}]})",
         "an example needs options, in, and out or fails"},
        {start + R"("examples": [{"input": {}}]})",
         "one of its examples has an unknown member [input]"},
        {start + R"("exactly_one_of": [["a", "b"]]})", "[a]"},
    };
    for (const auto& [json, why] : cases) {
        table.spec = {json.data(), json.size()};
        const std::string message = refusal([&] {
            pipeline::Catalog catalog;
            add_processors(catalog, {library()});
        });
        expect_contains(message, "cannot use plugin memory: ");
        expect_contains(message, why);
    }
}

TEST_F(Scripted, a_name_that_is_taken_is_refused) {
    pipeline::Catalog catalog;
    add_processors(catalog, {library()});
    expect_contains(refusal([&] { add_processors(catalog, {library()}); }),
                    "cannot use plugin memory: processor [scripted] cannot be added: ");
}

}  // namespace
}  // namespace penstock::plugin
