// RUN/dynamics.bin: what each training step found of each of its samples (train.dynamics), from
// which `trireme dynamics` tells what is easy, hard and probably mislabelled. A run that was taken
// up again, or back, leaves the file that an unbroken one leaves.
//
// A header of 32 bytes, then one record of 32 bytes for each sample of each step, by step and then
// by sample; all little-endian.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::framework::run {

/// Holds one record as it lies in the file.
struct SampleFinding {
    std::int64_t step = 0;   ///< updates done with this one, from 1, as in metrics.jsonl
    std::int64_t sample = 0; ///< its number in the training split
    double loss = 0;         ///< before the step, summed over its trained labels, without weights
    std::int32_t trained = 0, correct = 0; ///< labels; those of them that were predicted right
};
static_assert(sizeof(SampleFinding) == 32);

class DynamicsLog {
  public:
    /// Touches nothing. `path`: of the file; empty where nothing is to be kept, and then every call
    /// does nothing.
    explicit DynamicsLog(std::string path) : path_(std::move(path)) {}
    ~DynamicsLog();
    DynamicsLog(DynamicsLog const&) = delete;
    DynamicsLog& operator=(DynamicsLog const&) = delete;

    /// Opens or makes the file for a run that is at `step`, whose training split has `samples`.
    /// Throws InputError if it cannot be, or holds something else.
    void open(std::int64_t step, std::int64_t samples);
    /// Takes away what steps after `step` found. Throws JobError.
    void cut(std::int64_t step);
    /// Adds the findings of the next step, in any order. Throws JobError if the disk does not take
    /// them.
    void append(std::vector<SampleFinding> findings);

  private:
    std::int64_t step_of(std::int64_t record) const;
    [[noreturn]] void fail(char const* what) const;

    std::string path_;
    int descriptor_ = -1;
};

} // namespace trireme::framework::run
