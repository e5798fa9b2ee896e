#include "launch/text/template_tokens.hpp"

#include <algorithm>

namespace trireme::launch::text {

namespace {

bool begins_with(Ids const& ids, std::size_t at, Ids const& part) {
    return !part.empty() && ids.size() >= at + part.size() &&
           std::equal(part.begin(), part.end(), ids.begin() + static_cast<std::ptrdiff_t>(at));
}

void erase(Encoding& e, std::size_t at, std::size_t count) {
    for (auto* values : {&e.tokens, &e.segments}) {
        auto const first = values->begin() + static_cast<std::ptrdiff_t>(at);
        values->erase(first, first + static_cast<std::ptrdiff_t>(count));
    }
}

} // namespace

void TemplateTokens::keep_once(Encoding& e) const {
    std::size_t const before = e.tokens.size();
    if (begins_with(e.tokens, 0, leading) && begins_with(e.tokens, leading.size(), leading))
        erase(e, leading.size(), leading.size());
    std::size_t const n = trailing.size(), size = e.tokens.size();
    if (size >= 2 * n + leading.size() && begins_with(e.tokens, size - n, trailing) &&
        begins_with(e.tokens, size - 2 * n, trailing))
        erase(e, size - n, n);
    e.doubled = e.tokens.size() != before;
    e.written -= static_cast<int>(before - e.tokens.size());
}

bool TemplateTokens::put_leading(Ids& prompt) const {
    if (begins_with(prompt, 0, leading)) return true;
    prompt.insert(prompt.begin(), leading.begin(), leading.end());
    return false;
}

} // namespace trireme::launch::text
