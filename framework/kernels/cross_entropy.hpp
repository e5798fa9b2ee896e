// Softmax and cross-entropy over rows of logits.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

/// Sets loss[r] = -log softmax(logits[r])[label[r]] and best[r] = argmax for each row with a label
/// >= 0, loss 0 and best -1 for the others. With `gradient` the logits become (softmax - onehot) *
/// scale, zero in rows without a label.
template <typename T>
void cross_entropy(std::int64_t rows, std::int64_t classes, T* logits, std::int32_t const* label,
                   bool gradient, double scale, double* loss, std::int32_t* best);

// The functions below do the same where the classes of a row are divided over processes; each is
// followed by a reduction over these.

/// logits[rows, classes] of classes first, first + 1, ...; there may be none.
template <typename T>
struct ClassStretch {
    std::int64_t rows, classes, first;
    T* logits;
};
/// highest[r], and the first class that has it; -infinity and -1 for a stretch without classes.
template <typename T>
void row_maxima(ClassStretch<T> const& part, double* highest, std::int32_t* best);
/// Logits become exp(logit - highest[r]); sums[r] is their sum, sums[rows + r] the label's logit if
/// it is in this stretch and else 0. Rows without a label: zeros.
template <typename T>
void row_sums(ClassStretch<T> const& part, std::int32_t const* label, double const* highest,
              double* sums);
/// Exponentials become (softmax - onehot) * scale; sums[r] is the sum over all classes.
template <typename T>
void row_gradients(ClassStretch<T> const& part, std::int32_t const* label, double const* sums,
                   double scale);

// A base model's logits of the same classes and rows, for its divergence from the model's: first
// their row_maxima, then base_sums before the model's logits become gradients, base_gradients
// after.

/// Base logits become exp(logit - highest[r]). sums[r] is their sum, sums[rows + r] that of them
/// times (base logit - logit), sums[2 rows + r] the label's logit if it is in this stretch and else
/// 0; `logits` are the model's. Rows without a label: zeros. Of B = sums[r] and the others, summed
/// over all stretches, KL(base || model) = sums[rows + r] / B - log(B) - highest[r]
/// + sums[2 rows + r] + loss[r].
template <typename T>
void base_sums(ClassStretch<T> const& base, T const* logits, std::int32_t const* label,
               double const* highest, double* sums);
/// Gradients (softmax - onehot) * scale grow by (softmax - base's softmax) * weight * scale; `base`
/// has what base_sums left, sums[r] is the sum over all classes.
template <typename T>
void base_gradients(ClassStretch<T> const& base, std::int32_t const* label, double const* sums,
                    double weight, double scale, T* gradients);

} // namespace trireme::framework::kernels
