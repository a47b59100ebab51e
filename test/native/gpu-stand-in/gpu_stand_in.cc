// A backend that stands in the place of libggml-cuda.so where there is no GPU.
//
// What makes the way of `cuda:0` another one than that of the CPU is here: devices of type GPU or
// IGPU, memory that the host must not touch, reads that arrive at synchronize() only, memory that
// ends, errors that abort the process. Underneath compute ggml's kernels for the CPU, or nothing
// does and the time passes that a card of a given speed would take.
//
// GPU_STAND_IN is a list of `name=value`, separated by commas:
//   devices=1       how many there are
//   integrated=0    1: they share the CPU's memory (type IGPU)
//   mib=4096        memory of each; mib0, mib1, ...: of one
//   fault=0         the graph of this number aborts the process as a CUDA error does; from 1
//   full=0          the same, for want of memory
//   compute=1       0: nothing is computed; results are what the memory holds
//   tflops, tbps    compute=0: speed of products and of memory; without tflops no time passes
//   launch=0        compute=0: nanoseconds of the host for every node
//   threads=1       of the CPU backend
// GPU_STAND_IN_COUNTS names a file: at the end of the process a line of JSON is added to it.
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ggml-backend-impl.h"
#include "ggml-impl.h"

namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::nanoseconds;

double Setting(const std::string& name, double otherwise) {
  const char* all = std::getenv("GPU_STAND_IN");
  std::string left = all == nullptr ? "" : all;
  while (!left.empty()) {
    const size_t comma = left.find(',');
    const std::string one = left.substr(0, comma);
    left = comma == std::string::npos ? "" : left.substr(comma + 1);
    if (one.compare(0, name.size() + 1, name + "=") == 0) {
      return std::atof(one.c_str() + name.size() + 1);
    }
  }
  return otherwise;
}

// What happened, for tests and benches to read.
struct Counts {
  std::atomic<long long> graphs{0}, nodes{0}, table_lookups{0};
  // Synchronisations, and those of them that had nothing to wait for since the one before.
  std::atomic<long long> waits{0}, repeated_waits{0};
  std::atomic<bool> has_work{false};
  // CPU time of the thread that hands graphs over, from one to the next.
  std::atomic<long long> host_ns{0};
  std::atomic<long long> bytes_up{0}, bytes_down{0}, device_ns{0}, waited_ns{0}, most_bytes{0};

  ~Counts() {
    const char* path = std::getenv("GPU_STAND_IN_COUNTS");
    // The library is also loaded for a look at it.
    FILE* file = path == nullptr || graphs == 0 ? nullptr : std::fopen(path, "a");
    if (file == nullptr) return;
    std::fprintf(file,
                 "{\"graphs\":%lld,\"nodes\":%lld,\"waits\":%lld,\"repeatedWaits\":%lld,"
                 "\"tableLookups\":%lld,"
                 "\"bytesUp\":%lld,\"bytesDown\":%lld,\"deviceNs\":%lld,\"waitedNs\":%lld,"
                 "\"mostBytes\":%lld,\"hostNs\":%lld}\n",
                 graphs.load(), nodes.load(), waits.load(), repeated_waits.load(),
                 table_lookups.load(), bytes_up.load(), bytes_down.load(), device_ns.load(),
                 waited_ns.load(), most_bytes.load(), host_ns.load());
    std::fclose(file);
  }
};
Counts counts;

struct Card {
  std::string name;
  std::string model;
  std::atomic<long long> used{0};
  ggml_backend_buffer_type memory{};
  ggml_backend_device device{};

  int index = 0;

  long long bytes() const {
    const double all = Setting("mib", 4096);
    return static_cast<long long>(Setting("mib" + std::to_string(index), all)) << 20;
  }
  long long left() const { return std::max(0LL, bytes() - used.load()); }
};

Card& CardOf(ggml_backend_dev_t device) {
  return *static_cast<Card*>(device->context);
}

// ---- memory of a card

// Pages that nothing was written to take no memory of the machine: caches of gigabytes can be made.
struct Block {
  Card* card;
  size_t bytes;
  void* data;
};

Block& BlockOf(ggml_backend_buffer_t buffer) {
  return *static_cast<Block*>(buffer->context);
}

char* At(const ggml_tensor* tensor, size_t offset) {
  return static_cast<char*>(tensor->data) + offset;
}

void Upload(ggml_backend_buffer_t, ggml_tensor* to, const void* from, size_t offset, size_t size) {
  counts.bytes_up += static_cast<long long>(size);
  counts.has_work = true;
  std::memcpy(At(to, offset), from, size);
}

void Download(ggml_backend_buffer_t, const ggml_tensor* from, void* to, size_t offset,
              size_t size) {
  counts.bytes_down += static_cast<long long>(size);
  std::memcpy(to, At(from, offset), size);
}

ggml_backend_buffer_t Allocate(ggml_backend_buffer_type_t memory, size_t size) {
  Card& card = CardOf(memory->device);
  const auto bytes = static_cast<long long>(size);
  if (bytes > card.left()) {
    ggml_log_internal(GGML_LOG_LEVEL_ERROR, "%s: %lld MiB asked, %lld free: out of memory\n",
                      card.name.c_str(), bytes >> 20, card.left() >> 20);
    return nullptr;
  }
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  card.used += bytes;
  counts.most_bytes = std::max(counts.most_bytes.load(), card.used.load());
  ggml_backend_buffer_i calls{};
  calls.free_buffer = [](ggml_backend_buffer_t buffer) {
    Block* gone = &BlockOf(buffer);
    gone->card->used -= static_cast<long long>(gone->bytes);
    munmap(gone->data, gone->bytes);
    delete gone;
  };
  calls.get_base = [](ggml_backend_buffer_t buffer) -> void* { return BlockOf(buffer).data; };
  calls.memset_tensor = [](ggml_backend_buffer_t, ggml_tensor* tensor, uint8_t value, size_t offset,
                           size_t bytes) { std::memset(At(tensor, offset), value, bytes); };
  calls.set_tensor = Upload;
  calls.get_tensor = Download;
  calls.clear = [](ggml_backend_buffer_t buffer, uint8_t value) {
    const Block& block = BlockOf(buffer);
    if (value != 0) {
      std::memset(block.data, value, block.bytes);
    } else {
      madvise(block.data, block.bytes, MADV_DONTNEED);  // reads as zeros from now on
    }
  };
  return ggml_backend_buffer_init(memory, calls, new Block{&card, size, data}, size);
}

// ---- a stream of work on a card

struct Read {
  std::vector<char> bytes;
  void* to;
};

struct Stream {
  Card* card;
  ggml_backend_t cpu;
  std::deque<Read> reads;  // made in order, there at the next synchronisation
  Clock::time_point free_at = Clock::now();
  long long thread_ns = -1;  // CPU time of the caller behind its last graph
};

Stream& StreamOf(ggml_backend_t backend) {
  return *static_cast<Stream*>(backend->context);
}

void Synchronise(ggml_backend_t backend) {
  Stream& stream = StreamOf(backend);
  counts.waits += 1;
  if (!counts.has_work.exchange(false)) counts.repeated_waits += 1;
  const auto started = Clock::now();
  std::this_thread::sleep_until(stream.free_at);
  if (stream.free_at > started) {
    counts.waited_ns += std::chrono::duration_cast<Nanoseconds>(Clock::now() - started).count();
  }
  for (const Read& read : stream.reads) std::memcpy(read.to, read.bytes.data(), read.bytes.size());
  stream.reads.clear();
}

void ReadLater(ggml_backend_t backend, const ggml_tensor* from, void* to, size_t offset,
               size_t size) {
  counts.bytes_down += static_cast<long long>(size);
  counts.has_work = true;
  StreamOf(backend).reads.push_back(
      {std::vector<char>(At(from, offset), At(from, offset) + size), to});
}

double BytesOf(const ggml_tensor* tensor) {
  return static_cast<double>(ggml_nelements(tensor)) * ggml_type_size(tensor->type) /
         ggml_blck_size(tensor->type);
}

bool IsView(const ggml_tensor* node) {
  return node->op == GGML_OP_NONE || node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE ||
         node->op == GGML_OP_PERMUTE || node->op == GGML_OP_TRANSPOSE || ggml_is_empty(node);
}

// The roofline: products by their operations or by the bytes that they touch, whichever is longer;
// no kernel takes less than two microseconds.
double NodeNs(const ggml_tensor* node, double tflops, double tbps) {
  constexpr double kKernelNs = 2000;
  double bytes = BytesOf(node);
  double products = 0;  // multiplications and additions for an element of the result
  switch (node->op) {
    case GGML_OP_GET_ROWS:
    case GGML_OP_SET_ROWS:
      return kKernelNs;  // a few rows of a large tensor
    case GGML_OP_MUL_MAT:
      products = 2.0 * static_cast<double>(node->src[0]->ne[0]);
      break;
    case GGML_OP_OUT_PROD:
      products = 2.0 * static_cast<double>(node->src[0]->ne[1]);
      break;
    case GGML_OP_FLASH_ATTN_EXT:
      products = 4.0 * static_cast<double>(node->src[1]->ne[1]);
      break;
    default:
      break;
  }
  for (const ggml_tensor* source : node->src) bytes += source == nullptr ? 0 : BytesOf(source);
  const double arithmetic = products * static_cast<double>(ggml_nelements(node)) / tflops / 1e3;
  return std::max({kKernelNs, arithmetic, bytes / tbps / 1e3});
}

void PassTime(Stream& stream, const ggml_cgraph* graph) {
  const double launch = Setting("launch", 0);
  if (launch > 0) {
    const auto until = Clock::now() + Nanoseconds(static_cast<int64_t>(launch * graph->n_nodes));
    while (Clock::now() < until) {
    }
  }
  const double tflops = Setting("tflops", 0);
  if (tflops <= 0) return;
  const double tbps = Setting("tbps", 4.3);
  double ns = 0;
  for (int index = 0; index < graph->n_nodes; ++index) {
    if (!IsView(graph->nodes[index])) ns += NodeNs(graph->nodes[index], tflops, tbps);
  }
  counts.device_ns += static_cast<long long>(ns);
  stream.free_at = std::max(stream.free_at, Clock::now()) + Nanoseconds(static_cast<int64_t>(ns));
}

long long ThreadNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

ggml_status Compute(ggml_backend_t backend, ggml_cgraph* graph) {
  Stream& stream = StreamOf(backend);
  if (stream.thread_ns >= 0) counts.host_ns += std::max(0LL, ThreadNs() - stream.thread_ns);
  const long long number = ++counts.graphs;
  counts.has_work = true;
  counts.nodes += graph->n_nodes;
  for (int index = 0; index < graph->n_nodes; ++index) {
    const ggml_tensor* node = graph->nodes[index];
    if (node->op == GGML_OP_GET_ROWS && std::strcmp(node->src[0]->name, "token_embd.weight") == 0) {
      counts.table_lookups += 1;
    }
  }
  // As ggml-cuda does: the reason is logged, and the message of the abort names the place alone.
  const bool is_full = number == static_cast<long long>(Setting("full", 0));
  if (is_full || number == static_cast<long long>(Setting("fault", 0))) {
    ggml_log_internal(GGML_LOG_LEVEL_ERROR, "CUDA error: %s\n",
                      is_full ? "out of memory" : "an illegal memory access was encountered");
    GGML_ABORT("CUDA error");
  }
  const bool is_computed = Setting("compute", 1) != 0;
  const ggml_status status =
      is_computed ? ggml_backend_graph_compute(stream.cpu, graph) : GGML_STATUS_SUCCESS;
  // What is computed here is the card's time; launches are the host's.
  if (is_computed) stream.thread_ns = ThreadNs();
  if (!is_computed) {
    stream.thread_ns = ThreadNs();
    PassTime(stream, graph);
  }
  return status;
}

ggml_backend_dev_t Cpu() {
  return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

ggml_backend_t Open(ggml_backend_dev_t device, const char*) {
  static uint8_t guid[16] = {'g', 'p', 'u', ' ', 's', 't', 'a', 'n', 'd', '-', 'i', 'n'};
  ggml_backend_t cpu = ggml_backend_dev_init(Cpu(), nullptr);
  auto set_threads =
      reinterpret_cast<void (*)(ggml_backend_t, int)>(ggml_backend_reg_get_proc_address(
          ggml_backend_dev_backend_reg(Cpu()), "ggml_backend_set_n_threads"));
  if (set_threads != nullptr) set_threads(cpu, static_cast<int>(Setting("threads", 1)));
  ggml_backend_i calls{};
  calls.get_name = [](ggml_backend_t backend) { return StreamOf(backend).card->name.c_str(); };
  calls.free = [](ggml_backend_t backend) {
    Synchronise(backend);
    ggml_backend_free(StreamOf(backend).cpu);
    delete &StreamOf(backend);
    delete backend;
  };
  calls.set_tensor_async = [](ggml_backend_t, ggml_tensor* to, const void* from, size_t offset,
                              size_t size) { Upload(nullptr, to, from, offset, size); };
  calls.get_tensor_async = ReadLater;
  calls.synchronize = Synchronise;
  calls.graph_compute = Compute;
  auto* stream = new Stream{&CardOf(device), cpu, {}, Clock::now(), -1};
  return new ggml_backend{&guid, calls, device, stream};
}

// ---- the cards

bool Supports(ggml_backend_dev_t device, const ggml_tensor* node) {
  for (const ggml_tensor* source : node->src) {
    if (source == nullptr || source->buffer == nullptr) continue;
    ggml_backend_buffer_type_t memory = source->buffer->buft;
    // Another card's memory cannot be seen from here.
    if (memory->iface.alloc_buffer == Allocate && memory->device != device) return false;
  }
  return ggml_backend_dev_supports_op(Cpu(), node);
}

enum ggml_backend_dev_type TypeOf(ggml_backend_dev_t) {
  return Setting("integrated", 0) != 0 ? GGML_BACKEND_DEVICE_TYPE_IGPU
                                       : GGML_BACKEND_DEVICE_TYPE_GPU;
}

void MemoryOf(ggml_backend_dev_t device, size_t* left, size_t* total) {
  *left = static_cast<size_t>(CardOf(device).left());
  *total = static_cast<size_t>(CardOf(device).bytes());
}

std::unique_ptr<Card> NewCard(int index, ggml_backend_reg_t registry) {
  auto card = std::make_unique<Card>();
  card->index = index;
  card->name = "CUDA" + std::to_string(index);
  card->model = "Stand-in " + std::string(1, static_cast<char>('A' + index));
  ggml_backend_device_i calls{};
  calls.get_name = [](ggml_backend_dev_t device) { return CardOf(device).name.c_str(); };
  calls.get_description = [](ggml_backend_dev_t device) { return CardOf(device).model.c_str(); };
  calls.get_memory = MemoryOf;
  calls.get_type = TypeOf;
  calls.get_props = [](ggml_backend_dev_t device, ggml_backend_dev_props* props) {
    *props = {};
    props->name = CardOf(device).name.c_str();
    props->description = CardOf(device).model.c_str();
    props->type = TypeOf(device);
    props->caps.async = true;
    MemoryOf(device, &props->memory_free, &props->memory_total);
  };
  calls.init_backend = Open;
  calls.get_buffer_type = [](ggml_backend_dev_t device) { return &CardOf(device).memory; };
  calls.supports_op = Supports;
  calls.supports_buft = [](ggml_backend_dev_t device, ggml_backend_buffer_type_t memory) {
    return memory == &CardOf(device).memory;
  };
  card->device = {calls, registry, card.get()};
  ggml_backend_buffer_type_i memory{};
  memory.get_name = [](ggml_backend_buffer_type_t own) { return CardOf(own->device).name.c_str(); };
  memory.alloc_buffer = Allocate;
  memory.get_alignment = [](ggml_backend_buffer_type_t) -> size_t { return 128; };
  card->memory = {memory, &card->device, nullptr};
  return card;
}

std::vector<std::unique_ptr<Card>>& Cards() {
  static std::vector<std::unique_ptr<Card>> cards;
  return cards;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
  static ggml_backend_reg registry{};
  if (Cards().empty()) {
    registry.api_version = GGML_BACKEND_API_VERSION;
    registry.iface.get_name = [](ggml_backend_reg_t) { return "CUDA"; };
    registry.iface.get_device_count = [](ggml_backend_reg_t) { return Cards().size(); };
    registry.iface.get_device = [](ggml_backend_reg_t, size_t index) {
      return &Cards()[index]->device;
    };
    const int n_cards = static_cast<int>(Setting("devices", 1));
    for (int index = 0; index < n_cards; ++index) Cards().push_back(NewCard(index, &registry));
  }
  return &registry;
}
