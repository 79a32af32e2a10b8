#include "processors/builtin.h"

namespace penstock::processors {

namespace {

class Drop final : public pipeline::Processor {
  public:
    document::Outcome run(document::Document&) const override { return document::Outcome::drop(); }
};

}  // namespace

pipeline::ProcessorSpec drop() {
    return {
        .name = "drop",
        .summary = "Leaves the document out: it is not written anywhere, and that is not an error.",
        .description =
            "Nothing after it runs for this document, in the calling pipelines neither. Usually "
            "with `if`, "
            "or in `on_failure`.",
        .examples = {{.options = "{}", .in = R"({"level":"debug"})", .out = "dropped"}},
        .compile = [](const pipeline::Config&) -> pipeline::StepBody {
            return std::make_unique<Drop>();
        },
    };
}

}  // namespace penstock::processors
