#include "framework/planning/collective_fit.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <tuple>

#include "framework/planning/timing.hpp"

namespace trireme::framework::planning {

namespace {

using cluster::Collective;

/// Weighted least squares; a line below 0 at either end is one with that end at 0.
LineFit weighted_line(std::span<SizeTime const> points, std::vector<double> const& weights) {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
        auto const [bytes, seconds] = points[i];
        n += weights[i], x += weights[i] * bytes, y += weights[i] * seconds;
        xx += weights[i] * bytes * bytes, xy += weights[i] * bytes * seconds;
    }
    double const d = n * xx - x * x;
    double const slope = d > 0 ? (n * xy - x * y) / d : 0, start = (y - slope * x) / n;
    if (start < 0) return {0, xy / xx};
    if (slope < 0) return {y / n, 0};
    return {start, slope};
}

std::vector<double> relative_errors(std::span<SizeTime const> points, LineFit const& fit) {
    std::vector<double> errors;
    for (auto const& p : points)
        errors.push_back(std::abs((fit.latency + fit.per_byte * p.bytes) / p.seconds - 1));
    return errors;
}

/// Memory of a call, and the call.
class Calls {
  public:
    Calls(cluster::Communicator& group, double bytes)
        : group_(group), size_(static_cast<std::size_t>(group.size())),
          each_(std::max<std::size_t>(1, static_cast<std::size_t>(bytes) / 4 / size_)),
          in_(each_ * size_), out_(each_ * size_), counts_(size_, each_) {}

    double bytes() const { return 4.0 * static_cast<double>(in_.size()); }

    void run(Collective op) {
        switch (op) {
        case Collective::all_reduce:
            return group_.all_reduce(all(in_), cluster::ReduceOp::sum, "calibrate").wait();
        case Collective::all_gather:
            return group_.all_gather(part(in_), all(out_), "calibrate").wait();
        case Collective::reduce_scatter:
            return group_.reduce_scatter(all(in_), part(out_), cluster::ReduceOp::sum, "calibrate")
                .wait();
        case Collective::all_to_all:
            return group_.all_to_all(all(in_), counts_, all(out_), counts_, "calibrate").wait();
        case Collective::broadcast: return group_.broadcast(all(in_), 0, "calibrate").wait();
        case Collective::exchange: return exchange();
        case Collective::barrier:
        case Collective::split: break;
        }
    }

  private:
    static cluster::Buffer all(std::vector<float>& x) {
        return {x.data(), x.size(), cluster::DType::f32};
    }
    cluster::Buffer part(std::vector<float>& x) const {
        return {x.data(), each_, cluster::DType::f32};
    }
    /// Of each pair of ranks the first sends, as a pipeline stage does.
    void exchange() {
        int const rank = group_.rank(), peer = rank % 2 == 0 ? rank + 1 : rank - 1;
        if (peer >= group_.size()) return;
        using Kind = cluster::Message::Kind;
        cluster::Message const message{rank % 2 == 0 ? Kind::send : Kind::receive, peer, all(in_)};
        group_.exchange({&message, 1}, "calibrate").wait();
    }

    cluster::Communicator& group_;
    std::size_t size_, each_; ///< each: elements of a member's part
    std::vector<float> in_, out_;
    std::vector<std::size_t> counts_;
};

double seconds_since(Clock::time_point start) {
    return seconds_between(start, Clock::now());
}

/// Seconds of the slowest member, in the median of the repeats.
double seconds_of(cluster::Communicator& group, Calls& calls, Collective op,
                  CollectiveSizes const& sizes) {
    std::vector<double> seconds;
    for (int i = 0; i <= sizes.repeats; ++i) {
        group.barrier("calibrate");
        auto const start = sizes.now();
        calls.run(op);
        if (i > 0) seconds.push_back(seconds_between(start, sizes.now()));
    }
    group
        .all_reduce({seconds.data(), seconds.size(), cluster::DType::f64}, cluster::ReduceOp::max,
                    "calibrate")
        .wait();
    return std::max(1e-9, median(std::move(seconds)));
}

/// Computes in a cache for that long.
void compute(double seconds) {
    std::vector<float> x(1024, 1.0F);
    auto const start = Clock::now();
    while (seconds_since(start) < seconds)
        for (float& v : x) v = v * 0.999F + 0.001F;
    [[maybe_unused]] static float volatile kept = 0; // or nothing would be computed
    kept = x.front();
}

} // namespace

LineFit fit_line(std::span<SizeTime const> points) {
    if (points.size() < 2) throw std::invalid_argument("a line goes through two points or more");
    std::vector<double> weights;
    for (auto const& p : points) weights.push_back(1 / (p.seconds * p.seconds));
    std::vector<double> const relative = weights;
    LineFit fit;
    constexpr int kRounds = 30;
    // kDeviation: of a normal distribution over its median; kNoise: of a clock, so that a line does
    // not settle on the half of the points that it happens to meet.
    constexpr double kTukey = 4.685, kDeviation = 1.4826, kNoise = 0.02;
    for (int round = 0; round < kRounds; ++round) {
        fit = weighted_line(points, weights);
        auto const errors = relative_errors(points, fit);
        double const scale = std::max(kNoise, kDeviation * median(errors));
        for (std::size_t i = 0; i < errors.size(); ++i) {
            double const u = std::min(1.0, errors[i] / (kTukey * scale));
            weights[i] = relative[i] * (1 - u * u) * (1 - u * u);
        }
    }
    fit.residual = median(relative_errors(points, fit));
    return fit;
}

std::vector<CollectiveTime> time_collectives(cluster::Communicator& group, std::int64_t nodes,
                                             CollectiveSizes const& sizes) {
    std::vector<CollectiveTime> times;
    for (double const bytes : sizes.bytes) {
        Calls calls(group, bytes);
        for (auto const op :
             {Collective::all_reduce, Collective::all_gather, Collective::reduce_scatter,
              Collective::all_to_all, Collective::broadcast, Collective::exchange})
            times.push_back(
                {op, group.size(), nodes, calls.bytes(), seconds_of(group, calls, op, sizes)});
    }
    return times;
}

double measured_overlap(cluster::Communicator& group, int repeats) {
    constexpr double kBytes = 4 << 20;
    Calls calls(group, kBytes);
    double const alone =
        seconds_of(group, calls, Collective::all_reduce, {.bytes = {}, .repeats = repeats});
    std::vector<float> array(static_cast<std::size_t>(kBytes / 4));
    std::vector<double> shares;
    for (int i = 0; i < repeats; ++i) {
        group.barrier("calibrate");
        auto const start = Clock::now();
        auto work = group.all_reduce({array.data(), array.size(), cluster::DType::f32},
                                     cluster::ReduceOp::sum, "calibrate");
        compute(alone);
        work.wait();
        shares.push_back((2 * alone - seconds_since(start)) / alone);
    }
    group
        .all_reduce({shares.data(), shares.size(), cluster::DType::f64}, cluster::ReduceOp::min,
                    "calibrate")
        .wait();
    return std::clamp(median(std::move(shares)), 0.0, 1.0);
}

std::vector<CollectiveFit> fit_collectives(std::vector<CollectiveTime> const& times) {
    std::map<std::tuple<Collective, std::int64_t, std::int64_t>, std::vector<SizeTime>> kinds;
    for (auto const& t : times) kinds[{t.op, t.ranks, t.nodes}].push_back({t.bytes, t.seconds});
    std::vector<CollectiveFit> fits;
    for (auto const& [kind, points] : kinds) {
        auto const [op, ranks, nodes] = kind;
        LineFit const line = fit_line(points);
        fits.push_back({op, ranks, nodes, line.latency, line.per_byte, line.residual});
    }
    return fits;
}

} // namespace trireme::framework::planning
