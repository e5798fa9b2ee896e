// Two linear layers that read the same x, for tests of products that are made at once.
#pragma once
#include <torch/csrc/autograd/custom_function.h>

#include <string>
#include <utility>
#include <vector>

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

/// Two layers with a bias that read one x, weights one after another, and biases.
class Pair {
  public:
    static constexpr std::int64_t kWidth = 8, kFirst = 32, kSecond = 16;

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
                           .trainable = name != frozen});
        return all;
    }
    LinearUse use(std::string const& layer) {
        return {ParameterUse{store_.at(layer + ".w")}, ParameterUse{store_.at(layer + ".b")}};
    }

    ParameterStore store_;
    LinearUse first_ = use("a"), second_ = use("b");
};

} // namespace trireme::parallel
