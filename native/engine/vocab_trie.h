// The vocabulary as a byte trie: every text token by its bytes (SentencePiece's U+2581 is a space,
// `<0xNN>` a byte, byte-level BPE decoded). Control, unknown and user-defined tokens are left out.
// Where several tokens have the same bytes, one stands for all: a normal token before a byte token,
// then the lowest id, as tokenisers choose.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/tokenizer.h"

namespace gristmill::engine {

class VocabTrie {
 public:
  explicit VocabTrie(const Tokenizer& tokenizer);

  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNone = UINT32_MAX;

  uint32_t Child(uint32_t node, uint8_t byte) const;
  uint32_t ChildrenBegin(uint32_t node) const { return nodes_[node].children; }
  uint32_t ChildrenEnd(uint32_t node) const {
    return nodes_[node].children + nodes_[node].n_children;
  }
  uint8_t Byte(uint32_t node) const { return nodes_[node].byte; }
  // The token that ends at `node`, -1 when none does.
  llama_token Token(uint32_t node) const { return nodes_[node].token; }
  size_t n_nodes() const { return nodes_.size(); }
  size_t max_bytes() const { return max_bytes_; }

  // Longest-match tokens of `bytes`; empty when some byte has no token.
  Tokens LongestMatch(std::string_view bytes) const;

 private:
  struct Node {
    uint32_t children = 0;  // children are consecutive, ascending by byte
    llama_token token = -1;
    uint16_t n_children = 0;
    uint8_t byte = 0;
  };
  std::vector<Node> nodes_;
  size_t max_bytes_ = 0;
};

}  // namespace gristmill::engine
