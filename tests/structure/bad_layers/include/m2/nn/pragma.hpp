// expect: include/m2/nn/pragma.hpp: OpenMP belongs in backend/cpu
#pragma once
inline void loop() {
#pragma omp parallel
}
