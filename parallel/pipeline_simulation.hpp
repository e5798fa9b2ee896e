// Tells what a pipeline schedule costs by running the lists of all stages against a clock. Pure
// arithmetic.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/pipeline_schedule.hpp"

namespace trireme::parallel {

/// Times of one part of the model for one micro-step, in any one unit. A backward action takes both
/// gradients' time.
struct PartTimes {
    double forward = 1;
    double input_gradient = 1;
    double weight_gradient = 1;
};

struct Simulation {
    struct Span {
        double begin, end;
    };
    struct Stuck {
        int stage;
        Action action;
    };

    double makespan = 0;
    /// Per stage: idle over busy time, as in Narayanan et al. 2021, where it is (p - 1) / m for
    /// GPipe and 1F1B.
    std::vector<double> bubble;
    /// Per stage: the most activations held at once, each of one micro-step and chunk, from its
    /// forward pass to its backward or weight_gradient.
    std::vector<std::int64_t> peak_in_flight;
    /// Per stage, as long as the list, or as the part of it that ran: when each action ran.
    std::vector<std::vector<Span>> spans;
    /// The first action of each stage that never could run; empty if the schedule completed.
    std::vector<Stuck> stuck;

    bool complete() const { return stuck.empty(); }
    /// "stage 1 waits to run the backward of micro-step 0, chunk 0; stage 2 waits ..."; empty if
    /// complete.
    std::string deadlock() const;
};

/// `parts` has stages x chunks entries. Results go to another stage in `transfer`, while both
/// stages go on computing. Throws std::out_of_range on an action whose part does not exist.
Simulation simulate(std::vector<StageActions> const& schedule, std::vector<PartTimes> const& parts,
                    double transfer = 0);

} // namespace trireme::parallel
