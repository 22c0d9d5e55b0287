# Runs the Monarch benchmark on one thread and prints its tables; the target bench_table calls this.
#   cmake -D BENCH=<m2_bench_monarch> -D OUTPUT=<folder for the JSON file> -P table.cmake
execute_process(
  COMMAND "${CMAKE_COMMAND}" -E env OMP_NUM_THREADS=1 "${BENCH}" --benchmark_min_time=0.05
          "--benchmark_out=${OUTPUT}/monarch.json" --benchmark_out_format=json
  COMMAND_ERROR_IS_FATAL ANY)
