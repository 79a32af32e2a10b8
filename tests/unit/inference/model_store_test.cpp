#include "engine/inference/model_store.h"

#include <gtest/gtest.h>

#include "engine/inference/inference_error.h"
#include "tests/unit/inference/fakes.h"

namespace penstock::inference {
namespace {

using testing::Fixture;
using testing::ModelDirectory;

std::string load_error(const ModelStore& store, const std::string& id) {
    try {
        store.load(id, {});
    } catch (const Error& error) {
        return error.what();
    }
    return "loaded";
}

TEST(ModelStore, ListsWhatIsThereWithoutABackend) {
    ModelDirectory first;
    ModelDirectory second;
    first.add_model("whole", "description: A test\n");
    first.write("half/config.json", "{}");
    first.write("notes/readme.txt", "not a model");
    second.add_model("whole");
    second.add_model("other");
    ModelStoreOptions options;
    options.roots = {first.root(), second.root(), "/no/such/directory"};
    options.backend = []() -> std::shared_ptr<Backend> { throw Error("must not be asked"); };
    const auto models = ModelStore(options).list();
    ASSERT_EQ(models.size(), 3U);
    EXPECT_EQ(models[0].model_id, "half");
    EXPECT_EQ(models[0].state, ModelState::incomplete);
    EXPECT_EQ(models[0].reason, "there are no weights: model.safetensors or model.pt is missing");
    EXPECT_EQ(models[1].model_id, "other");
    EXPECT_EQ(models[2].model_id, "whole");
    EXPECT_EQ(models[2].state, ModelState::ok);
    EXPECT_EQ(models[2].description, "A test");
    EXPECT_EQ(models[2].directory, first.root() / "whole") << "the first root has it";
    EXPECT_EQ(models[2].model_size_bytes, ModelDirectory::safetensors(8).size());
}

TEST(ModelStore, NamesWhatIsWrongWithAModel) {
    struct Case {
        const char* id;
        const char* file;
        std::string text;
        const char* message;
    };
    const std::string zip = std::string("PK\x03\x04", 4) + std::string(100, 'x');
    const std::vector<Case> cases{
        {"short-weights", "model.safetensors", ModelDirectory::safetensors(3), "of "},
        {"short-header", "model.safetensors", ModelDirectory::safetensors(0).substr(0, 30),
         "ends within its header"},
        {"tiny", "model.safetensors", "abc", "has 3 bytes"},
        {"html", "model.safetensors", std::string(200, '<'), "is not a safetensors file"},
        {"lfs", "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
         "is a Git LFS pointer"},
        {"cut-config", "config.json", R"({"model_type": "be)", "Model definition truncated"},
        {"empty-tokenizer", "tokenizer.json", "", "tokenizer.json is empty"},
        {"list-config", "config.json", "[1]", "config.json is not a JSON object"},
    };
    Fixture fixture;
    for (const Case& each : cases) {
        fixture.models.add_model(each.id);
        fixture.models.write(std::string(each.id) + "/" + each.file, each.text);
        const std::string error = load_error(*fixture.store(), each.id);
        EXPECT_NE(error.find(each.message), std::string::npos) << each.id << ": " << error;
        EXPECT_NE(error.find(each.file), std::string::npos) << each.id << ": " << error;
    }
    fixture.models.write("ts/model.pt", zip);
    fixture.models.write("ts/tokenizer.json", "{}");
    EXPECT_NE(load_error(*fixture.store(), "ts").find("Model definition truncated"),
              std::string::npos);
    fixture.models.write("pickle/pytorch_model.bin", "x");
    EXPECT_NE(load_error(*fixture.store(), "pickle").find("convert it to model.safetensors"),
              std::string::npos);
    EXPECT_EQ(fixture.control->opened, 0);
}

TEST(ModelStore, SaysTruncatedAsTheReferenceDoes) {
    Fixture fixture;
    fixture.models.add_model("m");
    fixture.models.write("m/model.safetensors", ModelDirectory::safetensors(3));
    const std::size_t whole = ModelDirectory::safetensors(8).size();
    EXPECT_EQ(
        load_error(*fixture.store(), "m"),
        "Model definition truncated. Unable to deserialize trained model definition [m]: in " +
            std::filesystem::canonical(fixture.models.root() / "m").string() +
            ", model.safetensors has " + std::to_string(whole - 5) + " of " +
            std::to_string(whole) + " bytes; copy or download the file again");
}

TEST(ModelStore, RefusesNamesThatLeaveTheRoots) {
    Fixture fixture;
    fixture.models.add_model("m");
    for (const char* id : {"absent", "", ".", "..", "../m", "m/../m", "/etc"}) {
        try {
            fixture.store()->load(id, {});
            ADD_FAILURE() << id;
        } catch (const InferenceError& error) {
            EXPECT_EQ(error.status(), 404);
            EXPECT_EQ(error.type(), "resource_not_found_exception");
            EXPECT_NE(std::string(error.what()).find("Could not find trained model ["),
                      std::string::npos);
            EXPECT_NE(std::string(error.what()).find(fixture.models.root().string()),
                      std::string::npos);
        }
    }
}

TEST(ModelStore, SharesOneLoadedModelAndForgetsIt) {
    Fixture fixture;
    fixture.models.add_model("m");
    const auto store = fixture.store();
    auto first = store->load("m", {});
    auto second = store->load("m", {"cpu", "auto"});
    EXPECT_EQ(first, second);
    EXPECT_EQ(fixture.control->opened, 1);
    const auto other = store->load("m", {"cpu", "float16"});
    EXPECT_NE(other, first) << "another number format is another copy";
    EXPECT_EQ(other->tokenizer, first->tokenizer);
    first.reset();
    second.reset();
    EXPECT_EQ(fixture.control->models_alive, 1);
    store->load("m", {});
    EXPECT_EQ(fixture.control->opened, 3);
}

TEST(ModelStore, LoadsOnceForTwoWhoAskAtTheSameTime) {
    Fixture fixture;
    fixture.models.add_model("m");
    fixture.control->open_blocked = true;
    const auto store = fixture.store();
    std::shared_ptr<const LoadedModel> one;
    std::shared_ptr<const LoadedModel> two;
    std::jthread first([&] { one = store->load("m", {}); });
    std::jthread second([&] { two = store->load("m", {}); });
    const testing::ReleaseAtEnd release(*fixture.control);
    ASSERT_TRUE(testing::eventually([&] { return fixture.control->opening_now() > 0; }));
    fixture.control->block_open(false);
    first.join();
    second.join();
    EXPECT_EQ(one, two);
    EXPECT_EQ(fixture.control->opened, 1);
}

TEST(ModelStore, ReadsAgainWhatWasReplaced) {
    Fixture fixture;
    fixture.models.add_model("m");
    const auto store = fixture.store();
    const auto before = store->load("m", {});
    fixture.models.write("m/config.json", R"({"model_type": "bert", "hidden_size": 3})");
    EXPECT_NE(store->load("m", {}), before);
}

TEST(ModelStore, EveryFileThatABackendReadsCounts) {
    Fixture fixture;
    fixture.models.add_model("m");
    const auto store = fixture.store();
    for (const char* file : {"model.pt", "model.torchscript.pt", "model.safetensors.index.json",
                             "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
                             "tokenizer_config.json", "vocab.txt"}) {
        const auto before = store->load("m", {});
        EXPECT_EQ(store->load("m", {}), before);
        fixture.models.write(std::string("m/") + file, "{}");
        EXPECT_NE(store->load("m", {}), before) << file;
    }
}

TEST(ModelStore, LooksAtTheEndsOfAFileAlone) {
    Fixture fixture;
    fixture.models.add_model("m");
    fixture.models.write("m/tokenizer.json",
                         "\xEF\xBB\xBF" + std::string(1000, '\n') + "{}" + std::string(1000, ' '));
    EXPECT_EQ(load_error(*fixture.store(), "m"), "loaded");
    fixture.models.write("m/tokenizer.json", std::string(1000, '\n'));
    EXPECT_NE(load_error(*fixture.store(), "m").find("tokenizer.json is empty"), std::string::npos);
    fixture.models.write("m/tokenizer.json", "{");
    std::filesystem::resize_file(fixture.models.root() / "m/tokenizer.json", 1ULL << 41);
    EXPECT_NE(load_error(*fixture.store(), "m").find("tokenizer.json does not end with '}'"),
              std::string::npos);
}

TEST(ModelStore, ReadsWeightsInSeveralFiles) {
    Fixture fixture;
    const auto store = fixture.store();
    fixture.models.add_model("m");
    std::filesystem::remove(fixture.models.root() / "m/model.safetensors");
    const auto write_index = [&](std::string_view text) {
        fixture.models.write("m/model.safetensors.index.json", text);
    };
    write_index(
        R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"}})");
    fixture.models.write("m/one.safetensors", ModelDirectory::safetensors(8));
    EXPECT_NE(load_error(*store, "m")
                  .find("two.safetensors is missing; model.safetensors.index.json names it"),
              std::string::npos);
    fixture.models.write("m/two.safetensors", ModelDirectory::safetensors(3));
    EXPECT_NE(load_error(*store, "m").find("two.safetensors has "), std::string::npos);
    fixture.models.write("m/two.safetensors", ModelDirectory::safetensors(8));
    EXPECT_EQ(store->describe("m").model_size_bytes, 2 * ModelDirectory::safetensors(8).size());
    const auto before = store->load("m", {});
    EXPECT_EQ(store->load("m", {}), before);
    std::filesystem::last_write_time(
        fixture.models.root() / "m/two.safetensors",
        std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
    EXPECT_NE(store->load("m", {}), before) << "a shard was replaced";

    for (const auto& [text, reason] : std::vector<std::pair<const char*, const char*>>{
             {R"({"weight_map":{"a":"../one.safetensors"}})", "[a] must name a file beside"},
             {R"({"weight_map":{"a":7}})", "[a] must name a file beside"},
             {R"({"weight_map":{}})", "names no file"},
             {R"({"weights":1})", "has no object weight_map"},
             {R"({"weight_map":})", "is not valid JSON"},
             {R"({"weight_map":{"a")", "does not end with '}'"}}) {
        write_index(text);
        const std::string error = load_error(*store, "m");
        EXPECT_NE(error.find("model.safetensors.index.json"), std::string::npos) << error;
        EXPECT_NE(error.find(reason), std::string::npos) << error;
    }
}

TEST(ModelStore, GivesTheManifestToTheBackend) {
    Fixture fixture;
    fixture.models.add_model(
        "m",
        "task_type: text_embedding\npooling: cls\nnormalize: true\ndtype: float16\n"
        "max_sequence_length: 32\nprefix_strings:\n  ingest: 'passage: '\n  search: 'query: '\n"
        "inference_config:\n  text_embedding:\n    embedding_size: 3\n    results_field: vector\n"
        "    tokenization:\n      bert:\n        truncate: none\n        max_sequence_length: "
        "16\n");
    const auto model = fixture.store()->load("m", {});
    EXPECT_EQ(
        fixture.control->config,
        R"({"device":"cpu","dtype":"float16","pooling":"cls","normalize":true,"max_sequence_length":32})");
    EXPECT_EQ(model->max_tokens, 16);
    EXPECT_EQ(model->manifest.prefix_search, "query: ");
    EXPECT_EQ(model->manifest.inference_config.truncate, Truncate::none);
    EXPECT_EQ(model->manifest.inference_config.results_field, "vector");
}

TEST(ModelStore, ReportsEveryMistakeOfAManifestWithItsPlace) {
    Fixture fixture;
    fixture.models.add_model("m",
                             "task_typ: ner\n"
                             "pooling: sum\n"
                             "normalize: yes\n"
                             "max_sequence_length: -4\n"
                             "prefix_strings:\n"
                             "  query: 'q'\n"
                             "inference_config:\n"
                             "  text_embedding:\n"
                             "    tokenization: {truncate: last, span: 3}\n"
                             "pooling: mean\n");
    const std::string error = load_error(*fixture.store(), "m");
    for (const char* expected :
         {":1:1: unknown option [task_typ]", ":2:10: expected one of: mean, cls, max",
          ":3:12: expected true or false", ":4:22: expected a positive integer",
          ":6:3: unknown option [query] in prefix_strings; known: ingest, search",
          ":9:30: expected one of: first, second, none", ":10:1: [pooling] is there twice"}) {
        EXPECT_NE(error.find(expected), std::string::npos) << expected << " in\n" << error;
    }
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 7) << error;

    fixture.models.add_model("broken", "a: [1\n");
    EXPECT_NE(load_error(*fixture.store(), "broken").find("penstock-model.yaml:2:1:"),
              std::string::npos)
        << load_error(*fixture.store(), "broken");
    for (const auto& model : fixture.store()->list())
        EXPECT_EQ(model.state, ModelState::invalid);
}

TEST(ModelStore, RefusesTaskTypesThatAreNotThereYet) {
    Fixture fixture;
    fixture.models.add_model("m", "task_type: ner\n");
    EXPECT_EQ(load_error(*fixture.store(), "m"),
              "the task type [ner] is not available in this version; available: text_embedding");
}

TEST(ModelStore, RefusesAModelThatDoesNotMatchItsManifest) {
    Fixture fixture;
    fixture.models.add_model("wide", "inference_config: {text_embedding: {embedding_size: 384}}\n");
    fixture.models.add_model("short", "max_sequence_length: 2\n");
    EXPECT_NE(load_error(*fixture.store(), "wide")
                  .find("embedding_size is 384, but the model's vectors have 3"),
              std::string::npos);
    EXPECT_NE(load_error(*fixture.store(), "short").find("special tokens fill"), std::string::npos);
}

}  // namespace
}  // namespace penstock::inference
