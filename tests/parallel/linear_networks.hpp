// Small networks of linear layers that read the same x, on one rank and on several.
#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include <string>
#include <utility>
#include <vector>

#include "parallel/compute_path.hpp"
#include "parallel/divided_linear.hpp"
#include "parallel/joined.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::parallel {

/// Passes its inputs on; their gradients lie side by side, as those of attention and gates do.
struct SideBySide : torch::autograd::Function<SideBySide> {
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext*,
                                                  torch::autograd::Variable const& a,
                                                  torch::autograd::Variable const& b) {
        return {a.clone(), b.clone()};
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                   torch::autograd::variable_list const& dy) {
        return columns_of(at::cat({dy[0], dy[1]}, 1), {dy[0].size(1), dy[1].size(1)});
    }
};

/// Two layers with a bias that read one x, weights one after another; biases do not lie so.
class Pair {
  public:
    static constexpr std::int64_t kWidth = 8, kFirst = 24, kSecond = 16;

    explicit Pair(std::string const& frozen = "")
        : store_(specs(frozen), {.compute = at::kDouble}) {
        for (auto const& p : store_.parameters()) store_.initialize(*p, 1);
        store_.begin_step();
    }
    /// Outputs for x, whose gradients come side by side or each by itself.
    std::vector<at::Tensor> forward(at::Tensor const& x, Outputs gradients) const {
        auto const made = column_linears(x, {&first_, &second_}, {});
        return gradients == Outputs::apart ? made : SideBySide::apply(made[0], made[1]);
    }
    void end_micro_batch() { store_.units().front()->close_micro_batch(); }
    at::Tensor gradient(std::string const& name) const { return store_.at(name).gradient(); }

  private:
    static std::vector<ParameterSpec> specs(std::string const& frozen) {
        std::vector<ParameterSpec> all;
        for (auto const& [name, shape] :
             std::vector<std::pair<std::string, std::vector<std::int64_t>>>{
                 {"a.w", {kFirst, kWidth}},
                 {"b.w", {kSecond, kWidth}},
                 {"a.b", {kFirst}},
                 {"b.b", {kSecond}}})
            all.push_back({.name = name,
                           .shape = shape,
                           .unit = "u",
                           .deviation = 1.0,
                           .trainable = name != frozen &&
                                        !(frozen == "all weights" && name.ends_with(".w"))});
        return all;
    }
    LinearUse use(std::string const& layer) {
        return {ParameterUse{store_.at(layer + ".w")}, ParameterUse{store_.at(layer + ".b")}};
    }

    ParameterStore store_;
    LinearUse first_ = use("a"), second_ = use("b");
};

/// Two layers that read one x, divided by their outputs, then one that is divided by its inputs,
/// as in a feed-forward network, with a bias each. `beside`: the first two lie one after another,
/// and the gradients of their outputs side by side; else `up` is stored [in, out].
class Network {
  public:
    static constexpr std::int64_t kWidth = 8, kInner = 24, kRows = 5; ///< rows of each rank

    Network(bool beside, int ranks, int rank)
        : beside_(beside), store_(specs(beside), {.compute = at::kDouble,
                                                  .place = {.tensor = ranks, .tensor_rank = rank}}),
          gate_(use("gate")), up_(use("up")), down_(use("down")) {
        for (auto const& p : store_.parameters()) store_.initialize(*p, 1);
        store_.begin_step();
    }
    at::Tensor forward(at::Tensor const& x, TensorAxis const& axis) const {
        auto made = column_linears(x, {&gate_, &up_}, axis);
        EXPECT_EQ(joined(made, 1).defined(), beside_ && composed(x));
        if (beside_) made = SideBySide::apply(made[0], made[1]);
        return row_linear(made[0].sin() * made[1], down_, axis);
    }
    /// The gradient of this rank's slice.
    at::Tensor gradient(std::string const& name) const { return store_.at(name).gradient(); }
    static std::vector<std::string> names() {
        return {"gate.w", "gate.b", "up.w", "up.b", "down.w", "down.b"};
    }
    /// Returns the slice that `rank` of `ranks` has of a whole tensor of that parameter.
    at::Tensor slice(at::Tensor const& whole, std::string const& name, int ranks, int rank) const {
        for (auto const& spec : specs(beside_))
            if (spec.name == name && spec.cut.dim >= 0)
                return whole.chunk(ranks, spec.cut.dim)[static_cast<std::size_t>(rank)];
        return whole;
    }

  private:
    static std::vector<ParameterSpec> specs(bool beside) {
        auto const cut = [](int dim) { return TensorCut{.dim = dim, .groups = kInner}; };
        auto const spec = [](std::string name, std::vector<std::int64_t> shape, TensorCut by) {
            return ParameterSpec{.name = std::move(name),
                                 .shape = std::move(shape),
                                 .unit = "u",
                                 .deviation = 1.0,
                                 .cut = by};
        };
        std::vector all{spec("gate.w", {kInner, kWidth}, cut(0)), spec("gate.b", {kInner}, cut(0)),
                        spec("up.w", {kWidth, kInner}, cut(1)),   spec("up.b", {kInner}, cut(0)),
                        spec("down.w", {kWidth, kInner}, cut(1)), spec("down.b", {kWidth}, {})};
        if (beside) {
            all[2].shape = {kInner, kWidth}, all[2].cut = cut(0);
            std::swap(all[1], all[2]);
        } else {
            all[2].input_major = true;
        }
        return all;
    }
    LinearUse use(std::string const& layer) {
        return {ParameterUse{store_.at(layer + ".w")}, ParameterUse{store_.at(layer + ".b")}};
    }

    bool beside_;
    ParameterStore store_;
    LinearUse gate_, up_, down_;
};

} // namespace trireme::parallel
