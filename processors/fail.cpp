#include <string>
#include <utility>

#include "processors/builtin.h"

namespace penstock::processors {

namespace {

class Fail final : public pipeline::Processor {
  public:
    explicit Fail(script::Template message) : message_(std::move(message)) {}

    document::Outcome run(document::Document& document) const override {
        std::string reason;
        message_.render(document, reason);
        return document::failure(std::move(reason), document::FailureType::fail_processor);
    }

  private:
    script::Template message_;
};

}  // namespace

pipeline::ProcessorSpec fail() {
    return {
        .name = "fail",
        .summary = "Fails the document with a message of your own.",
        .description =
            "The failure is handled as any other: `on_failure`, `ignore_failure`, else the "
            "document is "
            "rejected with the message as its reason. Usually with `if`.",
        .options = {{.name = "message", .doc = "The reason.", .required = true, .templated = true}},
        .examples = {{.options = R"({message: "no user in {{_index}}/{{_id}}"})",
                      .in = R"({"_index":"logs","_id":"7"})",
                      .fails = "no user in logs/7"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            return std::make_unique<Fail>(config.text("message"));
        },
    };
}

}  // namespace penstock::processors
