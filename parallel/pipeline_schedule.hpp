// Lists what each pipeline stage does in a step, in order: pure data, no tensors, no communication.
// One engine executes it.
//
// A model is cut into stages x chunks parts, in order. Stage s holds the parts s, stages + s, 2 x
// stages + s, ...: its chunks 0, 1, 2, ... (virtual stages).
//
// [Note: what a schedule promises]
// - Each part runs each micro-step exactly once, and the lists of all stages together cannot
//   deadlock, if no action waits for the receive of what it sends. Sends may wait for their
//   receives as long as they hold up sends of the same boundary alone (stage_link.hpp).
// - Forward passes, backward passes and weight gradients of a chunk each run in increasing
//   micro-step order: bitwise mode adds gradients in that order.
// - Two stages exchange activations in one order: the sender's is the receiver's. The same holds
//   for gradients. Where both travel from one stage to another (interleaved on two stages), they
//   need a tag or a channel each.
// - A list depends on its arguments alone, so ranks that hold the same stage run the same list.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace trireme::parallel {

enum class ScheduleKind : std::uint8_t { gpipe, one_f_one_b, interleaved, zero_bubble };
/// Names in configurations and messages, in the order of the values.
inline constexpr std::array kScheduleNames{"gpipe", "1f1b", "interleaved", "zero-bubble"};
inline char const* name_of(ScheduleKind kind) {
    return kScheduleNames[static_cast<std::size_t>(kind)];
}

struct Action {
    /// forward needs the forward of the part before. backward (both gradients at once) or
    /// input_gradient needs this part's forward and the backward or input_gradient of the part
    /// after. weight_gradient needs this part's input_gradient. All of the same micro-step.
    enum class Kind : std::uint8_t { forward, backward, input_gradient, weight_gradient };

    Kind kind;
    std::int64_t micro_step;
    int chunk; ///< on stage s this is part chunk * stages + s of the model

    bool operator==(Action const&) const = default;
};

/// The actions of one stage, in order.
using StageActions = std::vector<Action>;

/// The list of one stage. `micro_steps` may be any number from 1 up. Local, takes O(chunks *
/// micro_steps).
///
/// gpipe        all forward passes, then all backward passes (Huang et al. 2019). Holds
///              micro_steps activations.
/// one_f_one_b  PipeDream-Flush (Narayanan et al. 2021, section 2.2.1). Holds
///              min(stages - stage, micro_steps).
/// interleaved  chunks >= 2, micro-steps in groups of `stages` (Narayanan et al. 2021, section
///              2.2.2). Holds at most 2 (stages - stage - 1) + (chunks - 1) stages + 1 activations,
///              each of one chunk.
/// zero_bubble  ZB-H1 (Qi et al. 2023): 1F1B with the weight gradients apart, which run where
///              stages would wait. Holds min(stages, micro_steps) on each stage, as much as the
///              first one of 1F1B.
///
/// Throws cluster::InputError where `chunks` does not fit the kind: legal is 2 or more for
/// interleaved, else 1.
StageActions stage_actions(ScheduleKind kind, int stages, int chunks, std::int64_t micro_steps,
                           int stage);

/// The list of every stage in a forward pass alone.
StageActions forward_actions(int chunks, std::int64_t micro_steps);

/// One thing that a stage does: it starts to receive what an action begins with, or runs the
/// action.
struct Turn {
    bool starts_receive;
    std::size_t index; ///< of the action in the stage's list

    bool operator==(Turn const&) const = default;
};
/// Each action of a stage's list, and before it the start of its receive, if it has one. A receive
/// starts one action earlier, so that the message travels while that one computes, if the message
/// can be made without that action; otherwise just before its own. Started too early, a receive
/// would wait for what it holds up in two cases on a GPU: at the first message of two ranks, where
/// NCCL has their hosts wait for each other, and where CUDA waits for what runs before it loads a
/// kernel (lazy loading). The second is excluded for one stage that loads; for several at a time,
/// ComputeDevice has CUDA load all kernels at its start. `lists`: of all stages, each part's
/// micro-steps in order. Local, takes O(actions of all stages).
std::vector<Turn> turns_of(std::vector<StageActions> const& lists, int chunks, int stage);

/// The lists of all stages.
std::vector<StageActions> make_schedule(ScheduleKind kind, int stages, int chunks,
                                        std::int64_t micro_steps);

} // namespace trireme::parallel
