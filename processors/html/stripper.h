// Text out of HTML.
#pragma once

#include <string>
#include <cstdint>
#include <string_view>

namespace penstock::processors::html {

/// Appends `html` without its markup to `out`, as Lucene's HTMLStripCharFilter does: a line feed
/// for each tag of a block and for `br`, nothing for inline tags, comments, `<!...>` and `<?...?>`,
/// a line feed for all of `script` and `style`, the content of CDATA sections, and characters for
/// character references. What only looks like markup stays. Linear in the length of `html` for what
/// people write; each `<` may look ahead to the next `>`.
void strip(std::string_view html, std::string& out);

}  // namespace penstock::processors::html
