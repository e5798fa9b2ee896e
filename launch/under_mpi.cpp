#include "launch/under_mpi.hpp"

#include <chrono>
#include <thread>

#include "cluster/environment.hpp"
#include "cluster/error.hpp"
#include "cluster/mpi_communicator.hpp"

namespace trireme::launch {

int under_mpi(std::function<int(cluster::Communicator& world)> const& body) {
    int argc = 0;
    char** argv = nullptr;
    cluster::Environment const environment(argc, argv);
    auto const world = cluster::make_mpi_world({});
    try {
        return body(*world);
    } catch (cluster::InputError const& error) {
        if (world->size() == 1) throw;
        // As a rule every rank finds the same fault: the first speaks for all, and another only if it is alone with it.
        if (world->rank() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
        world->abort(error.what(), cluster::kBadInput);
    } catch (std::exception const& error) {
        world->abort(error.what(), cluster::kFailed);
    }
}

} // namespace trireme::launch
