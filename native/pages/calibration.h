// What log-odds mean: fitted by src/scorers/calibration.ts, part of every scoring model.
#pragma once

#include <cmath>

namespace gristmill::pages {

// probability = 1 / (1 + exp(−(slope · logit + intercept))) (Platt 1999), both of which move with
// the page's doubt (verdict.h): the same log-odds mean less on a page where much is undecided.
struct Calibration {
  double slope = 1;
  double intercept = 0;
  // What is added to them at a doubt of 1.
  double doubt_slope = 0;
  double doubt_intercept = 0;

  float Probability(float logit, double doubt = 0) const {
    const double steep = slope + doubt * doubt_slope;
    const double odds = steep * static_cast<double>(logit) + intercept + doubt * doubt_intercept;
    return static_cast<float>(1 / (1 + std::exp(-odds)));
  }
};

}  // namespace gristmill::pages
