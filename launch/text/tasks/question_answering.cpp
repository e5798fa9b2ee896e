#include "launch/text/tasks/question_answering.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "data/questions.hpp"
#include "launch/text/file_kind.hpp"
#include "launch/text/painting.hpp"
#include "launch/text/tasks/answers.hpp"
#include "launch/text/tasks/question_windows.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

/// Names of the columns, as options give them.
struct Names {
    std::string question, context, answers, id;
    explicit Names(PrepareOptions const& o) {
        auto const name = [&](char const* option) {
            return o.given(option) ? o.value(option) : std::string(option);
        };
        question = name("question");
        context = name("context");
        answers = name("answers");
        id = name("id");
    }
};

class QuestionAnswering : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::question_answering; }

    void declare(TaskOptions& options) const override {
        options.word("question", "NAME", "name of the question column (default: question)");
        options.word("context", "NAME",
                     "name of the column that answers are of (default: context)");
        options.word("answers", "NAME",
                     "name of the column with the answers, each a text and the character of the "
                     "context at which it begins (default: answers)");
        options.word("id", "NAME", "name of a column that tells questions apart (default: id)");
        options.word("stride", "N",
                     "a context that is too long becomes several samples, each with the last N "
                     "tokens of the one before (default: a third of --max-length)");
        options.flag("drop-unlabelled", "leave out rows whose answers are missing or null, and "
                                        "count them; else they are refused");
    }

    Columns columns(PrepareOptions const& o) const override {
        Names const names(o);
        for (auto const& [option, name] : {std::pair{"--question", names.question},
                                           {"--context", names.context},
                                           {"--answers", names.answers}})
            if (name.empty())
                throw cluster::InputError(
                    fmt::format("{}: empty; legal: the name of a column", option));
        return {.text = names.question,
                .values = {names.answers},
                .may_lack = true,
                .text_option = "--question",
                .value_option = "--answers"};
    }
    bool divides() const override { return false; } // the questions are written in their order
    Words words() const override { return {"question", "answer", "divided into windows"}; }

    void read(std::string const& file, PrepareOptions const& o,
              std::function<void(Row&&)> const& each) const override {
        Names const names(o);
        auto const take = [&](Row&& row) {
            take_answers(row, names);
            each(std::move(row));
        };
        if (has_ending(file, ".json")) return read_squad(file, take);
        auto const take_row = [&](Row&& row) {
            row.pair = context_of(row, names, std::move(row.structured.at(2)));
            row.structured.pop_back();
            take(std::move(row));
        };
        Columns columns = o.columns;
        columns.values.clear();
        columns.structured = {names.id, names.answers, names.context};
        read_rows(file, columns, take_row);
    }
    bool is_more_than_a_text() const override { return true; }
    /// Answers that a file has are not looked at.
    void read_unlabelled(std::string const& file, PrepareOptions const& o,
                         std::function<void(Row&&)> const& each) const override {
        Names const names(o);
        auto const take = [&](Row&& row) {
            row.structured.at(1) = nlohmann::ordered_json::array();
            if (is_blank(row.pair)) row.text.clear(); // nothing to find an answer in
            each(std::move(row));
        };
        if (has_ending(file, ".json")) return read_squad(file, take);
        Columns columns{.text = names.question, .text_option = "--question"};
        columns.structured = {names.id, names.context};
        read_rows(file, columns, [&](Row&& row) {
            row.pair = context_of(row, names, std::move(row.structured.at(1)));
            take(std::move(row));
        });
    }
    std::vector<UnlabelledText> unlabelled(std::vector<Waiting> const& rows,
                                           PrepareOptions const& o,
                                           Tokenizer const& tokenizer) const override {
        SampleSink sink(o, {}, {});
        sink.keep();
        question_windows(o, tokenizer)->convert(rows, sink);
        std::vector<UnlabelledText> texts(rows.size());
        std::size_t i = 0;
        for (auto& sample : sink.kept()) {
            while (rows.at(i).row.line != sample.source.line) ++i;
            texts[i].windows.push_back(std::move(sample));
        }
        return texts;
    }

    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const&) const override {
        return question_windows(o, tokenizer);
    }

    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        auto const& answer = micro_batch.columns.labels_of(data::kAnswer);
        if (answer.at(1) == 0) return "no answer in this window";
        auto const& bytes = micro_batch.columns.labels_of(data::kContextBytes);
        auto const first = bytes.at(2 * static_cast<std::size_t>(answer[0])),
                   end = bytes.at(2 * static_cast<std::size_t>(answer[1]) + 1);
        auto const* questions = set.questions();
        if (questions == nullptr) return fmt::format("tokens {} to {}", answer[0], answer[1]);
        auto const sample = static_cast<std::size_t>(micro_batch.sample_ids[0]);
        auto const& of =
            questions->all.at(static_cast<std::size_t>(questions->of_sample.at(sample)));
        return fmt::format("answer \"{}\"", cluster::one_line(data::text_at(of, first, end)));
    }
    /// Question // context, in which the answer stands out: without colour between => and <=.
    std::string shown_tokens(data::MicroBatch const& micro_batch, data::Dataset const&,
                             Tokenizer const& tokenizer, bool color) const override {
        auto const& answer = micro_batch.columns.labels_of(data::kAnswer);
        auto const& bytes = micro_batch.columns.labels_of(data::kContextBytes);
        bool const answered = answer.at(1) > 0;
        std::string out;
        bool in_context = false;
        for (std::size_t t = 0; t < micro_batch.tokens.size(); ++t) {
            bool const of_context = data::counts(bytes.at(2 * t));
            if (of_context && !in_context) out += " // ";
            in_context = in_context || of_context;
            auto const at = static_cast<std::int32_t>(t);
            std::string const token = shown_token(tokenizer, micro_batch.tokens[t]);
            bool const inside = answered && answer[0] <= at && at <= answer[1];
            if (inside && at == answer[0] && !color) out += " => ";
            out += inside ? painted(token, color ? 0 : t, color) : dimmed(token, t, color);
            if (inside && at == answer[1] && !color) out += " <= ";
        }
        return out;
    }

  private:
    static std::string context_of(Row const& row, Names const& names,
                                  nlohmann::ordered_json context) {
        if (!context.is_string())
            throw cluster::InputError(
                fmt::format("{}: {}: {}: legal: a text; --context names the column", place_of(row),
                            names.context, data::shown(context)));
        return context.get<std::string>();
    }
    /// Puts the answers, each with its place, in place of what the file has. A split divides no
    /// context, since another question of it would show the answer.
    static void take_answers(Row& row, Names const& names) {
        row.structured[1] = opened(row, names.answers, std::move(row.structured[1]));
        row.group = row.pair;
        if (is_blank(row.pair)) row.text.clear(); // nothing to find an answer in
        row.unlabelled = row.structured[1].is_null();
        row.values = {""};
        if (row.unlabelled || is_blank(row.text)) return;
        auto answers = nlohmann::ordered_json::array();
        for (auto const& answer : answers_of(row.structured[1], row.pair, row, names.answers))
            answers.push_back(
                {{"text", answer.text}, {"start", answer.start}, {"end", answer.end}});
        row.values = {answers.dump()};
        row.structured[1] = std::move(answers);
    }
};

} // namespace

TextTask const& question_answering_of_texts() {
    static QuestionAnswering const task;
    return task;
}

} // namespace trireme::launch::text
