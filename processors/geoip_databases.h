// Databases that tell places and networks of addresses, in MaxMind's format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct MMDB_s;

namespace penstock::processors {

/// What a database says of itself.
struct GeoIpDatabase {
    std::string name;               ///< file name: "GeoLite2-City.mmdb"
    std::string type;               ///< "GeoLite2-City"
    std::uint64_t build_epoch = 0;  ///< seconds since 1970
};

/// The databases of one directory, mapped into memory and open as long as this lives. Immutable and
/// thread-safe. Source: the MaxMind DB file format specification 2.0, read by libmaxminddb.
class GeoIpDatabases {
  public:
    GeoIpDatabases() = default;  ///< none
    /// Opens every `*.mmdb` in `directory`. Throws penstock::Error for a directory that cannot be
    /// read and for a file that is no database.
    explicit GeoIpDatabases(const std::filesystem::path& directory);

    /// By name.
    const std::vector<GeoIpDatabase>& list() const { return list_; }
    /// To look addresses up in with libmaxminddb; null when there is none of that name.
    const MMDB_s* find(std::string_view name) const;

  private:
    struct Close {
        void operator()(MMDB_s* database) const;
    };

    std::vector<GeoIpDatabase> list_;
    std::map<std::string, std::unique_ptr<MMDB_s, Close>, std::less<>> open_;
};

}  // namespace penstock::processors
