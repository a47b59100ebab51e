#include "sites/site_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>

#include "error.h"
#include "progress.h"
#include "sites/hash64.h"
#include "sites/site_lines.h"

namespace gristmill::sites {

namespace {

constexpr char kMagic[8] = {'G', 'M', 'S', 'I', 'T', 'E', 'S', '1'};
// The hash of a file is that of its blocks, one after another.
constexpr size_t kHashBlock = size_t{1} << 20;
constexpr size_t kTextHead = 14;

uint32_t Capped(uint64_t count) {
  return static_cast<uint32_t>(std::min<uint64_t>(count, std::numeric_limits<uint32_t>::max()));
}

// Of a template's lines, the ones with the most pages; of equals the least.
bool IsBefore(const LineEntry& left, const LineEntry& right) {
  return left.pages != right.pages ? left.pages > right.pages : left.line < right.line;
}

}  // namespace

uint32_t TemplatePages(uint32_t n_pages) {
  if (n_pages <= 3) return 2;
  return std::max<uint32_t>(3, (n_pages + 4) / 5);
}

TableWriter::TableWriter(std::string path)
    : path_(std::move(path)), out_(path_, "RUN_OUTPUT_FAILED") {
  strings_ = OpenBeside("strings");
  sites_ = OpenBeside("sites");
  hashed_.reserve(kHashBlock);
  Write(kMagic, sizeof kMagic);
}

// A file that nobody else sees, gone with this process.
File TableWriter::OpenBeside(const char* what) {
  const std::string path = path_ + "." + what + "." + std::to_string(getpid());
  File file(std::fopen(path.c_str(), "wb+"));
  if (!file) {
    throw CodedError("RUN_OUTPUT_FAILED", {{"path", path}, {"reason", std::strerror(errno)}});
  }
  std::remove(path.c_str());
  return file;
}

void TableWriter::WriteBeside(File& file, const void* bytes, size_t n) {
  if (n == 0 || std::fwrite(bytes, 1, n, file.get()) == n) return;
  throw CodedError("RUN_OUTPUT_FAILED", {{"path", path_}, {"reason", std::strerror(errno)}});
}

void TableWriter::FlushHash() {
  if (hashed_.empty()) return;
  foot_.hash = HashBytes(hashed_, foot_.hash);
  out_.Write(hashed_.data(), hashed_.size());
  hashed_.clear();
}

void TableWriter::Write(const void* bytes, size_t n) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  while (n > 0) {
    const size_t taken = std::min(n, kHashBlock - hashed_.size());
    hashed_.insert(hashed_.end(), from, from + taken);
    from += taken;
    n -= taken;
    if (hashed_.size() == kHashBlock) FlushHash();
  }
}

void TableWriter::BeginSite(uint64_t site, std::string_view name) {
  site_ = {};
  site_.site = site;
  site_.first_line = foot_.n_lines;
  site_.strings_at = foot_.strings_bytes;
  name_ = name;
  line_ = kPageLine;
  line_pages_ = 0;
  template_.clear();
  texts_.clear();
}

void TableWriter::EndLine() {
  const uint32_t pages = Capped(line_pages_);
  if (line_ == kPageLine) {
    site_.pages = pages;
    ++foot_.all_sites;
    foot_.all_pages += line_pages_;
    return;
  }
  if (pages < 2 || site_.n_lines == std::numeric_limits<uint32_t>::max()) return;
  const LineEntry entry{line_, pages};
  Write(&entry, sizeof entry);
  ++site_.n_lines;
  if (pages < TemplatePages(site_.pages)) return;
  if (template_.size() < kMostTexts) {
    template_.push_back(entry);
    std::push_heap(template_.begin(), template_.end(), IsBefore);
  } else if (IsBefore(entry, template_.front())) {
    std::pop_heap(template_.begin(), template_.end(), IsBefore);
    template_.back() = entry;
    std::push_heap(template_.begin(), template_.end(), IsBefore);
  }
}

void TableWriter::Put(const Count& count) {
  if (count.line != line_) {
    EndLine();
    line_ = count.line;
    line_pages_ = 0;
  }
  ++line_pages_;
}

void TableWriter::EndCounts() {
  EndLine();
  std::sort(template_.begin(), template_.end(),
            [](const LineEntry& left, const LineEntry& right) { return left.line < right.line; });
}

void TableWriter::PutText(uint64_t line, std::string_view text) {
  const auto found =
      std::lower_bound(template_.begin(), template_.end(), line,
                       [](const LineEntry& entry, uint64_t wanted) { return entry.line < wanted; });
  if (found == template_.end() || found->line != line) return;
  const auto length = static_cast<uint16_t>(text.size());
  uint8_t head[kTextHead];
  std::memcpy(head, &line, 8);
  std::memcpy(head + 8, &found->pages, 4);
  std::memcpy(head + 12, &length, 2);
  texts_.insert(texts_.end(), head, head + kTextHead);
  texts_.insert(texts_.end(), text.begin(), text.end());
  ++site_.n_texts;
}

void TableWriter::EndSite() {
  if (site_.n_lines == 0) return;
  site_.name_bytes = static_cast<uint32_t>(name_.size());
  foot_.n_lines += site_.n_lines;
  foot_.strings_bytes += name_.size() + texts_.size();
  ++foot_.n_sites;
  WriteBeside(strings_, name_.data(), name_.size());
  WriteBeside(strings_, texts_.data(), texts_.size());
  WriteBeside(sites_, &site_, sizeof site_);
}

void TableWriter::Append(File& from) {
  std::rewind(from.get());
  std::vector<uint8_t> block(kHashBlock);
  for (;;) {
    const size_t n = std::fread(block.data(), 1, block.size(), from.get());
    if (n == 0) break;
    Write(block.data(), n);
    CountProgress();
  }
  if (std::ferror(from.get()) != 0) {
    throw CodedError("RUN_OUTPUT_FAILED", {{"path", path_}, {"reason", std::strerror(errno)}});
  }
}

TableFoot TableWriter::Close(std::string_view meta) {
  Append(strings_);
  Append(sites_);
  Write(meta.data(), meta.size());
  foot_.meta_bytes = meta.size();
  foot_.version = kLineVersion;
  FlushHash();
  // The numbers of the foot are hashed as well.
  foot_.hash =
      HashBytes({reinterpret_cast<const uint8_t*>(&foot_), offsetof(TableFoot, hash)}, foot_.hash);
  std::memcpy(foot_.magic, kMagic, sizeof kMagic);
  out_.Write(&foot_, sizeof foot_);
  out_.Commit();
  return foot_;
}

uint32_t SiteView::PagesWith(uint64_t line) const {
  size_t low = 0;
  size_t high = lines.size() / sizeof(LineEntry);
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    LineEntry entry;
    std::memcpy(&entry, lines.data() + middle * sizeof entry, sizeof entry);
    if (entry.line == line) return entry.pages;
    if (entry.line < line) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return 0;
}

SiteTable::SiteTable(const std::string& path) : path_(path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) Fail(std::strerror(errno));
  struct stat found {};
  const bool is_file = fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode);
  if (is_file) n_bytes_ = static_cast<size_t>(found.st_size);
  void* mapped = MAP_FAILED;
  if (is_file && n_bytes_ > 0) {
    mapped = mmap(nullptr, n_bytes_, PROT_READ, MAP_SHARED, descriptor, 0);
  }
  close(descriptor);
  if (mapped == MAP_FAILED) Fail("it is no file of counts by site");
  bytes_ = static_cast<const uint8_t*>(mapped);
  try {
    if (n_bytes_ < sizeof kMagic + sizeof foot_ ||
        std::memcmp(bytes_, kMagic, sizeof kMagic) != 0) {
      Fail("it is no file of counts by site");
    }
    const size_t body = n_bytes_ - sizeof foot_;
    std::memcpy(&foot_, bytes_ + body, sizeof foot_);
    if (std::memcmp(foot_.magic, kMagic, sizeof kMagic) != 0) Fail("it is cut off");
    if (foot_.version != kLineVersion) {
      Fail("its lines are of version " + std::to_string(foot_.version) + ", not " +
           std::to_string(kLineVersion));
    }
    const uint64_t limit = n_bytes_;
    if (foot_.n_lines > limit / sizeof(LineEntry) || foot_.n_sites > limit / sizeof(SiteEntry) ||
        foot_.strings_bytes > limit || foot_.meta_bytes > limit ||
        sizeof kMagic + foot_.n_lines * sizeof(LineEntry) + foot_.strings_bytes +
                foot_.n_sites * sizeof(SiteEntry) + foot_.meta_bytes !=
            body) {
      Fail("its parts do not add up to its bytes");
    }
    uint64_t hash = 0;
    for (size_t at = 0; at < body; at += kHashBlock) {
      hash = HashBytes({bytes_ + at, std::min(kHashBlock, body - at)}, hash);
      CountProgress();
    }
    hash = HashBytes({bytes_ + body, offsetof(TableFoot, hash)}, hash);
    if (hash != foot_.hash) Fail("it is damaged: its hash is another one");
    lines_ = bytes_ + sizeof kMagic;
    strings_ = lines_ + foot_.n_lines * sizeof(LineEntry);
    sites_ = strings_ + foot_.strings_bytes;
  } catch (...) {
    munmap(mapped, n_bytes_);
    throw;
  }
}

SiteTable::~SiteTable() {
  if (bytes_ != nullptr) munmap(const_cast<uint8_t*>(bytes_), n_bytes_);
}

void SiteTable::Fail(const std::string& reason) const {
  throw CodedError("SITES_FILE_INVALID", {{"file", path_}, {"reason", reason}});
}

std::string_view SiteTable::meta() const {
  return {reinterpret_cast<const char*>(sites_ + foot_.n_sites * sizeof(SiteEntry)),
          static_cast<size_t>(foot_.meta_bytes)};
}

SiteEntry SiteTable::EntryAt(uint64_t index) const {
  SiteEntry entry;
  std::memcpy(&entry, sites_ + index * sizeof entry, sizeof entry);
  if (entry.first_line > foot_.n_lines || entry.n_lines > foot_.n_lines - entry.first_line ||
      entry.strings_at > foot_.strings_bytes ||
      entry.name_bytes > foot_.strings_bytes - entry.strings_at) {
    Fail("a site's lines lie outside of it");
  }
  return entry;
}

bool SiteTable::Entry(uint64_t site, SiteEntry& entry) const {
  uint64_t low = 0;
  uint64_t high = foot_.n_sites;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    uint64_t own;
    std::memcpy(&own, sites_ + middle * sizeof(SiteEntry), sizeof own);
    if (own == site) {
      entry = EntryAt(middle);
      return true;
    }
    if (own < site) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

SiteView SiteTable::Find(uint64_t site) const {
  SiteEntry entry;
  if (!Entry(site, entry)) return {};
  return {
      entry.pages,
      {lines_ + entry.first_line * sizeof(LineEntry), size_t{entry.n_lines} * sizeof(LineEntry)}};
}

std::string_view SiteTable::NameOf(const SiteEntry& entry) const {
  return {reinterpret_cast<const char*>(strings_ + entry.strings_at), entry.name_bytes};
}

std::vector<SiteText> SiteTable::Texts(uint64_t site) const {
  std::vector<SiteText> texts;
  SiteEntry entry;
  if (!Entry(site, entry)) return texts;
  const uint8_t* at = strings_ + entry.strings_at + entry.name_bytes;
  for (uint32_t index = 0; index < std::min<uint32_t>(entry.n_texts, kMostTexts); ++index) {
    if (sites_ - at < static_cast<std::ptrdiff_t>(kTextHead)) Fail("a text lies outside of it");
    SiteText text;
    uint16_t length;
    std::memcpy(&text.line, at, 8);
    std::memcpy(&text.pages, at + 8, 4);
    std::memcpy(&length, at + 12, 2);
    at += kTextHead;
    if (sites_ - at < length) Fail("a text lies outside of it");
    text.text.assign(reinterpret_cast<const char*>(at), length);
    at += length;
    texts.push_back(std::move(text));
  }
  std::sort(texts.begin(), texts.end(), [](const SiteText& left, const SiteText& right) {
    return left.pages != right.pages ? left.pages > right.pages : left.line < right.line;
  });
  return texts;
}

std::vector<std::pair<std::string, uint32_t>> SiteTable::Largest(size_t n) const {
  std::vector<std::pair<uint32_t, uint64_t>> heap;
  const auto is_before = [](const auto& left, const auto& right) {
    return left.first != right.first ? left.first > right.first : left.second < right.second;
  };
  for (uint64_t index = 0; index < foot_.n_sites && n > 0; ++index) {
    const std::pair<uint32_t, uint64_t> own{EntryAt(index).pages, index};
    if (heap.size() == n && !is_before(own, heap.front())) continue;
    if (heap.size() == n) {
      std::pop_heap(heap.begin(), heap.end(), is_before);
      heap.pop_back();
    }
    heap.push_back(own);
    std::push_heap(heap.begin(), heap.end(), is_before);
  }
  std::sort_heap(heap.begin(), heap.end(), is_before);
  std::vector<std::pair<std::string, uint32_t>> largest;
  for (const auto& [pages, index] : heap) largest.emplace_back(NameOf(EntryAt(index)), pages);
  return largest;
}

}  // namespace gristmill::sites
