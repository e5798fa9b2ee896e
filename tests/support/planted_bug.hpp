// The one way to switch a planted mistake on.
#pragma once
#include "parallel/planted.hpp"

namespace trireme::test {

/// The mistake is in force while this is alive, in every thread of the process.
class PlantedBug {
  public:
    explicit PlantedBug(parallel::planted::Bug bug) { parallel::planted::active = bug; }
    ~PlantedBug() { parallel::planted::active = parallel::planted::Bug::none; }
    PlantedBug(PlantedBug const&) = delete;
    PlantedBug& operator=(PlantedBug const&) = delete;
};

} // namespace trireme::test
