// Reduces rows of logits as the engine does (native/engine/logits.h). Compiled and run by
// logits.test.ts.
//
// Standard input holds rows: the number of values, the values, the number of allowed indices, those
// indices; all words of 32 bits. A line for each on standard output: the index of the greatest
// value, whether all are finite, the allowed index with the greatest (-1 where none is allowed).
#include "engine/logits.h"

#include <cstdio>
#include <vector>

int main() {
  int32_t n_values = 0;
  while (std::fread(&n_values, sizeof n_values, 1, stdin) == 1) {
    std::vector<float> row(static_cast<size_t>(n_values));
    if (std::fread(row.data(), sizeof(float), row.size(), stdin) != row.size()) return 1;
    int32_t n_allowed = 0;
    if (std::fread(&n_allowed, sizeof n_allowed, 1, stdin) != 1) return 1;
    std::vector<int32_t> allowed(static_cast<size_t>(n_allowed));
    if (std::fread(allowed.data(), sizeof(int32_t), allowed.size(), stdin) != allowed.size()) {
      return 1;
    }
    const auto facts = gristmill::engine::ReduceRow(row);
    const int32_t best = allowed.empty() ? -1 : gristmill::engine::BestOf(row.data(), allowed);
    std::printf("%d %d %d\n", facts.best, facts.finite ? 1 : 0, best);
  }
  return 0;
}
