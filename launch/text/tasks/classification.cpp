#include "launch/text/tasks/classification.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "cluster/error.hpp"
#include "launch/text/tasks/class_names.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

class ToClasses : public RowConverter {
  public:
    ToClasses(PrepareOptions const& o, Tokenizer const& tokenizer,
              std::vector<std::string> const& labels)
        : o_(o), tokenizer_(tokenizer) {
        for (auto const& label : labels)
            ids_.emplace(label, static_cast<std::int32_t>(ids_.size()));
    }

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        auto parts = encode_parts(rows, o_, tokenizer_);
        for (std::size_t i = 0; i < rows.size(); ++i)
            for (auto& part : parts[i])
                if (auto sample = out.sample_of(std::move(part), rows[i])) {
                    sample->labels[data::kClassLabel.name] = {ids_.at(rows[i].row.values.front())};
                    out.add(std::move(*sample), rows[i]);
                }
    }

  private:
    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
    std::unordered_map<std::string, std::int32_t> ids_;
};

class Classification : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::classification; }

    void declare(TaskOptions& options) const override {
        declare_texts(options);
        declare_windows(options);
        options.words("label", "NAME", "name of the label column");
        options.words("labels", "NAME...",
                      "the classes in the order of their numbers; default: that of id2label in the "
                      "config.json beside the tokenizer, if it has the same names, else numbers by "
                      "value and words by the alphabet");
        options.flag("drop-unlabelled",
                     "leave out rows that have no label, and count them; else they are refused");
        options.flag("stratify", "divide --input so that the fractions hold for each class");
    }

    Columns columns(PrepareOptions const& o) const override {
        check_windows(o);
        Columns columns = columns_of_texts(o);
        columns.values = o.values("label");
        columns.may_lack = true;
        if (columns.values.size() != 1 || columns.values.front().empty())
            throw cluster::InputError(fmt::format(
                "--label: {}; legal: the name of the column with the classes{}",
                columns.values.size() > 1 ? fmt::format("{} names", columns.values.size())
                                          : "missing",
                columns_there(o)));
        return columns;
    }
    bool cuts() const override { return true; }

    void take(Row const& row, std::string const& split, PrepareOptions const&,
              Census& census) const override {
        std::string const& label = row.values.front();
        ++census.labels[split][label];
        census.first.try_emplace(label, Census::Place{row.file, row.line});
    }
    std::vector<std::string> labels(Census const& census, PrepareOptions const& o) const override {
        return class_names(census, o);
    }
    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const& labels) const override {
        return std::make_unique<ToClasses>(o, tokenizer, labels);
    }

    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        auto const label = micro_batch.columns.labels_of(data::kClassLabel).at(0);
        if (!data::counts(label)) return "no label";
        return "label " + cluster::one_line(set.label_names().at(static_cast<std::size_t>(label)));
    }
};

} // namespace

TextTask const& classification_of_texts() {
    static Classification const task;
    return task;
}

} // namespace trireme::launch::text
