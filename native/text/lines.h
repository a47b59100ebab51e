// One definition of a line for renderer, window planner and engine: split at LF only; CR, U+2028
// and the rest are content. A text of n line feeds has n + 1 lines (an empty text has one empty
// line, as str.split gives).
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::text {

// Lines of `text` as views into it.
inline std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (;;) {
    const void* found =
        begin < text.size() ? std::memchr(text.data() + begin, '\n', text.size() - begin) : nullptr;
    if (found == nullptr) break;
    const size_t end = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  lines.push_back(text.substr(begin));
  return lines;
}

// Code points of valid UTF-8: bytes that do not continue one.
inline int64_t CountCharacters(std::string_view text) {
  int64_t count = 0;
  for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

// The marker in front of a rendered line.
struct LineFormat {
  std::string prefix;
  int32_t min_digits = 0;
  std::string suffix;
  int32_t first_line = 0;

  // Appends the marker of the line with index `line` (0-based in the document).
  void AppendMarker(std::string& out, int32_t line) const {
    const std::string digits = std::to_string(line + first_line);
    out += prefix;
    if (static_cast<int32_t>(digits.size()) < min_digits) {
      out.append(static_cast<size_t>(min_digits) - digits.size(), '0');
    }
    out += digits;
    out += suffix;
  }
};

// Lines [begin, end) joined by LF, each with its marker.
inline std::string RenderWindow(const std::vector<std::string_view>& lines, int32_t begin,
                                int32_t end, const LineFormat& format) {
  std::string rendered;
  for (int32_t line = begin; line < end; ++line) {
    if (line > begin) rendered += '\n';
    format.AppendMarker(rendered, line);
    rendered += lines[static_cast<size_t>(line)];
  }
  return rendered;
}

}  // namespace gristmill::text
