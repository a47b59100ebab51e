// log2(1 + n) of counts, the scale of most features, as a table where counts are small.
#pragma once

#include <cmath>
#include <cstdint>

namespace gristmill::pages {

constexpr int64_t kLogTableSize = 4096;

struct LogTables {
  float log[kLogTableSize];    // log2(1 + n), rounded
  double back[kLogTableSize];  // 2 to the power of the rounded one
};

// Lives as long as the process.
const LogTables* MakeLogTables();

inline const LogTables& Logs() {
  static const LogTables* const tables = MakeLogTables();
  return *tables;
}

// log2(1 + n), rounded to float, for n >= 0.
inline float LogOf(int64_t n) {
  if (n < kLogTableSize) return Logs().log[n];
  return static_cast<float>(std::log2(1.0 + static_cast<double>(n)));
}

// 2 to the power of `log`, which is LogOf(n).
inline double PowerOfLog(int64_t n, float log) {
  return n < kLogTableSize ? Logs().back[n] : std::exp2(static_cast<double>(log));
}

}  // namespace gristmill::pages
