// Softmax and cross-entropy over rows of logits.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

/// For each row with a label >= 0: loss[r] = -log softmax(logits[r])[label[r]], best[r] = argmax. Others: loss 0, best
/// -1. With `gradient` the logits become (softmax - onehot) * scale, zero in rows without a label.
template <typename T>
void cross_entropy(std::int64_t rows, std::int64_t classes, T* logits, std::int32_t const* label, bool gradient,
                   double scale, double* loss, std::int32_t* best);

} // namespace trireme::framework::kernels
