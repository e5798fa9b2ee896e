// Addresses of things that a node of the graph needs again in its backward pass, and that outlive
// the graph: parameters, tables, passes, communicators. `Context` is torch's AutogradContext, which
// the files that define nodes include.
#pragma once
#include <cstdint>

namespace trireme::parallel {

template <typename Context, typename T>
void remember(Context* context, char const* key, T& thing) {
    context->saved_data[key] = reinterpret_cast<std::int64_t>(&thing);
}
template <typename T, typename Context>
T& recall(Context* context, char const* key) {
    return *reinterpret_cast<T*>(context->saved_data[key].toInt());
}

} // namespace trireme::parallel
