// Says which of several sources each place of a mixture's order belongs to.
//
// The method is Tijdeman's ("The chairman assignment problem", Discrete Mathematics 32, 1980): of
// the sources that are behind their share by enough, the one that would first be too far behind is
// next. After any number of draws each of k sources has its share within 1 - 1/(2k - 2) of a
// sample, also where weights change on the way. All of it is integers: a share is a whole number
// of some 10^12 parts.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::data {

class Apportionment {
  public:
    /// Weights from a place of the order on: one >= 0 for each source, and not all 0.
    struct Stage {
        std::int64_t from = 0; ///< 0 for the first, ascending
        std::vector<double> weights;
    };
    struct Draw {
        std::size_t source = 0;
        std::int64_t nth = 0; ///< draws of this source before this one
        bool operator==(Draw const&) const = default;
    };

    explicit Apportionment(std::vector<Stage> const& stages);

    /// A pure function of the stages and `place`, quick where it follows the last call or is near
    /// a place that was asked for before; else a walk of some 10 ns a place. One thread.
    Draw at(std::int64_t place) const;
    /// Draws of each source among the first `places`. One thread.
    std::vector<std::int64_t> drawn(std::int64_t places) const;

  private:
    struct Parts {
        std::int64_t from = 0, end = 0; ///< places [from, end)
        std::vector<std::int64_t> of;   ///< by source; their sum is one sample
    };
    /// Before the draw of `place`.
    struct State {
        std::int64_t place = 0;
        std::size_t stage = 0;
        std::vector<std::int64_t> behind; ///< parts that a source should have had and has not
        std::vector<std::int64_t> drawn;
    };
    std::size_t draw(State& state) const;
    std::int64_t deadline(State const& state, std::size_t source) const;
    State& walk_to(std::int64_t place) const;

    std::vector<Parts> stages_;
    mutable State state_;
    mutable std::vector<State> kept_; ///< states at every so many places, as far as was walked
};

} // namespace trireme::data
