// RMS norm (Zhang and Sennrich 2019) and layer norm (Ba et al. 2016) of rows, with the residual
// addition and the dropout before them, forward and backward.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/dropout.hpp"
#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// h = x + part dropped; y = (h - mean) * inverse * weight + bias. Without `part` h is x and is not
/// written; without `mean` nothing is subtracted (RMS norm); without `y` there is no norm.
template <typename T>
struct NormForward {
    using S = Sum<T>;
    std::int64_t count, width;
    T const* x;
    T const* part;
    Dropout drop;
    T const* weight;
    T const* bias;
    double epsilon;
    bool plus_one; ///< multiply by 1 + weight
    T* h;
    T* y;
    S* mean; ///< [count]
    S* inverse;

    static constexpr int kPack = Packs<T>::kMost, kLanes = 256;
    std::int64_t rows() const { return count; }
    std::int64_t columns() const { return width; }
    bool packed() const {
        return packs(width, x) && packs(width, part) && packs(width, weight) &&
               packs(width, bias) && packs(width, h) && packs(width, y);
    }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, x, part, drop.samples, drop.positions, weight, bias, h, y, mean, inverse);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t row) const {
        T const* const in = part ? h + row * width : x + row * width;
        S const total = team.sum(add<V>(team, row)), all = static_cast<S>(width);
        S const middle = mean ? total / all : S(0);
        S const squares = mean ? team.sum(deviations<V>(team, in, middle)) : total;
        S const factor = S(1) / std::sqrt(squares / all + static_cast<S>(epsilon));
        if (team.lane() == 0) {
            inverse[row] = factor;
            if (mean) mean[row] = middle;
        }
        for (std::int64_t d = team.lane() * V; d < width; d += team.lanes() * V) {
            Pack<T, V> const numbers = load<V>(in + d), w = load<V>(weight + d);
            Pack<T, V> b{}, out;
            if (bias) b = load<V>(bias + d);
            for (int i = 0; i < V; ++i) {
                S const scale = number(w.at[i]) + (plus_one ? S(1) : S(0));
                S const normal = (number(numbers.at[i]) - middle) * factor * scale;
                put(out.at[i], bias ? normal + number(b.at[i]) : normal);
            }
            store(y + row * width + d, out);
        }
    }

  private:
    /// Writes this lane's h, and returns its sum, or without a mean that of its squares.
    template <int V, typename Team>
    TRIREME_BODY S add(Team const& team, std::int64_t row) const {
        S sum = 0;
        for (std::int64_t d = team.lane() * V; d < width; d += team.lanes() * V) {
            Pack<T, V> numbers = load<V>(x + row * width + d);
            if (part) {
                S factors[V];
                dropout_factors(drop, row, d, factors);
                Pack<T, V> const more = load<V>(part + row * width + d);
                for (int i = 0; i < V; ++i)
                    put(numbers.at[i], number(numbers.at[i]) + number(more.at[i]) * factors[i]);
                store(h + row * width + d, numbers);
            }
            for (int i = 0; i < V; ++i) {
                S const n = number(numbers.at[i]);
                sum += mean ? n : n * n;
            }
        }
        return sum;
    }
    template <int V, typename Team>
    TRIREME_BODY S deviations(Team const& team, T const* in, S middle) const {
        S sum = 0;
        for (std::int64_t d = team.lane() * V; d < width; d += team.lanes() * V) {
            Pack<T, V> const numbers = load<V>(in + d);
            for (int i = 0; i < V; ++i) {
                S const n = number(numbers.at[i]) - middle;
                sum += n * n;
            }
        }
        return sum;
    }
};

/// Gradients of NormForward: dx of x, `dpart` of the part where dropout makes it another, and for
/// each group of rows what it adds to the gradients of weight and bias.
template <typename T>
struct NormBackward {
    using S = Sum<T>;
    static constexpr int kRows = 16; ///< of a group

    std::int64_t count, width;
    T const* dy;
    T const* dh; ///< gradient of h from elsewhere; null: none
    T const* h;
    T const* weight;
    bool plus_one;
    S const* mean; ///< null: RMS norm
    S const* inverse;
    Dropout drop;
    T* dx;
    T* dpart;   ///< null: that of x
    S* dweight; ///< [groups, width]; null: not wanted
    S* dbias;

    static constexpr int kPack = Packs<T>::kMost, kLanes = 256;
    static std::int64_t groups(std::int64_t rows) { return (rows + kRows - 1) / kRows; }
    std::int64_t rows() const { return groups(count); }
    std::int64_t columns() const { return width; }
    bool packed() const {
        return packs(width, dy) && packs(width, dh) && packs(width, h) && packs(width, weight) &&
               packs(width, dx) && packs(width, dpart);
    }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, dy, dh, h, weight, mean, inverse, drop.samples, drop.positions, dx, dpart,
                dweight, dbias);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t group) const {
        std::int64_t const first = group * kRows,
                           here = count - first < kRows ? count - first : kRows;
        S along[kRows], middle[kRows];
        for (std::int64_t r = 0; r < here; ++r) sums<V>(team, first + r, along[r], middle[r]);
        for (std::int64_t d = team.lane() * V; d < width; d += team.lanes() * V) {
            S to_weight[V] = {}, to_bias[V] = {};
            for (std::int64_t r = 0; r < here; ++r)
                columns_of<V>(first + r, d, along[r], middle[r], to_weight, to_bias);
            for (int i = 0; i < V; ++i) {
                if (dweight) dweight[group * width + d + i] = to_weight[i];
                if (dbias) dbias[group * width + d + i] = to_bias[i];
            }
        }
    }

  private:
    /// Means over a row of (dy w) normal, and of dy w where there is a mean.
    template <int V, typename Team>
    TRIREME_BODY void sums(Team const& team, std::int64_t row, S& along, S& middle) const {
        S with_normal = 0, alone = 0;
        S const center = mean ? mean[row] : S(0), factor = inverse[row];
        for (std::int64_t d = team.lane() * V; d < width; d += team.lanes() * V) {
            Pack<T, V> const g = load<V>(dy + row * width + d), n = load<V>(h + row * width + d),
                             w = load<V>(weight + d);
            for (int i = 0; i < V; ++i) {
                S const scaled = number(g.at[i]) * (number(w.at[i]) + (plus_one ? S(1) : S(0)));
                with_normal += scaled * ((number(n.at[i]) - center) * factor);
                alone += scaled;
            }
        }
        along = team.sum(with_normal) / static_cast<S>(width);
        middle = mean ? team.sum(alone) / static_cast<S>(width) : S(0);
    }
    template <int V>
    TRIREME_BODY void columns_of(std::int64_t row, std::int64_t d, S along, S middle,
                                 S (&to_weight)[V], S (&to_bias)[V]) const {
        std::int64_t const at = row * width + d;
        S const center = mean ? mean[row] : S(0), factor = inverse[row];
        Pack<T, V> const g = load<V>(dy + at), n = load<V>(h + at), w = load<V>(weight + d);
        Pack<T, V> more{}, out{}, out_of_part{};
        if (dh) more = load<V>(dh + at);
        S factors[V] = {};
        if (dpart) dropout_factors(drop, row, d, factors);
        for (int i = 0; i < V; ++i) {
            S const gradient = number(g.at[i]), normal = (number(n.at[i]) - center) * factor;
            S const scaled = gradient * (number(w.at[i]) + (plus_one ? S(1) : S(0)));
            S total = (scaled - middle - normal * along) * factor;
            if (dh) total += number(more.at[i]);
            put(out.at[i], total);
            if (dpart) put(out_of_part.at[i], total * factors[i]);
            to_weight[i] += gradient * normal;
            to_bias[i] += gradient;
        }
        store(dx + at, out);
        if (dpart) store(dpart + at, out_of_part);
    }
};

/// out[d] = sum over rows of x[r, d], added to what out holds unless `fresh`. A row of the program
/// is a tile of columns, whose lanes divide the rows of x.
template <typename S>
struct ColumnSums {
    static constexpr int kColumns = 32; ///< of a tile

    std::int64_t count, width;
    S const* x;
    bool fresh;
    S* out;

    static constexpr int kPack = 1, kLanes = 256;
    std::int64_t rows() const { return (width + kColumns - 1) / kColumns; }
    std::int64_t columns() const { return std::int64_t{kColumns} * 8; } ///< lanes that it wants
    bool packed() const { return false; }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, x, out);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t tile) const {
        int const across = team.lanes() < kColumns ? team.lanes() : kColumns,
                  down = team.lanes() / across, own = team.lane() % across,
                  part = team.lane() / across;
        S* const shared = team.template shared<S>();
        for (int c = 0; c < kColumns; c += across) { // all lanes as often, since they wait
            std::int64_t const column = tile * kColumns + c + own;
            bool const mine = c + own < kColumns && column < width && part < down;
            S sum = 0;
            for (std::int64_t r = part; mine && r < count; r += down) sum += x[r * width + column];
            shared[team.lane()] = sum;
            team.wait();
            if (mine && part == 0) {
                S total = 0;
                for (int k = 0; k < down; ++k) total += shared[k * across + own];
                out[column] = fresh ? total : out[column] + total;
            }
            team.wait();
        }
    }
};

} // namespace trireme::framework::kernels::fused
