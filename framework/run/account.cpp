#include "framework/run/account.hpp"

#include <algorithm>

namespace trireme::framework::run {

Account::Account(JobHistory const& past, int nodes, std::int64_t step)
    : past_node_hours_(past.node_hours()), past_seconds_(past.seconds()), kept_(past.kept),
      nodes_(nodes) {
    kept_.back_to(step);
}

double Account::seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

double Account::node_hours() const {
    return past_node_hours_ + nodes_ * seconds() / 3600;
}

double Account::goodput() const {
    double const all = past_seconds_ + seconds();
    return all > 0 ? std::min(1.0, kept_.seconds() / all) : 0;
}

} // namespace trireme::framework::run
