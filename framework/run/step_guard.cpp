#include "framework/run/step_guard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cluster/counted.hpp"
#include "framework/run/median.hpp"

namespace trireme::framework::run {

namespace {

constexpr std::size_t kLeastLosses = 20; ///< before which a median says little

bool knows_usual(GuardSection const& guard, Progress const& progress) {
    return guard.spike > 0 && progress.recent_losses.size() >= kLeastLosses;
}

std::string trouble(GuardSection const& guard, Progress const& progress, double loss,
                    double gradient_norm) {
    if (!std::isfinite(loss) || !std::isfinite(gradient_norm))
        return fmt::format("loss {:.4g} and gradient norm {:.4g} are not finite",
                           cluster::unsigned_nan(loss), cluster::unsigned_nan(gradient_norm));
    if (loss <= highest_loss(guard, progress)) return "";
    double const usual = median(progress.recent_losses);
    return fmt::format(
        "loss {:.4g} is {:.3g} times the median {:.4g} of the last {} (guard.spike: {})", loss,
        loss / usual, usual, progress.recent_losses.size(), guard.spike);
}

} // namespace

double highest_loss(GuardSection const& guard, Progress const& progress) {
    return knows_usual(guard, progress) ? guard.spike * median(progress.recent_losses)
                                        : std::numeric_limits<double>::infinity();
}

Judgement judge_step(GuardSection const& guard, Progress const& progress, double loss,
                     double gradient_norm) {
    std::string what = trouble(guard, progress, loss, gradient_norm);
    if (what.empty()) return {};
    if (guard.non_finite == NonFinite::stop) return {Decision::stop, std::move(what)};
    if (progress.left_out.size() >= static_cast<std::size_t>(guard.most_skips))
        return {Decision::stop,
                what + fmt::format("; {} steps were left out before (guard.most_skips: {})",
                                   progress.left_out.size(), guard.most_skips)};
    switch (guard.non_finite) {
    case NonFinite::skip: return {Decision::leave_out, std::move(what)};
    case NonFinite::rollback: return {Decision::rollback, std::move(what)};
    case NonFinite::stop: break;
    }
    return {Decision::stop, std::move(what)};
}

void note_good_step(Progress& progress, double loss) {
    progress.recent_losses.push_back(loss);
    progress.gap.since.add(loss);
    if (progress.recent_losses.size() > Progress::kRecentLosses)
        progress.recent_losses.erase(progress.recent_losses.begin());
}

} // namespace trireme::framework::run
