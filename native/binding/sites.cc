// siteHosts(data, offsets, validity) -> {hostOf, hosts, hostStarts}, at once;
// class SiteCounter: add(request), finish() -> counts, dispose();
// mergeSiteParts({parts, out, meta, cancel}) -> counts: parts to a table;
// class SiteTable: open() -> info, linePages(text, site), texts(site), largest(n), dispose().
//
// Lifetime rules
//  1. Counters and tables are shared by their object and by the workers that use them.
//  2. The text of pages is read where it lies: its view is kept alive until the promise settles;
//  offsets and
//     names are copied and checked before.
//  3. Calls of a counter are made one after another: a worker waits for the one before.
#include "binding/sites.h"

#include <functional>
#include <mutex>

#include "binding/promise_worker.h"
#include "sites/hosts.h"
#include "sites/site_counter.h"

namespace gristmill::binding {

namespace {

constexpr napi_type_tag kTableTag = {0x6772697374333032, 0x7369746574616231};

[[noreturn]] void Refuse(const char* name, const char* expected) {
  throw CodedError("OPTION_INVALID",
                   {{"option", name}, {"expected", expected}, {"received", "another value"}});
}

// Work off the JS thread that may be told to stop.
class Task : public PromiseWorker {
 public:
  using Work_ = std::function<void(const CancelFlag&)>;
  using Convert = std::function<Napi::Value(Napi::Env)>;

  Task(Napi::Env env, const Napi::Value& cancel, const char* what, Work_ work, Convert convert)
      : PromiseWorker(env),
        cancel_(nullptr, what),
        work_(std::move(work)),
        convert_(std::move(convert)) {
    const std::span<int32_t> word = ViewOf<int32_t>(cancel, "cancel");
    if (word.empty()) Refuse("cancel", "one number");
    cancel_ = CancelFlag(word.data(), what);
    Keep(cancel);
  }

 private:
  void Work() override {
    cancel_.Check();
    work_(cancel_);
  }
  Napi::Value Result(Napi::Env env) override { return convert_(env); }

  CancelFlag cancel_;
  Work_ work_;
  Convert convert_;
};

Napi::Object ObjectOf(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) Refuse(name, "an object");
  return value.As<Napi::Object>();
}

std::string StringOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) Refuse(name, "a string");
  return value.ToString().Utf8Value();
}

std::vector<int32_t> IntegersOf(const Napi::Object& object, const char* name) {
  const auto view = ViewOf<int32_t>(object.Get(name), name);
  return {view.begin(), view.end()};
}

// Counts are exact in a double up to 2^53.
double Number(uint64_t count) {
  return static_cast<double>(count);
}

Napi::Value HostsJs(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const auto data = ViewOf<uint8_t>(info[0], "data");
    const auto offsets = ViewOf<int32_t>(info[1], "offsets");
    std::span<const uint8_t> validity;
    if (!info[2].IsNull()) validity = ViewOf<uint8_t>(info[2], "validity");
    const sites::Hosts hosts = sites::HostsOf(data, offsets, validity);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("hostOf", NewArray<int32_t>(info.Env(), std::span<const int32_t>(hosts.host_of)));
    const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(hosts.bytes.data()),
                                         hosts.bytes.size());
    result.Set("hosts", NewArray<uint8_t>(info.Env(), bytes));
    result.Set("hostStarts", NewArray<int32_t>(info.Env(), std::span<const int32_t>(hosts.starts)));
    return result;
  });
}

// A counter and the lock that keeps its calls apart.
struct Counter {
  explicit Counter(sites::CounterOptions options) : counter(std::move(options)) {}
  sites::SiteCounter counter;
  std::mutex lock;
};

class SiteCounterObject : public Napi::ObjectWrap<SiteCounterObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "SiteCounter",
                       {InstanceMethod("add", &SiteCounterObject::Add),
                        InstanceMethod("finish", &SiteCounterObject::Finish),
                        InstanceMethod("dispose", &SiteCounterObject::Dispose)});
  }

  explicit SiteCounterObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SiteCounterObject>(info) {
    Guarded(info.Env(), [&] {
      const Napi::Object from = ObjectOf(info[0], "options");
      sites::CounterOptions options;
      options.path = StringOf(from, "path");
      options.n_threads = from.Get("nThreads").ToNumber().Int32Value();
      const auto size = [&](const char* name, size_t& into) {
        if (from.Get(name).IsNumber()) {
          into = static_cast<size_t>(std::max<int64_t>(0, from.Get(name).ToNumber().Int64Value()));
        }
      };
      size("runRecords", options.run_records);
      size("textBytes", options.text_bytes);
      counter_ = std::make_shared<Counter>(std::move(options));
    });
  }

 private:
  std::shared_ptr<Counter> Get() const {
    if (!counter_) throw CodedError("DISPOSED", {{"object", "the counter"}});
    return counter_;
  }

  Napi::Value Add(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const Napi::Object from = ObjectOf(info[0], "request");
      struct Given {
        std::vector<int32_t> offsets;
        std::vector<int32_t> site_of;
        std::vector<uint8_t> names;
        std::vector<int32_t> name_starts;
        std::span<const uint8_t> data;
      };
      auto given = std::make_shared<Given>();
      given->offsets = IntegersOf(from, "offsets");
      given->site_of = IntegersOf(from, "siteOf");
      const auto names = ViewOf<uint8_t>(from.Get("names"), "names");
      given->names.assign(names.begin(), names.end());
      given->name_starts = IntegersOf(from, "nameStarts");
      given->data = ViewOf<uint8_t>(from.Get("data"), "data");
      auto task = std::make_unique<Task>(
          info.Env(), from.Get("cancel"), "counting",
          [counter = Get(), given](const CancelFlag& cancel) {
            const std::lock_guard<std::mutex> guard(counter->lock);
            counter->counter.Add(
                {given->data, given->offsets, given->site_of, given->names, given->name_starts},
                cancel);
          },
          [](Napi::Env env) { return env.Undefined(); });
      task->Keep(from.Get("data"));
      return task.release()->Start();
    });
  }

  Napi::Value Finish(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      auto counts = std::make_shared<sites::PartCounts>();
      auto task = std::make_unique<Task>(
          info.Env(), info[0], "counting",
          [counter = Get(), counts](const CancelFlag& cancel) {
            const std::lock_guard<std::mutex> guard(counter->lock);
            *counts = counter->counter.Finish(cancel);
          },
          [counts](Napi::Env env) -> Napi::Value {
            Napi::Object result = Napi::Object::New(env);
            result.Set("pages", Number(counts->pages));
            result.Set("lines", Number(counts->lines));
            result.Set("bytes", Number(counts->bytes));
            return result;
          });
      return task.release()->Start();
    });
  }

  Napi::Value Dispose(const Napi::CallbackInfo& info) {
    counter_.reset();
    return info.Env().Undefined();
  }

  std::shared_ptr<Counter> counter_;
};

Napi::Object FootOf(Napi::Env env, const sites::TableFoot& foot) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("pages", Number(foot.all_pages));
  result.Set("sites", Number(foot.all_sites));
  result.Set("sitesKept", Number(foot.n_sites));
  result.Set("linesKept", Number(foot.n_lines));
  return result;
}

// mergeSiteParts({parts, out, meta, cancel})
Napi::Value MergeJs(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object from = ObjectOf(info[0], "request");
    if (!from.Get("parts").IsArray()) Refuse("parts", "an array of paths");
    const auto list = from.Get("parts").As<Napi::Array>();
    std::vector<std::string> parts;
    for (uint32_t index = 0; index < list.Length(); ++index) {
      const Napi::Value part = list[index];
      parts.push_back(part.ToString().Utf8Value());
    }
    const std::string out = StringOf(from, "out");
    const std::string meta = StringOf(from, "meta");
    auto foot = std::make_shared<sites::TableFoot>();
    auto task = std::make_unique<Task>(
        info.Env(), from.Get("cancel"), "merging counts",
        [parts = std::move(parts), out, meta, foot](const CancelFlag& cancel) {
          sites::TableWriter writer(out);
          sites::MergeManyParts(parts, out + ".merge", writer, cancel);
          *foot = writer.Close(meta);
        },
        [foot](Napi::Env env) -> Napi::Value { return FootOf(env, *foot); });
    return task.release()->Start();
  });
}

class SiteTableObject : public Napi::ObjectWrap<SiteTableObject> {
 public:
  using Shared = std::shared_ptr<const sites::SiteTable>;

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "SiteTable",
                       {InstanceMethod("open", &SiteTableObject::Open),
                        InstanceMethod("linePages", &SiteTableObject::LinePages),
                        InstanceMethod("texts", &SiteTableObject::Texts),
                        InstanceMethod("largest", &SiteTableObject::Largest),
                        InstanceMethod("dispose", &SiteTableObject::Dispose)});
  }

  explicit SiteTableObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SiteTableObject>(info), path_(info[0].ToString().Utf8Value()) {
    info.This().As<Napi::Object>().TypeTag(&kTableTag);
  }

  Shared Get() const {
    if (!table_) throw CodedError("DISPOSED", {{"object", "the table of sites"}});
    return table_;
  }

 private:
  class OpenWorker : public PromiseWorker {
   public:
    OpenWorker(Napi::Env env, SiteTableObject* owner)
        : PromiseWorker(env), owner_(owner), path_(owner->path_) {
      Keep(owner->Value());
    }

   private:
    void Work() override { table_ = std::make_shared<const sites::SiteTable>(path_); }
    Napi::Value Result(Napi::Env env) override {
      Napi::Object result = FootOf(env, table_->foot());
      result.Set("meta", std::string(table_->meta()));
      owner_->table_ = std::move(table_);
      return result;
    }

    SiteTableObject* owner_;
    std::string path_;
    Shared table_;
  };

  Napi::Value Open(const Napi::CallbackInfo& info) {
    return (new OpenWorker(info.Env(), this))->Start();
  }

  // linePages(text, site) -> {pages, lines: Int32Array by line}
  Napi::Value LinePages(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const auto text = ViewOf<uint8_t>(info[0], "text");
      const sites::SiteView site = Get()->Find(sites::SiteHash(info[1].ToString().Utf8Value()));
      const auto n_lines =
          static_cast<size_t>(std::count(text.begin(), text.end(), uint8_t{'\n'})) + 1;
      auto lines = Napi::Int32Array::New(info.Env(), n_lines);
      std::fill_n(lines.Data(), n_lines, 0);
      sites::LineNormaliser normaliser;
      sites::ForEachSiteLine(
          text, normaliser, [&](int32_t index, std::span<const uint8_t>, uint64_t hash) {
            lines[static_cast<size_t>(index)] =
                static_cast<int32_t>(std::min<uint32_t>(site.PagesWith(hash), INT32_MAX));
          });
      Napi::Object result = Napi::Object::New(info.Env());
      result.Set("pages", Number(site.pages));
      result.Set("lines", lines);
      return result;
    });
  }

  // texts(site) -> {pages, nLines, texts: [{pages, text}]}
  Napi::Value Texts(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const Napi::Env env = info.Env();
      const uint64_t site = sites::SiteHash(info[0].ToString().Utf8Value());
      const sites::SiteView view = Get()->Find(site);
      const std::vector<sites::SiteText> found = Get()->Texts(site);
      auto texts = Napi::Array::New(env, found.size());
      for (size_t index = 0; index < found.size(); ++index) {
        Napi::Object text = Napi::Object::New(env);
        text.Set("pages", Number(found[index].pages));
        text.Set("text", found[index].text);
        texts[static_cast<uint32_t>(index)] = text;
      }
      uint64_t n_template = 0;
      const size_t n_lines = view.lines.size() / sizeof(sites::LineEntry);
      for (size_t line = 0; line < n_lines; ++line) {
        sites::LineEntry entry;
        std::memcpy(&entry, view.lines.data() + line * sizeof entry, sizeof entry);
        if (entry.pages >= sites::TemplatePages(view.pages)) ++n_template;
      }
      Napi::Object result = Napi::Object::New(env);
      result.Set("pages", Number(view.pages));
      result.Set("repeated", Number(n_lines));
      result.Set("template", Number(n_template));
      result.Set("texts", texts);
      return result;
    });
  }

  // largest(n) -> [{name, pages}]
  Napi::Value Largest(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const auto n = static_cast<size_t>(std::max(0, info[0].ToNumber().Int32Value()));
      const auto found = Get()->Largest(n);
      auto sites = Napi::Array::New(info.Env(), found.size());
      for (size_t index = 0; index < found.size(); ++index) {
        Napi::Object site = Napi::Object::New(info.Env());
        site.Set("name", found[index].first);
        site.Set("pages", Number(found[index].second));
        sites[static_cast<uint32_t>(index)] = site;
      }
      return sites;
    });
  }

  Napi::Value Dispose(const Napi::CallbackInfo& info) {
    table_.reset();
    return info.Env().Undefined();
  }

  std::string path_;
  Shared table_;  // JS thread only
};

}  // namespace

std::shared_ptr<const sites::SiteTable> SiteTableOf(const Napi::Value& value) {
  if (value.IsNull() || value.IsUndefined()) return nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTableTag)) {
    Refuse("siteTable", "a table of sites");
  }
  return SiteTableObject::Unwrap(value.As<Napi::Object>())->Get();
}

void ExportSites(Napi::Env env, Napi::Object exports) {
  exports.Set("siteHosts", Napi::Function::New(env, HostsJs, "siteHosts"));
  exports.Set("SiteCounter", SiteCounterObject::Define(env));
  exports.Set("mergeSiteParts", Napi::Function::New(env, MergeJs, "mergeSiteParts"));
  exports.Set("SiteTable", SiteTableObject::Define(env));
}

}  // namespace gristmill::binding
