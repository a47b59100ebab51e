#include "engine/random_vocab.h"

#include <cctype>
#include <cstdio>
#include <map>
#include <set>

namespace gristmill::engine {

namespace {

enum TokenType { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

// What the merges are learnt from: prose, page furniture, markup, maths and the programs of the
// dialects.
constexpr char kText[] =
    R"(The mill stands where the river bends, and the miller opens the gate before the
sun is over the hill. Grain comes in sacks of rye and wheat and oats; what leaves is flour, bran and a little dust. A
good mill is not the one that turns the fastest but the one that takes out the stones and leaves the kernel whole. The
same is true of text: most of a page is worth keeping, some lines are noise, and a few words have to be set right. When
we read a page from the web we find the article first, then the menu, the share buttons, the cookie notice, the list of
related posts, the comments, the footer with its links and the year of the copyright. People write about cooking,
gardens, engines, history, medicine, music, law and programming. They ask questions in forums and other people answer
them; some answers are long and careful, others are only thanks. There are tables of numbers, recipes with steps, pages
of documentation with examples of code, news from small towns, reviews of books and films, and letters to the editor.
Home | About | Contact | Login | Register | Search | Next page | Previous page | Read more | Share this | Like | Tweet
Copyright 2024. All rights reserved. Privacy policy. Terms of use. Subscribe to our newsletter. Posted by admin on
Monday, 12 March 2018 at 10:45. Comments (3). Reply. Click here to continue. Add to cart. Free shipping on orders over
$50. This site uses cookies to improve your experience. Accept all. Advertisement. Loading... Page not found (404).
<html><head><title>Page</title></head><body class="page"><div id="main"><p>Text</p><a href="https://www.example.com/">
link</a><ul><li>item</li></ul><table><tr><td>cell</td></tr></table><span style="color: red">word</span></div></body>
def main(args): return 0; for (int i = 0; i < n; ++i) { sum += values[i]; } if (x == null) { throw new Error("bad"); }
Let f(x) = x^2 + 1, then \frac{d}{dx} f(x) = 2x and \int_0^1 f(x) dx = \frac{4}{3}. Suppose $a_n \to 0$ as $n \to \infty$.
keep_doc() drop_doc() keep_chunk() drop_chunk() remove_lines(line_start=0, line_end=12) remove_lines(line_start=3,
line_end=7) normalize(source_str="Read more", target_str="") normalize(source_str="www.example.com", target_str="")
keep_all() remove_all() remove_lines(1, 4) replace_str(2, "old", "new") add_line(3, "text") untouch_doc() skip_chunk()
[doc] [000] [001] [002] [010] [123] [/doc] [INST] [/INST] <<SYS>> You are a helpful, respectful and honest assistant.
The question is whether the rule that works on one page works on the next one. It often does not, because every site
has its own way to say the same thing. That is why a model that has read many pages can do better than a list of rules,
and why a small model is enough: the decision is about form more than about meaning. The program it writes is short, and
anyone can read it. If the model is wrong the program says so, line by line, and the text is still there to compare.
The weather was fine on the day of the fair. Children ran between the stalls, and their parents talked about the price of
bread. In the evening there was music, and the old men told stories about the winter when the river froze and the wheel
stood still for seven weeks. Nobody had flour then, and the baker closed his shop until the thaw came in the spring.
)";

bool IsLetter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsSpace(char c) {
  return c == ' ' || c == '\n';
}

// Pieces inside which merges are learnt: one optional leading character and a run of letters,
// single digits, runs of other characters. Close to what the pre-tokenisers of llama.cpp split.
std::map<std::string, int64_t> CountPieces(const std::string& text) {
  std::map<std::string, int64_t> counts;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    const bool lead = !IsLetter(text[at]) && !IsDigit(text[at]) && text[at] != '\n';
    if (IsLetter(text[at]) || (lead && end < text.size() && IsLetter(text[end]))) {
      while (end < text.size() && IsLetter(text[end])) ++end;
    } else if (lead && !IsSpace(text[at])) {
      while (end < text.size() && !IsLetter(text[end]) && !IsDigit(text[end]) &&
             !IsSpace(text[end]))
        ++end;
    }
    counts[text.substr(at, end - at)] += 1;
    at = end;
  }
  return counts;
}

struct Merge {
  std::string left;
  std::string right;
};

// Byte pair encoding: the most frequent pair first, ties to the smaller strings.
std::vector<Merge> LearnMerges(size_t wanted) {
  struct Word {
    std::vector<std::string> symbols;
    int64_t count;
  };
  std::string text = kText;
  for (char& byte : text) byte = byte == '\n' ? ' ' : byte;
  std::vector<Word> words;
  for (const auto& [piece, count] : CountPieces(text)) {
    Word word{{}, count};
    for (const char byte : piece) word.symbols.emplace_back(1, byte);
    words.push_back(std::move(word));
  }
  std::vector<Merge> merges;
  std::set<std::string> known;
  while (merges.size() < wanted) {
    std::map<std::pair<std::string, std::string>, int64_t> pairs;
    for (const Word& word : words) {
      for (size_t at = 1; at < word.symbols.size(); ++at) {
        pairs[{word.symbols[at - 1], word.symbols[at]}] += word.count;
      }
    }
    const std::pair<const std::pair<std::string, std::string>, int64_t>* best = nullptr;
    for (const auto& entry : pairs) {
      if (best == nullptr || entry.second > best->second) best = &entry;
    }
    if (best == nullptr) break;
    const auto [left, right] = best->first;
    for (Word& word : words) {
      std::vector<std::string> merged;
      for (const std::string& symbol : word.symbols) {
        // The pair is joined where its right half follows a left half that is not part of a join
        // itself.
        if (!merged.empty() && merged.back() == left && symbol == right) {
          merged.back() += right;
        } else {
          merged.push_back(symbol);
        }
      }
      word.symbols = std::move(merged);
    }
    if (known.insert(left + right).second) merges.push_back({left, right});
  }
  return merges;
}

// SentencePiece's U+2581 for spaces.
std::string EscapeSpaces(const std::string& text) {
  std::string escaped;
  for (const char byte : text) {
    if (byte == ' ') {
      escaped += "\xE2\x96\x81";
    } else {
      escaped += byte;
    }
  }
  return escaped;
}

// GPT-2's printable stand-ins for bytes.
std::string ByteCharacter(uint8_t byte) {
  static const std::vector<uint32_t> codes = [] {
    std::vector<uint32_t> table(256);
    uint32_t next = 256;
    for (uint32_t value = 0; value < 256; ++value) {
      const bool printable =
          (value >= 33 && value <= 126) || (value >= 161 && value <= 172) || value >= 174;
      table[value] = printable ? value : next++;
    }
    return table;
  }();
  const uint32_t code = codes[byte];
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

std::string EscapeBytes(const std::string& text) {
  std::string escaped;
  for (const char byte : text) escaped += ByteCharacter(static_cast<uint8_t>(byte));
  return escaped;
}

// Pieces that fill a vocabulary up to its size: syllables that no merge reaches.
std::string FillerPiece(int32_t index) {
  static const char* kOnsets[] = {"b", "br", "d",  "dr", "f", "fl", "g", "gr", "k", "kl", "m",
                                  "n", "p",  "pl", "r",  "s", "st", "t", "tr", "v", "w",  "z"};
  static const char* kNuclei[] = {"a", "e", "i", "o", "u", "ai", "au", "ei", "ia", "oa"};
  std::string piece;
  for (int32_t rest = index + 22 * 10; rest > 0; rest /= 220) {
    piece += kOnsets[rest % 22];
    piece += kNuclei[rest / 22 % 10];
  }
  return piece;
}

void Fill(RandomVocab& vocab, int32_t size, float score) {
  std::set<std::string> known(vocab.tokens.begin(), vocab.tokens.end());
  for (int32_t index = 0; static_cast<int32_t>(vocab.tokens.size()) < size; ++index) {
    std::string piece = FillerPiece(index);
    if (!known.insert(piece).second) continue;
    vocab.tokens.push_back(std::move(piece));
    vocab.scores.push_back(score - static_cast<float>(index));
    vocab.types.push_back(kNormal);
  }
}

}  // namespace

RandomVocab SentencePieceVocab(int32_t size) {
  RandomVocab vocab;
  const auto add = [&](std::string token, float score, TokenType type) {
    vocab.tokens.push_back(std::move(token));
    vocab.scores.push_back(score);
    vocab.types.push_back(type);
  };
  add("<unk>", 0, kUnknown);
  add("<s>", 0, kControl);
  add("</s>", 0, kControl);
  vocab.unknown = 0;
  vocab.bos = 1;
  vocab.eos = 2;
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    add(name, 0, kByte);
  }
  constexpr int32_t kCharacters = 95;
  const auto merges = LearnMerges(static_cast<size_t>(size - 259 - kCharacters));
  float score = 0;
  for (const Merge& merge : merges) add(EscapeSpaces(merge.left + merge.right), score--, kNormal);
  for (char byte = ' '; byte <= '~'; ++byte)
    add(EscapeSpaces(std::string(1, byte)), score--, kNormal);
  Fill(vocab, size, score);
  return vocab;
}

RandomVocab ByteLevelVocab(int32_t size) {
  RandomVocab vocab;
  const auto add = [&](std::string token, TokenType type) {
    vocab.tokens.push_back(std::move(token));
    vocab.scores.push_back(0);
    vocab.types.push_back(type);
  };
  for (int byte = 0; byte < 256; ++byte) add(ByteCharacter(static_cast<uint8_t>(byte)), kNormal);
  constexpr int32_t kSpecials = 3;
  for (const Merge& merge : LearnMerges(static_cast<size_t>(size - 256 - kSpecials))) {
    add(EscapeBytes(merge.left + merge.right), kNormal);
    vocab.merges.push_back(EscapeBytes(merge.left) + " " + EscapeBytes(merge.right));
  }
  Fill(vocab, size - kSpecials, 0);
  vocab.bos = static_cast<int32_t>(vocab.tokens.size());
  add("<|endoftext|>", kControl);
  add("<|im_start|>", kControl);
  vocab.eos = static_cast<int32_t>(vocab.tokens.size());
  add("<|im_end|>", kControl);
  return vocab;
}

}  // namespace gristmill::engine
