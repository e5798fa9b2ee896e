#include "parallel/flat_layout.hpp"

#include "parallel/budgets.hpp"

namespace trireme::parallel {

namespace {
std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}
} // namespace

FlatLayout lay_out(std::vector<std::int64_t> const& counts, int parts) {
    FlatLayout layout;
    layout.count = counts;
    layout.parts = parts;
    std::int64_t const block = budgets.block;
    std::int64_t next = 0;
    for (std::int64_t count : counts) {
        next = round_up(next, kAlign);
        if (next % block + count > block) next = round_up(next, block);
        layout.offset.push_back(next);
        next += count;
    }
    layout.used = next;
    layout.total = round_up(next, block * parts);
    return layout;
}

} // namespace trireme::parallel
