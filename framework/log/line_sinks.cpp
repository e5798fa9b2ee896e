// The sinks that write lines: terminal, log.txt, metrics.jsonl.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "cluster/process.hpp"
#include "framework/log/append_file.hpp"
#include "framework/log/sink.hpp"

namespace trireme::framework::log {

namespace {

constexpr int kBarWidth = 24;

/// Says when a line of progress is due where a bar cannot be drawn: every ten seconds, and at the
/// end.
class Pace {
  public:
    bool due(Progress const& progress) {
        auto const now = std::chrono::steady_clock::now();
        if (now - last_ < kInterval && progress.step != progress.total) return false;
        last_ = now;
        return true;
    }

  private:
    static constexpr std::chrono::seconds kInterval{10};
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now() - kInterval;
};

std::string plain(Progress const& p) {
    return fmt::format("step {}/{}  {}  {} left", p.step, p.total, p.text, p.left);
}

class TerminalSink : public Sink {
  public:
    void line(std::string const& line) override {
        if (bar_drawn_) cluster::say("\r\033[2K");
        bar_drawn_ = false;
        cluster::say("{}\n", line);
    }
    void progress(Progress const& progress) override {
        if (terminal_)
            draw_bar(progress);
        else if (pace_.due(progress))
            line(plain(progress));
    }

  private:
    void draw_bar(Progress const& p) {
        auto const filled = static_cast<std::size_t>(std::clamp<std::int64_t>(
            kBarWidth * p.step / std::max<std::int64_t>(1, p.total), 0, kBarWidth));
        cluster::say("\r\033[2K[{}{}] {}/{}  {}  {} left", std::string(filled, '='),
                     std::string(kBarWidth - filled, ' '), p.step, p.total, p.text, p.left);
        bar_drawn_ = true;
    }

    bool terminal_ = isatty(STDERR_FILENO) != 0, bar_drawn_ = false;
    Pace pace_;
};

class TextSink : public Sink {
  public:
    explicit TextSink(std::string const& path) : file_(path) {}
    void line(std::string const& line) override {
        auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        std::string text = fmt::format("{:%Y-%m-%d %H:%M:%S}  {}", fmt::localtime(now), line);
        // File names in messages may hold anything; one line stays one line.
        std::ranges::replace_if(
            text, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
        file_.write_line(text);
    }
    void progress(Progress const& progress) override {
        if (pace_.due(progress)) line(plain(progress));
    }

  private:
    AppendFile file_;
    Pace pace_;
};

class JsonSink : public Sink {
  public:
    explicit JsonSink(std::string const& path) : file_(path) {}
    void event(nlohmann::ordered_json const& event) override { file_.write_line(event.dump()); }

  private:
    AppendFile file_;
};

} // namespace

std::unique_ptr<Sink> terminal_sink() {
    return std::make_unique<TerminalSink>();
}

std::unique_ptr<Sink> text_sink(std::string const& path) {
    return std::make_unique<TextSink>(path);
}

std::unique_ptr<Sink> json_sink(std::string const& path) {
    return std::make_unique<JsonSink>(path);
}

} // namespace trireme::framework::log
