// One rank of a group of any size without the others: records calls and moves nothing. For dry runs and traffic counts.
#pragma once
#include <memory>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Rank `rank` of `size`. Collectives complete at once and leave outputs as they are; calls reach options.observer.
/// Splits have the size the caller's mesh gives them: `split_size` answers how many members share a color, and the rank
/// among them, from (color, key) alone.
struct FakeSplit {
    int rank, size;
};
using SplitAnswer = FakeSplit (*)(void const* context, int color, int key, std::string_view group);

std::unique_ptr<Communicator> make_fake_world(int rank, int size, CommunicatorOptions const& options,
                                              SplitAnswer answer = nullptr, void const* context = nullptr);

} // namespace trireme::cluster
