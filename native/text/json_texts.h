// Two fields of JSON lines, the text and what says where it is from, as columns of bytes: for
// readers that want nothing else of a row and make no string of it.
//
// A line is a row where it is a JSON object (RFC 8259, as strictly as JSON.parse) in UTF-8, and its
// text is null, is not there, or is a string that has a form in UTF-8. Other lines are passed over.
// Of a repeated key the last one counts.
//
//     | {"url":"…","text":"a\nb"} LF {"text":… | the begin of a line |
//     | a LF b … texts …                       | the begin of a line |      afterwards
//                                              ^ consumed
//
// A decoded string is never longer than it was written, so texts are decoded where they lie, by any
// number of threads, and moved to the front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gristmill::text {

struct JsonTextsRequest {
  std::span<uint8_t> bytes;
  size_t begin = 0;         // of the first line
  size_t limit = SIZE_MAX;  // lines that begin there or behind are left
  bool is_end = false;      // what follows the last LF is a line
  size_t max_line_bytes = SIZE_MAX;
  std::string text_name;
  std::string site_name;  // empty for none
  int n_threads = 1;
};

// Values of a column as Arrow has them.
struct JsonColumn {
  std::vector<uint8_t> data;
  std::vector<int32_t> offsets{0};
  std::vector<uint8_t> validity;  // empty where no value is null
};

struct JsonTexts {
  size_t consumed = 0;
  std::vector<int32_t> offsets{0};  // of the texts, from the front of the bytes
  JsonColumn site;                  // null for what is no string
};

// Overwrites the bytes before `consumed`. Throws OPTION_INVALID for bounds outside the bytes.
JsonTexts TakeJsonTexts(const JsonTextsRequest& request);

}  // namespace gristmill::text
