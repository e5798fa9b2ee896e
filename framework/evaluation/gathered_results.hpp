// One pass over every sample of a small data set, and what the ranks found brought together.
#pragma once
#include <cstdint>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/model/transformer_stage.hpp"

namespace trireme::framework::evaluation {

struct OneStep {
    std::vector<model::Pass> passes; ///< passes of this rank
    std::int64_t micro_batches = 0;  ///< micro-batches of all ranks
};
/// All samples of `set` as one step, cut into micro-batches as in training; without dropout, with
/// logits kept. `data` is the group among which micro-batches are divided. Local.
OneStep make_step(data::Dataset const& set, data::BatchShape const& shape,
                  cluster::Communicator const& data);

/// Results of all samples on every rank; logits stay where they were computed until rank 0 asks for
/// them.
class GatheredResults {
  public:
    /// `mine`: of this rank, and must outlive this. Whoever computed a sample may hold it: of
    /// several ranks the first counts. `model`: that found them. Throws JobError unless each sample
    /// of `set` was computed. Collective.
    GatheredResults(model::Results const& mine, data::Dataset const& set,
                    model::Config const& model, cluster::Communicator& world);

    double loss() const; ///< sum over trained labels / their count
    std::int64_t rows(std::int64_t sample) const {
        return places_[static_cast<std::size_t>(sample)].rows;
    }
    /// [rows, width] of one sample on rank 0, empty on the others. Collective over `world`.
    std::vector<float> logits(std::int64_t sample) const;

  private:
    struct Place {
        model::SampleResult result;
        int rank = -1;
        std::int64_t rows = 0, first = 0; ///< place in the logits of that rank
    };
    model::Results const& mine_;
    std::int64_t width_;
    cluster::Communicator& world_;
    std::vector<Place> places_; ///< places by sample
};

} // namespace trireme::framework::evaluation
