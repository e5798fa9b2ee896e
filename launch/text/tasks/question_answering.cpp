#include "launch/text/tasks/question_answering.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/questions.hpp"
#include "launch/text/file_kind.hpp"
#include "launch/text/painting.hpp"
#include "launch/text/tasks/answers.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

/// The first and the last token of what a window has of the answer's characters; both 0 unless it
/// has all of them.
std::vector<std::int32_t> place_in(Window const& window, Answer const& answer) {
    std::int32_t first = -1, last = -1;
    for (std::int32_t t = 0; t < static_cast<std::int32_t>(window.tokens.size()); ++t) {
        auto const at = static_cast<std::size_t>(t);
        if (window.texts[at] != 1) continue;
        if (window.places[at].first <= answer.start) first = t;
        if (window.places[at].second >= answer.end && last < 0) last = t;
    }
    bool const whole = first >= 0 && last >= first;
    return whole ? std::vector{first, last} : std::vector{0, 0};
}

/// Places in the context, in bytes: two for each token.
std::vector<std::int32_t> bytes_of(Window const& window, std::vector<std::size_t> const& places) {
    std::vector<std::int32_t> bytes;
    for (std::size_t t = 0; t < window.tokens.size(); ++t) {
        bool const of_context = window.texts[t] == 1;
        for (auto const character : {window.places[t].first, window.places[t].second})
            bytes.push_back(of_context ? static_cast<std::int32_t>(
                                             places.at(static_cast<std::size_t>(character)))
                                       : data::kIgnoredLabel);
    }
    return bytes;
}

class ToWindows : public RowConverter {
  public:
    ToWindows(PrepareOptions const& o, Tokenizer const& tokenizer)
        : o_(o), tokenizer_(tokenizer), room_(o.max_length - tokenizer.added_to_pairs()),
          stride_(stride_of(o, "stride", room_, o.max_length / 3)) {}

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        check_room(rows);
        auto texts = encode_rows(rows, [&](std::vector<Waiting> const& some) {
            std::vector<std::string> questions, contexts;
            for (auto const& [row, split] : some) {
                questions.push_back(row.text);
                contexts.push_back(row.pair);
            }
            return tokenizer_.encode_windows(questions, contexts, o_.max_length, stride_);
        });
        for (std::size_t i = 0; i < rows.size(); ++i) add(std::move(texts[i]), rows[i], out);
    }

    void finish(data::Manifest& manifest) override {
        for (auto& [split, info] : manifest.splits) {
            std::string const file = "questions-" + split + ".jsonl", path = o_.output + "/" + file;
            cluster::write_file(path, lines_[split]);
            info.questions = data::SideFile{file, cluster::xxh3_of_file(path)};
        }
    }

  private:
    /// A window is the question and at least one token of the context that no other has.
    void check_room(std::vector<Waiting> const& rows) const {
        std::vector<std::string> questions;
        for (auto const& waiting : rows) questions.push_back(waiting.row.text);
        auto const prompts = tokenizer_.encode_prompts(questions);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            auto const tokens = std::ssize(prompts[i]) - std::ssize(tokenizer_.leading());
            if (room_ - tokens <= stride_)
                throw cluster::InputError(fmt::format(
                    "{}: a question of {} tokens leaves room for {} of its context; legal: a "
                    "shorter one, or a larger --max-length (it is {}), or a smaller --stride (it "
                    "is {})",
                    place_of(rows[i].row), tokens, std::max<std::int64_t>(0, room_ - tokens),
                    o_.max_length, stride_));
        }
    }
    void add(WindowedText&& text, Waiting const& waiting, SampleSink& out) {
        Row const& row = waiting.row;
        auto const& answers = row.structured.at(1);
        auto const places = places_of_characters(row.pair);
        out.count_specials(text.written, false, row);
        out.count_longer(text.windows.size() > 1);
        bool answered = answers.empty(), added = false;
        for (auto& window : text.windows) {
            if (std::ranges::find(window.texts, 1) == window.texts.end()) continue;
            data::Sample sample;
            auto& place = sample.labels[data::kAnswer.name] = {0, 0};
            if (!answers.empty())
                place = place_in(
                    window, {answers[0].at("text"), answers[0].at("start"), answers[0].at("end")});
            answered = answered || place.back() > 0;
            sample.labels[data::kContextBytes.name] = bytes_of(window, places);
            sample.tokens = std::move(window.tokens);
            if (std::ranges::any_of(window.segments, [](auto s) { return s != 0; }))
                sample.segments = std::move(window.segments);
            out.add(std::move(sample), waiting);
            added = true;
        }
        if (!added) return out.leave_out(row);
        out.tell("questions whose answer no window has whole", answered ? 0 : 1, row);
        lines_[waiting.split] += line_of(row, out.source_of(row)).dump() + "\n";
    }
    static nlohmann::ordered_json line_of(Row const& row, std::string const& source) {
        auto texts = nlohmann::ordered_json::array();
        for (auto const& answer : row.structured.at(1)) texts.push_back(answer.at("text"));
        auto const& id = row.structured.at(0);
        return {{"source", source},
                {"id", id.is_null()     ? source
                       : id.is_string() ? id.get<std::string>()
                                        : id.dump()},
                {"question", row.text},
                {"context", row.pair},
                {"answers", texts}};
    }

    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
    std::int64_t room_, stride_;
    std::map<std::string, std::string> lines_; ///< of the files of questions, by split
};

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
            auto const context = std::move(row.structured.at(2));
            row.structured.pop_back();
            if (!context.is_string())
                throw cluster::InputError(
                    fmt::format("{}: {}: {}: legal: a text; --context names the column",
                                place_of(row), names.context, data::shown(context)));
            row.pair = context.get<std::string>();
            take(std::move(row));
        };
        Columns columns = o.columns;
        columns.values.clear();
        columns.structured = {names.id, names.answers, names.context};
        read_rows(file, columns, take_row);
    }

    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const&) const override {
        return std::make_unique<ToWindows>(o, tokenizer);
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
