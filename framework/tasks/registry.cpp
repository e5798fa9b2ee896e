// Every task that the framework knows.
#include <algorithm>

#include "framework/tasks/classification.hpp"
#include "framework/tasks/generation.hpp"
#include "framework/tasks/language_modeling.hpp"
#include "framework/tasks/masked_language_modeling.hpp"
#include "framework/tasks/multi_label.hpp"
#include "framework/tasks/question_answering.hpp"
#include "framework/tasks/regression.hpp"
#include "framework/tasks/token_classification.hpp"

namespace trireme::framework::tasks {

Task const& task_of(data::TaskKind kind) {
    switch (kind) {
    case data::TaskKind::classification: return classification();
    case data::TaskKind::language_modeling: return language_modeling();
    case data::TaskKind::generation: return generation();
    case data::TaskKind::regression: return regression();
    case data::TaskKind::multi_label: return multi_label();
    case data::TaskKind::token_classification: return token_classification();
    case data::TaskKind::question_answering: return question_answering();
    case data::TaskKind::masked_language_modeling: return masked_language_modeling();
    }
    return language_modeling(); // every kind returns above
}

Task const& task_of(model::HeadKind head) {
    auto const schemas = data::task_schemas();
    auto const found = std::ranges::find_if(
        schemas, [&](auto const& schema) { return task_of(schema.kind).head() == head; });
    return task_of(found->kind);
}

data::TaskSchema const& read_by(model::HeadKind head) {
    return head == model::HeadKind::masked_language_model ? language_modeling().schema()
                                                          : task_of(head).schema();
}

Task const* task_of_samples(std::string const& problem_type) {
    for (auto const& schema : data::task_schemas()) {
        Task const& task = task_of(schema.kind);
        auto const head = model::traits_of(task.head());
        if (head.rows == data::Per::sample && head.problem_type == problem_type) return &task;
    }
    return nullptr;
}

} // namespace trireme::framework::tasks
