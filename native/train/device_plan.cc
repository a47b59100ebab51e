#include "train/device_plan.h"

#include "engine/backend.h"
#include "error.h"

namespace gristmill::train {

void ThrowOutOfMemory(const Device& device, const std::string& what) {
  std::string reason = what;
  if (const std::string logged = engine::TakeLogErrors(); !logged.empty()) reason += ": " + logged;
  ggml_backend_dev_t place = ggml_backend_get_device(device.backend);
  reason += "; " + engine::FreeMemory(place) + " on " + device.name +
            "; fewer sequences at a time (nSeq) or a shorter context (nCtx) take less";
  throw CodedError("TRAIN_OUT_OF_MEMORY", {{"what", reason}});
}

DevicePlan::DevicePlan(const Device& device, size_t nodes)
    : device_(device), context_(nullptr, ggml_free), allocator_(nullptr, ggml_gallocr_free) {
  // A tensor may serve as the form of another one without being a node itself.
  context_.reset(ggml_init(
      {.mem_size = ggml_tensor_overhead() * nodes * 2 + ggml_graph_overhead_custom(nodes, false),
       .mem_buffer = nullptr,
       .no_alloc = true}));
  graph_ = ggml_new_graph_custom(context_.get(), nodes, false);
}

void DevicePlan::Allocate() {
  for (int index = 0; index < ggml_graph_n_nodes(graph_); ++index) {
    const ggml_tensor* node = ggml_graph_node(graph_, index);
    if (ggml_backend_supports_op(device_.backend, node)) continue;
    throw CodedError("TRAIN_DEVICE_UNSUPPORTED",
                     {{"device", device_.name}, {"operator", ggml_op_desc(node)}});
  }
  allocator_.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(device_.backend)));
  if (!ggml_gallocr_alloc_graph(allocator_.get(), graph_)) {
    ThrowOutOfMemory(device_, "the activations of the training graph");
  }
}

// The graphs that change weights take no memory while they are computed (element by element), so
// that those that do leave weights, moments and step as they were.
void DevicePlan::Run() const {
  try {
    const engine::DeviceFullScope scope;
    if (ggml_backend_graph_compute(device_.backend, graph_) == GGML_STATUS_SUCCESS) return;
  } catch (const engine::DeviceFull& full) {
    ggml_backend_synchronize(device_.backend);
    ThrowOutOfMemory(device_, "a training step beside " + std::to_string(buffer_bytes() >> 20) +
                                  " MiB of activations: " + full.what());
  }
  const std::string logged = engine::TakeLogErrors();
  throw CodedError("NATIVE_FAILED",
                   {{"operation", "training step"},
                    {"reason", logged.empty() ? "ggml refused the graph" : logged}});
}

DeviceTensors::DeviceTensors(size_t count)
    : context_(nullptr, ggml_free), buffer_(nullptr, ggml_backend_buffer_free) {
  context_.reset(ggml_init(
      {.mem_size = count * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}));
}

ggml_tensor* DeviceTensors::New(ggml_type type, int64_t ne0, int64_t ne1, int64_t ne2,
                                int64_t ne3) {
  return ggml_new_tensor_4d(context_.get(), type, ne0, ne1, ne2, ne3);
}

void DeviceTensors::Allocate(const Device& device) {
  buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), device.backend));
  if (!buffer_) ThrowOutOfMemory(device, "the inputs of the training graph");
}

}  // namespace gristmill::train
