// Gathers times of a step's kernels by operation and size.
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "framework/planning/launch.hpp"
#include "framework/planning/timing.hpp"

namespace trireme::framework::planning {

/// Times by operation and size, in steps of a quarter.
class OperationSizes {
  public:
    void add(Launch const& launch, double seconds) {
        if (launch.product.rows > 0 || launch.tokens > 0) return;
        double const bytes = static_cast<double>(std::max<std::int64_t>(1, launch.bytes));
        int const size = static_cast<int>(std::lround(3 * std::log2(bytes)));
        auto& bin = bins_[{launch.name, std::string(launch.dtype), size}];
        bin.bytes.push_back(bytes);
        bin.seconds.push_back(seconds);
        auto& other = bins_[{std::string(kOther), std::string(kAnyType), size}];
        other.bytes.push_back(bytes);
        other.seconds.push_back(seconds);
    }
    std::vector<OperationTime> times(cluster::Communicator& world) const {
        std::vector<OperationTime> all;
        std::vector<double> seconds;
        for (auto const& [key, bin] : bins_) {
            all.push_back({std::get<0>(key), std::get<1>(key), std::round(median(bin.bytes)), 0});
            seconds.push_back(median(bin.seconds));
        }
        average(seconds, world);
        for (std::size_t i = 0; i < all.size(); ++i) all[i].seconds = seconds[i];
        return all;
    }

  private:
    struct Bin {
        std::vector<double> bytes, seconds;
    };
    std::map<std::tuple<std::string, std::string, int>, Bin> bins_;
};

} // namespace trireme::framework::planning
