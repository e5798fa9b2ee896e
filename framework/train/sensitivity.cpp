#include "framework/train/sensitivity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cluster/gather.hpp"
#include "cluster/host_memory.hpp"
#include "framework/optimizer/schedule.hpp"
#include "framework/step/results.hpp"

namespace trireme::framework::train {

namespace {

/// step before which nothing is known of the time that a step takes
constexpr std::int64_t kFirst = 4;
constexpr double kShare = 0.02; ///< share of the run's steps
constexpr double kSeconds = 5;  ///< that a rehearsal may take in any case
constexpr double kMostMemory = 0.8;

/// A difference that rounding alone does not make: some hundred times what runs with flipped bits
/// show at once. Sixteen steps of a stable run leave it below that (docs/architecture.md, "Two
/// modes of arithmetic").
double threshold(parallelize::Compute compute) {
    return compute == parallelize::Compute::bf16 ? 0.02 : 1e-5;
}

/// In parts of 1 + loss, so that neither the size of a vocabulary nor a loss of nearly 0 decides.
double difference(double a, double b) {
    if (!std::isfinite(a) || !std::isfinite(b)) return std::isfinite(a) == std::isfinite(b) ? 0 : 1;
    return std::abs(a - b) / (1 + std::abs(a));
}

Rehearsal compare(std::int64_t step, std::vector<double> const& losses,
                  std::vector<double> const& others, parallelize::Compute compute) {
    Rehearsal found{.step = step, .steps = std::ssize(losses)};
    double most = -1;
    for (std::size_t i = 0; i < losses.size(); ++i)
        if (double const d = difference(losses[i], others[i]); d > most) {
            most = d;
            found.loss = losses[i];
            found.other_loss = others[i];
        }
    found.parts = most > threshold(compute);
    return found;
}

} // namespace

std::string Rehearsal::text() const {
    return fmt::format(
        "note: this run is sensitive to rounding: computed twice, the second time with the last "
        "bit of each "
        "weight flipped, the {} steps after step {} came to losses of {:.4f} and {:.4f}; other "
        "numbers of "
        "ranks will give other results; numerics.mode: bitwise makes them equal, and a lower "
        "optimizer.learning_rate makes training stable",
        steps, step, loss, other_loss);
}

Sensitivity::Sensitivity(config::Config const& config, std::int64_t total,
                         parallelize::ParallelModel& model, optimizer::AdamW& optimizer,
                         optimizer::GradientNorm const& gradient_norm, step::BatchSource& batches)
    : config_(config), total_(total), model_(model), optimizer_(optimizer),
      gradient_norm_(gradient_norm), batches_(batches) {
    if (config.guard.sensitivity == run::Rehearse::off ||
        config.numerics.mode == parallelize::NumericsMode::bitwise ||
        config.numerics.compute == parallelize::Compute::fp64)
        return;
    for (double const share : {config.optimizer.warmup, 0.4, 0.7})
        starts_.push_back(std::max(
            kFirst, static_cast<std::int64_t>(std::ceil(share * static_cast<double>(total)))));
    std::ranges::sort(starts_);
    starts_.erase(std::ranges::unique(starts_).begin(), starts_.end());
}

bool Sensitivity::due(std::int64_t step) const {
    return std::ranges::find(starts_, step) != starts_.end() && step < total_;
}

bool Sensitivity::affordable(std::int64_t step, double seconds) const {
    if (config_.guard.sensitivity == run::Rehearse::always) return true;
    auto const number = std::ranges::find(starts_, step) - starts_.begin() + 1;
    return static_cast<double>(2 * kSteps * number) <= kShare * static_cast<double>(total_) ||
           (seconds > 0 && 2 * static_cast<double>(kSteps) * seconds <= kSeconds);
}

bool Sensitivity::has_room() const {
    std::int64_t bytes = 0;
    for (auto const& unit : model_.store().units())
        if (unit->moment1.defined())
            bytes += static_cast<std::int64_t>((unit->average.defined() ? 4 : 3) *
                                               unit->master.nbytes());
    return !cluster::host_short_of_memory(model_.mesh().world(), bytes, kMostMemory,
                                          "sensitivity/copies");
}

std::vector<Sensitivity::Held> Sensitivity::hold() const {
    auto const copy = [](at::Tensor const& t) {
        return t.defined() ? t.to(at::kCPU, t.scalar_type(), false, true) : t;
    };
    std::vector<Held> held;
    for (auto const& unit : model_.store().units())
        if (unit->moment1.defined())
            held.push_back({unit.get(), copy(unit->master), copy(unit->moment1),
                            copy(unit->moment2), copy(unit->average)});
    return held;
}

void Sensitivity::put_back(std::vector<Held> const& held) {
    for (auto const& h : held) {
        h.unit->master.copy_(h.master);
        h.unit->moment1.copy_(h.moment1);
        h.unit->moment2.copy_(h.moment2);
        if (h.average.defined()) h.unit->average.copy_(h.average);
    }
    model_.refresh();
}

double Sensitivity::step(run::Progress const& progress) {
    at::Tensor const loss =
        step::forward_backward(batches_, {progress.step, progress.cursor}, model_);
    at::Tensor const norm = gradient_norm_.compute();
    at::Tensor const scale = step::update_scale(loss, norm, config_.optimizer.clip,
                                                std::numeric_limits<double>::infinity());
    optimizer_.step(optimizer::learning_rate(config_.optimizer, progress.step, total_), scale,
                    progress.updates());
    model_.refresh();
    return loss.item<double>();
}

std::vector<double> Sensitivity::rehearse(run::Progress progress,
                                          std::function<bool()> const& told) {
    std::vector<double> losses;
    for (std::int64_t i = 0; i < kSteps && progress.step < total_; ++i) {
        losses.push_back(progress.leaves_out(progress.cursor) ? 0 : step(progress));
        progress.step += 1;
        progress.cursor += config_.batch.global;
        if (told()) break;
    }
    return losses;
}

std::optional<Rehearsal> Sensitivity::measure(run::Progress const& progress, double seconds,
                                              std::function<bool()> const& told) {
    auto& world = model_.mesh().world();
    bool const go = world.rank() == 0 && affordable(progress.step, seconds);
    if (cluster::broadcast_bytes(world, go ? "go" : "", 0, "sensitivity").empty() || !has_room())
        return std::nullopt;
    auto const held = hold();
    auto const losses = rehearse(progress, told);
    put_back(held);
    for (auto const& h : held) h.unit->master.view(at::kInt).bitwise_xor_(1);
    model_.refresh();
    auto const others =
        losses.size() == static_cast<std::size_t>(std::min(kSteps, total_ - progress.step))
            ? rehearse(progress, told)
            : std::vector<double>{};
    put_back(held);
    if (others.size() != losses.size()) return std::nullopt;
    return compare(progress.step, losses, others, config_.numerics.compute);
}

} // namespace trireme::framework::train
