#include "processors/media_type.h"

namespace penstock::processors {

pipeline::OptionSpec media_type_option() {
    return {.name = "media_type",
            .type = pipeline::OptionType::enumeration,
            .doc = "How `{{x}}` escapes what it inserts into `value`; `{{{x}}}` never escapes.",
            .default_value = "application/json",
            .values = {"application/json", "text/plain", "application/x-www-form-urlencoded"}};
}

script::MediaType media_type(const pipeline::Config& config) {
    const std::string& name = config.string("media_type");
    if (name == "text/plain") return script::MediaType::plain;
    if (name == "application/x-www-form-urlencoded") return script::MediaType::form;
    return script::MediaType::json;
}

}  // namespace penstock::processors
