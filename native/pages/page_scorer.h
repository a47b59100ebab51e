// Scores of documents and of their lines: one scan of a page serves both.
//
//     bytes ──► scan ──► features ──┬─► document model ──► below its threshold: no more is asked
//                                   └─► line model ──► a score for every line
//
// A page is worked on by one thread from its bytes to its scores; threads share the models, which
// are read only, and a counter that hands pages out. A page's scores depend on nothing but the
// page. Models whose verdict is a network's hand their bags to a Network, which may make callers
// wait for each other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cancel.h"
#include "pages/calibration.h"
#include "pages/document_features.h"
#include "pages/line_features.h"
#include "pages/line_removal.h"
#include "pages/logit_features.h"
#include "pages/page_scan.h"
#include "pages/site_evidence.h"
#include "pages/stack.h"

namespace gristmill::pages {

// A regression and trees with the arrays they look into.
struct Stack {
  std::vector<float> word_weights;
  std::vector<float> bin_weights;
  Regression regression;  // views of the two
  Trees trees;
};

// What a scoring model's encoder says; src/lines/encoder-file.ts reads it from the model's file.
struct Model {
  bool of_documents = false;
  bool has_network = false;
  double tree_share = 0;
  int32_t hash_bits = 0;
  Bins bins;  // of a network's bags
  std::shared_ptr<const Stack> stack;
  Calibration calibration;

  // Throws OPTION_INVALID when its parts do not fit each other or the features of this version.
  void Check() const;
};

// Consecutive positions of a network: entries [starts[p], starts[p + 1]) of rows and weights.
struct Bags {
  std::vector<int32_t> starts;
  std::vector<int32_t> ids;
  std::vector<float> weights;
};

// A network over bags; a call is one or more windows of at most n_ctx() positions.
class Network {
 public:
  virtual ~Network() = default;
  virtual int32_t n_ctx() const = 0;
  // Log-odds of every position; from any thread.
  virtual std::vector<float> Score(std::vector<int32_t> window_starts, Bags bags) = 0;
};

// A model with what computes it; `network` is null where there is none.
struct Scorer {
  std::shared_ptr<const Model> model;
  std::shared_ptr<Network> network;
};

// The features of a page, and what is needed to make them; used for one page after another.
class Page {
 public:
  void Measure(std::span<const uint8_t> text, const CancelFlag& cancel);
  // Gives memory back that only a long page needs.
  void Trim();

  float ScoreDocument(const Scorer& scorer);
  // One for every line, blank ones included. Where its site says something of it, `alone` is given
  // what the page alone says; otherwise it is left as it is.
  std::vector<float> ScoreLines(const Scorer& scorer, const CancelFlag& cancel,
                                const SiteLines* site = nullptr,
                                std::vector<float>* alone = nullptr);

  PageScan& scan() { return scan_; }
  LineFeatures& lines() { return lines_; }
  DocumentFeatures& documents() { return documents_; }

 private:
  // Log-odds of both of a stack's models, by line that is not blank.
  void StackLogits(const Stack& stack, const CancelFlag& cancel);
  std::vector<float> NetworkLogits(const Scorer& scorer, const CancelFlag& cancel);
  // Line features of a block: kept ones, or made.
  const float* BlockOf(int32_t first, int32_t count, bool is_first_pass);

  PageScan scan_;
  LineFeatures lines_;
  DocumentFeatures documents_;
  LogitFeatures first_logits_;
  LogitFeatures second_logits_;
  std::vector<float> first_;
  std::vector<float> second_;
  std::vector<double> weights_;
  std::vector<float> blocks_;
  std::vector<uint32_t> ids_;
};

struct PageRequest {
  std::span<const uint8_t> data;
  std::span<const int32_t> offsets;  // of all documents and the end
  std::span<const int32_t> docs;     // which of them
  std::optional<Scorer> documents;
  std::optional<Scorer> lines;
  // The lines of documents that score below are not asked for.
  double document_threshold = 0;
  // What to make of the scores of lines; without it they are given as they are.
  std::optional<RemovalRules> rules;
  // Where edited pages are written: each where it lies in `data` behind the first offset.
  std::span<uint8_t> output;
  // Give the scores of lines beside what was made of them.
  bool keep_lines = false;
  // What the site of a document says of its lines; false where nothing is known. From any thread.
  std::function<bool(size_t document, std::span<const uint8_t> text, SiteLines& into)> site_lines;
  int32_t n_threads = 1;

  // Throws OPTION_INVALID naming the offset or the document.
  void Check() const;
};

// By requested document.
struct PageScores {
  std::vector<float> documents;
  std::vector<std::vector<float>> lines;  // none of those that fell, nor with rules unless kept
  // With rules.
  std::vector<Removal> removals;
  std::vector<int32_t> n_lines;     // that were scored
  std::vector<int32_t> n_chars;     // code points
  std::vector<int32_t> chars_left;  // of edited pages
  // Lines that go, and that the page alone would have kept.
  std::vector<int32_t> by_site;
};

// Throws ABORTED, and what a network throws.
PageScores ScorePages(const PageRequest& request, const CancelFlag& cancel);

}  // namespace gristmill::pages
