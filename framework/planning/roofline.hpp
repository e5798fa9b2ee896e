// Tells what a step of our own would take on GPUs, by a model: each launch and each call that the
// code of a step makes on the meta device costs what a roofline of the machine says. Nothing of it
// is measured.
//
// [Note: what the model assumes] A matrix product runs tile by tile in waves over the
// multiprocessors (kernels.hpp), those of a batch in common waves. Attention reaches the share of
// the peak that the stack's constants say, a causal one with half of the scores, a layer with a
// window with those of the mean of all layers, its backward pass 2.5 times the operations at 0.85
// of the rate. Any other launch moves the bytes that were counted. Between two launches there is a
// gap, and none starts before the host has come to it. A call is a ring over links that are shared
// as the group lies; calls of a group follow each other; one that is waited for costs its time less
// the share of the compute since it could begin that the stack's constants let hide it. Stages of a
// pipeline run their lists of actions against a clock.
#pragma once
#include "framework/model/config.hpp"
#include "framework/parallelize/section.hpp"
#include "framework/planning/machine.hpp"
#include "framework/planning/stack.hpp"
#include "framework/planning/traffic.hpp"

namespace trireme::framework::planning {

struct RooflineRequest {
    model::Config const& model;
    parallelize::ParallelSection const& section;
    parallelize::NumericsSection const& numerics;
    EvenBatch batch;
    int ranks = 1;
    Machine const& machine; ///< of GPUs, completed by Constants::complete
    Stack const& stack;
    bool base = false, average = false; ///< as in StepDescription
};

/// Seconds by what takes them.
struct RooflineSeconds {
    double products = 0, attention = 0, elementwise = 0;
    double launches = 0;         ///< gaps between launches, and those that wait for the host
    double tensor = 0, data = 0; ///< calls that nothing hides, of tensor ranks and of all others

    double sum() const { return products + attention + elementwise + launches + tensor + data; }
    RooflineSeconds& add(RooflineSeconds const& other, double times = 1);
};

struct StepRoofline {
    RooflineSeconds busiest; ///< of the pipeline stage that has most to do, in a step
    double waits = 0;        ///< of that stage for others: the bubble, and what travels
    double step() const { return busiest.sum() + waits; }
};

/// Local; takes no memory for weights or activations. Throws InputError as step_cost does, and for
/// another numerics.compute than bf16.
StepRoofline step_roofline(RooflineRequest const& request);

} // namespace trireme::framework::planning
