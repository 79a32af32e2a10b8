#include "tools/serve/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <new>

namespace penstock::serve {

namespace {
constexpr int kGzipOrZlib = 15 + 32;
constexpr int kGzip = 15 + 16;
constexpr int kFast = 3;  ///< as Elasticsearch's default level
}  // namespace

struct Gunzip::Impl {
    ::z_stream stream{};
    bool started = false;   ///< a member has begun
    bool finished = false;  ///< and is complete
};

Gunzip::Gunzip() : impl_(std::make_unique<Impl>()) {
    if (::inflateInit2(&impl_->stream, kGzipOrZlib) != Z_OK) throw std::bad_alloc();
}

Gunzip::~Gunzip() {
    ::inflateEnd(&impl_->stream);
}

bool Gunzip::decode(std::string_view& in, std::string& out, std::size_t limit) {
    ::z_stream& stream = impl_->stream;
    const std::size_t before = out.size();
    out.resize(before + limit);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = static_cast<uInt>(limit);
    bool good = true;
    while (good && stream.avail_in > 0 && stream.avail_out > 0) {
        if (impl_->finished) good = ::inflateReset(&stream) == Z_OK;  // a further member
        impl_->started = true;
        impl_->finished = false;
        const int code = good ? ::inflate(&stream, Z_NO_FLUSH) : Z_DATA_ERROR;
        impl_->finished = code == Z_STREAM_END;
        good = code == Z_OK || code == Z_STREAM_END;
    }
    in.remove_prefix(in.size() - stream.avail_in);
    out.resize(before + limit - stream.avail_out);
    return good;
}

bool Gunzip::finished() const {
    return impl_->finished;
}

std::string gzip(std::string_view text) {
    ::z_stream stream{};
    if (::deflateInit2(&stream, kFast, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::bad_alloc();
    std::string out(::deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    ::deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    ::deflateEnd(&stream);
    return out;
}

}  // namespace penstock::serve
