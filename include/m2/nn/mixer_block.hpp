#pragma once

#include "m2/nn/dropout.hpp"
#include "m2/nn/gated_mlp.hpp"
#include "m2/nn/layer_norm.hpp"
#include "m2/nn/sequence_mixer.hpp"

namespace m2 {

struct MixerBlockOptions {
  SequenceMixerOptions mixer = {};  ///< max_length must be given
  GatedMlpOptions mlp = {};
  double dropout = 0.0;  ///< of both branches, before they are added
};

/// A pre-norm block: h = x + drop(mixer(norm1(x))),  y = h + drop(mlp(norm2(h))).
///
/// Shapes   x, y (batch, length, channels); parameters norm1, mixer, norm2, mlp
/// Writes   y; backward: dx (overwritten), parameter gradients (accumulated)
/// Errors   as its parts
/// Cost     that of SequenceMixer and GatedMlp
template <Scalar T, Backend B>
class MixerBlock {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {
    Tensor<T, 3, B> normal1, middle, normal2;   // norm1(x), h, norm2(h)
    Tensor<T, 3, B> dbranch, dnormal, dmiddle;  // gradients
    typename LayerNorm<T, B>::Cache norm1, norm2;
    typename SequenceMixer<T, B>::Cache mixer;
    typename GatedMlp<T, B>::Cache mlp;
    typename Dropout<T, B>::Cache dropout;
  };

  MixerBlock(Index channels, MixerBlockOptions options)
      : norm1_(channels),
        norm2_(channels),
        mixer_(channels, options.mixer),
        mlp_(channels, options.mlp),
        dropout1_(options.dropout),
        dropout2_(options.dropout) {}

  Extents<3> output_extents(Extents<3> x) const { return mixer_.output_extents(x); }

  Cache make_cache(B& be, Extents<3> x) const {
    output_extents(x);
    Cache cache;
    for (Tensor<T, 3, B>* tensor :
         {&cache.normal1, &cache.middle, &cache.normal2, &cache.dbranch, &cache.dnormal, &cache.dmiddle}) {
      *tensor = Tensor<T, 3, B>(be, x);
    }
    cache.norm1 = norm1_.make_cache(be, x);
    cache.norm2 = norm2_.make_cache(be, x);
    cache.mixer = mixer_.make_cache(be, x);
    cache.mlp = mlp_.make_cache(be, x);
    return cache;
  }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache& cache) const {
    norm1_.forward(be, x, cache.normal1.view(), cache.norm1);
    mixer_.forward(be, cache.normal1.cview(), cache.middle.view(), cache.mixer);
    dropout1_.forward(be, cache.middle.cview(), cache.middle.view(), cache.dropout);
    accumulate(be, x, cache.middle.view());
    norm2_.forward(be, cache.middle.cview(), cache.normal2.view(), cache.norm2);
    mlp_.forward(be, cache.normal2.cview(), y, cache.mlp);
    dropout2_.forward(be, y, y, cache.dropout);
    accumulate(be, cache.middle.cview(), y);
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache& cache, View<T, 3, B> dx) {
    const View<T, 3, B> dmiddle = cache.dmiddle.view();
    const View<const T, 3, B> dnormal = cache.dnormal.cview();
    mlp_.backward(be, cache.normal2.cview(), branch_gradient(be, dropout2_, dy, cache), cache.mlp,
                  cache.dnormal.view());
    norm2_.backward(be, cache.middle.cview(), dnormal, cache.norm2, dmiddle);
    accumulate(be, dy, dmiddle);
    mixer_.backward(be, cache.normal1.cview(), branch_gradient(be, dropout1_, dmiddle, cache), cache.mixer,
                    cache.dnormal.view());
    norm1_.backward(be, x, dnormal, cache.norm1, dx);
    accumulate(be, cache.dmiddle.cview(), dx);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("norm1", norm1_);
    visitor("mixer", mixer_);
    visitor("dropout1", dropout1_);
    visitor("norm2", norm2_);
    visitor("mlp", mlp_);
    visitor("dropout2", dropout2_);
  }

 private:
  /// The cotangent of a branch: the one of the sum itself where nothing is dropped.
  static View<const T, 3, B> branch_gradient(B& be, Dropout<T, B>& dropout, View<const T, 3, B> dy, Cache& cache) {
    if (!dropout.active()) return dy;
    dropout.backward(be, dy, dy, cache.dropout, cache.dbranch.view());
    return cache.dbranch.cview();
  }

  LayerNorm<T, B> norm1_, norm2_;
  SequenceMixer<T, B> mixer_;
  GatedMlp<T, B> mlp_;
  Dropout<T, B> dropout1_, dropout2_;
};

}  // namespace m2
