#include "sites/hosts.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "error.h"
#include "text/rows.h"

namespace gristmill::sites {

namespace {

constexpr size_t kLongestHost = 253;
// Of bytes above ASCII; the name in ASCII is held against the longest host where it is made.
constexpr size_t kLongestRawHost = 1024;
// URLs are longer than this only by their paths.
constexpr size_t kLongestStart = 8192;

constexpr bool IsDigit(char byte) {
  return byte >= '0' && byte <= '9';
}
constexpr bool IsLetter(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

std::string_view WithoutScheme(std::string_view value) {
  if (value.starts_with("//")) return value.substr(2);
  const size_t colon = value.find("://");
  if (colon == std::string_view::npos) return value;
  // A scheme is letters first; `://` further inside is part of a path or a query.
  for (size_t at = 0; at < colon; ++at) {
    const char byte = value[at];
    const bool fits =
        IsLetter(byte) || (at > 0 && (IsDigit(byte) || byte == '+' || byte == '-' || byte == '.'));
    if (!fits) return value;
  }
  return value.substr(colon + 3);
}

bool HasEmptyLabel(std::string_view host) {
  return host.empty() || host.front() == '.' || host.find("..") != std::string_view::npos;
}

std::string AddressOf(std::string_view authority) {
  const size_t close = authority.find(']');
  if (close == std::string_view::npos) return {};
  std::string address(authority.substr(0, close + 1));
  if (address.size() < 4 || address.size() > 64) return {};
  for (char& byte : address) {
    if (byte >= 'A' && byte <= 'F') byte = static_cast<char>(byte + 32);
    const bool fits = IsDigit(byte) || (byte >= 'a' && byte <= 'f') || byte == ':' || byte == '.' ||
                      byte == '[' || byte == ']';
    if (!fits) return {};
  }
  return address;
}

}  // namespace

std::string HostOf(std::span<const uint8_t> value) {
  std::string_view rest(reinterpret_cast<const char*>(value.data()),
                        std::min(value.size(), kLongestStart));
  const auto is_space = [](char byte) { return byte >= 0 && byte <= ' '; };
  while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  while (!rest.empty() && is_space(rest.back())) rest.remove_suffix(1);
  rest = WithoutScheme(rest);
  rest = rest.substr(0, rest.find_first_of("/?#\\"));
  const size_t user = rest.rfind('@');
  if (user != std::string_view::npos) rest.remove_prefix(user + 1);
  if (rest.starts_with('[')) return AddressOf(rest);
  const size_t colon = rest.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view port = rest.substr(colon + 1);
    if (!std::all_of(port.begin(), port.end(), IsDigit)) return {};
    rest = rest.substr(0, colon);
  }
  if (rest.ends_with('.')) rest.remove_suffix(1);
  if (HasEmptyLabel(rest) || rest.size() > kLongestRawHost) return {};
  std::string host(rest);
  bool is_ascii = true;
  for (char& byte : host) {
    if (static_cast<uint8_t>(byte) >= 0x80) {
      is_ascii = false;
      continue;
    }
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte + 32);
    const bool fits = IsLetter(byte) || IsDigit(byte) || byte == '.' || byte == '-' || byte == '_';
    if (!fits) return {};
  }
  if (is_ascii && host.size() > kLongestHost) return {};
  return host;
}

Hosts HostsOf(std::span<const uint8_t> data, std::span<const int32_t> offsets,
              std::span<const uint8_t> validity) {
  Hosts hosts;
  if (offsets.empty()) return hosts;
  const size_t n_rows = offsets.size() - 1;
  hosts.host_of.assign(n_rows, -1);
  std::unordered_map<std::string, int32_t> known;
  for (size_t row = 0; row < n_rows; ++row) {
    const std::span<const uint8_t> value = text::RowOf(data, offsets, row);
    if (!validity.empty()) {
      if (row / 8 >= validity.size()) {
        throw CodedError("OPTION_INVALID", {{"option", "validity"},
                                            {"expected", "a bit for each row"},
                                            {"received", std::to_string(validity.size())}});
      }
      if (((validity[row / 8] >> (row & 7)) & 1) == 0) continue;
    }
    std::string host = HostOf(value);
    if (host.empty()) continue;
    const auto [found, is_new] =
        known.try_emplace(std::move(host), static_cast<int32_t>(known.size()));
    if (is_new) {
      hosts.bytes += found->first;
      hosts.starts.push_back(static_cast<int32_t>(hosts.bytes.size()));
    }
    hosts.host_of[row] = found->second;
  }
  return hosts;
}

}  // namespace gristmill::sites
