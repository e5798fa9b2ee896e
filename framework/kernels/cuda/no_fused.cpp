#include "framework/kernels/fused/programs.hpp"

namespace trireme::framework::kernels::fused {

template <typename Program>
bool launch(Program const&, void*) {
    return false;
}

#define TRIREME_LAUNCH(...) template bool launch(__VA_ARGS__ const&, void*);
TRIREME_FUSED_PROGRAMS(TRIREME_LAUNCH)

} // namespace trireme::framework::kernels::fused
