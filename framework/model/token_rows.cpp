#include "framework/model/token_rows.hpp"

namespace trireme::framework::model {

std::vector<std::int64_t> rows_beside_padding(data::MicroBatch const& micro_batch,
                                              std::int64_t pad) {
    std::vector<std::int64_t> rows;
    std::int64_t place = 0;
    for (std::size_t t = 0; t < micro_batch.tokens.size(); ++t) {
        if (micro_batch.positions[t] == 0) place = 0;
        rows.push_back(micro_batch.tokens[t] == pad ? pad : pad + ++place);
    }
    return rows;
}

std::vector<std::int32_t> rows_by_length(data::MicroBatch const& micro_batch,
                                         std::int64_t short_context) {
    std::vector<std::int32_t> rows = micro_batch.positions;
    for (std::size_t i = 0; i + 1 < micro_batch.offsets.size(); ++i) {
        auto const first = static_cast<std::size_t>(micro_batch.offsets[i]),
                   end = static_cast<std::size_t>(micro_batch.offsets[i + 1]);
        if (end == first || rows[end - 1] < short_context) continue;
        for (auto t = first; t < end; ++t) rows[t] += static_cast<std::int32_t>(short_context);
    }
    return rows;
}

bool reads_one_token(Config const& config) {
    return traits_of(config.head).rows == data::Per::sample && config.pooling == Pooling::one_token;
}

/// The last token of sample i that is not `pad`; the first, if all are.
static std::int64_t last_token(data::MicroBatch const& micro_batch, std::size_t i,
                               std::int64_t pad) {
    std::int64_t t = micro_batch.offsets[i + 1] - 1;
    while (t > micro_batch.offsets[i] && micro_batch.tokens[static_cast<std::size_t>(t)] == pad)
        --t;
    return t;
}

std::vector<std::int64_t> rows_read(data::MicroBatch const& micro_batch, Config const& config) {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i + 1 < micro_batch.offsets.size(); ++i)
        rows.push_back(config.causal ? last_token(micro_batch, i, config.pad_token)
                                     : micro_batch.offsets[i]);
    return rows;
}

} // namespace trireme::framework::model
