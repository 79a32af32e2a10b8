#include "engine/inference/deployment_config.h"

#include <gtest/gtest.h>

namespace penstock::inference {
namespace {

using std::chrono::milliseconds;

std::vector<std::string> messages(std::vector<DeploymentOption> options) {
    options.insert(options.begin(), {"model_id", "m"});
    std::vector<std::string> all;
    for (const auto& problem : parse_deployment_config(options).problems)
        all.push_back(problem.message);
    return all;
}

TEST(DeploymentConfig, HasTheReferencesDefaults) {
    const std::vector<DeploymentOption> options{{"model_id", "use-lite-en"}};
    const auto parsed = parse_deployment_config(options);
    EXPECT_TRUE(parsed.problems.empty());
    EXPECT_EQ(parsed.config.deployment_id, "use-lite-en");
    EXPECT_EQ(parsed.config.number_of_allocations, 1);
    EXPECT_EQ(parsed.config.threads_per_allocation, 1);
    EXPECT_EQ(parsed.config.queue_capacity, 1024);
    EXPECT_EQ(parsed.config.cache_size, std::nullopt);
    EXPECT_EQ(parsed.config.timeout, milliseconds(30'000));
    EXPECT_EQ(parsed.config.wait_for, WaitFor::started);
    EXPECT_EQ(parsed.config.priority, DeploymentPriority::normal);
}

TEST(DeploymentConfig, ReadsEveryParameter) {
    const std::vector<DeploymentOption> options{{"deployment_id", "elser_inference_1"},
                                                {"model_id", ".elser_model_2"},
                                                {"number_of_allocations", "2"},
                                                {"threads_per_allocation", "8"},
                                                {"queue_capacity", "1000000"},
                                                {"cache_size", "1.5mb"},
                                                {"timeout", "1m"},
                                                {"wait_for", "starting"},
                                                {"max_batch_tokens", "2048"},
                                                {"device", "cuda:1"},
                                                {"dtype", "float16"},
                                                {"clamp", "true"},
                                                {"priority", "normal"},
                                                {"adaptive_allocations.enabled", "false"}};
    const auto parsed = parse_deployment_config(options);
    ASSERT_TRUE(parsed.problems.empty()) << validation_message(parsed.problems);
    EXPECT_EQ(parsed.config.cache_size, 1'572'864U);
    EXPECT_EQ(parsed.config.timeout, milliseconds(60'000));
    EXPECT_EQ(parsed.config.queue_capacity, 1'000'000);
    EXPECT_EQ(batch_token_limit(parsed.config), 2048);
    EXPECT_EQ(parsed.config.device, "cuda:1");
    EXPECT_TRUE(parsed.config.clamp);
}

struct Refused {
    std::vector<DeploymentOption> options;
    std::vector<std::string> messages;
};

TEST(DeploymentConfig, RefusesInTheReferencesWords) {
    const std::vector<Refused> cases{
        {{{"number_of_allocations", "0"}}, {"[number_of_allocations] must be a positive integer"}},
        {{{"number_of_allocations", "two"}},
         {"[number_of_allocations] must be an integer, not [two]"}},
        {{{"number_of_allocations", "1.5"}},
         {"[number_of_allocations] must be an integer, not [1.5]"}},
        {{{"threads_per_allocation", "-1"}},
         {"[threads_per_allocation] must be a positive integer"}},
        {{{"threads_per_allocation", "3"}},
         {"[threads_per_allocation] must be a power of 2 less than or equal to 32"}},
        {{{"threads_per_allocation", "64"}},
         {"[threads_per_allocation] must be a power of 2 less than or equal to 32"}},
        {{{"queue_capacity", "0"}}, {"[queue_capacity] must be a positive integer"}},
        {{{"queue_capacity", "1000001"}}, {"[queue_capacity] must be less than 1000000"}},
        {{{"queue_capacity", "99999999999999999999"}},
         {"[queue_capacity] must be less than 1000000"}},
        {{{"timeout", "0s"}}, {"[timeout] must be positive"}},
        {{{"timeout", "30"}},
         {"failed to parse setting [timeout] with value [30] as a time value: unit is missing or "
          "unrecognized"}},
        {{{"cache_size", "12"}},
         {"failed to parse setting [cache_size] with value [12] as a size in bytes: unit is "
          "missing or unrecognized"}},
        {{{"priority", "low"}, {"number_of_allocations", "2"}, {"threads_per_allocation", "4"}},
         {"[number_of_allocations] must be 1 when [priority] is low",
          "[threads_per_allocation] must be 1 when [priority] is low"}},
        {{{"priority", "urgent"}}, {"[priority] must be normal or low, not [urgent]"}},
        {{{"wait_for", "ready"}},
         {"[wait_for] must be starting, started or fully_allocated, not [ready]"}},
        {{{"device", "tpu"}}, {"[device] must be cpu, cuda or cuda:N, not [tpu]"}},
        {{{"deployment_id", "../x"}},
         {"[deployment_id] can contain alphanumeric characters (a-z, A-Z and 0-9), hyphens, "
          "underscores and dots, "
          "not [../x]"}},
        {{{"number_of_alocations", "2"}},
         {"unknown parameter [number_of_alocations]; did you mean [number_of_allocations]?"}},
        {{{"colour", "red"}}, {"unknown parameter [colour]"}},
        {{{"timeout", "1s"}, {"timeout", "2s"}}, {"[timeout] is given twice"}},
        {{{"adaptive_allocations.enabled", "true"}, {"number_of_allocations", "2"}},
         {"[number_of_allocations] cannot be set while [adaptive_allocations] is enabled: it "
          "follows the load"}},
        {{{"adaptive_allocations.enabled", "true"},
          {"adaptive_allocations.min_number_of_allocations", "3"},
          {"adaptive_allocations.max_number_of_allocations", "2"}},
         {"[min_number_of_allocations] must not be larger than [max_number_of_allocations]"}},
        {{{"adaptive_allocations.enabled", "true"},
          {"adaptive_allocations.max_number_of_allocations", "0"},
          {"priority", "low"}},
         {"[max_number_of_allocations] must be a positive integer or null",
          "[adaptive_allocations] cannot be enabled when [priority] is low"}},
        {{{"number_of_allocations", "x"},
          {"threads_per_allocation", "5"},
          {"queue_capacity", "-3"},
          {"clamp", "yes"}},
         {"[number_of_allocations] must be an integer, not [x]",
          "[clamp] must be true or false, not [yes]",
          "[threads_per_allocation] must be a power of 2 less than or equal to 32",
          "[queue_capacity] must be a positive integer"}},
    };
    for (const Refused& each : cases) {
        EXPECT_EQ(messages(each.options), each.messages) << each.options.front().name;
    }
}

TEST(DeploymentConfig, NeedsAModel) {
    const auto problems = parse_deployment_config({}).problems;
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(validation_message(problems), "Validation Failed: 1: [model_id] must not be null;");
}

TEST(DeploymentConfig, ReadsByteSizesAsElasticsearchDoes) {
    EXPECT_EQ(parse_byte_size("0b"), 0U);
    EXPECT_EQ(parse_byte_size("0"), 0U);
    EXPECT_EQ(parse_byte_size("17b"), 17U);
    EXPECT_EQ(parse_byte_size("2k"), 2048U);
    EXPECT_EQ(parse_byte_size("2 KB"), 2048U);
    EXPECT_EQ(parse_byte_size("1gb"), 1U << 30);
    EXPECT_EQ(parse_byte_size("1tb"), 1ULL << 40);
    for (const char* bad : {"", "b", "12", "-1b", "1xb", "1e3b", "nanb", "infb", "999999999pb"}) {
        EXPECT_EQ(parse_byte_size(bad), std::nullopt) << bad;
    }
}

TEST(DeploymentConfig, ReadsAndWritesDurations) {
    EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
    EXPECT_EQ(parse_duration("1.5m"), milliseconds(90'000));
    EXPECT_EQ(parse_duration("2h"), milliseconds(7'200'000));
    EXPECT_EQ(parse_duration("0"), milliseconds(0));
    EXPECT_EQ(parse_duration("10"), std::nullopt);
    EXPECT_EQ(parse_duration("1y"), std::nullopt);
    EXPECT_EQ(format_duration(milliseconds(30'000)), "30s");
    EXPECT_EQ(format_duration(milliseconds(90'000)), "1.5m");
    EXPECT_EQ(format_duration(milliseconds(5)), "5ms");
}

}  // namespace
}  // namespace penstock::inference
