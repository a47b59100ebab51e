#include "engine/vocab_trie.h"

#include <algorithm>
#include <deque>

namespace gristmill::engine {

namespace {

struct Entry {
  std::string_view bytes;
  bool is_byte_token;
  llama_token token;
};

// A run of sorted entries that share the first `depth` bytes, i.e. one node.
struct Range {
  uint32_t node;
  size_t begin;
  size_t end;
  size_t depth;
};

}  // namespace

VocabTrie::VocabTrie(const Tokenizer& tokenizer) {
  std::vector<Entry> entries;
  for (llama_token token = 0; token < tokenizer.n_tokens(); ++token) {
    const llama_token_attr attr = llama_vocab_get_attr(tokenizer.vocab(), token);
    const bool is_byte = (attr & LLAMA_TOKEN_ATTR_BYTE) != 0;
    const auto excluded = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN |
                          LLAMA_TOKEN_ATTR_UNUSED | LLAMA_TOKEN_ATTR_USER_DEFINED;
    const std::string& piece = tokenizer.Piece(token);
    if (piece.empty() || (attr & excluded) != 0 || tokenizer.IsEog(token)) continue;
    entries.push_back({piece, is_byte, token});
    max_bytes_ = std::max(max_bytes_, piece.size());
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.bytes != b.bytes) return a.bytes < b.bytes;
    if (a.is_byte_token != b.is_byte_token) return b.is_byte_token;
    return a.token < b.token;
  });
  nodes_.push_back({});
  std::deque<Range> open{{kRoot, 0, entries.size(), 0}};
  while (!open.empty()) {
    const Range range = open.front();
    open.pop_front();
    size_t at = range.begin;
    if (at < range.end && entries[at].bytes.size() == range.depth && range.depth > 0) {
      nodes_[range.node].token = entries[at].token;
    }
    while (at < range.end && entries[at].bytes.size() == range.depth) ++at;
    nodes_[range.node].children = static_cast<uint32_t>(nodes_.size());
    while (at < range.end) {
      const auto byte = static_cast<uint8_t>(entries[at].bytes[range.depth]);
      size_t end = at;
      while (end < range.end && static_cast<uint8_t>(entries[end].bytes[range.depth]) == byte)
        ++end;
      open.push_back({static_cast<uint32_t>(nodes_.size()), at, end, range.depth + 1});
      nodes_.push_back({.byte = byte});
      nodes_[range.node].n_children += 1;
      at = end;
    }
  }
}

uint32_t VocabTrie::Child(uint32_t node, uint8_t byte) const {
  uint32_t low = nodes_[node].children;
  uint32_t high = low + nodes_[node].n_children;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (nodes_[middle].byte < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool found = low < ChildrenEnd(node) && nodes_[low].byte == byte;
  return found ? low : kNone;
}

Tokens VocabTrie::LongestMatch(std::string_view bytes) const {
  Tokens tokens;
  for (size_t at = 0; at < bytes.size();) {
    uint32_t node = kRoot;
    size_t best_end = at;
    llama_token best = -1;
    for (size_t end = at; end < bytes.size();) {
      node = Child(node, static_cast<uint8_t>(bytes[end]));
      if (node == kNone) break;
      ++end;
      if (Token(node) >= 0) {
        best = Token(node);
        best_end = end;
      }
    }
    if (best < 0) return {};
    tokens.push_back(best);
    at = best_end;
  }
  return tokens;
}

}  // namespace gristmill::engine
