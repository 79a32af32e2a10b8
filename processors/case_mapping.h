// Upper and lower case as Java's String has them.
#pragma once

#include "engine/pipeline/spec.h"

namespace penstock::processors {

enum class LetterCase { lower, upper };

/// A string processor that maps to one case: full Unicode mapping without a language (Java's
/// Locale.ROOT), so one letter may become several (ß is SS in upper case) and a final sigma is ς in
/// lower case.
pipeline::StepBody make_case_processor(const pipeline::Config& config, LetterCase letter_case);

}  // namespace penstock::processors
