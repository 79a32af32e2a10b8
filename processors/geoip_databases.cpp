#include "processors/geoip_databases.h"

#include <maxminddb.h>

#include <algorithm>
#include <system_error>

#include "engine/runtime/error.h"

namespace penstock::processors {

void GeoIpDatabases::Close::operator()(MMDB_s* database) const {
    MMDB_close(database);
    delete database;
}

GeoIpDatabases::GeoIpDatabases(const std::filesystem::path& directory) {
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(directory, problem)) {
        if (entry.path().extension() != ".mmdb") continue;
        auto database = std::make_unique<MMDB_s>();
        const int status = MMDB_open(entry.path().c_str(), MMDB_MODE_MMAP, database.get());
        if (status != MMDB_SUCCESS) {
            throw Error(entry.path().native() +
                        " cannot be opened as a MaxMind database: " + MMDB_strerror(status));
        }
        const MMDB_metadata_s& metadata = database->metadata;
        const std::string name = entry.path().filename().native();
        list_.push_back({name, metadata.database_type, metadata.build_epoch});
        open_.emplace(name, database.release());
    }
    if (problem) {
        throw Error("cannot read the directory " + directory.native() + ": " + problem.message());
    }
    std::sort(list_.begin(), list_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
}

const MMDB_s* GeoIpDatabases::find(std::string_view name) const {
    const auto found = open_.find(name);
    return found == open_.end() ? nullptr : found->second.get();
}

}  // namespace penstock::processors
