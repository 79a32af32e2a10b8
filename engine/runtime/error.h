// What loading throws. Per-document failures are values (document/failure.h), never exceptions.
#pragma once

#include <stdexcept>
#include <string>

namespace penstock {

/// An expected problem with what the user gave or with the outside world (a file, a model, a disk).
/// The message is complete, for people: what is wrong, where, what to do. Tools print it after
/// "penstock: " and exit with 1. Anything else that is thrown is a bug.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// What is stored cannot be read or written now: damaged files, a full disk, a lock that somebody
/// else holds. Whoever asked did nothing wrong, and may ask again when that is mended.
class StorageError : public Error {
  public:
    using Error::Error;
};

}  // namespace penstock
