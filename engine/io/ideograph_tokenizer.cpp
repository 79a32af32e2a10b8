#include "engine/io/ideograph_tokenizer.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "engine/document/utf8.h"

namespace penstock::io {
namespace {

using Emit = int (*)(void* context, int flags, const char* token, int size, int begin, int end);

/// What FTS5 knows as one instance: the tokenizer that this one wraps.
struct Tokenizer {
    fts5_tokenizer methods{};
    Fts5Tokenizer* inner = nullptr;

    Tokenizer() = default;
    ~Tokenizer() {
        if (inner != nullptr) methods.xDelete(inner);
    }
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;
};

bool is_single(char32_t c) {
    // Unicode's scripts Han and Hiragana, without what is only attached to other characters.
    constexpr std::array<std::pair<char32_t, char32_t>, 12> kRanges = {{{0x2E80, 0x2FD5},
                                                                        {0x3005, 0x3005},
                                                                        {0x3007, 0x3007},
                                                                        {0x3021, 0x3029},
                                                                        {0x3038, 0x303B},
                                                                        {0x3041, 0x3096},
                                                                        {0x309D, 0x309F},
                                                                        {0x3400, 0x4DBF},
                                                                        {0x4E00, 0x9FFF},
                                                                        {0xF900, 0xFAD9},
                                                                        {0x1B001, 0x1B11F},
                                                                        {0x20000, 0x323AF}}};
    return std::any_of(kRanges.begin(), kRanges.end(),
                       [&](const auto& range) { return c >= range.first && c <= range.second; });
}

/// Of `length` bytes of valid UTF-8, three or four.
char32_t decode(std::string_view text, std::size_t length) {
    char32_t code = static_cast<unsigned char>(text[0]) & (length == 3 ? 0x0FU : 0x07U);
    for (std::size_t i = 1; i < length; ++i)
        code = (code << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
    return code;
}

/// Bytes of the ideograph at the beginning; 0 when there is none.
std::size_t ideograph_length(std::string_view text) {
    constexpr unsigned char kLeastLead = 0xE2;  // of U+2E80
    if (static_cast<unsigned char>(text.front()) < kLeastLead) return 0;
    const std::size_t length = document::utf8_length(text);
    return length > 0 && is_single(decode(text, length)) ? length : 0;
}

/// Passes on what the inner tokenizer finds in a part of the text.
struct Part {
    void* context;
    Emit emit;
    int offset;
};

int pass_on(void* context, int flags, const char* token, int size, int begin, int end) {
    const Part& part = *static_cast<const Part*>(context);
    return part.emit(part.context, flags, token, size, begin + part.offset, end + part.offset);
}

int tokenize(Fts5Tokenizer* self, void* context, int flags, const char* text, int size, Emit emit) {
    const Tokenizer& tokenizer = *reinterpret_cast<const Tokenizer*>(self);
    int done = 0;  // up to here all is passed on
    const auto others = [&](int end) {
        if (end <= done) return SQLITE_OK;
        Part part{context, emit, done};
        return tokenizer.methods.xTokenize(tokenizer.inner, &part, flags, text + done, end - done,
                                           pass_on);
    };
    for (int at = 0; at < size;) {
        const auto length =
            static_cast<int>(ideograph_length({text + at, static_cast<std::size_t>(size - at)}));
        if (length == 0) {
            ++at;
            continue;
        }
        int result = others(at);
        if (result == SQLITE_OK) result = emit(context, 0, text + at, length, at, at + length);
        if (result != SQLITE_OK) return result;
        at += length;
        done = at;
    }
    return others(size);
}

/// The arguments name the inner tokenizer and go to it.
int create(void* user, const char** arguments, int count, Fts5Tokenizer** out) {
    auto* api = static_cast<fts5_api*>(user);
    if (count == 0) return SQLITE_ERROR;
    auto made = std::make_unique<Tokenizer>();
    void* inner_user = nullptr;
    int result = api->xFindTokenizer(api, arguments[0], &inner_user, &made->methods);
    if (result == SQLITE_OK)
        result = made->methods.xCreate(inner_user, arguments + 1, count - 1, &made->inner);
    if (result == SQLITE_OK) *out = reinterpret_cast<Fts5Tokenizer*>(made.release());
    return result;
}

void destroy(Fts5Tokenizer* self) {
    delete reinterpret_cast<Tokenizer*>(self);
}

fts5_api* full_text_of(sqlite3* db) {
    fts5_api* api = nullptr;
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &statement, nullptr) != SQLITE_OK)
        return nullptr;
    sqlite3_bind_pointer(statement, 1, static_cast<void*>(&api), "fts5_api_ptr", nullptr);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
    return api;
}

}  // namespace

bool add_ideograph_tokenizer(sqlite3* db) {
    fts5_api* api = full_text_of(db);
    if (api == nullptr) return false;
    fts5_tokenizer methods{create, destroy, tokenize};
    return api->xCreateTokenizer(api, "ideographs", api, &methods, nullptr) == SQLITE_OK;
}

}  // namespace penstock::io
