// The host of a URL, of a host or of a domain, from its bytes.
//
//     HTTPS://user:pw@WWW.Example.com.:8080/a?b   ->  www.example.com
//     //example.com/a    example.com:80    [2001:DB8::1]:443    EXAMPLE.com.
//
// In lower case, without scheme, user, port, path and the dot at its end. Bytes above ASCII stay as
// they are: whoever asks turns them to ASCII (IDN). What has no host, or one that no URL can have,
// is empty.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gristmill::sites {

// The host, or an empty string.
std::string HostOf(std::span<const uint8_t> value);

// Distinct hosts of a column.
struct Hosts {
  std::vector<int32_t> host_of;  // by row; -1 for none
  std::string bytes;             // all hosts, one after another
  std::vector<int32_t> starts{0};
};

// `validity` is Arrow's bitmap, or empty. Throws OPTION_INVALID for offsets outside the data.
Hosts HostsOf(std::span<const uint8_t> data, std::span<const int32_t> offsets,
              std::span<const uint8_t> validity);

}  // namespace gristmill::sites
