#include "parallel/pieces.hpp"

#include <exception>

namespace trireme::parallel {

void each_in_one_thread(std::int64_t count, std::function<void(std::int64_t)> const& f) {
    std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t i = 0; i < count; ++i) {
        try {
            f(i);
        } catch (...) { // it must not leave its thread
#pragma omp critical(trireme_pieces)
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

} // namespace trireme::parallel
