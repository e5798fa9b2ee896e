#include "parallel/linear.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "parallel/parameter_store.hpp"
#include "parallel/pieces.hpp"

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
