#include "tools/penstock/deployment_stats.h"

#include <unistd.h>

#include <fstream>
#include <type_traits>

#include "engine/document/json.h"
#include "engine/inference/statistics.h"

namespace penstock::tools {

namespace fs = std::filesystem;

std::string stats_json(const inference::DeploymentStats& stats) {
    std::string out = "{";
    auto write = [&](const auto& value) {
        using Type = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Type, std::string>) {
            document::write_json_string(value, out);
        } else if constexpr (std::is_same_v<Type, double>) {
            document::append_double(value, out);
        } else {
            out += std::to_string(value);
        }
    };
    inference::for_each_field(stats, [&](const char* name, const auto& value) {
        using Type = std::decay_t<decltype(value)>;
        auto begin = [&] { out += (out.size() > 1 ? ",\"" : "\"") + std::string(name) + "\":"; };
        if constexpr (std::is_same_v<Type, std::string>) {
            if (value.empty() && std::string_view(name) == "reason") return;
            begin();
            write(value);
        } else if constexpr (std::is_same_v<Type, std::int64_t>) {
            begin();
            write(value);
        } else {
            if (!value) return;
            begin();
            write(*value);
        }
    });
    return out + "}";
}

fs::path DeploymentStatsFile::path(const Configuration& configuration,
                                   const std::string& deployment) {
    return configuration.data_directory / "deployments" / (deployment + ".json");
}

void DeploymentStatsFile::update() {
    auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::seconds(1);
    write();
}

void DeploymentStatsFile::write() {
    for (const auto& deployment : workspace_.deployments()->list()) {
        fs::path file = path(workspace_.configuration(), deployment->id());
        std::error_code ignored;
        fs::create_directories(file.parent_path(), ignored);
        fs::path next = file;
        next += ".next";
        std::ofstream(next) << "{\"pid\":" << ::getpid()
                            << ",\"stats\":" << stats_json(deployment->stats()) << "}\n";
        fs::rename(next, file, ignored);
    }
}

}  // namespace penstock::tools
