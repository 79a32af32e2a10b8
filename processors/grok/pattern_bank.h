// The named patterns that one grok processor may refer to.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "processors/grok_patterns.h"

namespace penstock::processors {

/// The patterns that come with the program and a pipeline's own, which replace them. Immutable
/// after `check`.
class GrokPatternBank {
  public:
    explicit GrokPatternBank(GrokSet set) : shipped_(&grok_patterns(set)) {}

    /// Adds or replaces one.
    void define(std::string name, std::string pattern);

    /// Throws penstock::Error, with Elasticsearch's texts, when the added patterns refer to
    /// patterns that there are not, or to themselves on any way.
    void check() const;

    /// Null when there is none of that name. Valid as long as the bank.
    const std::string_view* find(std::string_view name) const;

  private:
    std::vector<std::string_view> references(const std::string& name) const;

    const std::map<std::string_view, std::string_view>* shipped_;
    std::map<std::string, std::string, std::less<>> own_;
    std::map<std::string_view, std::string_view> own_views_;  // into own_
    std::vector<std::string> order_;                          // names in own_ as they came
};

}  // namespace penstock::processors
