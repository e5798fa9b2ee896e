// Options of `prepare` that belong to tasks.
#pragma once
#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "launch/text/prepare.hpp"

namespace trireme::launch::text {

class TaskOptions {
  public:
    /// Assigns the options declared from here on to this task.
    void begin(std::string task) { task_ = std::move(task); }
    /// One word, several, or none. Tasks that share an option may say of it what they like; its
    /// kind and `value` are those of the first.
    void word(std::string const& name, std::string const& value, std::string const& help);
    void words(std::string const& name, std::string const& value, std::string const& help);
    void flag(std::string const& name, std::string const& help);

    /// Adds them to a command line, from which they go to o.own; `o` must outlive it.
    void add_to(boost::program_options::options_description& options, PrepareOptions& o) const;
    /// Throws InputError for one that is given and does not belong to the task, "legal with WHOSE
    /// classification, ...".
    void check(PrepareOptions const& o, char const* whose = "--task") const;

  private:
    enum class Takes : std::uint8_t { nothing, word, words };
    struct Meaning {
        std::vector<std::string> tasks;
        std::string help;
    };
    struct Option {
        std::string name, value;
        Takes takes;
        std::vector<Meaning> meanings = {};
        bool belongs_to(std::string const& task) const;
        std::string help() const;
    };
    void add(Option option, std::string const& help);

    std::string task_;
    std::vector<Option> options_;
};

} // namespace trireme::launch::text
