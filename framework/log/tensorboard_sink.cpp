#include "framework/log/event_file.hpp"
#include "framework/log/sink.hpp"

namespace trireme::framework::log {

namespace {

class TensorBoardSink : public Sink {
  public:
    explicit TensorBoardSink(std::string const& folder) : file_(folder) {}

    void event(nlohmann::ordered_json const& event) override {
        auto const kind = event.at("kind").get<std::string>();
        if (kind != "train" && kind != "evaluation") return;
        auto const prefix = kind == "train" ? "train" : event.at("split").get<std::string>();
        std::vector<std::pair<std::string, double>> scalars;
        for (auto const& [name, value] : event.items())
            if (value.is_number() && name != "step" && name != "time")
                scalars.emplace_back(prefix + "/" + name, value.get<double>());
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
