// Training samples that helped or harmed a prediction: those whose gradients point where, or away
// from where, that of the prediction points.
//
// TracIn (Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent", NeurIPS
// 2020) sums inner products of gradients over checkpoints; here there is one, the model itself, and
// the gradients are normalized, as LESS does (Xia et al., ICML 2024), since the longest ones belong
// to outliers. Those of the last layer are compared exactly (TracIn's section 4), those of all
// parameters by random projection.
//
// Two samples that share a rare trait are hard to tell among gradients that all move a whole class.
// The inverse of the gradients' mean outer product takes out what is common to all; that makes the
// product an influence function (Koh and Liang, ICML 2017) on projected gradients (TRAK, Park et
// al., ICML 2023); dividing by the lengths in that metric makes it a cosine (l-RelatIF, Barshan et
// al., AISTATS 2020). TRAK takes the gradient of log(p / (1 - p)) for that of log p; the two point
// the same way.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/jobs/attribute.hpp"
#include "framework/jobs/gradient_direction.hpp"

namespace trireme::framework::jobs {

/// Share of the mean eigenvalue of the mean outer product that is added to all of them (Grosse et
/// al., "Studying Large Language Model Generalization with Influence Functions", 2023).
inline constexpr double kDamping = 0.1;

struct InfluenceJob {
    std::string model, data, split = "train";
    std::vector<std::string> set; ///< "numerics.compute=fp64"
    bool language_model = false;  ///< the model; else a classifier
};

/// Compares the gradients of texts with those of all samples; each is [texts, samples], row after
/// row.
struct Similarities {
    /// cosines for the last layer; zeros for a language model, whose last layer may be its token
    /// table
    std::vector<float> head;
    std::vector<float> cosine;    ///< for all parameters, projected
    std::vector<float> influence; ///< cosines of these in the metric of influence
};

class Influences {
  public:
    /// A classifier or a causal language model, and the data that it was trained with. Collective
    /// over `world`. Throws InputError for another model, and for data that do not fit it.
    Influences(InfluenceJob const& job, cluster::Communicator& world);
    ~Influences();
    Influences(Influences const&) = delete;
    Influences& operator=(Influences const&) = delete;

    data::Dataset const& set() const;
    /// `labels`: places of the labels that the texts are taken to have; of a language model they
    /// are not read, and all tokens of a text but the first are trained. The ranks divide the
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
