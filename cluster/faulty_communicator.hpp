// Puts faults on purpose (cluster/fault.hpp) into the calls of a communicator, for tests of what
// finds ranks that call different things. Communicators themselves know nothing of faults.
#pragma once
#include <memory>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Returns `inner` itself while no fault waits, as in every run without TRIREME_FAULT. Otherwise a
/// communicator that hands each call on to `inner`, which it owns, and fires the faults of phase
/// "call/all_reduce" there; groups split from it do so as well. Local.
std::unique_ptr<Communicator> with_faults(std::unique_ptr<Communicator> inner);

} // namespace trireme::cluster
