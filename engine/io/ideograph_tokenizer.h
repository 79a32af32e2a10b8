// A tokenizer for FTS5. Private to engine/io.
#pragma once

struct sqlite3;

namespace penstock::io {

/// Makes `tokenize = 'ideographs INNER ...'` known to a connection: Han ideographs and Hiragana are
/// words of their own, one character each, as in Elasticsearch's standard analyzer (UAX #29); the
/// rest goes to the inner tokenizer. False when SQLite has no full text.
bool add_ideograph_tokenizer(sqlite3* db);

}  // namespace penstock::io
