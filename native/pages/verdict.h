// What a stack says of a page's lines in the end: titles are protected, and how much is left in
// doubt moves the calibration (calibration.h).
//
// A title costs a reader more than a line of its length, and looks like an item of a menu: the
// first line of a page and what heads a kept paragraph go only when the evidence against them is
// overwhelming. Their log-odds are raised, so that each needs several times the odds against it
// that other lines need. In validation with the largest source left out, at 99 % of content kept,
// it spares three of four first lines and four of five headings that would have gone wrongly, for
// two in a hundred of the noise.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "pages/page_scan.h"

namespace gristmill::pages {

// Log-odds that are added.
constexpr float kProtection = 1;
// A heading has at most as many characters (of unspaced scripts a third of them),
constexpr double kHeadingChars = 100;
// and what it heads at least as many
constexpr double kParagraphChars = 60;
// and as many times its own.
constexpr double kParagraphTimes = 2;
// Log-odds nearer to 0 than this leave a line undecided.
constexpr float kUndecided = 1.5f;

// What the verdict asks of a line.
struct LineForm {
  double chars;
  float end_kind;
  float log_separators;
};

// Share of the characters on lines that are undecided, 0..1; form_of(line) is a LineForm.
template <typename FormOf>
double DoubtOf(std::span<const float> logits, FormOf&& form_of) {
  double undecided = 0;
  double all = 0;
  for (size_t line = 0; line < logits.size(); ++line) {
    const double chars = form_of(line).chars;
    all += chars;
    if (std::abs(logits[line]) < kUndecided) undecided += chars;
  }
  return all == 0 ? 0 : undecided / all;
}

// Raises the log-odds of protected lines.
template <typename FormOf>
void ProtectTitles(std::span<float> logits, FormOf&& form_of) {
  for (size_t line = 0; line < logits.size(); ++line) {
    const auto is_heading = [&] {
      // The line below has its own log-odds still.
      if (line + 1 == logits.size() || !(logits[line + 1] >= 0)) return false;
      const LineForm form = form_of(line);
      if (form.end_kind == kEndSentence || form.end_kind == kEndComma || form.log_separators > 0) {
        return false;
      }
      return form.chars <= kHeadingChars &&
             form_of(line + 1).chars >= std::max(kParagraphChars, kParagraphTimes * form.chars);
    };
    if (line == 0 || is_heading()) logits[line] += kProtection;
  }
}

}  // namespace gristmill::pages
