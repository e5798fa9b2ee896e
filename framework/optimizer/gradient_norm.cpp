#include "framework/optimizer/gradient_norm.hpp"

#include <algorithm>
#include <cmath>

#include "framework/kernels/adamw.hpp"

namespace trireme::framework {

double gradient_norm(parallel::ParameterStore const& store) {
    std::vector<parallel::Parameter const*> sorted;
    for (auto const& p : store.parameters())
        if (p->spec().trainable) sorted.push_back(p.get());
    std::sort(sorted.begin(), sorted.end(),
              [](auto const* a, auto const* b) { return a->spec().name < b->spec().name; });
    double total = 0;
    std::vector<double> sums;
    for (auto const* p : sorted) {
        at::Tensor const& g = p->gradient();
        sums.resize(static_cast<std::size_t>((g.numel() + parallel::kBlock - 1) / parallel::kBlock));
        if (g.scalar_type() == at::kDouble)
            kernels::block_squares(g.numel(), parallel::kBlock, g.const_data_ptr<double>(), sums.data());
        else
            kernels::block_squares(g.numel(), parallel::kBlock, g.const_data_ptr<float>(), sums.data());
        for (double const s : sums) total += s;
    }
    return std::sqrt(total);
}

} // namespace trireme::framework
