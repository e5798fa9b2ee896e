#include "framework/evaluation/gathered_results.hpp"

#include <array>

#include "cluster/error.hpp"
#include "cluster/gather_values.hpp"
#include "parallel/micro_batch_ranks.hpp"

namespace trireme::framework::evaluation {

namespace {

using cluster::Message;

} // namespace

OneStep make_step(data::Dataset const& set, data::BatchShape const& shape,
                  cluster::Communicator const& data) {
    auto const plan =
        data::plan_evaluation(set, {set.size(), shape.tokens_per_micro_batch, shape.token_multiple})
            .at(0);
    double const scale = 1.0 / static_cast<double>(data::count_trained(set, plan));
    OneStep step{{}, static_cast<std::int64_t>(plan.micro_batches.size())};
    for (auto const& samples :
         parallel::own_micro_batches(plan.micro_batches, data.rank(), data.size())) {
        step.passes.push_back(model::make_pass(set.read(samples, shape.token_multiple), false, 0, 0,
                                               // not training: dropout is off
                                               scale));
        step.passes.back().keep_logits = true;
    }
    return step;
}

GatheredResults::GatheredResults(model::Results const& mine, data::Dataset const& set,
                                 model::Config const& model, cluster::Communicator& world)
    : mine_(mine), width_(model.outputs()), world_(world),
      places_(static_cast<std::size_t>(set.size())) {
    data::Per const per = model::traits_of(model.head).rows;
    auto const all = cluster::all_gather_values(world, mine.samples, "verify/results");
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        std::int64_t row = 0;
        for (auto const& result : all[rank]) {
            Place& place = places_.at(static_cast<std::size_t>(result.sample));
            std::int64_t const rows = per == data::Per::token ? set.length(result.sample) : 1;
            if (place.rank < 0) place = {result, static_cast<int>(rank), rows, row};
            row += rows;
        }
    }
    for (std::size_t i = 0; i < places_.size(); ++i)
        if (places_[i].rank < 0)
            throw cluster::JobError("no rank computed sequence " + std::to_string(i));
}

double GatheredResults::loss() const {
    double sum = 0;
    std::int64_t trained = 0;
    for (auto const& place : places_) {
        sum += place.result.loss;
        trained += place.result.trained;
    }
    return sum / static_cast<double>(trained);
}

std::vector<float> GatheredResults::logits(std::int64_t sample) const {
    Place const& place = places_.at(static_cast<std::size_t>(sample));
    auto const count = static_cast<std::size_t>(place.rows * width_);
    std::vector<float> values;
    if (place.rank == world_.rank()) {
        auto const first = static_cast<std::size_t>(place.first * width_);
        if (first + count > mine_.logits.size())
            throw cluster::JobError("the head handed out no logits");
        values.assign(mine_.logits.data() + first, mine_.logits.data() + first + count);
    }
    if (place.rank == 0) return world_.rank() == 0 ? values : std::vector<float>{};
    if (world_.rank() == 0) values.resize(count);
    if (world_.rank() == 0 || world_.rank() == place.rank) {
        bool const sends = world_.rank() != 0;
        std::array const messages{Message{sends ? Message::Kind::send : Message::Kind::receive,
                                          sends ? 0 : place.rank,
                                          {values.data(), count, cluster::DType::f32}}};
        world_.exchange(messages, "verify/logits").wait();
    }
    if (world_.rank() != 0) values.clear();
    return values;
}

} // namespace trireme::framework::evaluation
