#include "mixture/laws.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "mixture/lbfgs.h"
#include "mixture/seeded.h"

namespace gristmill::mixture {

namespace {

// ½ · kPull · n_runs · |θ - μ|² is added to the power law's objective.
constexpr double kPull = 1e-4 * 0.01;
constexpr double kHuber = 0.02;
// A logarithm beyond this is refused: its exponential leaves the range of losses long before.
constexpr double kMaxLog = 50;
// The mixing law's t are pulled down from above its start: ½ · kAbove · n_runs · max(0, t -
// centre)², and much more beyond what any corner of the simplex can be: ½ · kWall · n_runs · max(0,
// t - top)².
constexpr double kAbove = 1e-5;
constexpr double kWall = 1;

struct Moments {
  double minimum = std::numeric_limits<double>::infinity();
  double maximum = -std::numeric_limits<double>::infinity();
  double mean = 0;
  double deviation = 0;
};

Moments MomentsOf(const Runs& runs) {
  Moments moments;
  for (size_t run = 0; run < runs.n_runs; ++run) {
    moments.minimum = std::min(moments.minimum, runs.losses[run]);
    moments.maximum = std::max(moments.maximum, runs.losses[run]);
    moments.mean += runs.losses[run] / static_cast<double>(runs.n_runs);
  }
  for (size_t run = 0; run < runs.n_runs; ++run) {
    const double off = runs.losses[run] - moments.mean;
    moments.deviation += off * off / static_cast<double>(runs.n_runs);
  }
  moments.deviation = std::sqrt(moments.deviation);
  return moments;
}

bool InRange(const std::vector<double>& logarithms, size_t first) {
  return std::all_of(logarithms.begin() + first, logarithms.end(),
                     [](double value) { return std::abs(value) <= kMaxLog; });
}

class PowerLaw {
 public:
  PowerLaw(const Runs& runs, int n_terms)
      : runs_(runs), n_terms_(n_terms), width_(runs.n_domains + 3), moments_(MomentsOf(runs)) {
    centre_.assign(1 + n_terms_ * width_, -2);
    centre_[0] = 0.8 * moments_.minimum;
    for (size_t term = 0; term < n_terms_; ++term) {
      centre_[1 + term * width_] = 0;
      centre_[2 + term * width_] = -1;
      centre_[3 + term * width_] = -4;
    }
    amounts_.resize(n_terms_ * runs.n_domains);
    bases_.resize(n_terms_ * runs.n_runs);
    pulls_.resize(n_terms_ * runs.n_runs);
    residuals_.resize(runs.n_runs);
  }

  std::vector<double> Start(SeededRandom& random) const {
    std::vector<double> start = centre_;
    start[0] = 0.6 * moments_.minimum;
    for (size_t term = 0; term < n_terms_; ++term) {
      double* const at = &start[1 + term * width_];
      at[0] = random.Normal(std::log(std::max(moments_.deviation, 1e-12)), 0.3);
      at[1] = random.Normal(-1, 0.3);
      at[2] = random.Normal(-4, 0.5);
      for (size_t domain = 0; domain < runs_.n_domains; ++domain) {
        at[3 + domain] = random.Normal(-2, 1);
      }
    }
    return start;
  }

  double Objective(const std::vector<double>& parameters, std::vector<double>& gradient) {
    std::fill(gradient.begin(), gradient.end(), 0.0);
    if (!InRange(parameters, 1)) return std::numeric_limits<double>::infinity();
    const size_t n_domains = runs_.n_domains;
    for (size_t run = 0; run < runs_.n_runs; ++run) {
      residuals_[run] = parameters[0] - runs_.losses[run];
    }
    for (size_t term = 0; term < n_terms_; ++term) {
      const double* const at = &parameters[1 + term * width_];
      double* const amounts = &amounts_[term * n_domains];
      for (size_t domain = 0; domain < n_domains; ++domain)
        amounts[domain] = std::exp(at[3 + domain]);
      const double exponent = -std::exp(at[1]);
      const double rest = std::exp(at[2]);
      for (size_t run = 0; run < runs_.n_runs; ++run) {
        double sum = rest;
        for (size_t domain = 0; domain < n_domains; ++domain) {
          sum += amounts[domain] * runs_.weights[run * n_domains + domain];
        }
        const double logarithm = std::log(sum);
        bases_[term * runs_.n_runs + run] = logarithm;
        const double value = std::exp(at[0] + exponent * logarithm);
        pulls_[term * runs_.n_runs + run] = value;
        residuals_[run] += value;
      }
    }
    double value = 0;
    for (size_t run = 0; run < runs_.n_runs; ++run) {
      value += 0.5 * residuals_[run] * residuals_[run];
      gradient[0] += residuals_[run];
    }
    for (size_t term = 0; term < n_terms_; ++term) AddTerm(term, parameters, gradient);
    const double pull = kPull * static_cast<double>(runs_.n_runs);
    for (size_t at = 0; at < parameters.size(); ++at) {
      const double off = parameters[at] - centre_[at];
      value += 0.5 * pull * off * off;
      gradient[at] += pull * off;
    }
    return value;
  }

 private:
  void AddTerm(size_t term, const std::vector<double>& parameters, std::vector<double>& gradient) {
    const size_t n_domains = runs_.n_domains;
    const double* const at = &parameters[1 + term * width_];
    double* const slopes = &gradient[1 + term * width_];
    const double exponent = std::exp(at[1]);
    const double rest = std::exp(at[2]);
    for (size_t run = 0; run < runs_.n_runs; ++run) {
      const double pull = residuals_[run] * pulls_[term * runs_.n_runs + run];
      const double logarithm = bases_[term * runs_.n_runs + run];
      slopes[0] += pull;
      slopes[1] -= pull * exponent * logarithm;
      const double by_base = -pull * exponent * std::exp(-logarithm);
      slopes[2] += by_base * rest;
      for (size_t domain = 0; domain < n_domains; ++domain) {
        slopes[3 + domain] += by_base * runs_.weights[run * n_domains + domain];
      }
    }
    for (size_t domain = 0; domain < n_domains; ++domain) {
      slopes[3 + domain] *= amounts_[term * n_domains + domain];
    }
  }

  Runs runs_;
  size_t n_terms_;
  size_t width_;
  Moments moments_;
  std::vector<double> centre_;
  std::vector<double> amounts_;
  std::vector<double> bases_;  // log (Σ e^a x + e^a0)
  std::vector<double> pulls_;  // values of the terms
  std::vector<double> residuals_;
};

class MixingLaw {
 public:
  explicit MixingLaw(const Runs& runs) : runs_(runs), moments_(MomentsOf(runs)) {
    const double size = std::max(std::abs(moments_.minimum), std::abs(moments_.maximum));
    const double range = moments_.maximum - moments_.minimum;
    centre_ = std::log(std::max(range, 1e-9));
    top_ = std::log(std::max(size, 1e-9));
  }

  // e^c starts near a share of the lowest loss, e^(t·x) near what is left of the mean.
  std::vector<double> Start(SeededRandom& random) const {
    const double floor = std::max(moments_.minimum * (0.3 + 0.6 * random.Uniform()),
                                  1e-3 * std::max(moments_.deviation, 1e-9));
    const double rest = std::max(moments_.mean - floor, 1e-9);
    std::vector<double> start{std::log(floor)};
    for (size_t domain = 0; domain < runs_.n_domains; ++domain) {
      start.push_back(random.Normal(std::log(rest), 0.5));
    }
    return start;
  }

  double Objective(const std::vector<double>& parameters, std::vector<double>& gradient) const {
    std::fill(gradient.begin(), gradient.end(), 0.0);
    // Downwards the t are free: a domain that halves a loss with its first percent has one far
    // below -50. Upwards e^t is what its corner is predicted at, where seldom a run is: runs alone
    // leave it open, and it explodes.
    const double highest = *std::max_element(parameters.begin() + 1, parameters.end());
    if (std::abs(parameters[0]) > kMaxLog || !(highest <= top_ + kMaxLog)) {
      return std::numeric_limits<double>::infinity();
    }
    const double floor = std::exp(parameters[0]);
    double value = 0;
    const double n_runs = static_cast<double>(runs_.n_runs);
    for (size_t domain = 0; domain < runs_.n_domains; ++domain) {
      const double above = std::max(0.0, parameters[1 + domain] - centre_);
      const double beyond = std::max(0.0, parameters[1 + domain] - top_);
      value += 0.5 * n_runs * (kAbove * above * above + kWall * beyond * beyond);
      gradient[1 + domain] += n_runs * (kAbove * above + kWall * beyond);
    }
    for (size_t run = 0; run < runs_.n_runs; ++run) {
      const double* const weights = &runs_.weights[run * runs_.n_domains];
      double sum = 0;
      for (size_t domain = 0; domain < runs_.n_domains; ++domain) {
        sum += parameters[1 + domain] * weights[domain];
      }
      const double term = std::exp(sum);
      const double residual = floor + term - runs_.losses[run];
      const double size = std::abs(residual);
      value += size <= kHuber ? 0.5 * residual * residual : kHuber * (size - 0.5 * kHuber);
      const double pull = std::clamp(residual, -kHuber, kHuber);
      gradient[0] += pull * floor;
      for (size_t domain = 0; domain < runs_.n_domains; ++domain) {
        gradient[1 + domain] += pull * term * weights[domain];
      }
    }
    return value;
  }

 private:
  Runs runs_;
  Moments moments_;
  double centre_;  // e^centre: the range of the losses
  double top_;     // e^top: the largest of them
};

template <typename Law>
LawFit Fit(Law& law, const LawOptions& options, const CancelFlag& cancel) {
  LawFit best;
  best.objective = std::numeric_limits<double>::infinity();
  SeededRandom random(options.seed);
  const int n_starts = options.start.empty() ? options.n_starts : 1;
  for (int start = 0; start < n_starts; ++start) {
    std::vector<double> parameters = options.start.empty() ? law.Start(random) : options.start;
    const LbfgsResult result =
        MinimiseLbfgs([&](const std::vector<double>& point,
                          std::vector<double>& gradient) { return law.Objective(point, gradient); },
                      parameters,
                      {.max_iterations = options.max_iterations,
                       .gradient_tolerance = 1e-7,
                       .value_tolerance = 1e-12},
                      cancel);
    // A start from which nothing finite is found is none, but parameters there must be.
    if (best.parameters.empty() || result.value < best.objective) {
      best = {std::move(parameters), result.value};
    }
  }
  return best;
}

}  // namespace

LawFit FitPowerLaw(const Runs& runs, int n_terms, const LawOptions& options,
                   const CancelFlag& cancel) {
  PowerLaw law(runs, n_terms);
  return Fit(law, options, cancel);
}

LawFit FitMixingLaw(const Runs& runs, const LawOptions& options, const CancelFlag& cancel) {
  MixingLaw law(runs);
  return Fit(law, options, cancel);
}

double PowerLawObjective(const Runs& runs, int n_terms, const std::vector<double>& parameters,
                         std::vector<double>& gradient) {
  gradient.assign(parameters.size(), 0);
  return PowerLaw(runs, n_terms).Objective(parameters, gradient);
}

double MixingLawObjective(const Runs& runs, const std::vector<double>& parameters,
                          std::vector<double>& gradient) {
  gradient.assign(parameters.size(), 0);
  return MixingLaw(runs).Objective(parameters, gradient);
}

}  // namespace gristmill::mixture
