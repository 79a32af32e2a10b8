// The processors' tests: case files, the examples of their specifications, and the reference's own
// unit tests.
#include <gtest/gtest.h>

#include "tests/unit/processors/case_files.h"
#include "tests/unit/processors/conformance.h"

int main(int count, char** arguments) {
    testing::InitGoogleTest(&count, arguments);
    penstock::processors::register_case_files();
    penstock::processors::register_examples();
    penstock::processors::register_conformance();
    return RUN_ALL_TESTS();
}
