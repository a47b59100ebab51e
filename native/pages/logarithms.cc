#include "pages/logarithms.h"

namespace gristmill::pages {

const LogTables* MakeLogTables() {
  auto* made = new LogTables();
  for (int64_t n = 0; n < kLogTableSize; ++n) {
    made->log[n] = static_cast<float>(std::log2(1.0 + static_cast<double>(n)));
    made->back[n] = std::exp2(static_cast<double>(made->log[n]));
  }
  return made;
}

}  // namespace gristmill::pages
