#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace penstock::plugins::torch {

/// What is wrong with a model, its files, its options or a batch, worded for people: what, where,
/// what to do. It crosses the ABI as text, never as an exception.
class ModelError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The parts printed one after the other.
template <typename... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

}  // namespace penstock::plugins::torch
