// Shares pieces of work out over the threads of this process.
#pragma once
#include <cstdint>
#include <functional>

namespace trireme::parallel {

/// Calls f(0) to f(count - 1), each in one of OpenMP's threads, in any order. A library that uses
/// OpenMP has one thread within f, also where `count` is 1. Throws what a piece has thrown, one of
/// them, once all are done. Local.
void each_in_one_thread(std::int64_t count, std::function<void(std::int64_t)> const& f);

} // namespace trireme::parallel
