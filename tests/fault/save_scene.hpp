// A run so small that a save takes a millisecond, and whose weights and moments are a function of
// the version saved: what a checkpoint holds can be told, element by element, without what wrote
// it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/train/run_checkpoints.hpp"

namespace trireme::test {

struct Save {
    std::int64_t step;
    std::int64_t version; ///< kept as RunProgress::cursor: tells two saves of one step apart
};

struct SavesOutcome {
    /// of each save that ended, in their order; empty where it went well
    std::vector<std::string> errors;
    std::string finish; ///< what the finish threw, or nothing
    bool agreed = true; ///< all ranks had the same errors
};

framework::config::Config scene_config(std::string const& run, bool async);

/// Two ranks as threads of this process make the saves one after another and finish. `before(rank,
/// i)` is called before the i-th, with none in flight.
SavesOutcome make_saves(framework::config::Config const& config, std::vector<Save> const& saves,
                        std::function<void(int rank, std::size_t i)> const& before = {});

/// Resumes on one rank and looks at every element. The version found; -1: no checkpoint. A wrong
/// element fails the test. `said`: what it told of checkpoints that it passed over.
std::int64_t resumed_version(framework::config::Config const& config, std::string* said = nullptr);
/// Finds the same by reading the files alone: the newest checkpoint whose every byte is sound.
std::int64_t newest_sound_version(std::string const& run);

} // namespace trireme::test
