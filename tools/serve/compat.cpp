#include "tools/serve/compat.h"

#include <array>

#include "engine/runtime/error.h"

namespace penstock::serve {

namespace {

struct Known {
    std::string_view name;
    Compat compat;
    std::string_view number;
};

constexpr auto kElasticsearch = Compat::Product::elasticsearch;
constexpr auto kOpensearch = Compat::Product::opensearch;

/// The last minor version of each, since clients ask for features by it.
constexpr std::array<Known, 5> kKnown{{{"elasticsearch:9", {kElasticsearch, 9}, "9.2.0"},
                                       {"elasticsearch:8", {kElasticsearch, 8}, "8.19.0"},
                                       {"elasticsearch:7", {kElasticsearch, 7}, "7.17.29"},
                                       {"opensearch:3", {kOpensearch, 3}, "3.3.0"},
                                       {"opensearch:2", {kOpensearch, 2}, "2.19.0"}}};

const Known& known(const Compat& compat) {
    for (const Known& one : kKnown) {
        if (one.compat.product == compat.product && one.compat.major == compat.major) return one;
    }
    return kKnown.front();
}

}  // namespace

Compat Compat::parse(std::string_view text) {
    std::string names;
    for (const Known& one : kKnown) {
        if (one.name == text) return one.compat;
        names += (names.empty() ? "" : ", ") + std::string(one.name);
    }
    throw Error("[" + std::string(text) + "] cannot be answered as; known are " + names);
}

std::string Compat::number() const {
    return std::string(known(*this).number);
}

std::string Compat::name() const {
    return std::string(known(*this).name);
}

}  // namespace penstock::serve
