// A static ggml graph on one backend: nodes are added, then it is allocated once and run often.
//
// ggml aborts the process on an operator that its backend lacks; Allocate() looks at every node
// first and throws TRAIN_DEVICE_UNSUPPORTED.
#pragma once

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <cstddef>
#include <memory>
#include <string>

namespace gristmill::train {

struct Device {
  ggml_backend_t backend;
  std::string name;
};

// TRAIN_OUT_OF_MEMORY with what was asked of the device, in ggml's words, and what it has left.
[[noreturn]] void ThrowOutOfMemory(const Device& device, const std::string& what);

class DevicePlan {
 public:
  // `nodes` bounds the nodes, views included.
  DevicePlan(const Device& device, size_t nodes);

  ggml_context* context() const { return context_.get(); }
  size_t buffer_bytes() const { return ggml_gallocr_get_buffer_size(allocator_.get(), 0); }

  // Nodes run in the order in which they are asked for: what writes in place needs it.
  void Add(ggml_tensor* node) { ggml_build_forward_expand(graph_, node); }
  void Allocate();
  void Run() const;

 private:
  Device device_;
  std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_;
  std::unique_ptr<ggml_gallocr, void (*)(ggml_gallocr*)> allocator_;
  ggml_cgraph* graph_;
};

// Tensors that stay where they are between runs: inputs, results and constants.
class DeviceTensors {
 public:
  explicit DeviceTensors(size_t count);

  ggml_tensor* New(ggml_type type, int64_t ne0, int64_t ne1 = 1, int64_t ne2 = 1, int64_t ne3 = 1);
  void Allocate(const Device& device);
  size_t buffer_bytes() const { return ggml_backend_buffer_get_size(buffer_.get()); }

 private:
  std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_;
  std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer_t)> buffer_;
};

}  // namespace gristmill::train
