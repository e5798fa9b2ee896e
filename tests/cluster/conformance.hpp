// One suite for every back end: each collective against values in closed form. Called by all members of a group.
#pragma once
#include "cluster/communicator.hpp"

namespace trireme::test {

/// Fails GoogleTest expectations of the calling thread.
void expect_conformance(cluster::Communicator& group);

} // namespace trireme::test
