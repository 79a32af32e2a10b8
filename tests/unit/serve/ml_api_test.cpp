#include <algorithm>
#include <fstream>
#include <future>
#include <thread>

#include "engine/plugin/backend_adapter.h"
#include "engine/plugin/loader.h"
#include "engine/text/tokenizer.h"
#include "processors/builtin.h"
#include "processors/deployment_directory.h"
#include "tests/unit/inference/fakes.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/json_body.h"
#include "tools/serve/model_upload.h"

namespace penstock::serve {
namespace {

namespace fakes = inference::testing;
namespace fs = std::filesystem;

constexpr const char* kModel = R"({
    "model_type": "pytorch", "description": "sentences", "tags": ["mine"],
    "input": {"field_names": ["text_field"]}, "metadata": {"per_allocation_memory_bytes": 1},
    "prefix_strings": {"ingest": "passage: "},
    "inference_config": {"text_embedding": {"embedding_size": 3, "tokenization": {"bert": {
        "do_lower_case": true, "max_sequence_length": 64, "truncate": "first", "span": -1}}}}})";
constexpr const char* kVocabulary =
    R"({"vocabulary": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s"]})";

std::string base64(std::string_view bytes) {
    static constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t bits = 0;
        for (std::size_t k = 0; k < 3; ++k)
            bits =
                bits << 8U | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k)
            out += i + k > bytes.size() ? '=' : alphabet[bits >> (18 - 6 * k) & 63U];
    }
    return out;
}

/// A zip file as far as the model store looks: a local header and an end record.
std::string archive() {
    return std::string("PK\x03\x04", 4) + std::string(100, 'x') + std::string("PK\x05\x06", 4) +
           std::string(18, '\0');
}

class MlApi : public ServeFixture {
  protected:
    MlApi() {
        make_store();
        boot({"m", "d", "sentences", "aliased"});
    }
    ~MlApi() override {
        release.reset();
        shut_down();
    }

    void make_store() {
        inference::ModelStoreOptions options;
        options.roots = {directory / "models", shipped.root()};
        options.backend = [c = control] { return std::make_shared<fakes::FakeBackend>(c); };
        options.tokenizer = [](const fs::path&) {
            return std::make_shared<fakes::WordTokenizer>();
        };
        node.models = std::make_shared<inference::ModelStore>(std::move(options));
    }

    /// As a start of the server with the same data.
    void boot(std::set<std::string> declared) {
        shut_down();
        node.deployments = std::make_shared<inference::Deployments>(node.models, 8);
        catalog = std::make_unique<pipeline::Catalog>();
        processors::add_builtin(*catalog, std::make_shared<processors::DeploymentDirectory>(
                                              node.deployments, std::move(declared)));
        node.catalog = catalog.get();
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", *catalog);
        router = Router();
        add_ml_routes(router, node);
        add_inference_routes(router, node);
        add_cat_routes(router, node);
    }
    void shut_down() {
        router = Router();
        node.pipelines.reset();
        node.catalog = nullptr;
        catalog.reset();  // its processors hold the deployments
        node.deployments.reset();
    }

    /// The body of a call that must be answered with `status`.
    std::string body(int status, const std::string& method, const std::string& target,
                     std::string text = {}) {
        const Response response = call(method, target, std::move(text));
        EXPECT_EQ(response.status, status) << target << ": " << response.body;
        return response.body;
    }
    void upload(const std::string& id) {
        const std::string bytes = archive();
        body(200, "PUT", "/_ml/trained_models/" + id, kModel);
        body(200, "PUT", "/_ml/trained_models/" + id + "/vocabulary", kVocabulary);
        for (const int part : {1, 0})
            body(200, "PUT", "/_ml/trained_models/" + id + "/definition/" + std::to_string(part),
                 part_body(bytes.substr(static_cast<std::size_t>(part) * 50, part == 0 ? 50 : 1000),
                           2, bytes.size()));
    }
    static std::string part_body(std::string_view bytes, int parts, std::size_t length) {
        return "{\"definition\":\"" + base64(bytes) +
               "\",\"total_parts\":" + std::to_string(parts) +
               ",\"total_definition_length\":" + std::to_string(length) + "}";
    }

    fakes::ModelDirectory shipped;
    std::shared_ptr<fakes::Control> control = std::make_shared<fakes::Control>();
    std::unique_ptr<fakes::ReleaseAtEnd> release = std::make_unique<fakes::ReleaseAtEnd>(*control);
    std::unique_ptr<pipeline::Catalog> catalog;
};

void expect_has(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in " << text;
}

// ---- models

TEST_F(MlApi, PutGetDelete) {
    const std::string put = body(200, "PUT", "/_ml/trained_models/sentences", kModel);
    expect_has(put, R"("model_id":"sentences","model_type":"pytorch")");
    expect_has(body(200, "GET", "/_ml/trained_models/sentences?include=definition_status"),
               R"("fully_defined":false)");
    body(200, "DELETE", "/_ml/trained_models/sentences");
    expect_has(body(404, "GET", "/_ml/trained_models/sentences"),
               "No known trained model with model_id [sentences]");
}

TEST_F(MlApi, UploadInAnyOrderBecomesOneArchive) {
    upload("sentences");
    std::ifstream in(directory / "models/sentences/model.pt", std::ios::binary);
    const std::string written{std::istreambuf_iterator<char>(in), {}};
    EXPECT_EQ(written, archive());
    EXPECT_FALSE(fs::exists(directory / "models/sentences/.parts"));
    const std::string got =
        body(200, "GET", "/_ml/trained_models/sentences?include=definition_status");
    expect_has(got, R"("fully_defined":true)");
    expect_has(got, R"("model_size_bytes":126)");
    expect_has(got, R"("tags":["mine"])");
    expect_has(got, R"("prefix_strings":{"ingest":"passage: "})");
    expect_has(got, R"("bert":{"do_lower_case":true,"with_special_tokens":true)");
    const inference::ModelSummary model = node.models->describe("sentences");
    EXPECT_EQ(model.description, "sentences");
    EXPECT_EQ(inference::load_manifest(model.directory).prefix_ingest, "passage: ");
}

TEST_F(MlApi, VocabularyLoadsAsTokenizer) {
    upload("sentences");
    const auto tokenizer = text::load_tokenizer(directory / "models/sentences");
    text::Tokens tokens;
    tokenizer->encode("Hello worlds", true, tokens);
    EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{2, 5, 6, 7, 3}));
}

TEST_F(MlApi, UnigramVocabularyLoadsAsTokenizer) {
    body(200, "PUT", "/_ml/trained_models/x", R"({"model_type":"pytorch","inference_config":
        {"text_embedding":{"tokenization":{"xlm_roberta":{"max_sequence_length":16}}}}})");
    const std::string vocabulary =
        R"("vocabulary":["<s>","<pad>","</s>","<unk>","▁hello","▁world","▁","<mask>"])";
    expect_has(body(400, "PUT", "/_ml/trained_models/x/vocabulary", "{" + vocabulary + "}"),
               "[scores] must be provided");
    body(200, "PUT", "/_ml/trained_models/x/vocabulary",
         "{" + vocabulary + R"(,"scores":[0,0,0,0,-1,-1.5,-5,0]})");
    text::Tokens tokens;
    text::load_tokenizer(directory / "models/x")->encode("hello  world", true, tokens);
    EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{0, 4, 5, 2}));
}

TEST_F(MlApi, RefusesWhatItCannotRun) {
    const auto put = [&](const std::string& json) {
        return body(400, "PUT", "/_ml/trained_models/x", json);
    };
    expect_has(put(R"({"inference_config":{"text_embedding":{}}})"), "[model_type] is missing");
    expect_has(put(R"({"model_type":"pytorch","inference_config":{"ner":{}}})"),
               "inference type [ner] is not available");
    expect_has(put(R"({"model_type":"pytorch","inference_config":{"text_embedding":
        {"tokenization":{"roberta":{}}}}})"),
               "tokenization type [roberta] is not supported");
    expect_has(put(R"({"model_type":"pytorch","inference_config":{"text_embedding":
        {"tokenization":{"bert":{"span":16}}}}})"),
               "[span] is not supported");
    expect_has(put(R"({"model_type":"pytorch","colour":1})"), "unknown field [colour]");
    expect_has(put(R"({"model_type":"pytorch","platform_architecture":"windows-x86_64",
        "inference_config":{"text_embedding":{}}})"),
               "platform specific");
    expect_has(body(400, "PUT", "/_ml/trained_models/Not-An-Id", kModel), "Invalid model_id");
    upload("sentences");
    expect_has(body(400, "PUT", "/_ml/trained_models/sentences", kModel), "already exists");
}

TEST_F(MlApi, RefusesPartsThatDoNotFit) {
    body(200, "PUT", "/_ml/trained_models/x", kModel);
    const std::string part = "/_ml/trained_models/x/definition/";
    expect_has(body(400, "PUT", part + "2", part_body("ab", 2, 4)), "less than total_parts");
    expect_has(body(400, "PUT", part + "0", R"({"definition":"*","total_parts":1,
        "total_definition_length":1})"),
               "not base64");
    expect_has(body(400, "PUT", part + "0", part_body("abc", 1, 4)), "3 bytes together");
    expect_has(body(404, "PUT", "/_ml/trained_models/none/definition/0", part_body("abc", 1, 3)),
               "No known trained model");
    expect_has(body(400, "PUT", "/_ml/trained_models/x/vocabulary", R"({"vocabulary":[]})"),
               "[vocabulary] must not be empty");
    expect_has(body(400, "PUT", "/_ml/trained_models/x/vocabulary", R"({"vocabulary":["a"]})"),
               "has no token [[UNK]]");
}

TEST_F(MlApi, ConfiguredModelsAreListedAndNotChanged) {
    shipped.add_model("m", "description: shipped\n");
    upload("sentences");
    const std::string all = body(200, "GET", "/_ml/trained_models");
    expect_has(all, R"("count":2)");
    expect_has(all, R"("description":"shipped")");
    expect_has(body(200, "GET", "/_ml/trained_models/s*,m?size=1&from=1"),
               R"("count":2,"trained_model_configs":[{"model_id":"sentences")");
    expect_has(body(200, "GET", "/_ml/trained_models/z*"), R"("count":0)");
    body(404, "GET", "/_ml/trained_models/z*?allow_no_match=false");
    expect_has(body(400, "DELETE", "/_ml/trained_models/m"), "lies in a model directory");
}

// ---- deployments

TEST_F(MlApi, StartAnswersWithTheAssignment) {
    shipped.add_model("m");
    const std::string started = body(
        200, "POST", "/_ml/trained_models/m/deployment/_start?deployment_id=d&queue_capacity=7",
        R"({"number_of_allocations":2,"cache_size":"10mb","adaptive_allocations":
                 {"enabled":false}})");
    expect_has(started, R"({"assignment":{"task_parameters":{"model_id":"m","deployment_id":"d",)");
    expect_has(started, R"("threads_per_allocation":1,"number_of_allocations":2)");
    expect_has(started, R"("queue_capacity":7,"cache_size":"10485760b","priority":"normal")");
    expect_has(started, R"("routing_table":{"node0000000000000000aa":{)");
    expect_has(started, R"("assignment_state":"started")");
    expect_has(body(409, "POST", "/_ml/trained_models/m/deployment/_start?deployment_id=d"),
               "an existing deployment with the same id [d] exist");
    expect_has(body(200, "POST", "/_ml/trained_models/d/deployment/_update",
                    R"({"number_of_allocations":4})"),
               R"("number_of_allocations":4)");
    expect_has(body(200, "POST", "/_ml/trained_models/d/deployment/_stop"), R"({"stopped":true})");
    expect_has(body(200, "POST", "/_ml/trained_models/m/deployment/_stop"), R"({"stopped":true})");
    body(404, "POST", "/_ml/trained_models/none/deployment/_stop");
    body(404, "POST", "/_ml/trained_models/n*/deployment/_stop?allow_no_match=false");
}

TEST_F(MlApi, AllocationsMayFollowTheLoad) {
    shipped.add_model("m");
    const std::string limits =
        R"("adaptive_allocations":{"enabled":true,"min_number_of_allocations":2,)"
        R"("max_number_of_allocations":4})";
    const std::string started =
        body(200, "POST", "/_ml/trained_models/m/deployment/_start", "{" + limits + "}");
    expect_has(started, R"("number_of_allocations":2)");
    expect_has(started, limits);
    expect_has(body(200, "GET", "/_ml/trained_models/m/_stats"), limits);
    boot({});
    EXPECT_EQ(node.deployments->find("m")->config().adaptive_allocations.max_number_of_allocations,
              4);
    const std::string update = "/_ml/trained_models/m/deployment/_update";
    expect_has(body(409, "POST", update, R"({"number_of_allocations":3})"),
               "cannot be set while [adaptive_allocations] is enabled");
    body(200, "POST", update, R"({"adaptive_allocations":{"enabled":false}})");
    expect_has(body(200, "POST", update, R"({"number_of_allocations":3})"),
               R"("number_of_allocations":3)");
    body(400, "POST", update, "{}");
}

TEST_F(MlApi, StartIsValidated) {
    shipped.add_model("m");
    const std::string start = "/_ml/trained_models/m/deployment/_start";
    const std::string wrong =
        body(400, "POST",
             start + "?number_of_allocations=0&threads_per_allocation=3&queue_capacity=2000000");
    expect_has(wrong, "action_request_validation_exception");
    expect_has(wrong, "Validation Failed: ");
    expect_has(wrong, "[number_of_allocations] must be a positive integer");
    expect_has(wrong, "[threads_per_allocation] must be a power of 2 less than or equal to 32");
    expect_has(wrong, "[queue_capacity] must be less than 1000000");
    expect_has(body(400, "POST", start + "?number_of_allocations=2",
                    R"({"adaptive_allocations":{"enabled":true}})"),
               "[number_of_allocations] cannot be set while [adaptive_allocations] is enabled");
    expect_has(body(400, "POST", start, R"({"colour":1})"), "unknown parameter [colour]");
    expect_has(body(429, "POST", start + "?number_of_allocations=100"), "8 of 8 are free");
    body(404, "POST", "/_ml/trained_models/none/deployment/_start");
}

TEST_F(MlApi, StartTimesOutAndGoesOn) {
    shipped.add_model("m");
    control->block_open(true);
    const std::string start = "/_ml/trained_models/m/deployment/_start";
    expect_has(body(408, "POST", start + "?timeout=50ms"), "waiting for deployment [m] to start");
    const Response early =
        call("POST", "/_ml/trained_models/m/_infer", R"({"docs":[{"text_field":"a"}]})");
    EXPECT_EQ(early.status, 503) << early.body;
    control->block_open(false);
    EXPECT_TRUE(fakes::eventually([&] {
        return node.deployments->find("m")->state() == inference::DeploymentState::fully_allocated;
    }));
}

TEST_F(MlApi, FailedStartIsNotTriedAgain) {
    shipped.add_model("m");
    control->fail_open = true;
    expect_has(body(400, "POST", "/_ml/trained_models/m/deployment/_start"),
               "the weights are of another model");
    boot({});
    EXPECT_EQ(node.deployments->find("m"), nullptr);
}

TEST_F(MlApi, StartedDeploymentsComeBackAndStoppedOnesDoNot) {
    shipped.add_model("m");
    for (const char* id : {"d", "e"}) {
        body(200, "POST",
             "/_ml/trained_models/m/deployment/_start?queue_capacity=9&deployment_id=" +
                 std::string(id));
    }
    body(200, "POST", "/_ml/trained_models/d/deployment/_update", R"({"number_of_allocations":2})");
    body(200, "POST", "/_ml/trained_models/e/deployment/_stop");
    boot({});
    const auto back = node.deployments->find("d");
    ASSERT_NE(back, nullptr);
    EXPECT_EQ(back->config().number_of_allocations, 2);
    EXPECT_EQ(back->config().queue_capacity, 9);
    EXPECT_EQ(node.deployments->find("e"), nullptr);
}

TEST_F(MlApi, PipelinesHoldDeploymentsAndModels) {
    upload("sentences");
    body(200, "POST", "/_ml/trained_models/sentences/deployment/_start?deployment_id=d");
    node.pipelines->put("p", R"({"processors":[{"foreach":{"field":"a","processor":{"inference":
        {"model_id":"d","input_output":{"input_field":"text","output_field":"vector"}}}}}]})");
    expect_has(body(409, "POST", "/_ml/trained_models/d/deployment/_stop"),
               "Cannot stop deployment [d] as it is referenced by ingest processors");
    expect_has(body(409, "DELETE", "/_ml/trained_models/sentences"),
               "still referenced by ingest processors");
    node.pipelines->remove("p");
    expect_has(body(409, "DELETE", "/_ml/trained_models/sentences"), "is currently deployed");
    body(200, "DELETE", "/_ml/trained_models/sentences?force=true");
    EXPECT_EQ(node.deployments->find("d"), nullptr);
    EXPECT_FALSE(fs::exists(directory / "models/sentences"));
}

// ---- inference

TEST_F(MlApi, InfersAsTheModelSays) {
    upload("sentences");
    body(200, "POST", "/_ml/trained_models/sentences/deployment/_start");
    const auto expected = fakes::expected_embedding("hello world");
    std::string numbers = "[";
    for (const float value : expected)
        numbers += (numbers.size() > 1 ? "," : "") + std::to_string(static_cast<int>(value)) + ".0";
    const std::string docs = R"("docs":[{"text_field":"hello world"}])";
    for (const char* path : {"/_infer", "/deployment/_infer"}) {
        EXPECT_EQ(body(200, "POST", std::string("/_ml/trained_models/sentences") + path,
                       "{" + docs + "}"),
                  R"({"inference_results":[{"predicted_value":)" + numbers + "]}]}");
    }
    expect_has(body(200, "POST", "/_ml/trained_models/sentences/_infer",
                    "{" + docs + R"(,"inference_config":{"text_embedding":
                        {"results_field":"v"}}})"),
               R"({"v":[)");
    const std::string infer = "/_ml/trained_models/sentences/_infer";
    expect_has(body(400, "POST", infer, R"({"docs":[{"other":"a"}]})"),
               "Input field [text_field] does not exist");
    expect_has(body(400, "POST", infer, R"({"docs":[{"text_field":7}]})"), "must be a string");
    expect_has(body(400, "POST", infer, R"({"docs":[]})"), "at least one document is required");
    expect_has(body(403, "POST", infer, "{" + docs + R"(,"inference_config":{"ner":{}}})"),
               "called with task [ner]");
    body(404, "POST", "/_ml/trained_models/none/_infer", "{" + docs + "}");
}

TEST_F(MlApi, TruncatedTextsAreMarked) {
    upload("sentences");
    body(200, "POST", "/_ml/trained_models/sentences/deployment/_start");
    const std::string docs = R"({"docs":[{"text_field":")" + fakes::words(100) + R"("}])";
    const std::string infer = "/_ml/trained_models/sentences/_infer";
    expect_has(body(200, "POST", infer, docs + "}"), R"("is_truncated":true)");
    body(400, "POST", infer, docs + R"(,"inference_config":{"text_embedding":{"tokenization":
             {"bert":{"truncate":"none"}}}}})");
}

TEST_F(MlApi, FullQueueAndTimeOut) {
    shipped.add_model("m");
    body(200, "POST", "/_ml/trained_models/m/deployment/_start?queue_capacity=1");
    control->block(true);
    std::string docs = R"({"docs":[)";
    for (int i = 0; i < 8; ++i)
        docs += (i > 0 ? "," : "") + (R"({"text_field":"w)" + std::to_string(i) + "\"}");
    const std::string infer = "/_ml/trained_models/m/_infer";
    expect_has(body(408, "POST", infer + "?timeout=50ms", R"({"docs":[{"text_field":"a"}]})"),
               "\"status\":408");
    expect_has(body(429, "POST", infer + "?timeout=100ms", docs + "]}"),
               "es_rejected_execution_exception");
}

TEST_F(MlApi, StatsHaveTheReferencesShape) {
    shipped.add_model("m");
    shipped.add_model("idle");
    body(200, "POST", "/_ml/trained_models/m/deployment/_start?deployment_id=d&cache_size=1mb");
    node.pipelines->put("p", R"({"processors":[{"inference":{"model_id":"d","input_output":
        {"input_field":"text","output_field":"vector"}}}]})");
    for (int i = 0; i < 2; ++i)
        body(200, "POST", "/_ml/trained_models/d/_infer", R"({"docs":[{"text_field":"a"}]})");
    const std::string stats = body(200, "GET", "/_ml/trained_models/m/_stats");
    expect_has(stats, R"({"count":1,"trained_model_stats":[{"model_id":"m","model_size_stats":)");
    expect_has(stats, R"("pipeline_count":1,"ingest":{"total":{"count":0,)");
    expect_has(stats, R"("inference_stats":{"failure_count":0,"inference_count":2,)");
    expect_has(stats, R"("deployment_stats":{"deployment_id":"d","model_id":"m")");
    expect_has(stats, R"("allocation_status":{"allocation_count":1,"target_allocation_count":1,)");
    for (const char* member :
         {"average_inference_time_ms", "inference_cache_hit_count\":1",
          "number_of_pending_requests\":0", "peak_throughput_per_minute", "routing_state",
          "average_inference_time_ms_excluding_cache_hits", "last_access", "timeout_count"})
        expect_has(stats, std::string("\"") + member);
    expect_has(body(200, "GET", "/_ml/trained_models/d/_stats"), R"("deployment_id":"d")");
    const std::string all = body(200, "GET", "/_ml/trained_models/_stats");
    expect_has(all, R"("count":2)");
    JsonBody parsed;
    parsed.parse(all);
}

// ---- aliases, endpoints, tables

TEST_F(MlApi, AliasesNameModels) {
    upload("sentences");
    upload("other");
    const std::string alias = "/_ml/trained_models/sentences/model_aliases/aliased";
    body(200, "PUT", alias);
    expect_has(body(200, "GET", "/_ml/trained_models/aliased"), R"("model_aliases":["aliased"])");
    expect_has(body(400, "PUT", "/_ml/trained_models/other/model_aliases/aliased"),
               "already refers to [sentences]");
    expect_has(body(400, "PUT", "/_ml/trained_models/other/model_aliases/v1"),
               "must end with a letter");
    body(200, "POST", "/_ml/trained_models/aliased/deployment/_start");
    body(200, "POST", "/_ml/trained_models/aliased/_infer", R"({"docs":[{"text_field":"a"}]})");
    node.pipelines->put("p", R"({"processors":[{"inference":{"model_id":"aliased","input_output":
        {"input_field":"text","output_field":"vector"}}}]})");
    expect_has(body(409, "DELETE", alias), "still referenced");
    expect_has(body(409, "POST", "/_ml/trained_models/sentences/deployment/_stop"), "referenced");
    node.pipelines->remove("p");
    boot({});
    body(200, "GET", "/_ml/trained_models/aliased");
    body(200, "DELETE", alias);
    body(404, "GET", "/_ml/trained_models/aliased");
}

TEST_F(MlApi, InferenceEndpoints) {
    upload("sentences");
    const std::string path = "/_inference/text_embedding/mine";
    expect_has(body(200, "PUT", path, R"({"service":"elasticsearch","service_settings":
        {"model_id":"sentences","num_allocations":1,"num_threads":2}})"),
               R"({"inference_id":"mine","task_type":"text_embedding","service":"elasticsearch")");
    ASSERT_NE(node.deployments->find("mine"), nullptr);
    EXPECT_EQ(node.deployments->find("mine")->config().threads_per_allocation, 2);
    const std::string one = body(200, "POST", path, R"({"input":"hello"})");
    expect_has(one, R"({"text_embedding":[{"embedding":[)");
    EXPECT_EQ(body(200, "POST", "/_inference/mine", R"({"input":["hello"]})"), one);
    EXPECT_NE(body(200, "POST", path, R"({"input":"hello","input_type":"ingest"})"), one);
    expect_has(body(200, "GET", "/_inference"), R"("endpoints":[{"inference_id":"mine")");
    expect_has(body(409, "POST", "/_ml/trained_models/mine/deployment/_stop"),
               "used by inference endpoints");
    expect_has(body(400, "PUT", path, R"({"service":"elasticsearch","service_settings":
        {"model_id":"sentences"}})"),
               "already exists");
    body(200, "DELETE", path);
    EXPECT_EQ(node.deployments->find("mine"), nullptr);
    body(404, "GET", path);
}

TEST_F(MlApi, RunningDeploymentsAreEndpoints) {
    shipped.add_model("m");
    body(200, "POST", "/_ml/trained_models/m/deployment/_start?deployment_id=d");
    body(200, "POST", "/_inference/d", R"({"input":"hello"})");
    expect_has(body(200, "GET", "/_inference/d"), R"("deployment_id":"d")");
    expect_has(body(400, "DELETE", "/_inference/d"), "is a deployment");
    expect_has(body(400, "PUT", "/_inference/sparse_embedding/x", "{}"), "[sparse_embedding]");
    expect_has(body(400, "PUT", "/_inference/x", R"({"service":"openai"})"), "[openai]");
    expect_has(body(404, "POST", "/_inference/x", R"({"input":"a"})"),
               "Inference endpoint not found [x]");
}

TEST_F(MlApi, CatShowsModels) {
    shipped.add_model("m");
    EXPECT_EQ(body(200, "GET", "/_cat/ml/trained_models?v=true&h=id,type,ip"),
              "id type    ip\nm  pytorch  0\n");
}

/// More of them drain than there are threads for what blocks.
TEST_F(MlApi, ADrainHoldsNoThread) {
    shipped.add_model("m");
    const std::string base = "/_ml/trained_models/";
    std::vector<std::future<Response>> asked;
    std::vector<std::future<Response>> stops;
    control->block(true);
    for (const std::string id : {"d1", "d2", "d3"}) {
        body(200, "POST", base + "m/deployment/_start?deployment_id=" + id);
        asked.push_back(std::async(std::launch::async, [&, id] {
            return call("POST", base + id + "/_infer?timeout=1m",
                        R"({"docs":[{"text_field":"hello"}]})");
        }));
    }
    for (const char* id : {"d1", "d2", "d3"}) {
        while (node.deployments->find(id)->is_idle())
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        stops.push_back(std::async(
            std::launch::async, [&, id] { return call("POST", base + id + "/deployment/_stop"); }));
        while (node.deployments->find(id)->state() != inference::DeploymentState::stopping)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    // What needs such a thread is answered meanwhile, and what is new is refused.
    expect_has(body(200, "GET", base + "m/_stats"), R"("state":"stopping")");
    body(409, "POST", base + "d1/_infer", R"({"docs":[{"text_field":"hello"}]})");
    control->block(false);
    for (auto& one : asked)
        EXPECT_EQ(one.get().status, 200) << "it was accepted before";
    for (auto& one : stops)
        EXPECT_EQ(one.get().body, R"({"stopped":true})");
    EXPECT_TRUE(node.deployments->list().empty());
}

// ---- the real backend

TEST_F(MlApi, RealModelEmbeds) {
    const fs::path model = fs::path(PENSTOCK_SOURCE_DIR) / "pipelines/models";
    const fs::path plugins = fs::path(PENSTOCK_BINARY_DIR) / "plugins";
    if (!fs::exists(model / "use-lite-en/model.fp16.safetensors") ||
        !fs::exists(plugins / "penstock_backend_torch.so"))
        GTEST_SKIP() << "the torch plugin or the model is not built here";
    plugin::PluginSet set({plugins});
    inference::ModelStoreOptions options;
    options.roots = {model};
    options.backend = [&set]() -> std::shared_ptr<inference::Backend> {
        return plugin::open_backend(set, "torch");
    };
    node.models = std::make_shared<inference::ModelStore>(std::move(options));
    boot({});
    const Response started =
        call("POST", "/_ml/trained_models/use-lite-en/deployment/_start?timeout=120s");
    ASSERT_EQ(started.status, 200) << started.body;
    const std::string result = body(200, "POST", "/_ml/trained_models/use-lite-en/_infer",
                                    R"({"docs":[{"text_field":"How do pumps work?"}]})");
    EXPECT_EQ(std::count(result.begin(), result.end(), ','), 511);
    shut_down();
}

}  // namespace
}  // namespace penstock::serve
