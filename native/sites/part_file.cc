#include "sites/part_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"
#include "progress.h"
#include "sites/hash64.h"
#include "sites/site_lines.h"

namespace gristmill::sites {

namespace {

constexpr char kMagic[8] = {'G', 'M', 'S', 'P', 'A', 'R', 'T', '1'};
constexpr size_t kFrameBytes = size_t{1} << 18;
constexpr size_t kMostFrameBytes = size_t{1} << 20;
constexpr size_t kCountBytes = 12;
constexpr uint32_t kChunkCounts = 1024;
// Merging looks at the cancel word, and says that it moves, so often.
constexpr uint64_t kCountsBetweenLooks = 65536;

struct FrameHead {
  uint32_t bytes;
  uint32_t zero;
  uint64_t hash;
};
static_assert(sizeof(FrameHead) == 16);

struct PartHead {
  char magic[8];
  uint32_t version;
  uint32_t zero;
};
static_assert(sizeof(PartHead) == 16);

}  // namespace

PartWriter::PartWriter(std::string path)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wb")) {
  if (!file_) Fail(errno);
  buffer_.reserve(kFrameBytes + 64);
  PartHead head{};
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  head.version = kLineVersion;
  WriteRaw(&head, sizeof head);
}

void PartWriter::Fail(int error) {
  throw CodedError("RUN_OUTPUT_FAILED", {{"path", path_}, {"reason", std::strerror(error)}});
}

void PartWriter::WriteRaw(const void* bytes, size_t n) {
  if (n > 0 && std::fwrite(bytes, 1, n, file_.get()) != n) Fail(errno);
  written_ += n;
}

void PartWriter::Write(const void* bytes, size_t n) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  buffer_.insert(buffer_.end(), from, from + n);
  if (buffer_.size() >= kFrameBytes) Flush();
}

void PartWriter::Flush() {
  for (size_t at = 0; at < buffer_.size();) {
    const size_t n = std::min(kMostFrameBytes, buffer_.size() - at);
    const FrameHead head{static_cast<uint32_t>(n), 0, HashBytes({buffer_.data() + at, n})};
    WriteRaw(&head, sizeof head);
    WriteRaw(buffer_.data() + at, n);
    at += n;
  }
  buffer_.clear();
}

void PartWriter::BeginSite(uint64_t site, std::string_view name) {
  const uint8_t tag = 1;
  const auto length = static_cast<uint16_t>(name.size());
  Write(&tag, 1);
  Write(&site, sizeof site);
  Write(&length, sizeof length);
  Write(name.data(), length);
}

void PartWriter::Put(const Count& count) {
  uint8_t bytes[kCountBytes];
  std::memcpy(bytes, &count.line, 8);
  std::memcpy(bytes + 8, &count.page, 4);
  counts_.insert(counts_.end(), bytes, bytes + kCountBytes);
  if (++n_counts_ == kChunkCounts) FlushCounts();
}

void PartWriter::FlushCounts() {
  if (n_counts_ == 0) return;
  Write(&n_counts_, sizeof n_counts_);
  Write(counts_.data(), counts_.size());
  counts_.clear();
  n_counts_ = 0;
}

void PartWriter::EndCounts() {
  FlushCounts();
  const uint32_t none = 0;
  Write(&none, sizeof none);
}

void PartWriter::PutText(uint64_t line, std::string_view text) {
  const uint32_t one = 1;
  const auto length = static_cast<uint16_t>(text.size());
  Write(&one, sizeof one);
  Write(&line, sizeof line);
  Write(&length, sizeof length);
  Write(text.data(), length);
}

void PartWriter::EndSite() {
  const uint32_t none = 0;
  Write(&none, sizeof none);
}

uint64_t PartWriter::Close(bool is_lasting) {
  const uint8_t end = 0;
  Write(&end, 1);
  Flush();
  const FrameHead last{};
  WriteRaw(&last, sizeof last);
  if (std::fflush(file_.get()) != 0) Fail(errno);
  if (is_lasting && fsync(fileno(file_.get())) != 0) Fail(errno);
  if (std::fclose(file_.release()) != 0) Fail(errno);
  return written_;
}

PartReader::PartReader(std::string path)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "rb")) {
  if (!file_) Fail(std::strerror(errno));
  // Frames are read whole.
  std::setvbuf(file_.get(), nullptr, _IONBF, 0);
  PartHead head{};
  if (std::fread(&head, 1, sizeof head, file_.get()) != sizeof head ||
      std::memcmp(head.magic, kMagic, sizeof kMagic) != 0 || head.zero != 0) {
    Fail("it is no part of counts");
  }
  if (head.version != kLineVersion) {
    Fail("its lines are of version " + std::to_string(head.version) + ", not " +
         std::to_string(kLineVersion));
  }
}

void PartReader::Fail(const std::string& reason) const {
  throw CodedError("SITES_FILE_INVALID", {{"file", path_}, {"reason", reason}});
}

bool PartReader::ReadFrame() {
  FrameHead head{};
  if (std::fread(&head, 1, sizeof head, file_.get()) != sizeof head) Fail("it is cut off");
  if (head.zero != 0 || (head.bytes == 0 && head.hash != 0)) Fail("a frame is damaged");
  if (head.bytes == 0) return false;
  if (head.bytes > kMostFrameBytes) Fail("a frame is too long");
  buffer_.resize(head.bytes);
  if (std::fread(buffer_.data(), 1, head.bytes, file_.get()) != head.bytes) Fail("it is cut off");
  if (HashBytes(buffer_) != head.hash) Fail("a frame is damaged");
  at_ = 0;
  return true;
}

void PartReader::Read(void* into, size_t n) {
  auto* to = static_cast<uint8_t*>(into);
  while (n > 0) {
    if (at_ == buffer_.size() && !ReadFrame()) Fail("it ends too early");
    const size_t taken = std::min(n, buffer_.size() - at_);
    std::memcpy(to, buffer_.data() + at_, taken);
    at_ += taken;
    to += taken;
    n -= taken;
  }
}

bool PartReader::NextSite() {
  const uint64_t before = site_;
  if (ReadNumber<uint8_t>() == 0) {
    if (at_ != buffer_.size() || ReadFrame()) Fail("it goes on behind its end");
    return false;
  }
  site_ = ReadNumber<uint64_t>();
  name_.resize(ReadNumber<uint16_t>());
  Read(name_.data(), name_.size());
  if (is_open_ && site_ <= before) Fail("its sites are not in order");
  is_open_ = true;
  count_ = {};
  return true;
}

bool PartReader::NextCount() {
  if (counts_left_ == 0) {
    counts_left_ = ReadNumber<uint32_t>();
    if (counts_left_ == 0) return false;
  }
  --counts_left_;
  uint8_t bytes[kCountBytes];
  if (buffer_.size() - at_ >= kCountBytes) {
    std::memcpy(bytes, buffer_.data() + at_, kCountBytes);
    at_ += kCountBytes;
  } else {
    Read(bytes, kCountBytes);
  }
  std::memcpy(&count_.line, bytes, 8);
  std::memcpy(&count_.page, bytes + 8, 4);
  return true;
}

bool PartReader::NextText() {
  if (texts_left_ == 0) {
    texts_left_ = ReadNumber<uint32_t>();
    if (texts_left_ == 0) return false;
  }
  --texts_left_;
  text_line_ = ReadNumber<uint64_t>();
  text_.resize(ReadNumber<uint16_t>());
  Read(text_.data(), text_.size());
  return true;
}

namespace {

// A binary heap of readers by a key; the least one is at the front.
template <typename Less>
class ReaderHeap {
 public:
  explicit ReaderHeap(Less less) : less_(less) {}
  bool empty() const { return readers_.empty(); }
  PartReader* least() const { return readers_.front(); }
  void Push(PartReader* reader) {
    readers_.push_back(reader);
    std::push_heap(readers_.begin(), readers_.end(), After());
  }
  void Pop() {
    std::pop_heap(readers_.begin(), readers_.end(), After());
    readers_.pop_back();
  }
  // The least one has moved on: puts it where it belongs, which mostly is where it was.
  void Sift() {
    size_t at = 0;
    PartReader* const moved = readers_[0];
    for (;;) {
      size_t child = 2 * at + 1;
      if (child >= readers_.size()) break;
      if (child + 1 < readers_.size() && less_(*readers_[child + 1], *readers_[child])) ++child;
      if (!less_(*readers_[child], *moved)) break;
      readers_[at] = readers_[child];
      at = child;
    }
    readers_[at] = moved;
  }

 private:
  auto After() const {
    return [this](const PartReader* left, const PartReader* right) { return less_(*right, *left); };
  }
  Less less_;
  std::vector<PartReader*> readers_;
};

}  // namespace

void MergeParts(std::span<const std::string> paths, SiteSink& sink, const CancelFlag& cancel) {
  std::vector<std::unique_ptr<PartReader>> readers;
  ReaderHeap by_site(
      [](const PartReader& left, const PartReader& right) { return left.site() < right.site(); });
  for (const std::string& path : paths) {
    readers.push_back(std::make_unique<PartReader>(path));
    if (readers.back()->NextSite()) by_site.Push(readers.back().get());
  }
  uint64_t n_counts = 0;
  const auto look = [&] {
    if (++n_counts % kCountsBetweenLooks != 0) return;
    cancel.Check();
    CountProgress();
  };
  std::vector<PartReader*> of_site;
  while (!by_site.empty()) {
    look();
    const uint64_t site = by_site.least()->site();
    of_site.clear();
    while (!by_site.empty() && by_site.least()->site() == site) {
      of_site.push_back(by_site.least());
      by_site.Pop();
    }
    // Names of one hash are one name but for chance: the least is taken, whoever has it.
    const auto named = std::min_element(of_site.begin(), of_site.end(),
                                        [](const PartReader* left, const PartReader* right) {
                                          return left->name() < right->name();
                                        });
    sink.BeginSite(site, (*named)->name());
    ReaderHeap counts([](const PartReader& left, const PartReader& right) {
      return left.count() < right.count();
    });
    for (PartReader* reader : of_site) {
      if (reader->NextCount()) counts.Push(reader);
    }
    Count last{};
    bool has_last = false;
    while (!counts.empty()) {
      look();
      PartReader* const reader = counts.least();
      const Count count = reader->count();
      if (!has_last || !(count == last)) sink.Put(count);
      last = count;
      has_last = true;
      if (reader->NextCount()) {
        counts.Sift();
      } else {
        counts.Pop();
      }
    }
    sink.EndCounts();
    ReaderHeap texts([](const PartReader& left, const PartReader& right) {
      return left.text_line() < right.text_line();
    });
    for (PartReader* reader : of_site) {
      if (reader->NextText()) texts.Push(reader);
    }
    uint64_t last_line = kPageLine;
    while (!texts.empty()) {
      look();
      PartReader* const reader = texts.least();
      if (reader->text_line() != last_line) sink.PutText(reader->text_line(), reader->text());
      last_line = reader->text_line();
      if (reader->NextText()) {
        texts.Sift();
      } else {
        texts.Pop();
      }
    }
    sink.EndSite();
    for (PartReader* reader : of_site) {
      if (reader->NextSite()) by_site.Push(reader);
    }
  }
}

}  // namespace gristmill::sites
