#include "launch/text/tasks/multi_label.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/algorithm/string.hpp>
#include <unordered_map>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "launch/text/tasks/class_names.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

class ToTargets : public RowConverter {
  public:
    ToTargets(PrepareOptions const& o, Tokenizer const& tokenizer,
              std::vector<std::string> const& labels)
        : o_(o), tokenizer_(tokenizer) {
        for (auto const& label : labels) ids_.emplace(label, ids_.size());
    }

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        auto parts = encode_parts(rows, o_, tokenizer_);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            std::vector<float> targets(ids_.size());
            for (auto const& label : rows[i].row.values) targets.at(ids_.at(label)) = 1;
            for (auto& part : parts[i])
                if (auto sample = out.sample_of(std::move(part), rows[i])) {
                    sample->reals[data::kTargets.name] = targets;
                    out.add(std::move(*sample), rows[i]);
                }
        }
    }

  private:
    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
    std::unordered_map<std::string, std::size_t> ids_;
};

/// Labels of a list: names, or numbers that are taken as names.
std::vector<std::string> label_names_in(nlohmann::ordered_json const& list, Row const& row,
                                        std::string const& column) {
    auto const is_name = [](auto const& one) {
        return (one.is_string() && !is_blank(one.template get<std::string>())) ||
               one.is_number_integer();
    };
    if (!list.is_array() || !std::ranges::all_of(list, is_name))
        throw cluster::InputError(
            fmt::format("{}: {}: {}: legal: a list of names, which may be empty, or "
                        "--label-separator for names in one text",
                        place_of(row), column, data::shown(list)));
    std::vector<std::string> names;
    for (auto const& one : list)
        names.push_back(one.is_string() ? one.get<std::string>() : one.dump());
    return names;
}

std::vector<std::string> names_between(std::string const& cell, std::string const& separator) {
    std::vector<std::string> names;
    for (std::size_t first = 0; first <= cell.size();) {
        auto const end = std::min(cell.find(separator, first), cell.size());
        auto name = boost::algorithm::trim_copy(cell.substr(first, end - first));
        if (!name.empty()) names.push_back(std::move(name));
        first = end + separator.size();
    }
    return names;
}

/// Does a column of a label say that a row has it?
bool has_label(std::string const& cell, Row const& row, std::string const& column) {
    static constexpr std::array kYes{"1", "1.0", "true"}, kNo{"0", "0.0", "false"};
    auto const is = [&](char const* word) {
        return boost::algorithm::iequals(boost::algorithm::trim_copy(cell), word);
    };
    if (std::ranges::any_of(kYes, is)) return true;
    if (std::ranges::any_of(kNo, is)) return false;
    throw cluster::InputError(fmt::format("{}: {}: \"{}\": legal: 0 or 1", place_of(row), column,
                                          cluster::one_line(cell)));
}

void refuse_twice(Row const& row, std::string const& column) {
    auto names = row.values;
    std::ranges::sort(names);
    if (auto const twice = std::ranges::adjacent_find(names); twice != names.end())
        throw cluster::InputError(fmt::format("{}: {}: \"{}\" stands there twice; legal: once",
                                              place_of(row), column, cluster::one_line(*twice)));
}

class MultiLabel : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::multi_label; }

    void declare(TaskOptions& options) const override {
        declare_texts(options);
        declare_windows(options);
        options.words("label", "NAME...",
                      "name of the column with the list of labels; or of several columns, one for "
                      "each label, with 1 in rows that have it and 0 in others");
        options.word("label-separator", "TEXT",
                     "what stands between labels where --label is a text, not a list");
        options.words("labels", "NAME...",
                      "the labels in the order of their numbers, those included that no row of "
                      "training has; default: as for classification");
        options.flag("drop-unlabelled", "leave out rows whose labels are missing or null, and "
                                        "count them; else they are refused");
    }

    Columns columns(PrepareOptions const& o) const override {
        check_windows(o);
        Columns columns = columns_of_texts(o);
        columns.values = o.values("label");
        columns.may_lack = true;
        if (columns.values.empty() || std::ranges::any_of(columns.values, is_blank))
            throw cluster::InputError("--label: missing; legal: the name of the column with the "
                                      "list of labels, or of a column for each label" +
                                      columns_there(o));
        auto names = columns.values;
        std::ranges::sort(names);
        if (auto const twice = std::ranges::adjacent_find(names); twice != names.end())
            throw cluster::InputError(
                fmt::format("--label: {} is given twice; legal: each column once", *twice));
        bool const several = columns.values.size() > 1;
        if (several && (o.given("label-separator") || o.given("labels")))
            throw cluster::InputError(
                fmt::format("--{}: legal with the name of one column in --label",
                            o.given("labels") ? "labels" : "label-separator"));
        if (o.given("label-separator") && o.value("label-separator").empty())
            throw cluster::InputError("--label-separator: empty; legal: one character or more");
        return columns;
    }
    bool cuts() const override { return true; }
    Words words() const override { return {.value = "set of labels"}; }

    void read(std::string const& file, PrepareOptions const& o,
              std::function<void(Row&&)> const& each) const override {
        Columns columns = o.columns;
        bool const listed = columns.values.size() == 1 && !o.given("label-separator");
        if (listed) std::swap(columns.values, columns.structured);
        read_rows(file, columns, [&](Row&& row) {
            if (listed)
                take_list(row, o.columns.values.front());
            else if (o.given("label-separator"))
                take_text(row, o);
            else if (!row.unlabelled)
                take_columns(row, o.columns.values);
            if (!row.unlabelled) refuse_twice(row, o.columns.values.front());
            each(std::move(row));
        });
    }

    void take(Row const& row, std::string const& split, PrepareOptions const&,
              Census& census) const override {
        for (auto const& label : row.values) {
            ++census.labels[split][label];
            census.first.try_emplace(label, Census::Place{row.file, row.line});
        }
    }
    std::vector<std::string> labels(Census const& census, PrepareOptions const& o) const override {
        return o.columns.values.size() > 1 ? o.columns.values : label_names(census, o);
    }
    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const& labels) const override {
        return std::make_unique<ToTargets>(o, tokenizer, labels);
    }

    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        auto const& targets = micro_batch.columns.reals_of(data::kTargets);
        std::vector<std::string> names;
        for (std::size_t i = 0; i < targets.size(); ++i)
            if (targets[i] > 0) names.push_back(cluster::one_line(set.label_names()[i]));
        return names.empty() ? "no label" : fmt::format("labels {}", fmt::join(names, ", "));
    }

  private:
    static void take_list(Row& row, std::string const& column) {
        auto const list = opened(row, column, std::move(row.structured.front()));
        row.unlabelled = list.is_null();
        row.values =
            row.unlabelled ? std::vector<std::string>{""} : label_names_in(list, row, column);
        row.structured.clear();
    }
    /// An empty cell is a row without any of the labels: a table has no other way to say it.
    static void take_text(Row& row, PrepareOptions const& o) {
        row.values = names_between(row.values.front(), o.value("label-separator"));
        row.unlabelled = false;
    }
    static void take_columns(Row& row, std::vector<std::string> const& columns) {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < columns.size(); ++i)
            if (has_label(row.values[i], row, columns[i])) names.push_back(columns[i]);
        row.values = std::move(names);
    }
};

} // namespace

TextTask const& multi_label_of_texts() {
    static MultiLabel const task;
    return task;
}

} // namespace trireme::launch::text
