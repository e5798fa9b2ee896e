// `trireme prepare`: text files to HDF5 shards and a manifest.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "launch/text/rows.hpp"

namespace trireme::launch::text {

inline constexpr std::int64_t kChooseLength = INT64_MIN;

struct PrepareOptions {
    /// classification | language-modeling | generation
    std::string task;
    std::string tokenizer;                                 ///< folder with tokenizer.json
    std::string output;                                    ///< folder, must not hold a manifest yet
    std::map<std::string, std::vector<std::string>> files; ///< by split; "" : to be split by hash
    /// generation: `text` is the prompt, `label` the completion
    Columns columns;
    /// generation: the token that ends a completion; empty: the tokenizer's end of text
    std::string stop;
    /// classification: class names in id order; empty: see class_names
    std::vector<std::string> labels;
    /// classification: leave out rows that have no label; else they are refused
    bool drop_unlabelled = false;
    double validation_fraction = 0.1, test_fraction = 0.1; ///< of files[""]
    /// classification: the fractions hold for each class
    bool stratify = false;
    std::int64_t split_seed = 0; ///< another number puts other texts of files[""] into each split
    /// 512, or less where the files of model or tokenizer say so
    std::int64_t max_length = kChooseLength;
    std::int64_t samples_per_shard = 65536;
};

/// Returns the summary for people. Throws InputError before anything is written where it can.
std::string prepare(PrepareOptions const& options);

} // namespace trireme::launch::text
