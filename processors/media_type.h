// The option media_type of set and append.
#pragma once

#include "engine/pipeline/spec.h"
#include "engine/script/template.h"

namespace penstock::processors {

/// "media_type": how `{{x}}` escapes in the value's templates.
pipeline::OptionSpec media_type_option();
script::MediaType media_type(const pipeline::Config& config);

}  // namespace penstock::processors
