// Lines as bags of rows of an embedding table: what a network over lines reads.
//
//     rows   | bins of feature 0 | bins of feature 1 | … | 2 ^ hash_bits hashed words |
//     line   one row for each feature, weight 1; its words, weight min(1, 2/√n)
//
// A line is one position of the network. Long pages are cut into windows; each line is owned by one
// and seen with lines around it:
//
//     lines      0 ─────────────────────────────────────────── n_lines
//     window 0   [ owned ············ | seen ]
//     window 1             [ seen | owned ······· | seen ]
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pages/page_scorer.h"

namespace gristmill::pages {

class BagWriter {
 public:
  explicit BagWriter(const Model& model) : model_(model) { bags_.starts.push_back(0); }

  // Bins `count` rows of columns, as in line_features.h.
  void SetColumns(const float* columns, int32_t count);
  // The features of row `at` of those.
  void AddBinned(int32_t at);
  // The features of one row whose value of feature f lies at [f * stride].
  void AddRow(const float* values, int32_t stride);
  // The words, then the end of the bag.
  void CloseBag(std::span<const uint32_t> words);

  Bags Finish() { return std::move(bags_); }

 private:
  void Put(int32_t id, float weight);

  const Model& model_;
  Bags bags_;
  std::vector<int32_t> binned_;  // [n_features x kBlock]
};

// Bags [from, to).
Bags Slice(const Bags& bags, int32_t from, int32_t to);

// Lines [from, to) are seen, lines [first, last) owned. A verdict counts in the window that owns
// the line (single ownership as in UltraX, arXiv 2607.08646).
struct LineWindow {
  int32_t from;
  int32_t to;
  int32_t first;
  int32_t last;
};

// Windows of at most `n_ctx` lines, at least 1.
std::vector<LineWindow> PlanLineWindows(int32_t n_lines, int32_t n_ctx);

}  // namespace gristmill::pages
