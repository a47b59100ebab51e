// What a site repeats on its pages, as evidence against lines of one of them.
//
// A line that stands on at least a fifth of a site's pages, and on three, speaks against itself
// where its neighbours are repeated too: an isolated one is often content (a row of a
// specification, the head of a table, a line of code). So the odds of "keep" are lowered by how
// many of the eight neighbours repeat. It is evidence, not a verdict: a line goes if the page says
// something against it as well. A line that stands on one page is no better for it. Spared are
// prose on less than half of the pages, and the first line of a page.
//
// The weights are a logistic regression's over scores of pages whose source was left out, rounded,
// and bound to lower odds only. Over all labelled pages with two pages of their site or more,
// with sources left out, noise removed at 99 % of content goes from .433 to .487, on those with
// three or more from .445 to .517, and no kind of page loses; see `eval lines --sites`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pages/page_scan.h"

namespace gristmill::pages {

// Pages of a site, copies counted once, below which it says nothing.
constexpr uint32_t kLeastSitePages = 3;

// A page's lines as its site has them.
struct SiteLines {
  uint32_t pages = 0;           // of the site
  std::vector<uint32_t> lines;  // pages that hold each line, by its place among all; 0: one at most
};

// What of a line's neighbours is repeated, of a line that repeats and is not spared.
enum SiteStep : uint8_t {
  kHalfRepeats = 1,
  kMostRepeat = 2,  // three quarters, or both pairs around it
  kAllRepeat = 4,
};

// Steps of each line that is not blank. False when there are none.
bool SiteSteps(const SiteLines& site, std::span<const Line> lines, std::span<uint8_t> steps);

// What the odds of "keep" of each line that is not blank are to be multiplied by. False when that
// is 1 for all of them.
bool SiteFactors(const SiteLines& site, std::span<const Line> lines, std::span<float> factors);

// A probability whose odds are multiplied.
inline float TimesOdds(float probability, float factor) {
  const float against = 1 - probability;
  const float odds = probability * factor;
  return odds / (odds + against);
}

}  // namespace gristmill::pages
