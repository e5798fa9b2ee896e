// Training samples that helped or harmed a prediction: those whose gradients point where, or away
// from where, that of the prediction points.
//
// TracIn (Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent", NeurIPS
// 2020) sums inner products of gradients over checkpoints; here there is one, the model itself, and
// the gradients are normalized, as LESS does (Xia et al., ICML 2024), since the longest ones belong
// to outliers. They are compared twice: those of the last layer, exactly (TracIn's section 4), and
// those of all parameters by random projection, a count sketch (Charikar, Chen and Farach-Colton
// 2002; Weinberger et al. 2009), whose inner products are right on the mean and miss by about
// 1 / sqrt(kProjected).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/jobs/attribute.hpp"

namespace trireme::framework::jobs {

inline constexpr std::int64_t kProjected = 4096; ///< numbers of a projected gradient

struct InfluenceJob {
    std::string model, data, split = "train";
    std::vector<std::string> set; ///< "numerics.compute=fp64"
};

/// Cosines of the gradients of texts with those of all samples: [texts, samples], row after row.
struct Similarities {
    std::vector<float> head, projected;
};

class Influences {
  public:
    /// A classifier and the data that it was trained with. Collective over `world`. Throws
    /// InputError for another model, and for data that do not fit it.
    Influences(InfluenceJob const& job, cluster::Communicator& world);
    ~Influences();
    Influences(Influences const&) = delete;
    Influences& operator=(Influences const&) = delete;

    data::Dataset const& set() const;
    /// `labels`: places of the labels that the texts are taken to have. The ranks divide the
    /// samples; every rank gives the same texts and gets all similarities. `progress` hears of
    /// samples that are done, on rank 0. Collective.
    Similarities
    similarities(std::vector<AttributedText> const& texts, std::vector<std::int32_t> const& labels,
                 std::function<void(std::int64_t done, std::int64_t all)> const& progress) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace trireme::framework::jobs
