// `action.auto_create_index`: which indices a write makes when they are not there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::serve {

/// Value type. As Elasticsearch's setting: "true", "false", or patterns of names of which the first
/// that fits decides, `+` or nothing before it to allow and `-` to forbid; no fit forbids.
class AutoCreate {
  public:
    AutoCreate() = default;  ///< "true"
    /// Throws ApiError 400.
    static AutoCreate parse(const std::string& setting);
    /// Throws ApiError 404 (index_not_found_exception) when `index` must not be made.
    void check(const std::string& index) const;

  private:
    struct Rule {
        std::string text;  ///< as it was written
        std::string pattern;
        bool allows = true;
    };

    std::string setting_ = "true";
    std::vector<Rule> rules_;
};

}  // namespace penstock::serve
