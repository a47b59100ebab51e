// The one exception type of the native rooms: a code of src/errors.ts and the values of its
// message.
//
// Native code never formats user-facing text: it names the code and the details, JS builds the
// message.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace gristmill {

class CodedError : public std::exception {
 public:
  using Details = std::vector<std::pair<std::string, std::string>>;

  explicit CodedError(std::string code, Details details = {})
      : code_(std::move(code)), details_(std::move(details)) {
    what_ = code_;
    for (const auto& [name, value] : details_) what_ += " " + name + "=" + value;
  }

  const char* what() const noexcept override { return what_.c_str(); }
  const std::string& code() const { return code_; }
  const Details& details() const { return details_; }

 private:
  std::string code_;
  Details details_;
  std::string what_;
};

}  // namespace gristmill
