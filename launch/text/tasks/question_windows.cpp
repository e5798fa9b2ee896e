#include "launch/text/tasks/question_windows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/questions.hpp"
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
std::vector<std::int32_t> byte_places_of(Window const& window,
                                         std::vector<std::size_t> const& places) {
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

class ToQuestionWindows : public RowConverter {
  public:
    ToQuestionWindows(PrepareOptions const& o, Tokenizer const& tokenizer)
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
            sample.labels[data::kContextBytes.name] = byte_places_of(window, places);
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

} // namespace

std::unique_ptr<RowConverter> question_windows(PrepareOptions const& o,
                                               Tokenizer const& tokenizer) {
    return std::make_unique<ToQuestionWindows>(o, tokenizer);
}

} // namespace trireme::launch::text
