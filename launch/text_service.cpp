#include "launch/text_service.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "launch/programs.hpp"

namespace trireme::launch {

namespace {

/// In the child: only calls that are safe after a fork.
[[noreturn]] void become(char const* program, char const* folder, int socket) {
    dup2(socket, STDIN_FILENO);
    dup2(socket, STDOUT_FILENO);
    // Orders to save and stop reach all processes of a job; this one ends when its socket closes.
    for (int const order : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) signal(order, SIG_IGN);
    execl(program, program, "serve", folder, static_cast<char*>(nullptr));
    _exit(127);
}

} // namespace

TextService::TextService(std::string const& folder) {
    auto const program = own_folder() / "trireme-text";
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw cluster::JobError(fmt::format("socketpair: {}", std::strerror(errno)));
    child_ = fork();
    if (child_ == 0) become(program.c_str(), folder.c_str(), ends[1]);
    int const error = errno;
    close(ends[1]);
    socket_ = ends[0];
    if (child_ < 0) {
        close(socket_);
        throw cluster::JobError(
            fmt::format("{}: cannot be started: {}", program.string(), std::strerror(error)));
    }
}

TextService::~TextService() {
    close(socket_);
    if (child_ > 0) waitpid(child_, nullptr, 0);
}

nlohmann::json TextService::hello() {
    nlohmann::json greeting = receive();
    if (greeting.contains("error")) throw cluster::InputError(greeting["error"].get<std::string>());
    return greeting;
}

nlohmann::json TextService::ask(nlohmann::json const& request) {
    std::string const line = request.dump() + "\n";
    for (std::size_t sent = 0; sent < line.size();) {
        ssize_t const n = send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) died();
        sent += static_cast<std::size_t>(n);
    }
    nlohmann::json answer = receive();
    if (answer.contains("refused")) throw cluster::InputError(answer["refused"].get<std::string>());
    if (answer.contains("error"))
        throw cluster::JobError("trireme-text: " + answer["error"].get<std::string>());
    return answer;
}

nlohmann::json TextService::receive() {
    std::size_t end = std::string::npos;
    for (std::size_t searched = 0; (end = buffer_.find('\n', searched)) == std::string::npos;) {
        searched = buffer_.size();
        std::array<char, 65536> piece;
        ssize_t const n = recv(socket_, piece.data(), piece.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) died();
        buffer_.append(piece.data(), static_cast<std::size_t>(n));
    }
    auto answer = data::parse_json("trireme-text", buffer_.substr(0, end));
    buffer_.erase(0, end + 1);
    return answer;
}

void TextService::died() {
    int status = 0;
    waitpid(std::exchange(child_, -1), &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        throw cluster::JobError(
            "trireme-text: cannot be started; build it with cmake --build build");
    throw cluster::JobError(
        WIFSIGNALED(status) ? fmt::format("trireme-text was ended by signal {}", WTERMSIG(status))
                            : fmt::format("trireme-text ended with code {}", WEXITSTATUS(status)));
}

TextService& service_of_rank_0(TextService* service) {
    if (!service)
        throw cluster::JobError(
            "the launcher's environment variables number the ranks otherwise than MPI does; start "
            "all ranks by one mpirun, or by srun --mpi=pmix");
    return *service;
}

} // namespace trireme::launch
