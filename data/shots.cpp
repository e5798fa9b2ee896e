#include "data/shots.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"

namespace trireme::data {

std::vector<std::int64_t> choose_shots(Dataset const& train, std::int64_t shots,
                                       std::uint64_t seed) {
    auto const classes = std::ssize(train.label_names());
    std::vector<std::int64_t> wanted(static_cast<std::size_t>(classes), shots / classes), chosen;
    for (std::int64_t i = 0; i < shots % classes; ++i)
        ++wanted[static_cast<std::size_t>(ordered_sample(seed, classes, i))];
    for (std::int64_t i = 0; i < train.size() && std::ssize(chosen) < shots; ++i) {
        auto const sample = ordered_sample(seed, train.size(), i);
        auto const label = train.class_of(sample);
        if (label < 0 || wanted[static_cast<std::size_t>(label)] == 0) continue;
        --wanted[static_cast<std::size_t>(label)];
        chosen.push_back(sample);
    }
    if (std::ssize(chosen) < shots)
        throw cluster::InputError(fmt::format(
            "--shots: {}: a class has too few samples of training for its share; legal: fewer",
            shots));
    return chosen;
}

void check_shots(Dataset const& set, std::string const& folder, std::string const& split) {
    if (set.task().kind != TaskKind::classification)
        throw cluster::InputError(fmt::format("--shots: {} is data of {}; legal: of classification",
                                              folder, set.task().name));
    if (split == "train")
        throw cluster::InputError("--split: train: the shots are taken from it; legal: another");
}

} // namespace trireme::data
