// Weights of classes in the loss, as a configuration asks for them.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trireme::data {

struct ClassWeights {
    bool balanced = false;                      ///< by the counts of the training split
    std::map<std::string, double> by_name = {}; ///< each > 0; a class that is not named has 1
    bool none() const { return !balanced && by_name.empty(); }
};

/// The weight of each class of `labels`, in their order; empty if none are asked for. Balanced:
/// samples / (classes that occur * samples of the class), as scikit-learn's compute_class_weight,
/// and 0 for a class that does not occur; `counts` are samples by class. Throws InputError
/// "PLACE: NAME: legal: ..." for a name that no class has.
std::vector<double> weights_of(ClassWeights const& asked, std::vector<std::string> const& labels,
                               std::vector<std::int64_t> const& counts, std::string const& place);

} // namespace trireme::data
