#pragma once

#include <algorithm>
#include <span>

#include "m2/backend/cpu/row_product.hpp"
#include "m2/backend/cpu/vector_tile.hpp"

/// The Monarch multiply of vectors whose features are contiguous, by packed weights. The batch is cut into tiles that
/// stay in cache through all factors; the first factor reads the caller's vectors, the last one writes the caller's.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// True if packing, which moves all weights, moves less than transposing the vectors does. Where tiles take weights
/// otherwise that is not all they save: packing costs as much as eight vectors gain.
template <class T>
bool packing_pays(const MonarchCall<T>& call) {
  if (tiled_weights) return call.batch >= 12;
  return call.batch * (call.in_features + call.out_features) > call.weight_count;
}

/// True if the kernels for contiguous features beat those that transpose. They do not where weights of blocks along the
/// lanes outgrow the first-level cache, nor where they come from far and few registers meet them at a time, unless the
/// vectors are so few that reading the weights is the limit. Tiled weights may be as many as they like, but for far
/// ones of more than two factors.
template <class T>
bool rows_pay(const MonarchCall<T>& call) {
  if (call.batch < Lanes<T>::count) return true;
  const bool far_weights_pay = register_bytes == 64 || (tiled_weights && call.factors.size() <= 2);
  for (const FactorShape& f : call.factors) {
    if (!tiled_weights && f.inner >= Lanes<T>::count && std::max(f.in, f.out) > lane_terms) return false;
    if (!far_weights_pay && weights_outgrow_cache<T>(f)) return false;
  }
  return true;
}

/// Packs all factors, one after the other.
template <class T>
void pack_weights(const MonarchCall<T>& call, T* packed) {
  for (std::size_t f = 0; f < call.factors.size(); ++f) {
    pack_weights(call.factors[f], call.weights[f], packed);
    packed += packed_size<T>(call.factors[f]);
  }
}

/// True if the caller's vectors are more than the second-level cache holds, or than so many of them would.
template <class T>
bool vectors_are_far(const MonarchCall<T>& call, Index caches = 1) {
  return call.batch * (call.in_features + call.out_features) * static_cast<Index>(sizeof(T)) >
         caches * second_level_cache;
}
/// True if they are so many that results are asked for ahead of the tile that writes them.
template <class T>
bool vectors_are_remote(const MonarchCall<T>& call) {
  return vectors_are_far(call, 4);
}

/// The limits of tiles: fewer vectors would have to share the reading of all weights, more gain nothing.
inline constexpr Index least_row_tile = 32, most_row_tile = 64;

/// Vectors to a tile: the longest ones in half of the second-level cache. Of what outgrows it, two factors reread more
/// weights than vectors, and share them among more; three reread vectors, too.
template <class T>
Index row_tile_size(const MonarchCall<T>& call) {
  if (tiled_weights) return least_row_tile;
  const Index fitting = second_level_cache / 2 / (call.widest * static_cast<Index>(sizeof(T)));
  return std::clamp(fitting, call.factors.size() > 2 ? least_row_tile : least_row_tile * 3 / 2, most_row_tile);
}

/// Copies vectors, with zeros behind them up to `padded` features.
template <class R>
void copy_rows(VectorRows<const R> from, Index features, VectorRows<R> to, Index padded, Index batch) {
  for (Index b = 0; b < batch; ++b) {
    std::copy_n(from.data + b * from.pitch, features, to.data + b * to.pitch);
    std::fill(to.data + b * to.pitch + features, to.data + b * to.pitch + padded, R{0});
  }
}

/// True if, while a tile is at work, the vectors of the next one are asked for beside its last factor, and, where
/// registers have less than 64 bytes, its results beside the first: sums have to be long enough to hide it. Where tiles
/// have 12 sums of 64 bytes, results are asked for later (VectorRows); where they have 24, all this costs a fifth of
/// the time (Sapphire Rapids).
template <class T>
bool row_tiles_ask_ahead(const MonarchCall<T>& call) {
  if (tile_sums() > 12) return false;
  for (const FactorShape& f : call.factors)
    if (f.in < 32) return false;
  return vectors_are_remote(call);
}

/// True if so many more numbers are read than written that to ask for them the last factor has not enough tiles.
template <class T>
bool reads_more(const MonarchCall<T>& call) {
  return call.in_features > 2 * call.out_features;
}

struct RowScratch;

/// All factors of a tile; `threads` share the blocks of each.
template <class T>
void multiply_row_tile(const MonarchCall<T>& call, const T* packed, VectorRows<const T> x, VectorRows<T> y, Index batch,
                       int threads, LinesAhead<T> written = {}, LinesAhead<T> read = {}) {
  const Index pitch = row_pitch<T>(call.widest), count = static_cast<Index>(call.factors.size());
  const Index size = size_between<T>(pitch, batch);
  T* buffer = thread_scratch<RowScratch, T>(2 * size);
  const bool far = batch * pitch * static_cast<Index>(sizeof(T)) > second_level_cache * (narrow_machine() ? 4 : 1) / 2;
  const VectorRows<T> between[] = {{buffer, pitch, far}, {buffer + size, pitch, far}};
  const bool cut = call.out_features < call.padded_out();
  const Index pair = count > 2 && nested(call.factors[0], call.factors[1]) ? 1 : 0, passes = count - pair;
  const auto result = [&](Index pass) {
    if constexpr (tiled_weights) {
      const FactorShape* f = &call.factors[static_cast<std::size_t>(pass + pair)];
      if (pass >= pair && pass + 1 < passes) return between_factors(between[pass % 2].data, pitch, f[0], f[1]);
    }
    return pass + 1 < passes || cut ? between[pass % 2] : y;
  };
  if (call.in_features < call.padded_in()) {
    copy_rows(x, call.in_features, between[1], call.padded_in(), batch);
    x = {between[1].data, pitch};
  }
  parallel_steps(passes, threads, [&](Index pass, Index part) {
    const auto f = static_cast<std::size_t>(pass + pair);
    const T* const weights = packed + packed_size<T>(call.factors.first(f));
    const VectorRows<const T> from = pass == 0 ? x : as_input(result(pass - 1));
    if (pass == 0 && pair == 1) {
      rows_product_of_two<T>(call.factors[0], call.factors[1], packed, x, result(0), batch, part, threads);
    } else {
      const FactorShape& shape = call.factors[f];
      LinesAhead<T> nothing;
      LinesAhead<T>& soon = pass + 1 == passes || (pass == 0 && reads_more(call)) ? read
                            : pass == 0                                           ? written
                                                                                  : nothing;
      rows_product<false, T>(shape, weights, from, result(pass), batch, part, threads, soon,
                             shape.inner > 1 && weights_are_far<T>(shape) ? packed_group<T>(shape) : 0);
    }
  });
  if (y.streamed) finish_streams();
  if (cut) copy_rows<T>(as_input(result(passes - 1)), call.out_features, y, call.out_features, batch);
}

/// Threads that share the blocks of a few vectors read what the others have just written, which pays later.
inline constexpr Index shared_products = 4 * parallel_products;

/// One vector, the blocks of each factor shared among threads.
template <class T>
void share_row(const MonarchCall<T>& call, const T* packed, const T* x, T* y) {
  const Index pitch = row_pitch<T>(call.widest), count = static_cast<Index>(call.factors.size());
  T* const between = thread_scratch<RowScratch, T>(2 * pitch);  // what an even factor writes, then an odd one
  const int threads = available_threads();
  parallel_steps(count, threads, [&](Index f, Index part) {
    const auto at = static_cast<std::size_t>(f);
    vector_product(call.factors[at], packed + packed_size<T>(call.factors.first(at)),
                   f == 0 ? x : between + (f - 1) % 2 * pitch, f + 1 == count ? y : between + f % 2 * pitch, part,
                   threads);
  });
}

/// True if one vector may be replaced by its product with a factor: each group of blocks along the lanes reads all its
/// digits before it writes them.
template <class R>
bool works_in_place(const FactorShape& f) {
  return !tiled_weights && f.inner >= Lanes<R>::count && f.in == f.out;
}

struct PaddedRowScratch;

/// y = M x for one vector where the factors are packable. A small product takes less time than what a larger one may
/// decide and prepare: so that begins behind the question for threads. Factors work in place where they can: what is
/// between them would take a part of the first-level cache from the weights.
template <class T>
void multiply_row(const MonarchCall<T>& call, const T* packed, const T* x, T* y) {
  const Index in = call.padded_in(), out = call.padded_out();
  if (call.in_features != in || call.out_features != out) {
    const Index pitch = row_pitch<T>(in);
    T* const padded = thread_scratch<PaddedRowScratch, T>(pitch + out);
    T* const uncut = padded + pitch;
    std::fill(std::copy_n(x, call.in_features, padded), padded + in, T{0});
    MonarchCall<T> whole = call;
    whole.in_features = in, whole.out_features = out;
    multiply_row<T>(whole, packed, padded, uncut);
    std::copy_n(uncut, call.out_features, y);
    return;
  }
  if (call.weight_count > shared_products) return share_row(call, packed, x, y);
  const FactorShape* f = call.factors.data();
  const FactorShape* const end = f + call.factors.size();
  const FactorShape* writer = end - 1;  // those behind it work in place
  while (writer != f && works_in_place<T>(*writer)) --writer;
  T *next = nullptr, *other = nullptr;
  if (writer != f) {
    const Index pitch = row_pitch<T>(call.widest);
    next = thread_scratch<RowScratch, T>(2 * pitch), other = next + pitch;
  }
  for (; f != end; ++f) {
    T* const to = f < writer ? next : y;
    if constexpr (tiled_weights) {
      vector_product(*f, packed, x, to, 0, 1);
      packed += packed_size<T>(*f);
    } else {
      packed = groups_times_vector(*f, 0, packed_groups<T>(*f), packed, x, to);
    }
    x = to;
    std::swap(next, other);
  }
}

/// The same for many vectors.
template <class T>
void multiply_rows(const MonarchCall<T>& call, const T* packed, const VectorRows<const T>& x, const VectorRows<T>& y) {
  const Index products = call.weight_count * call.batch;
  // A few vectors are not shared among threads, but the blocks: every thread reads only its own weights.
  const int most = available_threads();
  const bool share_blocks = call.batch < 16 * most;
  const int threads = products > (share_blocks ? shared_products : parallel_products) ? most : 1;
  const bool far = vectors_are_far(call), remote = vectors_are_remote(call);
  const bool streamed = !share_blocks && streams(y.data, y.pitch, call.batch * call.out_features);
  const bool ahead = !share_blocks && row_tiles_ask_ahead(call);
  const Index size = row_tile_size(call);
  Index tiles = (call.batch + size - 1) / size;
  if (!share_blocks) tiles = (tiles + threads - 1) / threads * threads;
  parallel_parts(tiles, share_blocks ? 1 : threads, [&](Index t) {
    const Index begin = part_begin(call.batch, t, tiles), end = part_begin(call.batch, t + 1, tiles);
    LinesAhead<T> written, read;
    if (ahead && !streamed && !narrow_machine())
      written = {y.data + begin * y.pitch, y.pitch, call.out_features, end - begin, Soon::written};
    if (ahead && t + 1 < tiles && size * call.widest * Index{sizeof(T)} <= second_level_cache / 2)
      read = {
          x.data + end * x.pitch,  x.pitch, call.in_features, part_begin(call.batch, t + 2, tiles) - end, Soon::read,
          reads_more(call) ? 2 : 1};
    multiply_row_tile<T>(call, packed, {x.data + begin * x.pitch, x.pitch, far},
                         {y.data + begin * y.pitch, y.pitch, far, streamed, remote}, end - begin,
                         share_blocks ? threads : 1, written, read);
  });
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
