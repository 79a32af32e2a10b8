// Which product and version the server answers as.
#pragma once

#include <string>
#include <string_view>

namespace penstock::serve {

/// Official clients look at the version and the product header before they talk to a server.
struct Compat {
    enum class Product { elasticsearch, opensearch };
    Product product = Product::elasticsearch;
    int major = 9;

    /// "elasticsearch:9", 8, 7; "opensearch:3", 2. Throws penstock::Error.
    static Compat parse(std::string_view text);
    std::string number() const;  ///< "9.2.0"
    std::string name() const;    ///< "elasticsearch:9"
    bool is_elasticsearch() const { return product == Product::elasticsearch; }
};

}  // namespace penstock::serve
