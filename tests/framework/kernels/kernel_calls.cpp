// Calls each kernel of the CPU once, on sizes that never change, in a function of its own whose
// name begins with `measured_`: instructions.py counts what each executes. Prints which
// instructions the kernels chose, and for each function what its count is divided by.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "framework/kernels/adamw.hpp"
#include "framework/kernels/attention.hpp"
#include "framework/kernels/cross_entropy.hpp"
#include "framework/kernels/decode_attention.hpp"
#include "framework/kernels/gate.hpp"
#include "framework/kernels/matmul_tile.hpp"
#include "framework/kernels/norm.hpp"
#include "framework/kernels/random.hpp"
#include "framework/kernels/rotary.hpp"

namespace kernels = trireme::framework::kernels;

/// Keeps each call a function of its own, which callgrind finds by its name.
#define MEASURED extern "C" __attribute__((noinline))

namespace {

using Floats = std::vector<float>;

constexpr std::int64_t kRows = 256, kWidth = 512, kCount = kRows * kWidth;
constexpr std::int64_t kHeads = 16, kSize = kWidth / kHeads, kKvHeads = 8;
constexpr std::int64_t kSamples = 2, kLength = 104, kTokens = kSamples * kLength;
constexpr std::int64_t kLabelled = 32, kClasses = kCount / kLabelled;
constexpr std::int64_t kSide = 192, kMultiplyAdds = kSide * kSide * kSide, kBlock = 4096;
constexpr double kScale = 0.125;

/// Numbers between -1 and 1, the same in each run: how many instructions a kernel takes may hang on
/// its input.
Floats numbers(std::int64_t n) {
    static std::uint32_t state = 1;
    Floats found(static_cast<std::size_t>(n));
    for (float& x : found) {
        state = state * 1664525U + 1013904223U;
        x = static_cast<float>(state >> 8) * 0x1p-23F - 1;
    }
    return found;
}

template <typename T>
std::vector<T> counted(std::int64_t n, std::int64_t below) {
    std::vector<T> found;
    for (std::int64_t i = 0; i < n; ++i) found.push_back(static_cast<T>(i % below));
    return found;
}

/// Two samples of a decoder, with eight heads of keys for 16 of queries, or of an encoder, with
/// dropout.
struct Attention {
    std::int64_t kv_heads;
    bool causal;
    double dropout;
    std::vector<std::int64_t> offsets{0, kLength, kTokens}, samples{0, 1};
    Floats q = numbers(kTokens * kWidth), k = numbers(kTokens * kv_heads * kSize),
           v = numbers(kTokens * kv_heads * kSize), dout = numbers(kTokens * kWidth);
    Floats out = q, lse = Floats(kTokens * kHeads), dq = q, dk = k, dv = v;

    kernels::AttentionProblem problem() const {
        return {.offsets = offsets.data(),
                .sample_ids = samples.data(),
                .samples = kSamples,
                .heads = kHeads,
                .kv_heads = kv_heads,
                .size = kSize,
                .causal = causal,
                .window = 0,
                .scale = kScale,
                .dropout = kernels::dropout_key(1, 2, 3, dropout)};
    }
    void forward() {
        kernels::attention_forward(problem(), q.data(), k.data(), v.data(), out.data(), lse.data());
    }
    void backward() {
        kernels::attention_backward(problem(), q.data(), k.data(), v.data(), out.data(), lse.data(),
                                    dout.data(), dq.data(), dk.data(), dv.data());
    }
};

/// What the kernels read and write.
struct Work {
    Floats x = numbers(kCount), dy = numbers(kCount), y = x, dx = x;
    Floats weight = numbers(kWidth), dweight = weight, inverse = Floats(kRows);
    Floats moment1 = Floats(kCount), moment2 = Floats(kCount);
    Floats dgate = x, dup = x, given = x;
    Floats cosine = numbers(kRows * kSize / 2), sine = numbers(kRows * kSize / 2);
    Floats logits = numbers(kCount), lost = logits, divided = logits, of_base = logits;
    std::vector<std::int32_t> position = counted<std::int32_t>(kRows, kRows),
                              label = counted<std::int32_t>(kLabelled, kClasses), best = label;
    std::vector<std::int64_t> sample = counted<std::int64_t>(kRows, kSamples);
    std::vector<double> sums = std::vector<double>(2 * kLabelled), highest = sums,
                        base = std::vector<double>(3 * kLabelled);
    Attention decoder{kKvHeads, true, 0}, encoder{kHeads, false, 0.1};
    std::vector<std::int64_t> starts{0, kLength*kKvHeads*kSize}, capacities{kLength, kLength};
    std::vector<std::int32_t> sequences{0, 1}, last{kLength - 1, kLength - 1};
    double clip = 0.5;
    kernels::AdamWStep step{1e-3, 0.9, 0.999, 1e-8, 0.1, 0.1, 0.001, &clip};

    kernels::ClassStretch<float> stretch() { return {kLabelled, kClasses, 0, divided.data()}; }
    kernels::ClassStretch<float> base_stretch() { return {kLabelled, kClasses, 0, of_base.data()}; }
};

} // namespace

MEASURED void measured_product(Work& w) {
    kernels::product<float>(
        kSide, kSide, {kSide, {w.x.data(), kSide, 1}, {w.dy.data(), kSide}, {w.y.data(), kSide}});
}
MEASURED void measured_rms_norm_forward(Work& w) {
    kernels::rms_norm_forward(kRows, kWidth, w.x.data(), w.weight.data(), 1e-6, w.y.data(),
                              w.inverse.data());
}
MEASURED void measured_rms_norm_backward(Work& w) {
    kernels::rms_norm_backward(kRows, kWidth, w.dy.data(), w.x.data(), w.weight.data(),
                               w.inverse.data(), {w.dx.data(), w.dweight.data()});
}
MEASURED void measured_gated_silu_forward(Work& w) {
    kernels::gated_silu_forward(kCount, w.x.data(), w.dy.data(), w.y.data());
}
MEASURED void measured_gated_silu_backward(Work& w) {
    kernels::gated_silu_backward(kCount, w.x.data(), w.dy.data(), w.given.data(), w.dgate.data(),
                                 w.dup.data());
}
MEASURED void measured_rotary(Work& w) {
    kernels::apply_rotary(kRows, kHeads, kSize, w.position.data(), w.cosine.data(), w.sine.data(),
                          1, w.x.data(), w.y.data());
}
MEASURED void measured_dropout(Work& w) {
    kernels::dropout_rows(kernels::dropout_key(1, 2, 3, 0.1), w.sample.data(), w.position.data(),
                          kRows, kWidth, w.x.data(), w.dy.data(), w.y.data());
}
MEASURED void measured_attention_forward(Work& w) {
    w.decoder.forward();
}
MEASURED void measured_attention_backward(Work& w) {
    w.decoder.backward();
}
MEASURED void measured_attention_dropout_forward(Work& w) {
    w.encoder.forward();
}
MEASURED void measured_attention_dropout_backward(Work& w) {
    w.encoder.backward();
}
MEASURED void measured_decode_attention(Work& w) {
    kernels::DecodeProblem const problem{
        .places = {w.starts.data(), w.capacities.data(), kKvHeads, kSize},
        .sequence = w.sequences.data(),
        .position = w.last.data(),
        .queries = kSamples,
        .heads = kHeads,
        .window = 0,
        .scale = kScale};
    kernels::decode_attention(problem, w.x.data(), w.decoder.k.data(), w.decoder.v.data(),
                              w.y.data());
}
MEASURED void measured_cross_entropy(Work& w) {
    kernels::cross_entropy(kLabelled, kClasses, w.lost.data(), w.label.data(), false, kScale,
                           w.sums.data(), w.best.data());
}
MEASURED void measured_cross_entropy_gradient(Work& w) {
    kernels::cross_entropy(kLabelled, kClasses, w.logits.data(), w.label.data(), true, kScale,
                           w.sums.data(), w.best.data());
}
MEASURED void measured_row_maxima(Work& w) {
    kernels::row_maxima(w.stretch(), w.highest.data(), w.best.data());
}
MEASURED void measured_row_sums(Work& w) {
    kernels::row_sums(w.stretch(), w.label.data(), w.highest.data(), w.sums.data());
}
MEASURED void measured_row_gradients(Work& w) {
    kernels::row_gradients(w.stretch(), w.label.data(), w.sums.data(), kScale);
}
MEASURED void measured_base_sums(Work& w) {
    kernels::base_sums(w.base_stretch(), w.logits.data(), w.label.data(), w.highest.data(),
                       w.base.data());
}
MEASURED void measured_base_gradients(Work& w) {
    kernels::base_gradients(w.base_stretch(), w.label.data(), w.base.data(), 0.1, kScale,
                            w.logits.data());
}
MEASURED void measured_block_squares(Work& w) {
    kernels::block_squares(kCount, kBlock, w.dy.data(), w.sums.data());
}
MEASURED void measured_adamw(Work& w) {
    kernels::adamw(kCount, w.step, w.x.data(), w.dy.data(), w.moment1.data(), w.moment2.data());
}
MEASURED void measured_moving_average(Work& w) {
    kernels::moving_average(kCount, 0.99, &w.clip, w.x.data(), w.y.data());
}

namespace {

/// Pairs of a query of a head and a key that it sees.
constexpr std::int64_t kCausalPairs = kSamples * kHeads * kLength * (kLength + 1) / 2,
                       kPairs = kSamples * kHeads * kLength * kLength,
                       kDecodedPairs = kSamples * kHeads * kLength;

struct Call {
    char const* name; ///< of the function, without its beginning
    std::int64_t count;
    char const* unit; ///< what there are `count` of
    void (*function)(Work&);
};
#define CALL(name, count, unit)                                                                    \
    { #name, count, unit, measured_##name }
constexpr Call kCalls[] = {
    CALL(product, kMultiplyAdds, "multiply-add"),
    CALL(rms_norm_forward, kCount, "token x width"),
    CALL(rms_norm_backward, kCount, "token x width"),
    CALL(gated_silu_forward, kCount, "token x width"),
    CALL(gated_silu_backward, kCount, "token x width"),
    CALL(rotary, kCount, "token x width"),
    CALL(dropout, kCount, "token x width"),
    CALL(attention_forward, kCausalPairs, "query, key and head"),
    CALL(attention_backward, kCausalPairs, "query, key and head"),
    CALL(attention_dropout_forward, kPairs, "query, key and head"),
    CALL(attention_dropout_backward, kPairs, "query, key and head"),
    CALL(decode_attention, kDecodedPairs, "query, key and head"),
    CALL(cross_entropy, kCount, "row x class"),
    CALL(cross_entropy_gradient, kCount, "row x class"),
    CALL(row_maxima, kCount, "row x class"),
    CALL(row_sums, kCount, "row x class"),
    CALL(row_gradients, kCount, "row x class"),
    CALL(base_sums, kCount, "row x class"),
    CALL(base_gradients, kCount, "row x class"),
    CALL(block_squares, kCount, "parameter"),
    CALL(adamw, kCount, "parameter"),
    CALL(moving_average, kCount, "parameter"),
};

} // namespace

int main() {
    std::printf("%s\n", kernels::product_kernels<float>().front().instructions);
    Work work;
    for (Call const& call : kCalls) {
        call.function(work);
        std::printf("%s %lld %s\n", call.name, static_cast<long long>(call.count), call.unit);
    }
}
