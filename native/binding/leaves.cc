// Parquet leaf columns for JS: LeafReader; LeafWriter is leaf_writer.cc. Work runs on pool threads,
// JS sees sizes and bytes.
//
// Lifetime: the C++ object is shared between the JS object and the calls in flight, so neither a
// collected JS object nor a worker thread that ends pulls it from under a call.
#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "binding/codec.h"
#include "binding/convert.h"
#include "binding/leaves.h"
#include "binding/promise_worker.h"
#include "codec/leaf_reader.h"
#include "progress.h"
#include "trace.h"

namespace gristmill::binding {

namespace {

using namespace codec;

LeafSpec ReaderSpecOf(const Napi::Value& value) {
  if (!value.IsObject()) Invalid("spec", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  LeafSpec spec;
  spec.path = object.Get("path").ToString().Utf8Value();
  if (object.Get("storedPath").IsString())
    spec.stored_path = object.Get("storedPath").ToString().Utf8Value();
  if (object.Get("decodedPath").IsString())
    spec.decoded_path = object.Get("decodedPath").ToString().Utf8Value();
  spec.column = object.Get("column").ToString().Utf8Value();
  spec.type = TypeOf(IntegerOf(object, "type"));
  spec.type_length = static_cast<int32_t>(IntegerOf(object, "typeLength"));
  spec.max_definition = MaxLevelOf(IntegerOf(object, "maxDefinition"));
  spec.max_repetition = MaxLevelOf(IntegerOf(object, "maxRepetition"));
  spec.always_compressed = object.Get("alwaysCompressed").ToBoolean().Value();
  const Napi::Array segments = object.Get("segments").As<Napi::Array>();
  for (uint32_t k = 0; k < segments.Length(); k++) {
    const Napi::Object from = segments.Get(k).As<Napi::Object>();
    Segment segment;
    segment.offset = IntegerOf(from, "offset");
    segment.bytes = IntegerOf(from, "bytes");
    segment.n_values = IntegerOf(from, "nValues");
    segment.n_rows = IntegerOf(from, "nRows");
    segment.codec = static_cast<int32_t>(IntegerOf(from, "codec"));
    segment.row_group = static_cast<int32_t>(IntegerOf(from, "rowGroup"));
    spec.segments.push_back(segment);
  }
  return spec;
}

class PrepareWorker : public PromiseWorker {
 public:
  PrepareWorker(Napi::Env env, std::shared_ptr<LeafReader> reader, size_t max_rows,
                uint64_t max_bytes)
      : PromiseWorker(env),
        reader_(std::move(reader)),
        max_rows_(max_rows),
        max_bytes_(max_bytes) {}

 protected:
  void Work() override { prepared_ = reader_->Prepare(max_rows_, max_bytes_); }
  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("nRows", static_cast<double>(prepared_.n_rows));
    result.Set("dataBytes", static_cast<double>(prepared_.data_bytes));
    result.Set("nNulls", static_cast<double>(prepared_.n_nulls));
    return result;
  }

 private:
  std::shared_ptr<LeafReader> reader_;
  size_t max_rows_;
  uint64_t max_bytes_;
  Prepared prepared_;
};

class FillWorker : public PromiseWorker {
 public:
  FillWorker(Napi::Env env, std::shared_ptr<LeafReader> reader)
      : PromiseWorker(env), reader_(std::move(reader)) {}
  std::span<int32_t> offsets;
  std::span<uint8_t> data, validity, status;

 protected:
  void Work() override {
    reader_->Fill(offsets, data, validity, status);
    CountProgress();
    if (trace_descriptor < 0) return;
    for (size_t row = 0; row + 1 < offsets.size(); ++row) {
      TraceBytes("reader", data.data() + offsets[row],
                 static_cast<size_t>(offsets[row + 1] - offsets[row]));
    }
  }
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::shared_ptr<LeafReader> reader_;
};

// Marks the objects that wrap a LeafReader: unwrapping another class's object would take its memory
// for a reader.
constexpr napi_type_tag kReaderTag = {0x6772697374333031, 0x6c65616672656164};

// Levels and values of rows for JS. A byte array that several values share (a dictionary's) is
// copied once: starts and sizes say where each value lies, so pages that repeat a value do not
// unfold.
class RowsWorker : public PromiseWorker {
 public:
  RowsWorker(Napi::Env env, std::shared_ptr<LeafReader> reader, int64_t first_row, size_t n_rows)
      : PromiseWorker(env), reader_(std::move(reader)), first_row_(first_row), n_rows_(n_rows) {}

 protected:
  void Work() override {
    rows_ = reader_->Rows(first_row_, n_rows_);
    if (rows_->width > 0) return;
    std::unordered_map<const uint8_t*, std::pair<uint32_t, int32_t>> known;
    starts_.reserve(rows_->slices.size());
    sizes_.reserve(rows_->slices.size());
    for (const Slice& slice : rows_->slices) {
      const auto found = known.find(slice.data);
      if (slice.size > 0 && found != known.end() && found->second.first == slice.size) {
        starts_.push_back(found->second.second);
      } else {
        if (data_.size() + slice.size > INT32_MAX) {
          throw CodedError("CORPUS_UNSUPPORTED",
                           {{"file", reader_->spec().path},
                            {"reason", "a batch holds more than 2 GiB of column " +
                                           reader_->spec().column + "; lower batchRows"}});
        }
        const auto start = static_cast<int32_t>(data_.size());
        starts_.push_back(start);
        data_.insert(data_.end(), slice.data, slice.data + slice.size);
        if (slice.size > 0) known.insert_or_assign(slice.data, std::pair(slice.size, start));
      }
      sizes_.push_back(static_cast<int32_t>(slice.size));
    }
  }
  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    const auto bytes = [&](const std::vector<uint8_t>& from) {
      return Napi::Buffer<uint8_t>::Copy(env, from.data(), from.size());
    };
    const auto integers = [&](const std::vector<int32_t>& from) {
      Napi::Int32Array into = Napi::Int32Array::New(env, from.size());
      std::copy(from.begin(), from.end(), into.Data());
      return into;
    };
    const LeafSpec& spec = reader_->spec();
    result.Set("nLevels", static_cast<double>(rows_->n_levels));
    result.Set("definition", spec.max_definition > 0 ? Napi::Value(bytes(rows_->definition))
                                                     : Napi::Value(env.Null()));
    result.Set("repetition", spec.max_repetition > 0 ? Napi::Value(bytes(rows_->repetition))
                                                     : Napi::Value(env.Null()));
    result.Set("data", rows_->width > 0 ? bytes(rows_->fixed) : bytes(data_));
    result.Set("starts", rows_->width > 0 ? env.Null() : Napi::Value(integers(starts_)));
    result.Set("sizes", rows_->width > 0 ? env.Null() : Napi::Value(integers(sizes_)));
    return result;
  }

 private:
  std::shared_ptr<LeafReader> reader_;
  int64_t first_row_;
  size_t n_rows_;
  std::shared_ptr<const LeafRows> rows_;
  std::vector<uint8_t> data_;
  std::vector<int32_t> starts_, sizes_;
};

class ReaderObject : public Napi::ObjectWrap<ReaderObject> {
 public:
  explicit ReaderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ReaderObject>(info) {
    Guarded(info.Env(), [&] {
      reader_ = std::make_shared<LeafReader>(ReaderSpecOf(info[0]));
      info.This().As<Napi::Object>().TypeTag(&kReaderTag);
    });
  }
  static Napi::Function Class(Napi::Env env) {
    return DefineClass(
        env, "LeafReader",
        {InstanceMethod("prepare", &ReaderObject::Prepare),
         InstanceMethod("fill", &ReaderObject::Fill), InstanceMethod("rows", &ReaderObject::Rows),
         InstanceMethod("close", &ReaderObject::Close)});
  }
  std::shared_ptr<LeafReader> reader() const {
    if (!reader_) throw CodedError("DISPOSED", {{"object", "LeafReader"}});
    return reader_;
  }

 private:
  Napi::Value Prepare(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const auto max_rows = static_cast<size_t>(IndexOf(info[0], "maxRows"));
      const auto max_bytes = static_cast<uint64_t>(IndexOf(info[1], "maxBytes"));
      auto* worker = new PrepareWorker(info.Env(), reader(), max_rows, max_bytes);
      return worker->Start();
    });
  }
  // fill(offsets, data, validity | null, status | null)
  Napi::Value Fill(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const auto offsets = ViewOf<int32_t>(info[0], "offsets");
      const auto data = ViewOf<uint8_t>(info[1], "data");
      std::span<uint8_t> validity, status;
      if (info[2].IsTypedArray()) validity = ViewOf<uint8_t>(info[2], "validity");
      if (info[3].IsTypedArray()) status = ViewOf<uint8_t>(info[3], "status");
      auto* worker = new FillWorker(info.Env(), reader());
      worker->offsets = offsets;
      worker->data = data;
      worker->validity = validity;
      worker->status = status;
      for (int k = 0; k < 4; k++) worker->Keep(info[k]);
      return worker->Start();
    });
  }
  // rows(firstRow, nRows)
  Napi::Value Rows(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const int64_t first_row = IndexOf(info[0], "firstRow");
      const auto n_rows = static_cast<size_t>(IndexOf(info[1], "nRows"));
      auto* worker = new RowsWorker(info.Env(), reader(), first_row, n_rows);
      return worker->Start();
    });
  }
  // Lets the memory and the file go when the calls in flight are done.
  Napi::Value Close(const Napi::CallbackInfo& info) {
    reader_.reset();
    return info.Env().Undefined();
  }
  std::shared_ptr<LeafReader> reader_;
};

}  // namespace

std::shared_ptr<LeafReader> LeafReaderOf(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kReaderTag))
    Invalid("reader", "a LeafReader");
  return Napi::ObjectWrap<ReaderObject>::Unwrap(value.As<Napi::Object>())->reader();
}

void ExportLeaves(Napi::Env env, Napi::Object exports) {
  exports.Set("LeafReader", ReaderObject::Class(env));
  exports.Set("LeafWriter", LeafWriterClass(env));
}

}  // namespace gristmill::binding
