// Tests as data: tests/cases/processors/*.yaml.
#pragma once

namespace penstock::processors {

/// Registers one test for each case of each file, at the case's own line. A file looks like this:
///
///     processor: rename
///     cases:
///       - name: moves a value of any type      # unique in its file
///         options: {field: a, target_field: b}
///         in:  {a: {x: 1}}
///         out: {b: {x: 1}}                     # or `unchanged`, or `dropped`; kinds of numbers
///         and order count
///       - name: refuses to overwrite
///         options: {field: a, target_field: b}
///         in:  {a: 1, b: 2}
///         fails: field [b] already exists      # the whole reason; the document must be as it was
///       - name: needs its options
///         options: {field: a}
///         does_not_compile: target_field       # part of what is reported
///
/// More: `meta` and `out_meta` (metadata before and after), `out_ingest` (parts of _ingest
/// afterwards), `fails_type` (illegal_argument_exception, ...), `processors` (a list, instead of
/// `options`), `pipelines` (id: list of processors, to be called). A folder or a file without cases
/// is a failure.
void register_case_files();

/// Registers one test for each example of each processor's specification.
void register_examples();

}  // namespace penstock::processors
