// Counting the lines of pages by site: pages in, a part (part_file.h) out.
//
// A line counts once for a page, and once for all pages of one signature (site_lines.h). What is
// counted is kept as records of sixteen bytes; as many as fit are sorted and spilled, and the
// spilled runs merged in the end, so that memory is bounded whatever is counted:
//
//     rows ──► hashes by thread ──► records, in order ──► sorted run ─┐
//                                                 └─────► sorted run ─┴─► part
//
// The part is a function of the rows and their sites alone: of no thread, no bound of memory.
// Texts of lines are kept of the first pages of each site, up to a bound for the part; they are for
// people to look at, and depend on where runs end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cancel.h"
#include "sites/part_file.h"
#include "sites/site_lines.h"

namespace gristmill::sites {

struct CounterOptions {
  std::string path;  // of the part; runs lie beside it while it is made
  // Records of a run: 16 bytes each, and as many again while it is sorted.
  size_t run_records = size_t{1} << 22;
  // Bytes of all texts of lines.
  size_t text_bytes = size_t{8} << 20;
  int32_t n_threads = 1;
};

struct CountRequest {
  std::span<const uint8_t> data;
  std::span<const int32_t> offsets;
  std::span<const int32_t> site_of;  // by row; -1: the row is not counted
  std::span<const uint8_t> names;    // of the sites that site_of speaks of, one after another
  std::span<const int32_t> name_starts;

  // Throws OPTION_INVALID naming the offset or the row.
  void Check() const;
};

struct PartCounts {
  uint64_t pages = 0;    // with a site
  uint64_t lines = 0;    // on them, repeated ones included
  uint64_t records = 0;  // that the part was made of
  uint64_t bytes = 0;    // of the part
};

class SiteCounter {
 public:
  explicit SiteCounter(CounterOptions options);
  ~SiteCounter();
  SiteCounter(const SiteCounter&) = delete;
  SiteCounter& operator=(const SiteCounter&) = delete;

  void Add(const CountRequest& request, const CancelFlag& cancel);
  PartCounts Finish(const CancelFlag& cancel);

 private:
  struct Record {
    uint64_t line;
    uint32_t page;
    uint32_t site;
  };
  struct Text {
    uint64_t line;
    uint32_t site;
    uint32_t length;
    size_t at;
  };
  struct Site {
    uint64_t hash;
    std::string name;
    uint32_t n_pages = 0;  // up to those whose texts are kept
  };
  struct PageLines {
    std::vector<uint64_t> hashes;
    uint32_t signature = 0;
  };

  uint32_t SiteIndex(std::string_view name);
  void KeepTexts(uint32_t site, std::span<const uint8_t> text);
  void Spill(const CancelFlag& cancel);
  void WriteRun(SiteSink& sink, const CancelFlag& cancel);

  CounterOptions options_;
  std::vector<Record> records_;
  std::vector<Site> sites_;
  std::unordered_map<uint64_t, uint32_t> site_index_;
  std::vector<Text> texts_;
  std::vector<char> text_bytes_;
  size_t all_text_bytes_ = 0;
  LineNormaliser normaliser_;
  std::vector<std::string> runs_;
  size_t n_runs_made_ = 0;
  PartCounts counts_;
};

// The sites' key: a hash of the name.
uint64_t SiteHash(std::string_view name);

// Merges any number of parts: ones beyond kMergeWidth by way of parts beside `work`, which are
// removed.
void MergeManyParts(std::vector<std::string> paths, const std::string& work, SiteSink& sink,
                    const CancelFlag& cancel);

}  // namespace gristmill::sites
