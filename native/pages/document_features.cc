#include "pages/document_features.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "pages/hash.h"
#include "pages/logarithms.h"

namespace gristmill::pages {

namespace {

constexpr size_t kKeptBytes = size_t{1} << 20;
// Pairs are counted in parts of about this many, so that a part's table stays in the cache.
constexpr size_t kPairsOfPart = size_t{1} << 14;
constexpr int kMaxPartBits = 12;

const double kShortLog = std::log2(31.0);

// Sums over the lines of a page, each line's value weighing 1 or its characters.
struct LineSums {
  double weights = 0;
  double log_chars = 0;
  double squares = 0;
  double prose = 0;
  double prose_chars = 0;
  double sentence_ends = 0;  // lines that end a sentence
  double short_lines = 0;
  double letters = 0;
  double uppers = 0;
  double digits = 0;
  double marks = 0;
  double capital_words = 0;
  double word_chars = 0;
  double copies = 0;
  double separators = 0;
  double code_marks = 0;
  double sentences = 0;
  double repeated_triples = 0;
  double distinct_shapes = 0;
  double flags[kFlags] = {};
};

LineSums SumLines(const PageScan& scan, const LineFeatures& features) {
  LineSums sums;
  const LogTables& logs = Logs();
  for (int32_t index = 0; index < scan.n_lines(); ++index) {
    const Line& line = scan.lines()[static_cast<size_t>(index)];
    const auto own = [&](Own column) { return static_cast<double>(line.own[column]); };
    const double weight = line.Weight();
    sums.weights += weight;
    sums.log_chars += own(kLogChars);
    sums.prose += own(kIsProse);
    sums.prose_chars += weight * own(kIsProse);
    sums.sentence_ends += line.own[kEndKind] == kEndSentence ? 1 : 0;
    sums.short_lines += own(kLogChars) < kShortLog ? 1 : 0;
    sums.letters += weight * own(kLetterShare);
    sums.uppers += weight * own(kUpperShare);
    sums.digits += weight * own(kDigitShare);
    sums.marks += weight * own(kMarkShare);
    sums.capital_words += weight * own(kCapitalWordShare);
    sums.word_chars += weight * own(kMeanWordChars);
    sums.copies += features.IsFirstCopy(index) ? 0 : 1;
    sums.separators += own(kLogSeparators);
    sums.code_marks += own(kLogCodeMarks);
    const float log_ends = line.own[kLogSentenceEnds];
    sums.sentences += (log_ends == 0             ? 1.0
                       : log_ends == logs.log[1] ? 2.0
                                                 : std::exp2(static_cast<double>(log_ends))) -
                      1;
    sums.repeated_triples += static_cast<double>(features.repeated_triples());
    sums.distinct_shapes += static_cast<double>(features.distinct_shapes());
    for (int flag = 0; flag < kFlags; ++flag) sums.flags[flag] += (line.flags >> flag) & 1;
  }
  const double mean = scan.n_lines() == 0 ? 0 : sums.log_chars / scan.n_lines();
  for (const Line& line : scan.lines()) {
    const double off = static_cast<double>(line.own[kLogChars]) - mean;
    sums.squares += off * off;
  }
  return sums;
}

}  // namespace

std::array<float, kDocumentFeatures> DocumentFeatures::Measure(const PageScan& scan,
                                                               const LineFeatures& features) {
  const LineSums sums = SumLines(scan, features);
  const int32_t n_lines = scan.n_lines();
  const auto mean = [&](double sum) { return n_lines == 0 ? 0 : sum / n_lines; };
  const auto mean_by_chars = [&](double sum) { return sums.weights == 0 ? 0 : sum / sums.weights; };
  const double n_words = static_cast<double>(scan.words().size());
  const double some_words = std::max(1.0, n_words);
  double n_stop = 0;
  double top = 0;  // count of the commonest word that is no stop word
  float longest = 0;
  for (const Word& word : scan.distinct()) {
    if (word.is_stop) {
      n_stop += word.count;
    } else {
      top = std::max(top, static_cast<double>(word.count));
    }
  }
  for (const Line& line : scan.lines()) longest = std::max(longest, line.own[kLogChars]);
  const auto log = [](double value) { return std::log2(1.0 + value); };
  const double n_sentences = mean(sums.sentences) * n_lines;
  // Has and question marks and bullets, by their bits.
  const auto flag = [&](Flag one) { return mean(sums.flags[std::countr_zero(unsigned{one})]); };
  const double values[kDocumentFeatures] = {
      log(static_cast<double>(scan.n_units())),
      log(n_lines),
      log(n_words),
      mean(sums.log_chars),
      std::sqrt(mean(sums.squares)),
      mean(sums.prose),
      mean_by_chars(sums.prose_chars),
      n_stop / some_words,
      mean(sums.sentence_ends),
      mean(sums.short_lines),
      mean_by_chars(sums.letters),
      mean_by_chars(sums.uppers),
      mean_by_chars(sums.digits),
      mean_by_chars(sums.marks),
      mean_by_chars(sums.capital_words),
      mean_by_chars(sums.word_chars),
      mean(sums.copies),
      // The share of distinct words falls with length: Guiraud's root form does so less.
      static_cast<double>(scan.distinct().size()) / std::sqrt(some_words),
      mean(sums.separators),
      mean(sums.code_marks),
      log(n_words / std::max(1.0, n_sentences)),
      mean(sums.repeated_triples),
      mean(sums.distinct_shapes),
      flag(kHasPrice),
      flag(kHasYear),
      flag(kHasUrl),
      flag(kHasQuestion),
      flag(kIsBullet),
      top / some_words,
      CopiedPairShare(scan),
      static_cast<double>(longest),
      static_cast<double>(scan.n_unspaced()) /
          static_cast<double>(std::max<int64_t>(1, scan.n_chars())),
  };
  std::array<float, kDocumentFeatures> rounded;
  for (size_t column = 0; column < rounded.size(); ++column) {
    rounded[column] = static_cast<float>(values[column]);
  }
  return rounded;
}

void DocumentFeatures::Trim() {
  for (auto* vector : {&pairs_, &parted_, &slots_}) {
    if (vector->capacity() * sizeof(uint32_t) > kKeptBytes) std::vector<uint32_t>().swap(*vector);
  }
}

// Share of the pairs of words that stood in the document before.
double DocumentFeatures::CopiedPairShare(const PageScan& scan) {
  const std::vector<uint32_t>& words = scan.words();
  if (words.size() < 2) return 0;
  const size_t n_pairs = words.size() - 1;
  const Word* const distinct = scan.distinct().data();
  pairs_.resize(n_pairs);
  uint32_t previous = distinct[words[0]].hash;
  for (size_t pair = 0; pair < n_pairs; ++pair) {
    const uint32_t hash = distinct[words[pair + 1]].hash;
    pairs_[pair] = MixHashes(previous, hash);
    previous = hash;
  }
  size_t n_distinct = 0;
  const int bits = std::min<int>(kMaxPartBits, std::bit_width(n_pairs / kPairsOfPart));
  if (bits == 0) {
    n_distinct = CountDistinct(0, n_pairs);
  } else {
    // Equal pairs fall into one part: parts by the upper bits.
    const int shift = 32 - bits;
    std::vector<size_t> starts((size_t{1} << bits) + 1);
    for (const uint32_t pair : pairs_) ++starts[(pair >> shift) + 1];
    for (size_t part = 1; part < starts.size(); ++part) starts[part] += starts[part - 1];
    std::vector<size_t> at(starts.begin(), starts.end() - 1);
    parted_.resize(n_pairs);
    for (const uint32_t pair : pairs_) parted_[at[pair >> shift]++] = pair;
    pairs_.swap(parted_);
    for (size_t part = 0; part + 1 < starts.size(); ++part) {
      n_distinct += CountDistinct(starts[part], starts[part + 1]);
    }
  }
  return static_cast<double>(n_pairs - n_distinct) / static_cast<double>(n_pairs);
}

size_t DocumentFeatures::CountDistinct(size_t begin, size_t end) {
  const size_t size = std::bit_ceil(std::max<size_t>(64, 2 * (end - begin)));
  slots_.assign(size, 0);  // 0: empty; a pair of hash 0 is counted apart
  size_t n_distinct = 0;
  bool has_zero = false;
  for (size_t at = begin; at < end; ++at) {
    const uint32_t pair = pairs_[at];
    if (pair == 0) {
      has_zero = true;
      continue;
    }
    size_t slot = pair & (size - 1);
    while (slots_[slot] != 0 && slots_[slot] != pair) slot = (slot + 1) & (size - 1);
    if (slots_[slot] == pair) continue;
    slots_[slot] = pair;
    ++n_distinct;
  }
  return n_distinct + (has_zero ? 1 : 0);
}

}  // namespace gristmill::pages
