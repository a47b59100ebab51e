// A file that appears under its name whole, or not at all; src/pending-file.ts does the same in JS.
//
// It is written beside its place under a name of its own, made anew (never what somebody laid
// there), synced and renamed. Links are followed: what they point to is replaced. What is no
// regular file (a device, a pipe) is written to as it is. A failure throws `code` and leaves
// nothing.
//
//     .<name>.<pid>-<mark>.<16 hex digits>.tmp
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

namespace gristmill {

// What names of pending files have behind the number of this process, so that those of a process
// that ended are told from others: eight hexadecimal digits (src/process-identity.ts makes them).
// Until it is set they have none.
void SetPendingMark(const std::string& mark);

class OutputFile {
 public:
  // `code` is the error of every failure; its details are `path` and `reason`.
  OutputFile(std::string path, std::string code);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void Write(const void* data, size_t bytes);
  // Zeros up to a multiple of `alignment`.
  void PadTo(size_t alignment);
  // The file has its name when this returns.
  void Commit();

 private:
  [[noreturn]] void Fail(int error);

  std::string path_;
  std::string code_;
  std::string target_;
  std::string pending_;  // empty when the target is written to as it is
  FILE* file_ = nullptr;
  size_t written_ = 0;
};

}  // namespace gristmill
