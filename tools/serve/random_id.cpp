#include "tools/serve/random_id.h"

#include <openssl/rand.h>

#include "engine/io/json_text.h"
#include "engine/runtime/error.h"

namespace penstock::serve {

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    if (::RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1)
        throw Error("the system gives no random numbers");
    return bytes;
}

std::string random_id(std::size_t bytes) {
    return io::base64(random_bytes(bytes), true);
}

std::string random_uuid() {
    return random_id(16);
}

}  // namespace penstock::serve
