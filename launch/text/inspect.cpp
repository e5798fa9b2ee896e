#include "launch/text/inspect.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "data/loader.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

static void check_first(InspectOptions const& o, std::int64_t samples) {
    if (o.first < 0 || o.first >= samples)
        throw cluster::InputError(fmt::format("--first: {}: legal: 0 to {}, the samples of {} {}",
                                              o.first, samples - 1, o.data, o.split));
}

std::string inspect(InspectOptions const& o) {
    auto const set = data::open_dataset(o.data, o.split);
    check_first(o, set->size());
    std::int64_t const end = o.first + std::min(o.samples, set->size() - o.first);
    set->verify_samples(o.first, end);
    Tokenizer const tokenizer(o.data, 0);
    TextTask const& task = text_task(set->task().kind);
    std::string out;
    for (std::int64_t i = o.first; i < end; ++i) {
        data::MicroBatch const micro_batch = set->read({i}, 1);
        std::string const source = set->source(i);
        out += fmt::format("{} {}  {}  {}{}\n  {}\n", o.split, i,
                           cluster::counted(micro_batch.token_count(), "token"),
                           task.shown_label(micro_batch, *set),
                           source.empty() ? "" : "  " + cluster::one_line(source),
                           task.shown_tokens(micro_batch, *set, tokenizer, o.color));
    }
    return out;
}

} // namespace trireme::launch::text
