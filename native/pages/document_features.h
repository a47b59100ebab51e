// What can be counted about a document: its length, its form, the kind of its lines. Names of the
// columns: src/lines/feature-names.ts.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "pages/line_features.h"
#include "pages/page_scan.h"

namespace gristmill::pages {

constexpr int kDocumentFeatures = 32;

class DocumentFeatures {
 public:
  // Of a page whose lines were measured.
  std::array<float, kDocumentFeatures> Measure(const PageScan& scan, const LineFeatures& lines);

  void Trim();

 private:
  double CopiedPairShare(const PageScan& scan);
  // How many different values `pairs_[begin, end)` has.
  size_t CountDistinct(size_t begin, size_t end);

  std::vector<uint32_t> pairs_;
  std::vector<uint32_t> parted_;
  std::vector<uint32_t> slots_;
};

}  // namespace gristmill::pages
