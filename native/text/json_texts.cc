#include "text/json_texts.h"

#include <array>
#include <cstring>

#include "engine/parallel.h"
#include "error.h"
#include "text/utf8.h"

namespace gristmill::text {

namespace {

constexpr size_t kLinesOfThread = 16;

// What follows eight bytes at a time may stop at: a quote, a backslash, a control character. Exact
// for the first one that is found, as borrows only reach upwards.
uint64_t StopsIn(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  const auto zero = [](uint64_t of) { return (of - kOnes) & ~of & kHigh; };
  const uint64_t controls = (word - kOnes * 0x20) & ~word & kHigh;
  return zero(word ^ (kOnes * '"')) | zero(word ^ (kOnes * '\\')) | controls;
}

// The first byte of a string's inside that is not itself, or `end`.
const uint8_t* NextStop(const uint8_t* at, const uint8_t* end) {
  while (end - at >= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    const uint64_t stops = StopsIn(word);
    if (stops != 0) return at + (__builtin_ctzll(stops) >> 3);
    at += 8;
  }
  while (at < end && *at != '"' && *at != '\\' && *at >= 0x20) ++at;
  return at;
}

int HexDigit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  const auto letter = static_cast<uint8_t>(byte | 0x20);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// Four hexadecimal digits; -1 where they are none.
int32_t UnitAt(const uint8_t* at, const uint8_t* end) {
  if (end - at < 4) return -1;
  int32_t unit = 0;
  for (size_t digit = 0; digit < 4; ++digit) {
    const int value = HexDigit(at[digit]);
    if (value < 0) return -1;
    unit = unit * 16 + value;
  }
  return unit;
}

// What an escape of one letter stands for; 0 for none.
uint8_t EscapeOf(uint8_t letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/':
      return letter;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return 0;
  }
}

bool IsHighHalf(int32_t unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool IsLowHalf(int32_t unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

uint8_t* PutCodePoint(int32_t point, uint8_t* to) {
  const auto put = [&](int32_t byte) { *to++ = static_cast<uint8_t>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
  return to;
}

// The inside of a string that was found well-formed.
struct Inside {
  uint8_t* at = nullptr;
  size_t n_bytes = 0;
  bool has_escapes = false;
};

// Decodes in place; false where half a surrogate pair stands alone, which becomes U+FFFD.
bool Unescape(Inside& inside) {
  if (!inside.has_escapes) return true;
  bool is_whole = true;
  const uint8_t* at = inside.at;
  const uint8_t* const end = at + inside.n_bytes;
  uint8_t* to = inside.at;
  while (at < end) {
    const auto* slash =
        static_cast<const uint8_t*>(std::memchr(at, '\\', static_cast<size_t>(end - at)));
    const auto n_plain = static_cast<size_t>((slash == nullptr ? end : slash) - at);
    if (to != at) std::memmove(to, at, n_plain);
    to += n_plain;
    if (slash == nullptr) break;
    at = slash + 2;
    if (slash[1] != 'u') {
      *to++ = EscapeOf(slash[1]);
      continue;
    }
    int32_t point = UnitAt(at, end);
    at += 4;
    if (IsHighHalf(point) && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
        IsLowHalf(UnitAt(at + 2, end))) {
      point = 0x10000 + ((point - 0xD800) << 10) + (UnitAt(at + 2, end) - 0xDC00);
      at += 6;
    } else if (IsHighHalf(point) || IsLowHalf(point)) {
      is_whole = false;
      point = 0xFFFD;
    }
    to = PutCodePoint(point, to);
  }
  inside.n_bytes = static_cast<size_t>(to - inside.at);
  return is_whole;
}

// What the value of a field is.
enum class Kind : uint8_t { kAbsent, kNull, kString, kOther };

struct Value {
  Kind kind = Kind::kAbsent;
  Inside inside;
};

// One line: whether it is an object, and the values of the two fields.
class LineReader {
 public:
  LineReader() = default;

  bool Read(std::span<uint8_t> line, const std::string& text_name, const std::string& site_name) {
    at_ = line.data();
    end_ = at_ + line.size();
    text = {};
    site = {};
    SkipSpace();
    if (!Take('{')) return false;
    SkipSpace();
    if (!Take('}')) {
      do {
        SkipSpace();
        Inside key;
        if (!ReadString(key)) return false;
        SkipSpace();
        if (!Take(':')) return false;
        SkipSpace();
        Value value;
        if (!ReadValue(value)) return false;
        SkipSpace();
        if (!site_name.empty() && IsNamed(key, site_name)) site = value;
        if (IsNamed(key, text_name)) text = value;
      } while (Take(','));
      if (!Take('}')) return false;
    }
    SkipSpace();
    return at_ == end_;
  }

  Value text;
  Value site;

 private:
  bool Take(uint8_t byte) {
    if (at_ == end_ || *at_ != byte) return false;
    ++at_;
    return true;
  }

  void SkipSpace() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == '\n')) ++at_;
  }

  bool IsNamed(const Inside& key, const std::string& name) {
    if (!key.has_escapes) {
      return key.n_bytes == name.size() && std::memcmp(key.at, name.data(), name.size()) == 0;
    }
    key_.assign(key.at, key.at + key.n_bytes);
    Inside copy{key_.data(), key.n_bytes, true};
    return Unescape(copy) && copy.n_bytes == name.size() &&
           std::memcmp(copy.at, name.data(), name.size()) == 0;
  }

  bool ReadString(Inside& inside) {
    if (!Take('"')) return false;
    inside.at = at_;
    for (;;) {
      at_ = const_cast<uint8_t*>(NextStop(at_, end_));
      if (at_ == end_) return false;
      if (*at_ == '"') {
        inside.n_bytes = static_cast<size_t>(at_ - inside.at);
        ++at_;
        return true;
      }
      if (*at_ != '\\' || end_ - at_ < 2) return false;
      inside.has_escapes = true;
      if (at_[1] == 'u') {
        if (UnitAt(at_ + 2, end_) < 0) return false;
        at_ += 6;
      } else {
        if (EscapeOf(at_[1]) == 0) return false;
        at_ += 2;
      }
    }
  }

  bool ReadWord(std::string_view word) {
    if (static_cast<size_t>(end_ - at_) < word.size()) return false;
    if (std::memcmp(at_, word.data(), word.size()) != 0) return false;
    at_ += word.size();
    return true;
  }

  bool ReadDigits() {
    const uint8_t* const first = at_;
    while (at_ < end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ > first;
  }

  bool ReadNumber() {
    Take('-');
    if (!Take('0') && !ReadDigits()) return false;
    if (Take('.') && !ReadDigits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!ReadDigits()) return false;
    }
    return true;
  }

  bool ReadScalar(Value& value) {
    value.kind = Kind::kOther;
    switch (*at_) {
      case '"':
        value.kind = Kind::kString;
        return ReadString(value.inside);
      case 'n':
        value.kind = Kind::kNull;
        return ReadWord("null");
      case 't':
        return ReadWord("true");
      case 'f':
        return ReadWord("false");
      default:
        return ReadNumber();
    }
  }

  // A value of any depth, without recursion: the line is somebody else's.
  bool ReadValue(Value& value) {
    if (at_ == end_) return false;
    if (*at_ != '{' && *at_ != '[') return ReadScalar(value);
    value.kind = Kind::kOther;
    is_object_.clear();
    bool is_value_due = true;
    for (;;) {
      SkipSpace();
      if (at_ == end_) return false;
      if (is_value_due) {
        is_value_due = false;
        if (*at_ == '{' || *at_ == '[') {
          is_object_.push_back(*at_ == '{');
          ++at_;
          SkipSpace();
          if (at_ < end_ && *at_ == (is_object_.back() ? '}' : ']')) continue;
          if (is_object_.back() && !ReadKey()) return false;
          is_value_due = true;
          continue;
        }
        Value inner;
        if (!ReadScalar(inner)) return false;
        continue;
      }
      if (Take(',')) {
        if (is_object_.back() && !ReadKey()) return false;
        is_value_due = true;
        continue;
      }
      if (!Take(is_object_.back() ? '}' : ']')) return false;
      is_object_.pop_back();
      if (is_object_.empty()) return true;
    }
  }

  bool ReadKey() {
    SkipSpace();
    Inside key;
    if (!ReadString(key)) return false;
    SkipSpace();
    return Take(':');
  }

  uint8_t* at_ = nullptr;
  uint8_t* end_ = nullptr;
  std::vector<bool> is_object_;  // of the values around, from the outermost on
  std::vector<uint8_t> key_;
};

struct Row {
  size_t at;
  size_t n_bytes;
  bool is_row = false;
  bool has_site = false;
  Inside text;
  Inside site;
};

bool IsBlank(std::span<const uint8_t> line) {
  for (const uint8_t byte : line) {
    if (byte != ' ' && byte != '\t' && byte != '\r') return false;
  }
  return true;
}

void Refuse(const char* option, size_t bound, size_t received) {
  throw CodedError("OPTION_INVALID", {{"option", option},
                                      {"expected", "at most " + std::to_string(bound)},
                                      {"received", std::to_string(received)}});
}

}  // namespace

JsonTexts TakeJsonTexts(const JsonTextsRequest& request) {
  const std::span<uint8_t> bytes = request.bytes;
  if (bytes.size() > INT32_MAX) Refuse("bytes", INT32_MAX, bytes.size());
  if (request.begin > bytes.size()) Refuse("begin", bytes.size(), request.begin);
  JsonTexts taken;
  std::vector<Row> rows;
  size_t at = request.begin;
  while (at < bytes.size() && at < request.limit) {
    const void* found = std::memchr(bytes.data() + at, '\n', bytes.size() - at);
    if (found == nullptr && !request.is_end) break;
    const size_t end = found == nullptr
                           ? bytes.size()
                           : static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes.data());
    if (end - at <= request.max_line_bytes && !IsBlank(bytes.subspan(at, end - at))) {
      rows.push_back({at, end - at});
    }
    at = found == nullptr ? end : end + 1;
  }
  taken.consumed = at;
  engine::ParallelForWith<LineReader>(
      request.n_threads, rows.size(), kLinesOfThread, [&](LineReader& reader, size_t index) {
        Row& row = rows[index];
        const std::span<uint8_t> line = bytes.subspan(row.at, row.n_bytes);
        if (!IsValidUtf8(line)) return;
        if (!reader.Read(line, request.text_name, request.site_name)) return;
        if (reader.text.kind == Kind::kOther) return;
        row.text = reader.text.inside;
        // The two are one field where they are called the same.
        row.has_site = reader.site.kind == Kind::kString;
        row.site = reader.site.inside;
        row.is_row = Unescape(row.text);
        if (row.has_site && row.site.at != row.text.at) Unescape(row.site);
        if (row.has_site && row.site.at == row.text.at) row.site = row.text;
      });
  uint8_t* to = bytes.data();
  JsonColumn& site = taken.site;
  size_t n_rows = 0;
  for (const Row& row : rows) n_rows += row.is_row ? 1 : 0;
  taken.offsets.reserve(n_rows + 1);
  site.offsets.reserve(n_rows + 1);
  size_t row_index = 0;
  for (const Row& row : rows) {
    if (!row.is_row) continue;
    // Before the text is moved, which may come to lie over it.
    if (row.has_site) {
      site.data.insert(site.data.end(), row.site.at, row.site.at + row.site.n_bytes);
      if (!site.validity.empty()) {
        site.validity[row_index >> 3] |= static_cast<uint8_t>(1u << (row_index & 7));
      }
    } else if (site.validity.empty()) {
      site.validity.assign((n_rows + 7) / 8, 0);
      for (size_t before = 0; before < row_index; ++before) {
        site.validity[before >> 3] |= static_cast<uint8_t>(1u << (before & 7));
      }
    }
    if (row.text.n_bytes > 0) std::memmove(to, row.text.at, row.text.n_bytes);
    to += row.text.n_bytes;
    taken.offsets.push_back(static_cast<int32_t>(to - bytes.data()));
    site.offsets.push_back(static_cast<int32_t>(site.data.size()));
    ++row_index;
  }
  return taken;
}

}  // namespace gristmill::text
