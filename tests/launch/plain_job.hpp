// A job and a site without anything special, for tests of scripts.
#pragma once
#include "launch/batch_script.hpp"

namespace trireme::launch {

inline Site plain_site() {
    return {.name = "test", .source = "a test", .verified_on = "nothing"};
}

inline BatchJob plain_job() {
    return {.name = "run-1",
            .nodes = 2,
            .time = "10",
            .launcher = "srun",
            .command = {"trireme", "train", "c.yaml"}};
}

} // namespace trireme::launch
