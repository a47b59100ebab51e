// class LineScorer: open() -> info, setEncoder(encoder), score(request) -> Float32Array, dispose();
// scorePages(request) -> scores of documents and of their lines by one or two of them.
//
// Lifetime rules
//  1. The model is shared by the object and by the workers that use it: dispose() lets go of it,
//     the last worker frees it.
//  2. Bags are copied on the JS thread. The bytes of pages are not: their views are kept alive
//  until
//     the promise settles, and read by sizes and offsets that were copied and checked before.
//  3. Calls wait for each other inside LineScorer::Score, in no promised order: each promise is its
//     own.
#include "binding/line_scorer.h"

#include <memory>

#include "binding/convert.h"
#include "binding/pages.h"
#include "binding/promise_worker.h"
#include "binding/sites.h"
#include "engine/line_scorer.h"
#include "sites/site_counter.h"

namespace gristmill::binding {

namespace {

using engine::LineScorer;
using Shared = std::shared_ptr<LineScorer>;

constexpr napi_type_tag kScorerTag = {0x6772697374333032, 0x6c696e6573636f72};

template <typename T>
std::vector<T> Copy(const Napi::Object& object, const char* name) {
  const std::span<T> view = ViewOf<T>(object.Get(name), name);
  return {view.begin(), view.end()};
}

class ScoreWorker : public PromiseWorker {
 public:
  ScoreWorker(Napi::Env env, Shared scorer, engine::BagWindows windows)
      : PromiseWorker(env), scorer_(std::move(scorer)), windows_(std::move(windows)) {}

 private:
  void Work() override { scores_ = scorer_->Score(windows_); }
  Napi::Value Result(Napi::Env env) override {
    auto scores = Napi::Float32Array::New(env, scores_.size());
    std::copy(scores_.begin(), scores_.end(), scores.Data());
    return scores;
  }

  Shared scorer_;
  engine::BagWindows windows_;
  std::vector<float> scores_;
};

// The network of a model, as the scorer of pages sees it.
class LineNetwork : public pages::Network {
 public:
  explicit LineNetwork(Shared scorer) : scorer_(std::move(scorer)) {}

  int32_t n_ctx() const override { return scorer_->n_ctx(); }
  std::vector<float> Score(std::vector<int32_t> window_starts, pages::Bags bags) override {
    return scorer_->Score({std::move(window_starts), std::move(bags.starts), std::move(bags.ids),
                           std::move(bags.weights)});
  }

 private:
  Shared scorer_;
};

// {kind, head, treeShare, hashBits, bins, stack: null | {logistic: {bins, wordWeights, binWeights},
// bins, trees}, calibration: {slope, intercept}}
std::shared_ptr<const pages::Model> ModelOf(const Napi::Object& object) {
  auto model = std::make_shared<pages::Model>();
  model->of_documents = object.Get("kind").ToString().Utf8Value() == "document-score";
  model->has_network = object.Get("head").ToString().Utf8Value() == "network";
  model->tree_share = object.Get("treeShare").ToNumber().DoubleValue();
  model->hash_bits = object.Get("hashBits").ToNumber().Int32Value();
  if (model->has_network) model->bins = BinsOf(object.Get("bins").ToObject(), "bins");
  if (object.Get("stack").IsObject()) {
    const Napi::Object from = object.Get("stack").ToObject();
    const Napi::Object logistic = from.Get("logistic").ToObject();
    const auto words = ViewOf<float>(logistic.Get("wordWeights"), "wordWeights");
    const auto weights = ViewOf<float>(logistic.Get("binWeights"), "binWeights");
    auto stack = std::make_shared<pages::Stack>();
    stack->word_weights.assign(words.begin(), words.end());
    stack->bin_weights.assign(weights.begin(), weights.end());
    stack->regression.bins = BinsOf(logistic.Get("bins").ToObject(), "logistic.bins");
    stack->regression.word_weights = stack->word_weights;
    stack->regression.bin_weights = stack->bin_weights;
    stack->trees =
        TreesOf(from.Get("trees").ToObject(), BinsOf(from.Get("bins").ToObject(), "trees.bins"));
    model->stack = std::move(stack);
  }
  const Napi::Object calibration = object.Get("calibration").ToObject();
  model->calibration.slope = calibration.Get("slope").ToNumber().DoubleValue();
  model->calibration.intercept = calibration.Get("intercept").ToNumber().DoubleValue();
  if (calibration.Get("byDoubt").IsObject()) {
    const Napi::Object by = calibration.Get("byDoubt").ToObject();
    model->calibration.doubt_slope = by.Get("slope").ToNumber().DoubleValue();
    model->calibration.doubt_intercept = by.Get("intercept").ToNumber().DoubleValue();
  }
  model->Check();
  return model;
}

// {threshold, leastEvidence, minKeptRatio, minWords, spelling: {keep, before, between, after,
// startShift, endShift}}
pages::RemovalRules RulesOf(const Napi::Object& object) {
  const auto number = [](const Napi::Object& from, const char* name) {
    return from.Get(name).ToNumber();
  };
  const auto words = [](const Napi::Object& from, const char* name) {
    return from.Get(name).ToString().Utf8Value();
  };
  const Napi::Object spelling = object.Get("spelling").ToObject();
  return {number(object, "threshold").DoubleValue(),
          number(object, "leastEvidence").DoubleValue(),
          number(object, "minKeptRatio").DoubleValue(),
          number(object, "minWords").DoubleValue(),
          {words(spelling, "keep"), words(spelling, "before"), words(spelling, "between"),
           words(spelling, "after"), number(spelling, "startShift").Int32Value(),
           number(spelling, "endShift").Int32Value()}};
}

class PagesWorker : public PromiseWorker {
 public:
  PagesWorker(Napi::Env env, const Napi::Object& from, std::optional<pages::Scorer> documents,
              std::optional<pages::Scorer> lines)
      : PromiseWorker(env), cancel_(nullptr, "scoring") {
    request_.documents = std::move(documents);
    request_.lines = std::move(lines);
    request_.data = ViewOf<uint8_t>(from.Get("data"), "data");
    Keep(from.Get("data"));
    const auto offsets = ViewOf<int32_t>(from.Get("offsets"), "offsets");
    offsets_.assign(offsets.begin(), offsets.end());
    const auto docs = ViewOf<int32_t>(from.Get("docs"), "docs");
    docs_.assign(docs.begin(), docs.end());
    request_.offsets = offsets_;
    request_.docs = docs_;
    request_.document_threshold = from.Get("documentThreshold").ToNumber().DoubleValue();
    request_.n_threads = from.Get("nThreads").ToNumber().Int32Value();
    if (from.Get("rules").IsObject() && request_.lines) {
      request_.rules = RulesOf(from.Get("rules").ToObject());
      request_.output = ViewOf<uint8_t>(from.Get("output"), "output");
      Keep(from.Get("output"));
      request_.keep_lines = from.Get("keepLines").ToBoolean().Value();
    }
    const std::span<int32_t> word = ViewOf<int32_t>(from.Get("cancel"), "cancel");
    if (word.empty())
      throw CodedError("OPTION_INVALID",
                       {{"option", "cancel"}, {"expected", "one number"}, {"received", "none"}});
    cancel_ = CancelFlag(word.data(), "scoring");
    Keep(from.Get("cancel"));
    TakeSites(from.Get("sites"));
    request_.Check();
  }

 private:
  // {table, siteOf: by document, names, nameStarts}
  void TakeSites(const Napi::Value& value) {
    if (!value.IsObject()) return;
    const Napi::Object from = value.As<Napi::Object>();
    const auto table = SiteTableOf(from.Get("table"));
    const auto site_of = ViewOf<int32_t>(from.Get("siteOf"), "siteOf");
    const auto names = ViewOf<uint8_t>(from.Get("names"), "names");
    const auto starts = ViewOf<int32_t>(from.Get("nameStarts"), "nameStarts");
    const std::vector<int32_t> offsets(starts.begin(), starts.end());
    // Looked up once for each site of a batch.
    std::vector<sites::SiteView> views;
    for (size_t site = 0; table && site + 1 < offsets.size(); ++site) {
      const int32_t begin = offsets[site];
      const int32_t end = offsets[site + 1];
      if (begin < 0 || end < begin || static_cast<size_t>(end) > names.size()) {
        throw CodedError("OPTION_INVALID",
                         {{"option", "nameStarts[" + std::to_string(site) + "]"},
                          {"expected", "ascending starts inside the names"},
                          {"received", std::to_string(begin) + ".." + std::to_string(end)}});
      }
      views.push_back(
          table->Find(sites::SiteHash({reinterpret_cast<const char*>(names.data()) + begin,
                                       static_cast<size_t>(end - begin)})));
    }
    std::vector<int32_t> rows(site_of.begin(), site_of.end());
    request_.site_lines = [table, views = std::move(views), rows = std::move(rows)](
                              size_t document, std::span<const uint8_t> text,
                              pages::SiteLines& into) {
      const int32_t site = document < rows.size() ? rows[document] : -1;
      if (site < 0 || static_cast<size_t>(site) >= views.size()) return false;
      const sites::SiteView& view = views[static_cast<size_t>(site)];
      if (view.pages < pages::kLeastSitePages) return false;
      into.pages = view.pages;
      thread_local sites::LineNormaliser normaliser;
      sites::ForEachSiteLine(text, normaliser,
                             [&](int32_t index, std::span<const uint8_t>, uint64_t hash) {
                               into.lines.resize(static_cast<size_t>(index) + 1);
                               into.lines.back() = view.PagesWith(hash);
                             });
      return true;
    };
  }

  void Work() override {
    cancel_.Check();
    scores_ = pages::ScorePages(request_, cancel_);
    if (request_.rules) Flatten();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    if (request_.documents) {
      result.Set("documents", NewArray<float>(env, std::span<const float>(scores_.documents)));
    }
    if (request_.rules) {
      result.Set("removals", RemovalsOf(env));
    }
    if (request_.lines && (!request_.rules || request_.keep_lines)) {
      auto starts = Napi::Int32Array::New(env, docs_.size() + 1);
      size_t total = 0;
      starts[0] = 0;
      for (size_t index = 0; index < docs_.size(); ++index) {
        total += scores_.lines[index].size();
        if (total > INT32_MAX) {
          throw CodedError("OPTION_INVALID", {{"option", "docs"},
                                              {"expected", "at most 2^31 - 1 lines in a call"},
                                              {"received", std::to_string(total)}});
        }
        starts[index + 1] = static_cast<int32_t>(total);
      }
      auto lines = Napi::Float32Array::New(env, total);
      float* to = lines.Data();
      for (const std::vector<float>& own : scores_.lines) {
        to = std::copy(own.begin(), own.end(), to);
      }
      result.Set("lineStarts", starts);
      result.Set("lines", lines);
    }
    return result;
  }

  // Off the JS thread: columns of what became of the pages.
  void Flatten() {
    stretch_starts_.push_back(0);
    program_starts_.push_back(0);
    size_t n_stretches = 0;
    size_t program_bytes = 0;
    for (const pages::Removal& removal : scores_.removals) {
      fates_.push_back(static_cast<uint8_t>(removal.fate));
      left_.push_back(removal.n_left);
      n_stretches += removal.bytes.size();
      program_bytes += removal.program.size();
      if (std::max(n_stretches * 2, program_bytes) > INT32_MAX) {
        throw CodedError("OPTION_INVALID",
                         {{"option", "docs"},
                          {"expected", "at most 2^31 - 1 bytes of programs in a call"},
                          {"received", std::to_string(program_bytes)}});
      }
      stretch_starts_.push_back(static_cast<int32_t>(n_stretches));
      program_starts_.push_back(static_cast<int32_t>(program_bytes));
    }
    stretches_.reserve(n_stretches * 2);
    stretch_bytes_.reserve(n_stretches);
    programs_.reserve(program_bytes);
    for (pages::Removal& removal : scores_.removals) {
      stretches_.insert(stretches_.end(), removal.stretches.begin(), removal.stretches.end());
      stretch_bytes_.insert(stretch_bytes_.end(), removal.bytes.begin(), removal.bytes.end());
      programs_.insert(programs_.end(), removal.program.begin(), removal.program.end());
      removal = {};
    }
  }

  Napi::Object RemovalsOf(Napi::Env env) const {
    Napi::Object columns = Napi::Object::New(env);
    const auto put = [&]<typename T>(const char* name, const std::vector<T>& values) {
      columns.Set(name, NewArray<T>(env, std::span<const T>(values)));
    };
    put("fates", fates_);
    put("bytesLeft", left_);
    put("stretchStarts", stretch_starts_);
    put("stretches", stretches_);
    put("stretchBytes", stretch_bytes_);
    put("programStarts", program_starts_);
    put("programs", programs_);
    put("nLines", scores_.n_lines);
    put("nChars", scores_.n_chars);
    put("charsLeft", scores_.chars_left);
    put("bySite", scores_.by_site);
    return columns;
  }

  std::vector<uint8_t> fates_;
  std::vector<int32_t> left_;
  std::vector<int32_t> stretch_starts_;
  std::vector<int32_t> stretches_;
  std::vector<int32_t> stretch_bytes_;
  std::vector<int32_t> program_starts_;
  std::vector<uint8_t> programs_;

  pages::PageRequest request_;
  std::vector<int32_t> offsets_;
  std::vector<int32_t> docs_;
  CancelFlag cancel_;
  pages::PageScores scores_;
};

class LineScorerObject : public Napi::ObjectWrap<LineScorerObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "LineScorer",
                       {InstanceMethod("open", &LineScorerObject::Open),
                        InstanceMethod("setEncoder", &LineScorerObject::SetEncoder),
                        InstanceMethod("score", &LineScorerObject::Score),
                        InstanceMethod("dispose", &LineScorerObject::Dispose)});
  }

  // The model of `value`, a LineScorer or null, if it scores what is `of_documents`. Throws
  // DISPOSED, OPTION_INVALID.
  static std::optional<pages::Scorer> ScorerOf(const Napi::Value& value, const char* name,
                                               bool of_documents) {
    if (value.IsNull() || value.IsUndefined()) return std::nullopt;
    const auto refuse = [&](const char* expected) {
      throw CodedError("OPTION_INVALID",
                       {{"option", name}, {"expected", expected}, {"received", "another value"}});
    };
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kScorerTag)) {
      refuse("a scoring model");
    }
    const LineScorerObject* object = Unwrap(value.As<Napi::Object>());
    if (!object->pages_) throw CodedError("DISPOSED", {{"object", "the line scorer"}});
    if (object->pages_->model->of_documents != of_documents) {
      refuse(of_documents ? "a model that scores documents" : "a model that scores lines");
    }
    return object->pages_;
  }

  explicit LineScorerObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<LineScorerObject>(info) {
    info.This().As<Napi::Object>().TypeTag(&kScorerTag);
    const Napi::Object options = info[0].ToObject();
    options_.model_path = options.Get("modelPath").ToString();
    options_.device = options.Get("device").ToString();
    options_.n_threads = options.Get("nThreads").ToNumber().Int32Value();
  }

 private:
  class OpenWorker : public PromiseWorker {
   public:
    OpenWorker(Napi::Env env, LineScorerObject* owner)
        : PromiseWorker(env), owner_(owner), options_(owner->options_) {
      Keep(owner->Value());
    }

   private:
    void Work() override { scorer_ = std::make_shared<LineScorer>(options_); }
    Napi::Value Result(Napi::Env env) override {
      Napi::Object object = Napi::Object::New(env);
      object.Set("kind", scorer_->kind());
      object.Set("device", scorer_->device_name());
      object.Set("nEmbd", scorer_->n_embd());
      object.Set("nRows", scorer_->n_rows());
      object.Set("nCtx", scorer_->n_ctx());
      const std::vector<uint8_t>& bytes = scorer_->encoder();
      auto encoder = Napi::Uint8Array::New(env, bytes.size());
      std::copy(bytes.begin(), bytes.end(), encoder.Data());
      object.Set("encoder", encoder);
      if (!owner_->disposed_) owner_->scorer_ = std::move(scorer_);
      return object;
    }

    LineScorerObject* owner_;
    engine::LineScorerOptions options_;
    Shared scorer_;
  };

  Napi::Value Open(const Napi::CallbackInfo& info) {
    return (new OpenWorker(info.Env(), this))->Start();
  }

  Napi::Value SetEncoder(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      if (!scorer_) throw CodedError("DISPOSED", {{"object", "the line scorer"}});
      auto model = ModelOf(info[0].ToObject());
      pages_ = pages::Scorer{std::move(model), nullptr};
      if (scorer_->n_ctx() > 0) pages_->network = std::make_shared<LineNetwork>(scorer_);
      if (pages_->model->has_network != (pages_->network != nullptr)) {
        pages_.reset();
        throw CodedError("OPTION_INVALID", {{"option", "head"},
                                            {"expected", "network for a model that has one"},
                                            {"received", "another"}});
      }
      return info.Env().Undefined();
    });
  }

  Napi::Value Score(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      if (!scorer_) throw CodedError("DISPOSED", {{"object", "the line scorer"}});
      const Napi::Object request = info[0].ToObject();
      engine::BagWindows windows;
      windows.window_starts = Copy<int32_t>(request, "windowStarts");
      windows.bag_starts = Copy<int32_t>(request, "bagStarts");
      windows.ids = Copy<int32_t>(request, "bagIds");
      windows.weights = Copy<float>(request, "bagWeights");
      return (new ScoreWorker(info.Env(), scorer_, std::move(windows)))->Start();
    });
  }

  Napi::Value Dispose(const Napi::CallbackInfo& info) {
    disposed_ = true;
    scorer_.reset();
    pages_.reset();
    return info.Env().Undefined();
  }

  engine::LineScorerOptions options_;
  Shared scorer_;  // JS thread only
  std::optional<pages::Scorer> pages_;
  bool disposed_ = false;
};

// scorePages({documentScorer, lineScorer, data, offsets, docs, documentThreshold, nThreads,
// rules?, output?, sites?: {table, siteOf, names, nameStarts}, cancel})
// -> {documents?: Float32Array, lineStarts?: Int32Array, lines?: Float32Array, removals?: columns}
Napi::Value ScorePagesJs(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object request = info[0].ToObject();
    auto documents =
        LineScorerObject::ScorerOf(request.Get("documentScorer"), "documentScorer", true);
    auto lines = LineScorerObject::ScorerOf(request.Get("lineScorer"), "lineScorer", false);
    return (new PagesWorker(info.Env(), request, std::move(documents), std::move(lines)))->Start();
  });
}

}  // namespace

void ExportLineScorer(Napi::Env env, Napi::Object exports) {
  exports.Set("LineScorer", LineScorerObject::Define(env));
  exports.Set("scorePages", Napi::Function::New(env, ScorePagesJs, "scorePages"));
}

}  // namespace gristmill::binding
