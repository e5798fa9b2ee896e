#include "data/masked_dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/philox.hpp"

namespace trireme::data {

namespace {

constexpr std::uint64_t kMaskPurpose = 0x6d61736b; // "mask"
constexpr std::uint32_t kMasked = 3435973837,      ///< 80 % of 2^32
    kMaskedOrDrawn = 3865470566;                   ///< 90 %
constexpr std::uint64_t kWordDraw = 0, kTokenDraw = 1;

/// Hides words of one sample, the tokens [first, first + words.size()) of the micro-batch.
class SampleMask {
  public:
    SampleMask(Masking const& masking, std::int64_t sample, std::int64_t epoch,
               std::vector<std::int32_t> words)
        : key_(cluster::philox_key(
              cluster::philox_key(masking.seed, kMaskPurpose, static_cast<std::uint64_t>(epoch)),
              kMaskPurpose, static_cast<std::uint64_t>(sample))),
          words_(std::move(words)) {
        std::int32_t const last = words_.empty() ? -1 : *std::ranges::max_element(words_);
        if (last >= std::ssize(words_)) // memory is taken for that many
            throw cluster::JobError(fmt::format(
                "sample {}: number of a word {}: legal: 0 to {}, as it has {} tokens; prepare the "
                "data again",
                sample, last, std::ssize(words_) - 1, std::ssize(words_)));
        hidden_.resize(static_cast<std::size_t>(std::max(last + 1, 0)));
        hide(masking.probability);
    }

    bool hides(std::size_t token) const {
        return words_[token] >= 0 && hidden_[static_cast<std::size_t>(words_[token])];
    }
    std::int64_t count() const {
        std::int64_t count = 0;
        for (std::size_t t = 0; t < words_.size(); ++t) count += hides(t);
        return count;
    }
    /// Draws the token that the model sees in place of a hidden one.
    std::int32_t shown(std::size_t token, std::int32_t own, std::int32_t mask,
                       std::int64_t vocabulary) const {
        auto const draw = cluster::philox(key_, token, kTokenDraw);
        if (draw[0] < kMasked) return mask;
        if (draw[0] >= kMaskedOrDrawn) return own;
        return static_cast<std::int32_t>(
            (std::uint64_t{draw[1]} * static_cast<std::uint64_t>(vocabulary)) >> 32);
    }

  private:
    /// The words with the smallest draws.
    void hide(double probability) {
        if (hidden_.empty()) return;
        std::vector<std::pair<std::uint64_t, std::size_t>> order;
        for (std::size_t w = 0; w < hidden_.size(); ++w) {
            auto const draw = cluster::philox(key_, w, kWordDraw);
            order.emplace_back((std::uint64_t{draw[1]} << 32) | draw[0], w);
        }
        auto const asked = std::lround(probability * static_cast<double>(hidden_.size()));
        auto const end = order.begin() + std::max(1L, asked);
        if (end < order.end()) std::ranges::nth_element(order, end);
        for (auto word = order.begin(); word < end; ++word) hidden_[word->second] = true;
    }

    std::uint64_t key_;
    std::vector<std::int32_t> words_; ///< number of the word of each token; kIgnoredLabel: none
    std::vector<bool> hidden_;        ///< by word
};

class MaskedDataset : public Dataset {
  public:
    MaskedDataset(std::shared_ptr<Dataset const> plain, Masking const& masking)
        : plain_(std::move(plain)), masking_(masking) {}

    std::int64_t size() const override { return plain_->size(); }
    std::int64_t length(std::int64_t id) const override { return plain_->length(id % size()); }
    std::int64_t trained(std::int64_t id) const override {
        return SampleMask(masking_, id % size(), id / size(),
                          plain_->values_of(id % size(), kWords))
            .count();
    }
    std::int64_t in_epoch(std::int64_t sample, std::int64_t epoch) const override {
        return epoch * size() + sample;
    }
    Visit visit(std::uint64_t seed, std::int64_t cursor) const override {
        return plain_->visit(seed, cursor);
    }
    std::int64_t longest() const override { return plain_->longest(); }
    std::string const& fingerprint() const override { return plain_->fingerprint(); }
    std::vector<std::string> const& label_names() const override { return plain_->label_names(); }
    std::string source(std::int64_t sample) const override { return plain_->source(sample); }
    std::int64_t vocabulary() const override { return plain_->vocabulary(); }
    std::int64_t segments() const override { return plain_->segments(); }
    TaskSchema const& task() const override { return plain_->task(); }
    void verify(int part, int parts) const override { plain_->verify(part, parts); }
    void verify_samples(std::int64_t first, std::int64_t end) const override {
        plain_->verify_samples(first, end);
    }

    MicroBatch read(std::vector<std::int64_t> const& ids,
                    std::int64_t token_multiple) const override {
        std::vector<std::int64_t> samples;
        for (auto const id : ids) samples.push_back(id % size());
        MicroBatch batch = plain_->read(samples, token_multiple);
        std::vector<std::int32_t> labels(batch.tokens.size(), kIgnoredLabel);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            SampleMask const mask = mask_of(batch, i, ids[i]);
            auto const first = static_cast<std::size_t>(batch.offsets[i]),
                       end = static_cast<std::size_t>(batch.offsets[i + 1]);
            for (std::size_t t = first; t < end; ++t) {
                if (!mask.hides(t - first)) continue;
                labels[t] = batch.tokens[t];
                batch.tokens[t] =
                    mask.shown(t - first, labels[t], masking_.mask_token, vocabulary());
            }
        }
        std::erase_if(batch.columns.labels,
                      [](auto const& column) { return column.name == kWords.name; });
        batch.columns.append(kTokenLabels, 1, labels);
        return batch;
    }

  private:
    SampleMask mask_of(MicroBatch const& batch, std::size_t i, std::int64_t id) const {
        auto const& words = batch.columns.labels_of(kWords);
        return {masking_,
                id % size(),
                id / size(),
                {words.begin() + batch.offsets[i], words.begin() + batch.offsets[i + 1]}};
    }

    std::shared_ptr<Dataset const> plain_;
    Masking masking_;
};

} // namespace

std::unique_ptr<Dataset> make_masked_dataset(std::shared_ptr<Dataset const> plain,
                                             Masking const& masking) {
    return std::make_unique<MaskedDataset>(std::move(plain), masking);
}

} // namespace trireme::data
