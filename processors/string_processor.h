// The shape that lowercase, trim, gsub and their kin share: one string in, one value out.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "engine/document/document.h"
#include "engine/pipeline/spec.h"

namespace penstock::processors {

/// Makes the new value of one string. `text` lives as long as the document: the result may be a
/// part of it (Value::string of a substr copies nothing) or is copied into the arena. Called by
/// several threads at once.
using TextTransform =
    std::function<document::Result<document::Value>(std::string_view text, document::Arena& arena)>;

/// The options field, target_field and ignore_missing, then `others`.
std::vector<pipeline::OptionSpec> string_processor_options(
    std::vector<pipeline::OptionSpec> others = {});

/// A processor that replaces the string in `field`, or every string of the list in it, and writes
/// to `target_field`; reads the options above. As Elasticsearch's AbstractStringProcessor: a
/// missing field and null fail unless ignore_missing; anything that is neither a string nor a list
/// of strings fails always.
pipeline::StepBody make_string_processor(const pipeline::Config& config, TextTransform transform);

}  // namespace penstock::processors
