#include "processors/case_mapping.h"

#include <unicode/ucasemap.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "processors/string_processor.h"

namespace penstock::processors {

using document::Arena;
using document::Result;
using document::Value;

namespace {

void close_map(UCaseMap* map) {
    ucasemap_close(map);
}

bool is_ascii(std::string_view text) {
    unsigned char all = 0;
    for (char c : text)
        all |= static_cast<unsigned char>(c);
    return all < 0x80;
}

/// The common case without ICU. What needs no change is handed back as it is.
Value map_ascii(std::string_view text, LetterCase letter_case, Arena& arena) {
    char first = letter_case == LetterCase::lower ? 'A' : 'a';
    auto changes = [&](char c) { return c >= first && c <= first + 25; };
    std::size_t at = 0;
    while (at < text.size() && !changes(text[at]))
        ++at;
    if (at == text.size()) return Value::string(text);
    char* out = arena.allocate_array<char>(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        out[i] = changes(text[i]) ? static_cast<char>(text[i] ^ 0x20) : text[i];
    }
    return Value::string({out, text.size()});
}

class CaseMap {
  public:
    explicit CaseMap(LetterCase letter_case) : letter_case_(letter_case) {
        UErrorCode status = U_ZERO_ERROR;
        map_ = std::shared_ptr<UCaseMap>(ucasemap_open("", 0, &status), close_map);
        if (U_FAILURE(status))
            throw std::runtime_error(std::string("ICU has no case map: ") + u_errorName(status));
    }

    Result<Value> operator()(std::string_view text, Arena& arena) const {
        if (is_ascii(text)) return map_ascii(text, letter_case_, arena);
        auto map = letter_case_ == LetterCase::lower ? ucasemap_utf8ToLower : ucasemap_utf8ToUpper;
        auto size = static_cast<std::int32_t>(text.size());
        // Nearly always as long as before; ICU says when it is not.
        std::int32_t capacity = size;
        while (true) {
            char* out = arena.allocate_array<char>(static_cast<std::size_t>(capacity));
            UErrorCode status = U_ZERO_ERROR;
            std::int32_t needed = map(map_.get(), out, capacity, text.data(), size, &status);
            if (status == U_BUFFER_OVERFLOW_ERROR) {
                capacity = needed;
                continue;
            }
            if (U_FAILURE(status))
                return document::failure(std::string("cannot change case: ") + u_errorName(status));
            return Value::string({out, static_cast<std::size_t>(needed)});
        }
    }

  private:
    // Shared because a TextTransform must be copyable; the map itself is never changed.
    std::shared_ptr<const UCaseMap> map_;
    LetterCase letter_case_;
};

}  // namespace

pipeline::StepBody make_case_processor(const pipeline::Config& config, LetterCase letter_case) {
    return make_string_processor(config, CaseMap(letter_case));
}

}  // namespace penstock::processors
