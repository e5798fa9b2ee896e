#include "cluster/flight_record.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace trireme::cluster {
namespace {

TEST(FlightRecord, MayEndWhileASignalIsHandledOnAnotherThread) {
    std::atomic<bool> done = false;
    std::atomic<long> noted = 0;
    std::thread handler([&] {
        for (; !done; ++noted) note_request_to_end();
    });
    for (int i = 0; i < 500 || noted < 500; ++i) {
        FlightRecorder const recorder(0, 1);
        std::this_thread::yield();
    }
    done = true;
    handler.join();
    note_request_to_end(); // there is no recorder
}

} // namespace
} // namespace trireme::cluster
