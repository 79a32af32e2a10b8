// What processors declare about themselves, rendered for people and editors.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "engine/pipeline/spec.h"

namespace penstock::pipeline {

/// The reference as Markdown: file name to content, a page for each processor ("rename.md") and
/// "README.md", the index. The same catalog gives the same bytes.
std::map<std::string, std::string> reference_pages(const Catalog& catalog);

/// A JSON schema (draft 2020-12) of pipeline files, for editors: completion, hover texts and checks
/// while typing. It accepts what the compiler accepts, but for what a schema cannot say (paths,
/// templates, regular expressions).
std::string pipeline_schema(const Catalog& catalog);

/// The text of `penstock inspect processors NAME`, wrapped at `width` columns.
std::string processor_text(const ProcessorSpec& spec, std::size_t width = 80);
/// The text of `penstock inspect processors`: name and summary, a line each.
std::string catalog_text(const Catalog& catalog, std::size_t width = 80);

}  // namespace penstock::pipeline
