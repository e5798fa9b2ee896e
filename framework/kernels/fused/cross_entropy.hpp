// Softmax and cross-entropy of rows of logits, whole or with the classes divided over ranks: what
// framework/kernels/cross_entropy.hpp computes, in one sweep for maximum and sum and one for the
// gradient.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// Numbers of a row that ranks exchange: highest score, sum of exponentials of scores less that,
/// score of the label where it is here and else 0, first class that has the highest.
constexpr int kRowNumbers = 4;
/// Stands for no class; a float64 holds it.
constexpr double kNoClass = 2147483647.0;

/// Logits of classes first, first + 1, ... of which there may be none. Without `all` the classes of
/// this rank are all there are; with `found` the row's numbers go there and nothing else happens.
template <typename T>
struct CrossEntropy {
    using S = Sum<T>;
    std::int64_t count, classes, first;
    T* logits;                  ///< become (softmax - onehot) * scale where `gradient`
    std::int64_t const* labels; ///< below 0: the row has none, loss 0, no gradient
    double cap;                 ///< a score is cap tanh(logit / cap); 0: the logit
    bool gradient;
    double scale;
    double* found;     ///< [count, kRowNumbers]; null: go on to loss and gradient
    double const* all; ///< [ranks, count, kRowNumbers]
    int ranks;
    double* loss;
    std::int64_t* best; ///< -1 in rows without a label

    static constexpr int kPack = Packs<T>::kMost, kLanes = 512;
    std::int64_t rows() const { return count; }
    std::int64_t columns() const { return classes; }
    bool packed() const { return packs(classes, logits); }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, logits, labels, found, all, loss, best);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t row) const {
        std::int64_t const label = labels[row];
        if (label < 0) return leave_out<V>(team, row);
        Numbers const numbers = all ? combined(row) : own<V>(team, row, label);
        if (found) {
            if (team.lane() == 0) write(found + row * kRowNumbers, numbers);
            return;
        }
        if (team.lane() == 0) {
            loss[row] = std::log(numbers.sum) + numbers.highest - numbers.score;
            best[row] = static_cast<std::int64_t>(numbers.best);
        }
        if (gradient) differentiate<V>(team, row, label, numbers);
    }

  private:
    struct Numbers {
        double highest, sum, score, best;
    };
    static TRIREME_BODY void write(double* to, Numbers const& n) {
        to[0] = n.highest;
        to[1] = n.sum;
        to[2] = n.score;
        to[3] = n.best;
    }
    TRIREME_BODY S score(T logit) const {
        S const x = number(logit), c = static_cast<S>(cap);
        return cap > 0 ? c * std::tanh(x / c) : x;
    }

    template <int V, typename Team>
    TRIREME_BODY void leave_out(Team const& team, std::int64_t row) const {
        if (team.lane() == 0) {
            if (found) write(found + row * kRowNumbers, {0, 1, 0, kNoClass});
            if (!found) loss[row] = 0, best[row] = -1;
        }
        if (found || !gradient) return;
        for (std::int64_t i = team.lane() * V; i < classes; i += team.lanes() * V)
            store(logits + row * classes + i, Pack<T, V>{});
    }

    /// This rank's numbers. NaN is no maximum, and shows in the sum.
    template <int V, typename Team>
    TRIREME_BODY Numbers own(Team const& team, std::int64_t row, std::int64_t label) const {
        T const* const x = logits + row * classes;
        S const none = static_cast<S>(-INFINITY);
        S highest = none, sum = 0;
        double first_best = kNoClass;
        for (std::int64_t i = team.lane() * V; i < classes; i += team.lanes() * V) {
            Pack<T, V> const pack = load<V>(x + i);
            for (int j = 0; j < V; ++j) {
                S const s = score(pack.at[j]);
                if (s > highest) {
                    sum = sum * std::exp(highest - s) + S(1);
                    highest = s;
                    first_best = static_cast<double>(first + i + j);
                } else if (!(s == none)) {
                    sum += std::exp(s - highest);
                }
            }
        }
        S const most = team.highest(highest);
        S const total = team.sum(highest == none ? sum : sum * std::exp(highest - most));
        double const lowest = team.lowest(highest == most ? first_best : kNoClass);
        bool const here = label >= first && label < first + classes;
        return {static_cast<double>(most), static_cast<double>(total),
                here ? static_cast<double>(score(x[label - first])) : 0.0, lowest};
    }

    /// The row's numbers over all ranks, added in their order.
    TRIREME_BODY Numbers combined(std::int64_t row) const {
        Numbers n{-INFINITY, 0, 0, kNoClass};
        for (int k = 0; k < ranks; ++k) n.highest = std::fmax(n.highest, of_rank(k, row)[0]);
        for (int k = 0; k < ranks; ++k) {
            double const* const part = of_rank(k, row);
            n.sum += std::isinf(part[0]) ? part[1] : part[1] * std::exp(part[0] - n.highest);
            n.score += part[2];
            if (part[0] == n.highest) n.best = std::fmin(n.best, part[3]);
        }
        return n;
    }
    TRIREME_BODY double const* of_rank(int k, std::int64_t row) const {
        return all + (k * count + row) * kRowNumbers;
    }

    template <int V, typename Team>
    TRIREME_BODY void differentiate(Team const& team, std::int64_t row, std::int64_t label,
                                    Numbers const& numbers) const {
        T* const x = logits + row * classes;
        S const highest = static_cast<S>(numbers.highest), c = static_cast<S>(cap),
                factor = static_cast<S>(scale / numbers.sum);
        team.wait(); // all have read the label's logit
        for (std::int64_t i = team.lane() * V; i < classes; i += team.lanes() * V) {
            Pack<T, V> pack = load<V>(x + i);
            for (int j = 0; j < V; ++j) {
                S const s = score(pack.at[j]);
                S slope = std::exp(s - highest) * factor;
                if (first + i + j == label) slope -= static_cast<S>(scale);
                if (cap > 0) slope *= S(1) - (s / c) * (s / c);
                put(pack.at[j], slope);
            }
            store(x + i, pack);
        }
    }
};

} // namespace trireme::framework::kernels::fused
