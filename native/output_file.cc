#include "output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <random>

#include "error.h"

namespace gristmill {

namespace {

namespace fs = std::filesystem;

constexpr int kMaxLinks = 40;
constexpr size_t kMaxNameBytes = 180;  // of 255, with what is put around it
constexpr mode_t kMode = 0666;

// The end of a chain of links; the last file need not be there. Empty for a loop.
fs::path FollowLinks(fs::path path) {
  for (int link = 0; link < kMaxLinks; ++link) {
    std::error_code failed;
    const fs::path next = fs::read_symlink(path, failed);
    if (failed) return path;
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return {};
}

std::string RandomDigits() {
  static const char kDigits[] = "0123456789abcdef";
  std::random_device random;
  std::string digits;
  while (digits.size() < 16) digits += kDigits[random() & 15];
  return digits;
}

std::mutex mark_mutex;
std::string pending_mark;  // with its hyphen; of this process, whatever thread loads the addon

std::string OwnMark() {
  const std::lock_guard lock(mark_mutex);
  return std::to_string(getpid()) + pending_mark;
}

}  // namespace

void SetPendingMark(const std::string& mark) {
  const std::lock_guard lock(mark_mutex);
  pending_mark = "-" + mark;
}

OutputFile::OutputFile(std::string path, std::string code)
    : path_(std::move(path)), code_(std::move(code)) {
  struct stat found {};
  const bool there = stat(path_.c_str(), &found) == 0;
  if (there && S_ISDIR(found.st_mode)) Fail(EISDIR);
  const bool is_open_file = path_.rfind("/dev/", 0) == 0 || path_.rfind("/proc/", 0) == 0;
  int descriptor = -1;
  if (there && (!S_ISREG(found.st_mode) || is_open_file)) {
    descriptor = open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  } else {
    const fs::path target = FollowLinks(path_);
    if (target.empty()) Fail(ELOOP);
    target_ = target.string();
    const std::string name = target.filename().string().substr(0, kMaxNameBytes);
    const std::string pending = "." + name + "." + OwnMark() + "." + RandomDigits() + ".tmp";
    pending_ = (target.parent_path() / pending).string();
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    descriptor = open(pending_.c_str(), flags, kMode);
  }
  if (descriptor < 0) Fail(errno);
  file_ = fdopen(descriptor, "wb");
  if (file_ == nullptr) {
    const int error = errno;
    close(descriptor);
    if (!pending_.empty()) unlink(pending_.c_str());
    Fail(error);
  }
}

OutputFile::~OutputFile() {
  if (file_ == nullptr) return;
  fclose(file_);
  if (!pending_.empty()) unlink(pending_.c_str());
}

void OutputFile::Write(const void* data, size_t bytes) {
  if (bytes > 0 && fwrite(data, 1, bytes, file_) != bytes) Fail(errno);
  written_ += bytes;
}

void OutputFile::PadTo(size_t alignment) {
  static const char kZeros[256] = {};
  while (written_ % alignment != 0) {
    Write(kZeros, std::min(sizeof kZeros, alignment - written_ % alignment));
  }
}

void OutputFile::Commit() {
  int error = fflush(file_) == 0 ? 0 : errno;
  if (error == 0 && !pending_.empty() && fsync(fileno(file_)) != 0) error = errno;
  if (fclose(file_) != 0 && error == 0) error = errno;
  file_ = nullptr;
  if (pending_.empty()) {
    if (error != 0) Fail(error);
    return;
  }
  if (error == 0 && rename(pending_.c_str(), target_.c_str()) != 0) error = errno;
  if (error == 0) return;
  unlink(pending_.c_str());
  Fail(error);
}

void OutputFile::Fail(int error) {
  const std::string words = error == ENOSPC ? "the disk is full (ENOSPC)" : std::strerror(error);
  throw CodedError(code_, {{"path", path_}, {"reason", words}});
}

}  // namespace gristmill
