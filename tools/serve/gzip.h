// gzip for bodies.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace penstock::serve {

/// Decompresses gzip (and zlib's own form, which some clients call deflate) piece by piece.
class Gunzip {
  public:
    Gunzip();
    ~Gunzip();

    /// Appends what `in` gives to `out`, at most some `limit` bytes, and takes off `in` what was
    /// used. False when the data is corrupt.
    bool decode(std::string_view& in, std::string& out, std::size_t limit);
    /// All members are complete.
    bool finished() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

std::string gzip(std::string_view text);

}  // namespace penstock::serve
