#include "parallel/tensor_cut.hpp"

#include <algorithm>

namespace trireme::parallel {

TensorSlice slice_of(TensorCut const& cut, std::int64_t extent, int ranks, int rank) {
    if (cut.whole()) return {0, extent, extent, ranks};
    std::int64_t const group = cut.items * cut.size;
    if (cut.share == TensorCut::Share::never || cut.groups >= ranks || ranks % cut.groups != 0) {
        std::int64_t const each = (cut.groups + ranks - 1) / ranks,
                           first = std::min(rank * each, cut.groups);
        return {first * group, std::min(each, cut.groups - first) * group, each * group, 1};
    }
    int const sharers = static_cast<int>(ranks / cut.groups), place = rank % sharers;
    std::int64_t const start = rank / sharers * group;
    if (cut.share == TensorCut::Share::copy) return {start, group, group, sharers};
    std::int64_t const each = (cut.items + sharers - 1) / sharers,
                       first = std::min(place * each, cut.items);
    return {start + first * cut.size, std::min(each, cut.items - first) * cut.size, each * cut.size,
            1};
}

} // namespace trireme::parallel
