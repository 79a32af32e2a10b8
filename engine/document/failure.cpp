#include "engine/document/failure.h"

namespace penstock::document {

namespace {

struct TypeRow {
    std::string_view name;
    int status;
};

// In the order of FailureType.
constexpr TypeRow rows[] = {
    {"illegal_argument_exception", 400},
    {"illegal_state_exception", 500},
    {"fail_processor_exception", 500},
    {"parse_exception", 400},
    {"dissect_exception", 500},
    {"script_exception", 400},
    {"resource_not_found_exception", 404},
    {"version_conflict_engine_exception", 409},
    {"status_exception", 429},
    {"timeout_exception", 408},
    {"status_exception", 503},
    {"exception", 500},
};

}  // namespace

std::string_view type_name(FailureType type) {
    return rows[static_cast<std::size_t>(type)].name;
}
int http_status(FailureType type) {
    return rows[static_cast<std::size_t>(type)].status;
}

}  // namespace penstock::document
