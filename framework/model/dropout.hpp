// Names the random numbers of a dropout layer and the rows that it falls on.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "framework/kernels/random.hpp"
#include "framework/model/ops.hpp"
#include "framework/model/pass.hpp"

namespace trireme::framework::model {

inline bool drops(double probability, Pass const& pass) {
    return pass.training && probability > 0;
}

inline kernels::DropoutKey key_of(double probability, Pass const& pass, std::uint64_t site) {
    return kernels::dropout_key(pass.seed, static_cast<std::uint64_t>(pass.step), site,
                                probability);
}

/// Names the token of each row of a tensor under dropout: the keys of its mask.
struct Rows {
    std::vector<std::int64_t> samples;
    std::vector<std::int32_t> positions;
    at::Tensor sample_ids, position_ids; ///< the same where the path of a GPU reads them
};

/// Returns the tokens that `count` rows are, under a dropout layer.
Rows rows_of(DropoutUse const& use, std::int64_t count);

} // namespace trireme::framework::model
