#include "pages/line_features.h"

#include <algorithm>
#include <cmath>

#include "pages/hash.h"
#include "pages/logarithms.h"

namespace gristmill::pages {

namespace {

constexpr size_t kKeptBytes = size_t{1} << 20;
// Stands for "nowhere on the page" among logarithms of distances.
constexpr float kFar = 12;
// A line that is not prose costs this much of a stretch of text.
constexpr int64_t kLineCost = 40;

// First columns of the groups.
constexpr int kPlace = kOwnFeatures;
constexpr int kNeighbours = kPlace + kPlaceFeatures;
constexpr int kWindows = kNeighbours + kNeighbourFeatures;
constexpr int kStructure = kWindows + kWindowFeatures;

constexpr int kNeighbourOffsets[] = {-3, -2, -1, 1, 2, 3};
constexpr Own kNeighbourColumns[] = {kLogChars, kStopShare, kEndKind, kCapitalWordShare,
                                     kLogSeparators};

struct Reach {
  int32_t before;
  int32_t after;
};
constexpr Reach kWindowReaches[] = {{2, 2}, {5, 5}, {12, 12}, {30, 30}, {8, 0}, {0, 8}};
constexpr int32_t kWidest = 30;
constexpr int32_t kFlagReaches[] = {4, 15};
constexpr int32_t kTripleReaches[] = {10, 30};
constexpr int kLogCopiesSignal = 5;
constexpr Own kSignalColumns[] = {kLogChars, kStopShare,   kEndKind,   kCapitalWordShare,
                                  kIsProse,  kOwnFeatures, kDigitShare};

bool IsProse(const Line& line) {
  return line.own[kIsProse] != 0;
}

float Log(int64_t n) {
  return LogOf(n);
}

template <typename T>
void TrimVector(std::vector<T>& vector) {
  if (vector.capacity() * sizeof(T) > kKeptBytes) std::vector<T>().swap(vector);
}

}  // namespace

void LineFeatures::Rewind() {
  chars_before_ = 0;
  prose_before_ = 0;
  last_prose_ = -1;
  sums_before_.fill(0);
}

void LineFeatures::Measure(PageScan& scan) {
  Rewind();
  MeasureProse(scan);
  MeasureCopies(scan);
  MeasureTopic(scan);
  MeasureStructure(scan);
}

void LineFeatures::Trim() {
  interner_.Reset(0);
  if (n_copies_.capacity() * sizeof(uint32_t) > kKeptBytes) interner_.Release();
  for (auto* vector : {&n_copies_, &short_run_, &shape_copies_, &pair_copies_, &triple_copies_,
                       &five_copies_, &shape_run_, &numbers_, &totals_}) {
    TrimVector(*vector);
  }
  for (auto* vector : {&to_copy_, &next_prose_, &to_last_, &to_next_}) TrimVector(*vector);
  TrimVector(topic_share_);
}

// Totals, runs of short lines, and the stretch of lines with the largest sum of (prose characters,
// else a cost a line), as maximum subsequence segmentation does it: the place of the main text.
void LineFeatures::MeasureProse(const PageScan& scan) {
  const std::vector<Line>& lines = scan.lines();
  const size_t n_lines = lines.size();
  page_chars_ = scan.n_chars();
  page_prose_ = 0;
  sum_log_chars_ = 0;
  stretch_ = {};
  short_run_.assign(n_lines, 0);
  size_t run = 0;
  for (size_t line = 0; line < n_lines; ++line) {
    const Line& own = lines[line];
    const bool is_prose = IsProse(own);
    sum_log_chars_ += static_cast<double>(own.own[kLogChars]);
    if (is_prose) page_prose_ += own.chars;
    stretch_.Add(static_cast<int32_t>(line), is_prose ? own.chars : -kLineCost);
    if ((own.flags & kIsShort) != 0) {
      ++run;
      if (line + 1 < n_lines) continue;
    }
    const size_t run_end = (own.flags & kIsShort) != 0 ? line + 1 : line;
    for (size_t back = run_end - run; back < run_end; ++back) {
      short_run_[back] = static_cast<uint32_t>(run);
    }
    run = 0;
  }
  next_prose_.resize(n_lines);
  int32_t next = -1;
  for (size_t line = n_lines; line-- > 0;) {
    next_prose_[line] = next;
    if (IsProse(lines[line])) next = static_cast<int32_t>(line);
  }
}

template <typename KeyOf>
uint32_t LineFeatures::CountEquals(size_t n_lines, KeyOf&& key_of, std::vector<uint32_t>& counts) {
  interner_.Reset(n_lines);
  numbers_.resize(n_lines);
  totals_.clear();
  for (size_t line = 0; line < n_lines; ++line) {
    const uint32_t number = interner_.Add(key_of(line));
    if (number == totals_.size()) totals_.push_back(0);
    ++totals_[number];
    numbers_[line] = number;
  }
  counts.resize(n_lines);
  for (size_t line = 0; line < n_lines; ++line) counts[line] = totals_[numbers_[line]];
  return interner_.size();
}

// Lines whose words another line of the page has too.
void LineFeatures::MeasureCopies(const PageScan& scan) {
  const std::vector<Line>& lines = scan.lines();
  const uint32_t n_different = CountEquals(
      lines.size(), [&](size_t line) { return lines[line].hash; }, n_copies_);
  totals_.assign(n_different, 0);
  to_copy_.resize(lines.size());
  for (size_t line = 0; line < lines.size(); ++line) {
    uint32_t& last_plus_one = totals_[numbers_[line]];
    to_copy_[line] = last_plus_one == 0 ? -1 : static_cast<int32_t>(line + 1 - last_plus_one);
    last_plus_one = static_cast<uint32_t>(line) + 1;
  }
}

// Share of a line's words, stop words apart, that stand in prose lines other than itself.
void LineFeatures::MeasureTopic(PageScan& scan) {
  const std::vector<Line>& lines = scan.lines();
  const std::vector<uint32_t>& words = scan.words();
  std::vector<Word>& distinct = scan.distinct();
  for (int32_t line = 0; line < scan.n_lines(); ++line) {
    const Line& own = lines[static_cast<size_t>(line)];
    if (!IsProse(own)) continue;
    for (uint32_t word = own.first_word; word < scan.WordsEnd(line); ++word) {
      Word& seen = distinct[words[word]];
      if (seen.last_prose < 0) {
        seen.last_prose = line;
      } else if (seen.last_prose != line) {
        seen.in_several = true;
      }
    }
  }
  topic_share_.resize(lines.size());
  for (int32_t line = 0; line < scan.n_lines(); ++line) {
    int32_t n_words = 0;
    int32_t n_shared = 0;
    for (uint32_t word = lines[static_cast<size_t>(line)].first_word; word < scan.WordsEnd(line);
         ++word) {
      const Word& seen = distinct[words[word]];
      const bool counts = !seen.is_stop;
      n_words += counts ? 1 : 0;
      n_shared +=
          counts && seen.last_prose >= 0 && (seen.last_prose != line || seen.in_several) ? 1 : 0;
    }
    topic_share_[static_cast<size_t>(line)] =
        n_words == 0 ? -1.0f : static_cast<float>(static_cast<double>(n_shared) / n_words);
  }
}

// A line's shape is how long it is, how many words it has, how it begins and ends, and what it
// holds. Shapes that come again in the same order are records; what stands alone is text.
void LineFeatures::MeasureStructure(const PageScan& scan) {
  const std::vector<Line>& lines = scan.lines();
  const size_t n_lines = lines.size();
  // Hash of a line's shape and of those after it; near the page's end of fewer.
  const auto sequence = [&](size_t line, size_t length) {
    uint32_t hash = lines[line].shape;
    for (size_t next = 1; next < length; ++next) {
      hash = MixHashes(hash, line + next < n_lines ? lines[line + next].shape
                                                   : 0u - static_cast<uint32_t>(next));
    }
    return hash;
  };
  const uint32_t n_shapes = CountEquals(
      n_lines, [&](size_t line) { return lines[line].shape; }, shape_copies_);
  CountEquals(
      n_lines, [&](size_t line) { return sequence(line, 2); }, pair_copies_);
  CountEquals(
      n_lines, [&](size_t line) { return sequence(line, 5); }, five_copies_);
  const uint32_t n_triples = CountEquals(
      n_lines, [&](size_t line) { return sequence(line, 3); }, triple_copies_);
  to_last_.assign(n_lines, -1);
  to_next_.assign(n_lines, -1);
  totals_.assign(n_triples, 0);
  int64_t n_repeated = 0;
  for (size_t line = 0; line < n_lines; ++line) {
    uint32_t& last_plus_one = totals_[numbers_[line]];
    if (last_plus_one != 0) {
      const size_t last = last_plus_one - 1;
      to_last_[line] = static_cast<int32_t>(line - last);
      to_next_[last] = static_cast<int32_t>(line - last);
    }
    last_plus_one = static_cast<uint32_t>(line) + 1;
    n_repeated += triple_copies_[line] > 1 ? 1 : 0;
  }
  shape_run_.resize(n_lines);
  for (size_t start = 0; start < n_lines;) {
    size_t end = start + 1;
    while (end < n_lines && lines[end].shape == lines[start].shape) ++end;
    for (size_t line = start; line < end; ++line) {
      shape_run_[line] = static_cast<uint32_t>(end - start);
    }
    start = end;
  }
  const double n = n_lines == 0 ? 1 : static_cast<double>(n_lines);
  repeated_triples_ = static_cast<float>(static_cast<double>(n_repeated) / n);
  distinct_shapes_ = static_cast<float>(static_cast<double>(n_shapes) / n);
}

void LineFeatures::Fill(const PageScan& scan, int32_t first, int32_t count, Columns columns) {
  FillOwn(scan, first, count, columns);
  FillPlace(scan, first, count, columns);
  FillNeighbours(scan, first, count, columns);
  FillWindows(scan, first, count, columns);
  FillStructure(scan, first, count, columns);
}

void LineFeatures::FillOwn(const PageScan& scan, int32_t first, int32_t count, Columns columns) {
  const Line* const lines = scan.lines().data() + first;
  for (int32_t at = 0; at < count; ++at) {
    for (int column = 0; column < kOwnFeatures; ++column) {
      columns[column * kBlock + at] = lines[at].own[column];
    }
  }
}

void LineFeatures::FillPlace(const PageScan& scan, int32_t first, int32_t count, Columns columns) {
  const int32_t n_lines = scan.n_lines();
  const double n = n_lines;
  const auto ratio = [](double part, double whole) { return static_cast<float>(part / whole); };
  const auto chars = static_cast<double>(std::max<int64_t>(1, page_chars_));
  const auto prose = static_cast<double>(std::max<int64_t>(1, page_prose_));
  const float log_lines = Log(n_lines);
  const float log_chars = Log(page_chars_);
  const float prose_share = ratio(static_cast<double>(page_prose_), chars);
  const float mean_log = ratio(sum_log_chars_, n);
  for (int32_t at = 0; at < count; ++at) {
    const int32_t line = first + at;
    const auto index = static_cast<size_t>(line);
    const Line& own = scan.lines()[index];
    const int64_t own_prose = IsProse(own) ? own.chars : 0;
    Columns to = columns + kPlace * kBlock + at;
    const auto put = [&](float value) {
      *to = value;
      to += kBlock;
    };
    put(log_lines);
    put(log_chars);
    put(prose_share);
    put(mean_log);
    put(ratio(line, n));
    put(ratio(static_cast<double>(chars_before_), chars));
    put(Log(line));
    put(Log(n_lines - 1 - line));
    put(Log(prose_before_));
    put(Log(page_prose_ - prose_before_ - own_prose));
    put(ratio(static_cast<double>(prose_before_), prose));
    const float to_before = last_prose_ < 0 ? kFar : Log(line - last_prose_);
    put(to_before);
    const int32_t next = next_prose_[index];
    const float to_after = next < 0 ? kFar : Log(next - line);
    put(to_after);
    put(Log(n_copies_[index] - 1));
    put(to_copy_[index] < 0 ? 1.0f : 0.0f);
    put(to_copy_[index] < 0 ? kFar : Log(to_copy_[index]));
    put(topic_share_[index]);
    put(short_run_[index] == 0 ? 0.0f : Log(short_run_[index]));
    put(static_cast<float>(static_cast<double>(to_before) + static_cast<double>(to_after)));
    const bool inside = stretch_.Holds(line);
    put(inside ? 1.0f : 0.0f);
    const float distance = stretch_.IsEmpty() ? kFar
                           : inside           ? 0.0f
                                              : Log(stretch_.DistanceTo(line));
    // Signed: before the stretch is negative.
    put(inside ? 0.0f : stretch_.IsBehind(line) ? -distance : distance);
    chars_before_ += own.chars;
    prose_before_ += own_prose;
    if (own_prose > 0) last_prose_ = line;
  }
}

void LineFeatures::FillNeighbours(const PageScan& scan, int32_t first, int32_t count,
                                  Columns columns) {
  const std::vector<Line>& lines = scan.lines();
  const int32_t n_lines = scan.n_lines();
  Columns to = columns + kNeighbours * kBlock;
  for (const int offset : kNeighbourOffsets) {
    for (int32_t at = 0; at < count; ++at) {
      const int32_t other = first + at + offset;
      const bool is_outside = other < 0 || other >= n_lines;
      const Line* line = is_outside ? nullptr : &lines[static_cast<size_t>(other)];
      for (int column = 0; column < 5; ++column) {
        to[column * kBlock + at] = is_outside ? -1.0f : line->own[kNeighbourColumns[column]];
      }
    }
    to += 5 * kBlock;
  }
}

// Means over the lines around, without the line itself. Sums run on from block to block, so that
// they are the same whatever the blocks.
void LineFeatures::FillWindows(const PageScan& scan, int32_t first, int32_t count,
                               Columns columns) {
  const std::vector<Line>& lines = scan.lines();
  const int32_t n_lines = scan.n_lines();
  const int32_t low = std::max(0, first - kWidest);
  const int32_t high = std::min(n_lines, first + count + kWidest);
  const int32_t next_low = std::max(0, first + count - kWidest);
  int32_t starts[6][kBlock];
  int32_t ends[6][kBlock];
  double others[6][kBlock];
  for (int window = 0; window < 6; ++window) {
    const Reach reach = kWindowReaches[window];
    for (int32_t at = 0; at < count; ++at) {
      const int32_t line = first + at;
      const int32_t start = std::max(0, line - reach.before);
      const int32_t end = std::min(n_lines, line + reach.after + 1);
      starts[window][at] = start - low;
      ends[window][at] = end - low;
      others[window][at] = end - start - 1;
    }
  }
  float values[kBlock + 2 * kWidest];
  double sums[kBlock + 2 * kWidest + 1];
  for (int signal = 0; signal < kWindowSignals; ++signal) {
    sums[0] = sums_before_[static_cast<size_t>(signal)];
    for (int32_t line = low; line < high; ++line) {
      const auto index = static_cast<size_t>(line);
      const float value = signal == kLogCopiesSignal ? Log(n_copies_[index] - 1)
                                                     : lines[index].own[kSignalColumns[signal]];
      values[line - low] = value;
      sums[line - low + 1] = sums[line - low] + static_cast<double>(value);
    }
    sums_before_[static_cast<size_t>(signal)] = sums[next_low - low];
    for (int window = 0; window < 6; ++window) {
      Columns to = columns + (kWindows + window * kWindowSignals + signal) * kBlock;
      for (int32_t at = 0; at < count; ++at) {
        const double own = static_cast<double>(values[first + at - low]);
        const double around = sums[ends[window][at]] - sums[starts[window][at]] - own;
        const double n_others = others[window][at];
        to[at] = n_others <= 0 ? -1.0f : static_cast<float>(around / n_others);
      }
    }
  }
}

void LineFeatures::FillStructure(const PageScan& scan, int32_t first, int32_t count,
                                 Columns columns) {
  const std::vector<Line>& lines = scan.lines();
  const int32_t n_lines = scan.n_lines();
  const double n = n_lines;
  const Columns own_columns = columns + kStructure * kBlock;
  for (int32_t at = 0; at < count; ++at) {
    const auto line = static_cast<size_t>(first + at);
    Columns to = own_columns + at;
    const auto put = [&](float value) {
      *to = value;
      to += kBlock;
    };
    put(Log(int64_t{shape_copies_[line]} - 1));
    put(Log(int64_t{pair_copies_[line]} - 1));
    put(Log(int64_t{triple_copies_[line]} - 1));
    put(Log(int64_t{five_copies_[line]} - 1));
    put(to_last_[line] < 0 ? kFar : Log(to_last_[line]));
    put(to_next_[line] < 0 ? kFar : Log(to_next_[line]));
    put(to_last_[line] > 0 && to_last_[line] == to_next_[line] ? 1.0f : 0.0f);
    put(Log(int64_t{shape_run_[line]} - 1));
    put(static_cast<float>(static_cast<double>(shape_copies_[line]) / n));
    to += 2 * kBlock;
    put(repeated_triples_);
    put(distinct_shapes_);
  }

  // Shares of the lines around that have something, the line itself included.
  const int32_t low = std::max(0, first - kWidest);
  const int32_t high = std::min(n_lines, first + count + kWidest);
  int32_t sums[kBlock + 2 * kWidest + 1];
  sums[0] = 0;
  const auto sum_up = [&](auto&& has) {
    for (int32_t line = low; line < high; ++line) {
      sums[line - low + 1] = sums[line - low] + has(static_cast<size_t>(line));
    }
  };
  const auto put_shares = [&](int32_t reach, Columns to) {
    for (int32_t at = 0; at < count; ++at) {
      const int32_t start = std::max(0, first + at - reach);
      const int32_t end = std::min(n_lines, first + at + reach + 1);
      to[at] = static_cast<float>(static_cast<double>(sums[end - low] - sums[start - low]) /
                                  static_cast<double>(end - start));
    }
  };
  sum_up([&](size_t line) { return triple_copies_[line] > 1 ? 1 : 0; });
  put_shares(kTripleReaches[0], own_columns + 9 * kBlock);
  put_shares(kTripleReaches[1], own_columns + 10 * kBlock);
  const Columns flags = own_columns + 13 * kBlock;
  for (int flag = 0; flag < kFlags; ++flag) {
    const auto has = [&](size_t line) { return (lines[line].flags >> flag) & 1; };
    for (int32_t at = 0; at < count; ++at) {
      flags[flag * kBlock + at] = static_cast<float>(has(static_cast<size_t>(first + at)));
    }
    sum_up(has);
    put_shares(kFlagReaches[0], flags + (kFlags + flag) * kBlock);
    put_shares(kFlagReaches[1], flags + (2 * kFlags + flag) * kBlock);
  }
}

}  // namespace gristmill::pages
