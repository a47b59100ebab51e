// Small working tokenizers for random models: byte pair encoding learnt from a text of ours,
// written either as a SentencePiece vocabulary with byte fallback or as byte-level BPE with merges.
// Deterministic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::engine {

struct RandomVocab {
  std::vector<std::string> tokens;
  std::vector<float> scores;        // SentencePiece: higher merges first
  std::vector<int32_t> types;       // llama_token_type
  std::vector<std::string> merges;  // byte-level BPE: "left right"
  int32_t bos = -1;
  int32_t eos = -1;
  int32_t unknown = -1;
};

// Fewest tokens of each kind: specials, 256 bytes, printable characters.
constexpr int32_t kMinVocab = 400;

// At most `size` tokens learnt; filled with unused pieces up to exactly `size`.
RandomVocab SentencePieceVocab(int32_t size);
RandomVocab ByteLevelVocab(int32_t size);

}  // namespace gristmill::engine
