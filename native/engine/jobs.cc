#include "engine/jobs.h"

#include <algorithm>

#include "engine/parallel.h"

namespace gristmill::engine {

void CheckDocuments(const Documents& documents) {
  const auto invalid = [](const std::string& received) {
    throw CodedError("OPTION_INVALID", {{"option", "offsets"},
                                        {"expected", "ascending offsets inside the data"},
                                        {"received", received}});
  };
  if (documents.offsets.empty()) invalid("an empty array");
  int32_t last = 0;
  for (const int32_t offset : documents.offsets) {
    if (offset < last) invalid(std::to_string(offset) + " after " + std::to_string(last));
    last = offset;
  }
  if (static_cast<size_t>(last) > documents.data.size()) {
    invalid(std::to_string(last) + " for " + std::to_string(documents.data.size()) + " bytes");
  }
}

std::vector<size_t> LongestFirst(const std::vector<Tokens>& prompts,
                                 const std::vector<uint8_t>& flags) {
  std::vector<size_t> order;
  for (size_t index = 0; index < prompts.size(); ++index) {
    if ((flags[index] & kUnanswerable) == 0) order.push_back(index);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() > prompts[b].size(); });
  return order;
}

int32_t CommonPrefix(const std::vector<Tokens>& prompts, const std::vector<size_t>& order) {
  if (order.empty()) return 0;
  const Tokens& first = prompts[order.front()];
  size_t common = prompts[order.back()].size() - 1;  // the shortest
  for (const size_t index : order) {
    const Tokens& prompt = prompts[index];
    common = static_cast<size_t>(std::mismatch(first.begin(),
                                               first.begin() + static_cast<std::ptrdiff_t>(common),
                                               prompt.begin())
                                     .first -
                                 first.begin());
  }
  return static_cast<int32_t>(common);
}

void PlanJob::Prepare(const TextContext& context) {
  const int64_t started = NowNs();
  std::vector<std::vector<text::Window>> planned(docs.size());
  ParallelFor(context.n_threads, docs.size(), 1, [&](size_t index) {
    if (cancelled) throw CodedError("ABORTED", {{"what", "window planning"}});
    const auto lines = text::SplitLines(documents.At(docs[index]));
    std::vector<int64_t> sizes(lines.size());
    std::string rendered;
    for (size_t line = 0; line < lines.size(); ++line) {
      rendered.clear();
      format.AppendMarker(rendered, static_cast<int32_t>(line));
      rendered += lines[line];
      sizes[line] = in_characters ? text::CountCharacters(rendered)
                                  : static_cast<int64_t>(context.tokenizer.Plain(rendered).size()) +
                                        (count_bos ? 1 : 0);
    }
    planned[index] = text::PlanWindows(sizes, rule);
  });
  for (size_t index = 0; index < docs.size(); ++index) {
    for (const text::Window& window : planned[index]) {
      doc.push_back(docs[index]);
      line_start.push_back(window.line_start);
      own_start.push_back(window.own_start);
      line_end.push_back(window.line_end);
      size.push_back(static_cast<int32_t>(std::min<int64_t>(window.size, INT32_MAX)));
      oversize.push_back(window.oversize ? 1 : 0);
    }
  }
  context.counters.tokenize_ns += NowNs() - started;
}

}  // namespace gristmill::engine
