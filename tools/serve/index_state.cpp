#include "tools/serve/index_state.h"

#include <algorithm>

#include "engine/runtime/error.h"

namespace penstock::serve {

std::optional<IndexState> index_state(const Node& node, const std::string& index) {
    IndexState state;
    state.name = index;
    state.metadata = node.indices->readable(index);
    try {
        if (state.metadata) state.info = node.store->info(index);
    } catch (const Error&) {
        state.metadata.reset();
    }
    if (state.metadata) return state;
    if (!node.indices->exists(index)) return std::nullopt;
    state.damaged = true;
    return state;
}

std::vector<IndexState> index_states(const Node& node, const std::vector<std::string>& indices) {
    std::vector<IndexState> states;
    for (const std::string& index : indices) {
        if (auto state = index_state(node, index)) states.push_back(std::move(*state));
    }
    return states;
}

std::size_t count_damaged(const std::vector<IndexState>& states) {
    return static_cast<std::size_t>(std::count_if(
        states.begin(), states.end(), [](const IndexState& state) { return state.damaged; }));
}

double active_percent(std::size_t all, std::size_t damaged) {
    if (all == 0) return 100;
    return 100.0 * static_cast<double>(all - damaged) / static_cast<double>(all);
}

}  // namespace penstock::serve
