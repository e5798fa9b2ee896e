#include "framework/model/composed.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "framework/model/fused.hpp"
#include "parallel/linear.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::framework::model::composed {

namespace {

constexpr std::int64_t kMask32 = 0xFFFFFFFF;

at::Tensor low_word(at::Tensor const& x) {
    return x.bitwise_and(kMask32);
}
/// The shift of a signed number brings its sign in from above: the mask takes it away again.
at::Tensor high_word(at::Tensor const& x) {
    return at::bitwise_right_shift(x, 32).bitwise_and_(kMask32);
}
at::Tensor mix(at::Tensor const& a, at::Tensor const& b, std::uint32_t key) {
    return a.bitwise_xor(b).bitwise_xor_(static_cast<std::int64_t>(key));
}

/// Words 0 to 3 of Philox-4x32-10 (Salmon et al. 2011; cluster/philox.hpp) for counters of words
/// `w`. A product of two 32-bit words fills 64 bits; as a signed number it wraps to the same bits.
std::array<at::Tensor, 4> philox(std::uint64_t key, std::array<at::Tensor, 4> w) {
    auto key_a = static_cast<std::uint32_t>(key), key_b = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        at::Tensor const a = w[0] * std::int64_t{0xD2511F53}, b = w[2] * std::int64_t{0xCD9E8D57};
        w = {mix(high_word(b), w[1], key_a), low_word(b), mix(high_word(a), w[3], key_b),
             low_word(a)};
        key_a += 0x9E3779B9;
        key_b += 0xBB67AE85;
    }
    return w;
}

/// One sample's tokens in [T, heads S] as [heads, n, S].
at::Tensor heads_of(at::Tensor const& x, std::int64_t first, std::int64_t n, std::int64_t size) {
    return x.narrow(0, first, n).view({n, -1, size}).transpose(0, 1);
}
void put_heads(at::Tensor const& x, std::int64_t first, at::Tensor const& values) {
    std::int64_t const n = values.size(1);
    x.narrow(0, first, n).view({n, values.size(0), values.size(2)}).copy_(values.transpose(0, 1));
}

/// Attention of one sample, its kv heads repeated for the query heads that share them.
struct OneSample {
    std::int64_t first, n, group;
    at::Tensor q, k, v; ///< [H, n, S]
    at::Tensor scores;  ///< [H, n, n], scaled; -infinity where a query does not see a key
    at::Tensor slope;   ///< derivative of the cap, [H, n, n]; undefined if there is none
    at::Tensor factors; ///< factors of dropout, [H, n, n]; undefined if there is none
};

OneSample sample_of(kernels::AttentionProblem const& p, std::int64_t i, at::Tensor const& q,
                    at::Tensor const& k, at::Tensor const& v) {
    OneSample s;
    s.first = p.offsets[i];
    s.n = p.offsets[i + 1] - s.first;
    s.group = p.heads / p.kv_heads;
    s.q = heads_of(q, s.first, s.n, p.size);
    s.k = heads_of(k, s.first, s.n, p.size).repeat_interleave(s.group, 0);
    s.v = heads_of(v, s.first, s.n, p.size).repeat_interleave(s.group, 0);
    s.scores = at::bmm(s.q, s.k.transpose(1, 2)).mul_(p.scale);
    if (p.cap > 0) {
        at::Tensor const share = s.scores.div_(p.cap).tanh_();
        s.slope = 1 - share.square();
        s.scores = share * p.cap;
    }
    at::TensorOptions const ids = q.options().dtype(at::kLong);
    at::Tensor const position = at::arange(s.n, ids), query = position.unsqueeze(1),
                     key = position.unsqueeze(0);
    double const unseen = -std::numeric_limits<double>::infinity();
    if (p.causal) s.scores.masked_fill_(key > query, unseen);
    if (p.window > 0) s.scores.masked_fill_(key <= query - p.window, unseen);
    if (p.window > 0) s.scores.masked_fill_(key >= query + p.window, unseen);
    if (p.dropout.probability > 0) {
        // Counter as in framework/kernels/attention.cpp: sample, then (head, query), then key.
        at::Tensor const head = at::arange(p.first_head, p.first_head + p.heads, ids).unsqueeze(1);
        at::Tensor const row =
            (head * (std::int64_t{1} << 20)).bitwise_or(position.unsqueeze(0)).flatten();
        at::Tensor const sample = at::full({1}, p.sample_ids[i], ids).expand({row.size(0)});
        s.factors = dropout_factors(p.dropout, sample, low_word(row), s.n, q.options())
                        .view({p.heads, s.n, s.n});
    }
    return s;
}

/// [H, n, S] -> [K, n, S]: a kv head's gradient adds its query heads.
at::Tensor add_groups(at::Tensor const& x, std::int64_t group) {
    return group == 1 ? x : x.view({x.size(0) / group, group, x.size(1), x.size(2)}).sum(1);
}

} // namespace

at::Tensor dropout_factors(kernels::DropoutKey const& key, at::Tensor const& high,
                           at::Tensor const& row, std::int64_t count,
                           at::TensorOptions const& options) {
    std::int64_t const blocks = (count + 3) / 4, rows = row.size(0);
    at::Tensor const block = at::arange(blocks, row.options()).unsqueeze(0).expand({rows, blocks});
    auto const wide = [&](at::Tensor const& x) { return x.unsqueeze(1).expand({rows, blocks}); };
    auto const words =
        philox(key.key, {block, wide(row), wide(low_word(high)), wide(high_word(high))});
    auto const threshold =
        static_cast<std::int64_t>(std::min(key.probability * 0x1p32, 0x1p32 - 1));
    at::Tensor const all =
        at::stack({words[0], words[1], words[2], words[3]}, 2).view({rows, 4 * blocks});
    return (all.narrow(1, 0, count) >= threshold)
        .to(options.dtype())
        .mul_(1.0 / (1.0 - key.probability));
}

std::pair<at::Tensor, at::Tensor> attention(kernels::AttentionProblem const& problem,
                                            at::Tensor const& q, at::Tensor const& k,
                                            at::Tensor const& v) {
    at::Tensor const out = at::empty_like(q), lse = q.new_empty({problem.heads, q.size(0)});
    for (std::int64_t i = 0; i < problem.samples; ++i) {
        OneSample const s = sample_of(problem, i, q, k, v);
        at::Tensor const highest = s.scores.amax(2, true), p = s.scores.sub_(highest).exp_(),
                         sum = p.sum(2, true), sums = sum.log().add_(highest).squeeze(2);
        p.div_(sum);
        if (s.factors.defined()) p.mul_(s.factors);
        put_heads(out, s.first, at::bmm(p, s.v));
        lse.narrow(1, s.first, s.n).copy_(sums);
    }
    return {out, lse};
}

AttentionGradients attention_backward(kernels::AttentionProblem const& problem, at::Tensor const& q,
                                      at::Tensor const& k, at::Tensor const& v,
                                      at::Tensor const& out, at::Tensor const& lse,
                                      at::Tensor const& dout) {
    AttentionGradients g{at::empty_like(q), at::empty_like(k), at::empty_like(v)};
    for (std::int64_t i = 0; i < problem.samples; ++i) {
        OneSample const s = sample_of(problem, i, q, k, v);
        at::Tensor const d = heads_of(dout, s.first, s.n, problem.size);
        at::Tensor const p = (s.scores - lse.narrow(1, s.first, s.n).unsqueeze(2)).exp_();
        at::Tensor const delta = (d * heads_of(out, s.first, s.n, problem.size)).sum(2, true);
        at::Tensor dp = at::bmm(d, s.v.transpose(1, 2));
        if (s.factors.defined()) dp.mul_(s.factors);
        at::Tensor const ds = dp.sub_(delta).mul_(p).mul_(problem.scale);
        if (s.slope.defined()) ds.mul_(s.slope);
        put_heads(g.q, s.first, at::bmm(ds, s.k));
        put_heads(g.k, s.first, add_groups(at::bmm(ds.transpose(1, 2), s.q), s.group));
        at::Tensor const kept = s.factors.defined() ? p * s.factors : p;
        put_heads(g.v, s.first, add_groups(at::bmm(kept.transpose(1, 2), d), s.group));
    }
    return g;
}

CrossEntropy::CrossEntropy(ClassRows rows, cluster::Communicator* group) : rows_(std::move(rows)) {
    if (!group) return;
    at::TensorOptions const options = rows_.logits.options().dtype(at::kDouble);
    std::int64_t const n = rows_.logits.size(0);
    found_ = at::empty({n, kernels::fused::kRowNumbers}, options);
    all_ = at::empty({group->size(), n, kernels::fused::kRowNumbers}, options);
    queue(found_, {});
    work_ = group->all_gather(parallel::buffer_of(found_), parallel::buffer_of(all_), "loss/rows");
}

RowLosses CrossEntropy::finish() {
    if (work_) parallel::finish(*work_, all_);
    std::int64_t const n = rows_.logits.size(0);
    RowLosses const losses{at::empty({n}, rows_.logits.options().dtype(at::kDouble)),
                           at::empty({n}, rows_.labels.options())};
    queue({}, losses);
    return losses;
}

/// Two sweeps read the logits where there is a gradient, and one pass finds all.
void CrossEntropy::queue(at::Tensor const& found, RowLosses const& losses) const {
    at::Tensor const &logits = rows_.logits, none;
    bool const sweeps = found.defined() || !all_.defined(),
               changes = rows_.gradient && !found.defined();
    fused::run("trireme::cross_entropy", logits,
               {{sweeps ? logits : none, changes ? logits : none, rows_.labels,
                 found.defined() ? none : all_},
                {changes ? logits : none, found, losses.loss, losses.best}},
               [&]<typename T>(T) {
                   return kernels::fused::CrossEntropy<T>{
                       logits.size(0),
                       logits.size(1),
                       rows_.first,
                       fused::numbers<T>(logits),
                       fused::numbers<std::int64_t>(rows_.labels),
                       rows_.cap,
                       changes,
                       rows_.scale,
                       fused::numbers<double>(found),
                       found.defined() ? nullptr : fused::numbers<double>(all_),
                       all_.defined() ? static_cast<int>(all_.size(0)) : 1,
                       fused::numbers<double>(losses.loss),
                       fused::numbers<std::int64_t>(losses.best)};
               });
}

namespace {

/// Sums or maxima over the ranks that divide the classes; nothing without them.
void reduce(cluster::Communicator* group, at::Tensor const& x, cluster::ReduceOp op,
            char const* name) {
    if (group) parallel::finish(group->all_reduce(parallel::buffer_of(x), op, name), x);
}

/// Where each row's label is in a stretch of classes, and whether it is there. `trained`: rows
/// whose label counts.
std::pair<at::Tensor, at::Tensor> place_of_labels(at::Tensor const& labels,
                                                  at::Tensor const& trained, std::int64_t first,
                                                  std::int64_t classes) {
    at::Tensor const here = (labels >= first) & (labels < first + classes) & trained;
    return {(labels - first).masked_fill_(here.bitwise_not(), 0).unsqueeze(1), here};
}

} // namespace

BaseRows base_rows(at::Tensor const& base, at::Tensor const& logits, std::int64_t first,
                   at::Tensor const& labels, cluster::Communicator* group) {
    std::int64_t const n = base.size(0), classes = base.size(1);
    auto const doubles = base.options().dtype(at::kDouble);
    BaseRows rows{base, at::full({n}, -std::numeric_limits<double>::infinity(), doubles),
                  at::zeros({3, n}, doubles), first, labels};
    if (classes > 0) rows.highest = base.amax({1}).to(at::kDouble);
    reduce(group, rows.highest, cluster::ReduceOp::max, "loss/base maxima");
    if (classes > 0) {
        auto const [local, here] = place_of_labels(labels, labels >= 0, first, classes);
        at::Tensor const gap = base - logits;
        rows.exponentials = (base - rows.highest.to(base.scalar_type()).unsqueeze(1)).exp_();
        rows.sums[0].copy_(rows.exponentials.sum({1}, false, at::kDouble));
        rows.sums[1].copy_(gap.mul_(rows.exponentials).sum({1}, false, at::kDouble));
        rows.sums[2].copy_(
            logits.gather(1, local).squeeze(1).to(at::kDouble).masked_fill_(here.bitwise_not(), 0));
    }
    reduce(group, rows.sums, cluster::ReduceOp::sum, "loss/base sums");
    return rows;
}

void add_divergence(BaseRows const& base, double weight, double scale, bool gradient,
                    at::Tensor const& gradients, RowLosses& rows) {
    auto const& [exponentials, highest, sums, first, labels] = base;
    at::Tensor const trained = labels >= 0,
                     divergence = sums[1] / sums[0] - sums[0].log() - highest + sums[2] + rows.loss;
    rows.loss.add_(divergence.masked_fill(trained.bitwise_not(), 0), weight);
    std::int64_t const classes = exponentials.size(1);
    if (!gradient || classes == 0) return;
    auto const [local, here] = place_of_labels(labels, trained, first, classes);
    at::Tensor const factor =
        (trained.to(at::kDouble) * (weight * scale) / sums[0]).to(gradients.scalar_type());
    gradients.mul_(1 + weight).sub_(exponentials * factor.unsqueeze(1));
    gradients.index_put_({at::arange(labels.size(0), labels.options()), local.squeeze(1)},
                         here.to(gradients.scalar_type()) * (weight * scale), true);
}

} // namespace trireme::framework::model::composed
