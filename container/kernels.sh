# The image brings its kernels compiled, for every x86-64 processor with AVX2; elsewhere each job compiles its own.
if [ -d /opt/kernels ] && grep -qw avx2 /proc/cpuinfo 2>/dev/null; then
  export NUMBA_CACHE_DIR=/opt/kernels NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES=
fi
