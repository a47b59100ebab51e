#include "pages/characters.h"

#include <memory>
#include <string_view>
#include <vector>

#include "pages/character_table.h"

namespace gristmill::pages {

namespace {

constexpr std::u16string_view kSentenceEnds =
    u".!?\u2026\u3002\uff01\uff1f\uff0e\u061f\u0964\u0965";
constexpr std::u16string_view kSeparators =
    u"|\u00b7\u2022\u00bb\u203a\u00ab\u2039\u2192\u25b8\u25ba\u25cf\u25a0\u2219\u22c5\u00a6\t";
constexpr std::u16string_view kCodeMarks = u"{}[]<>=;\\$_^~`#*@/%+";

Mark MarkOf(uint16_t unit) {
  switch (unit) {
    case u',':
    case 0x3001:
    case 0x60c:
      return kComma;
    case u':':
      return kColon;
    case u'@':
      return kAt;
    case u'/':
      return kSlash;
    case u'.':
      return kFullStop;
    case u'?':
    case 0x61f:
      return kQuestion;
    case u'\t':
      return kTab;
    default:
      break;
  }
  const bool is_currency =
      unit == u'$' || (unit >= 0xa2 && unit <= 0xa5) || (unit >= 0x20a0 && unit <= 0x20c0);
  return is_currency ? kCurrency : kNoMark;
}

std::vector<uint16_t> Mapped(const std::vector<MappingRun>& runs) {
  std::vector<uint16_t> targets(65536);
  for (size_t unit = 0; unit < targets.size(); ++unit) targets[unit] = static_cast<uint16_t>(unit);
  for (const MappingRun& run : runs) {
    for (size_t index = 0; index < run.count; ++index) {
      const size_t offset = index * run.step;
      targets[run.first + offset] = static_cast<uint16_t>(run.target + offset);
    }
  }
  return targets;
}

std::unique_ptr<std::array<Character, 65536>> MakeCharacters() {
  std::vector<uint8_t> classes(65536);
  const std::vector<ClassRun>& runs = ClassRuns();
  for (size_t run = 0; run < runs.size(); ++run) {
    const size_t end = run + 1 < runs.size() ? runs[run + 1].first : classes.size();
    for (size_t unit = runs[run].first; unit < end; ++unit) classes[unit] = runs[run].bits;
  }
  for (const char16_t unit : kSentenceEnds) classes[unit] |= kSentenceEnd;
  for (const char16_t unit : kSeparators) classes[unit] |= kSeparator;
  for (const char16_t unit : kCodeMarks) classes[unit] |= kCode;
  const std::vector<uint16_t> plain = Mapped(PlainRuns());
  const std::vector<uint16_t> lower = Mapped(LowerRuns());
  auto characters = std::make_unique<std::array<Character, 65536>>();
  for (size_t unit = 0; unit < 65536; ++unit) {
    const uint16_t own = plain[unit];
    const uint8_t bits = classes[own];
    const uint16_t folded = (bits & kDigit) != 0 ? u'0' : lower[own];
    (*characters)[unit] = {own, folded, bits, MarkOf(own)};
  }
  return characters;
}

}  // namespace

const std::array<Character, 65536>& Characters() {
  static const std::unique_ptr<std::array<Character, 65536>> characters = MakeCharacters();
  return *characters;
}

}  // namespace gristmill::pages
