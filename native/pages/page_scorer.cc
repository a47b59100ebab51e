#include "pages/page_scorer.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>

#include "engine/parallel.h"
#include "error.h"
#include "pages/bags.h"
#include "pages/hashed_words.h"
#include "pages/verdict.h"
#include "progress.h"
#include "text/rows.h"
#include "text/utf8.h"
#include "trace.h"

namespace gristmill::pages {

namespace {

// Lines whose features are kept between the two passes of a stack; those of longer pages are made
// twice, so that a page needs no table of them.
constexpr int32_t kKeptLines = 2048;
constexpr size_t kBlockFloats = size_t{kLineFeatures} * kBlock;

[[noreturn]] void Refuse(const std::string& option, const std::string& expected,
                         const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

float Blend(double tree_share, float first, float second) {
  return static_cast<float>(tree_share * static_cast<double>(second) +
                            (1 - tree_share) * static_cast<double>(first));
}

template <typename Visit>
void ForEachBlock(int32_t n_lines, const CancelFlag& cancel, Visit&& visit) {
  for (int32_t first = 0; first < n_lines; first += kBlock) {
    cancel.Check();
    CountProgress();
    visit(first, std::min(kBlock, n_lines - first));
  }
}

// Pages that were used and will be again: what one has grown to serves the next batch.
class PageLease {
 public:
  PageLease() {
    const std::lock_guard<std::mutex> guard(Lock());
    if (Free().empty()) return;
    page_ = std::move(Free().back());
    Free().pop_back();
  }
  ~PageLease() {
    if (!page_) return;
    const std::lock_guard<std::mutex> guard(Lock());
    if (Free().size() < kMostFree) Free().push_back(std::move(page_));
  }
  PageLease(const PageLease&) = delete;
  PageLease& operator=(const PageLease&) = delete;

  Page& page() {
    if (!page_) page_ = std::make_unique<Page>();
    return *page_;
  }

 private:
  // A megabyte or two each.
  static constexpr size_t kMostFree = 64;
  // Never destroyed: threads may give pages back while the process ends.
  static std::mutex& Lock() {
    static auto* const lock = new std::mutex;
    return *lock;
  }
  static std::vector<std::unique_ptr<Page>>& Free() {
    static auto* const free = new std::vector<std::unique_ptr<Page>>;
    return *free;
  }

  std::unique_ptr<Page> page_;
};

}  // namespace

void Model::Check() const {
  const int32_t n_features = of_documents ? kDocumentFeatures : kLineFeatures;
  const int32_t n_logits = of_documents ? 1 : kLogitFeatures;
  const auto expect = [](const char* option, int64_t expected, int64_t received) {
    if (expected != received) {
      Refuse(option, std::to_string(expected), std::to_string(received));
    }
  };
  if (stack) {
    stack->regression.Check();
    expect("logistic.bins", n_features, stack->regression.bins.n_features);
    expect("trees.bins", n_features + n_logits, stack->trees.n_features());
  } else if (!has_network) {
    Refuse("stack", "a stack that gives the verdict", "none");
  }
  if (!has_network) return;
  if (hash_bits < 1 || hash_bits > 24) Refuse("hashBits", "1..24", std::to_string(hash_bits));
  expect("bins", n_features + (stack ? 2 * n_logits : 0), bins.n_features);
}

void Page::Measure(std::span<const uint8_t> text, const CancelFlag& cancel) {
  scan_.Scan(text, cancel);
  cancel.Check();
  CountProgress();
  lines_.Measure(scan_);
  cancel.Check();
}

void Page::Trim() {
  scan_.Trim();
  lines_.Trim();
  documents_.Trim();
  first_logits_.Trim();
  second_logits_.Trim();
  if (first_.capacity() > size_t{1} << 18) {
    first_ = {};
    second_ = {};
    weights_ = {};
  }
}

float Page::ScoreDocument(const Scorer& scorer) {
  const Model& model = *scorer.model;
  const std::array<float, kDocumentFeatures> features = documents_.Measure(scan_, lines_);
  if (model.has_network) {
    BagWriter bags(model);
    DocumentWords(scan_, (1u << model.hash_bits) - 1, ids_);
    bags.AddRow(features.data(), 1);
    bags.CloseBag(ids_);
    const std::vector<float> logits = scorer.network->Score({0, 1}, bags.Finish());
    return model.calibration.Probability(logits[0]);
  }
  const Stack& stack = *model.stack;
  float columns[(kDocumentFeatures + 1) * kBlock] = {};
  for (int column = 0; column < kDocumentFeatures; ++column) {
    columns[column * kBlock] = features[static_cast<size_t>(column)];
  }
  DocumentWords(scan_, stack.regression.word_mask(), ids_);
  double words = 0;
  for (const uint32_t id : ids_) words += static_cast<double>(stack.word_weights[id]);
  double shape[kBlock];
  stack.regression.SumBins(columns, 1, shape);
  const auto first =
      static_cast<float>(WordScale(static_cast<int64_t>(ids_.size())) * words + shape[0]);
  columns[kDocumentFeatures * kBlock] = std::max(-kLogitBound, std::min(kLogitBound, first));
  float second[kBlock];
  stack.trees.Score(columns, 1, second);
  return model.calibration.Probability(Blend(model.tree_share, first, second[0]));
}

const float* Page::BlockOf(int32_t first, int32_t count, bool is_first_pass) {
  const bool is_kept = scan_.n_lines() <= kKeptLines;
  if (is_first_pass && first == 0) {
    const int32_t n_kept = is_kept ? (scan_.n_lines() + kBlock - 1) / kBlock : 1;
    blocks_.resize(std::max(blocks_.size(), static_cast<size_t>(n_kept) * kBlockFloats));
  }
  float* const block =
      blocks_.data() + (is_kept ? static_cast<size_t>(first / kBlock) * kBlockFloats : 0);
  if (is_first_pass || !is_kept) lines_.Fill(scan_, first, count, block);
  return block;
}

void Page::StackLogits(const Stack& stack, const CancelFlag& cancel) {
  const int32_t n_lines = scan_.n_lines();
  const Regression& regression = stack.regression;
  const float* const word_weights = regression.word_weights.data();
  const uint32_t mask = regression.word_mask();
  lines_.Rewind();
  first_.resize(static_cast<size_t>(n_lines));
  second_.resize(static_cast<size_t>(n_lines));
  weights_.resize(static_cast<size_t>(n_lines));
  ForEachBlock(n_lines, cancel, [&](int32_t first, int32_t count) {
    const float* const columns = BlockOf(first, count, true);
    double shape[kBlock];
    regression.SumBins(columns, count, shape);
    for (int32_t at = 0; at < count; ++at) {
      const int32_t line = first + at;
      int64_t n_own = 0;
      int64_t n_near = 0;
      double own = 0;
      double near = 0;
      ForEachOwnWord(scan_, line, mask, [&](uint32_t id) {
        own += static_cast<double>(word_weights[id]);
        ++n_own;
      });
      ForEachNearWord(scan_, line, mask, [&](uint32_t id) {
        near += static_cast<double>(word_weights[id]);
        ++n_near;
      });
      first_[static_cast<size_t>(line)] =
          static_cast<float>(WordScale(n_own) * own + WordScale(n_near) * near + shape[at]);
      weights_[static_cast<size_t>(line)] = scan_.lines()[static_cast<size_t>(line)].Weight();
    }
  });
  first_logits_.Measure(first_, weights_);
  lines_.Rewind();
  float columns[(kLineFeatures + kLogitFeatures) * kBlock];
  ForEachBlock(n_lines, cancel, [&](int32_t first, int32_t count) {
    const float* const block = BlockOf(first, count, false);
    std::copy(block, block + kBlockFloats, columns);
    first_logits_.Fill(first, count, columns + kBlockFloats);
    stack.trees.Score(columns, count, second_.data() + first);
  });
}

std::vector<float> Page::NetworkLogits(const Scorer& scorer, const CancelFlag& cancel) {
  const Model& model = *scorer.model;
  const int32_t n_lines = scan_.n_lines();
  if (model.stack) {
    StackLogits(*model.stack, cancel);
    second_logits_.Measure(second_, weights_);
  }
  lines_.Rewind();
  const uint32_t mask = (1u << model.hash_bits) - 1;
  BagWriter bags(model);
  std::vector<float> columns(static_cast<size_t>(model.bins.n_features) * kBlock);
  ForEachBlock(n_lines, cancel, [&](int32_t first, int32_t count) {
    lines_.Fill(scan_, first, count, columns.data());
    if (model.stack) {
      first_logits_.Fill(first, count, columns.data() + kBlockFloats);
      second_logits_.Fill(first, count,
                          columns.data() + kBlockFloats + size_t{kLogitFeatures} * kBlock);
    }
    bags.SetColumns(columns.data(), count);
    for (int32_t at = 0; at < count; ++at) {
      bags.AddBinned(at);
      ids_.clear();
      ForEachOwnWord(scan_, first + at, mask, [&](uint32_t id) { ids_.push_back(id); });
      bags.CloseBag(ids_);
    }
  });
  const Bags all = bags.Finish();
  std::vector<float> logits(static_cast<size_t>(n_lines));
  for (const LineWindow& window : PlanLineWindows(n_lines, scorer.network->n_ctx())) {
    cancel.Check();
    const std::vector<float> found =
        scorer.network->Score({0, window.to - window.from}, Slice(all, window.from, window.to));
    std::copy(found.begin() + (window.first - window.from),
              found.begin() + (window.last - window.from), logits.begin() + window.first);
  }
  return logits;
}

std::vector<float> Page::ScoreLines(const Scorer& scorer, const CancelFlag& cancel,
                                    const SiteLines* site, std::vector<float>* alone) {
  const Model& model = *scorer.model;
  std::vector<float> own;
  double doubt = 0;
  if (model.has_network) {
    own = NetworkLogits(scorer, cancel);
  } else {
    StackLogits(*model.stack, cancel);
    own.resize(first_.size());
    for (size_t line = 0; line < own.size(); ++line) {
      own[line] = Blend(model.tree_share, first_[line], second_[line]);
    }
    const auto form_of = [&](size_t line) -> LineForm {
      const Line& of = scan_.lines()[line];
      return {of.Weight() - 1, of.own[kEndKind], of.own[kLogSeparators]};
    };
    doubt = DoubtOf(own, form_of);
    ProtectTitles(own, form_of);
  }
  for (float& score : own) score = model.calibration.Probability(score, doubt);
  const auto spread = [&] {
    std::vector<float> all(static_cast<size_t>(scan_.n_all_lines()));
    SpreadScores(own, all, [&](size_t line) { return scan_.lines()[line].index; });
    return all;
  };
  std::vector<float> factors(site == nullptr ? 0 : own.size());
  if (site != nullptr && SiteFactors(*site, scan_.lines(), factors)) {
    if (alone != nullptr) *alone = spread();
    for (size_t line = 0; line < own.size(); ++line) {
      if (factors[line] != 1) own[line] = TimesOdds(own[line], factors[line]);
    }
  }
  return spread();
}

namespace {

// Lines in the stretches of a removal that score no less than the threshold by themselves.
int32_t CountBySite(const Removal& removal, std::span<const float> alone, double threshold) {
  int32_t count = 0;
  if (removal.fate != Fate::kEdited) return count;
  for (size_t at = 0; at + 1 < removal.stretches.size(); at += 2) {
    const auto end = std::min(static_cast<size_t>(removal.stretches[at + 1]), alone.size());
    for (auto line = static_cast<size_t>(removal.stretches[at]); line < end; ++line) {
      count += static_cast<double>(alone[line]) >= threshold ? 1 : 0;
    }
  }
  return count;
}

}  // namespace

void PageRequest::Check() const {
  const auto n_documents = static_cast<int64_t>(offsets.size()) - 1;
  for (const int32_t document : docs) {
    if (document < 0 || document >= n_documents) {
      Refuse("docs", "0.." + std::to_string(n_documents - 1), std::to_string(document));
    }
    text::RowOf(data, offsets, static_cast<size_t>(document));
  }
  if (rules && !docs.empty()) {
    // Every page has the room that it lies in.
    const int64_t first = offsets[0];
    for (const int32_t document : docs) {
      const int64_t begin = offsets[static_cast<size_t>(document)];
      const int64_t end = offsets[static_cast<size_t>(document) + 1];
      if (begin < first || static_cast<size_t>(end - first) > output.size()) {
        Refuse("output", "at least as many bytes as the documents have",
               std::to_string(output.size()));
      }
    }
  }
  if (n_threads < 1 || n_threads > 512) {
    Refuse("nThreads", "1..512", std::to_string(n_threads));
  }
}

PageScores ScorePages(const PageRequest& request, const CancelFlag& cancel) {
  request.Check();
  PageScores scores;
  const size_t n_docs = request.docs.size();
  if (request.documents) scores.documents.resize(n_docs);
  if (request.lines && (!request.rules || request.keep_lines)) scores.lines.resize(n_docs);
  if (request.rules) {
    scores.removals.resize(n_docs);
    scores.n_lines.resize(n_docs);
    scores.n_chars.resize(n_docs);
    scores.chars_left.resize(n_docs);
    scores.by_site.resize(n_docs);
  }
  engine::ParallelForWith<PageLease>(
      request.n_threads, n_docs, 1, [&](PageLease& lease, size_t index) {
        Page& page = lease.page();
        cancel.Check();
        const auto document = static_cast<size_t>(request.docs[index]);
        const auto begin = static_cast<size_t>(request.offsets[document]);
        const auto end = static_cast<size_t>(request.offsets[document + 1]);
        const std::span<const uint8_t> text = request.data.subspan(begin, end - begin);
        TraceBytes("scorer", text.data(), text.size());
        page.Measure(text, cancel);
        bool stays = true;
        if (request.documents) {
          const float score = page.ScoreDocument(*request.documents);
          scores.documents[index] = score;
          stays = static_cast<double>(score) >= request.document_threshold;
        }
        if (request.lines && stays) {
          SiteLines site;
          std::vector<float> alone;
          const bool has_site = request.site_lines && request.site_lines(document, text, site);
          std::vector<float> lines =
              page.ScoreLines(*request.lines, cancel, has_site ? &site : nullptr, &alone);
          if (request.rules) {
            scores.n_lines[index] = static_cast<int32_t>(lines.size());
            TraceBytes("executor", text.data(), text.size());
            uint8_t* const into =
                request.output.data() + (request.offsets[document] - request.offsets[0]);
            Removal& removal = scores.removals[index];
            removal = RemoveLines(text, lines, *request.rules, into);
            scores.by_site[index] = CountBySite(removal, alone, request.rules->threshold);
            if (removal.fate == Fate::kEdited) {
              scores.chars_left[index] = static_cast<int32_t>(
                  text::CountCodePoints({into, static_cast<size_t>(removal.n_left)}));
            }
          }
          if (!scores.lines.empty()) scores.lines[index] = std::move(lines);
        }
        if (request.rules) {
          scores.n_chars[index] = static_cast<int32_t>(text::CountCodePoints(text));
        }
        page.Trim();
      });
  return scores;
}

}  // namespace gristmill::pages
