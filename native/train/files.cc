// Files of the trainer: exact checkpoints, and GGUF in both directions.
//
// Checkpoint: "GRISTCK1", u64 length of the header, header (text: fingerprint line, step line, then
// the caller's state), zero padding to 64 bytes, weights, first moment, second moment (flat f32
// arrays), u64 checksum of the arrays. A crash leaves the old file (output_file.h). Not meant to
// move between byte orders.
#include <gguf.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include "engine/gguf_file.h"
#include "error.h"
#include "output_file.h"
#include "train/trainer.h"

namespace gristmill::train {

namespace {

constexpr char kMagic[9] = "GRISTCK1";
constexpr char kWriteFailed[] = "TRAIN_WRITE_FAILED";
constexpr uint64_t kMaxHeaderBytes = 1 << 28;
constexpr int64_t kPieceFloats = 1 << 22;  // what is read from the device at a time

using Gguf = std::unique_ptr<gguf_context, void (*)(gguf_context*)>;
using Context = std::unique_ptr<ggml_context, void (*)(ggml_context*)>;
using File = std::unique_ptr<FILE, int (*)(FILE*)>;

uint64_t Checksum(uint64_t hash, const float* values, int64_t count) {
  for (int64_t index = 0; index < count; ++index) {
    uint32_t bits;
    std::memcpy(&bits, values + index, sizeof bits);
    hash = (hash ^ bits) * 0x100000001B3ull;
  }
  return hash;
}

[[noreturn]] void CheckpointInvalid(const std::string& path, const std::string& reason) {
  throw CodedError("TRAIN_CHECKPOINT_INVALID", {{"path", path}, {"reason", reason}});
}

[[noreturn]] void Unsupported(const std::string& path, const std::string& reason) {
  throw CodedError("TRAIN_MODEL_UNSUPPORTED", {{"path", path}, {"reason", reason}});
}

engine::ModelFile Inspected(const std::string& path) {
  try {
    return engine::ReadModelFile(path);
  } catch (const CodedError& error) {
    for (const auto& [name, value] : error.details()) {
      if (name == "reason") Unsupported(path, value);
    }
    throw;
  }
}

// A file whose `part` (a field of ModelFile) has passed the engine's checks (gguf_checks.h): no
// size, place or type in it is believed before.
Gguf OpenGguf(const std::string& path, Context* tensors, std::string engine::ModelFile::*part) {
  const std::string problem = Inspected(path).*part;
  if (!problem.empty()) Unsupported(path, problem);
  ggml_context* context = nullptr;
  Gguf gguf(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = &context}), gguf_free);
  tensors->reset(context);
  if (!gguf) Unsupported(path, "not a readable GGUF file");
  return gguf;
}

int64_t Number(const gguf_context* gguf, const std::string& key, int64_t otherwise) {
  const int64_t id = gguf_find_key(gguf, key.c_str());
  if (id < 0) return otherwise;
  if (gguf_get_kv_type(gguf, id) == GGUF_TYPE_UINT32) return gguf_get_val_u32(gguf, id);
  if (gguf_get_kv_type(gguf, id) == GGUF_TYPE_INT32) return gguf_get_val_i32(gguf, id);
  return otherwise;
}

float Real(const gguf_context* gguf, const std::string& key, float otherwise) {
  const int64_t id = gguf_find_key(gguf, key.c_str());
  const bool found = id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_FLOAT32;
  return found ? gguf_get_val_f32(gguf, id) : otherwise;
}

constexpr char kClassHeadKey[] = "gristmill.class_head";

}  // namespace

std::string Trainer::Fingerprint() const {
  const Shape& s = options_.shape;
  char text[256];
  std::snprintf(text, sizeof text, "v%d e%d l%d h%d kv%d d%d ff%d theta%.9g eps%.9g tied%d c%d",
                s.n_vocab, s.n_embd, s.n_layer, s.n_head, s.n_head_kv, s.n_head_dim, s.n_ff,
                static_cast<double>(s.rope_theta), static_cast<double>(s.rms_epsilon),
                s.tied ? 1 : 0, s.n_classes);
  return text;
}

void Trainer::SaveCheckpoint(const std::string& path, const std::string& state) const {
  const std::string header = Fingerprint() + "\n" + std::to_string(step_) + "\n" + state;
  const uint64_t header_bytes = header.size();
  OutputFile file(path, kWriteFailed);
  file.Write(kMagic, 8);
  file.Write(&header_bytes, sizeof header_bytes);
  file.Write(header.data(), header.size());
  file.PadTo(64);
  uint64_t checksum = 0xCBF29CE484222325ull;
  std::vector<float> piece(static_cast<size_t>(std::min(flat_size_, kPieceFloats)));
  for (const Which which : {Which::kWeight, Which::kFirstMoment, Which::kSecondMoment}) {
    for (int64_t start = 0; start < flat_size_; start += kPieceFloats) {
      const int64_t length = std::min(kPieceFloats, flat_size_ - start);
      Read(which, start, std::span(piece).first(static_cast<size_t>(length)));
      checksum = Checksum(checksum, piece.data(), length);
      file.Write(piece.data(), static_cast<size_t>(length) * sizeof(float));
    }
  }
  file.Write(&checksum, sizeof checksum);
  file.Commit();
}

std::string Trainer::LoadCheckpoint(const std::string& path) {
  const File file(fopen(path.c_str(), "rb"), fclose);
  if (!file) CheckpointInvalid(path, std::strerror(errno));
  const auto read = [&](void* into, size_t bytes) {
    if (fread(into, 1, bytes, file.get()) != bytes) CheckpointInvalid(path, "it is cut short");
  };
  char magic[8];
  uint64_t header_bytes = 0;
  read(magic, sizeof magic);
  if (std::memcmp(magic, kMagic, 8) != 0) CheckpointInvalid(path, "not a checkpoint");
  read(&header_bytes, sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes) CheckpointInvalid(path, "its header is damaged");
  std::string header(header_bytes, '\0');
  read(header.data(), header.size());
  const size_t line1 = header.find('\n');
  const size_t line2 = line1 == std::string::npos ? line1 : header.find('\n', line1 + 1);
  if (line2 == std::string::npos) CheckpointInvalid(path, "its header is damaged");
  const std::string fingerprint = header.substr(0, line1);
  if (fingerprint != Fingerprint()) {
    CheckpointInvalid(path, "of another model: " + fingerprint + ", here " + Fingerprint());
  }
  const std::string step_text = header.substr(line1 + 1, line2 - line1 - 1);
  char* end = nullptr;
  const long long step = std::strtoll(step_text.c_str(), &end, 10);
  if (step < 0 || end == step_text.c_str()) CheckpointInvalid(path, "its header is damaged");
  char padding[64];
  read(padding, (64 - (16 + header_bytes) % 64) % 64);
  // Into a copy first: a damaged file leaves the trainer as it was.
  const auto length = static_cast<size_t>(flat_size_);
  std::vector<float> arrays(3 * length);
  read(arrays.data(), arrays.size() * sizeof(float));
  uint64_t checksum = 0;
  read(&checksum, sizeof checksum);
  if (checksum != Checksum(0xCBF29CE484222325ull, arrays.data(), 3 * flat_size_)) {
    CheckpointInvalid(path, "its checksum does not match");
  }
  const std::span<const float> loaded(arrays);
  Write(Which::kWeight, 0, loaded.first(length));
  Write(Which::kFirstMoment, 0, loaded.subspan(length, length));
  Write(Which::kSecondMoment, 0, loaded.last(length));
  step_ = step;
  return header.substr(line2 + 1);
}

void Trainer::ResetOptimiser() {
  const std::vector<float> zeros(static_cast<size_t>(std::min(flat_size_, kPieceFloats)));
  for (const Which which : {Which::kFirstMoment, Which::kSecondMoment}) {
    for (int64_t start = 0; start < flat_size_; start += kPieceFloats) {
      const int64_t length = std::min(kPieceFloats, flat_size_ - start);
      Write(which, start, std::span(zeros).first(static_cast<size_t>(length)));
    }
  }
  step_ = 0;
}

namespace {

void CopyTokenizer(const std::string& path, const Shape& shape, gguf_context* to) {
  Context tensors(nullptr, ggml_free);
  const Gguf source = OpenGguf(path, &tensors, &engine::ModelFile::vocabulary_problem);
  const int64_t tokens = gguf_find_key(source.get(), "tokenizer.ggml.tokens");
  if (tokens < 0) Unsupported(path, "it holds no tokenizer");
  const size_t n_tokens = gguf_get_arr_n(source.get(), tokens);
  if (n_tokens != static_cast<size_t>(shape.n_vocab)) {
    Unsupported(path, "its tokenizer has " + std::to_string(n_tokens) + " tokens, the model " +
                          std::to_string(shape.n_vocab));
  }
  gguf_set_kv(to, source.get());
  for (int64_t id = gguf_get_n_kv(to) - 1; id >= 0; --id) {
    const std::string key = gguf_get_key(to, id);
    if (key.rfind("tokenizer.", 0) != 0) gguf_remove_key(to, key.c_str());
  }
}

}  // namespace

void Trainer::ExportGguf(const ExportRequest& request) const {
  const Shape& shape = options_.shape;
  const ggml_type type = request.type;
  const Gguf gguf(gguf_init_empty(), gguf_free);
  const bool scores = !request.kind.empty();
  if (scores) {
    if (shape.n_classes != 2) {
      Unsupported(request.path,
                  "a scorer has 2 classes, the model " + std::to_string(shape.n_classes));
    }
    gguf_set_val_str(gguf.get(), "tokenizer.ggml.model", "none");
    gguf_set_val_str(gguf.get(), "gristmill.kind", request.kind.c_str());
    gguf_set_arr_data(gguf.get(), "gristmill.encoder", GGUF_TYPE_UINT8, request.encoder.data(),
                      request.encoder.size());
  } else {
    CopyTokenizer(request.tokenizer_path, shape, gguf.get());
  }
  const std::string prefix = scores ? "llama-embed." : "llama.";
  const auto number = [&](const std::string& key, int64_t value) {
    gguf_set_val_u32(gguf.get(), key.c_str(), static_cast<uint32_t>(value));
  };
  gguf_set_val_str(gguf.get(), "general.architecture", scores ? "llama-embed" : "llama");
  gguf_set_val_str(gguf.get(), "general.name", request.name.c_str());
  number("general.file_type", type == GGML_TYPE_F32 ? 0 : type == GGML_TYPE_BF16 ? 32 : 7);
  number(prefix + "context_length", request.n_context);
  number(prefix + "embedding_length", shape.n_embd);
  number(prefix + "block_count", shape.n_layer);
  number(prefix + "feed_forward_length", shape.n_ff);
  number(prefix + "attention.head_count", shape.n_head);
  number(prefix + "attention.head_count_kv", shape.n_head_kv);
  number(prefix + "attention.key_length", shape.n_head_dim);
  number(prefix + "attention.value_length", shape.n_head_dim);
  number(prefix + "rope.dimension_count", shape.n_head_dim);
  number(prefix + "vocab_size", shape.n_vocab);
  gguf_set_val_f32(gguf.get(), (prefix + "rope.freq_base").c_str(), shape.rope_theta);
  gguf_set_val_f32(gguf.get(), (prefix + "attention.layer_norm_rms_epsilon").c_str(),
                   shape.rms_epsilon);
  gguf_set_val_bool(gguf.get(), (prefix + "attention.causal").c_str(), options_.causal);

  const Context context(ggml_init({.mem_size = ggml_tensor_overhead() * (tensors_.size() + 1),
                                   .mem_buffer = nullptr,
                                   .no_alloc = true}),
                        ggml_free);
  std::vector<std::pair<const TensorSpec*, ggml_type>> written;
  for (const TensorSpec& tensor : tensors_) {
    if (tensor.name == kClassHead) {
      // llama.cpp refuses tensors it does not know; a head of a few rows fits the metadata.
      const std::vector<float> values = ReadTensor(tensor.name, Which::kWeight);
      number("gristmill.class_count", tensor.rows);
      gguf_set_arr_data(gguf.get(), kClassHeadKey, GGUF_TYPE_FLOAT32, values.data(), values.size());
      continue;
    }
    ggml_type stored = tensor.is_norm ? GGML_TYPE_F32 : type;
    // A quantised row is whole blocks; BF16 is the nearest type without blocks.
    if (tensor.columns % ggml_blck_size(stored) != 0) stored = GGML_TYPE_BF16;
    ggml_tensor* entry =
        tensor.is_norm ? ggml_new_tensor_1d(context.get(), stored, tensor.columns)
                       : ggml_new_tensor_2d(context.get(), stored, tensor.columns, tensor.rows);
    ggml_set_name(entry, tensor.name.c_str());
    gguf_add_tensor(gguf.get(), entry);
    written.emplace_back(&tensor, stored);
  }
  OutputFile file(request.path, kWriteFailed);
  std::vector<char> metadata(gguf_get_meta_size(gguf.get()));
  gguf_get_meta_data(gguf.get(), metadata.data());
  file.Write(metadata.data(), metadata.size());
  std::vector<char> converted;
  for (const auto& [tensor, stored] : written) {
    const std::vector<float> values = ReadTensor(tensor->name, Which::kWeight);
    converted.resize(ggml_row_size(stored, tensor->columns) * static_cast<size_t>(tensor->rows));
    if (stored == GGML_TYPE_F32) {
      std::memcpy(converted.data(), values.data(), converted.size());
    } else {
      ggml_quantize_chunk(stored, values.data(), converted.data(), 0, tensor->rows, tensor->columns,
                          nullptr);
    }
    file.Write(converted.data(), converted.size());
    file.PadTo(gguf_get_alignment(gguf.get()));
  }
  file.Commit();
}

Shape ShapeOfGguf(const std::string& path) {
  Context tensors(nullptr, ggml_free);
  const Gguf gguf = OpenGguf(path, &tensors, &engine::ModelFile::model_problem);
  const int64_t id = gguf_find_key(gguf.get(), "general.architecture");
  const bool is_text = id >= 0 && gguf_get_kv_type(gguf.get(), id) == GGUF_TYPE_STRING;
  const std::string architecture = is_text ? gguf_get_val_str(gguf.get(), id) : "";
  if (architecture != "llama" && architecture != "llama-embed") {
    Unsupported(path, "only the architectures llama and llama-embed are trained");
  }
  const std::string prefix = architecture + ".";
  const auto number = [&](const char* key, int64_t otherwise) {
    return static_cast<int32_t>(Number(gguf.get(), prefix + key, otherwise));
  };
  const ggml_tensor* embedding = ggml_get_tensor(tensors.get(), "token_embd.weight");
  if (embedding == nullptr) Unsupported(path, "it has no token_embd.weight");
  Shape shape;
  shape.n_vocab = static_cast<int32_t>(embedding->ne[1]);
  shape.n_embd = number("embedding_length", 0);
  shape.n_layer = number("block_count", 0);
  shape.n_head = number("attention.head_count", 0);
  shape.n_head_kv = number("attention.head_count_kv", shape.n_head);
  shape.n_head_dim =
      number("attention.key_length", shape.n_head > 0 ? shape.n_embd / shape.n_head : 0);
  shape.n_ff = number("feed_forward_length", 0);
  shape.rope_theta = Real(gguf.get(), prefix + "rope.freq_base", 10000.0f);
  shape.rms_epsilon = Real(gguf.get(), prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
  shape.tied = ggml_get_tensor(tensors.get(), "output.weight") == nullptr;
  shape.n_classes = static_cast<int32_t>(Number(gguf.get(), "gristmill.class_count", 0));
  if (number("rope.dimension_count", shape.n_head_dim) != shape.n_head_dim) {
    Unsupported(path, "only a part of each head is rotated");
  }
  if (gguf_find_key(gguf.get(), (prefix + "rope.scaling.type").c_str()) >= 0) {
    Unsupported(path, "scaled rotary positions");
  }
  CheckShape(shape);
  return shape;
}

// A tensor the file lacks keeps its initial values only if it is the head: anything else is
// refused.
void Trainer::ImportGguf(const std::string& path) {
  Context shapes(nullptr, ggml_free);
  const Gguf gguf = OpenGguf(path, &shapes, &engine::ModelFile::model_problem);
  const File file(fopen(path.c_str(), "rb"), fclose);
  if (!file) Unsupported(path, std::strerror(errno));
  std::vector<float> loaded(static_cast<size_t>(flat_size_));
  Read(Which::kWeight, 0, loaded);
  std::vector<char> stored;
  std::map<std::string, bool> used;
  for (const TensorSpec& tensor : tensors_) {
    float* values = loaded.data() + tensor.offset;
    if (tensor.name == kClassHead) {
      const int64_t key = gguf_find_key(gguf.get(), kClassHeadKey);
      if (key >= 0 && gguf_get_kv_type(gguf.get(), key) == GGUF_TYPE_ARRAY &&
          gguf_get_arr_type(gguf.get(), key) == GGUF_TYPE_FLOAT32 &&
          gguf_get_arr_n(gguf.get(), key) == static_cast<size_t>(tensor.size())) {
        std::memcpy(values, gguf_get_arr_data(gguf.get(), key),
                    static_cast<size_t>(tensor.size()) * sizeof(float));
      }
      continue;
    }
    const int64_t id = gguf_find_tensor(gguf.get(), tensor.name.c_str());
    if (id < 0) {
      // A tied model may be fine-tuned with a head of its own: it starts as the table.
      if (tensor.name == "output.weight") {
        std::memcpy(values, loaded.data() + Find("token_embd.weight").offset,
                    static_cast<size_t>(tensor.size()) * sizeof(float));
        continue;
      }
      Unsupported(path, "it has no " + tensor.name);
    }
    const ggml_tensor* entry = ggml_get_tensor(shapes.get(), tensor.name.c_str());
    if (entry->ne[0] != tensor.columns || entry->ne[1] != tensor.rows || entry->ne[2] != 1) {
      Unsupported(path, tensor.name + " is " + std::to_string(entry->ne[1]) + " x " +
                            std::to_string(entry->ne[0]) + ", expected " +
                            std::to_string(tensor.rows) + " x " + std::to_string(tensor.columns));
    }
    const ggml_type type = gguf_get_tensor_type(gguf.get(), id);
    const ggml_type_traits* traits = ggml_get_type_traits(type);
    if (type != GGML_TYPE_F32 && traits->to_float == nullptr) {
      Unsupported(path, tensor.name + " has type " + traits->type_name);
    }
    stored.resize(gguf_get_tensor_size(gguf.get(), id));
    const auto at = static_cast<off_t>(gguf_get_data_offset(gguf.get()) +
                                       gguf_get_tensor_offset(gguf.get(), id));
    if (fseeko(file.get(), at, SEEK_SET) != 0 ||
        fread(stored.data(), 1, stored.size(), file.get()) != stored.size()) {
      Unsupported(path, "it is cut short");
    }
    if (type == GGML_TYPE_F32) {
      std::memcpy(values, stored.data(), stored.size());
    } else {
      traits->to_float(stored.data(), values, tensor.size());
    }
    used[tensor.name] = true;
  }
  for (int64_t id = 0; id < gguf_get_n_tensors(gguf.get()); ++id) {
    const std::string name = gguf_get_tensor_name(gguf.get(), id);
    const bool replaced_head = name == "output.weight" && options_.shape.n_classes > 0;
    if (!used.contains(name) && !replaced_head) {
      Unsupported(path, "tensor " + name + " has no place in the model");
    }
  }
  Write(Which::kWeight, 0, loaded);
}

}  // namespace gristmill::train
