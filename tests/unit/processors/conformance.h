// The reference's own unit tests, as facts in the shared folder.
#pragma once

namespace penstock::processors {

/// Registers one test for each case of the shared conformance/cases/*.json. Cases of processors
/// that are not built in are skipped by name, and so is all of it where the shared folder
/// (PENSTOCK_SHARED, or ../shared beside the sources) is absent.
void register_conformance();

}  // namespace penstock::processors
