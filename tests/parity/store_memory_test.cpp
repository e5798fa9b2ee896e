// Memory that a parameter store keeps, as the papers say.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "framework/model/transformer_parts.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "tests/parity/small_llama.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using namespace framework;

struct Kept {
    double weights = 0, gradients = 0, states = 0;
};

/// Bytes of the storages themselves: views of one storage count once.
Kept kept_by(parallel::ParameterStore const& store) {
    std::set<c10::StorageImpl*> seen;
    auto const bytes = [&](at::Tensor const& t) {
        bool const fresh = t.defined() && seen.insert(t.storage().unsafeGetStorageImpl()).second;
        return fresh ? static_cast<double>(t.storage().nbytes()) : 0.0;
    };
    Kept kept;
    for (auto const& unit : store.units()) {
        kept.weights += bytes(unit->compute) + bytes(unit->master);
        for (auto const& t : unit->total) kept.gradients += bytes(t);
        for (auto const& t : unit->current) kept.gradients += bytes(t);
        kept.states += bytes(unit->moment1) + bytes(unit->moment2);
    }
    return kept;
}

/// Rajbhandari et al., "ZeRO", 2020, figure 1, with float32 sums of gradients. In float32 the
/// compute copy is the master.
Kept theory(double psi, int zero, double d, bool bf16) {
    double const states = 8 * psi / (zero >= 1 ? d : 1), gradients = 4 * psi / (zero >= 2 ? d : 1);
    double const compute = (bf16 ? 2 : 4) * psi;
    if (!bf16) return {compute / (zero == 3 ? d : 1), gradients, states};
    double const master = 4 * psi / (zero >= 1 ? d : 1);
    return {zero == 3 ? master : compute + master, gradients, states};
}

TEST(Memory, TheStoreKeepsWhatZeroSays) {
    model::Config const model = small_llama(2, 384, 8192);
    double const psi = parameters_of(model);
    for (bool const bf16 : {false, true})
        for (int zero = 0; zero <= 3; ++zero)
            for (int const d : {1, 2, 4, 8})
                for (int const rank : std::set<int>{0, d - 1}) {
                    parallel::ParameterStore store(model::parameter_specs(model),
                                                   {.compute = bf16 ? at::kBFloat16 : at::kFloat,
                                                    .zero = zero,
                                                    .place = {.shard = d, .shard_rank = rank}});
                    store.allocate_moments();
                    Kept const is = kept_by(store), should = theory(psi, zero, d, bf16);
                    std::string const where = fmt::format("zero {}, rank {} of {}, {}", zero, rank,
                                                          d, bf16 ? "bf16" : "fp32");
                    EXPECT_NEAR(is.weights / should.weights, 1, 0.02) << where;
                    EXPECT_NEAR(is.gradients / should.gradients, 1, 0.02) << where;
                    EXPECT_NEAR(is.states / should.states, 1, 0.02) << where;
                    if (rank == 0)
                        fmt::print("{}: weights {:.2f} ({:.2f}), gradients {:.2f} ({:.2f}), states "
                                   "{:.2f} ({:.2f}) MB\n",
                                   where, is.weights / 1e6, should.weights / 1e6,
                                   is.gradients / 1e6, should.gradients / 1e6, is.states / 1e6,
                                   should.states / 1e6);
                }
}

} // namespace
} // namespace trireme::test
