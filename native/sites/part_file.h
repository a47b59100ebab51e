// Sorted counts on the disk: what counting spills, what a unit leaves behind, and what is merged.
//
//     "GMSPART1"  u32 version of lines  u32 0
//     frames      u32 bytes (at most 1 MiB)  u32 0  u64 hash  …bytes     the last one has no bytes
//
// The bytes of all frames are one stream, of sites by ascending hash:
//
//     u8 1  u64 site  u16 n  name
//        chunks  u32 n  n × (u64 line, u32 page)    ascending, each pair once; an empty chunk ends
//        them chunks  u32 n  n × (u64 line, u16 n, text) ascending, each line once; an empty chunk
//        ends them
//     u8 0
//
// The line 0 is the page itself: every page of a site has it. Little-endian. A frame's hash is
// looked at before its bytes are used; every length is held against what is there. Reading and
// writing take a buffer each, whatever the file holds.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cancel.h"

namespace gristmill::sites {

// A line on a page of a site.
struct Count {
  uint64_t line;
  uint32_t page;

  friend bool operator==(const Count&, const Count&) = default;
  friend bool operator<(const Count& left, const Count& right) {
    return left.line != right.line ? left.line < right.line : left.page < right.page;
  }
};

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

// Takes sites in order: BeginSite, Put…, EndCounts, PutText…, EndSite; then Close.
class SiteSink {
 public:
  virtual ~SiteSink() = default;
  virtual void BeginSite(uint64_t site, std::string_view name) = 0;
  virtual void Put(const Count& count) = 0;
  virtual void EndCounts() = 0;
  virtual void PutText(uint64_t line, std::string_view text) = 0;
  virtual void EndSite() = 0;
};

// Writes one. Throws RUN_OUTPUT_FAILED.
class PartWriter : public SiteSink {
 public:
  explicit PartWriter(std::string path);
  void BeginSite(uint64_t site, std::string_view name) override;
  void Put(const Count& count) override;
  void EndCounts() override;
  void PutText(uint64_t line, std::string_view text) override;
  void EndSite() override;
  // The file is on the disk when this returns. Returns its bytes.
  uint64_t Close(bool is_lasting);

 private:
  void Write(const void* bytes, size_t n);
  void Flush();
  void FlushCounts();
  void WriteRaw(const void* bytes, size_t n);
  [[noreturn]] void Fail(int error);

  std::string path_;
  File file_;
  std::vector<uint8_t> buffer_;
  std::vector<uint8_t> counts_;
  uint32_t n_counts_ = 0;
  uint64_t written_ = 0;
};

// Reads one, site after site. Throws SITES_FILE_INVALID.
class PartReader {
 public:
  explicit PartReader(std::string path);

  // Goes to the next site; false at the end.
  bool NextSite();
  uint64_t site() const { return site_; }
  const std::string& name() const { return name_; }

  // The counts of the site, then its texts; false behind the last one.
  bool NextCount();
  const Count& count() const { return count_; }
  bool NextText();
  uint64_t text_line() const { return text_line_; }
  const std::string& text() const { return text_; }

 private:
  void Read(void* into, size_t n);
  bool ReadFrame();
  template <typename T>
  T ReadNumber() {
    T value;
    Read(&value, sizeof value);
    return value;
  }
  [[noreturn]] void Fail(const std::string& reason) const;

  std::string path_;
  File file_;
  std::vector<uint8_t> buffer_;
  size_t at_ = 0;
  uint64_t site_ = 0;
  std::string name_;
  Count count_{};
  uint32_t counts_left_ = 0;
  uint64_t text_line_ = 0;
  std::string text_;
  uint32_t texts_left_ = 0;
  bool is_open_ = false;  // at a site
};

// Merges parts into a sink: a page that several parts have, and a text, come once. Reads all of
// them side by side: at most kMergeWidth.
constexpr size_t kMergeWidth = 64;
void MergeParts(std::span<const std::string> paths, SiteSink& sink, const CancelFlag& cancel);

}  // namespace gristmill::sites
