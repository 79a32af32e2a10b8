#pragma once

#include <dlfcn.h>

namespace penstock::plugins::torch {

/// A library that the process has loaded already, found by an address inside it. Symbols are looked
/// up in it and then in what it depends on, as the dynamic linker did for the library itself: a
/// libtorch from a wheel or zip brings its own libgomp under another name, and the system's would
/// be the wrong one to ask.
class LoadedLibrary {
  public:
    explicit LoadedLibrary(const void* address) {
        Dl_info where{};
        if (address != nullptr && dladdr(address, &where) != 0) {
            handle_ = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
        }
    }
    LoadedLibrary(const LoadedLibrary&) = delete;
    LoadedLibrary& operator=(const LoadedLibrary&) = delete;
    ~LoadedLibrary() {
        if (handle_ != nullptr) dlclose(handle_);
    }

    /// Null when there is none, or the library was not found.
    void* symbol(const char* name) const {
        return handle_ == nullptr ? nullptr : dlsym(handle_, name);
    }

  private:
    void* handle_ = nullptr;
};

}  // namespace penstock::plugins::torch
