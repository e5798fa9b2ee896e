// One rank of a group of any size without the others: records calls and moves nothing. For dry runs
// and traffic counts.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Rank `rank` of `size`. Collectives leave outputs as they are; calls reach
/// options.observer. Buffers need no memory. Splits, and splits of them, are what `answer` says:
/// how many members share the color, and the rank among them. Without an answer a world of more
/// than one rank throws JobError when it is split.
struct FakeSplit {
    int rank, size;
};
using SplitAnswer = std::function<FakeSplit(int color, int key, std::string_view group)>;

/// `looks`: a call is complete when it is waited for, or has been asked this often whether it is,
/// so that what its caller keeps meanwhile is kept as long as on a slow network.
std::unique_ptr<Communicator> make_fake_world(int rank, int size,
                                              CommunicatorOptions const& options,
                                              SplitAnswer answer = nullptr, int looks = 0);

} // namespace trireme::cluster
