// A directory of a test's own, and small helpers for files.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index.h"
#include "engine/io/sink.h"
#include "engine/io/source.h"
#include "engine/runtime/error.h"

namespace penstock::io {

class Scratch : public testing::Test {
  protected:
    Scratch() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "penstock-io-XXXXXX").native();
        dir_ = ::mkdtemp(pattern.data());
    }
    ~Scratch() override { std::filesystem::remove_all(dir_); }

    std::string path(const std::string& name) const { return dir_ + "/" + name; }

    std::string write(const std::string& name, std::string_view bytes) const {
        std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
        std::ofstream(path(name), std::ios::binary) << bytes;
        return path(name);
    }

    static std::string read_file(const std::string& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }

    std::string dir_;
};

inline std::string gzip(std::string_view bytes) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

inline std::string zstd(std::string_view bytes) {
    std::string out(ZSTD_compressBound(bytes.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
    return out;
}

/// A record as text: its bytes, or "!kind: reason" with the bytes behind a bar.
inline std::string shown(const RecordBatch& batch, const Record& record) {
    if (record.kind == RecordKind::document) return std::string(batch.text(record));
    return (record.kind == RecordKind::bad_record ? "!record: " : "!source: ") + record.reason +
           "|" + std::string(batch.text(record));
}

inline std::vector<std::string> read_all(Source& source, std::size_t batch_size = 100) {
    std::vector<std::string> all;
    RecordBatch batch;
    while (source.read(batch, batch_size, 1UL << 20)) {
        for (const Record& record : batch.records)
            all.push_back(shown(batch, record));
    }
    return all;
}

inline SourceOptions at(const std::string& location) {
    SourceOptions options;
    options.location = location;
    return options;
}

inline std::vector<std::string> read_all(const std::string& location) {
    return read_all(*open_source(at(location)));
}

template <typename Action>
std::string error_of(Action&& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace penstock::io
