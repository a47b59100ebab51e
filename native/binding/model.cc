// inspectModel(path) -> Promise<object>, writeRandomModel(spec) -> Promise<void>,
// convertRows({source, from, target, to, columns}) -> Promise<{notFinite, tooLarge}>,
// vocabularyDifference(model, tokenizer) -> Promise<string>.
#include "binding/model.h"

#include <gguf.h>

#include <algorithm>
#include <vector>

#include "binding/convert.h"
#include "binding/promise_worker.h"
#include "engine/gguf_file.h"
#include "engine/random_model.h"
#include "engine/tensor_rows.h"
#include "engine/vocabulary_match.h"

namespace gristmill::binding {

namespace {

class InspectWorker : public PromiseWorker {
 public:
  InspectWorker(Napi::Env env, std::string path) : PromiseWorker(env), path_(std::move(path)) {}

 private:
  void Work() override { model_ = engine::ReadModelFile(path_, &metadata_); }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    const auto number = [&](const char* name, double value) { result.Set(name, value); };
    number("fileBytes", static_cast<double>(model_.file_bytes));
    number("ggufVersion", model_.gguf_version);
    result.Set("architecture", model_.architecture);
    result.Set("name", model_.name);
    result.Set("kind", model_.kind.empty() ? "language" : model_.kind);
    number("nParams", static_cast<double>(model_.n_params));
    number("nVocab", static_cast<double>(model_.n_vocab));
    number("nCtxTrain", static_cast<double>(model_.n_ctx_train));
    number("nEmbd", static_cast<double>(model_.n_embd));
    number("nLayer", static_cast<double>(model_.n_layer));
    number("nHead", static_cast<double>(model_.n_head));
    number("nHeadKv", static_cast<double>(model_.n_head_kv));
    number("nFf", static_cast<double>(model_.n_ff));
    result.Set("quantisation", model_.quantisation);
    result.Set("tokenizer", model_.tokenizer);
    result.Set("preTokenizer", model_.pre_tokenizer);
    result.Set("bosToken", model_.bos_token);
    result.Set("eosToken", model_.eos_token);
    result.Set("chatTemplate", model_.chat_template
                                   ? Napi::Value(Napi::String::New(env, *model_.chat_template))
                                   : env.Null());
    Napi::Array groups = Napi::Array::New(env);
    for (const engine::TensorGroup& group : model_.groups) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("type", group.type);
      entry.Set("tensors", static_cast<double>(group.tensors));
      entry.Set("parameters", static_cast<double>(group.parameters));
      entry.Set("bytes", static_cast<double>(group.bytes));
      groups.Set(groups.Length(), entry);
    }
    result.Set("tensors", groups);
    result.Set("encoder", Encoder(env));
    try {
      if (model_.kind.empty()) engine::CheckRunnable(model_);
      result.Set("runnable", true);
    } catch (const CodedError&) {
      result.Set("runnable", false);
    }
    return result;
  }

  // The bytes under `gristmill.encoder`, which models that score have; null without them.
  Napi::Value Encoder(Napi::Env env) const {
    const int64_t id = gguf_find_key(metadata_.get(), "gristmill.encoder");
    if (id < 0 || gguf_get_kv_type(metadata_.get(), id) != GGUF_TYPE_ARRAY ||
        gguf_get_arr_type(metadata_.get(), id) != GGUF_TYPE_UINT8) {
      return env.Null();
    }
    const auto* bytes = static_cast<const uint8_t*>(gguf_get_arr_data(metadata_.get(), id));
    return NewArray<uint8_t>(env, std::span(bytes, gguf_get_arr_n(metadata_.get(), id)));
  }

  std::string path_;
  engine::ModelFile model_;
  engine::GgufPointer metadata_;
};

class RandomModelWorker : public PromiseWorker {
 public:
  RandomModelWorker(Napi::Env env, engine::RandomModelSpec spec)
      : PromiseWorker(env), spec_(std::move(spec)) {}

 private:
  void Work() override { engine::WriteRandomModel(spec_); }
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

  engine::RandomModelSpec spec_;
};

class VocabularyWorker : public PromiseWorker {
 public:
  VocabularyWorker(Napi::Env env, std::string model, std::string tokenizer)
      : PromiseWorker(env), model_(std::move(model)), tokenizer_(std::move(tokenizer)) {}

 private:
  void Work() override { difference_ = engine::VocabularyDifference(model_, tokenizer_); }
  Napi::Value Result(Napi::Env env) override { return Napi::String::New(env, difference_); }

  std::string model_;
  std::string tokenizer_;
  std::string difference_;
};

// Works on memory of its own: a buffer that JS transfers away during the call takes its bytes
// along, whoever still holds the view.
class ConvertRowsWorker : public PromiseWorker {
 public:
  ConvertRowsWorker(Napi::Env env, engine::RowsRequest request, const Napi::Object& target)
      : PromiseWorker(env),
        source_(request.from.begin(), request.from.end()),
        result_(request.to.size()),
        request_(std::move(request)),
        target_(Napi::Persistent(target)) {
    request_.from = source_;
    request_.to = result_;
  }

 private:
  void Work() override { outcome_ = engine::ConvertRows(request_); }
  Napi::Value Result(Napi::Env env) override {
    const auto view = ViewOf<uint8_t>(target_.Value(), "target");
    if (view.size() != result_.size()) {
      throw CodedError("OPTION_INVALID", {{"option", "target"},
                                          {"expected", "a buffer that stays where it is"},
                                          {"received", "one that was transferred"}});
    }
    std::copy(result_.begin(), result_.end(), view.begin());
    Napi::Object result = Napi::Object::New(env);
    result.Set("notFinite", static_cast<double>(outcome_.not_finite));
    result.Set("tooLarge", static_cast<double>(outcome_.too_large));
    return result;
  }

  std::vector<uint8_t> source_, result_;
  engine::RowsRequest request_;
  engine::RowsOutcome outcome_;
  Napi::ObjectReference target_;
};

Napi::Value InspectModel(const Napi::CallbackInfo& info) {
  return (new InspectWorker(info.Env(), info[0].ToString()))->Start();
}

Napi::Value VocabularyDifference(const Napi::CallbackInfo& info) {
  return (new VocabularyWorker(info.Env(), info[0].ToString(), info[1].ToString()))->Start();
}

Napi::Value WriteRandomModel(const Napi::CallbackInfo& info) {
  const Napi::Object request = info[0].ToObject();
  const auto text = [&](const char* name) { return request.Get(name).ToString().Utf8Value(); };
  const auto number = [&](const char* name) { return request.Get(name).ToNumber().Int32Value(); };
  engine::RandomModelSpec spec;
  spec.path = text("path");
  spec.architecture = text("architecture");
  spec.n_layer = number("nLayer");
  spec.n_embd = number("nEmbd");
  spec.n_head = number("nHead");
  spec.n_head_kv = number("nHeadKv");
  spec.n_ff = number("nFf");
  spec.n_ctx = number("nCtx");
  spec.tokenizer = text("tokenizer");
  spec.vocab_size = number("vocabSize");
  spec.type = text("type");
  spec.seed = static_cast<uint64_t>(request.Get("seed").ToNumber().Int64Value());
  if (request.Get("headDim").IsNumber()) spec.head_dim = number("headDim");
  spec.tied_embeddings = request.Get("tiedEmbeddings").ToBoolean();
  if (request.Get("ropeBase").IsNumber())
    spec.rope_base = request.Get("ropeBase").ToNumber().DoubleValue();
  if (request.Get("chatTemplate").IsString()) spec.chat_template = text("chatTemplate");
  return (new RandomModelWorker(info.Env(), std::move(spec)))->Start();
}

Napi::Value ConvertRows(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object request = info[0].ToObject();
    engine::RowsRequest rows;
    rows.from = ViewOf<uint8_t>(request.Get("source"), "source");
    rows.to = ViewOf<uint8_t>(request.Get("target"), "target");
    rows.from_type = request.Get("from").ToString();
    rows.to_type = request.Get("to").ToString();
    rows.columns = request.Get("columns").ToNumber().Int64Value();
    engine::CheckRows(rows);
    const Napi::Object target = request.Get("target").As<Napi::Object>();
    return (new ConvertRowsWorker(info.Env(), std::move(rows), target))->Start();
  });
}

}  // namespace

void ExportModel(Napi::Env env, Napi::Object exports) {
  exports.Set("inspectModel", Napi::Function::New(env, InspectModel, "inspectModel"));
  exports.Set("writeRandomModel", Napi::Function::New(env, WriteRandomModel, "writeRandomModel"));
  exports.Set("vocabularyDifference",
              Napi::Function::New(env, VocabularyDifference, "vocabularyDifference"));
  exports.Set("convertRows", Napi::Function::New(env, ConvertRows, "convertRows"));
}

}  // namespace gristmill::binding
