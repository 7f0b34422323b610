/* Convolution over the active output positions only, and the layers between.
 *
 * A plain C library: it knows nothing of Python or PyTorch, which call it with pointers
 * to channels-last float32 data. The kernels are compiled twice, for AVX2 and AVX-512,
 * and chosen when the library is loaded. On other processors roundoff_level() is 0.
 */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "skipping.h"

#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int failed; /* a thread found no memory */

/* ---- threads ------------------------------------------------------------------ */

typedef struct {
    work_function work;
    void *job;
    int64_t count, chunk, next;
} queue;

static void *drain(void *argument)
{
    queue *q = argument;
    for (;;) {
        int64_t first = __atomic_fetch_add(&q->next, q->chunk, __ATOMIC_RELAXED);
        if (first >= q->count) return NULL;
        int64_t last = first + q->chunk;
        q->work(q->job, first, last < q->count ? last : q->count);
    }
}

/* PyTorch's threads wait for its next operator by spinning. Ours beside them would share
 * the cores with them, so GNU OpenMP, where this process has it, lends the very same. */
typedef void (*parallel_function)(void (*)(void *), void *, unsigned, unsigned);
static parallel_function lent_threads;
static pthread_once_t looked_up = PTHREAD_ONCE_INIT;

static void look_up(void) { *(void **)&lent_threads = dlsym(RTLD_DEFAULT, "GOMP_parallel"); }

static void drain_lent(void *argument) { drain(argument); }

static void drain_with_own_threads(queue *q, int64_t threads)
{
    pthread_t others[63];
    int64_t started = 0;
    while (started < threads - 1 && !pthread_create(&others[started], NULL, drain, q))
        started++;
    drain(q);
    for (int64_t i = 0; i < started; i++) pthread_join(others[i], NULL);
}

int run_chunks(work_function work, void *job, int64_t count, int64_t chunk,
               int64_t threads)
{
    queue q = {work, job, count, chunk < 1 ? 1 : chunk, 0};
    if (threads > 64) threads = 64;
    failed = 0;
    pthread_once(&looked_up, look_up);
    if (threads < 2 || q.chunk >= count)
        drain(&q);
    else if (lent_threads)
        lent_threads(drain_lent, &q, (unsigned)threads, 0);
    else
        drain_with_own_threads(&q, threads);
    return failed;
}

/* Whole for one thread; a few chunks for each of several, so that they end together. */
static int64_t chunk_of(int64_t count, int64_t threads)
{
    return threads == 1 ? count : (count + threads * 8 - 1) / (threads * 8);
}

/* ---- the kernels, once per instruction set --------------------------------------- */

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_KERNELS 1
#include <immintrin.h>

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#define BEGIN_AVX2                                                                    \
    _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to=function)")
#define BEGIN_AVX512                                                                  \
    _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512bw,avx512vl,avx512dq,avx2,fma\"))), apply_to=function)")
#define END_TARGET _Pragma("clang attribute pop")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define BEGIN_AVX2                                                                    \
    _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma\")")
#define BEGIN_AVX512                                                                  \
    _Pragma("GCC push_options")                                                       \
        _Pragma("GCC target(\"avx512f,avx512bw,avx512vl,avx512dq,avx2,fma\")")
#define END_TARGET _Pragma("GCC pop_options")
#endif

#define CASE(n, ...)                                                                  \
    case n:                                                                           \
        CALL(n)(__VA_ARGS__);                                                         \
        break;

BEGIN_AVX2
#define NAME(x) x##_avx2
#define JOIN(n) tile_##n##_avx2
#define CALL(n) JOIN(n)
#define V __m256
#define LANES 8
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define SPREAD(p) _mm256_broadcast_ss(p)
#define MULADD _mm256_fmadd_ps
#define ROWS(vectors) ((vectors) == 1 ? 10 : (vectors) == 2 ? 6 : 4)
#define MOST_VECTORS 3
#define CASES(...) CASE(1, __VA_ARGS__) CASE(2, __VA_ARGS__) CASE(3, __VA_ARGS__)

static inline __m256i mask_avx2(int64_t left)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(left < 8 ? (int)left : 8),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#define LOAD_SOME(p, left) _mm256_maskload_ps(p, mask_avx2(left))
#define STORE_SOME(p, v, left) _mm256_maskstore_ps(p, mask_avx2(left), v)
static inline __m256 maximum_avx2(__m256 a, __m256 b)
{
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
static inline int64_t count_nan_avx2(__m256 v, int64_t left)
{
    int bits = _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return __builtin_popcount(bits & (left < 8 ? (1 << left) - 1 : 255));
}
static int64_t vectors_avx2(int64_t channels)
{
    int64_t all = (channels + 7) / 8, three = (all + 2) / 3 * 3, two = (all + 1) / 2 * 2;
    return all == 1 ? 1 : three < two || all == 3 ? 3 : 2;
}
#include "kernels.inc"
#undef NAME
#undef CALL
#undef JOIN
#undef V
#undef LANES
#undef LOAD
#undef STORE
#undef SPREAD
#undef MULADD
#undef ROWS
#undef MOST_VECTORS
#undef CASES
#undef LOAD_SOME
#undef STORE_SOME
END_TARGET

BEGIN_AVX512
#define NAME(x) x##_avx512
#define JOIN(n) tile_##n##_avx512
#define CALL(n) JOIN(n)
#define V __m512
#define LANES 16
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define SPREAD(p) _mm512_set1_ps(*(p))
#define MULADD _mm512_fmadd_ps
#define ROWS(vectors)                                                                 \
    ((vectors) == 1   ? 16                                                            \
     : (vectors) == 2 ? 14                                                            \
     : (vectors) == 3 ? 9                                                             \
     : (vectors) == 4 ? 6                                                             \
                      : 5)
#define MOST_VECTORS 5
#define CASES(...)                                                                    \
    CASE(1, __VA_ARGS__)                                                              \
    CASE(2, __VA_ARGS__) CASE(3, __VA_ARGS__) CASE(4, __VA_ARGS__) CASE(5, __VA_ARGS__)

static inline __mmask16 mask_avx512(int64_t left)
{
    return left < 16 ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff;
}
#define LOAD_SOME(p, left) _mm512_maskz_loadu_ps(mask_avx512(left), p)
#define STORE_SOME(p, v, left) _mm512_mask_storeu_ps(p, mask_avx512(left), v)
static inline __m512 maximum_avx512(__m512 a, __m512 b)
{
    return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
static inline int64_t count_nan_avx512(__m512 v, int64_t left)
{
    return __builtin_popcount(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) & mask_avx512(left));
}
static int64_t vectors_avx512(int64_t channels)
{
    int64_t all = (channels + 15) / 16, best = 1, padded = INT64_MAX;
    static const int64_t order[] = {4, 3, 5, 2, 1};
    if (all <= 5) return all;
    for (int i = 0; i < 3; i++) {
        int64_t sum = (all + order[i] - 1) / order[i] * order[i];
        if (sum < padded) best = order[i], padded = sum;
    }
    return best;
}
#include "kernels.inc"
END_TARGET
#endif

/* ---- what Python calls ------------------------------------------------------------ */

static int chosen = -1;

/* 2: AVX-512, 1: AVX2, 0: no kernels for this processor. */
int roundoff_level(void)
{
#ifdef HAVE_KERNELS
    if (chosen < 0) {
        chosen = 0;
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) chosen = 1;
        if (chosen && __builtin_cpu_supports("avx512f") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512dq"))
            chosen = 2;
    }
    return chosen;
#else
    return 0;
#endif
}

/* Use a lower level than the processor's, for tests; returns the level in use. */
int roundoff_limit_level(int level)
{
    chosen = -1;
    if (level >= 0 && level < roundoff_level()) chosen = level;
    return roundoff_level();
}

#ifdef HAVE_KERNELS
#define PICK(name) (roundoff_level() == 2 ? name##_avx512 : name##_avx2)

/* Output channels of one block of packed weights. */
int64_t roundoff_block(int64_t channels)
{
    return roundoff_level() == 2 ? 16 * vectors_avx512(channels)
                                 : 8 * vectors_avx2(channels);
}

int roundoff_plan(plan_job *job)
{
    const conv_shape *s = job->shape;
    int64_t rows = s->n * s->out[0] * s->out[1];
    memset(job->totals, 0, sizeof job->totals);
    run_chunks(PICK(plan), job, rows, chunk_of(rows, s->threads), s->threads);
    return job->totals[0] < 0;
}

int roundoff_conv(conv_job *job)
{
    const conv_shape *s = job->shape;
    int64_t rows = s->n * s->out[0] * s->out[1];
    return run_chunks(PICK(conv), job, rows, chunk_of(rows, s->threads), s->threads);
}

#define PIXELS(name)                                                                  \
    int roundoff_##name(pixel_job *job, int64_t pixels, int64_t threads)              \
    {                                                                                 \
        return run_chunks(PICK(name), job, pixels, chunk_of(pixels, threads), threads); \
    }
PIXELS(maxout)
PIXELS(leaky)
PIXELS(scan)
PIXELS(define)
PIXELS(alike)

int roundoff_pool(pool_job *job, int64_t samples, int64_t threads)
{
    int64_t count = samples * job->out[0] * job->out[1] * job->out[2];
    return run_chunks(PICK(pool), job, count, chunk_of(count, threads), threads);
}

int roundoff_unpool(pool_job *job, int64_t samples, int64_t threads)
{
    int64_t count = samples * job->out[0] * job->out[1] * job->out[2];
    return run_chunks(PICK(unpool), job, count, chunk_of(count, threads), threads);
}
#endif
