// class Tokenizer: the vocabulary of a GGUF file without its weights, for training data.
//
// Lifetime rules
//  1. The vocabulary is shared by the object and by the workers that use it; it is const and thread
//     safe. dispose() lets go of it, the last worker frees it.
//  2. Columns are used in place: workers keep references to their views.
#include "binding/tokenizer.h"

#include <memory>

#include "binding/convert.h"
#include "binding/engine_values.h"
#include "binding/promise_worker.h"
#include "engine/backend.h"
#include "engine/gguf_file.h"
#include "engine/jobs.h"
#include "engine/tokenizer.h"

namespace gristmill::binding {

namespace {

struct Vocabulary {
  explicit Vocabulary(const std::string& path) : model(nullptr, llama_model_free) {
    const engine::ModelFile file = engine::ReadModelFile(path);
    const auto invalid = [&](const std::string& reason) {
      throw CodedError("ENGINE_MODEL_INVALID", {{"file", path}, {"reason", reason}});
    };
    if (file.tokenizer != "llama" && file.tokenizer != "gpt2") {
      invalid("it holds no tokenizer that can be used");
    }
    engine::CheckVocabulary(file);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    engine::TakeLogErrors();
    try {
      model.reset(llama_model_load_from_file(path.c_str(), params));
    } catch (const std::exception& error) {
      invalid(error.what());
    }
    if (!model) {
      const std::string reason = engine::TakeLogErrors();
      invalid(reason.empty() ? "llama.cpp could not load its vocabulary" : reason);
    }
    tokenizer = std::make_unique<engine::Tokenizer>(llama_model_get_vocab(model.get()));
  }

  std::unique_ptr<llama_model, void (*)(llama_model*)> model;
  std::unique_ptr<engine::Tokenizer> tokenizer;
};
using Shared = std::shared_ptr<const Vocabulary>;

class EncodeWorker : public PromiseWorker {
 public:
  EncodeWorker(Napi::Env env, Shared vocabulary, engine::Documents documents)
      : PromiseWorker(env), vocabulary_(std::move(vocabulary)), documents_(documents) {}

 private:
  void Work() override {
    starts_.push_back(0);
    for (int32_t document = 0; document < documents_.size(); ++document) {
      const engine::Tokens tokens = vocabulary_->tokenizer->Plain(documents_.At(document));
      ids_.insert(ids_.end(), tokens.begin(), tokens.end());
      starts_.push_back(static_cast<int32_t>(ids_.size()));
    }
  }
  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    auto ids = Napi::Int32Array::New(env, ids_.size());
    std::copy(ids_.begin(), ids_.end(), ids.Data());
    auto starts = Napi::Int32Array::New(env, starts_.size());
    std::copy(starts_.begin(), starts_.end(), starts.Data());
    result.Set("ids", ids);
    result.Set("starts", starts);
    return result;
  }

  Shared vocabulary_;
  engine::Documents documents_;
  std::vector<int32_t> ids_;
  std::vector<int32_t> starts_;
};

// Prompts with their answers, as the engine would read and write them: the same builder.
class ChatWorker : public PromiseWorker {
 public:
  ChatWorker(Napi::Env env, Shared vocabulary, engine::Frame frame, engine::Documents prompts,
             engine::Documents answers)
      : PromiseWorker(env),
        vocabulary_(std::move(vocabulary)),
        frame_(std::move(frame)),
        prompts_(prompts),
        answers_(answers) {}

 private:
  void Work() override {
    const engine::PromptBuilder builder(*vocabulary_->tokenizer, frame_);
    starts_.push_back(0);
    for (int32_t document = 0; document < prompts_.size(); ++document) {
      Append(builder.Build(prompts_.At(document), true).tokens);
      answer_starts_.push_back(static_cast<int32_t>(ids_.size()));
      Append(builder.AnswerTokens(answers_.At(document)));
      starts_.push_back(static_cast<int32_t>(ids_.size()));
    }
  }
  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("ids", FromVector(env, ids_));
    result.Set("starts", FromVector(env, starts_));
    result.Set("answerStarts", FromVector(env, answer_starts_));
    return result;
  }
  void Append(const engine::Tokens& tokens) {
    ids_.insert(ids_.end(), tokens.begin(), tokens.end());
  }

  Shared vocabulary_;
  engine::Frame frame_;
  engine::Documents prompts_;
  engine::Documents answers_;
  std::vector<int32_t> ids_;
  std::vector<int32_t> starts_;
  std::vector<int32_t> answer_starts_;
};

// One conversation, of a template's pieces and messages.
class ConversationWorker : public PromiseWorker {
 public:
  ConversationWorker(Napi::Env env, Shared vocabulary, engine::Documents texts,
                     std::span<int32_t> kinds, int32_t n_bos, bool space_prefix)
      : PromiseWorker(env),
        vocabulary_(std::move(vocabulary)),
        n_bos_(n_bos),
        space_prefix_(space_prefix) {
    for (int32_t part = 0; part < texts.size(); ++part) {
      const int32_t kind = kinds[part];
      parts_.push_back({texts.At(part), (kind & 1) != 0, (kind & 2) != 0, (kind & 4) != 0});
    }
  }

 private:
  void Work() override {
    ids_ = vocabulary_->tokenizer->Conversation(parts_, n_bos_, space_prefix_);
  }
  Napi::Value Result(Napi::Env env) override { return FromVector(env, ids_); }

  Shared vocabulary_;
  std::vector<engine::Part> parts_;
  int32_t n_bos_;
  bool space_prefix_;
  std::vector<int32_t> ids_;
};

class TokenizerObject : public Napi::ObjectWrap<TokenizerObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Tokenizer",
                       {InstanceMethod("open", &TokenizerObject::Open),
                        InstanceMethod("encode", &TokenizerObject::Encode),
                        InstanceMethod("encodeChats", &TokenizerObject::EncodeChats),
                        InstanceMethod("encodeConversation", &TokenizerObject::EncodeConversation),
                        InstanceMethod("decode", &TokenizerObject::Decode),
                        InstanceMethod("dispose", &TokenizerObject::Dispose)});
  }

  explicit TokenizerObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<TokenizerObject>(info), path_(info[0].ToString()) {}

 private:
  class OpenWorker : public PromiseWorker {
   public:
    OpenWorker(Napi::Env env, TokenizerObject* owner)
        : PromiseWorker(env), owner_(owner), path_(owner->path_) {
      Keep(owner->Value());
    }

   private:
    void Work() override { vocabulary_ = std::make_shared<const Vocabulary>(path_); }
    Napi::Value Result(Napi::Env env) override {
      const engine::Tokenizer& tokenizer = *vocabulary_->tokenizer;
      Napi::Object object = Napi::Object::New(env);
      object.Set("nTokens", tokenizer.n_tokens());
      object.Set("bos", tokenizer.bos());
      object.Set("eos", llama_vocab_eos(tokenizer.vocab()));
      object.Set("addBos", tokenizer.add_bos());
      if (!owner_->disposed_) owner_->vocabulary_ = std::move(vocabulary_);
      return object;
    }

    TokenizerObject* owner_;
    std::string path_;
    Shared vocabulary_;
  };

  const Shared& Opened() const {
    if (!vocabulary_) throw CodedError("DISPOSED", {{"object", "the tokenizer"}});
    return vocabulary_;
  }

  Napi::Value Open(const Napi::CallbackInfo& info) {
    return (new OpenWorker(info.Env(), this))->Start();
  }

  static engine::Documents DocumentsIn(const Napi::Object& column) {
    const engine::Documents documents{ViewOf<uint8_t>(column.Get("data"), "data"),
                                      ViewOf<int32_t>(column.Get("offsets"), "offsets")};
    engine::CheckDocuments(documents);
    return documents;
  }

  static void KeepColumn(PromiseWorker* worker, const Napi::Object& column) {
    worker->Keep(column.Get("data"));
    worker->Keep(column.Get("offsets"));
  }

  // encode({data, offsets}) -> {ids, starts}
  Napi::Value Encode(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const Napi::Object column = info[0].ToObject();
      auto* worker = new EncodeWorker(info.Env(), Opened(), DocumentsIn(column));
      KeepColumn(worker, column);
      return worker->Start();
    });
  }

  // encodeChats({frame, prompts: {data, offsets}, answers: {data, offsets}})
  //   -> {ids, starts, answerStarts}
  Napi::Value EncodeChats(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const Napi::Object request = info[0].ToObject();
      const Napi::Object prompts = request.Get("prompts").ToObject();
      const Napi::Object answers = request.Get("answers").ToObject();
      const engine::Documents asked = DocumentsIn(prompts);
      const engine::Documents answered = DocumentsIn(answers);
      if (asked.size() != answered.size()) {
        throw CodedError("OPTION_INVALID",
                         {{"option", "answers"},
                          {"expected", std::to_string(asked.size()) + ", one a prompt"},
                          {"received", std::to_string(answered.size())}});
      }
      auto* worker = new ChatWorker(info.Env(), Opened(), ToFrame(request.Get("frame").ToObject()),
                                    asked, answered);
      KeepColumn(worker, prompts);
      KeepColumn(worker, answers);
      return worker->Start();
    });
  }

  // encodeConversation({texts: {data, offsets}, kinds, nBos, spacePrefix}) -> ids
  Napi::Value EncodeConversation(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const Napi::Object request = info[0].ToObject();
      const Napi::Object column = request.Get("texts").ToObject();
      const engine::Documents texts = DocumentsIn(column);
      const std::span<int32_t> kinds = ViewOf<int32_t>(request.Get("kinds"), "kinds");
      if (kinds.size() != static_cast<size_t>(texts.size())) {
        throw CodedError("OPTION_INVALID",
                         {{"option", "kinds"},
                          {"expected", std::to_string(texts.size()) + ", one a text"},
                          {"received", std::to_string(kinds.size())}});
      }
      auto* worker = new ConversationWorker(info.Env(), Opened(), texts, kinds,
                                            request.Get("nBos").ToNumber().Int32Value(),
                                            request.Get("spacePrefix").ToBoolean());
      KeepColumn(worker, column);
      return worker->Start();
    });
  }

  // decode(ids) -> bytes
  Napi::Value Decode(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const engine::Tokenizer& tokenizer = *Opened()->tokenizer;
      const std::span<int32_t> ids = ViewOf<int32_t>(info[0], "ids");
      for (const int32_t id : ids) {
        if (id < 0 || id >= tokenizer.n_tokens()) {
          throw CodedError("OPTION_INVALID",
                           {{"option", "ids"},
                            {"expected", "ids below " + std::to_string(tokenizer.n_tokens())},
                            {"received", std::to_string(id)}});
        }
      }
      const std::string text = tokenizer.Detokenize(engine::Tokens(ids.begin(), ids.end()));
      auto bytes = Napi::Uint8Array::New(info.Env(), text.size());
      std::copy(text.begin(), text.end(), bytes.Data());
      return bytes;
    });
  }

  Napi::Value Dispose(const Napi::CallbackInfo& info) {
    disposed_ = true;
    vocabulary_.reset();
    return info.Env().Undefined();
  }

  std::string path_;
  Shared vocabulary_;  // JS thread only
  bool disposed_ = false;
};

}  // namespace

void ExportTokenizer(Napi::Env env, Napi::Object exports) {
  exports.Set("Tokenizer", TokenizerObject::Define(env));
}

}  // namespace gristmill::binding
