// Gaussian process over mixtures: ARD Matérn-5/2 plus a linear kernel on standardised log weights.
//
//   z_k = (log(x_k + 0.01) - mean_k) / scale_k, scale 1 for a domain that never changes
//   r²  = Σ_k ((z_k - z'_k) / ell_k)²
//   k   = sf2 · (1 + √5 r + 5 r²/3) e^(-√5 r) + sl2 · z·z' + sn2 · [same run]
//
// Losses are standardised. The parameters, all logarithms, [ell_1 … ell_d, sf2, sl2, sn2], maximise
// the log marginal likelihood plus the priors log ell ~ N(log(1.5 √d), 1.5²) and log sn2 ~ N(-3,
// 1.5²). Rasmussen & Williams 2006, chapters 2 and 5.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cancel.h"
#include "mixture/runs.h"

namespace gristmill::mixture {

struct GaussianProcess {
  std::vector<double> means;   // [n_domains]
  std::vector<double> scales;  // [n_domains]
  double loss_mean = 0;
  double loss_scale = 1;
  std::vector<double> parameters;  // [n_domains + 3]
  std::vector<double> alpha;       // [n_runs]: K⁻¹ · standardised losses
};

// The negative log posterior at `parameters` and its gradient; infinite where K is not positive
// definite.
double GaussianProcessObjective(const Runs& runs, const std::vector<double>& parameters,
                                std::vector<double>& gradient);

// Fits from `start` (empty: the published start), at most `max_iterations` of L-BFGS; 0 keeps
// `start` and conditions on the runs. Throws ABORTED.
GaussianProcess FitGaussianProcess(const Runs& runs, std::vector<double> start, int max_iterations,
                                   const CancelFlag& cancel);

// L⁻¹ of the runs' kernel matrix, [n_runs × n_runs]: what deviations need.
std::vector<double> GaussianProcessFactor(const GaussianProcess& process, const Runs& runs);

// Means of [n_mixtures]; with `factor` also standard deviations of a new run's loss. `runs.losses`
// is not read.
void PredictGaussianProcess(const GaussianProcess& process, const Runs& runs,
                            std::span<const double> factor, std::span<const double> mixtures,
                            std::span<double> means, std::span<double> deviations, int n_threads);

// Gradient of the mean by the weights of one mixture.
void GaussianProcessGradient(const GaussianProcess& process, const Runs& runs,
                             std::span<const double> mixture, std::span<double> gradient);

}  // namespace gristmill::mixture
