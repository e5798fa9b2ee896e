// Sizes that bound memory, and that a small model never reaches. Proofs and tests make them small, so that what happens
// at a bound happens there too.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace trireme::parallel {

/// Read by every rank of the process; the same in all processes of a job, since the calls of a step hang on them.
struct Budgets {
    std::atomic<std::int64_t> logits = std::int64_t{1} << 22; ///< elements of a head's logits that exist at one time
    /// Units whose whole gradients wait for their reduction at one time.
    std::atomic<std::size_t> reductions = 3;
    /// Elements of an offloaded tensor that are beside the gradient at one time.
    std::atomic<std::int64_t> staged = std::int64_t{1} << 20;
};
inline Budgets budgets;

/// Small ones, for as long as one is alive: a chunk of logits is one row, no reduction waits for another, and an
/// offloaded tensor of more than 100 elements comes in parts. One at a time.
class SmallBudgets {
  public:
    SmallBudgets()
        : logits_(budgets.logits.exchange(1)), reductions_(budgets.reductions.exchange(0)),
          staged_(budgets.staged.exchange(100)) {}
    ~SmallBudgets() {
        budgets.logits = logits_;
        budgets.reductions = reductions_;
        budgets.staged = staged_;
    }
    SmallBudgets(SmallBudgets const&) = delete;
    SmallBudgets& operator=(SmallBudgets const&) = delete;

  private:
    std::int64_t logits_;
    std::size_t reductions_;
    std::int64_t staged_;
};

} // namespace trireme::parallel
