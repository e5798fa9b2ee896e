// Sums the gradient of the vocabulary's weight over chunks of rows (loss.cpp).
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <utility>

#include "parallel/parameter.hpp"

namespace trireme::framework::model {

/// Gradient [V / t, D] of a weight of which the first `real` rows are classes and the others
/// padding, whose gradient stays 0. On the path of a GPU products of bfloat16 are added in float32
/// into the buffer that the store has, where the backward pass comes next, or into one of this
/// micro-batch. On the host each chunk's product is rounded before it is added.
class ChunkedGradient {
  public:
    ChunkedGradient() = default;
    /// `sums`: dtype of a buffer of this micro-batch. `weight` must outlive it.
    ChunkedGradient(parallel::ParameterUse const& weight, std::int64_t real, at::ScalarType sums,
                    bool composed)
        : sums_(sums), composed_(composed) {
        std::int64_t const all = weight.value().size(0);
        if (composed)
            make_buffer(weight);
        else if (real < all)
            whole_ = at::zeros_like(weight.value(), sums);
        if (!whole_.defined()) return;
        if (composed && fresh_ && real < all) whole_.narrow(0, real, all - real).zero_();
        rows_ = whole_.narrow(0, 0, real);
    }

    void add(at::Tensor const& a, at::Tensor const& b) {
        if (composed_) return parallel::product_into(rows_, a, b, std::exchange(fresh_, false));
        at::Tensor const product = at::mm(a, b);
        rows_ = rows_.defined() ? rows_.add_(product) : product.to(sums_);
    }
    /// Returns what is still to be delivered; undefined where it is in the store's buffer already.
    at::Tensor to_deliver() const {
        if (in_place_) return {};
        return whole_.defined() ? whole_ : rows_;
    }

  private:
    void make_buffer(parallel::ParameterUse const& weight) {
        in_place_ = parallel::backward_is_next;
        if (!in_place_) {
            whole_ = at::empty_like(weight.value(), sums_);
            return;
        }
        auto const [buffer, fresh] = weight.accumulate();
        whole_ = buffer;
        fresh_ = fresh;
    }

    at::ScalarType sums_ = at::kFloat;
    bool composed_ = false;
    at::Tensor whole_, rows_; ///< whole: with rows of padding
    bool in_place_ = false;   ///< in the store's buffer
    bool fresh_ = true;       ///< the buffer holds nothing yet
};

} // namespace trireme::framework::model
