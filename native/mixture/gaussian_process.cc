#include "mixture/gaussian_process.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/parallel.h"
#include "mixture/lbfgs.h"
#include "mixture/linear_algebra.h"

namespace gristmill::mixture {

namespace {

constexpr double kOffset = 0.01;
const double kRoot5 = std::sqrt(5.0);
constexpr double kPriorDeviation = 1.5;
constexpr double kLogNoiseMean = -3;
// Keeps K invertible when rows repeat and the noise goes to zero.
constexpr double kJitter = 1e-8;
constexpr size_t kMixtureBlock = 64;

double LogLengthMean(size_t n_domains) {
  return std::log(1.5 * std::sqrt(static_cast<double>(n_domains)));
}

// Means and scales of the logarithms, and of the losses.
GaussianProcess Standardise(const Runs& runs) {
  GaussianProcess process;
  const double count = static_cast<double>(runs.n_runs);
  for (size_t domain = 0; domain < runs.n_domains; ++domain) {
    double sum = 0;
    for (size_t run = 0; run < runs.n_runs; ++run) {
      sum += std::log(runs.weights[run * runs.n_domains + domain] + kOffset);
    }
    const double mean = sum / count;
    double squares = 0;
    for (size_t run = 0; run < runs.n_runs; ++run) {
      const double off = std::log(runs.weights[run * runs.n_domains + domain] + kOffset) - mean;
      squares += off * off;
    }
    const double scale = std::sqrt(squares / count);
    process.means.push_back(mean);
    process.scales.push_back(scale > 1e-9 ? scale : 1);
  }
  double sum = 0;
  for (size_t run = 0; run < runs.n_runs; ++run) sum += runs.losses[run];
  process.loss_mean = sum / count;
  double squares = 0;
  for (size_t run = 0; run < runs.n_runs; ++run) {
    const double off = runs.losses[run] - process.loss_mean;
    squares += off * off;
  }
  const double scale = std::sqrt(squares / count);
  process.loss_scale = scale > 0 ? scale : 1;
  return process;
}

// Standardised logarithms, one row a domain: [n_domains × count].
std::vector<double> Transform(const GaussianProcess& process, const double* weights, size_t count) {
  const size_t n_domains = process.means.size();
  std::vector<double> features(n_domains * count);
  for (size_t domain = 0; domain < n_domains; ++domain) {
    for (size_t row = 0; row < count; ++row) {
      features[domain * count + row] =
          (std::log(weights[row * n_domains + domain] + kOffset) - process.means[domain]) /
          process.scales[domain];
    }
  }
  return features;
}

struct Kernel {
  explicit Kernel(const std::vector<double>& parameters) : n_domains(parameters.size() - 3) {
    for (size_t domain = 0; domain < n_domains; ++domain) {
      precisions.push_back(std::exp(-2 * parameters[domain]));
    }
    signal = std::exp(parameters[n_domains]);
    linear = std::exp(parameters[n_domains + 1]);
    noise = std::exp(parameters[n_domains + 2]);
  }

  size_t n_domains;
  std::vector<double> precisions;  // 1 / ell²
  double signal;
  double linear;
  double noise;
};

// Scratch of one row of kernel values.
struct KernelRow {
  explicit KernelRow(size_t count) : matern(count), slope(count), products(count) {}
  std::vector<double> matern;    // Matérn part without sf2
  std::vector<double> slope;     // 5/3 · (1 + √5 r) e^(-√5 r)
  std::vector<double> products;  // z·z'
};

// One row of the kernel: mixture `index` of `left` ([n_domains × n_left]) with the first `count` of
// `right`.
void FillRow(const Kernel& kernel, const std::vector<double>& left, size_t n_left, size_t index,
             const std::vector<double>& right, size_t n_right, size_t count, KernelRow& row) {
  double* const squares = row.matern.data();
  double* const products = row.products.data();
  std::fill_n(squares, count, 0.0);
  std::fill_n(products, count, 0.0);
  for (size_t domain = 0; domain < kernel.n_domains; ++domain) {
    const double here = left[domain * n_left + index];
    const double precision = kernel.precisions[domain];
    const double* const there = &right[domain * n_right];
    for (size_t at = 0; at < count; ++at) {
      const double off = there[at] - here;
      squares[at] += precision * off * off;
      products[at] += here * there[at];
    }
  }
  for (size_t at = 0; at < count; ++at) {
    const double scaled = kRoot5 * std::sqrt(squares[at]);
    const double decay = std::exp(-scaled);
    row.slope[at] = 5.0 / 3.0 * (1 + scaled) * decay;
    squares[at] = (1 + scaled + scaled * scaled / 3) * decay;
  }
}

class Likelihood {
 public:
  Likelihood(const Runs& runs, const GaussianProcess& standard)
      : n_runs_(runs.n_runs),
        n_domains_(runs.n_domains),
        features_(Transform(standard, runs.weights, runs.n_runs)),
        row_(n_runs_) {
    for (size_t run = 0; run < n_runs_; ++run) {
      losses_.push_back((runs.losses[run] - standard.loss_mean) / standard.loss_scale);
    }
    matrix_.resize(n_runs_ * n_runs_);
    slopes_.resize(n_runs_ * n_runs_);
    factor_.resize(n_runs_ * n_runs_);
    inverse_.resize(n_runs_ * n_runs_);
  }

  // α = K⁻¹ y; false when K is not positive definite. `factor()` is L⁻¹ then.
  bool Condition(const std::vector<double>& parameters, bool with_slopes) {
    const Kernel kernel(parameters);
    for (size_t row = 0; row < n_runs_; ++row) {
      FillRow(kernel, features_, n_runs_, row, features_, n_runs_, row + 1, row_);
      double* const target = &matrix_[row * n_runs_];
      for (size_t at = 0; at <= row; ++at) {
        target[at] = kernel.signal * row_.matern[at] + kernel.linear * row_.products[at];
      }
      target[row] += kernel.noise + kJitter;
      if (with_slopes) std::copy_n(row_.slope.data(), row + 1, &slopes_[row * n_runs_]);
    }
    if (!CholeskyWithInverse(n_runs_, matrix_.data(), factor_.data())) return false;
    whitened_.assign(n_runs_, 0);
    alpha_.assign(n_runs_, 0);
    for (size_t row = 0; row < n_runs_; ++row) {
      for (size_t at = 0; at <= row; ++at) {
        whitened_[row] += factor_[row * n_runs_ + at] * losses_[at];
      }
    }
    for (size_t row = 0; row < n_runs_; ++row) {
      for (size_t at = 0; at <= row; ++at) {
        alpha_[at] += factor_[row * n_runs_ + at] * whitened_[row];
      }
    }
    return true;
  }

  double Objective(const std::vector<double>& parameters, std::vector<double>& gradient) {
    std::fill(gradient.begin(), gradient.end(), 0.0);
    if (!Condition(parameters, true)) return std::numeric_limits<double>::infinity();
    double value = 0.5 * static_cast<double>(n_runs_) * std::log(2 * std::numbers::pi);
    for (size_t run = 0; run < n_runs_; ++run) {
      value += 0.5 * whitened_[run] * whitened_[run] + std::log(matrix_[run * n_runs_ + run]);
    }
    InverseFromFactor(n_runs_, factor_.data(), inverse_.data());
    AddGradient(parameters, gradient);
    for (size_t domain = 0; domain < n_domains_; ++domain) {
      value += Prior(parameters[domain], LogLengthMean(n_domains_), gradient[domain]);
    }
    value += Prior(parameters[n_domains_ + 2], kLogNoiseMean, gradient[n_domains_ + 2]);
    return value;
  }

  const std::vector<double>& alpha() const { return alpha_; }
  std::vector<double> TakeFactor() { return std::move(factor_); }

 private:
  static double Prior(double value, double mean, double& slope) {
    const double off = (value - mean) / kPriorDeviation;
    slope += off / kPriorDeviation;
    return 0.5 * off * off;
  }

  // -½ tr((α αᵀ - K⁻¹) dK/dθ), pairs counted once.
  void AddGradient(const std::vector<double>& parameters, std::vector<double>& gradient) {
    const Kernel kernel(parameters);
    std::vector<double> pulls(n_runs_);
    double by_signal = 0;
    double by_linear = 0;
    double by_noise = 0;
    std::vector<double> by_length(n_domains_);
    for (size_t row = 0; row < n_runs_; ++row) {
      FillRow(kernel, features_, n_runs_, row, features_, n_runs_, row + 1, row_);
      for (size_t at = 0; at <= row; ++at) {
        pulls[at] = inverse_[row * n_runs_ + at] - alpha_[row] * alpha_[at];
      }
      by_noise += 0.5 * pulls[row];
      pulls[row] *= 0.5;
      for (size_t at = 0; at <= row; ++at) {
        by_signal += pulls[at] * row_.matern[at];
        by_linear += pulls[at] * row_.products[at];
        pulls[at] *= slopes_[row * n_runs_ + at];
      }
      for (size_t domain = 0; domain < n_domains_; ++domain) {
        const double* const there = &features_[domain * n_runs_];
        by_length[domain] += PulledSquares(pulls.data(), there, there[row], row);
      }
    }
    for (size_t domain = 0; domain < n_domains_; ++domain) {
      gradient[domain] += kernel.signal * kernel.precisions[domain] * by_length[domain];
    }
    gradient[n_domains_] += kernel.signal * by_signal;
    gradient[n_domains_ + 1] += kernel.linear * by_linear;
    gradient[n_domains_ + 2] += kernel.noise * by_noise;
  }

  // Σ pull · (there - here)², in eight sums that the compiler can keep side by side.
  static double PulledSquares(const double* pulls, const double* there, double here, size_t count) {
    double sums[8] = {};
    size_t at = 0;
    for (; at + 8 <= count; at += 8) {
      for (size_t lane = 0; lane < 8; ++lane) {
        const double off = there[at + lane] - here;
        sums[lane] += pulls[at + lane] * off * off;
      }
    }
    for (; at < count; ++at) sums[0] += pulls[at] * (there[at] - here) * (there[at] - here);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }

  size_t n_runs_;
  size_t n_domains_;
  std::vector<double> features_;  // [n_domains × n_runs]
  std::vector<double> losses_;
  KernelRow row_;
  std::vector<double> matrix_;  // K, then L in the lower triangle
  std::vector<double> slopes_;
  std::vector<double> factor_;  // L⁻¹
  std::vector<double> inverse_;
  std::vector<double> whitened_;  // L⁻¹ y
  std::vector<double> alpha_;
};

std::vector<double> PublishedStart(size_t n_domains) {
  std::vector<double> start(n_domains, LogLengthMean(n_domains));
  start.insert(start.end(), {0, std::log(0.1), kLogNoiseMean});
  return start;
}

}  // namespace

double GaussianProcessObjective(const Runs& runs, const std::vector<double>& parameters,
                                std::vector<double>& gradient) {
  gradient.assign(parameters.size(), 0);
  return Likelihood(runs, Standardise(runs)).Objective(parameters, gradient);
}

GaussianProcess FitGaussianProcess(const Runs& runs, std::vector<double> start, int max_iterations,
                                   const CancelFlag& cancel) {
  GaussianProcess process = Standardise(runs);
  Likelihood likelihood(runs, process);
  process.parameters = start.empty() ? PublishedStart(runs.n_domains) : std::move(start);
  if (max_iterations > 0) {
    MinimiseLbfgs(
        [&](const std::vector<double>& point, std::vector<double>& gradient) {
          cancel.Check();
          return likelihood.Objective(point, gradient);
        },
        process.parameters, {.max_iterations = max_iterations, .gradient_tolerance = 1e-3}, cancel);
  }
  if (!likelihood.Condition(process.parameters, false)) {
    throw CodedError("NATIVE_FAILED", {{"operation", "the Gaussian process"},
                                       {"reason", "its kernel matrix is not positive definite"}});
  }
  process.alpha = likelihood.alpha();
  return process;
}

std::vector<double> GaussianProcessFactor(const GaussianProcess& process, const Runs& runs) {
  // Losses play no part in K: zeros stand for them.
  const std::vector<double> none(runs.n_runs);
  Runs bare = runs;
  bare.losses = none.data();
  Likelihood likelihood(bare, process);
  if (!likelihood.Condition(process.parameters, false)) {
    throw CodedError("NATIVE_FAILED", {{"operation", "the Gaussian process"},
                                       {"reason", "its kernel matrix is not positive definite"}});
  }
  return likelihood.TakeFactor();
}

void PredictGaussianProcess(const GaussianProcess& process, const Runs& runs,
                            std::span<const double> factor, std::span<const double> mixtures,
                            std::span<double> means, std::span<double> deviations, int n_threads) {
  const size_t n_runs = runs.n_runs;
  const size_t n_mixtures = mixtures.size() / runs.n_domains;
  const Kernel kernel(process.parameters);
  const std::vector<double> features = Transform(process, runs.weights, n_runs);
  const size_t n_blocks = (n_mixtures + kMixtureBlock - 1) / kMixtureBlock;
  engine::ParallelFor(n_threads, n_blocks, 1, [&](size_t block) {
    const size_t begin = block * kMixtureBlock;
    const size_t count = std::min(kMixtureBlock, n_mixtures - begin);
    const std::vector<double> here =
        Transform(process, mixtures.data() + begin * runs.n_domains, count);
    KernelRow row(n_runs);
    std::vector<double> cross(count * n_runs);
    for (size_t index = 0; index < count; ++index) {
      FillRow(kernel, here, count, index, features, n_runs, n_runs, row);
      double* const target = &cross[index * n_runs];
      double sum = 0;
      for (size_t run = 0; run < n_runs; ++run) {
        target[run] = kernel.signal * row.matern[run] + kernel.linear * row.products[run];
        sum += target[run] * process.alpha[run];
      }
      means[begin + index] = process.loss_mean + process.loss_scale * sum;
    }
    if (factor.empty()) return;
    // Columns of L⁻¹ k*: k** - |L⁻¹ k*|² is the variance. L⁻¹ is taken in row blocks, to skip its
    // zeros.
    std::vector<double> variances(count, kernel.signal + kernel.noise);
    for (size_t domain = 0; domain < runs.n_domains; ++domain) {
      for (size_t index = 0; index < count; ++index) {
        const double value = here[domain * count + index];
        variances[index] += kernel.linear * value * value;
      }
    }
    std::vector<double> whitened(kMixtureBlock * count);
    for (size_t first = 0; first < n_runs; first += kMixtureBlock) {
      const size_t rows = std::min(kMixtureBlock, n_runs - first);
      std::fill(whitened.begin(), whitened.end(), 0.0);
      AddProduct(rows, count, first + rows, 1, {factor.data() + first * n_runs, n_runs, 1},
                 {cross.data(), 1, n_runs}, whitened.data(), count);
      for (size_t at = 0; at < rows; ++at) {
        for (size_t index = 0; index < count; ++index) {
          variances[index] -= whitened[at * count + index] * whitened[at * count + index];
        }
      }
    }
    for (size_t index = 0; index < count; ++index) {
      deviations[begin + index] =
          process.loss_scale * std::sqrt(std::max(variances[index], kernel.noise));
    }
  });
}

void GaussianProcessGradient(const GaussianProcess& process, const Runs& runs,
                             std::span<const double> mixture, std::span<double> gradient) {
  const size_t n_runs = runs.n_runs;
  const Kernel kernel(process.parameters);
  const std::vector<double> features = Transform(process, runs.weights, n_runs);
  const std::vector<double> here = Transform(process, mixture.data(), 1);
  KernelRow row(n_runs);
  FillRow(kernel, here, 1, 0, features, n_runs, n_runs, row);
  for (size_t domain = 0; domain < runs.n_domains; ++domain) {
    double sum = 0;
    for (size_t run = 0; run < n_runs; ++run) {
      const double there = features[domain * n_runs + run];
      sum += process.alpha[run] *
             (kernel.linear * there +
              kernel.signal * row.slope[run] * kernel.precisions[domain] * (there - here[domain]));
    }
    gradient[domain] =
        process.loss_scale * sum / (process.scales[domain] * (mixture[domain] + kOffset));
  }
}

}  // namespace gristmill::mixture
