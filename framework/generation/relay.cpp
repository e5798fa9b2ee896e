#include "framework/generation/relay.hpp"

#include <ATen/core/grad_mode.h>

#include <array>
#include <utility>

#include "parallel/tensor_buffer.hpp"

namespace trireme::framework::generation {

using cluster::Message;
using parallel::buffer_of;

at::Tensor Relay::receive(model::Pass const& pass) const {
    if (first()) return at::zeros({1});
    at::Tensor const x =
        at::empty({pass.ids.tokens.size(0), config_.hidden}, part_.boundary_options());
    std::array const message{Message{Message::Kind::receive, stages_.rank() - 1, buffer_of(x)}};
    stages_.exchange(message, "generation/activation").wait();
    return x;
}

void Relay::send_on(at::Tensor const& x) const {
    if (last()) return;
    at::Tensor const whole = x.contiguous();
    std::array const message{Message{Message::Kind::send, stages_.rank() + 1, buffer_of(whole)}};
    stages_.exchange(message, "generation/activation").wait();
}

at::Tensor Relay::next_logits(model::Pass const& pass) const {
    at::NoGradGuard const no_graph;
    at::Tensor const x = part_.layers_of(pass, receive(pass));
    send_on(x);
    at::Tensor const logits =
        last() ? part_.next_logits(pass, x).to(at::kFloat).contiguous()
               : at::empty({pass.micro_batch.sample_count(), config_.vocabulary}, at::kFloat);
    // Every stage makes the same choice of the same logits, so that no token need travel.
    stages_.broadcast(buffer_of(logits), stages_.size() - 1, "generation/logits").wait();
    return logits;
}

std::vector<model::SampleResult> Relay::results(model::Pass pass) const {
    at::NoGradGuard const no_graph;
    auto const samples = static_cast<std::size_t>(pass.micro_batch.sample_count());
    at::Tensor x = receive(pass);
    std::vector<model::Pass> passes;
    passes.push_back(std::move(pass));
    part_.load(std::move(passes));
    for (std::size_t b = 0; b < part_.block_count(); ++b) x = part_.forward(b, x, 0);
    send_on(x);
    std::vector<model::SampleResult> found =
        last() ? part_.results().samples : std::vector<model::SampleResult>(samples);
    stages_
        .broadcast({found.data(), found.size() * sizeof(model::SampleResult), cluster::DType::u8},
                   stages_.size() - 1, "generation/results")
        .wait();
    return found;
}

} // namespace trireme::framework::generation
