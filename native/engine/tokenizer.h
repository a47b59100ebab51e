// The vocabulary of a model: text to tokens and back, and prompts around untrusted text.
//
// Document text is only ever tokenised with special tokens switched off. A frame (rendered chat
// template) is split at its last special token before the text and its first one after it:
//
//     prefix                          suffix
//     | head (specials) | lead | text | trail | tail (specials) |
//                       '---- plain ---------'
//
// so that the prompt equals the tokens of the whole string, except that specials inside the text
// stay plain. All methods are const and thread safe.
#pragma once

#include <llama.h>

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::engine {

using Tokens = std::vector<llama_token>;

struct Frame {
  std::string prefix;
  std::string suffix;
  int32_t n_bos = 0;  // BOS tokens that stand at the start of the prompt
  // SentencePiece: a space of the tokenizer's own in front of the text after BOS.
  bool space_prefix = true;
  bool trim_start = false;
  bool trim_end = false;
  int32_t max_tokens = 0;
  bool truncate_content = false;  // else the rendered prompt is cut, as published for ProX
};

// A piece of a conversation: of the chat template (trusted) or of a message.
struct Part {
  std::string_view text;
  bool trusted = false;
  bool trim_start = false;
  bool trim_end = false;
};

class Tokenizer {
 public:
  explicit Tokenizer(const llama_vocab* vocab);

  const llama_vocab* vocab() const { return vocab_; }
  int32_t n_tokens() const { return n_tokens_; }
  bool add_bos() const { return llama_vocab_get_add_bos(vocab_); }
  llama_token bos() const { return llama_vocab_bos(vocab_); }
  bool IsEog(llama_token token) const { return llama_vocab_is_eog(vocab_, token); }
  // SentencePiece vocabularies put a space in front of text that follows a special token.
  bool adds_space_prefix() const { return adds_space_prefix_; }

  // Tokens of text in which specials are plain text. Appends nothing of its own but the space
  // prefix.
  Tokens Plain(std::string_view text) const { return Encode(text, false); }
  // Tokens of trusted text, specials parsed.
  Tokens Special(std::string_view text) const { return Encode(text, true); }
  // Tokens of `text` as they stand after other text: no space prefix.
  Tokens Continuation(std::string_view text) const;

  // Tokens of a conversation: `parts` in order, as the tokens of the whole string are, except that
  // specials of untrusted parts stay plain. For one untrusted part between two trusted ones it
  // equals PromptBuilder::Build without a limit.
  Tokens Conversation(const std::vector<Part>& parts, int32_t n_bos, bool space_prefix) const;

  // Bytes of one token; empty for control tokens.
  const std::string& Piece(llama_token token) const { return pieces_[token]; }
  std::string Detokenize(const Tokens& tokens) const;

  // Specials (control tokens) with their text, longest first.
  struct SpecialToken {
    llama_token id;
    std::string text;
    bool strips_left;
    bool strips_right;
    bool control;
  };
  const std::vector<SpecialToken>& specials() const { return specials_; }

 private:
  Tokens Encode(std::string_view text, bool parse_special) const;

  const llama_vocab* vocab_;
  int32_t n_tokens_;
  bool adds_space_prefix_ = false;
  std::vector<std::string> pieces_;
  std::vector<SpecialToken> specials_;
};

// A frame prepared for many texts.
class PromptBuilder {
 public:
  PromptBuilder(const Tokenizer& tokenizer, const Frame& frame);

  struct Prompt {
    Tokens tokens;
    bool truncated = false;
  };
  // `limit`: false gives the whole prompt whatever max_tokens says.
  Prompt Build(std::string_view text, bool limit) const;

  // Tokens of `answer` right after a prompt: the difference between the tokens of prompt + answer
  // and of prompt.
  Tokens AnswerTokens(std::string_view answer) const;
  // Tokens that every prompt starts with, whatever the text.
  size_t StaticPrefix() const { return head_.size(); }
  const Tokens& head() const { return head_; }
  const Frame& frame() const { return frame_; }

 private:
  std::string Trimmed(std::string_view text) const;
  Tokens Join(const std::string& plain) const;
  bool adds_space() const { return frame_.space_prefix && tokenizer_.adds_space_prefix(); }

  const Tokenizer& tokenizer_;
  Frame frame_;
  Tokens head_;
  Tokens tail_;
  std::string lead_;
  std::string trail_;
  std::string tail_plain_;  // plain text at the very end of the prompt
  bool strip_plain_left_ = false;
  bool strip_plain_right_ = false;
};

// White space in the sense of str.strip() for UTF-8 text.
std::string_view TrimStart(std::string_view text);
std::string_view TrimEnd(std::string_view text);

}  // namespace gristmill::engine
