// Which sections of an answer a request's path asks for.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace penstock::serve {

struct Request;

/// "docs,store", or "_all" and nothing for all of them.
class MetricList {
  public:
    /// Throws ApiError 400 for a name that `known` does not have.
    MetricList(const Request& request, const std::string& list,
               std::span<const std::string_view> known);
    bool want(std::string_view name) const { return wanted_.empty() || wanted_.contains(name); }

  private:
    std::set<std::string, std::less<>> wanted_;  // empty: all
};

}  // namespace penstock::serve
