// The two laws with a closed form, fitted by L-BFGS from seeded starts.
//
// Power law with K terms, f = E + Σ_k e^(b_k) (Σ_i e^(a_ki) x_i + e^(a0_k))^(-β_k), least squares
// with a weak pull towards typical parameters. Mixing law (Data Mixing Laws, arXiv 2403.16952), f =
// e^c + e^(t·x), Huber loss.
#pragma once

#include <cstdint>
#include <vector>

#include "cancel.h"
#include "mixture/runs.h"

namespace gristmill::mixture {

struct LawFit {
  // Power law: [E, then per term b, log β, log a0, log a_1 … log a_d]. Mixing law: [c, t_1 … t_d].
  std::vector<double> parameters;
  double objective = 0;
};

struct LawOptions {
  int n_starts = 10;
  int max_iterations = 800;
  uint64_t seed = 0;
  std::vector<double> start;  // instead of the seeded ones when not empty
};

LawFit FitPowerLaw(const Runs& runs, int n_terms, const LawOptions& options,
                   const CancelFlag& cancel);
LawFit FitMixingLaw(const Runs& runs, const LawOptions& options, const CancelFlag& cancel);

// The objectives, for tests.
double PowerLawObjective(const Runs& runs, int n_terms, const std::vector<double>& parameters,
                         std::vector<double>& gradient);
double MixingLawObjective(const Runs& runs, const std::vector<double>& parameters,
                          std::vector<double>& gradient);

}  // namespace gristmill::mixture
