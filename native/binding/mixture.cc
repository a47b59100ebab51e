// The surrogates' mathematics (native/mixture): fits as promises, predictions at once.
//
// Lifetime rules
//  1. Weights and losses are copied on the JS thread: a fit reads no JS memory but the cancel word.
//  2. The cancel word is kept alive by its worker; JS sets it, the fit looks at it between
//  iterations.
//  3. Predictions use views only within their call.
#include "binding/mixture.h"

#include <functional>
#include <memory>

#include "binding/promise_worker.h"
#include "mixture/gaussian_process.h"
#include "mixture/laws.h"
#include "mixture/trees.h"

namespace gristmill::binding {

namespace {

using mixture::Runs;
using Doubles = std::vector<double>;

[[noreturn]] void Refuse(const char* name, const std::string& expected, size_t received) {
  throw CodedError(
      "OPTION_INVALID",
      {{"option", name}, {"expected", expected}, {"received", std::to_string(received)}});
}

Doubles CopyOf(const Napi::Object& object, const char* name) {
  const std::span<double> view = ViewOf<double>(object.Get(name), name);
  return {view.begin(), view.end()};
}

std::span<double> DoublesOf(const Napi::Object& object, const char* name, size_t length) {
  const std::span<double> view = ViewOf<double>(object.Get(name), name);
  if (view.size() != length) Refuse(name, std::to_string(length) + " numbers", view.size());
  return view;
}

int64_t CountOf(const Napi::Object& object, const char* name, int64_t minimum, int64_t maximum) {
  const Napi::Value value = object.Get(name);
  const int64_t count = value.IsNumber() ? value.ToNumber().Int64Value() : minimum - 1;
  if (count < minimum || count > maximum) {
    throw CodedError("OPTION_INVALID",
                     {{"option", name},
                      {"expected", "a whole number in " + std::to_string(minimum) + ".." +
                                       std::to_string(maximum)},
                      {"received", std::to_string(count)}});
  }
  return count;
}

Napi::Float64Array FromDoubles(Napi::Env env, const Doubles& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Int32Array FromIntegers(Napi::Env env, const std::vector<int32_t>& values) {
  Napi::Int32Array array = Napi::Int32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

// Rows copied out of {weights, losses, nDomains}; `prefix` names a second set of them.
struct OwnedRuns {
  Doubles weights;
  Doubles losses;
  size_t n_domains = 0;

  OwnedRuns(const Napi::Object& object, const char* weights_name, const char* losses_name)
      : weights(CopyOf(object, weights_name)),
        losses(CopyOf(object, losses_name)),
        n_domains(static_cast<size_t>(CountOf(object, "nDomains", 1, 100'000))) {
    if (weights.size() != losses.size() * n_domains) {
      Refuse(weights_name, std::to_string(losses.size() * n_domains) + " numbers", weights.size());
    }
  }
  Runs View() const { return {losses.size(), n_domains, weights.data(), losses.data()}; }
};

// A fit: `work` runs off the JS thread, `result` turns what it made into a JS value.
template <typename Fit>
class FitWorker : public PromiseWorker {
 public:
  using Task = std::function<Fit(const CancelFlag&)>;
  using Convert = Napi::Value (*)(Napi::Env, const Fit&);

  FitWorker(Napi::Env env, const Napi::Object& request, std::string what, Task work, Convert result)
      : PromiseWorker(env), cancel_(nullptr, ""), work_(std::move(work)), result_(result) {
    const std::span<int32_t> word = ViewOf<int32_t>(request.Get("cancel"), "cancel");
    if (word.size() != 1) Refuse("cancel", "one number", word.size());
    cancel_ = CancelFlag(word.data(), std::move(what));
    Keep(request.Get("cancel"));
  }

 private:
  void Work() override {
    cancel_.Check();
    fit_ = work_(cancel_);
  }
  Napi::Value Result(Napi::Env env) override { return result_(env, fit_); }

  CancelFlag cancel_;
  Task work_;
  Convert result_;
  Fit fit_;
};

template <typename Fit>
Napi::Value StartFit(Napi::Env env, const Napi::Object& request, const char* what,
                     typename FitWorker<Fit>::Task work, typename FitWorker<Fit>::Convert result) {
  auto worker = std::make_unique<FitWorker<Fit>>(env, request, what, std::move(work), result);
  return worker.release()->Start();
}

std::shared_ptr<OwnedRuns> RunsOf(const Napi::Object& request) {
  auto runs = std::make_shared<OwnedRuns>(request, "weights", "losses");
  if (runs->losses.empty()) Refuse("losses", "at least one run", 0);
  return runs;
}

void CheckLength(const char* name, const Doubles& values, size_t expected) {
  if (values.size() != expected) {
    Refuse(name, std::to_string(expected) + " numbers", values.size());
  }
}

// fitGaussianProcess({weights, losses, nDomains, start, maxIterations, cancel})
Napi::Value FitProcess(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object request = info[0].ToObject();
    const std::shared_ptr<OwnedRuns> runs = RunsOf(request);
    Doubles start = CopyOf(request, "start");
    if (!start.empty()) CheckLength("start", start, runs->n_domains + 3);
    const int max_iterations = static_cast<int>(CountOf(request, "maxIterations", 0, 10'000));
    return StartFit<mixture::GaussianProcess>(
        info.Env(), request, "the gp fit",
        [=](const CancelFlag& cancel) {
          return mixture::FitGaussianProcess(runs->View(), start, max_iterations, cancel);
        },
        [](Napi::Env env, const mixture::GaussianProcess& process) -> Napi::Value {
          Napi::Object object = Napi::Object::New(env);
          object.Set("means", FromDoubles(env, process.means));
          object.Set("scales", FromDoubles(env, process.scales));
          object.Set("lossMean", process.loss_mean);
          object.Set("lossScale", process.loss_scale);
          object.Set("parameters", FromDoubles(env, process.parameters));
          object.Set("alpha", FromDoubles(env, process.alpha));
          return object;
        });
  });
}

// A fitted process and the weights of its runs, out of what fitGaussianProcess gave and `weights`.
struct ProcessArgument {
  mixture::GaussianProcess process;
  Runs runs;

  explicit ProcessArgument(const Napi::Object& object) {
    process.means = CopyOf(object, "means");
    const size_t n_domains = process.means.size();
    if (n_domains == 0) Refuse("means", "one number a domain", 0);
    process.scales = CopyOf(object, "scales");
    CheckLength("scales", process.scales, n_domains);
    process.parameters = CopyOf(object, "parameters");
    CheckLength("parameters", process.parameters, n_domains + 3);
    process.alpha = CopyOf(object, "alpha");
    process.loss_mean = object.Get("lossMean").ToNumber();
    process.loss_scale = object.Get("lossScale").ToNumber();
    runs.n_domains = n_domains;
    runs.n_runs = process.alpha.size();
    runs.weights = DoublesOf(object, "weights", runs.n_runs * n_domains).data();
  }
};

// gaussianProcessFactor(process) -> Float64Array
Napi::Value ProcessFactor(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const ProcessArgument argument(info[0].ToObject());
    return FromDoubles(info.Env(), mixture::GaussianProcessFactor(argument.process, argument.runs));
  });
}

// predictGaussianProcess(process, {mixtures, means, factor, deviations, nThreads})
void PredictProcess(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const ProcessArgument argument(info[0].ToObject());
    const Napi::Object request = info[1].ToObject();
    const std::span<double> means = ViewOf<double>(request.Get("means"), "means");
    const std::span<double> mixtures =
        DoublesOf(request, "mixtures", means.size() * argument.runs.n_domains);
    const int n_threads = static_cast<int>(CountOf(request, "nThreads", 1, 4096));
    std::span<double> factor;
    std::span<double> deviations;
    if (request.Get("factor").IsTypedArray()) {
      factor = DoublesOf(request, "factor", argument.runs.n_runs * argument.runs.n_runs);
      deviations = DoublesOf(request, "deviations", means.size());
    }
    mixture::PredictGaussianProcess(argument.process, argument.runs, factor, mixtures, means,
                                    deviations, n_threads);
  });
}

// gaussianProcessGradient(process, mixture, into)
void ProcessGradient(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const ProcessArgument argument(info[0].ToObject());
    const std::span<double> point = ViewOf<double>(info[1], "mixture");
    const std::span<double> into = ViewOf<double>(info[2], "gradient");
    const size_t n_domains = argument.runs.n_domains;
    if (point.size() != n_domains) {
      Refuse("mixture", std::to_string(n_domains) + " weights", point.size());
    }
    if (into.size() != n_domains) {
      Refuse("gradient", std::to_string(n_domains) + " numbers", into.size());
    }
    mixture::GaussianProcessGradient(argument.process, argument.runs, point, into);
  });
}

// fitLaw({weights, losses, nDomains, nTerms (0: the mixing law), nStarts, maxIterations, seed,
// start, cancel})
Napi::Value FitLaw(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object request = info[0].ToObject();
    const std::shared_ptr<OwnedRuns> runs = RunsOf(request);
    const int n_terms = static_cast<int>(CountOf(request, "nTerms", 0, 16));
    mixture::LawOptions options;
    options.n_starts = static_cast<int>(CountOf(request, "nStarts", 1, 1000));
    options.max_iterations = static_cast<int>(CountOf(request, "maxIterations", 0, 100'000));
    options.seed = static_cast<uint64_t>(CountOf(request, "seed", INT64_MIN + 1, INT64_MAX));
    options.start = CopyOf(request, "start");
    const size_t n_domains = runs->n_domains;
    if (!options.start.empty()) {
      CheckLength("start", options.start,
                  n_terms == 0 ? n_domains + 1 : 1 + n_terms * (n_domains + 3));
    }
    return StartFit<mixture::LawFit>(
        info.Env(), request, n_terms == 0 ? "the mixing-law fit" : "the power-law fit",
        [=](const CancelFlag& cancel) {
          return n_terms == 0 ? mixture::FitMixingLaw(runs->View(), options, cancel)
                              : mixture::FitPowerLaw(runs->View(), n_terms, options, cancel);
        },
        [](Napi::Env env, const mixture::LawFit& fit) -> Napi::Value {
          Napi::Object object = Napi::Object::New(env);
          object.Set("parameters", FromDoubles(env, fit.parameters));
          object.Set("objective", fit.objective);
          return object;
        });
  });
}

// fitTrees({weights, losses, heldOutWeights, heldOutLosses, nDomains, nRounds, nLeaves, minLeaf,
// maxBins, learningRate, patience, cancel})
Napi::Value FitTrees(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object request = info[0].ToObject();
    const std::shared_ptr<OwnedRuns> runs = RunsOf(request);
    const auto held_out = std::make_shared<OwnedRuns>(request, "heldOutWeights", "heldOutLosses");
    mixture::TreeOptions options;
    options.n_rounds = static_cast<int>(CountOf(request, "nRounds", 0, 1'000'000));
    options.n_leaves = static_cast<int>(CountOf(request, "nLeaves", 1, 1'000'000));
    options.min_leaf = static_cast<int>(CountOf(request, "minLeaf", 1, INT32_MAX));
    options.max_bins = static_cast<int>(CountOf(request, "maxBins", 2, 256));
    options.patience = static_cast<int>(CountOf(request, "patience", 1, 1'000'000));
    options.learning_rate = request.Get("learningRate").ToNumber();
    return StartFit<mixture::Trees>(
        info.Env(), request, "the gbdt fit",
        [=](const CancelFlag& cancel) {
          return mixture::FitTrees(runs->View(), held_out->View(), options, cancel);
        },
        [](Napi::Env env, const mixture::Trees& trees) -> Napi::Value {
          Napi::Object object = Napi::Object::New(env);
          object.Set("base", trees.base);
          object.Set("roots", FromIntegers(env, trees.roots));
          object.Set("domains", FromIntegers(env, trees.domains));
          object.Set("children", FromIntegers(env, trees.children));
          object.Set("splits", FromDoubles(env, trees.splits));
          return object;
        });
  });
}

std::vector<int32_t> IntegersOf(const Napi::Object& object, const char* name) {
  const std::span<int32_t> view = ViewOf<int32_t>(object.Get(name), name);
  return {view.begin(), view.end()};
}

// Trees as a walk needs them: every step goes to a later node, so that it ends.
mixture::Trees TreesOf(const Napi::Object& object, int32_t n_domains) {
  mixture::Trees trees;
  trees.base = object.Get("base").ToNumber();
  trees.roots = IntegersOf(object, "roots");
  trees.domains = IntegersOf(object, "domains");
  trees.children = IntegersOf(object, "children");
  trees.splits = CopyOf(object, "splits");
  const int32_t n_nodes = static_cast<int32_t>(trees.domains.size());
  if (trees.children.size() != trees.domains.size()) {
    Refuse("children", "one number a node", trees.children.size());
  }
  CheckLength("splits", trees.splits, trees.domains.size());
  for (const int32_t root : trees.roots) {
    if (root < 0 || root >= n_nodes) Refuse("roots", "nodes", static_cast<size_t>(root));
  }
  for (int32_t node = 0; node < n_nodes; ++node) {
    if (trees.domains[node] < 0) continue;
    if (trees.domains[node] >= n_domains) Refuse("domains", "domains", trees.domains[node]);
    if (trees.children[node] <= node || trees.children[node] >= n_nodes - 1) {
      Refuse("children", "a later node", static_cast<size_t>(trees.children[node]));
    }
  }
  return trees;
}

// predictTrees(trees, {mixtures, nDomains, means, nThreads})
void PredictTrees(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const Napi::Object request = info[1].ToObject();
    const size_t n_domains = static_cast<size_t>(CountOf(request, "nDomains", 1, 100'000));
    const mixture::Trees trees = TreesOf(info[0].ToObject(), static_cast<int32_t>(n_domains));
    const std::span<double> means = ViewOf<double>(request.Get("means"), "means");
    const std::span<double> mixtures = DoublesOf(request, "mixtures", means.size() * n_domains);
    mixture::PredictTrees(trees, n_domains, mixtures, means,
                          static_cast<int>(CountOf(request, "nThreads", 1, 4096)));
  });
}

// surrogateObjective(kind, {weights, losses, nDomains, parameters, gradient}) -> number; for tests.
Napi::Value SurrogateObjective(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const std::string kind = info[0].ToString();
    const Napi::Object request = info[1].ToObject();
    const std::shared_ptr<OwnedRuns> runs = RunsOf(request);
    const Doubles parameters = CopyOf(request, "parameters");
    Doubles gradient;
    double value = 0;
    const size_t n_domains = runs->n_domains;
    if (kind == "gp") {
      CheckLength("parameters", parameters, n_domains + 3);
      value = mixture::GaussianProcessObjective(runs->View(), parameters, gradient);
    } else if (kind == "mixing-law") {
      CheckLength("parameters", parameters, n_domains + 1);
      value = mixture::MixingLawObjective(runs->View(), parameters, gradient);
    } else {
      const int n_terms = kind == "power2" ? 2 : 1;
      CheckLength("parameters", parameters, 1 + n_terms * (n_domains + 3));
      value = mixture::PowerLawObjective(runs->View(), n_terms, parameters, gradient);
    }
    const std::span<double> into = DoublesOf(request, "gradient", parameters.size());
    std::copy(gradient.begin(), gradient.end(), into.begin());
    return Napi::Number::New(info.Env(), value);
  });
}

}  // namespace

void ExportMixture(Napi::Env env, Napi::Object exports) {
  exports.Set("fitGaussianProcess", Napi::Function::New(env, FitProcess));
  exports.Set("gaussianProcessFactor", Napi::Function::New(env, ProcessFactor));
  exports.Set("predictGaussianProcess", Napi::Function::New(env, PredictProcess));
  exports.Set("gaussianProcessGradient", Napi::Function::New(env, ProcessGradient));
  exports.Set("fitLaw", Napi::Function::New(env, FitLaw));
  exports.Set("fitTrees", Napi::Function::New(env, FitTrees));
  exports.Set("predictTrees", Napi::Function::New(env, PredictTrees));
  exports.Set("surrogateObjective", Napi::Function::New(env, SurrogateObjective));
}

}  // namespace gristmill::binding
