// Greedy windows of whole lines (ProX, chunk stage): a window closes before the line that would
// exceed it.
#pragma once

#include <cstdint>
#include <vector>

namespace gristmill::text {

struct Window {
  int32_t line_start;
  int32_t line_end;  // one past the last line
  int32_t tokens;
  bool oversize;  // a single line longer than the window
};

// Windows over lines whose token counts are given; at most `max_tokens` each.
inline std::vector<Window> PlanWindows(const std::vector<int32_t>& line_tokens,
                                       int32_t max_tokens) {
  std::vector<Window> windows;
  Window open{0, 0, 0, false};
  const auto close = [&] {
    if (open.line_end > open.line_start) windows.push_back(open);
    open = {open.line_end, open.line_end, 0, false};
  };
  for (size_t line = 0; line < line_tokens.size(); ++line) {
    const int32_t tokens = line_tokens[line];
    if (open.tokens + tokens > max_tokens) close();
    open.line_end = static_cast<int32_t>(line) + 1;
    open.tokens += tokens;
    open.oversize = tokens > max_tokens;
    if (open.oversize) close();
  }
  close();
  return windows;
}

}  // namespace gristmill::text
