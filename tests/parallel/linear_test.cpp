#include "parallel/linear.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "cluster/thread_communicator.hpp"
#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/divided_linear.hpp"
#include "parallel/joined.hpp"
#include "parallel/parameter_store.hpp"
#include "parallel/pieces.hpp"
#include "tests/parallel/linear_networks.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::parallel {
namespace {

struct Fixture {
    ParameterStore store;
    explicit Fixture(bool separate)
        : store({{.name = "w", .shape = {7, 5}, .unit = "u", .deviation = 1.0},
                 {.name = "b", .shape = {7}, .unit = "u", .deviation = 1.0},
                 {.name = "turned",
                  .shape = {5, 7},
                  .unit = "u",
                  .deviation = 1.0,
                  .input_major = true},
                 {.name = "table", .shape = {11, 5}, .unit = "e", .deviation = 1.0}},
                {.compute = at::kDouble, .separate_micro_batches = separate}) {
        for (auto const& p : store.parameters()) store.initialize(*p, 1);
        store.begin_step();
    }
};

at::Tensor leaf(at::Tensor const& t) {
    return t.detach().clone().set_requires_grad(true);
}

/// Gradients of the store's buffers against plain autograd on the same numbers.
TEST(Linear, GradientsEqualPlainAutograd) {
    Fixture f(false);
    ParameterUse const w{f.store.at("w")}, b{f.store.at("b")}, table{f.store.at("table")};
    at::Tensor const ids = at::tensor(std::vector<std::int64_t>{3, 3, 0, 10, 3, 7}, at::kLong);
    at::Tensor const anchor = at::zeros({1}).set_requires_grad(true);
    at::Tensor const direction = at::randn({6, 7}, at::kDouble);
    torch::autograd::backward(
        {(linear(embedding(anchor, ids, table), w, b).sin() * direction).sum()}, {});

    at::Tensor const w2 = leaf(w.value()), b2 = leaf(b.value()), table2 = leaf(table.value());
    at::Tensor const y = at::addmm(b2, table2.index_select(0, ids), w2.t()).sin();
    torch::autograd::backward({(y * direction).sum()}, {});
    EXPECT_TRUE(at::allclose(f.store.at("w").gradient(), w2.grad(), 1e-12, 1e-12));
    EXPECT_TRUE(at::allclose(f.store.at("b").gradient(), b2.grad(), 1e-12, 1e-12));
    EXPECT_TRUE(at::allclose(f.store.at("table").gradient(), table2.grad(), 1e-12, 1e-12));
}

TEST(Linear, InputGradientEqualsPlainAutograd) {
    Fixture f(true);
    ParameterUse const w{f.store.at("w")};
    at::Tensor const x = leaf(at::randn({4, 5}, at::kDouble)), x2 = leaf(x);
    torch::autograd::backward({linear(x, w).square().sum()}, {});
    torch::autograd::backward({at::mm(x2, w.value().t()).square().sum()}, {});
    EXPECT_TRUE(at::allclose(x.grad(), x2.grad(), 1e-12, 1e-12));
}

/// A weight stored [in, out] computes the same layer as its transpose, and its gradient has its own
/// orientation.
TEST(Linear, InputMajorWeightIsTheTransposedLayer) {
    Fixture f(false);
    ParameterUse const turned{f.store.at("turned")}, b{f.store.at("b")};
    at::Tensor const x = leaf(at::randn({4, 5}, at::kDouble)), x2 = leaf(x),
                     w2 = leaf(turned.value());
    at::Tensor const y = linear(x, turned, b), y2 = at::addmm(b.value(), x2, w2);
    EXPECT_TRUE(at::allclose(y, y2, 1e-12, 1e-12));
    torch::autograd::backward({y.square().sum()}, {});
    torch::autograd::backward({y2.square().sum()}, {});
    EXPECT_TRUE(at::allclose(x.grad(), x2.grad(), 1e-12, 1e-12));
    EXPECT_TRUE(at::allclose(f.store.at("turned").gradient(), w2.grad(), 1e-12, 1e-12));
}

at::Tensor train(Pair& pair, at::Tensor const& x, Outputs gradients) {
    at::Tensor const own = leaf(x);
    auto const y = pair.forward(own, gradients);
    torch::autograd::backward({(y[0].sin().sum() + y[1].square().sum())}, {});
    pair.end_micro_batch();
    return own.grad();
}

/// On the path of a GPU one product makes all outputs, and one each of the gradients where those of
/// the outputs lie side by side; on the CPU's each layer has its own.
TEST(DividedLinear, OneProductForSeveralLayersIsTheirOwn) {
    at::Tensor const x = at::randn({5, Pair::kWidth}, at::kDouble);
    for (std::string const frozen : {"", "b.w", "a.b", "all weights"}) {
        Pair by_layers(frozen);
        at::Tensor const dx = train(by_layers, x, Outputs::apart);
        EXPECT_FALSE(joined(by_layers.forward(x, Outputs::apart), 1).defined());
        test::ComposedPath const path;
        for (auto const gradients : {Outputs::apart, Outputs::side_by_side})
            for (int const passes : {1, 2}) { // the second adds
                Pair at_once(frozen);
                EXPECT_TRUE(joined(at_once.forward(x, Outputs::apart), 1).defined());
                at::Tensor found;
                for (int i = 0; i < passes; ++i) found = train(at_once, x, gradients);
                EXPECT_TRUE(at::allclose(found, dx, 1e-12, 1e-12));
                for (std::string const name : {"a.w", "b.w", "a.b", "b.b"}) {
                    if (name == frozen || (frozen == "all weights" && name.ends_with(".w")))
                        continue;
                    EXPECT_TRUE(at::allclose(at_once.gradient(name),
                                             passes * by_layers.gradient(name), 1e-12, 1e-12))
                        << name << ", " << frozen << " frozen";
                }
            }
    }
}

TEST(Joined, WhatDoesNotLieSideBySideIsNotJoined) {
    at::Tensor const x = at::arange(24).view({4, 6});
    auto const parts = x.split_with_sizes({1, 3, 2}, 1);
    EXPECT_TRUE(at::equal(joined({parts[0], parts[1], parts[2]}, 1), x));
    EXPECT_TRUE(at::equal(joined({x.narrow(0, 0, 1), x.narrow(0, 1, 3)}, 0), x));
    EXPECT_TRUE(at::equal(joined({parts[1]}, 1), parts[1]));
    EXPECT_FALSE(joined({parts[1], parts[0]}, 1).defined());
    EXPECT_FALSE(joined({parts[0], parts[2]}, 1).defined());
    EXPECT_FALSE(joined({parts[0], parts[1].clone()}, 1).defined());
    EXPECT_FALSE(joined({parts[0], x.narrow(1, 1, 3).narrow(0, 0, 2)}, 1).defined());
    EXPECT_FALSE(joined({x.narrow(0, 0, 1), x.narrow(0, 1, 3).narrow(1, 0, 3)}, 0).defined());
}

struct Divided {
    int ranks;
    bool in_turn; ///< the gradients of weights are made after all else
    bool beside;  ///< as in Network
};

/// Outputs and gradients of every rank against those of one.
void expect_as_of_one_rank(Divided const& divided) {
    auto const [ranks, in_turn, beside] = divided;
    std::int64_t const all = Network::kRows * ranks;
    at::Tensor const x = leaf(at::randn({all, Network::kWidth}, at::kDouble)),
                     direction = at::randn({all, Network::kWidth}, at::kDouble);
    Network const one(beside, 1, 0);
    at::Tensor const y = one.forward(x, {});
    torch::autograd::backward({(y * direction).sum()}, {});
    auto const close = [](at::Tensor const& a, at::Tensor const& b) {
        return a.sizes() == b.sizes() && at::allclose(a, b, 1e-12, 1e-12);
    };
    cluster::run_as_threads(ranks, [&](cluster::Communicator& world) {
        std::int64_t const first = world.rank() * Network::kRows;
        auto const own = [&](at::Tensor const& t) { return t.narrow(0, first, Network::kRows); };
        Network const network(beside, ranks, world.rank());
        at::Tensor const part = leaf(own(x)), sum = network.forward(part, {&world});
        EXPECT_TRUE(close(sum, own(y)));
        std::vector<std::function<void()>> waiting;
        if (in_turn) {
            WeightGradientQueue queue;
            torch::autograd::backward({(sum * own(direction)).sum()}, {});
            waiting = queue.take();
        } else {
            torch::autograd::backward({(sum * own(direction)).sum()}, {});
        }
        at::NoGradGuard const no_graph; // as in a backward pass
        for (auto const& work : waiting) work();
        EXPECT_EQ(waiting.empty(), !in_turn);
        EXPECT_TRUE(close(part.grad(), own(x.grad())));
        for (auto const& name : Network::names()) {
            at::Tensor gradient = network.gradient(name);
            // Each rank has the part of its own rows.
            if (name == "down.b") {
                std::vector<double> parts(Network::kWidth);
                gradient = gradient.clone();
                world
                    .all_reduce({gradient.data_ptr(), static_cast<std::size_t>(gradient.numel()),
                                 cluster::DType::f64},
                                cluster::ReduceOp::sum, "bias")
                    .wait();
            }
            EXPECT_TRUE(
                close(gradient, network.slice(one.gradient(name), name, ranks, world.rank())))
                << name;
        }
    });
}

TEST(DividedLinear, AnyRanksPathAndChunksGiveWhatOneRankGives) {
    for (int const ranks : {1, 2, 3})
        for (bool const in_turn : {false, true})
            for (bool const beside : {false, true}) {
                SCOPED_TRACE(testing::Message() << ranks << " ranks, in turn: " << in_turn
                                                << ", side by side: " << beside);
                Divided const divided{ranks, in_turn, beside};
                expect_as_of_one_rank(divided);
                test::ComposedPath const path;
                expect_as_of_one_rank(divided);
                for (std::int64_t const rows : {1, 4, 6}) { // chunks of 1 to 3 rows of a rank's 5
                    cluster::ForNow<std::int64_t> const cut(budgets.divided_rows, rows);
                    expect_as_of_one_rank(divided);
                }
            }
}

class Products : public testing::Test {
  protected:
    Products() { setenv("MKL_CBWR", "AUTO,STRICT", 0); } // as bitwise mode does
    ~Products() override {
        products_in_pieces = false;
        at::set_num_threads(threads_);
    }

  private:
    int const threads_ = at::get_num_threads();
};

/// Sizes are those for which oneMKL's own division of work by threads was seen to change bits.
TEST_F(Products, InPiecesHaveTheSameBitsForAnyNumberOfThreads) {
    products_in_pieces = true;
    for (auto const dtype : {at::kFloat, at::kDouble})
        for (auto const& [m, k, n] : std::vector<std::array<std::int64_t, 3>>{
                 {7, 384, 10}, {511, 384, 384}, {300, 128, 1537}, {1, 16, 3}, {130, 24, 0}}) {
            at::Tensor const a = at::randn({m, k}, dtype), w = at::randn({n, k}, dtype),
                             bias = at::randn({n}, dtype);
            at::set_num_threads(1);
            at::Tensor const plain = product(a, w.t()), added = product(a, w.t(), bias);
            EXPECT_TRUE(at::allclose(added, at::addmm(bias, a, w.t()), 1e-4, 1e-4));
            for (int const threads : {2, 3}) {
                at::set_num_threads(threads);
                EXPECT_TRUE(at::equal(product(a, w.t()), plain)) << m << " x " << n;
                EXPECT_TRUE(at::equal(product(a, w.t(), bias), added)) << m << " x " << n;
            }
        }
}

TEST_F(Products, WhatAPieceThrowsReachesTheCaller) {
    at::set_num_threads(2);
    std::atomic<int> done{0};
    EXPECT_THROW(each_in_one_thread(5,
                                    [&](std::int64_t i) {
                                        if (i == 3) throw std::runtime_error("piece 3");
                                        ++done;
                                    }),
                 std::runtime_error);
    EXPECT_EQ(done, 4);
}

} // namespace
} // namespace trireme::parallel
