// Finds rows that repeat an earlier one, in 32 bytes a row, whatever the length of the texts.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace trireme::launch::text {

class Repeats {
  public:
    struct Counts {
        std::int64_t repeated = 0;      ///< rows whose content stood in an earlier row
        std::int64_t contradicting = 0; ///< of these, those with other values than the first
        std::int64_t in_two_splits = 0; ///< of these, those in another split than the first
    };

    void add(std::string const& content, std::vector<std::string> const& values,
             std::string const& split);
    /// Counts by hashes of 128 bits of the contents, and of 64 of the rest.
    Counts count();

  private:
    struct Seen {
        std::uint64_t high, low; ///< of the content
        std::uint32_t row;
        std::uint32_t split;
        std::uint64_t values;
    };
    std::deque<Seen> seen_; ///< grows without a copy
};

} // namespace trireme::launch::text
