#include "pages/site_evidence.h"

#include <algorithm>

namespace gristmill::pages {

namespace {

constexpr size_t kNear = 4;  // lines on either side
// Odds of "keep", one times the other, of a repeated line with
constexpr float kSomeNear = 0.082f;  // half of its neighbours repeated,
constexpr float kMostNear = 0.37f;   // three quarters, or both pairs around it,
constexpr float kAllNear = 0.11f;    // all of them.

}  // namespace

bool SiteSteps(const SiteLines& site, std::span<const Line> lines, std::span<uint8_t> steps) {
  std::fill(steps.begin(), steps.end(), uint8_t{0});
  if (site.pages < kLeastSitePages || steps.size() != lines.size()) return false;
  const size_t n_lines = lines.size();
  const uint32_t least = site.pages == 3 ? 2 : std::max<uint32_t>(3, (site.pages + 4) / 5);
  const auto pages_of = [&](size_t line) -> uint32_t {
    const auto index = static_cast<size_t>(lines[line].index);
    return index < site.lines.size() ? site.lines[index] : 0;
  };
  // Beyond its ends a page repeats.
  const auto is_repeated = [&](size_t line) { return line >= n_lines || pages_of(line) >= least; };
  bool is_changed = false;
  size_t n_window = 0;  // repeated lines of [line - kNear, line + kNear]
  for (size_t line = 0; line < std::min(kNear, n_lines); ++line) n_window += is_repeated(line);
  for (size_t line = 0; line < n_lines; ++line) {
    if (line + kNear < n_lines) n_window += is_repeated(line + kNear);
    if (line > kNear) n_window -= is_repeated(line - kNear - 1);
    if (line == 0 || !is_repeated(line)) continue;
    const uint32_t own = pages_of(line);
    const bool is_prose = lines[line].own[kIsProse] > 0;
    if (is_prose && 2 * uint64_t{own - 1} < site.pages - 1) continue;
    const size_t n_near = std::min(line, kNear) + std::min(n_lines - 1 - line, kNear);
    const size_t n_repeated = n_window - 1;
    const bool has_pairs = is_repeated(line - 1) && (line < 2 || is_repeated(line - 2)) &&
                           is_repeated(line + 1) && is_repeated(line + 2);
    int own_steps = 0;
    if (2 * n_repeated >= n_near) own_steps |= kHalfRepeats;
    if (4 * n_repeated >= 3 * n_near || has_pairs) own_steps |= kMostRepeat;
    if (n_repeated == n_near) own_steps |= kAllRepeat;
    if (own_steps == 0) continue;
    steps[line] = static_cast<uint8_t>(own_steps);
    is_changed = true;
  }
  return is_changed;
}

bool SiteFactors(const SiteLines& site, std::span<const Line> lines, std::span<float> factors) {
  std::fill(factors.begin(), factors.end(), 1.0f);
  if (factors.size() != lines.size()) return false;
  std::vector<uint8_t> steps(lines.size());
  if (!SiteSteps(site, lines, steps)) return false;
  for (size_t line = 0; line < steps.size(); ++line) {
    float factor = 1;
    if ((steps[line] & kHalfRepeats) != 0) factor *= kSomeNear;
    if ((steps[line] & kMostRepeat) != 0) factor *= kMostNear;
    if ((steps[line] & kAllRepeat) != 0) factor *= kAllNear;
    factors[line] = factor;
  }
  return true;
}

}  // namespace gristmill::pages
