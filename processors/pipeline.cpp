#include "processors/builtin.h"

namespace penstock::processors {

pipeline::ProcessorSpec pipeline_call() {
    return {
        .name = "pipeline",
        .summary = "Runs another pipeline on the document, then goes on.",
        .description =
            "The called pipeline sees and changes the same document; while it runs, "
            "`_ingest.pipeline` is its id. A "
            "failure in it that its own `on_failure` does not handle is a failure of this step. "
            "Calls may nest; a "
            "pipeline that calls itself, directly or not, fails with `Cycle detected for pipeline: "
            "<id>`. A name "
            "without templates is checked when the pipeline is loaded.",
        .options =
            {{.name = "name", .doc = "Id of the pipeline.", .required = true, .templated = true},
             pipeline::flag_option("ignore_missing_pipeline",
                                   "Go on without a failure when there is no such pipeline.",
                                   false)},
        .examples = {{.options = "{name: not-there, ignore_missing_pipeline: true}",
                      .in = R"({"a":1})",
                      .out = R"({"a":1})",
                      .title = "A call that may be missing"},
                     {.options = R"({name: "parse-{{kind}}"})",
                      .in = R"({"kind":"syslog"})",
                      .fails =
                          "Pipeline processor configured for non-existent pipeline [parse-syslog]",
                      .title = "Chosen by a field"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            return pipeline::PipelineCall{.name = config.text("name"),
                                          .ignore_missing = config.flag("ignore_missing_pipeline")};
        },
    };
}

}  // namespace penstock::processors
