#include "parallel/engine.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace trireme::parallel {

std::vector<double> Engine::forward_backward(std::int64_t slots) {
    reducer_.begin_step(slots);
    std::vector<double> losses;
    for (std::int64_t m = 0; m < reducer_.micro_steps(); ++m) {
        if (reducer_.has_slot(m)) {
            losses.push_back(backward_through(m));
        } else {
            for (std::size_t b = stage_.block_count(); b-- > 0;)
                for (std::size_t unit : stage_.units_completed_by(b)) reducer_.unit_done(unit, m);
        }
    }
    reducer_.finish();
    return losses;
}

double Engine::backward_through(std::int64_t micro_step) {
    reducer_.begin_slot();
    std::vector<Pass> passes;
    at::Tensor boundary = at::zeros({1});
    for (std::size_t b = 0; b < stage_.block_count(); ++b) {
        Pass pass{boundary.detach().set_requires_grad(true), {}};
        pass.output = stage_.forward(b, pass.input, micro_step);
        boundary = pass.output;
        passes.push_back(std::move(pass));
    }
    double const loss = passes.back().output.item<double>();
    at::Tensor gradient = at::ones({}, at::kDouble);
    for (std::size_t b = stage_.block_count(); b-- > 0;) {
        torch::autograd::backward({passes[b].output}, {gradient});
        gradient = passes[b].input.grad();
        passes[b] = {}; // frees the block's activations
        for (std::size_t unit : stage_.units_completed_by(b)) reducer_.unit_done(unit, micro_step);
    }
    return loss;
}

double Engine::forward(std::int64_t micro_step) {
    at::NoGradGuard const no_graph;
    at::Tensor boundary = at::zeros({1});
    for (std::size_t b = 0; b < stage_.block_count(); ++b) boundary = stage_.forward(b, boundary, micro_step);
    return boundary.item<double>();
}

} // namespace trireme::parallel
