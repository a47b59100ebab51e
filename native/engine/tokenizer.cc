#include "engine/tokenizer.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <stdexcept>

#include "error.h"

namespace gristmill::engine {

namespace {

// Most bytes handed to the tokenizer for one prompt of `max_tokens`: far more than any prompt of
// natural text needs, so that a document of 100 MB does not cost its whole length for 2,000 tokens.
constexpr size_t kMinCutBytes = 16 << 10;
constexpr size_t kCutBytesPerToken = 16;

bool IsContinuationByte(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// Bytes of the white-space character at the start of `text`, 0 when there is none.
size_t SpaceBytes(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t at) -> unsigned { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  if (first == ' ' || (first >= 0x09 && first <= 0x0D) || (first >= 0x1C && first <= 0x1F))
    return 1;
  if (first == 0xC2 && text.size() > 1 && (byte(1) == 0x85 || byte(1) == 0xA0)) return 2;
  if (text.size() < 3) return 0;
  const unsigned code = (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  if ((first & 0xF0) != 0xE0) return 0;
  const bool space = code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
                     code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
  return space ? 3 : 0;
}

struct SpecialSpan {
  size_t begin;
  size_t end;
  const Tokenizer::SpecialToken* token;
};

// The specials of `text` in order, found as llama.cpp's partition finds them: longest token text
// first.
std::vector<SpecialSpan> FindSpecials(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<SpecialSpan> spans;
  for (const auto& special : tokenizer.specials()) {
    for (size_t at = text.find(special.text); at != std::string::npos;
         at = text.find(special.text, at + special.text.size())) {
      const size_t end = at + special.text.size();
      const bool taken = std::any_of(spans.begin(), spans.end(), [&](const SpecialSpan& span) {
        return at < span.end && span.begin < end;
      });
      if (!taken) spans.push_back({at, end, &special});
    }
  }
  std::sort(spans.begin(), spans.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::erase_if(spans, [](const SpecialSpan& span) { return !span.token->control; });
  return spans;
}

bool StartsWith(const Tokens& tokens, const Tokens& start) {
  return tokens.size() >= start.size() && std::equal(start.begin(), start.end(), tokens.begin());
}

}  // namespace

std::string_view TrimStart(std::string_view text) {
  for (size_t bytes = SpaceBytes(text); bytes > 0; bytes = SpaceBytes(text)) {
    text.remove_prefix(bytes);
  }
  return text;
}

std::string_view TrimEnd(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && IsContinuationByte(text[start])) --start;
    const std::string_view last = text.substr(start);
    if (SpaceBytes(last) != last.size()) break;
    text.remove_suffix(last.size());
  }
  return text;
}

Tokenizer::Tokenizer(const llama_vocab* vocab)
    : vocab_(vocab), n_tokens_(llama_vocab_n_tokens(vocab)) {
  pieces_.resize(n_tokens_);
  std::string buffer(256, '\0');
  for (llama_token token = 0; token < n_tokens_; ++token) {
    int32_t bytes = llama_token_to_piece(vocab, token, buffer.data(), buffer.size(), 0, false);
    if (bytes < 0) {
      buffer.resize(-bytes);
      bytes = llama_token_to_piece(vocab, token, buffer.data(), buffer.size(), 0, false);
    }
    if (bytes > 0) pieces_[token].assign(buffer.data(), bytes);
    const llama_token_attr attr = llama_vocab_get_attr(vocab, token);
    const bool control = (attr & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
    if (control || (attr & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0) {
      std::string text = llama_vocab_get_text(vocab, token);
      if (text.empty()) continue;
      specials_.push_back({token, std::move(text), (attr & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
                           (attr & LLAMA_TOKEN_ATTR_RSTRIP) != 0, control});
    }
  }
  std::stable_sort(specials_.begin(), specials_.end(),
                   [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
  const Tokens probe = Plain("a");
  adds_space_prefix_ =
      !probe.empty() && !pieces_[probe.front()].empty() && pieces_[probe.front()].front() == ' ';
}

Tokens Tokenizer::Encode(std::string_view text, bool parse_special) const {
  if (text.empty()) return {};
  if (text.size() > INT32_MAX / 4) {
    throw CodedError("OPTION_INVALID", {{"option", "text"},
                                        {"expected", "at most 512 MiB for one prompt"},
                                        {"received", std::to_string(text.size()) + " bytes"}});
  }
  try {
    // llama.cpp only asserts that BOS exists when it is told to add it: we add it ourselves,
    // always.
    Tokens tokens(text.size() / 2 + 16);
    int32_t count = llama_tokenize(vocab_, text.data(), static_cast<int32_t>(text.size()),
                                   tokens.data(), tokens.size(), false, parse_special);
    if (count == INT32_MIN) throw std::length_error("too many tokens");
    if (count < 0) {
      tokens.resize(-count);
      count = llama_tokenize(vocab_, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                             tokens.size(), false, parse_special);
    }
    tokens.resize(std::max(count, 0));
    return tokens;
  } catch (const std::exception& error) {
    // E.g. a SentencePiece vocabulary without byte tokens.
    throw CodedError("NATIVE_FAILED", {{"operation", "tokenize"}, {"reason", error.what()}});
  }
}

Tokens Tokenizer::Continuation(std::string_view text) const {
  if (!adds_space_prefix_ || text.empty()) return Plain(text);
  // A line break never merges with what follows in the vocabularies we know; where it does, plain
  // is as good.
  const Tokens anchor = Plain("\n");
  Tokens whole = Plain("\n" + std::string(text));
  if (!StartsWith(whole, anchor)) return Plain(text);
  whole.erase(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(anchor.size()));
  return whole;
}

Tokens Tokenizer::Conversation(const std::vector<Part>& parts, int32_t n_bos,
                               bool space_prefix) const {
  Tokens tokens;
  std::string run;  // plain text since the last special
  bool strip_left = false;
  const auto append = [&](const Tokens& more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
  };
  const auto flush = [&](bool strip_right) {
    std::string_view body = run;
    if (strip_left) body = TrimStart(body);
    if (strip_right) body = TrimEnd(body);
    append(space_prefix ? Plain(body) : Continuation(body));
    run.clear();
  };
  for (const Part& part : parts) {
    std::string_view text = part.text;
    if (part.trim_start) text = TrimStart(text);
    if (part.trim_end) text = TrimEnd(text);
    if (!part.trusted) {
      run += text;
      continue;
    }
    const auto specials = FindSpecials(*this, std::string(text));
    if (specials.empty()) {
      run += text;
      continue;
    }
    const SpecialSpan& first = specials.front();
    const SpecialSpan& last = specials.back();
    run += text.substr(0, first.begin);
    flush(first.token->strips_left);
    append(Special(text.substr(first.begin, last.end - first.begin)));
    run = text.substr(last.end);
    strip_left = last.token->strips_right;
  }
  flush(false);
  const auto begin =
      std::find_if(tokens.begin(), tokens.end(), [&](auto id) { return id != bos(); });
  const auto present = static_cast<int32_t>(begin - tokens.begin());
  if (bos() >= 0 && present < n_bos) tokens.insert(tokens.begin(), n_bos - present, bos());
  return tokens;
}

std::string Tokenizer::Detokenize(const Tokens& tokens) const {
  std::string text;
  for (const llama_token token : tokens) text += pieces_[token];
  return text;
}

PromptBuilder::PromptBuilder(const Tokenizer& tokenizer, const Frame& frame)
    : tokenizer_(tokenizer), frame_(frame) {
  const auto before = FindSpecials(tokenizer, frame.prefix);
  size_t split = 0;
  if (!before.empty()) {
    split = before.back().end;
    strip_plain_left_ = before.back().token->strips_right;
  }
  head_ = tokenizer.Special(std::string_view(frame.prefix).substr(0, split));
  lead_ = frame.prefix.substr(split);
  const llama_token bos = tokenizer.bos();
  const auto first = std::find_if(head_.begin(), head_.end(), [&](auto id) { return id != bos; });
  const auto present = static_cast<int32_t>(first - head_.begin());
  if (bos >= 0 && present < frame.n_bos) head_.insert(head_.begin(), frame.n_bos - present, bos);
  const auto after = FindSpecials(tokenizer, frame.suffix);
  size_t cut = frame.suffix.size();
  if (!after.empty()) {
    cut = after.front().begin;
    strip_plain_right_ = after.front().token->strips_left;
  }
  trail_ = frame.suffix.substr(0, cut);
  tail_ = tokenizer.Special(std::string_view(frame.suffix).substr(cut));
  tail_plain_ = after.empty() ? frame.suffix : frame.suffix.substr(after.back().end);
}

std::string PromptBuilder::Trimmed(std::string_view text) const {
  if (frame_.trim_start) text = TrimStart(text);
  if (frame_.trim_end) text = TrimEnd(text);
  return std::string(text);
}

Tokens PromptBuilder::Join(const std::string& plain) const {
  std::string_view body = plain;
  if (strip_plain_left_) body = TrimStart(body);
  if (strip_plain_right_) body = TrimEnd(body);
  Tokens tokens = head_;
  const Tokens middle =
      frame_.space_prefix ? tokenizer_.Plain(body) : tokenizer_.Continuation(body);
  tokens.insert(tokens.end(), middle.begin(), middle.end());
  tokens.insert(tokens.end(), tail_.begin(), tail_.end());
  return tokens;
}

PromptBuilder::Prompt PromptBuilder::Build(std::string_view text, bool limit) const {
  const size_t max_tokens = static_cast<size_t>(std::max(frame_.max_tokens, 1));
  const std::string content = Trimmed(text);
  const size_t cut_bytes = std::max(kMinCutBytes, max_tokens * kCutBytesPerToken);
  Prompt prompt;
  if (limit && content.size() > cut_bytes) {
    size_t end = cut_bytes;
    while (end > 0 && IsContinuationByte(content[end])) --end;
    prompt.tokens = Join(lead_ + content.substr(0, end) + trail_);
    // A prefix that fills the prompt twice over stands for the whole; else the text is
    // pathological.
    if (prompt.tokens.size() < 2 * max_tokens) prompt.tokens.clear();
  }
  if (prompt.tokens.empty()) prompt.tokens = Join(lead_ + content + trail_);
  if (!limit || prompt.tokens.size() <= max_tokens) return prompt;

  prompt.truncated = true;
  if (!frame_.truncate_content) {
    prompt.tokens.resize(max_tokens);
    return prompt;
  }
  // Cut the content: start from the bytes of as many tokens as fit, then shrink until the prompt
  // fits.
  const size_t fixed = head_.size() + tail_.size() + tokenizer_.Continuation(trail_).size();
  size_t keep = max_tokens > fixed ? max_tokens - fixed : 0;
  for (int attempt = 0; attempt < 32; ++attempt) {
    size_t bytes = 0;
    const size_t last = std::min(head_.size() + keep, prompt.tokens.size());
    for (size_t index = head_.size(); index < last; ++index) {
      bytes += tokenizer_.Piece(prompt.tokens[index]).size();
    }
    const size_t space = adds_space() ? 1 : 0;
    bytes = bytes > space + lead_.size() ? bytes - space - lead_.size() : 0;
    bytes = std::min(bytes, content.size());
    while (bytes > 0 && bytes < content.size() && IsContinuationByte(content[bytes])) --bytes;
    Tokens shorter = Join(lead_ + content.substr(0, bytes) + trail_);
    if (shorter.size() <= max_tokens) {
      prompt.tokens = std::move(shorter);
      return prompt;
    }
    if (keep == 0) break;
    keep -= std::min(keep, shorter.size() - max_tokens);
  }
  prompt.tokens.resize(max_tokens);  // the frame alone is longer than the prompt may be
  return prompt;
}

Tokens PromptBuilder::AnswerTokens(std::string_view answer) const {
  const bool after_special = tail_plain_.empty() && !tail_.empty();
  if (after_special) return tokenizer_.Plain(answer);
  const Tokens before = tokenizer_.Plain(tail_plain_);
  Tokens whole = tokenizer_.Plain(tail_plain_ + std::string(answer));
  if (tail_plain_.empty() || !StartsWith(whole, before)) return tokenizer_.Continuation(answer);
  whole.erase(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(before.size()));
  return whole;
}

}  // namespace gristmill::engine
