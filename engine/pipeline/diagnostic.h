// What is wrong with a definition file, and where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/error.h"

namespace penstock::pipeline {

/// A place in a file; line and column count from 1, 0 is unknown. Columns count bytes.
struct Position {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
};

enum class Severity : std::uint8_t { error, warning };

/// One finding, for people: what is wrong, where, what to do.
struct Diagnostic {
    Severity severity = Severity::error;
    std::string file;
    Position position;
    std::string pipeline;   ///< id, empty when unknown
    std::string processor;  ///< "rename" or "rename:tag", empty outside processors
    std::string message;    ///< "[target_field] required property is missing"
    std::string hint;       ///< "did you mean [target_field]?", may be empty
    std::string option{};   ///< whose value is wrong or missing; may be empty

    /// "ingest.yml:12:9: error: [rename] option [target_feild] is not known (did you mean
    /// [target_field]?)"
    std::string text() const;
};

/// Findings gather here so that all of them are reported at once: ordered by file and position, the
/// same one once.
class Diagnostics {
  public:
    /// A hostile file may have a mistake in each of a million lines: what comes after this many is
    /// only counted.
    static constexpr std::size_t most_kept = 1000;

    void add(Diagnostic diagnostic);
    bool has_errors() const { return errors_ > 0; }
    bool empty() const { return all_.empty(); }
    const std::vector<Diagnostic>& all() const { return all_; }
    /// All texts, a line each, in the order of file and position.
    std::string text() const;

  private:
    std::vector<Diagnostic> all_;
    std::size_t errors_ = 0;
    std::size_t left_out_ = 0;
};

/// A definition that cannot be used; what() is Diagnostics::text.
class DefinitionError : public Error {
  public:
    explicit DefinitionError(Diagnostics diagnostics)
        : Error(diagnostics.text()), diagnostics_(std::move(diagnostics)) {}
    const Diagnostics& diagnostics() const { return diagnostics_; }

  private:
    Diagnostics diagnostics_;
};

/// The candidate nearest to `name` by edit distance, when near enough to be what was meant; else
/// empty.
std::string_view nearest(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace penstock::pipeline
