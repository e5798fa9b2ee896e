#include "framework/log/event_file.hpp"
#include "framework/log/sink.hpp"

namespace trireme::framework::log {

namespace {

using Scalars = std::vector<std::pair<std::string, double>>;

/// Adds the numbers of `values`, those of objects in it by their paths.
void add_numbers(Scalars& scalars, std::string const& prefix,
                 nlohmann::ordered_json const& values) {
    for (auto const& [name, value] : values.items()) {
        std::string const path = prefix + "/" + name;
        if (value.is_object()) add_numbers(scalars, path, value);
        if (value.is_number()) scalars.emplace_back(path, value.get<double>());
    }
}

class TensorBoardSink : public Sink {
  public:
    explicit TensorBoardSink(std::string const& folder) : file_(folder) {}

    void event(nlohmann::ordered_json const& event) override {
        auto const kind = event.at("kind").get<std::string>();
        if (kind != "train" && kind != "evaluation" && kind != "performance") return;
        auto const prefix = kind == "evaluation" ? event.at("split").get<std::string>() : kind;
        Scalars scalars;
        for (auto const& [name, value] : event.items())
            if (value.is_number() && name != "step" && name != "time")
                scalars.emplace_back(prefix + "/" + name, value.get<double>());
            else if (value.is_object() && kind == "performance")
                add_numbers(scalars, prefix + "/" + name, value);
        auto const step = event.at("step").get<std::int64_t>();
        if (!started_) file_.start_at(step);
        started_ = true;
        file_.write(step, scalars);
    }

  private:
    EventFile file_;
    bool started_ = false;
};

} // namespace

std::unique_ptr<Sink> tensorboard_sink(std::string const& folder) {
    return std::make_unique<TensorBoardSink>(folder);
}

} // namespace trireme::framework::log
