#include "launch/text/tasks/regression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "cluster/error.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

/// Returns the number as a shard can hold it: a finite float32.
std::optional<float> as_target(std::string const& text) {
    auto const first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
    if (first == std::string::npos) return {};
    char const *begin = text.data() + first, *const end = text.data() + last + 1;
    if (*begin == '+' && begin + 1 < end && begin[1] != '-') ++begin;
    double value = 0;
    auto const [stop, error] = std::from_chars(begin, end, value);
    auto const number = static_cast<float>(value);
    if (error != std::errc{} || stop != end || !std::isfinite(number)) return {};
    return number;
}

class ToNumbers : public RowConverter {
  public:
    ToNumbers(PrepareOptions const& o, Tokenizer const& tokenizer) : o_(o), tokenizer_(tokenizer) {}

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        auto parts = encode_parts(rows, o_, tokenizer_);
        for (std::size_t i = 0; i < rows.size(); ++i)
            for (auto& part : parts[i])
                if (auto sample = out.sample_of(std::move(part), rows[i])) {
                    for (auto const& value : rows[i].row.values)
                        sample->reals[data::kTargets.name].push_back(as_target(value).value());
                    out.add(std::move(*sample), rows[i]);
                }
    }

  private:
    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
};

class Regression : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::regression; }

    void declare(TaskOptions& options) const override {
        declare_texts(options);
        declare_windows(options);
        options.words("label", "NAME...", "names of the columns with the numbers, one or several");
        options.flag("drop-unlabelled",
                     "leave out rows that lack a number, and count them; else they are refused");
    }

    Columns columns(PrepareOptions const& o) const override {
        check_windows(o);
        Columns columns = columns_of_texts(o);
        columns.values = o.values("label");
        columns.may_lack = true;
        if (columns.values.empty() || columns.values.front().empty())
            throw cluster::InputError(
                "--label: missing; legal: the names of the columns with the numbers" +
                columns_there(o));
        auto names = columns.values;
        std::ranges::sort(names);
        if (auto const twice = std::ranges::adjacent_find(names); twice != names.end())
            throw cluster::InputError(
                fmt::format("--label: {} is given twice; legal: each column once", *twice));
        return columns;
    }
    bool cuts() const override { return true; }
    Words words() const override { return {.value = "number"}; }

    void take(Row const& row, std::string const&, PrepareOptions const& o, Census&) const override {
        for (std::size_t i = 0; i < row.values.size(); ++i)
            if (!as_target(row.values[i]))
                throw cluster::InputError(
                    fmt::format("{}: {}: \"{}\": legal: a number that float32 holds", place_of(row),
                                o.columns.values[i], cluster::one_line(row.values[i])));
    }
    std::vector<std::string> labels(Census const&, PrepareOptions const& o) const override {
        return o.columns.values;
    }
    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const&) const override {
        return std::make_unique<ToNumbers>(o, tokenizer);
    }

    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        auto const& targets = micro_batch.columns.reals_of(data::kTargets);
        std::string out;
        for (std::size_t i = 0; i < targets.size(); ++i)
            out += fmt::format("{}{} {}", i ? ", " : "", cluster::one_line(set.label_names()[i]),
                               data::counts(targets[i]) ? fmt::format("{}", targets[i]) : "none");
        return out;
    }
};

} // namespace

TextTask const& regression_of_texts() {
    static Regression const task;
    return task;
}

} // namespace trireme::launch::text
