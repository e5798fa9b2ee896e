// Says what a plan found, to a person and as a table.
#pragma once
#include <string>

#include "framework/planning/layout_search.hpp"

namespace trireme::framework::planning {

/// Floating-point operations of one trained token, forward and backward, as others count them.
struct FlopsPerToken {
    double megatron = 0; ///< Megatron-LM: matrix products of layers and head, full attention
    double palm = 0;     ///< Chowdhery et al. 2022, appendix B: 6 N + 12 L H Q T, N all parameters
    double torchtitan = 0; ///< the same without the input embeddings
};
FlopsPerToken flops_per_token(OwnRun const& run);

/// "+4.1 GiB" for what is beyond a memory.
std::string overflow_text(double bytes);

/// The best `most` layouts, one line each below a line of titles; peaks are with the `library`,
/// bytes of a device that no tensor has.
std::string table_of(SearchResult const& result, OwnRun const& run, MachineFile const& machine,
                     double library, std::size_t most);

/// Every layout that was judged, as CSV with a line of titles; peaks are with the `library`.
std::string to_csv(SearchResult const& result, OwnRun const& run, double library);

/// Layouts of which none is both faster and smaller, the fastest first.
std::vector<Judged> pareto(SearchResult const& result);

} // namespace trireme::framework::planning
