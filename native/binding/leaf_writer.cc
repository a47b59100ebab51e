// class LeafWriter: a Parquet leaf column from JS; leaves.cc says how long its C++ object lives.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "binding/convert.h"
#include "binding/leaves.h"
#include "binding/promise_worker.h"
#include "codec/leaf_writer.h"
#include "progress.h"

namespace gristmill::binding {

namespace {

using namespace codec;

LeafWriterSpec WriterSpecOf(const Napi::Value& value) {
  if (!value.IsObject()) Invalid("spec", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  LeafWriterSpec spec;
  spec.column = object.Get("column").ToString().Utf8Value();
  spec.type = TypeOf(IntegerOf(object, "type"));
  spec.type_length = static_cast<int32_t>(IntegerOf(object, "typeLength"));
  spec.max_definition = MaxLevelOf(IntegerOf(object, "maxDefinition"));
  spec.max_repetition = MaxLevelOf(IntegerOf(object, "maxRepetition"));
  spec.zstd_level = static_cast<int32_t>(IntegerOf(object, "zstdLevel"));
  spec.page_bytes = static_cast<size_t>(IntegerOf(object, "pageBytes"));
  spec.dictionary = object.Get("dictionary").ToBoolean().Value();
  const int64_t order = IntegerOf(object, "order");
  if (order < 0 || order > 4) Invalid("order", "0..4");
  spec.order = static_cast<Order>(order);
  return spec;
}

// Rows from levels and PLAIN values that JS encoded.
struct PlainInput {
  std::span<const uint8_t> definition, repetition, plain;
  size_t n_levels = 0;
  size_t n_values = 0;
};

class AppendWorker : public PromiseWorker {
 public:
  AppendWorker(Napi::Env env, std::shared_ptr<LeafWriter> writer)
      : PromiseWorker(env), writer_(std::move(writer)) {}
  std::shared_ptr<LeafReader> source;
  int64_t first_row = 0;
  size_t n_rows = 0;
  std::optional<PlainInput> plain;
  std::span<const int32_t> offsets;
  std::span<const uint8_t> data, validity;
  std::optional<std::span<const int32_t>> selection;
  std::optional<std::vector<codec::ByteView>> views;

 protected:
  void Work() override {
    CountProgress();
    if (views) return writer_->AppendViews(*views);
    if (source) return writer_->Append(*source->Rows(first_row, n_rows), selection);
    if (!plain) return writer_->AppendArrow(offsets, data, validity, selection);
    const LeafWriterSpec& spec = writer_->spec();
    Values values;
    const size_t width = WidthOf(spec.type, spec.type_length);
    try {
      DecodePlain(spec.type, width, plain->plain, plain->n_values, values);
    } catch (const PageError& error) {
      throw CodedError(
          "OPTION_INVALID",
          {{"option", "plain"}, {"expected", "PLAIN values"}, {"received", error.what()}});
    }
    LeafRows rows;
    rows.width = width;
    rows.n_levels = plain->n_levels;
    rows.definition.assign(plain->definition.begin(), plain->definition.end());
    rows.repetition.assign(plain->repetition.begin(), plain->repetition.end());
    rows.slices = std::move(values.slices);
    if (width > 0 && plain->n_values > 0)
      rows.fixed.assign(values.fixed, values.fixed + plain->n_values * width);
    rows.n_rows = rows.n_levels;
    if (spec.max_repetition > 0) {
      rows.n_rows = static_cast<size_t>(
          std::count(rows.repetition.begin(), rows.repetition.end(), uint8_t{0}));
    }
    size_t n_defined = rows.n_levels;
    if (spec.max_definition > 0) {
      n_defined = static_cast<size_t>(std::count(rows.definition.begin(), rows.definition.end(),
                                                 static_cast<uint8_t>(spec.max_definition)));
    }
    if (n_defined != plain->n_values ||
        (rows.n_levels > 0 && !rows.repetition.empty() && rows.repetition[0] != 0)) {
      throw CodedError("OPTION_INVALID", {{"option", "plain"},
                                          {"expected", "levels that match the values"},
                                          {"received", "others"}});
    }
    writer_->Append(rows, std::nullopt);
  }
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::shared_ptr<LeafWriter> writer_;
};

class FinishWorker : public PromiseWorker {
 public:
  FinishWorker(Napi::Env env, std::shared_ptr<LeafWriter> writer)
      : PromiseWorker(env), writer_(std::move(writer)) {}

 protected:
  void Work() override { chunk_ = writer_->Finish(); }
  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    const auto bytes = [&](const std::vector<uint8_t>& from) {
      return Napi::Buffer<uint8_t>::Copy(env, from.data(), from.size());
    };
    result.Set("bytes", bytes(chunk_.bytes));
    result.Set("dictionaryBytes", static_cast<double>(chunk_.dictionary_bytes));
    result.Set("nValues", static_cast<double>(chunk_.n_values));
    result.Set("nNulls", static_cast<double>(chunk_.n_nulls));
    result.Set("uncompressedBytes", static_cast<double>(chunk_.uncompressed_bytes));
    result.Set("nDictionaryPages", chunk_.n_dictionary_pages);
    result.Set("nPlainPages", chunk_.n_plain_pages);
    if (chunk_.min) result.Set("min", bytes(*chunk_.min));
    if (chunk_.max) result.Set("max", bytes(*chunk_.max));
    return result;
  }

 private:
  std::shared_ptr<LeafWriter> writer_;
  Chunk chunk_;
};

class WriterObject : public Napi::ObjectWrap<WriterObject> {
 public:
  explicit WriterObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WriterObject>(info) {
    Guarded(info.Env(), [&] { writer_ = std::make_shared<LeafWriter>(WriterSpecOf(info[0])); });
  }
  static Napi::Function Class(Napi::Env env) {
    return DefineClass(env, "LeafWriter",
                       {InstanceMethod("appendLeaf", &WriterObject::AppendLeaf),
                        InstanceMethod("appendArrow", &WriterObject::AppendArrow),
                        InstanceMethod("appendViews", &WriterObject::AppendViews),
                        InstanceMethod("appendPlain", &WriterObject::AppendPlain),
                        InstanceMethod("finish", &WriterObject::Finish),
                        InstanceAccessor("bufferedBytes", &WriterObject::BufferedBytes, nullptr),
                        InstanceAccessor("rawBytes", &WriterObject::RawBytes, nullptr)});
  }

 private:
  // Only between calls: the last argument of the append methods, null for all rows.
  static void Select(AppendWorker& worker, const Napi::Value& value) {
    if (!value.IsTypedArray()) return;
    const auto rows = ViewOf<int32_t>(value, "rows");
    worker.selection = std::span<const int32_t>(rows.data(), rows.size());
    worker.Keep(value);
  }
  // appendLeaf(reader, firstRow, nRows, rows | null)
  Napi::Value AppendLeaf(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      auto source = LeafReaderOf(info[0]);
      const int64_t first_row = IndexOf(info[1], "firstRow");
      const auto n_rows = static_cast<size_t>(IndexOf(info[2], "nRows"));
      auto worker = std::make_unique<AppendWorker>(info.Env(), writer_);
      worker->source = std::move(source);
      worker->first_row = first_row;
      worker->n_rows = n_rows;
      Select(*worker, info[3]);
      return worker.release()->Start();
    });
  }
  // appendArrow(offsets, data, validity | null, rows | null)
  Napi::Value AppendArrow(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      auto worker = std::make_unique<AppendWorker>(info.Env(), writer_);
      const auto offsets = ViewOf<int32_t>(info[0], "offsets");
      worker->offsets = {offsets.data(), offsets.size()};
      worker->data = ViewOf<uint8_t>(info[1], "data");
      if (info[2].IsTypedArray()) worker->validity = ViewOf<uint8_t>(info[2], "validity");
      Select(*worker, info[3]);
      for (int k = 0; k < 3; k++) worker->Keep(info[k]);
      return worker.release()->Start();
    });
  }
  // appendViews(buffers, bufferOf, starts, sizes): value k is sizes[k] bytes from starts[k] of
  // buffers[bufferOf[k]], or null where bufferOf[k] is 255
  Napi::Value AppendViews(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      if (!info[0].IsArray()) Invalid("buffers", "an array of Uint8Arrays");
      const auto array = info[0].As<Napi::Array>();
      std::vector<std::span<uint8_t>> buffers;
      auto worker = std::make_unique<AppendWorker>(info.Env(), writer_);
      for (uint32_t index = 0; index < array.Length(); index++) {
        buffers.push_back(ViewOf<uint8_t>(array.Get(index), "buffers"));
        worker->Keep(array.Get(index));
      }
      const auto buffer_of = ViewOf<uint8_t>(info[1], "bufferOf");
      const auto starts = ViewOf<int32_t>(info[2], "starts");
      const auto sizes = ViewOf<int32_t>(info[3], "sizes");
      if (starts.size() != buffer_of.size() || sizes.size() != buffer_of.size())
        Invalid("starts", "as many as bufferOf, as are sizes");
      worker->views.emplace(buffer_of.size());
      for (size_t k = 0; k < buffer_of.size(); k++) {
        if (buffer_of[k] == 255) continue;
        if (buffer_of[k] >= buffers.size()) Invalid("bufferOf", "indices of buffers, or 255");
        const auto& buffer = buffers[buffer_of[k]];
        const int64_t start = starts[k];
        const int64_t size = sizes[k];
        if (start < 0 || size < 0 || static_cast<size_t>(start + size) > buffer.size())
          Invalid("starts", "stretches inside their buffers");
        const uint8_t* data =
            size == 0 ? reinterpret_cast<const uint8_t*>("") : buffer.data() + start;
        (*worker->views)[k] = {data, static_cast<size_t>(size)};
      }
      return worker.release()->Start();
    });
  }
  // appendPlain(nLevels, nValues, definition | null, repetition | null, plain)
  Napi::Value AppendPlain(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      auto worker = std::make_unique<AppendWorker>(info.Env(), writer_);
      PlainInput input;
      input.n_levels = static_cast<size_t>(IndexOf(info[0], "nLevels"));
      input.n_values = static_cast<size_t>(IndexOf(info[1], "nValues"));
      if (info[2].IsTypedArray()) input.definition = ViewOf<uint8_t>(info[2], "definition");
      if (info[3].IsTypedArray()) input.repetition = ViewOf<uint8_t>(info[3], "repetition");
      input.plain = ViewOf<uint8_t>(info[4], "plain");
      const LeafWriterSpec& spec = writer_->spec();
      if ((spec.max_definition > 0) != !input.definition.empty() && input.n_levels > 0)
        Invalid("definition", "levels");
      if (!input.definition.empty() && input.definition.size() != input.n_levels)
        Invalid("definition", "nLevels");
      if ((spec.max_repetition > 0) != !input.repetition.empty() && input.n_levels > 0)
        Invalid("repetition", "levels");
      if (!input.repetition.empty() && input.repetition.size() != input.n_levels)
        Invalid("repetition", "nLevels");
      worker->plain = input;
      for (int k = 2; k < 5; k++) worker->Keep(info[k]);
      return worker.release()->Start();
    });
  }
  Napi::Value Finish(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      auto* worker = new FinishWorker(info.Env(), writer_);
      return worker->Start();
    });
  }
  Napi::Value BufferedBytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(writer_->buffered_bytes()));
  }
  Napi::Value RawBytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(writer_->raw_bytes()));
  }
  std::shared_ptr<LeafWriter> writer_;
};

}  // namespace

Napi::Function LeafWriterClass(Napi::Env env) {
  return WriterObject::Class(env);
}

}  // namespace gristmill::binding
