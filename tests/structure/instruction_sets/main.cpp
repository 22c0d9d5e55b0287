// One program, parts of which are compiled for different instruction sets.
#include <cstdio>

double portable_error();
double avx2_error();

int main() {
  const double portable = portable_error(), avx2 = avx2_error();
  std::printf("error without -march %g, with AVX2 %g\n", portable, avx2);
  return portable < 1e-6 && avx2 < 1e-6 ? 0 : 1;
}
