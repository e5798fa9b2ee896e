// Searches all layouts of a run on a machine: which fit, how long a step takes, and why the others
// are refused.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "framework/model/config.hpp"
#include "framework/planning/own_time.hpp"

namespace trireme::framework::planning {

struct SearchRequest {
    model::Config const& model;
    OwnRun run;
    parallelize::Compute compute = parallelize::Compute::bf16;
    MachineFile machine; ///< with the nodes and the GPUs of each that the job has, completed
    Stack stack;         ///< that describes Trireme (constants.hpp)
    /// bytes on a device that libraries take: contexts, buffers of collectives
    double library = 0;
    bool gpu = true;
    bool base = false, average = false;                         ///< as in OwnLayout
    std::function<BlockProfile(ProfileRequest const&)> profile; ///< profile_blocks
    /// price_blocks, on a calibrated machine; else none
    std::function<BlockTimes(SearchRequest const&, OwnPlan const&)> price = {};
};

/// One layout, judged.
struct Judged {
    OwnPlan plan;
    OwnMemory memory; ///< of the fullest stage, library left out
    int stage = 0;
    double over = 0;    ///< bytes beyond the device's memory; <= 0: it fits
    StepTime time;      ///< where it fits
    std::string reason; ///< why it cannot be; empty if it can

    bool fits() const { return reason.empty() && over <= 0; }
};

struct SearchResult {
    std::vector<Judged> fitting; ///< the fastest first
    std::vector<Judged> refused; ///< what does not fit, the nearest to fitting first
    std::map<std::string, std::int64_t> impossible; ///< how many, by the reason
};

/// Judges one layout. Memory is own_memory's, time own_time's.
class Judge {
  public:
    explicit Judge(SearchRequest const& request) : request_(request) {}
    Judged judge(OwnPlan plan);

  private:
    BlockProfile const& profile_of(OwnPlan const& plan);
    /// null: the machine is not calibrated
    BlockTimes const* times_of(OwnPlan const& plan);

    SearchRequest const& request_;
    std::map<std::tuple<int, std::int64_t, int>, BlockProfile> profiles_;
    /// by tensor, replicate and shard ranks, ZeRO stage, micro-batch, recomputation, and whether
    /// weight gradients are apart
    std::map<std::tuple<int, int, int, int, std::int64_t, int, bool>, BlockTimes> times_;
};

/// Every tensor size within a node, pipeline, schedule with its virtual stages, ZeRO stage over all
/// data ranks or those of a node, micro-batch of a power of two up to 131,072 tokens, recomputation
/// and offload. gpipe is left out: it holds more than 1f1b and is no faster.
SearchResult search_layouts(SearchRequest const& request);

/// Layouts that differ from `plan` in one respect and fit, the fastest first.
std::vector<Judged> remedies(SearchRequest const& request, OwnPlan const& plan);

/// "tensor 8, pipeline 4 (interleaved x 2), shard 16, zero 1, recompute full, micro-batch 2"
std::string to_text(OwnPlan const& plan);

} // namespace trireme::framework::planning
