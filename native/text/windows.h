// Windows of whole lines with one owner for every line.
//
// A window shows the lines [line_start, line_end) and owns the last of them, [own_start, line_end):
// what lies before was owned by an earlier window and is shown again as context. It takes as many
// lines as fit; the next one begins with the trailing lines of this one that make up at most
// `overlap` of its size. ProX (chunk stage): tokens, no overlap. UltraX (arXiv 2607.08646, the
// published split of long documents): characters with the line feeds between lines, a fifth of
// overlap.
#pragma once

#include <cstdint>
#include <vector>

namespace gristmill::text {

struct WindowRule {
  int64_t max_size = 0;
  int64_t separator = 0;  // size of what stands between two lines
  double overlap = 0;     // share of a window's size that the next one shows again, 0 to 0.5
};

struct Window {
  int32_t line_start;
  int32_t own_start;
  int32_t line_end;  // one past the last line
  int64_t size;
  bool oversize;  // a single line larger than the window
};

// Windows over lines whose sizes are given. Those that would own no line (the next line is too long
// to stand beside the overlap) are left out.
inline std::vector<Window> PlanWindows(const std::vector<int64_t>& sizes, const WindowRule& rule) {
  std::vector<Window> windows;
  const auto n_lines = static_cast<int32_t>(sizes.size());
  int32_t owned = 0;
  for (int32_t start = 0; owned < n_lines;) {
    int32_t end = start + 1;
    int64_t size = sizes[start];
    while (end < n_lines && size + rule.separator + sizes[end] <= rule.max_size) {
      size += rule.separator + sizes[end];
      ++end;
    }
    if (end > owned) {
      windows.push_back({start, owned, end, size, end == start + 1 && size > rule.max_size});
      owned = end;
    }
    const auto room = static_cast<int64_t>(static_cast<double>(size) * rule.overlap);
    int32_t next = end;
    for (int64_t shown = 0; next > start && shown + sizes[next - 1] <= room; --next) {
      shown += sizes[next - 1];
    }
    start = next > start ? next : end;
  }
  return windows;
}

}  // namespace gristmill::text
