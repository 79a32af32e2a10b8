// Option values against their specification. Private to this folder.
#pragma once

#include <string>
#include <vector>

#include "engine/pipeline/spec.h"

namespace penstock::pipeline {

/// A mistake in an option's value.
struct OptionProblem {
    Position position;
    std::string message;  ///< "option [x] must be a boolean, found the string [maybe]"
    std::string hint;
};

/// "a boolean", "one of [a, b]", "a field": for messages.
std::string expected(const OptionSpec& option);
/// Checks type, allowed values and range. Gives the value in its one form: a boolean written "true"
/// comes back as boolean, an integer written "5" as integer, a single string of `strings` as a
/// list.
Node checked_value(const OptionSpec& option, const Node& value,
                   std::vector<OptionProblem>& problems);
/// The default as a value; null when there is none. `problem` is set when it does not fit the
/// specification.
Node default_node(const OptionSpec& option, std::string& problem);

}  // namespace penstock::pipeline
