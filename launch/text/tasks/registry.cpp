// Every task that `prepare` and `inspect` know.
#include <algorithm>

#include "launch/text/painting.hpp"
#include "launch/text/tasks/chat.hpp"
#include "launch/text/tasks/classification.hpp"
#include "launch/text/tasks/generation.hpp"
#include "launch/text/tasks/language_modeling.hpp"
#include "launch/text/tasks/masked_language_modeling.hpp"
#include "launch/text/tasks/multi_label.hpp"
#include "launch/text/tasks/question_answering.hpp"
#include "launch/text/tasks/regression.hpp"
#include "launch/text/tasks/texts.hpp"
#include "launch/text/tasks/token_classification.hpp"

namespace trireme::launch::text {

TextTask const& text_task(data::TaskKind kind) {
    switch (kind) {
    case data::TaskKind::classification: return classification_of_texts();
    case data::TaskKind::language_modeling: return language_modeling_of_texts();
    case data::TaskKind::generation: return generation_of_texts();
    case data::TaskKind::regression: return regression_of_texts();
    case data::TaskKind::multi_label: return multi_label_of_texts();
    case data::TaskKind::token_classification: return token_classification_of_texts();
    case data::TaskKind::question_answering: return question_answering_of_texts();
    case data::TaskKind::masked_language_modeling: return masked_language_modeling_of_texts();
    }
    return language_modeling_of_texts(); // every kind returns above
}

TextTask const& text_task(PrepareOptions const& o) {
    return o.chat ? chat_of_texts() : text_task(o.task);
}

TaskOptions options_of_tasks() {
    TaskOptions options;
    for (auto const& schema : data::task_schemas()) {
        options.begin(schema.name);
        text_task(schema.kind).declare(options);
    }
    options.begin(kChat);
    chat_of_texts().declare(options);
    return options;
}

void TextTask::read_unlabelled(std::string const& file, PrepareOptions const& o,
                               std::function<void(Row&&)> const& each) const {
    check_windows(o);
    read_rows(file, columns_of_texts(o), each);
}

std::vector<UnlabelledText> TextTask::unlabelled(std::vector<Waiting> const& rows,
                                                 PrepareOptions const& o,
                                                 Tokenizer const& tokenizer) const {
    std::vector<UnlabelledText> texts;
    for (auto& parts : encode_parts(rows, o, tokenizer)) {
        auto& text = texts.emplace_back();
        text.cut = parts.front().cut && !o.given("windows");
        for (auto& part : parts)
            if (!part.tokens.empty())
                text.windows.push_back(
                    {.tokens = std::move(part.tokens), .segments = std::move(part.segments)});
    }
    return texts;
}

std::string TextTask::shown_tokens(data::MicroBatch const& micro_batch, data::Dataset const&,
                                   Tokenizer const& tokenizer, bool color) const {
    std::string out;
    for (std::size_t t = 0; t < micro_batch.tokens.size(); ++t) {
        bool const second =
            micro_batch.segments[t] != 0 && (t == 0 || micro_batch.segments[t - 1] == 0);
        out += (second ? " // " : "") +
               painted(shown_token(tokenizer, micro_batch.tokens[t]), t, color);
    }
    return out;
}

} // namespace trireme::launch::text
