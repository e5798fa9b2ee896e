// Tells of kernels that are no operations of libtorch, as it tells of its own: to whoever watches
// at::RecordFunction. Counts of what a step costs (framework/planning/step_cost.hpp) and torch's
// profiler see both kinds at one place.
#pragma once
#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <vector>

namespace trireme::parallel {

/// Reports one run of the kernel `name` ("trireme::..."), which reads and writes these tensors;
/// undefined ones are left out. Costs a look at this thread's watchers where there is none.
inline void note_kernel(char const* name, at::ArrayRef<at::Tensor> read,
                        at::ArrayRef<at::Tensor> written) {
    at::RecordFunction record(at::RecordScope::FUNCTION);
    if (!record.isActive()) return;
    std::vector<c10::IValue> in, out;
    for (auto const& x : read)
        if (x.defined()) in.emplace_back(x);
    for (auto const& x : written)
        if (x.defined()) out.emplace_back(x);
    record.before(name, c10::ArrayRef<c10::IValue const>(in.data(), in.size()));
    if (record.needsOutputs()) record.setOutputs(std::move(out));
}

} // namespace trireme::parallel
