// A small data set for tests.
#pragma once
#include <string>

#include "cluster/error.hpp"
#include "data/manifest.hpp"

namespace trireme::data {

/// Makes a sample with the columns of several tasks; a shard takes those of its own.
inline Sample sample(int length, int seed) {
    Sample s;
    auto& next = s.labels[kTokenLabels.name];
    for (int i = 0; i < length; ++i) {
        s.tokens.push_back(seed * 100 + i);
        s.segments.push_back(i >= length / 2);
        next.push_back(i + 1 < length ? seed * 100 + i + 1 : kIgnoredLabel);
    }
    s.labels[kClassLabel.name] = {seed % 3};
    return s;
}

/// Two shards of a split "train", lengths 1 to 9.
inline void make_dataset(std::string const& folder, TaskKind task = TaskKind::classification) {
    Manifest m{.task = task, .labels = {"a", "b", "c"}, .vocabulary = 1000, .max_length = 9};
    std::vector<Sample> first, second;
    for (int i = 1; i < 5; ++i) first.push_back(sample(i, i));
    for (int i = 5; i < 10; ++i) second.push_back(sample(i, i));
    m.splits["train"].shards = {write_shard(folder, "train-00000.h5", first, {task, m.labels}),
                                write_shard(folder, "train-00001.h5", second, {task, m.labels})};
    write_manifest(folder, m);
}

inline std::string error_of(auto const& call) {
    try {
        call();
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "no error";
}

} // namespace trireme::data
