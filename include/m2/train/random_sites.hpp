#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "m2/nn/parameter.hpp"

namespace m2 {

/// The random sites of a module (dropout and the like), in declaration order. The pointers live as long as the module.
template <class M>
std::vector<RandomSite*> random_sites(M& module) {
  std::vector<RandomSite*> sites;
  auto visitor = [&](const std::string&, RandomSite& site) { sites.push_back(&site); };
  visit_member(visitor, "", "", module);
  return sites;
}

/// Switches every random site of a module between training and evaluation.
template <class M>
void set_training(M& module, bool training) {
  for (RandomSite* site : random_sites(module)) site->training = training;
}

/// The key of a random site in one forward pass: a pure function, so that a resumed run draws the same numbers.
inline std::uint64_t random_site_key(std::uint64_t seed, Index step, Index micro_batch, Index site) {
  const auto bits = random_bits(seed ^ 0x52414E444F4D5345ULL, static_cast<std::uint64_t>(step),
                                (static_cast<std::uint64_t>(micro_batch) << 32) | static_cast<std::uint64_t>(site));
  return (std::uint64_t{bits[0]} << 32) | bits[1];
}

}  // namespace m2
