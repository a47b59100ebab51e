// A llama model in training: weights, gradients, moments and the two graphs that compute them.
//
// Everything here runs on one thread at a time (the owner's, see binding/train.cc); ggml's pool
// helps inside a computation. On the CPU graph and optimiser are our kernels; on other devices, and
// where it is asked for, they are ggml's operators (DeviceGraph, DeviceOptimiser). All state that a
// later step depends on is {weights, first and second moment, step}: a checkpoint holds it exactly,
// and a step is a pure function of it and its request.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "train/device_optimiser.h"
#include "train/shape.h"
#include "train/train_graph.h"

namespace gristmill::train {

struct TrainerOptions {
  Shape shape;
  int32_t n_ctx = 0;        // tokens per sequence
  int32_t n_seq = 0;        // sequences per micro-batch
  int32_t max_targets = 0;  // per micro-batch
  int32_t n_threads = 1;
  std::string device = "cpu";
  bool stock_operators = false;  // DeviceGraph on the CPU too; other devices have nothing else
  bool bf16 = false;             // products of weights, with our kernels only
  bool causal = true;
  uint64_t seed = 0;
  float deviation = 0.02f;
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float epsilon = 1e-8f;
  float weight_decay = 0.1f;
  float clip_norm = 1.0f;  // 0: no clipping
  float smoothing = 0.0f;
};

// One pass through the graph. Empty segments: one document per sequence. Empty weights: all one.
// Input is tokens or bags: of the two, one is empty.
struct MicroBatch {
  std::vector<int32_t> tokens;      // n_seq * n_ctx
  std::vector<int32_t> bag_starts;  // n_seq * n_ctx + 1, ascending from 0
  std::vector<int32_t> bag_ids;     // rows of the embedding table
  std::vector<float> bag_weights;   // as many
  std::vector<int32_t> segments;    // n_seq * n_ctx; attention stays within a run of equal values
  std::vector<int32_t> positions;   // flat index of every target
  std::vector<int32_t> labels;
  std::vector<float> weights;
};

struct StepRequest {
  std::vector<MicroBatch> batches;
  double rate = 0;
};

struct StepResult {
  double loss = 0;       // weighted mean over all targets, smoothing included
  double grad_norm = 0;  // before clipping
  double seconds = 0;
};

struct ForwardResult {
  double loss = 0;  // weighted mean, no smoothing
  std::vector<float> losses;
  std::vector<float> logits;  // n_targets * n_out when asked for
};

// Weights as GGUF: a language model with the tokenizer of `tokenizer_path`, or, where `kind` is
// given, a scorer of lines or documents (engine/line_scorer.h) with its encoder.
struct ExportRequest {
  std::string path;
  std::string tokenizer_path;
  ggml_type type = GGML_TYPE_F32;
  std::string name;
  int64_t n_context = 0;
  std::string kind;
  std::vector<uint8_t> encoder;
};

enum class Which { kWeight, kGradient, kFirstMoment, kSecondMoment };

class Trainer {
 public:
  explicit Trainer(const TrainerOptions& options);
  ~Trainer();

  // Throws TRAIN_BATCH_INVALID before anything changes, TRAIN_NON_FINITE before the update.
  StepResult Step(const StepRequest& request);
  // Loss and gradients without an update.
  double Gradients(const StepRequest& request);
  ForwardResult Forward(const MicroBatch& batch, bool with_logits);

  std::vector<float> ReadTensor(const std::string& name, Which which) const;
  void WriteTensor(const std::string& name, std::span<const float> values);

  const TrainerOptions& options() const { return options_; }
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  int64_t step() const { return step_; }
  uint64_t n_params() const;
  size_t buffer_bytes() const;
  bool stock_operators() const { return optimiser_ != nullptr; }

  // `state` is the caller's (data position, random state): stored and given back as it is.
  void SaveCheckpoint(const std::string& path, const std::string& state) const;
  std::string LoadCheckpoint(const std::string& path);
  // Moments and step as at the start; weights stay.
  void ResetOptimiser();
  void ExportGguf(const ExportRequest& request) const;
  void ImportGguf(const std::string& path);

 private:
  const TensorSpec& Find(const std::string& name) const;
  ggml_tensor* Array(Which which) const;
  // Arrays may lie on a device: floats come and go by copies.
  void Read(Which which, int64_t offset, std::span<float> into) const;
  void Write(Which which, int64_t offset, std::span<const float> from);
  float* Host(Which which) const;  // with the kernels only
  void OpenBackend();
  std::unique_ptr<TrainGraph> MakeGraph(bool with_gradients);
  void CheckBatch(const MicroBatch& batch) const;
  void SetFeed(const MicroBatch& batch);
  double Accumulate(const StepRequest& request);
  double GradNorm() const;
  void Update(double rate, double grad_norm);
  std::string Fingerprint() const;

  TrainerOptions options_;
  std::vector<TensorSpec> tensors_;
  int64_t flat_size_ = 0;
  int64_t step_ = 0;
  Feed feed_;
  std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool*)> pool_;
  std::unique_ptr<ggml_backend, void (*)(ggml_backend_t)> backend_;
  std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_;
  std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer_t)> buffer_;
  ggml_tensor* weights_ = nullptr;
  ggml_tensor* gradients_ = nullptr;
  ggml_tensor* first_ = nullptr;
  ggml_tensor* second_ = nullptr;
  std::unique_ptr<DeviceOptimiser> optimiser_;  // with stock operators only
  std::unique_ptr<TrainGraph> training_;
  std::unique_ptr<TrainGraph> forward_;  // built when it is first needed
};

// The shape a GGUF file's weights need; throws TRAIN_MODEL_UNSUPPORTED.
Shape ShapeOfGguf(const std::string& path);

}  // namespace gristmill::train
