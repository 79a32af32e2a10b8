#include "tools/serve/metric_list.h"

#include <algorithm>
#include <vector>

#include "engine/pipeline/diagnostic.h"
#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"

namespace penstock::serve {

MetricList::MetricList(const Request& request, const std::string& list,
                       std::span<const std::string_view> known) {
    for (const std::string& name : split_list(list)) {
        if (name == "_all") {
            wanted_.clear();
            return;
        }
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            const std::string_view near =
                pipeline::nearest(name, std::vector<std::string_view>(known.begin(), known.end()));
            throw illegal_argument(
                "request [" + request.path + "] contains unrecognized metric: [" + name + "]" +
                (near.empty() ? "" : " -> did you mean [" + std::string(near) + "]?"));
        }
        wanted_.insert(name);
    }
}

}  // namespace penstock::serve
