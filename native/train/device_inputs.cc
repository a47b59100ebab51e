#include "train/device_inputs.h"

#include <algorithm>
#include <numeric>

namespace gristmill::train {

namespace {

constexpr size_t kFixed = 24;

template <typename T>
void Set(ggml_tensor* tensor, const std::vector<T>& values) {
  ggml_backend_tensor_set(tensor, values.data(), 0, values.size() * sizeof(T));
}

// `values` and as many zeros as the tensor has room for.
template <typename T>
void SetPadded(ggml_tensor* tensor, std::vector<T> values) {
  values.resize(static_cast<size_t>(ggml_nelements(tensor)), T{});
  Set(tensor, values);
}

std::vector<float> Whole(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

}  // namespace

Scatter::Scatter(DeviceTensors* tensors, int64_t entries, int64_t n_rows)
    : entries_(entries),
      n_rows_(n_rows),
      n_slots_(std::min({entries, n_rows, kChunkRows})),
      n_chunks_((entries + kChunkRows - 1) / kChunkRows),
      slots_(tensors->New(GGML_TYPE_I32, entries)),
      rows_(tensors->New(GGML_TYPE_I32, n_slots_, n_chunks_)) {}

ScatterChunk Scatter::Chunk(ggml_context* context, int64_t index) const {
  const int64_t first = index * kChunkRows;
  const int64_t count = std::min(kChunkRows, entries_ - first);
  return {first, count,
          ggml_view_1d(context, slots_, count, static_cast<size_t>(first) * sizeof(int32_t)),
          ggml_view_1d(context, rows_, n_slots_,
                       static_cast<size_t>(index * n_slots_) * sizeof(int32_t))};
}

void Scatter::Upload(std::span<const int32_t> destinations) {
  constexpr int32_t kFree = -1;
  std::vector<int32_t> slots(static_cast<size_t>(entries_), 0);
  std::vector<int32_t> rows;
  rows.reserve(static_cast<size_t>(n_slots_ * n_chunks_));
  std::vector<int32_t> slot_of(static_cast<size_t>(n_rows_), kFree);
  for (int64_t chunk = 0; chunk < n_chunks_; ++chunk) {
    const auto first = static_cast<size_t>(chunk * kChunkRows);
    const size_t last = std::min(destinations.size(), first + kChunkRows);
    const size_t start = rows.size();
    for (size_t entry = first; entry < last; ++entry) {
      int32_t& slot = slot_of[static_cast<size_t>(destinations[entry])];
      if (slot == kFree) {
        slot = static_cast<int32_t>(rows.size() - start);
        rows.push_back(destinations[entry]);
      }
      slots[entry] = slot;
    }
    const size_t used = rows.size();
    for (int32_t row = 0; rows.size() < start + static_cast<size_t>(n_slots_); ++row) {
      if (slot_of[static_cast<size_t>(row)] == kFree) rows.push_back(row);
    }
    for (size_t at = start; at < used; ++at) slot_of[static_cast<size_t>(rows[at])] = kFree;
  }
  Set(slots_, slots);
  Set(rows_, rows);
}

DeviceInputs::DeviceInputs(const Shape& shape, const GraphSizes& sizes, const Form& form,
                           const Device& device)
    : sizes_(sizes), form_(form), tensors_(kFixed) {
  const int64_t n_tokens = sizes.tokens();
  const bool bags = form.bag_entries > 0;
  const int64_t entries = bags ? form.bag_entries : n_tokens;
  const auto floats = [&](int64_t ne0, int64_t ne1) {
    return tensors_.New(GGML_TYPE_F32, ne0, ne1);
  };
  const auto integers = [&](int64_t count) { return tensors_.New(GGML_TYPE_I32, count); };
  positions = integers(n_tokens);
  keys = floats(sizes.n_ctx, 1);
  ones = floats(1, std::max(n_tokens, std::min(kChunkRows, sizes.max_targets)));
  ids = integers(entries);
  to_table = Scatter(&tensors_, entries, shape.n_vocab);
  bag_weights = bags ? floats(1, entries) : nullptr;
  entry_positions = bags ? integers(entries) : nullptr;
  if (bags) to_tokens = Scatter(&tensors_, entries, n_tokens);
  low = tensors_.New(GGML_TYPE_F32, 1, sizes.n_ctx, 1, sizes.n_seq);
  high = tensors_.New(GGML_TYPE_F32, 1, sizes.n_ctx, 1, sizes.n_seq);
  target_positions = integers(sizes.max_targets);
  labels = integers(sizes.max_targets);
  scales = floats(1, sizes.max_targets);
  to_positions = Scatter(&tensors_, sizes.max_targets, n_tokens);
  losses = floats(1, sizes.max_targets);
  logits = form.logits ? floats(shape.n_out(), sizes.max_targets) : nullptr;
  tensors_.Allocate(device);

  std::vector<int32_t> within(static_cast<size_t>(n_tokens));
  for (size_t token = 0; token < within.size(); ++token) {
    within[token] = static_cast<int32_t>(token % static_cast<size_t>(sizes.n_ctx));
  }
  Set(positions, within);
  Set(keys, Whole(sizes.n_ctx));
  Set(ones, std::vector<float>(static_cast<size_t>(ggml_nelements(ones)), 1.0f));
}

void DeviceInputs::Upload(const Feed& feed) {
  if (form_.bag_entries > 0) {
    const auto used = static_cast<size_t>(feed.bag_starts.back());
    const std::vector<int32_t> used_ids(feed.bag_ids.begin(), feed.bag_ids.begin() + used);
    std::vector<int32_t> tokens(used);
    for (size_t token = 0; token + 1 < feed.bag_starts.size(); ++token) {
      std::fill(tokens.begin() + feed.bag_starts[token],
                tokens.begin() + feed.bag_starts[token + 1], static_cast<int32_t>(token));
    }
    SetPadded(ids, used_ids);
    SetPadded(bag_weights,
              std::vector<float>(feed.bag_weights.begin(), feed.bag_weights.begin() + used));
    SetPadded(entry_positions, tokens);
    to_table.Upload(used_ids);
    to_tokens.Upload(tokens);
  } else {
    Set(ids, feed.tokens);
    to_table.Upload(feed.tokens);
  }
  std::vector<float> below(feed.ranges.first.begin(), feed.ranges.first.end());
  std::vector<float> above(feed.ranges.last.begin(), feed.ranges.last.end());
  for (float& bound : below) bound -= 0.5f;
  for (float& bound : above) bound -= 0.5f;
  Set(low, below);
  Set(high, above);

  SetPadded(target_positions, feed.positions);
  SetPadded(labels, feed.labels);
  std::vector<float> scaled = feed.weights;
  for (float& weight : scaled) weight *= feed.gradient_scale;
  SetPadded(scales, scaled);
  to_positions.Upload(feed.positions);
}

void DeviceInputs::Download(Feed* feed) const {
  ggml_backend_tensor_get(losses, feed->losses.data(), 0, feed->losses.size() * sizeof(float));
  if (feed->logits == nullptr) return;
  ggml_backend_tensor_get(logits, feed->logits, 0,
                          static_cast<size_t>(feed->n_targets) * logits->nb[1]);
}

}  // namespace gristmill::train
