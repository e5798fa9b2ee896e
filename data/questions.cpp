#include "data/questions.hpp"

#include <fmt/format.h>

#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/json.hpp"

namespace trireme::data {

std::string text_at(Question const& question, std::int64_t first, std::int64_t end) {
    if (first < 0 || end < first || end > std::ssize(question.context))
        throw cluster::JobError(fmt::format(
            "the context of question {} has {} bytes, and an answer was found from {} to {}: the "
            "questions are not those of the shards; prepare the data again",
            cluster::one_line(question.id), question.context.size(), first, end));
    return question.context.substr(static_cast<std::size_t>(first),
                                   static_cast<std::size_t>(end - first));
}

std::vector<Question> read_questions(std::string const& directory, SideFile const& file) {
    std::string const path = cluster::listed_file(directory, file.file),
                      text = cluster::read_file(path);
    if (cluster::xxh3_hex(text.data(), text.size()) != file.xxh3)
        throw cluster::InputError(
            path + ": content does not match the hash in the manifest; prepare the data again");
    std::vector<Question> questions;
    std::set<std::string> sources;
    std::string_view rest = text;
    for (std::int64_t line = 1; !rest.empty(); ++line) {
        auto const end = rest.find('\n');
        auto const j = parse_json(path, rest.substr(0, end), line);
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        try {
            questions.push_back({member<std::string>(j, "source"), member<std::string>(j, "id"),
                                 member<std::string>(j, "context"),
                                 member<std::vector<std::string>>(j, "answers")});
            if (auto const& source = questions.back().source; !sources.insert(source).second)
                throw cluster::InputError(fmt::format("source: {} stands there twice; legal: once",
                                                      shown(nlohmann::json(source))));
        } catch (cluster::InputError const& error) {
            throw cluster::InputError(fmt::format("{}:{}: {}", path, line, error.what()));
        }
    }
    return questions;
}

} // namespace trireme::data
