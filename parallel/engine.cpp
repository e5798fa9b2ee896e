#include "parallel/engine.hpp"

#include <ATen/core/grad_mode.h>
#include <c10/core/AutogradState.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <optional>

#include "cluster/fault.hpp"
#include "parallel/memory_class.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

namespace {

std::vector<double> read(at::Tensor const& values) {
    at::Tensor const here = values.cpu();
    return {here.const_data_ptr<double>(), here.const_data_ptr<double>() + here.numel()};
}

/// Names an action as its blocks do.
char const* place_of(Action::Kind kind) {
    return kind == Action::Kind::forward           ? "forward"
           : kind == Action::Kind::weight_gradient ? "weight gradient"
                                                   : "backward";
}

/// Returns the kind of the action after i if i goes forward and the next one takes the same
/// micro-step back: then weights and gradients need not make way for others in between.
std::optional<Action::Kind> way_back_after(StageActions const& actions, std::size_t i) {
    Action const& here = actions[i];
    if (here.kind != Action::Kind::forward || i + 1 == actions.size()) return std::nullopt;
    Action const& next = actions[i + 1];
    bool const same = next.micro_step == here.micro_step && next.chunk == here.chunk;
    return same ? std::optional(next.kind) : std::nullopt;
}

/// Shapes have no losses; those of the meta device are made on the host.
at::Device device_of_losses(at::Device device) {
    return device.is_meta() ? at::Device(at::kCPU) : device;
}

} // namespace

Engine::Engine(std::vector<Stage*> parts, GradientReducer& reducer, WeightGatherer& gatherer,
               Mesh const& mesh, EngineOptions const& options)
    : parts_(std::move(parts)), reducer_(reducer), gatherer_(gatherer),
      pipeline_(mesh.along(Axis::pipeline)), options_(options), stages_(pipeline_.size()),
      stage_(pipeline_.rank()), link_(pipeline_, static_cast<int>(parts_.size())),
      losses_device_(device_of_losses(parts_.front()->boundary_options().device())) {}

std::vector<double> Engine::forward_backward(std::int64_t micro_batches) {
    queue(micro_batches);
    return read(losses());
}

void Engine::queue(std::int64_t micro_batches) {
    reducer_.begin_step(micro_batches);
    auto const chunks = static_cast<int>(parts_.size());
    auto const lists = make_schedule(options_.schedule, stages_, chunks, reducer_.micro_steps());
    auto const& actions = lists[static_cast<std::size_t>(stage_)];
    for_each_in(lists, [&](std::size_t i) {
        auto const way_back = way_back_after(actions, i);
        backward_is_next = way_back == Action::Kind::backward;
        goes_back_ = way_back.has_value();
        run(actions[i]);
    });
    backward_is_next = goes_back_ = false;
    enter_place({"reduction"});
    link_.flush();
    reducer_.finish();
}

void Engine::run_forwards(std::int64_t micro_batches) {
    at::NoGradGuard const no_graph;
    reducer_.divide(micro_batches);
    auto const actions = forward_actions(static_cast<int>(parts_.size()), reducer_.micro_steps());
    for_each_in(std::vector(static_cast<std::size_t>(stages_), actions), [&](std::size_t i) {
        run_forward(actions[i].chunk, actions[i].micro_step, false);
    });
    link_.flush();
}

std::vector<double> Engine::forward(std::int64_t micro_batches) {
    run_forwards(micro_batches);
    return read(losses());
}

void Engine::queue_forward(std::int64_t micro_batches) {
    run_forwards(micro_batches);
    losses_.clear();
}

at::Tensor Engine::losses() {
    std::int64_t micro_batches = 0;
    while (micro_batches < reducer_.micro_steps() && reducer_.has_micro_batch(micro_batches))
        ++micro_batches;
    std::vector<at::Tensor> found;
    for (auto const& [micro_step, loss] : losses_) found.push_back(loss);
    losses_.clear();
    at::Tensor const losses =
        found.empty() ? at::zeros({micro_batches},
                                  at::TensorOptions().dtype(at::kDouble).device(losses_device_))
                      : at::stack(found);
    finish(pipeline_.broadcast(buffer_of(losses), stages_ - 1, "losses"), losses);
    return losses;
}

void Engine::expect(Action const& action) {
    auto const& [kind, micro_step, chunk] = action;
    Stage const& stage = *parts_[static_cast<std::size_t>(chunk)];
    if (!reducer_.has_micro_batch(micro_step)) return;
    if (kind == Action::Kind::forward)
        link_.expect_activation(stage.input_shape(micro_step), stage.boundary_options());
    else
        link_.expect_gradient(stage.output_shape(micro_step), stage.boundary_options());
}

void Engine::for_each_in(std::vector<StageActions> const& lists,
                         std::function<void(std::size_t)> const& f) {
    auto const& own = lists[static_cast<std::size_t>(stage_)];
    for (Turn const& turn : turns_of(lists, static_cast<int>(parts_.size()), stage_))
        if (turn.starts_receive)
            expect(own[turn.index]);
        else
            f(turn.index);
}

void Engine::run(Action const& action) {
    tell_place({place_of(action.kind), action.micro_step, action.chunk});
    switch (action.kind) {
    case Action::Kind::forward: return run_forward(action.chunk, action.micro_step, true);
    case Action::Kind::backward: return run_backward(action.chunk, action.micro_step, true);
    case Action::Kind::input_gradient: return run_backward(action.chunk, action.micro_step, false);
    case Action::Kind::weight_gradient:
        return run_weight_gradients(action.chunk, action.micro_step);
    }
}

std::vector<std::size_t> const& Engine::read_by(Stage const& stage, std::size_t block,
                                                int direction) const {
    bool const forward = direction > 0 || (options_.recompute && stage.may_recompute(block));
    return forward ? stage.units_read_by(block) : stage.units_read_back_by(block);
}

void Engine::acquire(Stage const& stage, std::size_t block, int direction) {
    for (auto const unit : read_by(stage, block, direction)) gatherer_.acquire(unit);
    // The block after this one travels while this one computes.
    std::size_t const next = block + static_cast<std::size_t>(direction); // wraps below 0
    if (next < stage.block_count())
        for (auto const unit : read_by(stage, next, direction)) gatherer_.prefetch(unit);
}

void Engine::release(Stage const& stage, std::size_t block) {
    for (auto const unit : stage.units_read_by(block)) gatherer_.release(unit);
}

at::Tensor Engine::enter(int chunk) {
    Stage const& stage = *parts_[static_cast<std::size_t>(chunk)];
    if (is_first(chunk)) return at::zeros({1}, stage.boundary_options());
    return link_.receive_activation();
}

void Engine::leave(int chunk, std::int64_t micro_step, at::Tensor const& output) {
    if (is_last(chunk))
        losses_[micro_step] = output.detach();
    else
        link_.send_activation(output);
}

at::Tensor Engine::upstream(int chunk, std::int64_t micro_step) {
    if (is_last(chunk)) return at::ones_like(losses_.at(micro_step));
    return link_.receive_gradient();
}

Engine::Pass Engine::pass_through(Stage& stage, std::size_t block, at::Tensor const& input,
                                  std::int64_t micro_step, bool training) {
    bool const graph = training && !(options_.recompute && stage.may_recompute(block));
    std::optional<at::NoGradGuard> no_graph;
    if (!graph) no_graph.emplace();
    Pass pass{input.detach(), {}};
    if (graph) pass.input.set_requires_grad(true);
    pass.output = stage.forward(block, pass.input, micro_step);
    return pass;
}

void Engine::run_forward(int chunk, std::int64_t micro_step, bool training) {
    Stage& stage = *parts_[static_cast<std::size_t>(chunk)];
    bool const micro_batch = reducer_.has_micro_batch(micro_step);
    at::Tensor x = micro_batch ? enter(chunk) : at::Tensor();
    std::vector<Pass> passes;
    for (std::size_t b = 0; b < stage.block_count(); ++b) {
        enter_place({"forward", micro_step, chunk, static_cast<std::int64_t>(b)});
        acquire(stage, b, 1);
        if (b == 1 && training) cluster::fault_point("step/middle of forward");
        if (micro_batch) {
            passes.push_back(pass_through(stage, b, x, micro_step, training));
            x = passes.back().output;
            if (!x.requires_grad()) passes.back().output = at::Tensor();
        }
        // The last block's weights would only be gathered again if its backward pass comes next.
        if (!goes_back_ || b + 1 < stage.block_count()) release(stage, b);
    }
    if (!micro_batch) return;
    leave(chunk, micro_step, x);
    if (training) passes_[{chunk, micro_step}] = std::move(passes);
}

at::Tensor Engine::pass_back(Stage& stage, std::size_t block, Pass& pass,
                             at::Tensor const& gradient, std::int64_t micro_step) {
    if (!pass.output.defined()) {
        pass.input = pass.input.detach().set_requires_grad(true);
        pass.output = stage.forward(block, pass.input, micro_step);
    }
    // On this thread also for a GPU's tensors: collectives and queues of weight gradients belong to
    // it.
    c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
    torch::autograd::backward({pass.output}, {gradient});
    at::Tensor const to_input = pass.input.grad();
    pass = {}; // frees the block's activations
    return to_input;
}

void Engine::run_backward(int chunk, std::int64_t micro_step, bool with_weights) {
    Stage& stage = *parts_[static_cast<std::size_t>(chunk)];
    bool const micro_batch = reducer_.has_micro_batch(micro_step);
    at::Tensor gradient = micro_batch ? upstream(chunk, micro_step) : at::Tensor();
    auto passes = passes_.extract({chunk, micro_step});
    std::vector<Waiting> later(stage.block_count());
    for (std::size_t b = stage.block_count(); b-- > 0;) {
        enter_place({"backward", micro_step, chunk, static_cast<std::int64_t>(b)});
        acquire(stage, b, -1);
        if (micro_batch) {
            std::optional<WeightGradientQueue> queue;
            if (!with_weights) queue.emplace();
            gradient = pass_back(stage, b, passes.mapped()[b], gradient, micro_step);
            if (queue) later[b] = queue->take();
        }
        release(stage, b);
        if (!with_weights) continue;
        for (std::size_t const unit : stage.units_completed_by(b))
            reducer_.unit_done(unit, micro_step);
    }
    if (!with_weights) later_[{chunk, micro_step}] = std::move(later);
    if (micro_batch && !is_first(chunk)) link_.send_gradient(gradient);
}

void Engine::run_weight_gradients(int chunk, std::int64_t micro_step) {
    Stage const& stage = *parts_[static_cast<std::size_t>(chunk)];
    auto later = later_.extract({chunk, micro_step});
    at::NoGradGuard const no_graph; // as in a backward pass
    for (std::size_t b = stage.block_count(); b-- > 0;) {
        enter_place({"weight gradient", micro_step, chunk, static_cast<std::int64_t>(b)});
        for (auto const& work : later.mapped()[b]) work();
        for (std::size_t const unit : stage.units_completed_by(b))
            reducer_.unit_done(unit, micro_step);
    }
}

} // namespace trireme::parallel
