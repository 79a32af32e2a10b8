#include "tools/serve/state_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/runtime/error.h"

namespace penstock::serve {

namespace fs = std::filesystem;

namespace {

/// An open file, closed at the end.
class Descriptor {
  public:
    Descriptor(const std::string& name, int flags)
        : name_(name), fd_(::open(name.c_str(), flags | O_CLOEXEC, 0600)) {
        if (fd_ < 0) fail();
    }
    ~Descriptor() { ::close(fd_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    void write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ::ssize_t written = ::write(fd_, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) fail();
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
    }
    void sync() const {
        if (::fsync(fd_) != 0) fail();
    }
    /// Until the descriptor is closed.
    void lock() const {
        while (::flock(fd_, LOCK_EX) != 0) {
            if (errno != EINTR) fail();
        }
    }

  private:
    [[noreturn]] void fail() const {
        throw Error("cannot write " + name_ + ": " + std::strerror(errno));
    }

    std::string name_;
    int fd_;
};

void make_directory(const fs::path& directory) {
    std::error_code problem;
    fs::create_directories(directory, problem);
    if (problem) throw Error("cannot make " + directory.native() + ": " + problem.message());
}

/// Held while a state file is changed. A file of its own, because the state file is replaced.
class Lock {
  public:
    explicit Lock(const fs::path& file) : descriptor_(lock_name(file), O_RDWR | O_CREAT) {
        descriptor_.lock();
    }

  private:
    static std::string lock_name(const fs::path& file) {
        make_directory(file.parent_path());
        return file.native() + ".lock";
    }

    Descriptor descriptor_;
};

}  // namespace

void replace_file(const fs::path& file, std::string_view bytes) {
    make_directory(file.parent_path());
    const std::string partial = file.native() + ".partial";
    {
        const Descriptor out(partial, O_WRONLY | O_CREAT | O_TRUNC);
        out.write(bytes);
        out.sync();
    }
    if (std::rename(partial.c_str(), file.c_str()) != 0)
        throw Error("cannot write " + file.native() + ": " + std::strerror(errno));
    sync_file(file.parent_path());
}

void sync_file(const fs::path& file) {
    Descriptor(file.native(), O_RDONLY).sync();
}

std::string read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in) throw Error("cannot read " + file.native());
    return text;
}

StateFile::States StateFile::read() const {
    States states;
    if (!fs::exists(file_)) return states;
    const std::string text = read_file(file_);
    document::Arena arena;
    document::JsonParser parser;
    document::JsonError error;
    document::Value value;
    if (!parser.parse(text, arena, value, error) || !value.is_object())
        throw Error(file_.native() + " is damaged; restore or delete it: " + error.text());
    for (const document::Member& member : value.as_object())
        document::write_json(member.value, states[std::string(member.key())]);
    return states;
}

void StateFile::put(const std::string& name, std::string_view json) const {
    const Lock lock(file_);
    States states = read();
    states.insert_or_assign(name, std::string(json));
    write(states);
}

bool StateFile::remove(const std::string& name) const {
    const Lock lock(file_);
    States states = read();
    if (states.erase(name) == 0) return false;
    write(states);
    return true;
}

void StateFile::write(const States& states) const {
    std::string text;
    document::JsonWriter json(text);
    json.object([&] {
        for (const auto& [name, state] : states)
            json.member_raw(name, state);
    });
    text.push_back('\n');
    replace_file(file_, text);
}

}  // namespace penstock::serve
