#include "mixture/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

namespace gristmill::mixture {

namespace {

using Vector = std::vector<double>;

constexpr double kDecrease = 1e-4;
constexpr double kCurvature = 0.9;
constexpr int kMaxEvaluations = 25;

double Dot(const Vector& left, const Vector& right) {
  double sum = 0;
  for (size_t at = 0; at < left.size(); ++at) sum += left[at] * right[at];
  return sum;
}

struct Sample {
  double step = 0;
  double value = 0;
  double slope = 0;
};

// The minimum of the cubic through two samples, kept off the ends of the interval.
double Interpolate(const Sample& low, const Sample& high) {
  const double middle = 0.5 * (low.step + high.step);
  if (!std::isfinite(high.value) || !std::isfinite(high.slope)) {
    return low.step + 0.2 * (high.step - low.step);
  }
  const double first =
      low.slope + high.slope - 3 * (low.value - high.value) / (low.step - high.step);
  const double square = first * first - low.slope * high.slope;
  if (!(square >= 0)) return middle;
  const double second = std::copysign(std::sqrt(square), high.step - low.step);
  const double step = high.step - (high.step - low.step) * (high.slope + second - first) /
                                      (high.slope - low.slope + 2 * second);
  const double margin = 0.1 * std::abs(high.step - low.step);
  const double lower = std::min(low.step, high.step) + margin;
  const double upper = std::max(low.step, high.step) - margin;
  return std::isfinite(step) ? std::clamp(step, lower, upper) : middle;
}

class LineSearch {
 public:
  LineSearch(const Objective& objective, const Vector& origin, const Vector& direction,
             const Sample& start)
      : objective_(objective), origin_(origin), direction_(direction), start_(start) {}

  // True when `point` and `gradient` hold a lower value.
  bool Run(double first_step) {
    Sample previous = start_;
    double step = first_step;
    for (int count = 0; count < kMaxEvaluations; ++count) {
      const Sample sample = Evaluate(step);
      if (!Decreases(sample) || (count > 0 && sample.value >= previous.value)) {
        return Zoom(previous, sample, kMaxEvaluations - count);
      }
      if (std::abs(sample.slope) <= -kCurvature * start_.slope) return true;
      if (sample.slope >= 0) return Zoom(sample, previous, kMaxEvaluations - count);
      previous = sample;
      step *= 2;
    }
    return true;
  }

  Vector point;
  Vector gradient;
  double value = 0;

 private:
  bool Decreases(const Sample& sample) const {
    return sample.value <= start_.value + kDecrease * sample.step * start_.slope;
  }

  Sample Evaluate(double step) {
    point = origin_;
    for (size_t at = 0; at < point.size(); ++at) point[at] += step * direction_[at];
    gradient.assign(point.size(), 0);
    value = objective_(point, gradient);
    if (!std::isfinite(value)) value = std::numeric_limits<double>::infinity();
    return {step, value, Dot(gradient, direction_)};
  }

  bool Zoom(Sample low, Sample high, int n_left) {
    for (int count = 0; count < n_left; ++count) {
      const Sample sample = Evaluate(Interpolate(low, high));
      if (!Decreases(sample) || sample.value >= low.value) {
        high = sample;
      } else {
        if (std::abs(sample.slope) <= -kCurvature * start_.slope) return true;
        if (sample.slope * (high.step - low.step) >= 0) high = low;
        low = sample;
      }
      if (std::abs(high.step - low.step) <= 1e-14 * std::abs(low.step)) break;
    }
    if (low.step == 0) return false;
    Evaluate(low.step);
    return true;
  }

  const Objective& objective_;
  const Vector& origin_;
  const Vector& direction_;
  Sample start_;
};

struct Pair {
  Vector step;
  Vector change;
  double scale;  // 1 / (step · change)
};

// direction = -H · gradient by the two-loop recursion.
Vector Direction(const Vector& gradient, const std::deque<Pair>& pairs) {
  Vector direction = gradient;
  Vector factors(pairs.size());
  for (size_t at = pairs.size(); at-- > 0;) {
    factors[at] = pairs[at].scale * Dot(pairs[at].step, direction);
    for (size_t index = 0; index < direction.size(); ++index) {
      direction[index] -= factors[at] * pairs[at].change[index];
    }
  }
  if (!pairs.empty()) {
    const double scale = 1 / (pairs.back().scale * Dot(pairs.back().change, pairs.back().change));
    for (double& value : direction) value *= scale;
  }
  for (size_t at = 0; at < pairs.size(); ++at) {
    const double factor = factors[at] - pairs[at].scale * Dot(pairs[at].change, direction);
    for (size_t index = 0; index < direction.size(); ++index) {
      direction[index] += factor * pairs[at].step[index];
    }
  }
  for (double& value : direction) value = -value;
  return direction;
}

}  // namespace

LbfgsResult MinimiseLbfgs(const Objective& objective, std::vector<double>& point,
                          const LbfgsOptions& options, const CancelFlag& cancel) {
  Vector gradient(point.size());
  LbfgsResult result;
  result.value = objective(point, gradient);
  if (!std::isfinite(result.value)) {
    result.value = std::numeric_limits<double>::infinity();
    return result;
  }
  std::deque<Pair> pairs;
  while (result.iterations < options.max_iterations) {
    cancel.Check();
    double largest = 0;
    for (const double value : gradient) largest = std::max(largest, std::abs(value));
    if (largest <= options.gradient_tolerance) break;
    Vector direction = Direction(gradient, pairs);
    double slope = Dot(gradient, direction);
    if (!(slope < 0)) {
      pairs.clear();
      direction = Direction(gradient, pairs);
      slope = Dot(gradient, direction);
    }
    // Before curvature is known a step of length 1 at most: log-parameters move by one unit.
    const double first = pairs.empty() ? std::min(1.0, 1 / std::sqrt(-slope)) : 1;
    LineSearch search(objective, point, direction, {0, result.value, slope});
    if (!search.Run(first)) {
      if (pairs.empty()) break;
      pairs.clear();
      continue;
    }
    Pair pair{search.point, search.gradient, 0};
    for (size_t at = 0; at < point.size(); ++at) {
      pair.step[at] -= point[at];
      pair.change[at] -= gradient[at];
    }
    const double product = Dot(pair.step, pair.change);
    const double decrease = result.value - search.value;
    point = search.point;
    gradient = search.gradient;
    result.value = search.value;
    ++result.iterations;
    if (product > 1e-12 * Dot(pair.change, pair.change)) {
      pair.scale = 1 / product;
      pairs.push_back(std::move(pair));
      if (pairs.size() > static_cast<size_t>(options.memory)) pairs.pop_front();
    }
    if (decrease <= options.value_tolerance * std::max(1.0, std::abs(result.value))) break;
  }
  return result;
}

}  // namespace gristmill::mixture
