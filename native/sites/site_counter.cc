#include "sites/site_counter.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <numeric>

#include "engine/parallel.h"
#include "error.h"
#include "progress.h"
#include "sites/hash64.h"

namespace gristmill::sites {

namespace {

// Pages of a site, of a run, whose lines are kept as text, behind the first one: of a site with two
// or three pages that is every line on two of them, and a site of one page costs nothing.
constexpr uint32_t kSampledPages = 4;
constexpr size_t kTextBytes = 160;
// A run ends with so many sites, whatever it holds: corpora have millions of sites of one page.
constexpr size_t kRunSites = size_t{1} << 18;
// Rows that a thread takes at a time, and that are hashed before their records are put down.
constexpr size_t kRowsOfThread = 16;
constexpr size_t kRowsAtOnce = 4096;
constexpr size_t kBytesAtOnce = size_t{32} << 20;

// Sorts counts of one site. Hashes are spread evenly: once they lie in as many buckets as a few
// belong to each, by their upper bits, little is left to do. `spare` is room for it.
void SortCounts(std::span<Count> counts, std::vector<Count>& spare, std::vector<uint32_t>& starts) {
  constexpr size_t kFew = 48;
  constexpr size_t kPerBucket = 8;
  constexpr int kMostBits = 16;
  if (counts.size() < kFew) {
    std::sort(counts.begin(), counts.end());
    return;
  }
  const int bits =
      std::min(kMostBits, static_cast<int>(std::bit_width(counts.size() / kPerBucket)));
  const auto bucket_of = [&](const Count& count) { return count.line >> (64 - bits); };
  starts.assign((size_t{1} << bits) + 1, 0);
  for (const Count& count : counts) ++starts[bucket_of(count) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  spare.assign(counts.begin(), counts.end());
  for (const Count& count : spare) counts[starts[bucket_of(count)]++] = count;
  // Each start has become the end of its bucket.
  uint32_t begin = 0;
  for (size_t bucket = 0; bucket < (size_t{1} << bits); ++bucket) {
    const uint32_t end = starts[bucket];
    if (end - begin > 1) std::sort(counts.begin() + begin, counts.begin() + end);
    begin = end;
  }
}

// At most `limit` bytes, whole characters.
size_t CutAt(std::span<const uint8_t> text, size_t limit) {
  if (text.size() <= limit) return text.size();
  size_t at = limit;
  while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
  return at;
}

[[noreturn]] void Refuse(const std::string& option, const std::string& expected,
                         const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

void CheckOffsets(const char* name, std::span<const int32_t> offsets, size_t n_bytes) {
  if (offsets.empty()) Refuse(name, "at least one offset", "none");
  int32_t before = 0;
  for (size_t row = 0; row < offsets.size(); ++row) {
    const int32_t at = offsets[row];
    if (at < before || static_cast<size_t>(at) > n_bytes) {
      Refuse(std::string(name) + "[" + std::to_string(row) + "]",
             "ascending offsets inside the data", std::to_string(at));
    }
    before = at;
  }
}

}  // namespace

uint64_t SiteHash(std::string_view name) {
  return HashBytes({reinterpret_cast<const uint8_t*>(name.data()), name.size()}, 1);
}

void CountRequest::Check() const {
  CheckOffsets("offsets", offsets, data.size());
  CheckOffsets("nameStarts", name_starts, names.size());
  if (site_of.size() + 1 != offsets.size()) {
    Refuse("siteOf", std::to_string(offsets.size() - 1) + " elements",
           std::to_string(site_of.size()));
  }
  const auto n_names = static_cast<int64_t>(name_starts.size()) - 1;
  for (size_t row = 0; row < site_of.size(); ++row) {
    if (site_of[row] >= -1 && site_of[row] < n_names) continue;
    Refuse("siteOf[" + std::to_string(row) + "]", "-1.." + std::to_string(n_names - 1),
           std::to_string(site_of[row]));
  }
  for (size_t name = 0; name + 1 < name_starts.size(); ++name) {
    const int32_t length = name_starts[name + 1] - name_starts[name];
    if (length > 0 && length <= 512) continue;
    Refuse("names[" + std::to_string(name) + "]", "1..512 bytes", std::to_string(length));
  }
}

SiteCounter::SiteCounter(CounterOptions options) : options_(std::move(options)) {
  if (options_.run_records < 1) Refuse("runRecords", "at least 1", "0");
  if (options_.n_threads < 1 || options_.n_threads > 512) {
    Refuse("nThreads", "1..512", std::to_string(options_.n_threads));
  }
}

SiteCounter::~SiteCounter() {
  for (const std::string& run : runs_) std::remove(run.c_str());
}

uint32_t SiteCounter::SiteIndex(std::string_view name) {
  const uint64_t hash = SiteHash(name);
  const auto [found, is_new] = site_index_.try_emplace(hash, static_cast<uint32_t>(sites_.size()));
  if (is_new) sites_.push_back({hash, std::string(name)});
  return found->second;
}

void SiteCounter::Add(const CountRequest& request, const CancelFlag& cancel) {
  request.Check();
  const size_t n_rows = request.site_of.size();
  std::vector<PageLines> pages(std::min(n_rows, kRowsAtOnce));
  for (size_t first = 0; first < n_rows;) {
    cancel.Check();
    CountProgress();
    size_t end = first;
    while (end < n_rows && end - first < kRowsAtOnce &&
           (end == first || static_cast<size_t>(request.offsets[end + 1] -
                                                request.offsets[first]) <= kBytesAtOnce)) {
      ++end;
    }
    const auto text_of = [&](size_t row) {
      const auto begin = static_cast<size_t>(request.offsets[row]);
      return request.data.subspan(begin, static_cast<size_t>(request.offsets[row + 1]) - begin);
    };
    engine::ParallelForWith<LineNormaliser>(
        options_.n_threads, end - first, kRowsOfThread,
        [&](LineNormaliser& normaliser, size_t index) {
          if (request.site_of[first + index] < 0) return;
          PageLines& page = pages[index];
          page.hashes.clear();
          PageSignature signature;
          ForEachSiteLine(text_of(first + index), normaliser,
                          [&](int32_t, std::span<const uint8_t> line, uint64_t hash) {
                            page.hashes.push_back(hash);
                            signature.Add(hash, line.size());
                          });
          page.signature = signature.Value();
        });
    for (size_t row = first; row < end; ++row) {
      const int32_t own = request.site_of[row];
      if (own < 0) continue;
      const auto at = static_cast<size_t>(own);
      const auto name_at = static_cast<size_t>(request.name_starts[at]);
      const auto name_end = static_cast<size_t>(request.name_starts[at + 1]);
      PageLines& page = pages[row - first];
      // A page may be larger than a run: its records are spilled in between.
      if (sites_.size() >= kRunSites) Spill(cancel);
      const std::string_view name(reinterpret_cast<const char*>(request.names.data()) + name_at,
                                  name_end - name_at);
      uint32_t site = SiteIndex(name);
      records_.push_back({kPageLine, page.signature, site});
      for (const uint64_t hash : page.hashes) {
        if (records_.size() >= options_.run_records) {
          Spill(cancel);
          site = SiteIndex(name);
        }
        records_.push_back({hash, page.signature, site});
      }
      ++counts_.pages;
      counts_.lines += page.hashes.size();
      if (page.hashes.capacity() > size_t{1} << 16) page.hashes = {};
      KeepTexts(site, text_of(row));
    }
    first = end;
  }
}

void SiteCounter::KeepTexts(uint32_t site, std::span<const uint8_t> text) {
  Site& own = sites_[site];
  if (own.n_pages > kSampledPages || all_text_bytes_ >= options_.text_bytes) return;
  if (own.n_pages++ == 0) return;
  ForEachSiteLine(text, normaliser_, [&](int32_t, std::span<const uint8_t> line, uint64_t hash) {
    if (all_text_bytes_ >= options_.text_bytes) return;
    const size_t length = CutAt(line, kTextBytes);
    texts_.push_back({hash, site, static_cast<uint32_t>(length), text_bytes_.size()});
    text_bytes_.insert(text_bytes_.end(), line.begin(),
                       line.begin() + static_cast<std::ptrdiff_t>(length));
    all_text_bytes_ += length;
  });
}

void SiteCounter::WriteRun(SiteSink& sink, const CancelFlag& cancel) {
  std::vector<uint32_t> order(sites_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t left, uint32_t right) { return sites_[left].hash < sites_[right].hash; });
  // Records of a site next to each other: sorting them is quick then.
  std::vector<size_t> starts(sites_.size() + 1);
  for (const Record& record : records_) ++starts[record.site + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<Count> counts(records_.size());
  {
    std::vector<size_t> next(starts.begin(), starts.end() - 1);
    for (const Record& record : records_) counts[next[record.site]++] = {record.line, record.page};
  }
  std::sort(texts_.begin(), texts_.end(), [](const Text& left, const Text& right) {
    return left.site != right.site ? left.site < right.site : left.line < right.line;
  });
  std::vector<Count> spare;
  std::vector<uint32_t> bucket_starts;
  for (const uint32_t site : order) {
    cancel.Check();
    const auto begin = counts.begin() + static_cast<std::ptrdiff_t>(starts[site]);
    const auto end = counts.begin() + static_cast<std::ptrdiff_t>(starts[site + 1]);
    // A site without a record has lost them to the run before.
    if (begin == end) continue;
    SortCounts({begin, end}, spare, bucket_starts);
    sink.BeginSite(sites_[site].hash, sites_[site].name);
    for (auto at = begin; at != end; ++at) {
      if (at == begin || !(*at == at[-1])) sink.Put(*at);
    }
    sink.EndCounts();
    auto text =
        std::lower_bound(texts_.begin(), texts_.end(), site,
                         [](const Text& own, uint32_t wanted) { return own.site < wanted; });
    uint64_t last = kPageLine;
    for (; text != texts_.end() && text->site == site; ++text) {
      if (text->line != last)
        sink.PutText(text->line, {text_bytes_.data() + text->at, text->length});
      last = text->line;
    }
    sink.EndSite();
  }
  CountProgress();
}

void SiteCounter::Spill(const CancelFlag& cancel) {
  if (records_.empty()) return;
  const std::string path = options_.path + ".run" + std::to_string(n_runs_made_++);
  runs_.push_back(path);
  PartWriter writer(path);
  WriteRun(writer, cancel);
  writer.Close(false);
  counts_.records += records_.size();
  records_.clear();
  sites_.clear();
  site_index_.clear();
  texts_.clear();
  text_bytes_.clear();
}

PartCounts SiteCounter::Finish(const CancelFlag& cancel) {
  if (runs_.empty()) {
    PartWriter writer(options_.path);
    WriteRun(writer, cancel);
    counts_.records += records_.size();
    counts_.bytes = writer.Close(true);
  } else {
    Spill(cancel);
    PartWriter writer(options_.path);
    MergeManyParts(runs_, options_.path + ".merge", writer, cancel);
    counts_.bytes = writer.Close(true);
  }
  records_ = {};
  sites_.clear();
  return counts_;
}

void MergeManyParts(std::vector<std::string> paths, const std::string& work, SiteSink& sink,
                    const CancelFlag& cancel) {
  std::vector<std::string> made;
  const auto remove_made = [&] {
    for (const std::string& path : made) std::remove(path.c_str());
  };
  try {
    size_t n_made = 0;
    while (paths.size() > kMergeWidth) {
      std::vector<std::string> merged;
      for (size_t first = 0; first < paths.size(); first += kMergeWidth) {
        const size_t n = std::min(kMergeWidth, paths.size() - first);
        if (n == 1) {
          merged.push_back(paths[first]);
          continue;
        }
        const std::string path = work + std::to_string(n_made++);
        made.push_back(path);
        PartWriter writer(path);
        MergeParts({paths.data() + first, n}, writer, cancel);
        writer.Close(false);
        for (size_t index = first; index < first + n; ++index) {
          // What was made on the way is not needed twice.
          const auto own = std::find(made.begin(), made.end(), paths[index]);
          if (own == made.end()) continue;
          std::remove(paths[index].c_str());
          made.erase(own);
        }
        merged.push_back(path);
      }
      paths = std::move(merged);
    }
    MergeParts(paths, sink, cancel);
  } catch (...) {
    remove_made();
    throw;
  }
  remove_made();
}

}  // namespace gristmill::sites
