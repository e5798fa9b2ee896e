// One counted step of the tiny Llama, and the same step predicted.
#pragma once
#include "framework/planning/traffic.hpp"
#include "tests/parity/layouts.hpp"

namespace trireme::test {

struct CountedStep {
    Layout layout;
    framework::parallelize::NumericsSection numerics;
    bool tied = false;
};

/// An observer for ranks that are threads: each counts for itself.
std::shared_ptr<cluster::CallObserver> counter_by_thread();

/// Trains one step for real and returns what this thread's rank sent in it. Collective over
/// `world`, which must have counter_by_thread() as its observer.
framework::planning::Traffic count_step(cluster::Communicator& world, CountedStep const& step);
framework::planning::Traffic predict_step(CountedStep const& step, int rank);

} // namespace trireme::test
