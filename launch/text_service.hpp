// The tokenizer process of `trireme generate` and `trireme predict`.
#pragma once
#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>

namespace trireme::launch {

/// `trireme-text serve FOLDER`, which lies beside this program, as a child process; JSON lines over
/// a socket. Owner of the child: the destructor closes the socket, at which the child ends, and
/// waits for it.
class TextService {
  public:
    /// Starts the child. Call before MPI_Init: forking a process that has network memory registered
    /// is not safe. Throws JobError if it cannot be started.
    explicit TextService(std::string const& folder);
    ~TextService();
    TextService(TextService const&) = delete;
    TextService& operator=(TextService const&) = delete;

    /// Returns what the child says of its tokenizer, {"vocabulary"}. Call it once, first. Throws
    /// InputError if there is none in the folder.
    nlohmann::json hello();
    /// Sends one request and returns its answer (launch/text/serve.hpp). Throws InputError for what
    /// is refused, JobError if the child has died.
    nlohmann::json ask(nlohmann::json const& request);

  private:
    nlohmann::json receive();
    /// Collects the child and says how it ended.
    [[noreturn]] void died();

    pid_t child_ = -1;
    int socket_ = -1;
    std::string buffer_; ///< received and not yet read
};

/// Returns the service of rank 0. Throws JobError if there is none, as the process that started one
/// took itself for another rank.
TextService& service_of_rank_0(TextService* service);

} // namespace trireme::launch
