// Texts without some of their tokens, by which attributions are judged. No torch.
#pragma once
#include <cstdint>
#include <vector>

#include "framework/jobs/attribute.hpp"

namespace trireme::framework::jobs {

class DeletedTokens {
  public:
    /// `by`: attributions by token. `key`: of the text, by which tokens are drawn.
    DeletedTokens(AttributedText const& text, std::vector<double> const& by, std::uint64_t key);

    /// Tokens that each sample lacks; 0: the text has too few that are not fixed.
    std::int64_t count() const { return count_; }
    /// The whole text, the text without the highest tokens, and without drawn ones kDraws times.
    std::vector<data::Sample> const& samples() const { return samples_; }
    /// `scores`: of the samples, in their order.
    Deletion judge(std::vector<double> const& scores) const;

  private:
    std::int64_t count_ = 0;
    std::vector<data::Sample> samples_;
};

} // namespace trireme::framework::jobs
