// The counts of a corpus by site, to be looked up: which of a site's lines stand on more than one
// of its pages, and on how many.
//
//     "GMSITES1"
//     lines      n × (u64 line, u32 pages)                   of each site by ascending line
//     strings    name, then n × (u64 line, u32 pages, u16 n, text), of each site
//     sites      n × SiteEntry                               by ascending hash of the name
//     u8…        meta, JSON of whoever made it
//     TableFoot  where all that begins, and the hash of it
//
// Little-endian, nothing aligned. Only lines on two pages or more are kept, and only sites that
// have one: what stands on one page says nothing. Texts are kept of a site's template, the lines on
// at least a fifth of its pages (and three, or all where it has fewer), up to kMostTexts: for
// people.
//
// The file is mapped and looked up where it lies; the hash is looked at when it is opened, every
// offset when it is used.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cancel.h"
#include "output_file.h"
#include "sites/part_file.h"

namespace gristmill::sites {

constexpr size_t kMostTexts = 256;

#pragma pack(push, 1)
struct LineEntry {
  uint64_t line;
  uint32_t pages;
};
struct SiteEntry {
  uint64_t site;
  uint64_t first_line;  // among all lines
  uint64_t strings_at;  // bytes into the strings
  uint32_t n_lines;
  uint32_t pages;
  uint32_t n_texts;
  uint32_t name_bytes;
};
struct TableFoot {
  uint64_t n_sites;  // with a line on two pages
  uint64_t n_lines;
  uint64_t strings_bytes;
  uint64_t meta_bytes;
  uint64_t all_sites;  // that were counted
  uint64_t all_pages;
  uint32_t version;  // of lines
  uint32_t zero;
  uint64_t hash;  // of all bytes before it
  char magic[8];
};
#pragma pack(pop)
static_assert(sizeof(LineEntry) == 12 && sizeof(SiteEntry) == 40 && sizeof(TableFoot) == 72);

// Least number of a site's pages that make a line part of its template.
uint32_t TemplatePages(uint32_t n_pages);

// Makes a table of merged parts. Throws RUN_OUTPUT_FAILED; nothing is left then.
class TableWriter : public SiteSink {
 public:
  explicit TableWriter(std::string path);
  void BeginSite(uint64_t site, std::string_view name) override;
  void Put(const Count& count) override;
  void EndCounts() override;
  void PutText(uint64_t line, std::string_view text) override;
  void EndSite() override;
  // The file has its name when this returns.
  TableFoot Close(std::string_view meta);

 private:
  void EndLine();
  void Write(const void* bytes, size_t n);
  void FlushHash();
  void Append(File& from);
  File OpenBeside(const char* what);
  void WriteBeside(File& file, const void* bytes, size_t n);

  std::string path_;
  OutputFile out_;
  std::vector<uint8_t> hashed_;
  File strings_;
  File sites_;
  TableFoot foot_{};
  SiteEntry site_{};
  std::string name_;
  uint64_t line_ = 0;
  uint64_t line_pages_ = 0;
  // A heap of the template's lines with the most pages; the least of them is at the front.
  std::vector<LineEntry> template_;
  std::vector<uint8_t> texts_;
};

struct SiteText {
  uint64_t line;
  uint32_t pages;
  std::string text;
};

// What a table says of a site.
struct SiteView {
  uint32_t pages = 0;
  std::span<const uint8_t> lines;  // entries

  // Pages that hold a line; 0 for lines on fewer than two.
  uint32_t PagesWith(uint64_t line) const;
};

class SiteTable {
 public:
  // Throws SITES_FILE_INVALID.
  explicit SiteTable(const std::string& path);
  ~SiteTable();
  SiteTable(const SiteTable&) = delete;
  SiteTable& operator=(const SiteTable&) = delete;

  const TableFoot& foot() const { return foot_; }
  std::string_view meta() const;
  // Without pages for a site that it does not know.
  SiteView Find(uint64_t site) const;
  // Lines of a site's template by falling number of pages; empty for a site that is not known.
  std::vector<SiteText> Texts(uint64_t site) const;
  // Names of the sites with the most pages, and their numbers.
  std::vector<std::pair<std::string, uint32_t>> Largest(size_t n) const;

 private:
  bool Entry(uint64_t site, SiteEntry& entry) const;
  SiteEntry EntryAt(uint64_t index) const;
  std::string_view NameOf(const SiteEntry& entry) const;
  [[noreturn]] void Fail(const std::string& reason) const;

  std::string path_;
  const uint8_t* bytes_ = nullptr;
  size_t n_bytes_ = 0;
  TableFoot foot_{};
  const uint8_t* lines_ = nullptr;
  const uint8_t* strings_ = nullptr;
  const uint8_t* sites_ = nullptr;
};

}  // namespace gristmill::sites
