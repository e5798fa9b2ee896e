// Runs lists of actions over links whose sends wait for their receives: pure data, by the rules of
// NCCL's groups that parallel/stage_link.hpp states, in the words of its test.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/pipeline_schedule.hpp"

namespace trireme::test {

enum class LinkFate : std::uint8_t {
    right,      ///< each message meets its own, and every list comes to its end
    exchanged,  ///< a stage takes the message of another micro-step for its own
    stuck,      ///< stages wait for each other
    unprepared, ///< a backward pass comes before its forward pass
};
char const* name_of(LinkFate fate);

/// Lists of all stages, as parallel::make_schedule gives them. `loader`: a stage each of whose
/// actions loads a kernel, for which the GPU first ends what runs there, receives included.
LinkFate fate_of(std::vector<parallel::StageActions> const& lists, int chunks, int loader = -1);

} // namespace trireme::test
