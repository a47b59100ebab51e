// Whether a model's rows and a vocabulary belong together: weights that are trained on tokens of
// another vocabulary learn nonsense, and nothing later notices when both have the same size.
#pragma once

#include <string>

namespace gristmill::engine {

// What is different between the vocabulary of the model in one GGUF file and that of the tokenizer
// in another (or the same) one; empty when they are one. A model without a vocabulary is compared
// by its size alone. Throws ENGINE_MODEL_MISSING and ENGINE_MODEL_INVALID.
std::string VocabularyDifference(const std::string& model, const std::string& tokenizer);

}  // namespace gristmill::engine
