#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "m2/monarch/shape.hpp"

namespace m2::detail {

/// One slice of a matrix C: its rows are outputs that every one of `middle` reaches, its columns are the inputs of one
/// block. The factor of that block and the rest of the chain can make any matrix of rank `middle.size()` of it.
struct ProjectionSlice {
  Index block;                ///< of the factor
  Index begin, rows;          ///< the outputs: reach[block][begin .. begin + rows)
  std::vector<Index> middle;  ///< where the block's outputs of this slice lie in the vector behind the factor
};

/// How a chain of factors comes apart at one of them. The chain from factor f on is a matrix C from the vector before f
/// to the output; inputs of one block of f reach the same outputs.
struct ProjectionLevel {
  std::vector<std::vector<Index>> reach;  ///< of each block: outputs below out_features, slice after slice
  std::vector<ProjectionSlice> slices;    ///< disjoint parts of C; none at the last factor

  /// Where the inputs of the factor keep their column of C: column i has offsets[i + 1] - offsets[i] elements.
  std::vector<Index> column_offsets(const FactorShape& f) const {
    std::vector<Index> offsets(static_cast<std::size_t>(f.in_size()) + 1, 0);
    for (Index i = 0; i < f.in_size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      offsets[at + 1] = offsets[at] + static_cast<Index>(reach[static_cast<std::size_t>(block_of_input(f, i))].size());
    }
    return offsets;
  }

  /// The block that reads position i of the vector before a factor, and which of its inputs that is.
  static Index block_of_input(const FactorShape& f, Index i) { return i / (f.in * f.inner) * f.inner + i % f.inner; }
  static Index digit_of_input(const FactorShape& f, Index i) { return i / f.inner % f.in; }

  /// Position of digit d of a block in a vector whose digits have `size` values.
  static Index position(const FactorShape& f, Index block, Index d, Index size) {
    return (block / f.inner * size + d) * f.inner + block % f.inner;
  }
};

/// The levels of a chain, first factor first.
///
/// Errors   m2::Error if slices before the last two factors overlap or have a rank above 1: then no sequence of SVDs
///          finds a given Monarch matrix again
template <int Order>
std::vector<ProjectionLevel> projection_plan(const MonarchShape<Order>& shape) {
  std::vector<ProjectionLevel> levels(static_cast<std::size_t>(Order));
  const FactorShape& last = shape.factor(Order - 1);
  auto& rows = levels.back().reach;
  rows.resize(static_cast<std::size_t>(last.blocks()));
  for (Index block = 0; block < last.blocks(); ++block)
    for (Index e = 0; e < last.out; ++e) {
      const Index row = ProjectionLevel::position(last, block, e, last.out);
      if (row < shape.out_features()) rows[static_cast<std::size_t>(block)].push_back(row);
    }

  std::vector<Index> seen(static_cast<std::size_t>(shape.out_features()), -1);  // the block that reached an output last
  for (int k = Order - 2; k >= 0; --k) {
    const FactorShape &f = shape.factor(k), &next = shape.factor(k + 1);
    const ProjectionLevel& behind = levels[static_cast<std::size_t>(k) + 1];
    ProjectionLevel& level = levels[static_cast<std::size_t>(k)];
    level.reach.resize(static_cast<std::size_t>(f.blocks()));
    std::fill(seen.begin(), seen.end(), Index{-1});
    std::vector<Index> slice_of(static_cast<std::size_t>(next.blocks()), -1);  // of the current block of f
    for (Index block = 0; block < f.blocks(); ++block) {
      auto& reach = level.reach[static_cast<std::size_t>(block)];
      const auto first = static_cast<Index>(level.slices.size());
      for (Index e = 0; e < f.out; ++e) {
        const Index middle = ProjectionLevel::position(f, block, e, f.out);
        const auto to = static_cast<std::size_t>(ProjectionLevel::block_of_input(next, middle));
        if (slice_of[to] < first) {
          slice_of[to] = static_cast<Index>(level.slices.size());
          level.slices.push_back(
              {block, static_cast<Index>(reach.size()), static_cast<Index>(behind.reach[to].size()), {}});
          for (const Index row : behind.reach[to]) {
            M2_REQUIRE(std::exchange(seen[static_cast<std::size_t>(row)], block) != block, "project: output ", row,
                       " is reached through several outputs of block ", block, " of factor ", k,
                       "; a chain of three or more factors is projected only if single paths lead through all but its "
                       "last two");
            reach.push_back(row);
          }
        }
        auto& slice = level.slices[static_cast<std::size_t>(slice_of[to])];
        slice.middle.push_back(middle);
        M2_REQUIRE(
            k == Order - 2 || slice.middle.size() == 1, "project: outputs of block ", block, " of factor ", k,
            " meet again in factor ", k + 1,
            "; a chain of three or more factors is projected only if single paths lead through all but its last two");
      }
    }
  }
  return levels;
}

}  // namespace m2::detail
