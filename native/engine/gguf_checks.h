// What llama.cpp answers with an abort, or reads out of bounds, looked for in a file before it is
// loaded: GGML_ASSERT, GGML_ABORT and kernels without a function end the whole process, so nothing
// that leads there may be handed on.
//
// The bounds are those of the vendored release; test/model/gguf-checks.test.ts holds them against
// it, with random changes of seeded models in a child process (GRISTMILL_FUZZ).
#pragma once

#include <gguf.h>

#include <cstdint>
#include <string>

namespace gristmill::engine {

// Bounds of llama.cpp (llama-hparams.h): arrays of this many layers, this many experts.
constexpr int64_t kMaxLayers = 512;
constexpr int64_t kMaxExperts = 1024;

// What is wrong with where the tensors lie in a file of `file_bytes`; empty when nothing is.
std::string ProblemOfExtents(const gguf_context* gguf, uint64_t file_bytes);

// What is wrong with the vocabulary; empty when llama.cpp can load it.
std::string ProblemOfVocabulary(const gguf_context* gguf);

// What is wrong with the shape and the tensors of `llama`, `qwen2`, `qwen3` or `llama-embed`.
std::string ProblemOfModel(const gguf_context* gguf, const std::string& architecture);

// Why the model cannot write text; scorers in training look both ways and are none the worse.
std::string ProblemOfDirection(const gguf_context* gguf, const std::string& architecture);

}  // namespace gristmill::engine
