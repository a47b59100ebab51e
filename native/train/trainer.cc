#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "error.h"
#include "train/device_graph.h"
#include "train/graph.h"

namespace gristmill::train {

namespace {

constexpr int64_t kNormBlock = 1 << 14;

void* CpuFunction(ggml_backend_dev_t device, const char* name) {
  return ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name);
}

[[noreturn]] void BatchInvalid(const char* field, size_t index, int64_t value,
                               const std::string& expected) {
  throw CodedError("TRAIN_BATCH_INVALID", {{"field", field},
                                           {"index", std::to_string(index)},
                                           {"expected", expected},
                                           {"received", std::to_string(value)}});
}

void CheckLength(const char* field, size_t received, int64_t expected) {
  if (static_cast<int64_t>(received) == expected) return;
  throw CodedError("TRAIN_BATCH_INVALID", {{"field", field},
                                           {"index", "length"},
                                           {"expected", std::to_string(expected)},
                                           {"received", std::to_string(received)}});
}

void CheckRange(const char* field, const std::vector<int32_t>& values, int64_t bound) {
  for (size_t index = 0; index < values.size(); ++index) {
    if (values[index] < 0 || values[index] >= bound) {
      BatchInvalid(field, index, values[index], "0.." + std::to_string(bound - 1));
    }
  }
}

void CheckBags(const MicroBatch& batch, int64_t n_tokens, int64_t n_vocab) {
  const auto n_ids = static_cast<int64_t>(batch.bag_ids.size());
  CheckLength("bagStarts", batch.bag_starts.size(), n_tokens + 1);
  CheckLength("bagWeights", batch.bag_weights.size(), n_ids);
  CheckRange("bagIds", batch.bag_ids, n_vocab);
  int32_t before = 0;
  for (size_t index = 0; index < batch.bag_starts.size(); ++index) {
    const int32_t start = batch.bag_starts[index];
    if (start < before || start > n_ids || (index == 0 && start != 0)) {
      BatchInvalid("bagStarts", index, start, "ascending from 0 to " + std::to_string(n_ids));
    }
    before = start;
  }
  for (size_t index = 0; index < batch.bag_weights.size(); ++index) {
    if (!std::isfinite(batch.bag_weights[index])) {
      BatchInvalid("bagWeights", index, -1, "a finite number");
    }
  }
}

double WeightOf(const MicroBatch& batch) {
  if (batch.weights.empty()) return static_cast<double>(batch.labels.size());
  double sum = 0;
  for (const float weight : batch.weights) sum += static_cast<double>(weight);
  return sum;
}

}  // namespace

Trainer::Trainer(const TrainerOptions& options)
    : options_(options),
      pool_(nullptr, engine::FreeThreadPool),
      backend_(nullptr, ggml_backend_free),
      context_(nullptr, ggml_free),
      buffer_(nullptr, ggml_backend_buffer_free) {
  CheckShape(options_.shape);
  tensors_ = TensorsOf(options_.shape, options_.deviation);
  flat_size_ = FlatSize(tensors_);

  OpenBackend();
  if (options_.bf16 && options_.stock_operators) {
    throw CodedError("OPTION_INVALID", {{"option", "precision"},
                                        {"expected", "float32 where ggml's operators compute"},
                                        {"received", "bf16"}});
  }
  context_.reset(
      ggml_init({.mem_size = 8 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}));
  for (ggml_tensor** tensor : {&weights_, &gradients_, &first_, &second_}) {
    *tensor = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, flat_size_);
  }
  buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend_.get()));
  if (!buffer_) {
    ThrowOutOfMemory(
        Device{backend_.get(), options_.device},
        "weights, gradients and moments (" +
            std::to_string(4 * sizeof(float) * static_cast<uint64_t>(flat_size_) >> 20) + " MiB)");
  }
  ggml_backend_buffer_clear(buffer_.get(), 0);
  std::vector<float> initial(static_cast<size_t>(flat_size_));
  Initialise(tensors_, options_.seed, initial.data());
  Write(Which::kWeight, 0, initial);
  if (options_.stock_operators) {
    optimiser_ = std::make_unique<DeviceOptimiser>(
        tensors_, FlatArrays{weights_, gradients_, first_, second_},
        Device{backend_.get(), options_.device});
  }
  training_ = MakeGraph(true);
}

void Trainer::OpenBackend() {
  ggml_backend_dev_t device = engine::FindDevice(options_.device);
  const bool is_cpu = engine::IsCpu(device);
  if (!is_cpu) options_.stock_operators = true;
  backend_.reset(ggml_backend_dev_init(device, nullptr));
  if (!backend_) {
    throw CodedError("TRAIN_OUT_OF_MEMORY", {{"what", "a context on " + options_.device + ": " +
                                                          engine::TakeLogErrors()}});
  }
  if (!is_cpu) {
    engine::NoteDeviceUse("a trainer on " + options_.device + ", opened when " +
                          engine::FreeMemory(device));
  }
  if (!is_cpu) return;
  using SetThreads = void (*)(ggml_backend_t, int);
  using SetPool = void (*)(ggml_backend_t, ggml_threadpool*);
  if (auto set = reinterpret_cast<SetThreads>(CpuFunction(device, "ggml_backend_set_n_threads"))) {
    set(backend_.get(), options_.n_threads);
  }
  pool_.reset(engine::NewThreadPool(options_.n_threads));
  auto set_pool = reinterpret_cast<SetPool>(CpuFunction(device, "ggml_backend_cpu_set_threadpool"));
  if (pool_ && set_pool != nullptr) set_pool(backend_.get(), pool_.get());
}

std::unique_ptr<TrainGraph> Trainer::MakeGraph(bool with_gradients) {
  const GraphSizes sizes{options_.n_ctx, options_.n_seq, options_.max_targets};
  ggml_tensor* gradients = with_gradients ? gradients_ : nullptr;
  if (!options_.stock_operators) {
    return std::make_unique<Graph>(options_.shape, sizes, options_.bf16, tensors_, weights_,
                                   gradients, backend_.get(), &feed_);
  }
  return std::make_unique<DeviceGraph>(options_.shape, sizes, tensors_, weights_, gradients,
                                       Device{backend_.get(), options_.device},
                                       with_gradients ? options_.smoothing : 0.0f, &feed_);
}

// The backend goes before the pool that it computes on.
Trainer::~Trainer() {
  training_.reset();
  forward_.reset();
  optimiser_.reset();
  buffer_.reset();
  backend_.reset();
}

uint64_t Trainer::n_params() const {
  uint64_t sum = 0;
  for (const TensorSpec& tensor : tensors_) sum += static_cast<uint64_t>(tensor.size());
  return sum;
}

size_t Trainer::buffer_bytes() const {
  return ggml_backend_buffer_get_size(buffer_.get()) + training_->buffer_bytes() +
         (forward_ ? forward_->buffer_bytes() : 0);
}

ggml_tensor* Trainer::Array(Which which) const {
  return which == Which::kWeight        ? weights_
         : which == Which::kGradient    ? gradients_
         : which == Which::kFirstMoment ? first_
                                        : second_;
}

float* Trainer::Host(Which which) const {
  return static_cast<float*>(Array(which)->data);
}

void Trainer::Read(Which which, int64_t offset, std::span<float> into) const {
  ggml_backend_tensor_get(Array(which), into.data(), static_cast<size_t>(offset) * sizeof(float),
                          into.size_bytes());
}

void Trainer::Write(Which which, int64_t offset, std::span<const float> from) {
  ggml_backend_tensor_set(Array(which), from.data(), static_cast<size_t>(offset) * sizeof(float),
                          from.size_bytes());
}

const TensorSpec& Trainer::Find(const std::string& name) const {
  for (const TensorSpec& tensor : tensors_) {
    if (tensor.name == name) return tensor;
  }
  throw CodedError("TRAIN_TENSOR_UNKNOWN", {{"name", name}});
}

std::vector<float> Trainer::ReadTensor(const std::string& name, Which which) const {
  const TensorSpec& tensor = Find(name);
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  Read(which, tensor.offset, values);
  return values;
}

void Trainer::WriteTensor(const std::string& name, std::span<const float> values) {
  const TensorSpec& tensor = Find(name);
  CheckLength(tensor.name.c_str(), values.size(), tensor.size());
  Write(Which::kWeight, tensor.offset, values);
}

void Trainer::CheckBatch(const MicroBatch& batch) const {
  const int64_t n_tokens = int64_t{options_.n_ctx} * options_.n_seq;
  const auto n_targets = static_cast<int64_t>(batch.labels.size());
  if (batch.bag_starts.empty()) {
    CheckLength("tokens", batch.tokens.size(), n_tokens);
  } else {
    CheckLength("tokens", batch.tokens.size(), 0);
    CheckBags(batch, n_tokens, options_.shape.n_vocab);
  }
  if (!batch.segments.empty()) CheckLength("segments", batch.segments.size(), n_tokens);
  CheckLength("positions", batch.positions.size(), n_targets);
  if (!batch.weights.empty()) CheckLength("weights", batch.weights.size(), n_targets);
  if (n_targets > options_.max_targets) {
    BatchInvalid("labels", 0, n_targets, "at most " + std::to_string(options_.max_targets));
  }
  CheckRange("tokens", batch.tokens, options_.shape.n_vocab);
  CheckRange("positions", batch.positions, n_tokens);
  CheckRange("labels", batch.labels, options_.shape.n_out());
  for (size_t index = 0; index < batch.weights.size(); ++index) {
    if (!(batch.weights[index] >= 0) || !std::isfinite(batch.weights[index])) {
      BatchInvalid("weights", index, -1, "a finite number, 0 or more");
    }
  }
}

void Trainer::SetFeed(const MicroBatch& batch) {
  const auto n_ctx = static_cast<size_t>(options_.n_ctx);
  const size_t n_tokens = n_ctx * static_cast<size_t>(options_.n_seq);
  feed_.tokens = batch.tokens;
  feed_.bag_starts = batch.bag_starts;
  feed_.bag_ids = batch.bag_ids;
  feed_.bag_weights = batch.bag_weights;
  feed_.n_targets = static_cast<int64_t>(batch.labels.size());
  feed_.positions = batch.positions;
  feed_.labels = batch.labels;
  feed_.weights = batch.weights;
  feed_.weights.resize(batch.labels.size(), 1.0f);
  feed_.losses.assign(batch.labels.size(), 0.0f);
  feed_.ranges.first.resize(n_tokens);
  feed_.ranges.last.resize(n_tokens);
  for (size_t row = 0; row < n_tokens; row += n_ctx) {
    for (size_t start = 0, end = 0; start < n_ctx; start = end) {
      if (batch.segments.empty()) {
        end = n_ctx;
      } else {
        end = start + 1;
        while (end < n_ctx && batch.segments[row + end] == batch.segments[row + start]) ++end;
      }
      for (size_t at = start; at < end; ++at) {
        feed_.ranges.first[row + at] = static_cast<int32_t>(start);
        feed_.ranges.last[row + at] = static_cast<int32_t>(options_.causal ? at + 1 : end);
      }
    }
  }
}

double Trainer::Accumulate(const StepRequest& request) {
  double weight = 0;
  for (const MicroBatch& batch : request.batches) {
    CheckBatch(batch);
    weight += WeightOf(batch);
  }
  if (!(weight > 0)) {
    throw CodedError("TRAIN_BATCH_INVALID", {{"field", "weights"},
                                             {"index", "sum"},
                                             {"expected", "above 0"},
                                             {"received", std::to_string(weight)}});
  }
  ggml_backend_tensor_memset(gradients_, 0, 0, ggml_nbytes(gradients_));
  double loss = 0;
  for (const MicroBatch& batch : request.batches) {
    SetFeed(batch);
    feed_.gradient_scale = static_cast<float>(1.0 / weight);
    feed_.smoothing = options_.smoothing;
    feed_.logits = nullptr;
    training_->Compute();
    for (size_t target = 0; target < feed_.losses.size(); ++target) {
      loss +=
          static_cast<double>(feed_.losses[target]) * static_cast<double>(feed_.weights[target]);
    }
  }
  return loss / weight;
}

// Blocks of fixed length, added in order: the same bits for any number of threads.
double Trainer::GradNorm() const {
  if (optimiser_) return optimiser_->GradNorm();
  const float* gradient = Host(Which::kGradient);
  const Kernels& kernels = BestKernels();
  double sum = 0;
  for (int64_t start = 0; start < flat_size_; start += kNormBlock) {
    const int64_t length = std::min(kNormBlock, flat_size_ - start);
    sum += static_cast<double>(kernels.dot(length, gradient + start, gradient + start));
  }
  return std::sqrt(sum);
}

void Trainer::Update(double rate, double grad_norm) {
  const auto t = static_cast<double>(step_ + 1);
  const auto beta1 = static_cast<double>(options_.beta1);
  const auto beta2 = static_cast<double>(options_.beta2);
  const auto clip = static_cast<double>(options_.clip_norm);
  AdamStep adam{};
  adam.beta1 = options_.beta1;
  adam.beta2 = options_.beta2;
  adam.epsilon = options_.epsilon;
  adam.rate = static_cast<float>(rate / (1.0 - std::pow(beta1, t)));
  adam.root_scale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, t)));
  adam.grad_scale =
      clip > 0 && grad_norm > clip ? static_cast<float>(clip / (grad_norm + 1e-6)) : 1.0f;
  if (optimiser_) {
    optimiser_->Update(
        {rate, beta1, beta2, t, options_.epsilon, options_.weight_decay, adam.grad_scale});
    step_ += 1;
    return;
  }
  const Kernels& kernels = BestKernels();
  for (const TensorSpec& tensor : tensors_) {
    const double decay = tensor.is_norm ? 0.0 : static_cast<double>(options_.weight_decay);
    adam.keep = static_cast<float>(1.0 - rate * decay);
    kernels.adamw(tensor.size(), adam, Host(Which::kGradient) + tensor.offset,
                  Host(Which::kWeight) + tensor.offset, Host(Which::kFirstMoment) + tensor.offset,
                  Host(Which::kSecondMoment) + tensor.offset);
  }
  step_ += 1;
}

StepResult Trainer::Step(const StepRequest& request) {
  const auto started = std::chrono::steady_clock::now();
  StepResult result;
  result.loss = Accumulate(request);
  result.grad_norm = GradNorm();
  if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm)) {
    throw CodedError("TRAIN_NON_FINITE", {{"step", std::to_string(step_ + 1)},
                                          {"loss", std::to_string(result.loss)},
                                          {"gradNorm", std::to_string(result.grad_norm)}});
  }
  Update(request.rate, result.grad_norm);
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

double Trainer::Gradients(const StepRequest& request) {
  return Accumulate(request);
}

ForwardResult Trainer::Forward(const MicroBatch& batch, bool with_logits) {
  CheckBatch(batch);
  if (!forward_) forward_ = MakeGraph(false);
  SetFeed(batch);
  ForwardResult result;
  if (with_logits) {
    result.logits.resize(batch.labels.size() * static_cast<size_t>(options_.shape.n_out()));
  }
  feed_.smoothing = 0;
  feed_.gradient_scale = 1;
  feed_.logits = with_logits ? result.logits.data() : nullptr;
  forward_->Compute();
  feed_.logits = nullptr;
  result.losses = feed_.losses;
  double sum = 0;
  double weight = 0;
  for (size_t target = 0; target < feed_.losses.size(); ++target) {
    sum += static_cast<double>(feed_.losses[target]) * static_cast<double>(feed_.weights[target]);
    weight += static_cast<double>(feed_.weights[target]);
  }
  result.loss = weight > 0 ? sum / weight : 0;
  return result;
}

}  // namespace gristmill::train
